//! Flags of what keeps a house in order: `gc`, `schema`, `init`, `explain`, `doctor`, `completions`, `man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
    /// A file of `engine supervise`.
    Service,
}

/// `engine supervise`
#[derive(Args, Clone, Debug)]
pub struct SuperviseArgs {
    /// The service's file
    pub file: PathBuf,
    /// Only check the file
    #[arg(long, group = "instead")]
    pub check: bool,
    /// Say how the service is, as its supervisor last said; exit 4 when there is none
    #[arg(long, group = "instead")]
    pub status: bool,
    /// Ask its supervisor to stop it, and wait until it is gone
    #[arg(long, group = "instead")]
    pub stop: bool,
    /// With --status: as JSON
    #[arg(long, requires = "status")]
    pub json: bool,
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
