//! `engine completions SHELL`

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::exit::Exit;
use super::print;

/// Prints the completion script.
pub(super) fn run(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "engine", &mut script);
    print::out(&String::from_utf8_lossy(&script));
    Exit::Success
}
