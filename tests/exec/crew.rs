//! Crews of real workers, good and hostile. The test plays the driver: it starts and stops what the crew asks for, and
//! gives lost items again.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::support::{Held, alone, argv, shared};
use crate::waiting::{PATIENCE, until};
use engine::base::limits;
use engine::exec::crew::{Answer, Lost, Told, Trade};
use engine::exec::{Capture, Crew, Executor, Key, Local, News, OutputSink, Pipes, Spec, StopKind};
use engine::run::Outcome;
use rustix::pipe::{PipeFlags, pipe_with};

enum Heard {
    Told(Told),
    Exec(News),
}

/// A crew, its processes, and what came of its items.
struct Shop {
    local: Local,
    crew: Crew,
    heard: Receiver<Heard>,
    capture: Arc<Capture>,
    worker: Spec,
    next_key: u64,
    keys: Vec<Key>,
    /// What became of each item, first of all attempts.
    ends: BTreeMap<u32, Answer>,
    /// Attempts of each item.
    numbers: BTreeMap<u32, u16>,
    lost: Vec<Lost>,
    is_gone: bool,
    repeats: bool,
    _turn: Held,
}

/// What most crews do.
fn trade(in_flight: usize) -> Trade {
    Trade {
        in_flight,
        timeout: None,
        grace: Duration::from_secs(5),
        is_idempotent: true,
        outputs: Vec::new(),
        item: Box::new(|item, out| out.extend_from_slice(format!("\"item {item}\"").as_bytes())),
    }
}

impl Shop {
    fn open(trade: Trade, worker: Spec) -> Self {
        Self::with(trade, worker, shared())
    }

    fn with(trade: Trade, worker: Spec, turn: Held) -> Self {
        let (sender, heard) = channel();
        let capture = Arc::new(Capture::new(1 << 20));
        let told: Sender<Heard> = sender.clone();
        let sink: Arc<dyn OutputSink> = Arc::<Capture>::clone(&capture);
        let local = Local::new(2, sink, Box::new(move |news| told.send(Heard::Exec(news)).unwrap_or(())))
            .expect("an executor");
        let tell = Box::new(move |told| sender.send(Heard::Told(told)).unwrap_or(()));
        let crew = Crew::new(trade, tell).expect("a crew");
        Self {
            local,
            crew,
            heard,
            capture,
            worker,
            next_key: 0,
            keys: Vec::new(),
            ends: BTreeMap::new(),
            numbers: BTreeMap::new(),
            lost: Vec::new(),
            is_gone: false,
            repeats: true,
            _turn: turn,
        }
    }

    fn give(&mut self, count: u32) {
        self.numbers.extend((0..count).map(|item| (item, 1)));
        self.crew.give(0, count, 1);
    }

    fn hear(&mut self) {
        match self.heard.recv_timeout(PATIENCE).expect("news in time") {
            Heard::Told(Told::Wanted(place)) => self.start(place),
            Heard::Told(Told::Stop(key, how)) => self.local.stop(key, how),
            Heard::Told(Told::Answered(answers)) => {
                for (first, count) in answers.runs {
                    (first..first + count).for_each(|item| self.end(plain(item, 1)));
                }
                answers.others.into_iter().for_each(|answer| self.end(answer));
            }
            Heard::Told(Told::Lost(lost)) => {
                for &(item, number) in &lost.items {
                    assert_eq!(self.numbers.get(&item), Some(&number), "lost in the attempt that ran");
                    if self.repeats {
                        self.numbers.insert(item, number + 1);
                        self.crew.give(item, 1, number + 1);
                    }
                }
                self.lost.push(lost);
            }
            Heard::Told(Told::Gone) => self.is_gone = true,
            Heard::Exec(News::Ended(ended)) => self.crew.ended(ended.key, ended.exit, ended.notes),
            Heard::Exec(News::Started { .. } | News::Silent { .. }) => {}
        }
    }

    fn start(&mut self, place: u32) {
        self.next_key += 1;
        let key = Key(self.next_key);
        self.keys.push(key);
        let pipe = || pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let ((theirs_in, ours_in), (ours_out, theirs_out)) = (pipe(), pipe());
        let tag = format!("{}-{}", self.worker.tag, self.next_key);
        let (stdin, stdout): (Arc<OwnedFd>, Arc<OwnedFd>) = (Arc::new(theirs_in), Arc::new(theirs_out));
        let mut spec = Spec { key, tag: tag.clone(), pipes: Some(Pipes { stdin, stdout }), ..self.worker.clone() };
        spec.env.set("ENGINE_ATTEMPT_KEY", tag);
        self.local.start(spec);
        self.crew.join(place, key, ours_in, ours_out);
    }

