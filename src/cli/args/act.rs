//! Flags of what a person tells a run.

use clap::{Args, ValueEnum};

/// `engine approve`, `engine reject`
#[derive(Args, Clone, Debug)]
pub struct DecideArgs {
    /// A stage of the latest unfinished run, or `RUN STAGE`
    #[arg(num_args = 1..=2, value_names = ["RUN", "STAGE"])]
    pub what: Vec<String>,
    /// Words for the record
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine resolve`
#[derive(Args, Clone, Debug)]
pub struct ResolveArgs {
    /// The run
    pub run: String,
    /// The stage
    pub stage: String,
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
    /// Print JSON
    #[arg(long)]
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
