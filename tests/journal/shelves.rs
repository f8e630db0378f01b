//! Objects, the cache, and what `gc` may delete.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use engine::base::{Digest, Millis};
use engine::journal::gc::{self, Rule};
use engine::journal::locks::{LockRecord, Locks};
use engine::journal::objects::{CacheEntry, Manifest, ManifestFile, Objects, hash_files};
use engine::journal::{Error, read, summary, take};
use engine::run::event::ShardResult;

use crate::support::{WALL_MS, attempt, began, bench, files, finished, holder, id, over, write};

#[test]
fn artifacts_come_back_with_their_rights_and_links() {
    let bench = bench();
    let root = bench.dir.path();
    fs::create_dir_all(root.join("dist/bin")).expect("a directory");
    fs::write(root.join("dist/bin/tool"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(root.join("dist/bin/tool"), fs::Permissions::from_mode(0o750)).expect("rights");
    fs::write(root.join("dist/empty"), "").expect("a file");
    symlink("bin/tool", root.join("dist/current")).expect("a link");
    let names: Vec<_> = ["dist/empty", "dist/bin/tool", "dist/current"].map(str::to_owned).into();
    let objects = Objects::new(&bench.state);
    let (digest, manifest) = objects.store(root, &names).expect("stored");
    assert_eq!(objects.store(root, &names).expect("again").0, digest, "the same files, the same manifest");
    let to = root.join("to");
    let restored = objects.restore(&manifest, &to).expect("restored");
    assert_eq!((restored.written, restored.kept), (3, 0));
    assert_eq!(fs::read_link(to.join("dist/current")).expect("a link").to_str(), Some("bin/tool"));
    assert_eq!(fs::read_to_string(to.join("dist/current")).expect("a file"), "#!/bin/sh\n");
    let mode = fs::metadata(to.join("dist/bin/tool")).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o750);
    let restored = objects.restore(&manifest, &to).expect("restored");
    assert_eq!((restored.written, restored.kept), (0, 3));
    fs::write(to.join("dist/empty"), "not empty").expect("changed");
    assert_eq!(objects.restore(&manifest, &to).expect("restored").written, 1);
    assert_eq!(fs::read(to.join("dist/empty")).expect("a file"), b"");
    let digests = hash_files(root, &names).expect("hashes");
    assert_eq!(digests[0], Digest::of(b""));
}

#[test]
fn a_spoiled_object_is_never_restored() {
    let bench = bench();
    let root = bench.dir.path();
    fs::write(root.join("a"), "alpha").expect("a file");
    let objects = Objects::new(&bench.state);
    let (digest, manifest) = objects.store(root, &["a".to_owned()]).expect("stored");
    let path = objects.path(manifest.files[0].digest);
    fs::write(&path, "alphA").expect("spoiled");
    let error = objects.restore(&manifest, &root.join("to")).expect_err("damage");
    assert!(error.is_damage() && error.to_string().contains(&*path.to_string_lossy()), "{error}");
    assert!(!root.join("to/a").exists());
    fs::remove_file(&path).expect("gone");
    assert!(!objects.is_complete(digest));
}

#[test]
fn a_manifest_never_leads_outside() {
    let bench = bench();
    let root = bench.dir.path();
    let objects = Objects::new(&bench.state);
    let digest = objects.put(b"evil").expect("stored");
    let file = |path: &str| ManifestFile { path: path.to_owned(), digest, mode: 0o644, size: 4, is_link: false };
    for path in ["../x", "/tmp/x", "a/../../x", ""] {
        let manifest = Manifest { files: vec![file(path)] };
        assert!(matches!(objects.restore(&manifest, &root.join("to")), Err(Error::UnsafePath { .. })), "{path:?}");
    }
    fs::create_dir_all(root.join("to")).expect("a directory");
    symlink(root, root.join("to/out")).expect("a link");
    assert!(objects.restore(&Manifest { files: vec![file("out/x")] }, &root.join("to")).is_err());
    assert!(!root.join("x").exists());
}

#[test]
fn the_cache_forgets_rather_than_lies() {
    let bench = bench();
    let root = bench.dir.path();
    fs::write(root.join("a"), "alpha").expect("a file");
    let objects = Objects::new(&bench.state);
    let (digest, manifest) = objects.store(root, &["a".to_owned()]).expect("stored");
    let key = Digest::of(b"key");
    let outputs = vec![("digest".to_owned(), serde_json::json!(1.1))];
    let entry = CacheEntry { result: ShardResult { outputs, artifacts: Some(digest), ..ShardResult::default() } };
    assert_eq!(objects.recall(key), None);
    objects.remember(key, &entry).expect("remembered");
    assert_eq!(objects.recall(key), Some(entry));
    let hex = key.to_string();
    let path = bench.state.path().join("cache").join(&hex[..2]).join(&hex[2..]);
    let good = fs::read(&path).expect("an entry");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).expect("spoiled");
        assert_eq!(objects.recall(key), None, "byte {at}");
    }
    fs::write(&path, &good).expect("the entry back");
    fs::remove_file(objects.path(manifest.files[0].digest)).expect("gone");
    assert_eq!(objects.recall(key), None, "its artifacts are gone");
}

