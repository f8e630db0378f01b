//! `engine supervise`: real services, stopped, killed, refused and started again.

use std::os::unix::net::UnixDatagram;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;

use crate::support::{Live, Project, free_port};

/// A service that says which process it is and notes how it is asked to stop.
const SERVICE: &str = "#!/bin/sh
for one in INT TERM; do trap \"echo asked $one; exit 0\" $one; done
echo x >> starts
echo \"up $$ ${GREETING-}\"
while :; do sleep 1000 & wait $!; done
";

fn project(more: &str) -> Project {
    let project = Project::new();
    project.script("service", SERVICE);
    project.write("service.yaml", format!("version: 1\nname: shop\nrun: [./service]\n{more}"));
    project
}

fn up(project: &Project) -> (Live, Pid) {
    let live = project.start(&["supervise", "service.yaml"]);
    let pid = said_pid(&live);
    (live, pid)
}

fn said_pid(live: &Live) -> Pid {
    let line = live.line("up ");
    let pid = line.split(' ').nth(1).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    pid.expect("the service says its process")
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err()
}

fn starts(project: &Project) -> usize {
    project.read("starts").lines().count()
}

#[test]
fn a_service_is_stopped_by_its_sequence_and_leaves_nothing() {
    let project = project("stop: [{signal: INT, grace: 30s}, {signal: TERM, grace: 30s}]\n");
    let (live, pid) = up(&project);
    live.signal(Signal::TERM);
    let output = live.end().expect(0);
    assert!(output.stdout.contains("asked INT"), "{}", output.stdout);
    assert!(output.stderr.contains("shop | stopped"), "{}", output.stderr);
    assert!(is_gone(pid));
    assert_eq!(starts(&project), 1, "a service that was stopped is not started again");
}

#[test]
fn one_that_ignores_every_signal_is_killed_behind_the_last_step() {
    let project = Project::new();
    let deaf = "trap '' INT TERM; echo up $$; while :; do sleep 1000 & wait $!; done";
    let stop = "stop: [{signal: INT, grace: 100ms}, {signal: TERM, grace: 100ms}]";
    project.write("service.yaml", format!("version: 1\nname: deaf\nrun: [sh, -c, \"{deaf}\"]\n{stop}\n"));
    let (live, pid) = up(&project);
    live.signal(Signal::INT);
    let output = live.end().expect(0);
    for line in ["asked to stop: INT", "asked to stop: TERM", "deaf | stopped"] {
        assert!(output.stderr.contains(line), "{line}: {}", output.stderr);
    }
    assert!(is_gone(pid));
}

#[test]
fn a_service_that_dies_starts_again_until_its_restarts_are_used_up() {
    let project = project("restart: {max: 2, within: 10m, delay: 10ms}\n");
    let (live, first) = up(&project);
    rustix::process::kill_process(first, Signal::KILL).expect("it lives");
    live.error_line("ended by itself: killed by signal 9; starts again in 10ms, 1 more within 10m");
    let second = said_pid(&live);
    rustix::process::kill_process(second, Signal::TERM).expect("it lives");
    live.error_line("ended by itself: exit 0; starts again in 20ms, 0 more within 10m");
    let third = said_pid(&live);
    rustix::process::kill_process(third, Signal::KILL).expect("it lives");
    let output = live.end().expect(1);
    assert!(output.stderr.contains("error: service `shop` was given up: ended by itself"), "{}", output.stderr);
    let tickets = project.engine(&["tickets", "list"]).expect(0).stdout;
    assert!(tickets.contains("critical") && tickets.contains("service `shop` was given up"), "{tickets}");
    assert_eq!(starts(&project), 3);
}

#[test]
fn a_guard_that_refuses_lets_nothing_start() {
    let project = project("guard: {run: 'echo no port; exit 3'}\n");
    let output = project.engine(&["supervise", "service.yaml"]).expect(1);
    assert!(output.stdout.contains("no port"), "{}", output.stdout);
    assert!(output.stderr.contains("error: service `shop` was not started: exit 3"), "{}", output.stderr);
    assert!(!project.has("starts"));
}

