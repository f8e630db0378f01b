//! What a node does: a process or an approval, and the items of its shards.

use std::sync::Arc;

use crate::base::{Span, Text};
use crate::plan::model::{Lifetime, Shell, Signal, Type};

/// What a node does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Runs a process.
    Process(Box<Process>),
    /// Waits for a person.
    Approval {
        /// What to ask; may hold templates.
        prompt: Option<Text>,
        /// What each item of a checklist says, in the order of `Consent::items`; may hold templates.
        items: Vec<Text>,
    },
}

/// What the name of a secret begins with when it is an input of the plan.
pub const INPUT_SECRET: &str = "inputs.";

/// How to run a process; texts may hold `{{ … }}` until the moment of start. What few processes have is read through it:
/// `process.cwd`.
#[derive(Clone, Debug)]
pub struct Process {
    /// Script or words.
    pub command: Command,
    /// The first word stands for the engine itself: a built-in action that is a process.
    pub is_engine: bool,
    /// It is a gate, which leaves outputs whatever its verdict.
    pub is_gate: bool,
    /// `env` in order, the plan's defaults first.
    pub env: Vec<(Text, Text)>,
    /// Declared outputs: name and type.
    pub outputs: Vec<(Text, Type)>,
    /// `lifetime`.
    pub lifetime: Lifetime,
    /// The items of its shards; none for an unsharded stage.
    pub items: Items,
    /// How to stop an attempt.
    pub stop: (Signal, Span),
    /// Its words as the plan has them, as a number; 0 if that is how they stand here.
    pub written: u32,
    /// What is seldom there.
    pub more: Option<Box<MoreProcess>>,
}

/// What few processes have; read through [`Process`].
#[derive(Clone, Debug, Default)]
pub struct MoreProcess {
    /// Names, or a prefix with `*`.
    pub pass_env: Vec<Text>,
    /// Variables and the secrets that they hold: a key of the environment, or [`INPUT_SECRET`] and an input's name.
    pub secrets: Vec<(Text, Box<str>)>,
    /// Relative to the root.
    pub cwd: Option<Text>,
    /// Globs of artifacts, relative to `cwd`.
    pub artifacts: Vec<Text>,
    /// `cache`.
    pub cache: Option<Box<Cache>>,
    /// `done-if`.
    pub done_if: Option<Box<Command>>,
}

/// A script or an argv.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// A script, verbatim, and its shell.
    Script {
        /// The text.
        text: Arc<str>,
        /// Who runs it.
        shell: Shell,
    },
    /// Words; each may be a template.
    Argv(Vec<Text>),
}

/// `cache`, resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    /// Globs from the root.
    pub sources: Vec<Text>,
    /// Environment names that count.
    pub env: Vec<Text>,
}

/// A stage's frozen items.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Items {
    /// Not sharded.
    #[default]
    None,
    /// 0 up to `count`.
    Range {
        /// How many.
        count: u64,
        /// Items for each shard.
        size: u32,
    },
    /// Some numbers of a range, rising, and how many each shard has: those of a part.
    Numbers(Arc<Vec<u64>>, u32),
    /// Listed items.
    List {
        /// The items as text, in order; with `is_json` as JSON texts.
        items: Arc<Vec<Box<str>>>,
        /// Items for each shard.
        size: u32,
        /// `items-format: json`.
        is_json: bool,
    },
    /// What an earlier stage gives; frozen when the stage becomes ready.
    Late {
        /// The template that gives the list.
        text: Box<str>,
        /// The most items there may be.
        max: u32,
        /// Items for each shard.
        size: u32,
        /// `items-format: json`.
        is_json: bool,
    },
}

impl Default for Process {
    /// Runs `true`.
    fn default() -> Self {
        Self::of(Command::Argv(vec!["true".into()]))
    }
}

impl Process {
    /// Runs `command`, without an environment of its own, stopped by TERM and ten seconds of grace.
    pub fn of(command: Command) -> Self {
        Self {
            is_engine: false,
            is_gate: false,
            command,
            env: Vec::new(),
            outputs: Vec::new(),
            lifetime: Lifetime::Stage,
            items: Items::None,
            stop: (Signal::Term, Span::from_secs(10)),
            written: 0,
            more: None,
        }
    }
}
