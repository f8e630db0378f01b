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