#[test]
fn a_killed_supervisor_takes_its_service_along() {
    let project = project("");
    let (live, pid) = up(&project);
    live.kill_worker();
    live.end().expect(137);
    assert!(is_gone(pid), "the front has ended what is below it");
    // The lock went with its holder.
    let (live, _) = up(&project);
    live.signal(Signal::TERM);
    live.end().expect(0);
}

#[test]
fn one_supervisor_at_a_time_and_others_can_ask_and_stop_it() {
    let project = project("env: {GREETING: hello}\n");
    let absent = project.engine(&["supervise", "service.yaml", "--status"]).expect(4);
    assert!(absent.stderr.contains("nobody supervises service `shop`"), "{}", absent.stderr);
    let (live, pid) = up(&project);
    let front = live.pid().as_raw_nonzero();
    let refused = project.engine(&["supervise", "service.yaml"]).expect(7);
    assert!(
        refused.stderr.contains(&format!("service `shop` is supervised by process {front}")),
        "{}",
        refused.stderr
    );
    let shown = project.engine(&["supervise", "service.yaml", "--status", "--json"]).expect(0);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["state"], "up");
    assert_eq!(shown["process"], i64::from(pid.as_raw_nonzero().get()));
    let text = project.engine(&["supervise", "service.yaml", "--status"]).expect(0);
    assert!(text.stdout.starts_with("shop: up for "), "{}", text.stdout);
    let stopped = project.engine(&["supervise", "service.yaml", "--stop"]).expect(0);
    assert_eq!(stopped.stdout, "stopped service shop\n");
    let output = live.end().expect(0);
    assert!(output.stdout.contains("hello") && output.stdout.contains("asked TERM"), "{}", output.stdout);
    project.engine(&["supervise", "service.yaml", "--stop"]).expect(4);
    project.engine(&["supervise", "service.yaml", "--status"]).expect(4);
}

#[test]
fn health_decides_when_it_is_up_and_when_it_starts_again() {
    let health =
        "health: {run: [test, -e, healthy], interval: 20ms, successes: 2, failures: 2, start-within: 10m}";
    let project = project(&format!("{health}\nrestart: {{delay: 1ms}}\n"));
    let manager = UnixDatagram::bind(project.path("notify")).expect("a socket");
    let mut command = project.command(&["supervise", "service.yaml"]);
    command.env("NOTIFY_SOCKET", project.path("notify"));
    let live = Live::start(command);
    said_pid(&live);
    project.write("healthy", "");
    live.error_line("healthy after");
    let mut word = [0; 32];
    let length = manager.recv(&mut word).expect("a word");
    assert_eq!(&word[..length], b"READY=1");
    std::fs::remove_file(project.path("healthy")).expect("it is there");
    live.error_line("not healthy 2 times in a row");
    live.error_line("not healthy 2 times in a row; starts again");
    said_pid(&live);
    live.signal(Signal::TERM);
    live.end().expect(0);
}

#[test]
fn a_question_over_http_is_asked_and_redirects_are_not_followed() {
    let project = Project::new();
    project.write(
        "serve.py",
        "import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_good = os.path.exists('good')
        self.send_response(200 if is_good else 302)
        self.send_header('Location', '/elsewhere')
        self.end_headers()
        print('asked', flush=True)
    def log_message(self, *args): pass
server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)
print('up', os.getpid(), flush=True)
server.serve_forever()
",
    );
    let port = free_port();
    project.write(
        "service.yaml",
        format!(
            "version: 1\nname: web\nrun: [python3, serve.py, '{port}']\n\
             health: {{url: 'http://127.0.0.1:{port}/healthz', interval: 20ms, start-within: 10m}}\n"
        ),
    );
    let (live, _) = up(&project);
    // It was asked twice and sent elsewhere, which is no good answer.
    live.line("asked");
    live.line("asked");
    let shown = project.engine(&["supervise", "service.yaml", "--status"]).expect(0);
    assert!(shown.stdout.starts_with("web: starting"), "{}", shown.stdout);
    project.write("good", "");
    live.error_line("healthy after");
    live.signal(Signal::TERM);
    live.end().expect(0);
}

