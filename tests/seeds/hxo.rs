//! HXO's blue-green release (`plans/hxo`) under load: forward, back by itself, and held when nobody measures.

use std::fs;

use rustix::process::Signal;

use crate::lab::Lab;
use crate::shown::expect_shown;
use crate::support::{Live, Output};

const DOCUMENT: &str = "docs/hxo.md";

/// A lab with releases: two that are good, one that is slow, one that answers nothing but errors, and one that takes
/// itself for the active one whatever the lease says.
pub(crate) fn lab(folders: &[&str]) -> Lab {
    let lab = Lab::new(&[&["plans/lib", "examples/slots"], folders].concat());
    for (version, text) in [
        ("v1", "{\"latency-ms\": 5}"),
        ("v2", "{\"latency-ms\": 5}"),
        ("v3", "{\"latency-ms\": 600}"),
        ("v4", "{\"status\": 500}"),
        ("v5", "{\"ignores-lease\": true}"),
    ] {
        lab.project.write(format!("place/releases/{version}.json"), text);
    }
    lab
}

/// Where users ask.
pub(crate) fn url(lab: &Lab) -> String {
    let port = fs::read_to_string(lab.place("nginx/port")).expect("the front has a port");
    format!("http://127.0.0.1:{}/", port.trim())
}

/// What the load counted; not one request may have failed.
#[track_caller]
pub(crate) fn expect_no_failure(out: &Output) -> String {
    let counted = out
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("count | "))
        .unwrap_or_else(|| panic!("{}", out.stdout));
    assert!(counted.contains(" requests, 0 failed, "), "{}", out.stdout);
    counted.to_owned()
}

fn command(lab: &Lab, version: &str) -> std::process::Command {
    baked(lab, version, "bake=5s")
}

fn baked(lab: &Lab, version: &str, bake: &str) -> std::process::Command {
    let set = format!("version={version}");
    let plan = "plans/hxo/deploy.yaml";
    lab.command(&[
        "run",
        plan,
        "--no-input",
        "--set",
        bake,
        "--set",
        "window=5",
        "--run-id",
        version,
        "--set",
        &set,
    ])
}

fn run(lab: &Lab, version: &str) -> Output {
    Live::start(command(lab, version)).end()
}

#[test]
fn a_release_moves_all_traffic_at_once_and_no_request_fails() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    let out = run(&lab, "v2").expect(0);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
    assert!(out.stdout.contains("release/bake | pass: "), "{}", out.stdout);
    let counted = expect_no_failure(&out);
    assert!(counted.contains(" v1 ") && counted.contains(" v2 "), "users were there before and after: {counted}");
    expect_shown(DOCUMENT, "engine run plans/hxo/deploy.yaml --set version=v2 --set bake=5s", &out.stdout);
    let old =
        lab.tool("examples/slots/slot", &[lab.project.path("place").to_str().expect("text"), "show", "green"]);
    assert!(old.contains("version=v1"), "the old version stays warm: {old}");
}

#[test]
fn a_slow_version_fails_its_gate_and_is_taken_back_by_itself() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    let out = run(&lab, "v3").expect(1);
    assert!(out.stdout.contains("release/bake | fail: "), "{}", out.stdout);
    assert!(out.stdout.contains("rolled-back  run v3"), "{}", out.stdout);
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    let counted = expect_no_failure(&out);
    assert!(counted.contains(" v3 "), "users had seen it: {counted}");
    expect_shown(DOCUMENT, "engine run plans/hxo/deploy.yaml --set version=v3", &out.stdout);
    let replayed = lab.engine(&["gate", "replay", "v3", "release/bake"]).expect(0).stdout;
    expect_shown(DOCUMENT, "engine gate replay v3", &replayed);
    for (id, state) in [("release/switch", "undone"), ("release/start", "undone"), ("release/drain", "blocked")] {
        assert_eq!(lab.stage("v3", id)["state"], state, "{id}");
    }
    // The way is free for the next one.
    run(&lab, "v2").expect(0);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
}

#[test]
fn a_version_that_only_answers_errors_never_gets_a_request() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    let out = run(&lab, "v4").expect(1);
    assert!(out.stdout.contains("rolled-back  run v4"), "{}", out.stdout);
    let counted = expect_no_failure(&out);
    assert!(counted.contains(" 0 changes of version: v1 "), "{counted}");
}

