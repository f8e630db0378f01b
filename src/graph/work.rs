//! What a node does: a process or an approval, and the items of its shards.

use std::sync::Arc;

use crate::base::Span;
use crate::plan::model::{Lifetime, Shell, Signal, Type};

/// What a node does.
#[derive(Clone, PartialEq, Debug)]
pub enum Work {
    /// Runs a process.
    Process(Box<Process>),
    /// Waits for a person.
    Approval {
        /// What to ask; may hold templates.
        prompt: Option<Box<str>>,
        /// What each item of a checklist says, in the order of `Consent::items`; may hold templates.
        items: Vec<Box<str>>,
    },
}

/// What the name of a secret begins with when it is an input of the plan.
pub const INPUT_SECRET: &str = "inputs.";

/// How to run a process; texts may hold `{{ … }}` until the moment of start.
#[derive(Clone, PartialEq, Debug)]
pub struct Process {
    /// Script or words.
    pub command: Command,
    /// The first word stands for the engine itself: a built-in action that is a process.
    pub is_engine: bool,
    /// It is a gate, which leaves outputs whatever its verdict.
    pub is_gate: bool,
    /// `env` in order, the plan's defaults first.
    pub env: Vec<(Box<str>, Box<str>)>,
    /// Names, or a prefix with `*`.
    pub pass_env: Vec<Box<str>>,
    /// Variables and the secrets that they hold: a key of the environment, or [`INPUT_SECRET`] and an input's name.
    pub secrets: Vec<(Box<str>, Box<str>)>,
    /// Relative to the root.
    pub cwd: Option<Box<str>>,
    /// Declared outputs: name and type.
    pub outputs: Vec<(Box<str>, Type)>,
    /// Globs of artifacts, relative to `cwd`.
    pub artifacts: Vec<Box<str>>,
    /// `cache`.
    pub cache: Option<Box<Cache>>,
    /// `done-if`.
    pub done_if: Option<Box<Command>>,
    /// `lifetime`.
    pub lifetime: Lifetime,
    /// The items of its shards; none for an unsharded stage.
    pub items: Items,
    /// How to stop an attempt.
    pub stop: (Signal, Span),
    /// Its words as the plan has them, as a number; 0 if that is how they stand here.
    pub written: u32,
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
    Argv(Vec<Box<str>>),
}

/// `cache`, resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    /// Globs from the root.
    pub sources: Vec<Box<str>>,
    /// Environment names that count.
    pub env: Vec<Box<str>>,
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
            pass_env: Vec::new(),
            secrets: Vec::new(),
            cwd: None,
            outputs: Vec::new(),
            artifacts: Vec::new(),
            cache: None,
            done_if: None,
            lifetime: Lifetime::Stage,
            items: Items::None,
            stop: (Signal::Term, Span::from_secs(10)),
            written: 0,
        }
    }
}
