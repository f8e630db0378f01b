//! The `engine` binary: everything lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    engine::cli::main()
}
