//! What the command line accepts: the verbs here, their flags in one file for each kind of verb. Every flag has an
//! `ENGINE_…` twin.

mod act;
mod gate;
mod look;
mod nouns;
mod run;
mod tool;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::env::args::EnvArgs;
pub use act::{AttestArgs, CancelArgs, DecideArgs, PauseArgs, ResolveArgs, ResolveAs, RollbackArgs, UnlockArgs};
pub use gate::{GateArgs, GateVerb, ProbeArgs, ReplayArgs};
pub use look::{
    CheckArgs, CheckFormat, DiffArgs, GraphArgs, GraphFormat, LogsArgs, ReportArgs, ReportFormat, RunsArgs,
    SimulateArgs, StatusArgs, VerifyArgs,
};
pub use nouns::{
    KeyVerb, KeysArgs, QueueArgs, QueueDrainArgs, QueueListArgs, QueueRetryArgs, QueueVerb, SloArgs, TicketArgs,
    TicketVerb, TicketsArgs, TicketsListArgs,
};
pub use run::{CiArgs, CiHost, InputArgs, MergeArgs, Output, PlanArgs, ResumeArgs, RunArgs, SelectArgs, ShowArgs};
pub use tool::{
    CompletionsArgs, DoctorArgs, ExplainArgs, GcArgs, InitArgs, ManArgs, SchemaArgs, SchemaOf, SuperviseArgs,
};

/// A declarative deploy-pipeline engine.
#[derive(Parser, Debug)]
#[command(name = "engine", version, about, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Where runs are kept [default: .engine at the project's root]
    #[arg(long, global = true, env = "ENGINE_STATE_DIR", value_name = "DIR", help_heading = "Global options")]
    pub state_dir: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        env = "ENGINE_COLOR",
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub color: When,
    /// Say more of what the engine itself does (-vv for everything), on standard error
    #[arg(short, long, global = true, env = "ENGINE_VERBOSE", action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, env = "ENGINE_QUIET", help_heading = "Global options")]
    pub quiet: bool,
}

/// One of the two verbs that are started most, by itself: describing every verb with all its flags takes as long as starting
/// the program, and describing the other of the two a fifth of that.
#[derive(Parser)]
#[command(name = "engine")]
struct Alone<A: Args> {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    args: A,
}

impl Cli {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// What is wrong with them, or what was asked for instead of a command, to be printed.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        // Whatever is wrong is told by those who know all verbs.
        let alone = Doing::asked(words).and_then(|verb| match verb {
            Doing::Run => alone(words, Verb::Run),
            Doing::Resume => alone(words, Verb::Resume),
        });
        alone.map_or_else(|| Self::try_parse_from(words), Ok)
    }
}

/// A verb that does the work of a plan.
#[derive(Clone, Copy)]
pub(super) enum Doing {
    Run,
    Resume,
}

impl Doing {
    /// The one that the words of a command line begin with.
    pub(super) fn asked(words: &[OsString]) -> Option<Self> {
        match words.get(1)?.to_str()? {
            "run" => Some(Self::Run),
            "resume" => Some(Self::Resume),
            _ => None,
        }
    }
}

/// The command line of a verb with the flags `A`, if nothing is wrong with it.
fn alone<A: Args>(words: &[OsString], verb: fn(A) -> Verb) -> Option<Cli> {
    let words = words.iter().take(1).chain(words.iter().skip(2));
    let Alone { global, args } = Alone::<A>::try_parse_from(words).ok()?;
    Some(Cli { global, verb: verb(args) })
}

/// When to use colour.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run a plan
    Run(RunArgs),
    /// Continue a run: after a crash, a cancel, an approval, a fixed failure
    Resume(ResumeArgs),
    /// Show what a run would do: waves, critical path, attempts, worst case. Starts nothing
    Plan(PlanArgs),
    /// Imagine runs of a plan: the real scheduler on what earlier runs took. Starts nothing
    Simulate(SimulateArgs),
    /// Join the runs of `run --shard` to one
    Merge(MergeArgs),
    /// Print a CI job that works on a plan in parts
    Ci(CiArgs),
    /// Draw a plan or a run
    Graph(GraphArgs),
    /// Check plans completely without running anything; all errors at once
    Check(CheckArgs),
    /// Show how a run stands
    Status(StatusArgs),
    /// List runs, newest first
    Runs(RunsArgs),
    /// Print what stages printed
    Logs(LogsArgs),
    /// Compare two runs
    Diff(DiffArgs),
    /// Write a report of a run
    Report(ReportArgs),
    /// Approve a stage that waits for a person
    #[command(override_usage = "engine approve [OPTIONS] [RUN] <STAGE>")]
    Approve(DecideArgs),
    /// Reject a stage that waits for a person
    #[command(override_usage = "engine reject [OPTIONS] [RUN] <STAGE>")]
    Reject(DecideArgs),
    /// Answer each item of a checklist that waits for a person
    #[command(override_usage = "engine attest [OPTIONS] --answer <ITEM=ANSWER> [RUN] <STAGE>")]
    Attest(AttestArgs),
    /// Say what an unknown outcome was
    #[command(override_usage = "engine resolve [OPTIONS] --as <OUTCOME> [RUN] <STAGE>")]
    Resolve(ResolveArgs),
    /// Cancel a run
    Cancel(CancelArgs),
    /// Undo what a run has done, or go back to a good run
    Rollback(RollbackArgs),
    /// Hold a run: what runs goes on, nothing new starts
    Pause(PauseArgs),
    /// Let a paused run go on
    Unpause(PauseArgs),
    /// Free a lock that a run holds
    Unlock(UnlockArgs),
    /// How often objectives were met, and what is left of their error budget
    Slo(SloArgs),
    /// Background work: what is pending, running, dead; do it, or try it again
    Queue(QueueArgs),
    /// What runs left for somebody to look at
    Tickets(TicketsArgs),
    /// Make and show the keys that approvals are signed with
    Keys(KeysArgs),
    /// Check that a run's record is whole, in order and unaltered
    Verify(VerifyArgs),
    /// Delete old runs and what nothing refers to
    Gc(GcArgs),
    /// Print the JSON Schema of plan files, or of the files of an environment
    Schema(SchemaArgs),
    /// Check, render, compare and explain environments
    Env(EnvArgs),
    /// Try a gate by hand, or compute a verdict again from what it saw
    Gate(GateArgs),
    /// Keep a service running: start it, watch it, start it again, stop it
    Supervise(SuperviseArgs),
    /// Write a small plan that runs
    Init(InitArgs),
    /// Explain an error code
    Explain(ExplainArgs),
    /// Look for what is wrong with this machine or project
    Doctor(DoctorArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print or write the manual pages
    Man(ManArgs),
}
