//! What a machine can check of how this project is built: layers, purity, sizes, limits, essays, words.
//!
//! Exceptions stand in lists here, each with its reason, and the lists may only shrink: an exception that is not
//! needed any more fails the test that allows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rooms by layer: a room uses rows below its own, never above, never a sibling.
const LAYERS: [&[&str]; 9] = [
    &["base"],
    &["gate"],
    &["plan", "render"],
    &["graph"],
    &["run"],
    &["journal", "exec", "report"],
    &["driver"],
    &["server"],
    &["cli"],
];

/// Files longer than [`FILE_LINES`]: how long they may be, and why.
const LONG_FILES: [(&str, usize, &str); 0] = [];

/// Functions longer than [`FUNCTION_LINES`].
const LONG_FUNCTIONS: [(&str, &str, usize, &str); 1] = [(
    "src/plan/syntax/tests/yaml.rs",
    "yaml_values_in_words",
    72,
    "a list of texts and one picture of all their faults",
)];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// What may lie at the top.
const TOP: [&str; 21] = [
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "build.rs",
    "clippy.toml",
    "deny.toml",
    "docs",
    "environments",
    "examples",
    "fuzz",
    "plans",
    "proptest-regressions",
    "rustfmt.toml",
    "src",
    "templates",
    "tests",
];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The room a file of `src/` belongs to.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let (room, _) = inside.split_once('/')?;
        Some(room)
    }

    /// Whether all of it is tests.
    fn is_test(&self) -> bool {
        let names: Vec<&str> = self.path.split('/').collect();
        !self.path.starts_with("src/")
            || names.iter().any(|name| matches!(*name, "tests" | "tests.rs" | "screen_tests.rs"))
    }

    /// The lines before its tests, numbered from 1, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        numbered
            .take_while(|(_, line)| *line != "mod tests {")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| (at, line.split(" // ").next().unwrap_or(line)))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is under version control or would be, from the root.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    let names: Vec<String> =
        text.lines().map(str::to_owned).filter(|name| root().join(name).symlink_metadata().is_ok()).collect();
    assert!(names.len() > 100, "the tree is there");
    names
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sources() -> Vec<Source> {
    let names = files().into_iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "rs"));
    names.map(|path| Source { text: read(&path), path }).collect()
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a piece of code names by `crate::…`, also in braces.
fn rooms_used(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let named: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or(list).split(',').collect(),
            None => vec![rest],
        };
        let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rooms.extend(named.into_iter().map(word));
    }
    rooms
}

fn assert_none(faults: &[String], law: &str) {
    assert!(faults.is_empty(), "{law}:\n  {}", faults.join("\n  "));
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    let mut faults = Vec::new();
    let mut edges = BTreeSet::new();
    for source in sources() {
        let Some(room) = source.room() else { continue };
        let own = layer(room).unwrap_or_else(|| panic!("room `{room}` has no layer"));
        let code: Vec<_> = if source.is_test() { Vec::new() } else { source.code().collect() };
        for (at, line) in code {
            for used in rooms_used(line) {
                let Some(below) = layer(&used).filter(|_| used != room) else { continue };
                edges.insert((room.to_owned(), used.clone()));
                // Values of the language are `render`'s, and `plan` reads them.
                if below >= own && (room, &*used) != ("plan", "render") {
                    faults.push(format!("{}:{at}: `{room}` uses `{used}`", source.path));
                }
            }
        }
    }
    assert_none(&faults, "a room uses rows below its own, never above, never a sibling");
    assert!(edges.contains(&("driver".to_owned(), "journal".to_owned())), "the reader of paths still works");
}

#[test]
fn the_core_knows_no_machine() {
    let banned = [
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "std::net",
        "std::time::Instant",
        "std::time::SystemTime",
        "Instant::now",
        "tokio",
        "rand::",
        "rustix",
        "thread_local!",
        "static mut",
    ];
    let mut faults = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| matches!(source.room(), Some("base" | "gate" | "graph" | "run" | "render")))
    {
        if source.is_test() {
            continue;
        }
        // minijinja writes what it renders through this trait, into a bounded buffer in memory.
        let is_buffer = |word: &str| source.path == "src/render/files.rs" && word == "std::io";
        for (at, line) in source.code() {
            let found = banned.iter().find(|word| line.contains(*word) && !is_buffer(word));
            faults.extend(found.map(|word| format!("{}:{at}: {word}", source.path)));
            // The order of iteration is behaviour: maps there are ordered or dense.
            if source.room() == Some("run") && (line.contains("HashMap") || line.contains("HashSet")) {
                faults.push(format!("{}:{at}: an unordered map", source.path));
            }
        }
    }
    assert_none(&faults, "base, render, graph and run are functions of what they are given");
}

