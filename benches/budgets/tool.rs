//! Runs the engine and its peers as a user does.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::board::say;
use crate::machine::timed;

/// What a program took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// From its start to its end, seconds.
    pub(crate) wall: f64,
    /// Largest resident set of it or of one of its children, MiB.
    pub(crate) peak_mib: f64,
}

/// The engine's program, as this build made it.
pub(crate) const ENGINE: &str = env!("CARGO_BIN_EXE_engine");

/// The engine in `room`, which is its project root.
pub(crate) fn engine(room: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(ENGINE);
    command.current_dir(room).args(words);
    for (name, _) in std::env::vars_os() {
        // A setting of the user's shell would change what is measured.
        if name.to_string_lossy().starts_with("ENGINE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a new engine run of `plan`, everything before it forgotten.
pub(crate) fn run_engine(room: &Path, plan: &str, jobs: usize) -> Cost {
    forget_runs(room);
    cost(&engine(room, &["run", plan, "--output", "quiet", "-j", &jobs.to_string()]))
}

/// Removes what earlier runs left.
pub(crate) fn forget_runs(room: &Path) {
    let state = room.join(".engine");
    std::fs::remove_dir_all(&state).expect("the state folder can be removed");
    std::fs::create_dir(&state).expect("the target folder can be written");
}

/// Asks this program to run the words after it, and to print what that took.
pub(crate) const FLAG: &str = "--cost-of";

/// Runs a program to its end, which must be a success: from a small process, because a program takes the mark of the
/// largest resident set over from the memory that started it.
pub(crate) fn cost(command: &Command) -> Cost {
    let mut small = Command::new(std::env::current_exe().expect("a program knows its file"));
    small.arg(FLAG).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => small.env(name, value),
            None => small.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        small.current_dir(folder);
    }
    let output = small.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, peak_mib] = numbers[..] else {
        panic!("{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr))
    };
    Cost { wall, peak_mib }
}

/// Runs a program to its end and prints seconds and MiB; without success nothing.
pub(crate) fn run_small(words: &[String]) -> std::process::ExitCode {
    let (program, words) = words.split_first().expect("we wrote it");
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let (wall, used) = timed(|| command.spawn().and_then(wait4::Wait4::wait4));
    let used = used.unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    if !used.status.success() {
        return std::process::ExitCode::FAILURE;
    }
    #[expect(clippy::cast_precision_loss, reason = "a size in MiB needs no more than 52 bits")]
    let peak_mib = used.rusage.maxrss as f64 / (1024.0 * 1024.0);
    say(&format!("{} {peak_mib}", wall.as_secs_f64()));
    std::process::ExitCode::SUCCESS
}

/// Whether a peer is installed.
pub(crate) fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
