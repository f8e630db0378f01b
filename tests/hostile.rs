//! What a broken or evil plan file can do to the reader: at most two seconds and 256 MiB, and an error that
//! names the place. Sizes here are what a debug build reads in that time.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use engine::plan::error::{Diagnostic, Report, text};
use engine::plan::source::{Disk, File, Loader, Sources};
use engine::plan::tree::{Kind, Tree};

const LIMIT: Duration = Duration::from_secs(2);
const MEMORY_MIB: u64 = 256;

/// Reads `content` as a file with this ending: the tree and what was found, every place checked to lie inside
/// the file, on whole characters.
fn read(ending: &str, content: &str) -> (Option<Tree>, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let file = sources.add(File { path: format!("plan.{ending}"), text: content.into() });
    let mut report = Report::default();
    let begun = cpu_time();
    let tree = engine::plan::read(&sources, file, &mut report);
    let took = cpu_time().saturating_sub(begun);
    assert!(took < LIMIT, "{ending} took {took:?}");
    let found = report.sorted();
    for one in &found {
        let (start, end) = (one.at.start as usize, one.at.end as usize);
        assert!(content.get(start..end).is_some(), "{one:?}");
    }
    assert!(!text(&found, &sources, false).contains('\u{1b}'));
    (tree, found)
}

/// The time this thread has computed: other tests share the machine, so the wall clock says nothing.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells the time of a thread");
    Duration::from_nanos(stat.split(' ').next().and_then(|word| word.parse().ok()).expect("it is a number"))
}

/// The codes found, each with the line of its place.
fn codes(ending: &str, content: &str) -> Vec<(&'static str, usize)> {
    let line = |at: u32| content[..at as usize].matches('\n').count() + 1;
    read(ending, content).1.iter().map(|one| (one.code, line(one.at.start))).collect()
}

fn first(ending: &str, content: &str) -> (&'static str, usize) {
    *codes(ending, content).first().expect("something is wrong with this file")
}

fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells the peak");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") / 1024
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{below}]");
    }
    assert_eq!(first("yaml", &bomb), ("plan::too-many-aliases", 5));
}

#[test]
fn a_long_text_cannot_be_multiplied() {
    let bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(10_000));
    assert_eq!(first("yaml", &bomb), ("plan::too-many-aliases", 2));
}

#[test]
fn anchors_at_every_level_do_not_multiply_the_file() {
    let mut text = String::new();
    for level in 0..60 {
        let _ = writeln!(text, "{}k: &a{level}", " ".repeat(level));
    }
    for line in 0..10_000 {
        let _ = writeln!(text, "{}x{line}: value of some length", " ".repeat(60));
    }
    assert_eq!(codes("yaml", &text), []);
    assert!(peak_mib() < MEMORY_MIB, "{} MiB", peak_mib());
}

#[test]
fn ten_thousand_levels_are_too_deep() {
    let depth = 10_000;
    assert_eq!(first("yaml", &"[".repeat(depth)), ("plan::too-deep", 1));
    assert_eq!(first("yaml", &"{a: ".repeat(depth)), ("plan::too-deep", 1));
    assert_eq!(first("yaml", &"- ".repeat(depth)), ("plan::too-deep", 1));
    let steps: String = (0..depth).flat_map(|level| [" ".repeat(level), "a:\n".to_owned()]).collect();
    assert_eq!(first("yaml", &steps), ("plan::too-deep", 65));
    assert_eq!(first("json", &"[".repeat(depth)), ("plan::too-deep", 1));
    assert_eq!(first("json", &"{\"a\":".repeat(depth)), ("plan::too-deep", 1));
    assert_eq!(first("toml", &format!("a = {}", "[".repeat(depth))), ("plan::too-deep", 1));
    assert_eq!(first("toml", &format!("a = {}", "{a = ".repeat(depth))), ("plan::too-deep", 1));
    assert_eq!(first("toml", &format!("{}a = 1", "a.".repeat(depth))), ("plan::too-deep", 1));
    assert_eq!(first("toml", &format!("[{}a]\n", "a.".repeat(depth))), ("plan::too-deep", 1));
}

