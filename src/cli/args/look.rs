//! Flags of what looks at plans and runs and changes nothing.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{InputArgs, SelectArgs};

/// `engine graph`
#[derive(Args, Clone, Debug)]
pub struct GraphArgs {
    /// A plan file or a run's id
    pub target: String,
    /// Inputs.
    #[command(flatten)]
    pub inputs: InputArgs,
    /// The picture's format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: GraphFormat,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Formats of a picture.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum GraphFormat {
    /// For a terminal.
    Text,
    /// Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
    /// One SVG.
    Svg,
    /// One self-contained page.
    Html,
    /// The graph as data.
    Json,
}

/// `engine check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The plans
    #[arg(required = true)]
    pub plans: Vec<PathBuf>,
    /// Inputs.
    #[command(flatten)]
    pub inputs: InputArgs,
    /// How to print what was found
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
}

/// Formats of findings.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// GitHub annotations.
    Github,
}

/// `engine status`
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// The run [default: the latest]
    pub run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine runs`
#[derive(Args, Clone, Debug)]
pub struct RunsArgs {
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine logs`
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// A run, a stage of the latest run, or `RUN STAGE`
    #[arg(num_args = 0..=2, value_names = ["RUN", "STAGE"])]
    pub what: Vec<String>,
    /// Follow until the run ends
    #[arg(short, long)]
    pub follow: bool,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// `engine diff`
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// A run
    pub a: String,
    /// Another run
    pub b: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine report`
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The run [default: the latest]
    pub run: Option<String>,
    /// The report's format
    #[arg(long, value_name = "FORMAT", default_value = "summary")]
    pub format: ReportFormat,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Formats of a report.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportFormat {
    /// Markdown.
    Summary,
    /// One self-contained page with a Gantt chart.
    Html,
    /// `JUnit` XML.
    Junit,
    /// Every event as a JSON line.
    Events,
}

/// `engine verify`
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The run [default: the latest]
    pub run: Option<String>,
    /// Compute the digests of all results, the Merkle roots and the content of artifacts again
    #[arg(long)]
    pub deep: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine simulate`
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// The plan
    pub plan: PathBuf,
    /// Inputs.
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Selection.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Attempts at once
    #[arg(short, long, env = "ENGINE_JOBS", value_name = "N")]
    pub jobs: Option<u32>,
    /// Take a stage to be slower, or faster with a factor below 1
    #[arg(long, value_name = "STAGE=2x", value_delimiter = ';')]
    pub slow: Vec<String>,
    /// Take every attempt of a stage to fail, and say what that leads to
    #[arg(long, value_name = "STAGE", value_delimiter = ';')]
    pub fail: Vec<String>,
    /// How many runs to imagine [default: 1000, fewer for large plans]
    #[arg(long, value_name = "N")]
    pub samples: Option<u32>,
    /// Decides what is drawn: the same seed, the same result
    #[arg(long, default_value = "1")]
    pub seed: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
