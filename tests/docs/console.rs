//! `console` blocks: `$ command`, `> ` for its further lines, then what it prints. A line `…` stands for any lines.
//!
//! All blocks of a document run in one shell, one after the other, in a copy of the repository's plans. What
//! varies (run ids, times, process ids) is compared by its place only; of a live run, whose stages print side by
//! side, the order of lines does not count.

use std::fmt::{Arguments, Write as _};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;

use super::markdown::{self, blocks};
use super::support::{Live, Project};

/// Told only when a resume was faster than the dead engine's other process, which ends the same processes.
const RACY: &str = "note: ended what the dead engine left running";

struct Step {
    command: String,
    shown: Vec<String>,
    line: usize,
}

/// Marks the end of a command's output, before its exit code.
const END: &str = "-- end of step, exit";

fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(document).into_iter().filter(|block| block.info == "console") {
        let mut is_command = false;
        for (number, line) in (block.line + 1..).zip(block.text.lines()) {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: command.to_owned(), shown: Vec::new(), line: number });
                is_command = true;
                continue;
            }
            let step = steps.last_mut().expect("a block begins with a command");
            match line.strip_prefix('>').filter(|_| is_command) {
                Some(more) => {
                    step.command.push('\n');
                    step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                None => {
                    is_command = false;
                    step.shown.push(line.to_owned());
                }
            }
        }
    }
    steps
}

/// What the documents' commands become here: the engine under test for `cargo run`, and a kill at the line after
/// which the document shows it (`$SHOWN_LAST`), however long a busy machine takes to get there.
const STAND_INS: &str = r#"exec 2>&1
cargo() { while [ "$1" != -- ]; do shift; done; shift; engine "$@"; }
timeout() {
  [ "$1 $2" = '-s KILL' ] || { command timeout "$@"; return; }
  shift 3
  coproc TOLD { exec "$@" 2>&1; }
  local pid=$TOLD_PID line
  exec {told}<&"${TOLD[0]}"
  while IFS= read -r line <&"$told"; do
    echo "$line"
    [ "$line" != "$SHOWN_LAST" ] || kill -KILL "$pid"
  done
  exec {told}<&-
  wait "$pid" 2>/dev/null || echo Killed
}
"#;

/// Runs all steps in one shell and gives what each printed.
fn run(steps: &[Step], project: &Project, home: &Path) -> Vec<Vec<String>> {
    let mut script = String::from(STAND_INS);
    for step in steps {
        if let [.., last, killed] = &step.shown[..]
            && killed == "Killed"
        {
            put(&mut script, format_args!("SHOWN_LAST='{last}'\n"));
        }
        put(&mut script, format_args!("{}\necho \"{END} $?\"\n", step.command));
    }
    fs::write(home.join("steps.sh"), script).expect("a script");
    let mut command = Command::new("bash");
    let binary = Path::new(env!("CARGO_BIN_EXE_engine")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("tests have a PATH");
    command.arg(home.join("steps.sh")).current_dir(project.path(".")).env_clear().stdin(Stdio::null());
    command.env("PATH", format!("{}:{path}", binary.display())).env("HOME", home);
    command.env("USER", "ann").env("LANG", "C.UTF-8");
    let printed = Live::start(command).end().stdout;
    let mut found = vec![Vec::new()];
    for line in printed.lines() {
        if line.starts_with(END) {
            found.push(Vec::new());
        } else if !line.starts_with(RACY) {
            found.last_mut().expect("never empty").push(line.to_owned());
        }
    }
    found.pop();
    assert_eq!(found.len(), steps.len(), "the shell ended early\n{printed}");
    found
}

/// Appends to a text.
pub(crate) fn put(text: &mut String, more: Arguments<'_>) {
    text.write_fmt(more).expect("a String takes everything");
}

/// What varies between two runs of the same command.
pub(crate) fn redact(line: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d \+00:00)?", "MOMENT"),
            (r"by (uid \d+|\w+)@[\w.-]+", "by WHO"),
            (r"\b\d+ \((\w+)\)", "PID ($1)"),
            (r".*Killed.*", "Killed"),
            (r"(\d+(\.\d+)?(ms|s|m|h))+\b", "TIME"),
            (r"[0-9a-f]{64}", "DIGEST"),
            (r" {2,}", "  "),
        ];
        rules.map(|(rule, with)| (Regex::new(rule).expect("a rule"), with)).into()
    });
    let mut line = line.trim_end().to_owned();
    for (rule, with) in RULES.iter() {
        line = rule.replace_all(&line, *with).into_owned();
    }
    line
}