#[test]
fn the_deepest_allowed_value_is_read() {
    let value = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (ending, lead, tail) in [("yaml", "a: ", "\n"), ("toml", "a = ", "\n"), ("json", "{\"a\": ", "}")] {
        assert_eq!(codes(ending, &format!("{lead}{}{tail}", value(63))), [], "{ending}");
        assert_eq!(first(ending, &format!("{lead}{}{tail}", value(64))).0, "plan::too-deep", "{ending}");
    }
}

#[test]
fn an_alias_cannot_pass_the_depth_limit() {
    let inner = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let text = format!("a: &a {inner}\nb: {}*a{}\n", "[".repeat(30), "]".repeat(30));
    assert_eq!(first("yaml", &text), ("plan::too-deep", 2));
}

#[test]
fn huge_numbers_are_errors() {
    let digits = "9".repeat(1 << 20);
    for (ending, text) in
        [("yaml", format!("a: {digits}")), ("toml", format!("a = {digits}")), ("json", format!("[{digits}]"))]
    {
        let (_, found) = read(ending, &text);
        assert_eq!(found[0].code, "plan::number", "{ending}");
        assert!(found[0].message.len() < 200, "the number is cut in the message");
        assert!(found[0].help.as_ref().is_some_and(|help| help.contains("quote it")), "{ending}");
    }
    for (ending, text) in [
        ("yaml", "a: 9223372036854775807\nb: -9223372036854775808\n"),
        ("toml", "a = -9223372036854775808\n"),
        ("json", "[-9223372036854775808]"),
    ] {
        assert_eq!(codes(ending, text), [], "the largest numbers are read");
    }
}

#[test]
fn control_characters_are_errors() {
    for ending in ["yaml", "toml", "json"] {
        assert_eq!(codes(ending, "a\n b\0c"), [("plan::control-character", 2)], "{ending}");
        assert_eq!(codes(ending, "\u{1b}[31m"), [("plan::control-character", 1)], "{ending}");
    }
}

#[test]
fn a_byte_order_mark_and_dos_lines_are_read() {
    for (ending, text) in [
        ("yaml", "\u{feff}a: b\r\nc:\r\n  - d\r\n"),
        ("toml", "\u{feff}a = \"b\"\r\nc = [\r\n  \"d\"\r\n]\r\n"),
        ("json", "\u{feff}{\"a\": \"b\",\r\n\"c\":\r\n[\"d\"]}\r\n"),
    ] {
        let (tree, found) = read(ending, text);
        assert_eq!(found, [], "{ending}");
        let Kind::Map(entries) = tree.expect("nothing is wrong").kind else {
            unreachable!("each of these is a map")
        };
        let spots: Vec<&str> = entries
            .iter()
            .map(|(key, _)| text[key.at.start as usize..key.at.end as usize].trim_matches('"'))
            .collect();
        assert_eq!(spots, ["a", "c"], "{ending}");
    }
    let (_, found) = read("yaml", "\u{feff}a: 1\r\na: 2\r\n");
    assert_eq!((found[0].at.start, found[0].at.end), (9, 10));
}

#[test]
fn tabs_that_indent_are_errors() {
    assert_eq!(first("yaml", "a:\n\tb: 1\n"), ("plan::tab", 2));
    assert_eq!(first("yaml", "a:\n  b: 1\n\tc: 2\n"), ("plan::tab", 3));
    assert_eq!(first("yaml", "a: {\n\tb: 1}\n"), ("plan::tab", 2));
    assert_eq!(codes("yaml", "a: |\n  x\n  \ty\nb: c\t# d\n\t\n\t# e\n"), [], "other tabs are no matter");
}

