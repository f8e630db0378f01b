//! A plan as its file says it: typed, with a place for everything, nothing expanded yet.
//!
//! `plan/decode` makes it, `graph/build` reads it. Free-form parts (`vars`, `with`, default values) stay
//! [`Tree`]s. Anything that may hold `{{ … }}` is kept as written and parsed by the builder.

mod actions;
mod inputs;
mod more;
mod remedy;

pub use super::bounds::{AllowFailed, Items, Rate, Shards, Size};
pub use super::promises::{Group, OnBreach, Readiness, Slo};
pub use actions::{Asked, Distinct, EnvVerb};
pub use inputs::{FileOutput, Input};

use super::source::{FileIx, Place, Spanned};
use super::tree::Tree;
use crate::base::{Span, Text};
pub use remedy::{Remedy, Rollback};

/// One plan or action file.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file it was read from.
    pub file: FileIx,
    /// `name`, or the file's stem.
    pub name: Spanned<Text>,
    /// `description`.
    pub description: Option<Spanned<Text>>,
    /// `inputs`, in written order.
    pub inputs: Vec<Input>,
    /// `outputs` of an action file: name and template over `needs.…`.
    pub outputs: Vec<FileOutput>,
    /// `vars`, in written order; each may use inputs and earlier vars.
    pub vars: Vec<(Spanned<Text>, Tree)>,
    /// `environment`, may be a template over inputs and vars.
    pub environment: Option<Tree>,
    /// `max-parallel`.
    pub max_parallel: Option<Setting<u32>>,
    /// `pools`: name and capacity.
    pub pools: Vec<(Spanned<Text>, Setting<u32>)>,
    /// `lock`.
    pub lock: Option<Lock>,
    /// `timeout` of the run.
    pub timeout: Option<Setting<Span>>,
    /// `slo` of the run.
    pub slo: Option<Slo>,
    /// `on-failure` of the plan; `drain` when absent.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// `heal-depth`.
    pub heal_depth: Option<Setting<u32>>,
    /// `defaults`: laid under every stage that is not a gate.
    pub defaults: Common,
    /// `allow-outside: true`.
    pub allow_outside: bool,
    /// `groups`, in written order.
    pub groups: Vec<Group>,
    /// `actions`: named bodies of this plan.
    pub actions: Vec<(Spanned<Text>, Stage)>,
    /// `stages`, in written order.
    pub stages: Vec<Stage>,
    /// `finally`.
    pub finally: Option<Finally>,
    /// Something in the file was wrong and is missing here, so a name that is not found may still be right.
    pub partial: bool,
    /// Something that should have been a stage has no name, so a stage that is not found may be that one.
    pub lacks_stages: bool,
}

/// A value that is written out or computed by a `{{ … }}` template when the graph is built.
#[derive(Clone, PartialEq, Debug)]
pub enum Setting<T> {
    /// Written out.
    Value(Spanned<T>),
    /// A template whose result must read as a `T`.
    Template(Box<Tree>),
}

/// A type of the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// `90s`, `1h30m`.
    Duration,
    /// `10MiB`, `4kB`, `12B`.
    Size,
    /// An absolute URL.
    Url,
    /// A list.
    List,
    /// A map.
    Map,
}

/// A declared output of a stage.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Spanned<Text>,
    /// Its type.
    pub kind: Type,
}

/// The run lock.
#[derive(Clone, Debug)]
pub struct Lock {
    /// `name`, may be a template.
    pub name: Tree,
    /// `on-busy`.
    pub on_busy: OnBusy,
    /// `wait`: how long, with `on-busy: wait`; without end when absent.
    pub wait: Option<Setting<Span>>,
}

/// What to do when the run lock is held by another run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnBusy {
    /// Wait for it.
    Wait,
    /// Exit 7.
    Fail,
    /// End with success, doing nothing.
    Skip,
}

/// A failure policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// What runs ends, nothing new starts.
    Drain,
    /// As `Drain`, and the scope's running stages are stopped.
    Kill,
    /// The failure stays inside the scope.
    Continue,
    /// As `Drain`, and then what the scope has done is undone.
    Rollback,
}

/// Keys that `defaults` and a stage share. The less common of them are read through it: `common.retry`.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// `timeout` of one attempt (of the whole wait for a gate).
    pub timeout: Option<Setting<Span>>,
    /// `env`, in written order; values may be templates.
    pub env: Vec<(Spanned<Text>, Tree)>,
    /// What is seldom written.
    more: Option<Box<MoreCommon>>,
}

