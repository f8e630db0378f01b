//! A million items through `protocol: lines` with one worker, beside the same worker at the ends of two plain pipes.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{in_turns, room, seconds};
use crate::tool::run_engine;

const ITEMS: u32 = 1_000_000;
/// A worker that only answers.
const WORKER: &str = include_str!("../support/worker.rs");

/// Every answer is on the disk before the run says that it is done.
pub(crate) fn measure(board: &mut Board) {
    let room = room("lines");
    write(&room, "worker.rs", WORKER);
    let built = Command::new("rustc").args(["--edition", "2024", "-O", "worker.rs"]).current_dir(&room).status();
    assert!(built.is_ok_and(|status| status.success()), "the compiler that built this bench");
    let plan = format!(
        "{{\"version\": 1, \"stages\": {{\"pack\": {{\"run\": [\"./worker\"], \"shards\": \
         {{\"items\": {{\"range\": {ITEMS}}}, \"protocol\": \"lines\", \"max-parallel\": 1}}}}}}}}"
    );
    write(&room, "plan.json", &plan);
    let ours = || run_engine(&room, "plan.json", 2).wall;
    let [ours, plain] = in_turns(board.rounds, [&mut || ours(), &mut || seconds(|| pipes(&room))]);
    let rate = |took: f64| f64::from(ITEMS) / took;
    board.tell("1,000,000 items through plain pipes", (rate(plain), "items/s"), "the same worker, nothing kept");
    board.judge("1,000,000 items by `protocol: lines`", (rate(ours), "items/s"), Budget::Least(300_000.0));
    board.tell("… / plain pipes", (ours / plain, "×"), "");
}

/// Writes all items to a worker and reads its answers, as fast as pipes are.
fn pipes(room: &Path) {
    let mut worker = Command::new("./worker")
        .current_dir(room)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built just now");
    let (mut to, mut from) = (worker.stdin.take().expect("piped"), worker.stdout.take().expect("piped"));
    let writer = std::thread::spawn(move || {
        let mut lines = String::new();
        for item in 0..ITEMS {
            let _written = writeln!(lines, "{{\"id\":{item},\"item\":{item}}}");
            if lines.len() > 1 << 16 || item + 1 == ITEMS {
                to.write_all(lines.as_bytes()).expect("it reads to the end");
                lines.clear();
            }
        }
    });
    let (mut answers, mut block) = (0, vec![0; 1 << 16]);
    loop {
        let len = from.read(&mut block).expect("a pipe can be read");
        if len == 0 {
            break;
        }
        answers += block[..len].split(|&byte| byte == b'\n').count() - 1;
    }
    writer.join().expect("it wrote everything");
    assert_eq!(answers, ITEMS as usize);
    assert!(worker.wait().is_ok_and(|status| status.success()));
}
