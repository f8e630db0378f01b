//! The engine is killed with -9 while a push is under way. Hooks of the remote hold the push still: before it
//! moved anything, or after it moved everything and before git could say so.

use std::fs;
use std::sync::mpsc::channel;

use rustix::process::{Pid, Signal, kill_process};

use crate::site::Site;
use crate::support::{Live, PATIENCE};

/// Who is killed.
#[derive(Clone, Copy)]
enum Victim {
    /// The process that the user started.
    Front,
    /// The process that does the work.
    Worker,
}

/// Lets the push of `branch` stop in `hook`, which is `pre-receive` or `post-receive`.
fn hold(site: &Site, hook: &str, branch: &str) {
    let hooks = site.path("origin.git/hooks");
    for fifo in ["reached", "go"] {
        site.command("mkfifo", &[&format!("site/{fifo}")]);
    }
    fs::rename(hooks.join(hook), hooks.join("real")).expect("the hook moves aside");
    let root = site.path("");
    let text = format!(
        "#!/bin/sh\nmoves=$(cat)\ncase $moves in *refs/heads/{branch}*)\n  echo here >{root}/reached\n  \
         read -r _ <{root}/go ;;\nesac\nprintf '%s\\n' \"$moves\" | {hooks}/real\n",
        root = root.display(),
        hooks = hooks.display(),
    );
    site.project.script(hooks.join(hook), &text);
}

/// Gives the hook back.
fn release(site: &Site, hook: &str) {
    let hooks = site.path("origin.git/hooks");
    fs::rename(hooks.join("real"), hooks.join(hook)).expect("the hook comes back");
}

/// Waits until the held hook runs.
fn wait_until_held(site: &Site) {
    let (sender, reached) = channel();
    let fifo = site.path("reached");
    std::thread::spawn(move || sender.send(fs::read_to_string(fifo)));
    let said = reached.recv_timeout(PATIENCE).expect("the push reaches the remote").expect("a line");
    assert_eq!(said, "here\n");
}

fn kill(live: &Live, victim: Victim) {
    let front = live.pid();
    let pid = match victim {
        Victim::Front => front,
        Victim::Worker => {
            let raw = front.as_raw_nonzero();
            let children = fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")).expect("procfs");
            let child = children.split_whitespace().next().expect("the front has a worker");
            Pid::from_raw(child.parse().expect("a number")).expect("not zero")
        }
    };
    kill_process(pid, Signal::KILL).expect("it lives");
}

/// A release that is killed in the push of `branch`, resumed, and then whole; gives what the resume printed.
fn killed_release(hook: &str, branch: &str, victim: Victim) -> (Site, String) {
    let site = Site::new();
    let (khala, checkout) = (site.commit("khala"), site.checkout());
    hold(&site, hook, branch);
    let mut command = site.engine(&Site::release("0.2.0"));
    command.arg("--yes");
    let live = Live::start(command);
    wait_until_held(&site);
    let before = site.refs();
    kill(&live, victim);
    live.end();
    assert_eq!(site.refs(), before, "nothing of the killed push arrives late");
    release(&site, hook);

    let resumed = site.run_approved(&["resume"]).expect(0).stdout;
    site.expect_on_khala("v0.2.0", &site.commit("archives/v0.2.0"), &khala);
    assert_eq!(site.origin(&["rev-list", "--count", "--merges", "--first-parent", "khala"]), "1");
    assert_eq!(site.checkout(), checkout);
    assert!(!site.has_workspace());
    site.run(&["verify"]).expect(0);
    (site, resumed)
}

#[test]
fn killed_before_production_moved_it_asks_origin_and_pushes() {
    let (site, resumed) = killed_release("pre-receive", "khala", Victim::Front);
    assert!(!resumed.contains("start  merge-khala"), "the merge was recorded\n{resumed}");
    assert!(resumed.contains("pushed"), "{resumed}");
    assert_eq!(site.state("publish"), "success");
}

#[test]
fn killed_after_production_moved_it_asks_origin_and_pushes_no_more() {
    let (site, resumed) = killed_release("post-receive", "khala", Victim::Front);
    assert!(resumed.contains("its `done-if` says that it is done"), "{resumed}");
    assert!(!resumed.contains("start  publish"), "origin said that it was done\n{resumed}");
    assert_eq!(site.state("publish"), "success");
}

#[test]
fn a_killed_worker_is_no_different() {
    let (_, resumed) = killed_release("pre-receive", "khala", Victim::Worker);
    assert!(resumed.contains("pushed"), "{resumed}");
}

#[test]
fn killed_before_staging_moved_it_pushes_the_same_merge() {
    let (_, resumed) = killed_release("pre-receive", "gateway", Victim::Front);
    assert!(!resumed.contains("start  merge-gateway"), "the merge was recorded\n{resumed}");
}

#[test]
fn killed_after_staging_moved_the_push_finds_nothing_to_do() {
    let (_, resumed) = killed_release("post-receive", "archives", Victim::Worker);
    assert!(resumed.contains("origin has all of it already"), "{resumed}");
}
