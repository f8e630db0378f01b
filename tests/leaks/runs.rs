//! The engine with canaries for secrets, and a search of everything that it leaves.

use std::fs;
use std::path::Path;

use super::plans::Cage;
use super::support::{Live, Output};

/// Where the plan itself put canaries: their sources, what it rendered, and what its stages made.
fn is_asked(name: &Path) -> bool {
    name.starts_with("cage") || name == Path::new("app.env") || name.starts_with("made")
}

/// Asserts that nothing below the project holds a canary, and nothing that was shown.
#[track_caller]
fn assert_clean(cage: &Cage, shown: &[&Output], least: usize) {
    let search = cage.search();
    for out in shown {
        search.assert_clean("standard output", out.stdout.as_bytes());
        search.assert_clean("standard error", out.stderr.as_bytes());
    }
    let (hits, files) = search.below(&cage.project.path(""), is_asked);
    assert!(hits.is_empty(), "{hits:#?}");
    assert!(files >= least, "the search has seen {files} files only");
}

const REPORTS: [&str; 6] =
    ["--report", "junit=out/junit.xml,html=out/run.html,summary", "--events", "out/events", "--output", "plain"];

#[test]
fn nothing_that_a_run_writes_or_shows_holds_a_secret() {
    let cage = Cage::new();
    fs::create_dir(cage.project.path("out")).expect("a folder for reports");
    let run = |args: &[&str]| Live::start(cage.command(args)).end();
    let first = run(&[&["run", "plan.yaml", "--run-id", "one", "-vv"], &REPORTS[..]].concat()).expect(0);
    assert!(first.stdout.contains("speak | spoken"), "{}", first.stdout);
    for (stage, words) in [
        ("hand-on", "output `it` holds a secret"),
        ("no-number", "`***` is no int"),
        ("as-json", "output `it` holds a secret"),
        ("named-file", "the name of an artifact holds a secret: `made/***`"),
    ] {
        assert!(first.stdout.contains(words), "{stage}: {}", first.stdout);
    }
    let mut shown = vec![first];
    for args in [
        &["status", "one"][..],
        &["status", "one", "--json"],
        &["logs", "one"],
        &["report", "one"],
        &["graph", "plan.yaml", "--format", "html"],
        &["graph", "one", "--format", "json"],
        &["plan", "plan.yaml"],
        &["check", "plan.yaml"],
        &["env", "check", "cage"],
        &["env", "diff", "cage"],
        &["env", "explain", "QUOTES", "--env", "cage"],
        &["verify", "one", "--deep"],
        &["resume", "one", "--rerun", "speak"],
        &["diff", "one", "one"],
        &["runs"],
    ] {
        shown.push(run(args));
        let last = shown.last().expect("just pushed");
        assert!(![2, 3, 4, 70].contains(&last.status), "{args:?}: {}{}", last.stdout, last.stderr);
    }
    assert_clean(&cage, &shown.iter().collect::<Vec<_>>(), 28);
    let events = cage.project.read("out/events");
    assert!(
        events.contains("secrets-fetched")
            && events.contains("\"version\":\"v7\"")
            && events.contains("2026-11-01"),
        "what is known of the secrets is on record"
    );
    // What was planted is found, in a file and in a name, so that the search is known to work.
    for (name, text) in [("planted", cage.value("SHORT")), ("lines", &cage.value("LINES")[21..41])] {
        let path = cage.project.write(format!(".engine/runs/one/{name}"), format!("x{text}y"));
        let (hits, _) = cage.search().below(&cage.project.path(""), is_asked);
        assert_eq!(hits.len(), 1, "{hits:?}");
        fs::remove_file(path).expect("removed");
    }
    cage.project.write(format!("tmp/{}", cage.value("COMMAND")), "");
    assert_eq!(cage.search().below(&cage.project.path(""), is_asked).0.len(), 1);
}

#[test]
fn the_planted_leak_of_every_canary_is_found_in_every_form() {
    let cage = Cage::new();
    let search = cage.search();
    for canary in &cage.canaries {
        for form in canary.forms() {
            let text = [&b"some text "[..], &form, b" more text"].concat();
            assert!(search.find(&text).is_some(), "{}: {}", canary.name, String::from_utf8_lossy(&form));
        }
    }
    assert_eq!(search.find(b"nothing of that kind stands in here, whatever it may look like"), None);
}
