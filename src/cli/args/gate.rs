//! `engine gate`.

use clap::{Args, Subcommand};

/// `engine gate`
#[derive(Args, Clone, Debug)]
pub struct GateArgs {
    /// What
    #[command(subcommand)]
    pub verb: GateVerb,
}

/// What `engine gate` does.
#[derive(Subcommand, Clone, Debug)]
pub enum GateVerb {
    /// Ask until there is a verdict: 0 it passes, 1 it fails, 5 a person decides
    Probe(ProbeArgs),
    /// Compute the verdict of a stage again from the samples that it kept
    Replay(ReplayArgs),
}

/// `engine gate probe`
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// The kind of gate: http, tcp, command, file, prometheus, log, soak, watch, canary, burn-rate
    pub kind: String,
    /// The keys of its `with`, deeper ones with dots: `--url http://… --expect.status 200`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--KEY VALUE")]
    pub settings: Vec<String>,
}

/// `engine gate replay`
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// The run
    pub run: String,
    /// The stage
    pub stage: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
