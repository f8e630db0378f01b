//! Flags of the nouns: what runs leave behind.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `engine tickets`
#[derive(Args, Clone, Debug)]
pub struct TicketsArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: TicketVerb,
}

/// What to do with tickets.
#[derive(Subcommand, Clone, Debug)]
pub enum TicketVerb {
    /// List tickets, the worst first
    List(TicketsListArgs),
    /// Show a ticket: errors, the last lines, what to do next
    Show(TicketArgs),
    /// Say that somebody looks at it
    Ack(TicketArgs),
    /// Say that it is done with; it opens again when the thing is seen again
    Close(TicketArgs),
}

/// `engine tickets list`
#[derive(Args, Clone, Debug)]
pub struct TicketsListArgs {
    /// Closed ones, too
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine tickets show|ack|close`
#[derive(Args, Clone, Debug)]
pub struct TicketArgs {
    /// Its id, or the beginning of it
    pub ticket: String,
    /// Words for the record
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine queue`
#[derive(Args, Clone, Debug)]
pub struct QueueArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: QueueVerb,
}

/// What to do with background work.
#[derive(Subcommand, Clone, Debug)]
pub enum QueueVerb {
    /// List background work of all runs: dead, running, pending, done in the last day
    List(QueueListArgs),
    /// Do what is pending: of one run, or of all, one after the other
    Drain(QueueDrainArgs),
    /// Queue work again that failed for good
    Retry(QueueRetryArgs),
}

/// `engine queue list`
#[derive(Args, Clone, Debug)]
pub struct QueueListArgs {
    /// All that was ever done or skipped, too
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine queue drain`
#[derive(Args, Clone, Debug)]
pub struct QueueDrainArgs {
    /// The run [default: all that have work left]
    pub run: Option<String>,
    /// Wait for work that other engines do, too
    #[arg(long, conflicts_with = "run")]
    pub until_empty: bool,
    /// Work no longer than this, then hand the rest over (exit 75)
    #[arg(long, value_name = "LENGTH")]
    pub timeout: Option<String>,
    /// Attempts at once
    #[arg(short, long, env = "ENGINE_JOBS", value_name = "N")]
    pub jobs: Option<u32>,
    /// Display.
    #[command(flatten)]
    pub show: super::ShowArgs,
}

/// `engine queue retry`
#[derive(Args, Clone, Debug)]
pub struct QueueRetryArgs {
    /// The run
    pub run: String,
    /// The stage
    #[arg(required_unless_present = "dead")]
    pub stage: Option<String>,
    /// All that failed for good
    #[arg(long, conflicts_with = "stage")]
    pub dead: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine slo`
#[derive(Args, Clone, Debug)]
pub struct SloArgs {
    /// A plan's path or name [default: all]
    pub plan: Option<String>,
    /// Look at so many runs of each plan, the newest
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=crate::base::limits::MAX_SLO_RUNS))]
    pub runs: usize,
    /// How many of 100 runs must be within their limit
    #[arg(long, default_value_t = 95.0, value_name = "PERCENT")]
    pub target: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine keys`
#[derive(Args, Clone, Debug)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: KeyVerb,
}

/// What to do with keys.
#[derive(Subcommand, Clone, Debug)]
pub enum KeyVerb {
    /// Make a key: the secret part goes into a new file, the public one is printed
    New {
        /// The file, which must not be there yet
        file: PathBuf,
    },
    /// Print the public part of the key in a file
    Show {
        /// The file
        file: PathBuf,
    },
}
