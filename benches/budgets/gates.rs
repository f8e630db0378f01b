//! A run whose thousand gates all poll each second: what that costs, and how soon they decide.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use engine::exec::gates::read_samples;

use crate::board::{Board, Budget};
use crate::cpu::{look, only_run};
use crate::dag::write;
use crate::machine::{rest, room, seconds};
use crate::server::Server;
use crate::tool::{engine, forget_runs};

const GATES: usize = 1_000;
/// Good answers in a row, one a second, that a gate wants while its polling is measured.
const ROUNDS: u64 = 28;
/// The same where its decision is.
const ROUNDS_OF_LAG: u64 = 5;
/// How long the polling is measured, once all gates have begun.
const WINDOW: Duration = Duration::from_secs(20);
/// How often it is looked whether all have begun, and how long that may take.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE_LOOKS: u32 = 600;

/// Over HTTP, connections kept alive.
pub(crate) fn http(board: &mut Board) {
    let room = room("gates-http");
    let server = Server::start(GATES);
    write_plan(&room, ROUNDS, |gate| format!("\"uses\": \"http\", \"with\": {{{}", url(&server, gate)));
    polling(board, &room, "http", 25.0);
    #[expect(clippy::cast_precision_loss, reason = "there are some dozens")]
    let connections = server.connections() as f64;
    board.tell("1,000 gates, `http`: connections made", (connections, ""), "for 28,000 requests");
}

/// At a file.
pub(crate) fn file(board: &mut Board) {
    let room = room("gates-file");
    write(&room, "ready", "yes\n");
    write_plan(&room, ROUNDS, |_| "\"uses\": \"file\", \"with\": {\"path\": \"ready\"".to_owned());
    polling(board, &room, "file", 5.0);
}

/// From the moment at which the server sends the last answer to the one at which a reader of the run's own account, which
/// tells only what is on the disk, knows that the gate has decided.
pub(crate) fn lag(board: &mut Board) {
    let room = room("gate-lag");
    let server = Server::start(GATES);
    write_plan(&room, ROUNDS_OF_LAG, |gate| format!("\"uses\": \"http\", \"with\": {{{}", url(&server, gate)));
    let mut front = start(&room, "json");
    let lines = BufReader::new(front.stdout.take().expect("piped")).lines();
    let lines = lines.map(|line| line.expect("it writes whole lines"));
    let mut lags_us: Vec<u64> = lines.filter_map(|line| server.since_last_us(decided(&line)?)).collect();
    let status = front.wait().expect("it is our child");
    assert!(status.success(), "the run ended with {status}");
    assert_eq!(lags_us.len(), GATES, "each gate has decided");
    lags_us.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a short run")]
    let at = |percent: usize| (lags_us[(GATES - 1) * percent / 100] as f64 / 1e3, "ms");
    board.judge("1,000 gates, last answer to decision told, median", at(50), Budget::Most(100.0));
    board.tell("… 99 % of them within", at(99), "");
}

/// Which gate a line of the account says is over.
fn decided(line: &str) -> Option<usize> {
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of `--output json`");
    (line["event"] == "stage-finished").then(|| line["stage"].as_str()?.strip_prefix('g')?.parse().ok())?
}

fn url(server: &Server, gate: usize) -> String {
    format!("\"url\": \"http://127.0.0.1:{}/{gate}\"", server.port)
}

/// Gates that wait for nothing.
fn write_plan(room: &Path, rounds: u64, asks: impl Fn(usize) -> String) {
    let mut plan = "{\"version\": 1, \"stages\": {".to_owned();
    for gate in 0..GATES {
        let comma = if gate == 0 { "" } else { "," };
        let asks = asks(gate);
        let _written =
            write!(plan, "{comma}\n\"g{gate:04}\": {{{asks}, \"interval\": \"1s\", \"consecutive\": {rounds}}}}}");
    }
    write(room, "plan.json", &(plan + "}}\n"));
}

fn start(room: &Path, output: &str) -> Child {
    forget_runs(room);
    // Two slots: a gate takes none, so all of them ask side by side.
    let mut command = engine(room, &["run", "plan.json", "--output", output, "-j", "2"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the engine starts")
}

/// Processor time of the front and the worker in one window, their largest sets, and what was asked in time.
fn polling(board: &mut Board, room: &Path, kind: &str, most_percent: f64) {
    let mut front = start(room, "quiet");
    let begun = (0..PATIENCE_LOOKS).any(|_| {
        rest(LOOK);
        has_begun(room)
    });
    assert!(begun, "not all gates have begun");
    let mut seen = Vec::new();
    let spent = |seen: &mut Vec<(u32, f64)>| {
        look(&front, seen);
        seen.iter().map(|(_, spent)| spent).sum::<f64>()
    };
    let before = spent(&mut seen);
    let (mut after, mut peak) = (0.0, 0.0);
    let took = seconds(|| {
        rest(WINDOW);
        after = spent(&mut seen);
    });
    assert!(seen.len() >= 2, "both the front and the worker were seen");
    for (pid, _) in &seen {
        peak += peak_mib(*pid);
    }
    let status = front.wait().expect("it is our child");
    assert!(status.success(), "the run ended with {status}");
    let percent = (after - before) / took * 100.0;
    let what = format!("1,000 gates, `{kind}` each second, share of one core");
    board.judge(what, (percent, "%"), Budget::Most(most_percent));
    board.judge(format!("1,000 gates, `{kind}`: memory"), (peak, "MiB"), Budget::Most(128.0));
    let in_time = asked_percent(room);
    board.judge(format!("1,000 gates, `{kind}`: rounds asked in their time"), (in_time, "%"), Budget::Least(99.0));
}

/// Whether each gate keeps samples already.
fn has_begun(room: &Path) -> bool {
    let runs = std::fs::read_dir(room.join(".engine/runs")).into_iter().flatten().flatten();
    let gates = runs.filter_map(|run| std::fs::read_dir(run.path().join("gates")).ok());
    gates.flatten().count() >= GATES
}

fn peak_mib(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it polls for some seconds more");
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix(" kB")?.trim().parse().ok());
    peak.unwrap_or(f64::NAN) / 1024.0
}

/// Rounds asked, of those whose time came before the verdict.
fn asked_percent(room: &Path) -> f64 {
    let (mut asked, mut due) = (0, 0);
    for file in std::fs::read_dir(only_run(room).samples_path()).expect("gates keep their samples").flatten() {
        let stored = read_samples(&file.path()).expect("it is whole");
        asked += stored.samples.len() as u64;
        due += stored.samples.last().map_or(0, |last| last.at / 1000 + 1);
    }
    assert_eq!(asked, GATES as u64 * ROUNDS, "each gate has all its samples");
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let share = asked as f64 / due as f64;
    share * 100.0
}
