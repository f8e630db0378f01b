//! Flags of what a person tells a run.

use clap::{Args, ValueEnum};

/// `engine approve`, `engine reject`
#[derive(Args, Clone, Debug)]
pub struct DecideArgs {
    /// A stage of the latest unfinished run, or `RUN STAGE`
    #[arg(required = true, num_args = 1..=2, value_name = "STAGE")]
    pub what: Vec<String>,
    /// Words for the record
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Only if the run goes by this plan with these inputs: its digest, as `status --json` tells it
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<String>,
    /// Sign with the key in this file, where the policy of the environment names keys
    #[arg(long, value_name = "FILE", env = "ENGINE_SIGN_WITH")]
    pub sign_with: Option<std::path::PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine attest`
#[derive(Args, Clone, Debug)]
pub struct AttestArgs {
    /// A stage of the latest unfinished run, or `RUN STAGE`
    #[arg(required = true, num_args = 1..=2, value_name = "STAGE")]
    pub what: Vec<String>,
    /// What is so of an item: `docs=yes`, `tests='no, two are red'`
    #[arg(short = 'a', long = "answer", value_name = "ITEM=ANSWER", required = true)]
    pub answers: Vec<String>,
    /// Words for the record
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Only if the run goes by this plan with these inputs: its digest, as `status --json` tells it
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<String>,
    /// Sign with the key in this file, where the policy of the environment names keys
    #[arg(long, value_name = "FILE", env = "ENGINE_SIGN_WITH")]
    pub sign_with: Option<std::path::PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine resolve`
#[derive(Args, Clone, Debug)]
pub struct ResolveArgs {
    /// A stage of the latest unfinished run, or `RUN STAGE`
    #[arg(required = true, num_args = 1..=2, value_name = "STAGE")]
    pub what: Vec<String>,
    /// What its outcome was
    #[arg(long = "as", value_name = "OUTCOME")]
    pub outcome: ResolveAs,
    /// Words for the record
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What an unknown outcome was.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResolveAs {
    /// It had succeeded.
    Success,
    /// It had failed.
    Failed,
    /// Run it again.
    Rerun,
}

/// `engine cancel`
#[derive(Args, Clone, Debug)]
pub struct CancelArgs {
    /// The run [default: the latest]
    pub run: Option<String>,
    /// Kill what runs and skip the clean-up
    #[arg(long)]
    pub now: bool,
    /// Undo what the run has done before it ends
    #[arg(long, conflicts_with = "now")]
    pub rollback: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine rollback`
#[derive(Args, Clone, Debug)]
pub struct RollbackArgs {
    /// The run whose stages are undone [default: the latest]
    #[arg(conflicts_with_all = ["list", "to"])]
    pub run: Option<String>,
    /// List the good runs that can be gone back to, newest first
    #[arg(long, conflicts_with_all = ["to", "drill"])]
    pub list: bool,
    /// Run the recorded plan of a good run again, with its inputs and its artifacts
    #[arg(long, value_name = "POINT", conflicts_with = "drill")]
    pub to: Option<String>,
    /// Rehearse it: run this plan, roll it back, verify, run it again
    #[arg(long, value_name = "PLAN", conflicts_with = "run")]
    pub drill: Option<std::path::PathBuf>,
    /// A plan that is run between the rollback and the second run of a drill
    #[arg(long, value_name = "PLAN", requires = "drill")]
    pub verify: Option<std::path::PathBuf>,
    /// Input values of a drill
    #[command(flatten)]
    pub inputs: super::InputArgs,
    /// How the run is shown
    #[command(flatten)]
    pub show: super::ShowArgs,
    /// Print JSON, with `--list`
    #[arg(long, requires = "list")]
    pub json: bool,
}

/// `engine pause`, `engine unpause`
#[derive(Args, Clone, Debug)]
pub struct PauseArgs {
    /// The run [default: the latest unfinished one]
    pub run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine unlock`
#[derive(Args, Clone, Debug)]
pub struct UnlockArgs {
    /// The lock
    pub name: String,
    /// Why it may be freed, for the record
    #[arg(long)]
    pub reason: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
