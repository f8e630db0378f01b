//! A slate in the hands of scripts that do what they like with their files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use super::*;

struct World {
    dir: tempfile::TempDir,
    slates: Slates,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = dir.path().join("scratch");
        fs::create_dir(&scratch).expect("made");
        Self { slates: Slates::new(scratch), dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Which slate an attempt gets, and what it finds in its two files.
    fn attempt(&mut self, items: &str, act: impl FnOnce(&Path, &Path)) -> String {
        let slate = self.slates.lend(Some(items)).expect("there is room");
        let path = slate.items().expect("it reads items").to_path_buf();
        assert_eq!(fs::read_to_string(&path).expect("its items"), items);
        assert_eq!(fs::read_to_string(slate.values()).expect("its values"), "");
        assert_eq!(path.with_extension("values"), slate.values());
        act(&path, slate.values());
        self.slates.take_back(slate, true);
        path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("scratch")).expect("it is there");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is there");
}

/// What a script may do to one of its files, and by what the user's own file is known afterwards, if there is one.
type Deed = (&'static str, fn(&Path, &Path), Option<&'static str>);

/// Each leaves a file under the name that is not the one we made, or not ours alone.
const DEEDS: [Deed; 9] = [
    ("rm", |file, _| fs::remove_file(file).expect("removed"), None),
    ("mv", |file, own| fs::rename(file, own).expect("moved"), Some("theirs")),
    ("ln", |file, own| fs::hard_link(file, own).expect("linked"), Some("theirs")),
    ("chmod", |file, _| mode(file, 0o000), None),
    ("chmod to the same as root would see it", |file, _| mode(file, 0o400), None),
    (
        "sed -i",
        |file, own| {
            fs::write(own, "another").expect("written");
            fs::rename(own, file).expect("moved");
        },
        None,
    ),
    (
        "ln -s",
        |file, own| {
            fs::rename(file, own).expect("moved");
            symlink(own, file).expect("linked");
        },
        Some("theirs"),
    ),
    (
        "mkdir",
        |file, _| {
            fs::remove_file(file).expect("removed");
            fs::create_dir(file).expect("made");
        },
        None,
    ),
    (
        "mkfifo",
        |file, _| {
            fs::remove_file(file).expect("removed");
            assert!(Command::new("mkfifo").arg(file).status().expect("it runs").success());
        },
        None,
    ),
];

#[test]
fn files_are_used_again_and_a_shorter_list_leaves_nothing_of_a_longer_one() {
    let mut world = World::new();
    for items in ["a\nb\nc\n", "a\n", "", "dd\nee\n", "f\n"] {
        assert_eq!(world.attempt(items, |_, _| ()), "slate-0", "{items:?}");
    }
    // What a script does within the very file is its own affair, and gone for the next.
    let append = |path: &Path, _: &Path| fs::write(path, "x\n".repeat(9_000)).expect("written");
    let cut = |path: &Path, _: &Path| fs::write(path, "").expect("written");
    assert_eq!(world.attempt("g\n", append), "slate-0");
    assert_eq!(world.attempt("h\ni\n", cut), "slate-0");
    assert_eq!(world.attempt("j\n", |_, _| ()), "slate-0");
    assert_eq!(world.files(), ["slate-0.items", "slate-0.values"]);
}

#[test]
fn two_attempts_at_once_share_nothing() {
    let mut world = World::new();
    let lent: Vec<Slate> = (0..3).map(|_| world.slates.lend(Some("x\n")).expect("room")).collect();
    let paths: std::collections::BTreeSet<_> = lent.iter().map(|slate| slate.values().to_path_buf()).collect();
    assert_eq!(paths.len(), 3);
    for slate in lent {
        world.slates.take_back(slate, true);
    }
    let names: Vec<String> = (0..3).map(|_| world.attempt("y\n", |_, _| ())).collect();
    assert_eq!(names, ["slate-2", "slate-2", "slate-2"], "the last one that came back is lent first");
}

#[test]
fn items_that_are_not_ours_any_more_are_never_written_to() {
    for (name, deed, own) in DEEDS {
        let mut world = World::new();
        let theirs = world.at("theirs");
        assert_eq!(world.attempt("one\n", |items, _| deed(items, &theirs)), "slate-0", "{name}");
        assert_eq!(world.attempt("two\n", |_, _| ()), "slate-1", "{name}");
        assert_eq!(world.attempt("three\n", |_, _| ()), "slate-1", "{name}: a new one lasts");
        if let Some(own) = own {
            assert_eq!(fs::read_to_string(world.at(own)).expect("it is theirs"), "one\n", "{name}");
        }
    }
}

#[test]
fn values_that_are_not_ours_any_more_are_read_once_and_never_emptied() {
    for (name, deed, own) in DEEDS {
        for text in ["", "a=1\n"] {
            let mut world = World::new();
            let theirs = world.at("theirs");
            let mut slate = world.slates.lend(None).expect("room");
            fs::write(slate.values(), text).expect("written");
            deed(slate.values(), &theirs);
            // What there is to read is what a script would read there.
            let there = fs::metadata(slate.values()).ok().filter(fs::Metadata::is_file);
            let there = there.and_then(|_| fs::read_to_string(slate.values()).ok());
            match slate.take_values(false) {
                Ok(bytes) => {
                    let read = bytes.map(|bytes| String::from_utf8(bytes).expect("text")).unwrap_or_default();
                    assert_eq!(read, there.unwrap_or_default(), "{name}");
                }
                Err(_) => assert!(there.is_none(), "{name}: it could have been read"),
            }
            world.slates.take_back(slate, true);
            assert_eq!(world.attempt("x\n", |_, _| ()), "slate-1", "{name}");
            if let Some(own) = own {
                assert_eq!(fs::read_to_string(world.at(own)).expect("it is theirs"), text, "{name}");
            }
        }
    }
}

#[test]
fn values_that_nobody_read_are_for_nobody() {
    let mut world = World::new();
    let write = |_: &Path, values: &Path| fs::write(values, "a=1\n").expect("written");
    assert_eq!(world.attempt("x\n", write), "slate-0");
    assert_eq!(world.attempt("y\n", |_, _| ()), "slate-1");
    assert_eq!(world.files(), ["slate-1.items", "slate-1.values"], "no trace of what was scrapped");
}

#[test]
fn values_that_were_read_leave_an_empty_file_and_no_more_is_read_than_may_be() {
    let mut world = World::new();
    let most = usize::try_from(limits::MAX_OUTPUT_VALUES_BYTES).expect("it is small");
    for (wrote, reads) in [(3, 3), (most + 5, most + 1), (0, 0)] {
        let mut slate = world.slates.lend(None).expect("room");
        assert!(slate.items().is_none() && slate.values().ends_with("slate-0.values"));
        fs::write(slate.values(), "x".repeat(wrote)).expect("written");
        assert_eq!(slate.take_values(true).expect("readable").map(|bytes| bytes.len()), Some(reads));
        assert_eq!(fs::metadata(slate.values()).expect("it is there").len(), 0);
        world.slates.take_back(slate, true);
    }
    let mut slate = world.slates.lend(None).expect("room");
    assert_eq!(slate.take_values(false).expect("readable"), None, "a look is enough");
}

#[test]
fn what_may_still_be_used_is_not_lent_again() {
    let mut world = World::new();
    let slate = world.slates.lend(Some("x\n")).expect("room");
    world.slates.take_back(slate, false);
    assert_eq!(world.attempt("y\n", |_, _| ()), "slate-1");
    // A service keeps its files.
    drop(world.slates.lend(Some("z\n")).expect("room"));
    assert_eq!(world.attempt("y\n", |_, _| ()), "slate-2");
    assert_eq!(world.files(), ["slate-1.items", "slate-1.values", "slate-2.items", "slate-2.values"]);
}

#[test]
fn what_lies_there_already_is_left_alone() {
    let mut world = World::new();
    fs::write(world.at("theirs"), "precious").expect("written");
    symlink(world.at("theirs"), world.at("scratch/slate-0.values")).expect("linked");
    symlink(world.at("theirs"), world.at("scratch/slate-1.items")).expect("linked");
    fs::write(world.at("scratch/slate-2.values"), "a=old").expect("written");
    fs::create_dir(world.at("scratch/slate-3.items")).expect("made");
    assert_eq!(world.attempt("x\n", |_, _| ()), "slate-4");
    assert_eq!(fs::read_to_string(world.at("theirs")).expect("it is theirs"), "precious");
}

#[test]
fn without_a_folder_only_items_are_missed() {
    let mut world = World::new();
    assert_eq!(world.attempt("x\n", |_, _| ()), "slate-0");
    fs::remove_dir_all(world.at("scratch")).expect("removed");
    let why = world.slates.lend(Some("y\n")).expect_err("they cannot be written");
    assert!(why.starts_with("failed to write `") && why.contains(".items`: No such file"), "{why}");
    let mut slate = world.slates.lend(None).expect("it needs no file");
    assert_eq!(slate.take_values(true).expect("nothing to read"), None);
    // A script may make the folder again, and its file.
    fs::create_dir(world.at("scratch")).expect("made");
    fs::write(slate.values(), "a=1\n").expect("written");
    assert_eq!(slate.take_values(true).expect("readable").as_deref(), Some(&b"a=1\n"[..]));
    world.slates.take_back(slate, true);
    let name = world.attempt("z\n", |_, _| ());
    assert_ne!(world.attempt("z\n", |_, _| ()), name, "who cannot see its own files again trusts none of them");
}

#[test]
fn few_lists_stay_open_however_many_attempts_there_are() {
    let mut world = World::new();
    let many = limits::MAX_OPEN_ITEM_LISTS + 8;
    let lent: Vec<Slate> = (0..many).map(|_| world.slates.lend(Some("x\n")).expect("room")).collect();
    assert_eq!(lent.iter().filter(|slate| slate.pen.is_some()).count(), limits::MAX_OPEN_ITEM_LISTS);
    for slate in lent {
        world.slates.take_back(slate, true);
    }
    // Those without an open list are lent again all the same.
    let again: Vec<Slate> =
        (0..many).map(|at| world.slates.lend(Some(&"y\n".repeat(at))).expect("room")).collect();
    for (at, slate) in again.iter().enumerate() {
        let path = slate.items().expect("items");
        assert_eq!(fs::read_to_string(path).expect("its items"), "y\n".repeat(at));
    }
    assert_eq!(world.files().len(), 2 * many);
}
