//! Whether spawning slows down when the engine holds much memory: a `fork` would copy its page tables.

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use engine::exec::{Executor, Key, Lifetime, Local, News, OutputSink, Signal, Spec};

use crate::board::{self, Board, Budget};
use crate::machine::{in_turns, seconds};

/// Asks this program to be the engine that spawns; the word after it is what it holds, in MiB.
pub(crate) const FLAG: &str = "--spawn-from-mib";
const STARTS: u32 = 4_000;
const IN_FLIGHT: u32 = 2;

/// The same starts from a small process and from one that holds 1 GiB.
pub(crate) fn measure(board: &mut Board) {
    let [small, large] = in_turns(board.rounds, [&mut || rate_with("0"), &mut || rate_with("1024")]);
    board.tell("spawn rate of a small engine", (small, "/s"), "");
    board.tell("spawn rate of an engine that holds 1 GiB", (large, "/s"), "");
    board.judge("spawn rate, 1 GiB / small", (large / small, "×"), Budget::Least(0.85));
}

fn rate_with(held_mib: &str) -> f64 {
    let own = std::env::current_exe().expect("a program knows its file");
    let output = Command::new(own).args([FLAG, held_mib]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("no rate came back: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Holds memory, starts processes through the executor, prints how many a second.
pub(crate) fn spawn_from(held_mib: &str) {
    let held_mib: usize = held_mib.parse().expect("we wrote it");
    // Every page is written, so that it has an entry that a fork would copy.
    let held = vec![1u8; held_mib << 20];
    let (sender, news) = channel();
    let tell = Box::new(move |one| sender.send(one).unwrap_or(()));
    let local = Local::new(IN_FLIGHT as usize, Arc::new(Deaf), tell).expect("an executor");
    let took = seconds(|| {
        (0..IN_FLIGHT).for_each(|number| local.start(spec(number)));
        let (mut started, mut ended) = (IN_FLIGHT, 0);
        while ended < STARTS {
            if let News::Ended(_) = news.recv().expect("the executor answers") {
                ended += 1;
                if started < STARTS {
                    local.start(spec(started));
                    started += 1;
                }
            }
        }
    });
    board::say(&format!("{}", f64::from(STARTS) / took));
    drop(std::hint::black_box(held));
}

/// Takes no output: there is none.
struct Deaf;

impl OutputSink for Deaf {
    fn write(&self, _key: Key, _bytes: &[u8]) {}
}

fn spec(number: u32) -> Spec {
    let tag = format!("bench-{}-{number}", std::process::id());
    let env = [("PATH", "/usr/bin:/bin"), ("ENGINE_ATTEMPT_KEY", &*tag)].into_iter().collect();
    Spec {
        key: Key(u64::from(number)),
        argv: vec!["true".into()],
        env,
        secrets: Vec::new(),
        cwd: std::env::current_dir().expect("a bench stands somewhere"),
        stop_signal: Signal::Term,
        grace: Duration::from_secs(5),
        idle: None,
        tag,
        lifetime: Lifetime::Stage,
        pipes: None,
        seen: 0,
        after: 0,
    }
}