/// Keys of [`Common`] that few stages have.
#[derive(Clone, Debug, Default)]
pub struct MoreCommon {
    /// `idle-timeout`.
    pub idle_timeout: Option<Setting<Span>>,
    /// `queue-timeout`.
    pub queue_timeout: Option<Setting<Span>>,
    /// `stop`.
    pub stop: Option<Stop>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `shell`.
    pub shell: Option<Spanned<Shell>>,
    /// `pass-env`: names, or a prefix with `*`.
    pub pass_env: Vec<Spanned<Text>>,
    /// `cwd`, may be a template.
    pub cwd: Option<Tree>,
}

/// How to ask an attempt to stop.
#[derive(Clone, Debug)]
pub struct Stop {
    /// `signal`: INT, TERM, HUP, QUIT, USR1, USR2 or KILL.
    pub signal: Option<Spanned<Signal>>,
    /// `grace` before KILL.
    pub grace: Option<Setting<Span>>,
}

/// A signal that a stage may be stopped with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
    /// SIGHUP.
    Hup,
    /// SIGQUIT.
    Quit,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGKILL.
    Kill,
}

impl Signal {
    /// Its name, without `SIG`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Hup => "HUP",
            Self::Quit => "QUIT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Kill => "KILL",
        }
    }
}

/// Which shell runs a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shell {
    /// bash without profile, `-euo pipefail`, `inherit_errexit`.
    Strict,
    /// bash without profile, nothing set.
    Bash,
    /// `sh -e`.
    Sh,
    /// An argv that the script's path is appended to, `[python3, -u]`.
    Argv(Vec<String>),
}

/// `retry`.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Where it is written.
    pub at: Place,
    /// `max` re-tries, so one attempt more than that.
    pub max: Setting<u32>,
    /// `delay` before the first re-try; zero when absent.
    pub delay: Option<Setting<Span>>,
    /// `backoff`: each delay times this; 1 when absent.
    pub backoff: Option<Spanned<f64>>,
    /// `max-delay`.
    pub max_delay: Option<Setting<Span>>,
    /// `jitter`; false when absent.
    pub jitter: bool,
    /// `when`: what to retry; every failure when absent.
    pub when: Option<Vec<RetryWhen>>,
    /// `within`: all attempts and delays together.
    pub within: Option<Setting<Span>>,
}

/// One reason to retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RetryWhen {
    /// The attempt ran into `timeout` or `idle-timeout`.
    Timeout,
    /// Any failure.
    Failure,
    /// Killed by a signal that was not ours.
    Signal,
    /// One of these exit codes.
    Exit(Vec<i32>),
}

/// A stage, or an action (which is a stage without place in the DAG). The less common keys are read through
/// it: `stage.matrix`.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its id.
    pub id: Spanned<Text>,
    /// `needs`.
    pub needs: Vec<Need>,
    /// What it does.
    pub body: Body,
    /// Keys shared with `defaults`.
    pub common: Common,
    /// What is seldom written.
    more: Option<Box<MoreStage>>,
}

/// Keys of a [`Stage`] that few stages have.
#[derive(Clone, Debug, Default)]
pub struct MoreStage {
    /// `description`.
    pub description: Option<String>,
    /// `group`.
    pub group: Option<Spanned<Text>>,
    /// `background`.
    pub background: Option<Spanned<bool>>,
    /// `if`, a bare expression.
    pub condition: Option<Tree>,
    /// `pools`: name and weight.
    pub pools: Vec<(Spanned<Text>, Setting<u32>)>,
    /// `allow-failure`.
    pub allow_failure: AllowFailure,
    /// `idempotent`, and where it is written.
    pub idempotent: Option<Spanned<bool>>,
    /// `done-if`.
    pub done_if: Option<Command>,
    /// `lifetime`.
    pub lifetime: Option<Spanned<Lifetime>>,
    /// `outputs`.
    pub outputs: Vec<Output>,
    /// `artifacts`: globs from the stage's `cwd`.
    pub artifacts: Vec<Spanned<Text>>,
    /// `cache`.
    pub cache: Option<Cache>,
    /// `matrix`.
    pub matrix: Option<Matrix>,
    /// `shards`.
    pub shards: Option<Shards>,
    /// `on-failure` of a `uses: ./file.yaml` stage.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// `secrets`: variables, and the secrets that they hold.
    pub secrets: Vec<(Spanned<Text>, Spanned<Text>)>,
    /// `slo`.
    pub slo: Option<Slo>,
    /// `rollback`.
    pub rollback: Option<Rollback>,
    /// `heal`.
    pub heal: Vec<Remedy>,
}