    fn end(&mut self, answer: Answer) {
        assert_eq!(self.numbers.get(&answer.item), Some(&answer.number), "{answer:?} is of an attempt that runs");
        let old = self.ends.insert(answer.item, answer);
        assert!(old.is_none(), "{old:?} was answered once already");
    }

    /// Gives `count` items, waits for all answers, and lets the crew go.
    fn work(mut self, count: u32) -> Self {
        self.crew.hire(1);
        self.give(count);
        self.finish(count)
    }

    fn finish(mut self, count: u32) -> Self {
        while self.ends.len() < count as usize {
            self.hear();
        }
        self.crew.dismiss(StopKind::Terminate);
        while !self.is_gone {
            self.hear();
        }
        self
    }

    fn outcome(&self, item: u32) -> &Outcome {
        &self.ends[&item].outcome
    }

    fn failed(&self) -> Vec<u32> {
        self.ends.values().filter(|end| end.outcome != Outcome::Success).map(|end| end.item).collect()
    }

    /// Why workers were replaced, in order.
    fn whys(&self) -> Vec<&str> {
        self.lost.iter().filter_map(|lost| lost.why.as_deref()).collect()
    }
}

fn plain(item: u32, number: u16) -> Answer {
    Answer { item, number, outcome: Outcome::Success, outputs: Vec::new(), note: None }
}

/// A worker in Python: `body` does something for each `id`, `item` and `attempt`, and may `answer(id)`.
fn python(head: &str, body: &str) -> Spec {
    let indented = body.replace('\n', "\n    ");
    argv(&[
        "/usr/bin/env",
        "python3",
        "-c",
        &format!(
            "import json, os, signal, sys\n\
         def say(text): sys.stdout.write(text + '\\n'); sys.stdout.flush()\n\
         def answer(id): say(json.dumps({{'id': id}}))\n\
         def once(name):\n    if os.path.exists(name): return False\n    open(name, 'w').close(); return True\n\
         {head}\n\
         for line in sys.stdin:\n    it = json.loads(line); id = it['id']\n    {indented}\n"
        ),
    ])
}

