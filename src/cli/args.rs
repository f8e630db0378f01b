//! What the command line accepts. Every flag has an `ENGINE_…` twin.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    Approve(DecideArgs),
    /// Reject a stage that waits for a person
    Reject(DecideArgs),
    /// Say what an unknown outcome was
    Resolve(ResolveArgs),
    /// Cancel a run
    Cancel(CancelArgs),
    /// Free a lock that a run holds
    Unlock(UnlockArgs),
    /// Check that a run's record is whole, in order and unaltered
    Verify(VerifyArgs),
    /// Delete old runs and what nothing refers to
    Gc(GcArgs),
    /// Print the JSON Schema of plan files, or of the files of an environment
    Schema(SchemaArgs),
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
    /// Show what would happen, start nothing (as `engine plan`)
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
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_RERUN")]
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
    /// Run these stages and all that depends on them again
    #[arg(long, value_name = "STAGE", value_delimiter = ';', env = "ENGINE_RERUN")]
    pub rerun: Vec<String>,
    /// Go on with the edited plan
    #[arg(long, env = "ENGINE_ACCEPT_CHANGES", conflicts_with = "recorded")]
    pub accept_changes: bool,
    /// Go on with the plan as it was recorded, whatever the files say now
    #[arg(long, env = "ENGINE_RECORDED")]
    pub recorded: bool,
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
    /// Show what `engine resume RUN` would do
    #[arg(long, value_name = "RUN", conflicts_with = "plan")]
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

/// `engine verify`
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The run [default: the latest]
    pub run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine gc`
#[derive(Args, Clone, Debug)]
pub struct GcArgs {
    /// Keep the newest so many runs
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub keep: usize,
    /// Keep runs younger than this
    #[arg(long, default_value = "7d", value_name = "AGE")]
    pub younger: String,
    /// Say what would go, delete nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine schema`
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// Of what
    #[arg(default_value = "plan")]
    pub file: SchemaOf,
}

/// What has a schema.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum SchemaOf {
    /// A plan.
    Plan,
    /// A layer of values, `environments/staging.yaml`.
    Environment,
    /// `environments/catalog.yaml`.
    Catalog,
    /// `environments/exceptions.yaml`.
    Exceptions,
}

/// `engine init`
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// Where to write
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Write TOML instead of YAML
    #[arg(long)]
    pub toml: bool,
}

/// `engine explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The code, `plan::unknown-stage`; all codes when left out
    pub code: Option<String>,
}

/// `engine doctor`
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine completions`
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `engine man`
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Write one page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