#[test]
fn many_faults_end() {
    assert_eq!(codes("yaml", &"a: 1\n".repeat(20_000)).len(), 1000);
    assert_eq!(codes("toml", &"a = 1\n".repeat(20_000)).len(), 1000);
    assert_eq!(codes("toml", &"a = \n".repeat(20_000)).len(), 1000);
}

#[test]
fn wide_files_are_read_in_a_pass() {
    let keys: String = (0..20_000).flat_map(|key| ["k".to_owned(), format!("{key}: 1\n")]).collect();
    assert_eq!(codes("yaml", &keys), []);
    assert_eq!(codes("toml", &keys.replace(':', " =")), []);
    assert_eq!(first("yaml", &format!("a: [{}\n", "x, ".repeat(20_000))).0, "plan::syntax-yaml");
    assert_eq!(first("yaml", &format!("a: \"{}\n", "x ".repeat(100_000))).0, "plan::syntax-yaml");
}

#[test]
fn disk_says_what_is_wrong_with_a_path() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("plans/folder.yaml")).expect("it can be made");
    let at = |name: &str| root.join("plans").join(name);
    fs::write(at("site.yaml"), "name: x\n").expect("it can be written");
    fs::write(at("latin.yaml"), b"name: x\nb: caf\xe9\n").expect("it can be written");
    fs::write(at("wide.yaml"), b"\xff\xfen\0").expect("it can be written");
    symlink("loop.yaml", at("loop.yaml")).expect("it can be linked");
    symlink("gone.yaml", at("dangling.yaml")).expect("it can be linked");
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.yaml"), rustix::fs::Mode::RUSR).expect("it can be made");
    fs::File::create(at("big.yaml")).and_then(|file| file.set_len((64 << 20) + 1)).expect("it can be made");

    let disk = Disk::new(root);
    assert_eq!(disk.load("plans/site.yaml").as_deref(), Ok("name: x\n"));
    assert_eq!(disk.load("./plans/../plans/site.yaml").as_deref(), Ok("name: x\n"));
    for (path, words) in [
        ("plans/sitte.yaml", "`plans/sitte.yaml` does not exist; did you mean `plans/site.yaml`?"),
        ("plans/site.toml", "`plans/site.toml` does not exist; did you mean `plans/site.yaml`?"),
        ("planz/site.yaml", "`planz/site.yaml` does not exist, and neither does its folder"),
        ("plans/folder.yaml", "`plans/folder.yaml` is a directory, not a file"),
        ("plans/site.yaml/x", "`plans/site.yaml/x` does not exist: a part before the last `/` is a file"),
        ("plans/pipe.yaml", "`plans/pipe.yaml` is a named pipe, not a file"),
        ("plans/loop.yaml", "`plans/loop.yaml` is a symlink that leads back to itself"),
        ("plans/dangling.yaml", "`plans/dangling.yaml` is a symlink to a file that does not exist"),
        ("plans/big.yaml", "`plans/big.yaml` is larger than 64 MiB, the limit of one file"),
        ("plans/latin.yaml", "`plans/latin.yaml` is not UTF-8: byte 0xe9 on line 2, offset 14"),
        ("plans/wide.yaml", "`plans/wide.yaml` looks like UTF-16; save it as UTF-8"),
        ("", "the path is empty"),
    ] {
        assert_eq!(disk.load(path), Err(words.to_owned()));
    }
    for path in ["../outside.yaml", "/dev/zero"] {
        let refusal = disk.load(path).expect_err("it leads outside");
        assert!(refusal.starts_with(&format!("`{path}` is outside of the root `/")), "{refusal}");
    }
}