#[test]
fn it_is_drained_before_it_is_stopped() {
    let drain = "drain: {run: 'echo x >> drains; test $(wc -l < drains) -ge 3', interval: 10ms, within: 10m}";
    let project = project(&format!("{drain}\n"));
    let (live, _) = up(&project);
    live.signal(Signal::TERM);
    let output = live.end().expect(0);
    // Whether the service's own `sleep` is gone before it is nobody's promise.
    let told: Vec<&str> = output.stderr.lines().filter(|line| !line.contains("left running")).collect();
    assert!(told.ends_with(&["shop | drained", "shop | asked to stop: TERM", "shop | stopped"]), "{told:?}");
    assert_eq!(project.read("drains"), "x\nx\nx\n");
}

#[test]
fn variables_of_a_file_are_read_anew_before_each_start_and_a_bad_file_is_located() {
    let project = project("env-file: shop.env\nrestart: {delay: 1ms}\n");
    project.write("shop.env", "GREETING=one\n");
    let live = project.start(&["supervise", "service.yaml"]);
    let line = live.line("up ");
    assert!(line.ends_with(" one"), "{line}");
    let pid = line.split(' ').nth(1).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw).expect("a process");
    project.write("shop.env", "GREETING=two\n");
    rustix::process::kill_process(pid, Signal::KILL).expect("it lives");
    assert!(live.line("up ").ends_with(" two"));
    live.signal(Signal::TERM);
    live.end().expect(0);
    project.write("shop.env", "GREETING=three\nno line\n");
    let output = project.engine(&["supervise", "service.yaml"]).expect(1);
    assert!(output.stderr.contains("shop.env:2: there is no `=`"), "{}", output.stderr);
}

#[test]
fn a_wrong_file_is_told_by_place_and_starts_nothing() {
    let project = project("restart: {max: many}\nhealth: {interval: 5}\nstpo: {}\n");
    let output = project.engine(&["supervise", "service.yaml", "--check"]).expect(3);
    for part in ["service.yaml:4:16", "unknown key `stpo`", "did you mean `stop`", "`interval` has no unit"] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert!(!project.has(".engine"));
    project.write("both.yaml", "version: 1\nname: a\nrun: x\nhealth: {run: x, url: 'http://h'}\n");
    let output = project.engine(&["supervise", "both.yaml", "--check"]).expect(3);
    assert!(output.stderr.contains("`health` needs exactly one of `url` and `run`"), "{}", output.stderr);
    project.write("good.toml", "version = 1\nname = \"a\"\nrun = [\"./a\"]\n[[stop]]\nsignal = \"INT\"\n");
    let output = project.engine(&["supervise", "good.toml", "--check"]).expect(0);
    assert_eq!(output.stdout, "good.toml: service a, no errors\n");
    let router = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/router/service.yaml");
    project.engine(&["supervise", router, "--check"]).expect(0);
}

#[test]
fn a_stage_may_start_one_that_outlives_the_run() {
    let project = project("");
    let engine = env!("CARGO_BIN_EXE_engine");
    project.write(
        "plan.yaml",
        format!(
            "version: 1\nname: p\nstages:\n  start:\n    lifetime: host\n    run: |\n      \
             setsid {engine} supervise service.yaml > out.log 2> err.log < /dev/null &\n      \
             until test -e starts; do :; done\n"
        ),
    );
    project.engine(&["run", "plan.yaml"]).expect(0);
    project.engine(&["supervise", "service.yaml", "--status"]).expect(0);
    project.engine(&["supervise", "service.yaml", "--stop"]).expect(0);
    assert!(project.read("err.log").contains("shop | stopped"));
}

#[test]
fn runit_starts_and_stops_one_like_any_other_service() {
    let project = project("stop: [{signal: INT, grace: 30s}]\n");
    let engine = env!("CARGO_BIN_EXE_engine");
    let run = format!("#!/bin/sh\ncd {}\nexec {engine} supervise service.yaml 2>&1\n", project.path("").display());
    project.script("sv/run", &run);
    let runit = |program: &str, args: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(args).current_dir(project.path(""));
        command
    };
    let live = Live::start(runit("runsv", &["sv"]));
    let pid = said_pid(&live);
    let stopped = runit("sv", &["-w", "60", "stop", "./sv"]).output().expect("sv runs");
    assert!(stopped.status.success(), "{stopped:?}");
    live.line("asked INT");
    assert!(is_gone(pid));
    assert!(runit("sv", &["exit", "./sv"]).status().expect("sv runs").success());
    live.end().expect(0);
}