/// Runs `a` (old, with artifacts of its own) to `f`.
fn many() -> (crate::support::Bench, Objects, Vec<Digest>) {
    let bench = bench();
    let objects = Objects::new(&bench.state);
    let mut manifests = Vec::new();
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let (run, own) = bench.state.create_run(&id(name), &files(), &holder()).expect("a run");
        fs::write(bench.dir.path().join("art"), name).expect("a file");
        let (digest, _) = objects.store(bench.dir.path(), &["art".to_owned()]).expect("stored");
        let result = ShardResult { artifacts: Some(digest), ..ShardResult::default() };
        let wall_ms = WALL_MS + i64::try_from(number).expect("small") * 1000;
        let mut batch =
            vec![(Millis::ZERO, began(&id(name), wall_ms)), (Millis::ZERO, finished(attempt(0, 0, 1), 1, result))];
        // `b` never ended.
        if name != "b" {
            batch.push((Millis::new(2), over()));
        }
        let end = read(&run).expect("a journal").end;
        write(&run, &own, &end, vec![batch]).expect("written");
        manifests.push(digest);
    }
    (bench, objects, manifests)
}

#[test]
fn gc_deletes_what_is_old_and_over_and_nothing_else() {
    let (bench, objects, manifests) = many();
    drop(bench.state.create_run(&id("empty"), &files(), &holder()).expect("a run that never began"));
    fs::create_dir_all(bench.state.path().join("runs/.new-999999999-0-x/plan")).expect("a leftover");
    let rule = Rule { keep: 1, since_ms: WALL_MS + 2000 };
    let planned = gc::plan(&bench.state, rule).expect("a plan");
    let names = |sweep: &gc::Sweep| sweep.runs.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&planned), ["empty", "a"]);
    assert_eq!(planned.kept, [(id("b"), "it is not over")]);
    assert_eq!(planned.leftovers.len(), 1);
    assert_eq!(planned.objects.len(), 2, "the file and the manifest of `a`");
    assert!(bench.state.run(&id("a")).is_ok(), "a plan touches nothing");
    let done = gc::act(&bench.state, rule, &holder()).expect("done");
    assert_eq!((names(&done), done.objects.len()), (names(&planned), 2));
    let left: Vec<_> = bench.state.runs().expect("a list").iter().map(|run| run.dir.id().to_string()).collect();
    assert_eq!(left, ["d", "c", "b"]);
    assert!(!objects.is_complete(manifests[0]));
    assert!(manifests[1..].iter().all(|&manifest| objects.is_complete(manifest)));
    assert!(!bench.state.path().join("runs/.new-999999999-0-x").exists());
    let again = gc::plan(&bench.state, rule).expect("a plan");
    assert!(again.runs.is_empty() && again.objects.is_empty() && again.leftovers.is_empty());
}

#[test]
fn gc_leaves_live_locked_and_damaged_runs() {
    let (bench, objects, manifests) = many();
    let live = bench.state.run(&id("a")).expect("a run");
    let ownership = take(&live, &holder()).expect("free");
    let record = LockRecord { name: "deploy".to_owned(), run: id("c"), wall_ms: WALL_MS, by: String::new() };
    Locks::new(&bench.state).take(&record).expect("a lock");
    let spoiled = bench.state.run(&id("d")).expect("a run").journal_path();
    let mut bytes = fs::read(&spoiled).expect("a journal");
    bytes[100] ^= 1;
    fs::write(&spoiled, bytes).expect("spoiled");
    let rule = Rule { keep: 0, since_ms: i64::MAX };
    let done = gc::act(&bench.state, rule, &holder()).expect("done");
    assert!(done.runs.is_empty(), "{:?}", done.runs);
    assert_eq!(done.kept.len(), 4);
    assert!(done.objects_kept.is_some());
    drop(ownership);
    let done = gc::act(&bench.state, rule, &holder()).expect("done");
    assert_eq!(done.runs.len(), 1, "`a` is free now");
    assert!(done.objects.is_empty(), "what a damaged journal refers to is not known");
    assert!(manifests.iter().all(|&manifest| objects.is_complete(manifest)));
}

#[test]
fn gc_leaves_a_run_that_was_damaged_after_it_was_summed_up() {
    let (bench, ..) = many();
    let run = bench.state.run(&id("a")).expect("a run");
    assert!(summary::of(&run).is_ok_and(|found| found.state.is_over()), "and it is kept beside the journal");
    let whole = fs::read(run.journal_path()).expect("a journal");
    let rule = Rule { keep: 0, since_ms: i64::MAX };
    let goes = || gc::plan(&bench.state, rule).expect("a plan").runs.iter().any(|(it, _)| *it == id("a"));
    assert!(goes());
    let mut spoiled: Vec<Vec<u8>> = vec![whole[..100].to_vec(), whole[..whole.len() - 1].to_vec(), Vec::new()];
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        spoiled.push(bytes);
    }
    for bytes in spoiled {
        fs::write(run.journal_path(), &bytes).expect("spoiled");
        assert!(!goes(), "{} bytes: {bytes:?}", bytes.len());
    }
}