#[test]
fn only_the_ports_ask_what_time_it_is() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("src/") && !source.is_test()) {
        if source.path == "src/driver/ports.rs" || source.room() == Some("exec") {
            continue;
        }
        let asks =
            |line: &str| ["Instant::now", "SystemTime::now", "thread::sleep"].iter().any(|it| line.contains(it));
        faults.extend(source.code().filter(|(_, line)| asks(line)).map(|(at, _)| format!("{}:{at}", source.path)));
    }
    assert_none(&faults, "time is an input; driver/ports.rs owns the clock");
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let most = LONG_FILES.iter().find(|(path, ..)| *path == source.path).map_or(FILE_LINES, |it| it.1);
        if lines > most {
            faults.push(format!("{}: {lines} lines, more than {most}", source.path));
        }
        if most > FILE_LINES && lines <= FILE_LINES {
            faults.push(format!("{}: {lines} lines; take its exception away", source.path));
        }
    }
    assert_none(&faults, "a file of more than 500 lines holds more than one thing");
}

/// Functions of a formatted file, with their lengths: a signature's line to the brace of the same indent.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let start = ["pub ", "pub(super) ", "pub(crate) ", "const ", "async ", "extern "]
            .iter()
            .fold(code, |code, word| code.strip_prefix(word).unwrap_or(code));
        let Some(rest) = start.strip_prefix("fn ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = format!("{}}}", " ".repeat(line.len() - code.len()));
        let is_whole = line.ends_with('}') || line.ends_with(';');
        let length =
            if is_whole { 1 } else { lines[at..].iter().position(|line| *line == end).map_or(1, |it| it + 1) };
        found.push((name, length));
    }
    found
}

#[test]
fn functions_stay_short() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let mut count = 0;
    for source in sources() {
        for (name, length) in functions(&source.text) {
            count += 1;
            let exception = LONG_FUNCTIONS.iter().find(|it| it.0 == source.path && it.1 == name);
            used.extend(exception.filter(|_| length > FUNCTION_LINES).map(|it| (it.0, it.1)));
            if length > exception.map_or(FUNCTION_LINES, |it| it.2) {
                faults.push(format!("{}: `{name}` has {length} lines", source.path));
            }
        }
    }
    assert_none(&faults, "a function of more than 70 lines does more than one thing");
    assert_eq!(used.len(), LONG_FUNCTIONS.len(), "an exception is not needed any more");
    assert!(count > 1000, "the reader of functions still works: {count}");
}

#[test]
fn what_is_started_hears_of_its_children() {
    // The front starts the worker before anything is blocked, and by way of its runtime.
    let may = ["src/exec/hearing.rs", "src/exec/guard/front.rs"];
    let starts = [".spawn()", ".output()", ".status()"];
    let (mut faults, mut count) = (Vec::new(), 0);
    for source in sources().into_iter().filter(|it| !it.is_test() && it.text.contains("Command::new(")) {
        count += usize::from(source.text.contains("hearing::"));
        for (at, line) in source.code() {
            if !may.contains(&&*source.path) && starts.iter().any(|start| line.contains(start)) {
                faults.push(format!("{}:{at}: `exec::hearing` starts processes", source.path));
            }
        }
    }
    assert_none(&faults, "a process that blocks the ends of its children, as our threads do, may wait for ever");
    assert!(count > 5, "the reader of starts still works: {count}");
}

#[test]
fn commands_to_copy_are_made_in_one_place() {
    // What reads or writes runs, and so must say where they are kept.
    let verbs = "run resume plan status runs logs diff report approve reject attest resolve cancel pause unpause \
                 rollback unlock queue tickets verify gc slo supervise merge";
    let mut faults = Vec::new();
    for source in sources().iter().filter(|it| it.path.starts_with("src/") && !it.is_test()) {
        let is_about = matches!(source.room(), Some("report" | "driver" | "cli"));
        if !is_about || source.path == "src/report/hint.rs" || source.path.starts_with("src/cli/args") {
            continue;
        }
        for (at, line) in source.code() {
            // In back-quotes it is the name of a verb.
            let mut named = line.match_indices("engine ").filter(|(at, _)| !line[..*at].ends_with('`'));
            let is_made = named.any(|(at, word)| {
                let rest = &line[at + word.len()..];
                let verb = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
                line[..at].contains('"') && verbs.split_whitespace().any(|it| it == verb)
            });
            faults.extend(is_made.then(|| format!("{}:{at}: `report::hint` makes commands", source.path)));
        }
    }
    assert_none(&faults, "a command that is copied says where runs are kept");
}