/// A release that nobody measures from the middle of its watch on: it waits for a person.
fn held(lab: &Lab) -> Output {
    run(lab, "v1").expect(0);
    let live = Live::start(baked(lab, "v2", "bake=20s"));
    live.line("start  release/bake");
    // It stops in the middle: first something was measured.
    let samples = ".engine/runs/v2/gates/release~bake.jsonl";
    let seen = ["--expect.contains", "\"value\"", "--interval", "20ms"];
    lab.engine(&[&["gate", "probe", "file", "--path", samples], &seen[..]].concat()).expect(0);
    // Its supervisor would start it again; told to stop it, it does not.
    lab.tool("plans/lib/runit", &["stop", lab.project.path("place").to_str().expect("text"), "metrics"]);
    let out = live.end().expect(5);
    assert!(out.stdout.contains("release/bake | no-data: "), "{}", out.stdout);
    assert_eq!(lab.stage("v2", "release/bake")["state"], "waiting");
    assert_eq!(lab.stage("v2", "release/drain")["state"], "pending", "it did not pass");
    assert_eq!(lab.get(&url(lab)), "200 v2");
    out
}

#[test]
fn without_measurements_it_is_held_and_a_no_takes_it_back() {
    let lab = lab(&["plans/hxo"]);
    let out = held(&lab);
    expect_shown(DOCUMENT, "engine run plans/hxo/deploy.yaml --set version=v2 --set bake=20s", &out.stdout);
    let told = lab.engine(&["reject", "v2", "release/bake", "-m", "nobody measured it"]).expect(0);
    expect_shown(DOCUMENT, "engine reject v2 release/bake -m", &told.stdout);
    let out = lab.engine(&["resume", "v2", "--no-input"]).expect(1);
    expect_shown(DOCUMENT, "engine resume v2 --no-input", &out.stdout);
    assert!(out.stdout.contains("rolled-back  run v2"), "{}", out.stdout);
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    expect_no_failure(&out);
}

#[test]
fn without_measurements_it_is_held_and_a_yes_keeps_it() {
    let lab = lab(&["plans/hxo"]);
    held(&lab);
    lab.engine(&["approve", "v2", "release/bake"]).expect(0);
    lab.engine(&["resume", "v2", "--no-input"]).expect(0);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
}

#[test]
fn killed_in_the_middle_of_its_rollback_it_goes_on_back() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    let script = "plans/lib/nginx";
    let whole = lab.project.read(script);
    let barrier = lab.barrier();
    // The traffic has moved back, and nobody has recorded it.
    let held =
        whole.replace("  back)\n    point \"$3\"\n", &format!("  back)\n    point \"$3\"\n    {barrier}\n"));
    assert_ne!(whole, held);
    lab.project.script(script, &held);
    let live = Live::start(command(&lab, "v3"));
    lab.wait_at_barrier();
    live.signal(Signal::KILL);
    assert_eq!(live.end().status, 137);
    lab.project.script(script, &whole);
    let out = lab.engine(&["resume", "v3", "--no-input"]).expect(1);
    assert!(out.stdout.contains("rolled-back  run v3"), "{}", out.stdout);
    assert!(!out.stdout.contains("start  release/bake"), "{}", out.stdout);
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    expect_no_failure(&out);
    lab.engine(&["verify", "v3"]).expect(0);
}

fn runit(lab: &Lab, verb: &str, name: &str) {
    lab.tool("plans/lib/runit", &[verb, lab.project.path("place").to_str().expect("text"), name]);
}

#[test]
fn a_slot_that_is_down_is_healed_before_the_next_release() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    runit(&lab, "stop", "green");
    assert_eq!(lab.get(&url(&lab)), "502 ", "users are answered by nobody");
    let out = run(&lab, "v2").expect(0);
    for words in [
        "serving | users are answered with 502",
        "tries to heal it, 1 of 3",
        "serving | users are answered with 200",
    ] {
        assert!(out.stdout.contains(words), "no `{words}` in\n{}", out.stdout);
    }
    assert_eq!(lab.get(&url(&lab)), "200 v2");
    expect_shown(DOCUMENT, "engine run plans/hxo/deploy.yaml --set version=v2 --run-id", &out.stdout);
    let counted = expect_no_failure(&out);
    assert!(counted.contains(" v1 "), "the old version served again before it was replaced: {counted}");
}