#[test]
fn disk_leaves_the_root_only_when_allowed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().join("root");
    fs::create_dir(&root).expect("it can be made");
    fs::write(dir.path().join("outside.yaml"), "a: 1\n").expect("it can be written");
    symlink("../outside.yaml", root.join("out.yaml")).expect("it can be linked");
    let refusal = Disk::new(root.clone()).load("out.yaml").expect_err("it leads outside");
    assert!(refusal.contains("which is outside of the root"), "{refusal}");

    let free = Disk::new(root).allow_outside(true);
    assert_eq!(free.load("out.yaml").as_deref(), Ok("a: 1\n"));
    assert_eq!(free.load("../outside.yaml").as_deref(), Ok("a: 1\n"));
    assert_eq!(free.load("/dev/zero"), Err("`/dev/zero` is a device, not a file".to_owned()));
}

#[test]
fn a_plan_uses_files_outside_of_the_root_only_when_it_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().join("root");
    fs::create_dir(&root).expect("it can be made");
    let file = "version: 1\nname: shared\nstages: {one: {run: [x]}}\n";
    fs::write(dir.path().join("shared.yaml"), file).expect("it can be written");
    symlink("../shared.yaml", root.join("link.yaml")).expect("it can be linked");
    for uses in ["../shared.yaml", "./link.yaml"] {
        for (words, is_right) in [("", false), ("allow-outside: true\n", true)] {
            let plan = format!("version: 1\nname: a\n{words}stages: {{a: {{uses: {uses}}}}}\n");
            fs::write(root.join("plan.yaml"), plan).expect("it can be written");
            let mut report = Report::default();
            let loaded = engine::plan::load(&Disk::new(root.clone()), "plan.yaml", &mut report);
            let loaded = loaded.unwrap_or_else(|_| panic!("the plan itself is readable"));
            assert_eq!(report.has_errors(), !is_right, "{words}{uses}: {:?}", report.clone().sorted());
            assert_eq!(loaded.actions[0].stages.len(), usize::from(is_right));
        }
    }
}

#[test]
fn disk_says_that_it_may_not_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("secret.yaml");
    fs::write(&path, "a: 1\n").expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("they can be set");
    // The superuser may read everything.
    let expected = match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(_) => Err("`secret.yaml` cannot be read: permission denied".to_owned()),
    };
    assert_eq!(Disk::new(dir.path().to_owned()).load("secret.yaml"), expected);
}

#[test]
fn every_corpus_file_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut count = 0;
    for target in ["yaml", "toml", "json"] {
        for entry in fs::read_dir(corpus.join(format!("plan_{target}"))).expect("the corpus is there") {
            let bytes = fs::read(entry.expect("it can be listed").path()).expect("it can be read");
            // Every reader gets every file: one's plan is the other's noise.
            for ending in ["yaml", "toml", "json"] {
                let (tree, found) = read(ending, &String::from_utf8_lossy(&bytes));
                assert!(tree.is_some() || !found.is_empty(), "no tree and no word about it");
            }
            count += 1;
        }
    }
    assert!(count >= 24, "the corpus has {count} files");
}

#[test]
#[ignore = "two seconds for 50 MB are those of a release build"]
fn fifty_megabytes_are_read_or_refused() {
    let big = 50 << 20;
    let repeat = |unit: &str| unit.repeat(big / unit.len());
    for (ending, text) in [
        ("yaml", repeat("- a\n")),
        ("yaml", repeat("a: 'b'\n")),
        ("yaml", repeat("[[")),
        ("yaml", format!("a: \"{}", repeat("x "))),
        ("yaml", format!("a: |\n{}", repeat("  some text\n"))),
        ("json", format!("[{}", repeat("1,"))),
        ("json", format!("\"{}", repeat("xy"))),
        ("toml", format!("a = [{}", repeat("1,"))),
        ("toml", repeat("a = 1\n")),
        ("toml", repeat("[a\n")),
        ("toml", format!("a = \"\"\"{}", repeat("x\n"))),
    ] {
        let (tree, found) = read(ending, &text);
        assert!(tree.is_some() || !found.is_empty());
    }
}