#[test]
fn every_limit_has_its_reason() {
    let text = read("src/base/limits.rs");
    let lines: Vec<&str> = text.lines().collect();
    let mut names = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub const ") else { continue };
        let name = rest.split(':').next().expect("a name");
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("///"));
        let words: usize = above.map(|line| line.split_whitespace().count() - 1).sum();
        assert!(words >= 3, "limit `{name}` says neither what it bounds nor why");
        names.push(name.to_owned());
    }
    assert!(names.len() > 30, "the reader of limits still works");
    let all: String =
        sources().into_iter().filter(|it| it.path != "src/base/limits.rs").map(|it| it.text).collect();
    let unused: Vec<String> = names.into_iter().filter(|name| !all.contains(name.as_str())).collect();
    assert_none(&unused, "a limit that nobody keeps is none");
}

#[test]
fn every_room_has_its_essay() {
    for rooms in LAYERS {
        for room in rooms.iter().filter(|room| root().join("src").join(room).is_dir()) {
            let name = format!("src/{room}/mod.rs");
            let text = read(&name);
            let essay: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
            assert!(essay.len() >= 3, "{name} says what the room is for, who calls it, and what always holds");
        }
    }
    for source in sources().iter().filter(|source| source.path.starts_with("src/") && !source.is_test()) {
        assert!(source.text.starts_with("//!"), "{} begins with what it is for", source.path);
    }
}

#[test]
fn nothing_unwraps_sleeps_or_is_silenced() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.path != "tests/architecture.rs") {
        for (at, line) in source.text.lines().enumerate() {
            let code = line.trim_start();
            let is_comment = code.starts_with("//");
            let mut fault = |what: &str| faults.push(format!("{}:{}: {what}", source.path, at + 1));
            if !is_comment && code.contains(".unwrap()") {
                fault("unwrap() does not say why it holds");
            }
            if code.starts_with("#[allow(") || code.starts_with("#![allow(") {
                fault("use #[expect(…, reason = …)]");
            }
            // Benches measure time, so they may wait for it.
            let is_test = source.is_test() && !source.path.starts_with("benches/");
            if is_test && !is_comment && (code.contains("thread::sleep(") || code.contains("time::sleep(")) {
                fault("a test waits for an event, never for a time");
            }
        }
    }
    assert_none(&faults, "house rules");
}

#[test]
fn the_binary_is_only_a_door() {
    assert!(read("src/main.rs").lines().count() <= 15);
}

#[test]
fn the_tree_holds_only_the_project() {
    let names = files();
    let top: BTreeSet<&str> = names.iter().map(|name| name.split('/').next().expect("a name")).collect();
    let strangers: Vec<String> = top.into_iter().filter(|name| !TOP.contains(name)).map(str::to_owned).collect();
    assert_none(&strangers, "the top level holds only what is listed");
    let mut faults = Vec::new();
    // A workplace's paths, spelled so that this line is none.
    let banned =
        [["/wo", "rk/"].concat(), ["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/Us", "ers/"].concat()];
    for name in &names {
        if name.contains(".pending-snap") || name.contains(".snap.new") {
            faults.push(format!("{name}: left over"));
        }
        // Pictures and corpora are not text.
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        let found = banned.iter().find(|path| text.contains(path.as_str()));
        faults.extend(found.map(|path| format!("{name}: names `{path}`, a path of one machine")));
    }
    assert_none(&faults, "nothing of one workplace is in the tree");
}

/// Runs the engine on a copy-free tree with a state folder of its own.
fn engine(args: &[&str], state: &Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(args)
        .arg("--state-dir")
        .arg(state)
        .current_dir(root())
        .env_remove("CI")
        .output()
        .expect("the engine runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn every_plan_checks_and_dry_runs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = dir.path().join("state");
    let ends = ["yaml", "yml", "toml"];
    let is_plan = |name: &&String| {
        let path = Path::new(name.as_str());
        (name.starts_with("plans/") || name.starts_with("examples/"))
            && path.extension().and_then(|end| end.to_str()).is_some_and(|end| ends.contains(&end))
            && path.file_name().is_some_and(|name| name != "Cargo.toml")
    };
    let names = files();
    let mut checked = BTreeMap::new();
    for name in names.iter().filter(is_plan) {
        let text = read(name);
        if !text.contains("version") || !text.contains("stages") {
            continue;
        }
        let (status, said) = engine(&["check", name], &state);
        assert_eq!(status, 0, "engine check {name}\n{said}");
        // An action file has no name and is no plan; a plan may need inputs that only a person has.
        let is_action = !text.lines().any(|line| line.starts_with("name"));
        if !is_action {
            let (status, said) = engine(&["plan", name], &state);
            let only_asks_inputs = status == 3 && said.contains("plan::missing-input");
            assert!(status == 0 || only_asks_inputs, "engine plan {name} left {status}\n{said}");
        }
        checked.insert(name.clone(), is_action);
    }
    assert!(checked.len() >= 3, "plans are found: {checked:?}");
    assert!(!state.exists(), "looking creates nothing");
}