/// What a stage does.
#[derive(Clone, Debug)]
pub enum Body {
    /// `run`.
    Run(Command),
    /// `uses: ./file.yaml`, with the file it resolved to.
    File {
        /// The `uses` value.
        uses: Spanned<Text>,
        /// The loaded action file: an index into `Loaded::actions`.
        action: usize,
        /// `with`: the file's inputs.
        with: Vec<(Spanned<Text>, Tree)>,
    },
    /// `uses: name` of an action of this plan.
    Action {
        /// The `uses` value.
        uses: Spanned<Text>,
        /// `with`: read as `inputs.…` by the action's body.
        with: Vec<(Spanned<Text>, Tree)>,
    },
    /// `uses: env.check` and its like: a process of the engine's own.
    Env {
        /// Where `uses` stands.
        at: Place,
        /// Which.
        verb: EnvVerb,
        /// `with`.
        with: Vec<(Spanned<Text>, Tree)>,
    },
    /// `uses: http` and its like: a gate that asks by itself.
    Gate {
        /// Where `uses` stands.
        at: Place,
        /// Its kind, one of [`crate::gate::KINDS`].
        kind: &'static str,
        /// `with`.
        with: Vec<(Spanned<Text>, Tree)>,
    },
    /// `uses: approval` and `uses: attest`.
    Approval {
        /// Where `uses` stands.
        at: Place,
        /// `with.prompt`.
        prompt: Option<Tree>,
        /// Who must agree, to what.
        asked: Box<Asked>,
    },
}

/// A process: a script or an argv.
#[derive(Clone, Debug)]
pub enum Command {
    /// A script for the shell; never interpolated.
    Script(Tree),
    /// Words; each may be a template.
    Argv(Place, Vec<Tree>),
}

/// One need.
#[derive(Clone, Debug)]
pub struct Need {
    /// The stage's id.
    pub stage: Spanned<Text>,
    /// What is asked of it besides having ended as usual.
    pub terms: Option<Box<Terms>>,
}

/// What a need asks for.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// `accept`; the default set when absent.
    pub accept: Option<Vec<Spanned<Accept>>>,
    /// `same`: matrix axes that must be equal.
    pub same: Vec<Spanned<Text>>,
}

/// A word of `accept`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accept {
    /// success, cached, allowed-failure.
    Success,
    /// skipped.
    Skipped,
    /// failed, timed-out, blocked.
    Failed,
}

/// `allow-failure`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AllowFailure {
    /// No.
    #[default]
    No,
    /// Any failure.
    Any,
    /// These exit codes.
    Exit(Vec<i32>),
}

/// `lifetime`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lifetime {
    /// Ends with its stage.
    #[default]
    Stage,
    /// Ends with its run.
    Run,
    /// Stays with the machine.
    Host,
}

impl Lifetime {
    /// The word of a plan for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Run => "run",
            Self::Host => "host",
        }
    }
}

/// `cache`.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Where it is written.
    pub at: Place,
    /// `sources`: globs from the root.
    pub sources: Vec<Spanned<Text>>,
    /// `env`: names whose values count.
    pub env: Vec<Spanned<Text>>,
}

/// `matrix`.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Where it is written.
    pub at: Place,
    /// The axes in written order; each a list or a template that gives one, or the text of `from`.
    pub axes: Vec<(Spanned<Text>, Tree)>,
    /// The axis whose values a stage gives while the plan runs, as its place in `axes`, and the most it may give.
    pub late: Option<(usize, Setting<u32>)>,
    /// `include`: more cells (maps of axis to value).
    pub include: Vec<Tree>,
    /// `exclude`: cells to leave out.
    pub exclude: Vec<Tree>,
    /// `max-parallel`.
    pub max_parallel: Option<Setting<u32>>,
    /// `on-failure`.
    pub on_failure: Option<Spanned<OnFailure>>,
}

/// `finally`.
#[derive(Clone, Debug)]
pub struct Finally {
    /// Where it is written.
    pub at: Place,
    /// `budget`, reserved inside the run's timeout.
    pub budget: Option<Setting<Span>>,
    /// Its stages.
    pub stages: Vec<Stage>,
}