/// Whether what was printed is what is shown, `…` standing for anything.
fn agrees(shown: &[String], printed: &[String], has_order: bool) -> bool {
    let is_partial = shown.iter().any(|line| line.trim() == "…");
    if has_order {
        let mut rest = printed;
        for (nth, part) in shown.split(|line| line.trim() == "…").enumerate() {
            let found = match nth {
                0 => rest.starts_with(part).then_some(0),
                _ => (0..=rest.len()).find(|from| rest[*from..].starts_with(part)),
            };
            let Some(from) = found else { return false };
            rest = &rest[from + part.len()..];
        }
        return rest.is_empty() || shown.last().is_some_and(|line| line.trim() == "…");
    }
    let mut left: Vec<&String> = printed.iter().collect();
    for line in shown.iter().filter(|line| line.trim() != "…") {
        let Some(at) = left.iter().position(|one| *one == line) else { return false };
        left.remove(at);
    }
    is_partial || left.is_empty()
}

#[track_caller]
pub(crate) fn check(document: &str) {
    let project = repository();
    let home = tempfile::tempdir().expect("a home");
    let steps = steps(&markdown::read(document));
    assert!(!steps.is_empty(), "{document} shows commands");
    let printed = run(&steps, &project, home.path());
    let mut wrong = String::new();
    for (step, printed) in steps.iter().zip(printed) {
        let is_live = step.command.contains("run ") || step.command.contains("resume");
        let redacted = |lines: &[String]| -> Vec<String> { lines.iter().map(|line| redact(line)).collect() };
        if !agrees(&redacted(&step.shown), &redacted(&printed), !is_live) {
            put(
                &mut wrong,
                format_args!("\n{document}:{}: $ {}\n{}\n", step.line, step.command, printed.join("\n")),
            );
        }
    }
    assert!(wrong.is_empty(), "these print something else now:\n{wrong}");
}

/// A copy of what the documents' commands work on.
pub(crate) fn repository() -> Project {
    let project = Project::new();
    for folder in ["plans", "examples"] {
        project.bring(folder);
    }
    project
}

#[test]
fn the_way_from_an_example_to_checked_environments_goes_as_it_is_told() {
    check("docs/environments.md");
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    check("README.md");
}

#[test]
fn the_commands_of_operations_print_what_it_shows() {
    check("docs/operations.md");
}

#[test]
fn the_commands_of_gates_print_what_it_shows() {
    check("docs/gates.md");
}

#[test]
fn the_commands_of_rollback_print_what_it_shows() {
    check("docs/rollback.md");
}

#[test]
fn the_comparison_sees_a_difference() {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    assert!(agrees(&lines("a\n…\nc"), &lines("a\nb\nc"), true));
    assert!(!agrees(&lines("a\n…\nd"), &lines("a\nb\nc"), true));
    assert!(!agrees(&lines("a\nc"), &lines("a\nb\nc"), true));
    assert!(!agrees(&lines("b\na"), &lines("a\nb"), true));
    assert!(agrees(&lines("b\na"), &lines("a\nb"), false));
    assert!(!agrees(&lines("b"), &lines("a\nb"), false));
    assert_eq!(redact("run 20261121-051030-03cd  in 1.5s"), "run RUN  in TIME");
}

#[test]
fn the_two_commands_of_the_readme_exist() {
    let readme = markdown::read("README.md");
    assert!(readme.contains("cargo run --release -- run plans/site.yaml"));
    assert!(readme.contains("tests/run"));
    let script = fs::metadata(markdown::root().join("tests/run")).expect("the script");
    assert!(std::os::unix::fs::PermissionsExt::mode(&script.permissions()) & 0o111 != 0, "it can be run");
}
