//! Flags of what runs a plan, or says what that would do: `run`, `resume`, `plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Values for inputs.
#[derive(Args, Clone, Debug, Default)]
pub struct InputArgs {
    /// Set an input
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Read inputs from a YAML, TOML or JSON file
    #[arg(long, env = "ENGINE_INPUTS", value_name = "FILE")]
    pub inputs: Vec<PathBuf>,
}

/// Which stages.
#[derive(Args, Clone, Debug, Default)]
pub struct SelectArgs {
    /// Only these stages, nothing they need
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_ONLY")]
    pub only: Vec<String>,
    /// All but these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_SKIP")]
    pub skip: Vec<String>,
    /// These stages and all that depends on them
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_FROM")]
    pub from: Vec<String>,
    /// These stages and all that they need
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_TO")]
    pub to: Vec<String>,
}

/// What a live run shows and leaves.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// How to show the run
    #[arg(long, env = "ENGINE_OUTPUT_MODE", value_name = "HOW", default_value = "auto")]
    pub output: Output,
    /// Write reports when the run ends: `junit=F`, `html=F`, `summary` or `summary=F`
    #[arg(long, env = "ENGINE_REPORT", value_name = "KIND=FILE", value_delimiter = ',')]
    pub report: Vec<String>,
    /// Write every event to a file as JSON lines
    #[arg(long, env = "ENGINE_EVENTS", value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Never ask anything
    #[arg(long, env = "ENGINE_NO_INPUT")]
    pub no_input: bool,
    /// Answer yes to every question, approvals included
    #[arg(long, env = "ENGINE_YES")]
    pub yes: bool,
}

/// How a live run is shown.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// A live view on a terminal, lines for the CI host otherwise.
    Auto,
    /// A live view.
    Tty,
    /// Plain lines.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing but what went wrong.
    Quiet,
}

/// `engine run`
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The plan
    pub plan: PathBuf,
    /// Inputs.
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Selection.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Display.
    #[command(flatten)]
    pub show: ShowArgs,
    /// Show what would happen, start nothing (as `engine plan`; with --resume as `engine plan --resume`)
    #[arg(short = 'n', long, env = "ENGINE_DRY_RUN")]
    pub dry_run: bool,
    /// Attempts at once
    #[arg(short, long, env = "ENGINE_JOBS", value_name = "N")]
    pub jobs: Option<u32>,
    /// Go on with what does not depend on a failure (`on-failure: continue` for the plan)
    #[arg(short, long, env = "ENGINE_KEEP_GOING")]
    pub keep_going: bool,
    /// Continue the unfinished run of the same plan, inputs and key, if there is one
    #[arg(long, env = "ENGINE_RESUME")]
    pub resume: bool,
    /// With --resume: run these stages and all that depends on them again
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_RERUN", requires = "resume")]
    pub rerun: Vec<String>,
    /// With --resume: go on with the edited plan
    #[arg(long, env = "ENGINE_ACCEPT_CHANGES")]
    pub accept_changes: bool,
    /// What tells this run from others of the same plan and inputs [default: the git commit]
    #[arg(long, env = "ENGINE_KEY")]
    pub key: Option<String>,
    /// The run's id [default: made from the time]
    #[arg(long, env = "ENGINE_SET_RUN_ID", value_name = "ID")]
    pub run_id: Option<String>,
    /// Work on one of several parts of every sharded stage, `3/12`, and on what these stages need
    #[arg(long, env = "ENGINE_SHARD_PART", value_name = "I/N")]
    pub shard: Option<String>,
    /// Work no longer than this: start only what is known to fit, then hand the rest over (exit 75)
    #[arg(long, env = "ENGINE_TIME_BOX", value_name = "LENGTH")]
    pub time_box: Option<String>,
    /// Override the policy of the environment, and say why: its approvals, its freezes; recorded, with a ticket
    #[arg(long, env = "ENGINE_BREAK_GLASS", value_name = "REASON")]
    pub break_glass: Option<String>,
    /// Leave background work to the next engine: end with the verdict
    #[arg(long, env = "ENGINE_NO_WAIT")]
    pub no_wait: bool,
    /// Decides the jitter of delays [default: from the run's id]
    #[arg(long, env = "ENGINE_SEED")]
    pub seed: Option<u64>,
}

/// `engine resume`
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// The run [default: the newest unfinished one]
    pub run: Option<String>,
    /// Display.
    #[command(flatten)]
    pub show: ShowArgs,
    /// Attempts at once
    #[arg(short, long, env = "ENGINE_JOBS", value_name = "N")]
    pub jobs: Option<u32>,
    /// As `run --time-box`
    #[arg(long, env = "ENGINE_TIME_BOX", value_name = "LENGTH")]
    pub time_box: Option<String>,
    /// Run these stages and all that depends on them again
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_RERUN")]
    pub rerun: Vec<String>,
    /// Go on with the edited plan
    #[arg(long, env = "ENGINE_ACCEPT_CHANGES", conflicts_with = "recorded")]
    pub accept_changes: bool,
    /// Go on with the plan as it was recorded, whatever the files say now
    #[arg(long, env = "ENGINE_RECORDED")]
    pub recorded: bool,
    /// Override the policy of the environment, and say why: its approvals, its freezes; recorded, with a ticket
    #[arg(long, env = "ENGINE_BREAK_GLASS", value_name = "REASON")]
    pub break_glass: Option<String>,
    /// Leave background work to the next engine
    #[arg(long, env = "ENGINE_NO_WAIT")]
    pub no_wait: bool,
    /// Let a paused run go on (as `engine unpause`)
    #[arg(long, env = "ENGINE_UNPAUSE")]
    pub unpause: bool,
    /// Undo it, by the `rollback` verb.
    #[arg(skip)]
    pub undo: bool,
    /// Only its background, by `queue drain`.
    #[arg(skip)]
    pub drains: bool,
}

/// `engine plan`
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The plan
    #[arg(required_unless_present = "resume")]
    pub plan: Option<PathBuf>,
    /// Inputs.
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Selection.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Attempts at once
    #[arg(short, long, env = "ENGINE_JOBS", value_name = "N")]
    pub jobs: Option<u32>,
    /// As `run -k`
    #[arg(short, long, env = "ENGINE_KEEP_GOING")]
    pub keep_going: bool,
    /// Show what `engine resume` would do, of this run or of the newest unfinished one
    #[arg(long, value_name = "RUN", conflicts_with = "plan", num_args = 0..=1, default_missing_value = "")]
    pub resume: Option<String>,
    /// With --resume: as `resume --rerun`
    #[arg(long, value_name = "STAGE", value_delimiter = ';', requires = "resume")]
    pub rerun: Vec<String>,
    /// With --resume: as `resume --recorded`
    #[arg(long, requires = "resume")]
    pub recorded: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine merge`
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// The state directories of all parts
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// The joined run's id, even if another run joins the same parts already [default: made from the time]
    #[arg(long, env = "ENGINE_SET_RUN_ID", value_name = "ID")]
    pub run_id: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine ci`
#[derive(Args, Clone, Debug)]
pub struct CiArgs {
    /// Where the job runs
    pub host: CiHost,
    /// The plan
    pub plan: PathBuf,
    /// Into how many parts
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub parts: u32,
}

/// CI hosts that a job can be printed for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum CiHost {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Buildkite.
    Buildkite,
}