fn within(folder: &Path, mut spec: Spec) -> Spec {
    folder.clone_into(&mut spec.cwd);
    spec
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn workers_answer_in_any_order_and_share_the_items() {
    // Each takes what is there, and answers it backwards.
    let script = "import os\nwhile True:\n    text = b''\n    while not text.endswith(b'\\n'):\n        \
                  part = os.read(0, 65536)\n        if not part: raise SystemExit\n        text += part\n    \
                  ids = [line.split(b':')[1].split(b',')[0] for line in text.splitlines()]\n    \
                  os.write(1, b''.join(b'{\"id\": %s}\\n' % id for id in reversed(ids)))";
    let mut shop = Shop::open(trade(50), argv(&["/usr/bin/env", "python3", "-c", script]));
    shop.crew.hire(3);
    shop.give(20_000);
    let shop = shop.finish(20_000);
    assert_eq!((shop.failed(), shop.keys.len()), (vec![], 3));
    assert!(shop.lost.is_empty(), "{:?}", shop.lost);
}

#[test]
fn no_worker_has_more_unanswered_items_than_it_may_have() {
    let dir = folder();
    let script = "import os\nmost = 0\nwhile True:\n    text = os.read(0, 1 << 20)\n    \
                  if not text: break\n    lines = text.splitlines(); most = max(most, len(lines))\n    \
                  os.write(1, b''.join(b'{\"id\": %s}\\n' % l.split(b':')[1].split(b',')[0] for l in lines))\n\
                  open('most', 'w').write(str(most))";
    let worker = within(dir.path(), argv(&["/usr/bin/env", "python3", "-c", script]));
    Shop::open(trade(7), worker).work(5000);
    let most = std::fs::read_to_string(dir.path().join("most")).expect("the worker said it");
    assert!((2..=7).contains(&most.parse::<u32>().expect("a number")), "{most} at once");
}

#[test]
fn what_a_worker_writes_to_its_standard_error_is_output() {
    let shop =
        Shop::open(trade(4), python("", "sys.stderr.write('did %d\\n' % id); sys.stderr.flush(); answer(id)"));
    let shop = shop.work(3);
    let text = shop.capture.take(shop.keys[0]);
    assert_eq!(String::from_utf8_lossy(&text), "did 0\ndid 1\ndid 2\n");
}

#[test]
fn answers_bring_outputs_and_errors() {
    let outputs = vec![("n".into(), engine::plan::model::Type::Int)];
    let body = "if id == 1: say(json.dumps({'id': 1, 'error': 'no such file', 'code': 69}))\n\
                elif id == 2: say(json.dumps({'id': 2}))\n\
                else: say(json.dumps({'id': id, 'outputs': {'n': len(it['item'])}}))";
    let shop = Shop::open(Trade { outputs, ..trade(4) }, python("", body)).work(4);
    assert_eq!(shop.ends[&0].outputs, [("n".to_owned(), 6.into())]);
    assert_eq!((shop.outcome(1), shop.ends[&1].note.as_deref()), (&Outcome::Exit(69), Some("no such file")));
    assert!(matches!(shop.outcome(2), Outcome::BadResult(why) if why.contains("`n` is declared")));
    assert_eq!((shop.failed(), shop.keys.len()), (vec![1, 2], 1));
}

/// What a hostile worker does once, at item 20; and what is said about it.
const ONCE: [(&str, &str); 9] = [
    ("os.kill(os.getpid(), signal.SIGKILL)", "worker 0 was ended by signal 9"),
    ("os._exit(3)", "worker 0 ended with exit code 3"),
    ("os._exit(0)", "worker 0 ended with exit code 0"),
    ("say('what?')", "worker 0 answered with a line that is no JSON object: \"what?\""),
    (
        "answer(id); answer(id)",
        "worker 0 answered with item 20, which it does not have: answered before, or never given",
    ),
    (
        "answer(4_000_000)",
        "worker 0 answered with item 4000000, which it does not have: answered before, or never given",
    ),
    (
        "sys.stdout.write('x' * 100_000_000)",
        "worker 0 answered with a line longer than 1048576 bytes (MAX_ANSWER_BYTES)",
    ),
    ("os.close(1); signal.pause()", "worker 0 closed its standard output"),
    ("os.close(0); signal.pause()", "worker 0 closed its standard input"),
];

#[test]
fn a_worker_that_goes_wrong_once_is_replaced_and_only_its_unanswered_items_are_repeated() {
    for (deed, why) in ONCE {
        let dir = folder();
        let body = format!(
            "open('log', 'a').write('%d\\n' % id)\nif id == 20 and once('done'):\n    {deed}\nelse:\n    answer(id)"
        );
        // No deed is one that the clock has to find.
        let timeout = Some(Duration::from_mins(1));
        let grace = Duration::from_secs(1);
        let shop =
            Shop::open(Trade { timeout, grace, ..trade(8) }, within(dir.path(), python("", &body))).work(60);
        assert_eq!((shop.failed(), shop.keys.len()), (vec![], 2), "{deed}");
        assert_eq!(shop.whys(), [why], "{deed}");
        let lost: Vec<u32> = shop.lost[0].items.iter().map(|it| it.0).collect();
        let first = if deed.starts_with("answer(id)") { 21 } else { 20 };
        assert!(
            lost.iter().copied().eq(first..first + u32::try_from(lost.len()).expect("few")),
            "{deed}: {lost:?}"
        );
        assert!(lost.len() <= 8, "{deed}: {lost:?}");
        let log = std::fs::read_to_string(dir.path().join("log")).expect("a log");
        let again = log.lines().count() - 60;
        assert!(again <= lost.len(), "{deed}: {again} items were done twice");
    }
}

#[test]
fn an_item_that_no_worker_survives_fails_alone() {
    for (deed, is_it) in [
        ("os._exit(9)", (|it: &Outcome| *it == Outcome::Exit(9)) as fn(&Outcome) -> bool),
        ("os.abort()", |it| *it == Outcome::Signal(6)),
        ("signal.pause()", |it| matches!(it, Outcome::TimedOut(_))),
        ("say('?')", |it| matches!(it, Outcome::BadResult(why) if why.contains("\"?\""))),
    ] {
        // A new worker has to be up within it, too.
        let timeout = Some(if deed == "signal.pause()" { Duration::from_secs(3) } else { Duration::from_mins(1) });
        let body = format!("if id in (11, 13): {deed}\nanswer(id)");
        let shop = Shop::open(Trade { timeout, ..trade(16) }, python("", &body)).work(40);
        assert_eq!(shop.failed(), [11, 13], "{deed}");
        assert!(is_it(shop.outcome(11)) && is_it(shop.outcome(13)), "{deed}: {:?}", shop.ends[&11]);
        assert_eq!((shop.ends[&11].number, shop.ends[&10].number), (2, 1), "{deed}");
    }
}

#[test]
fn what_says_something_before_it_is_asked_is_replaced_until_nobody_believes_in_it() {
    let shop = Shop::open(trade(8), python("say('ready')", "answer(id)")).work(3);
    assert_eq!(shop.failed(), [0, 1, 2]);
    assert!(
        matches!(shop.outcome(0), Outcome::BadResult(why) if why.contains("\"ready\"")),
        "{:?}",
        shop.outcome(0)
    );
}

#[test]
fn workers_that_always_end_at_once_fail_every_item_and_are_not_started_for_ever() {
    let mut shop = Shop::open(trade(8), argv(&["sh", "-c", "exit 7"]));
    shop.crew.hire(2);
    shop.give(1000);
    let shop = shop.finish(1000);
    assert!(shop.keys.len() <= limits::MAX_FRUITLESS_WORKERS as usize + 1, "{} starts", shop.keys.len());
    let last = shop.outcome(999);
    assert!(
        matches!(last, Outcome::NotStarted(why) if why == "10 workers in a row ended without an answer; the last one ended with exit code 7"),
        "{last:?}"
    );
    assert!(
        shop.ends.values().filter(|end| end.outcome == Outcome::Exit(7)).count() >= 1,
        "some were tried alone"
    );
}

#[test]
fn a_program_that_does_not_exist_fails_every_item_at_once() {
    let shop = Shop::open(trade(8), argv(&["no-such-worker-anywhere"])).work(100);
    assert_eq!((shop.failed().len(), shop.keys.len()), (100, 1));
    assert!(matches!(shop.outcome(99), Outcome::NotStarted(why) if why.contains("no-such-worker-anywhere")));
}

#[test]
fn a_worker_that_never_reads_holds_back_no_more_than_it_may_have() {
    let item =
        Box::new(|_, out: &mut Vec<u8>| out.extend_from_slice(format!("\"{}\"", "x".repeat(1 << 20)).as_bytes()));
    let timeout = Some(Duration::from_secs(1));
    let dir = folder();
    let head = "if once('done'): signal.pause()";
    let worker = within(dir.path(), python(head, "answer(id)"));
    let shop = Shop::open(Trade { item, timeout, ..trade(4) }, worker).work(12);
    assert_eq!((shop.failed(), shop.whys()), (vec![], vec!["worker 0 left item 0 without an answer for 1s"]));
}

#[test]
fn a_child_that_holds_the_pipe_ends_with_its_worker() {
    let dir = folder();
    let body = "if id == 5 and once('done'):\n    if os.fork() == 0:\n        os.setsid(); signal.pause()\n    os._exit(1)\nanswer(id)";
    let shop = Shop::with(trade(4), within(dir.path(), python("", body)), alone()).work(20);
    assert_eq!(shop.failed(), Vec::<u32>::new());
    assert_eq!(shop.lost.len(), 1);
    let why = shop.whys()[0];
    assert!(why.starts_with("worker 0 ended with exit code 1; killed what was left running at its end"), "{why}");
}

#[test]
fn what_may_not_be_repeated_is_told_as_lost_and_never_judged() {
    let worker = python("", "if id == 3: os._exit(1)\nanswer(id)");
    let mut shop = Shop::open(Trade { is_idempotent: false, ..trade(1) }, worker);
    shop.repeats = false;
    shop.crew.hire(1);
    shop.give(6);
    while shop.ends.len() < 5 {
        shop.hear();
    }
    assert_eq!(shop.lost.iter().flat_map(|lost| lost.items.clone()).collect::<Vec<_>>(), [(3, 1)]);
    assert!(shop.failed().is_empty());
}

#[test]
fn an_item_that_is_stopped_takes_its_worker_with_it_and_waiting_ones_are_off_at_once() {
    let mut shop = Shop::open(trade(1), python("", "sys.stderr.write('!'); sys.stderr.flush(); signal.pause()"));
    shop.repeats = false;
    shop.crew.hire(1);
    shop.give(3);
    while shop.keys.is_empty() {
        shop.hear();
    }
    let key = shop.keys[0];
    until(|| Some(()).filter(|()| !shop.capture.take(key).is_empty()));
    for item in (0..3).rev() {
        shop.crew.stop(item, StopKind::Terminate);
    }
    while shop.ends.len() < 2 || shop.lost.is_empty() {
        shop.hear();
    }
    assert_eq!((shop.outcome(1), shop.outcome(2)), (&Outcome::Cancelled, &Outcome::Cancelled));
    assert_eq!(shop.lost, [Lost { why: None, items: vec![(0, 1)], is_alive: false }]);
}

#[test]
fn a_worker_that_does_not_go_is_asked_and_then_killed() {
    let grace = Duration::from_millis(300);
    let head = "signal.signal(signal.SIGTERM, signal.SIG_IGN)";
    let shop =
        Shop::open(Trade { grace, ..trade(1) }, python(head, "answer(id)\nsys.stdin.close(); signal.pause()"));
    let shop = shop.work(1);
    assert_eq!((shop.failed(), shop.is_gone), (vec![], true));
    assert!(shop.whys().is_empty(), "{:?}", shop.whys());
}
