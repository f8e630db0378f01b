//! What `engine env` accepts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::driver::surroundings;

/// `engine env`
#[derive(Args, Clone, Debug)]
pub struct EnvArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: EnvVerb,
}

/// The verbs of `engine env`.
#[derive(Subcommand, Clone, Debug)]
pub enum EnvVerb {
    /// Check environments: types, patterns, what is required, secrets and their age, checksums, ports, what git tracks
    Check(CheckArgs),
    /// Render an environment's files: all or none, each read back to prove that it says what was meant
    Render(RenderArgs),
    /// Show what rendering would change, and what was changed on this machine since
    Diff(DiffArgs),
    /// Compare two environments of one folder
    Parity(ParityArgs),
    /// Say where values come from: file, line and layer
    Explain(ExplainArgs),
    /// Write a catalog to review from a `.env.example`
    Import(ImportArgs),
}

/// `engine env check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The environments, like `staging` or `router/staging`
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Only what the files say: fetch no secret, look at no port, ask git nothing
    #[arg(long)]
    pub declared: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Of a stage.
    #[command(flatten)]
    pub stage: StageArgs,
}

/// `engine env render`
#[derive(Args, Clone, Debug)]
pub struct RenderArgs {
    /// The environment
    pub name: String,
    /// Only this file of the environment; all when left out
    #[arg(long, value_name = "NAME")]
    pub file: Vec<String>,
    /// Another place: a path for one file, a folder for several
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,
    /// Render and check, write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Of a stage.
    #[command(flatten)]
    pub stage: StageArgs,
}

/// `engine env diff`
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// The environment
    pub name: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Of a stage.
    #[command(flatten)]
    pub stage: StageArgs,
}

/// `engine env parity`
#[derive(Args, Clone, Debug)]
pub struct ParityArgs {
    /// The environment
    pub name: String,
    /// The other one, of the same folder [default: what the policy says]
    pub with: Option<String>,
    /// The share that must not be reached [default: what the policy says, else 5%]
    #[arg(long, value_name = "SHARE")]
    pub max_drift: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Of a stage.
    #[command(flatten)]
    pub stage: StageArgs,
}

/// `engine env explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// An environment, and keys of it; all keys and the policy when none is named
    #[arg(required = true, value_name = "ENV|KEY")]
    pub what: Vec<String>,
    /// The environment, if it does not stand among them
    #[arg(long, value_name = "ENV")]
    pub env: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `engine env import`
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The file, usually `.env.example`
    pub file: PathBuf,
    /// Write into `environments/FOLDER` instead of `environments`
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<String>,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
}

/// What only the engine says, when a stage uses a built-in action.
#[derive(Args, Clone, Debug, Default)]
pub struct StageArgs {
    /// The digest that the environment's files had when the run was made
    #[arg(long, hide = true)]
    pub files_digest: Option<String>,
    /// Write output values to `$ENGINE_OUTPUT`
    #[arg(long, hide = true)]
    pub outputs: bool,
    /// An engine started this, and sees to its end
    #[arg(long, hide = true)]
    pub stage: bool,
    /// What the platform gave when the run was made
    #[arg(long, hide = true, value_name = "KEY=VALUE")]
    pub platform: Vec<String>,
}

impl StageArgs {
    /// A value that the platform gives; a stage hears what was given when its run was made, and nothing else.
    pub(super) fn platform(&self, key: &str) -> Option<String> {
        if !self.stage {
            return surroundings::variable(key);
        }
        let mut given = self.platform.iter().filter_map(|pair| pair.split_once('='));
        given.find(|(name, _)| *name == key).map(|(_, text)| text.to_owned())
    }
}