#[test]
fn what_cannot_start_again_gives_way_to_the_slot_that_is_still_warm() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    run(&lab, "v2").expect(0);
    // v2 will never come up again in blue, and v1 is up in green.
    runit(&lab, "stop", "blue");
    fs::remove_file(lab.place("releases/v2.json")).expect("the release");
    lab.project.write("place/releases/v6.json", "{\"latency-ms\": 5}");
    let out = run(&lab, "v6").expect(0);
    assert!(out.stdout.contains("tries to heal it, 3 of 3"), "{}", out.stdout);
    assert_eq!(lab.get(&url(&lab)), "200 v6");
    let counted = expect_no_failure(&out);
    assert!(counted.contains(" v1 ") && !counted.contains(" v2 "), "{counted}");
}

#[test]
fn at_the_end_of_its_depth_the_guardian_halts_and_a_person_goes_on() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    runit(&lab, "stop", "green");
    let release = lab.project.read("place/releases/v1.json");
    fs::remove_file(lab.place("releases/v1.json")).expect("the release");
    let mut limited = command(&lab, "v2");
    limited.env("HXO_HEAL_DEPTH_LIMIT", "2");
    let out = Live::start(limited).end().expect(5);
    assert!(out.stdout.contains("guardian.halt: 2 tries to heal it did not help"), "{}", out.stdout);
    assert!(out.stdout.contains("`serving` has halted: release it to be tried again"), "{}", out.stdout);
    expect_shown(DOCUMENT, "HXO_HEAL_DEPTH_LIMIT=2 engine run", &out.stdout);
    let tickets = lab.engine(&["tickets", "list"]).expect(0).stdout;
    assert!(tickets.contains("critical") && tickets.contains("serving"), "{tickets}");
    assert!(!out.stdout.contains("release/start"), "nothing of the release began\n{}", out.stdout);
    // Somebody brings the release back and lets it try again.
    lab.project.write("place/releases/v1.json", release);
    lab.engine(&["approve", "v2", "serving"]).expect(0);
    let out = lab.engine(&["resume", "v2", "--no-input"]).expect(0);
    assert!(out.stdout.contains("tries to heal it, 1 of 3"), "the ladder begins anew\n{}", out.stdout);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
    expect_no_failure(&out);
}

#[test]
fn a_slot_takes_the_next_version_after_one_that_never_came_up() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    let mut missing = command(&lab, "v9");
    missing.args(["--set", "heal-depth=1"]);
    let out = Live::start(missing).end().expect(1);
    assert!(out.stdout.contains("does not come up; its last words:"), "{}", out.stdout);
    assert!(out.stdout.contains("rolled-back  run v9"), "{}", out.stdout);
    run(&lab, "v2").expect(0);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
}

#[test]
fn a_front_that_was_killed_comes_back_and_takes_the_next_release() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    // Its workers are left behind, with the port.
    let master = fs::read_to_string(lab.place("nginx/pid")).expect("its pid");
    lab.tool("kill", &["-KILL", master.trim()]);
    let slot = lab.place("green.port");
    let address = format!("127.0.0.1:{}", fs::read_to_string(slot).expect("a port").trim());
    let place = lab.project.path("place");
    lab.tool("plans/lib/nginx", &["point", place.to_str().expect("text"), &address]);
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    assert_ne!(fs::read_to_string(lab.place("nginx/pid")).expect("its pid"), master);
    let out = run(&lab, "v2").expect(0);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
    expect_no_failure(&out);
}

#[test]
fn a_front_that_cannot_come_back_is_named_with_its_last_words() {
    let lab = lab(&["plans/hxo"]);
    run(&lab, "v1").expect(0);
    let place = lab.project.path("place").to_str().expect("text").to_owned();
    lab.tool("plans/lib/runit", &["stop", &place, "nginx"]);
    let told = lab.tool("sh", &["-c", &format!("plans/lib/nginx point {place} 127.0.0.1:9 2>&1 || true")]);
    assert!(told.contains("nginx is down, and its supervisor does not bring it up"), "{told}");
    assert!(told.contains(&format!("plans/lib/nginx start {place}")), "{told}");
}
