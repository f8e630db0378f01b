//! One worker: the far ends of its pipes, what it has, and what it has done wrong.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::answer::{self, Said};
use super::items::Item;
use super::{Answer, Answers, Trade};
use crate::base::limits;
use crate::exec::{Exit, Key, StopKind};
use crate::run::event::{Clock, Outcome};

/// Bytes taken from a worker at once.
const READ: usize = 64 << 10;
/// Rounds of reading before the other workers get their turn.
const ROUNDS: usize = 4;
/// Bytes a pipe should hold, so that neither side waits for the other at every line.
const PIPE: usize = 256 << 10;
/// How much work should lie with a worker: enough to cover the way to us and back many times, and so little that the
/// last items are not stuck behind one worker while the others have nothing.
const AHEAD: Duration = Duration::from_millis(10);
/// How long a worker whose pipe is closed may take to end by itself, before it is asked to.
const CLOSED_PATIENCE: Duration = Duration::from_millis(200);

/// What a worker did wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// It left its oldest item without an answer for too long.
    Hung(Duration, u32),
    /// It broke the protocol.
    Protocol(String),
    /// It closed this pipe. That may just have been its end.
    Closed(&'static str),
}

/// An item that was sent, in the order of sending, which is that of their numbers.
#[derive(Clone, Copy, Debug)]
struct Sent {
    item: Item,
    is_answered: bool,
}

/// A worker that was started.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) key: Key,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    out: Vec<u8>,
    written: usize,
    text: Vec<u8>,
    sent: VecDeque<Sent>,
    held: usize,
    /// Since when its oldest unanswered item is that.
    since: Instant,
    /// Until when its pace is known.
    paced: Instant,
    /// What it takes for an answer.
    pace: Option<Duration>,
    pub(super) has_answered: bool,
    /// What it has was lost once, and it gets nothing else.
    pub(super) is_alone: bool,
    pub(super) fault: Option<Fault>,
    /// How it is to be stopped next, and when.
    ladder: Option<(Instant, StopKind)>,
    /// It was told to end because of its fault.
    is_told: bool,
    /// The engine asked for its end.
    pub(super) stopped: Option<StopKind>,
}

impl Worker {
    pub(super) fn new(key: Key, stdin: OwnedFd, stdout: OwnedFd, at: Instant) -> Self {
        for pipe in [&stdin, &stdout] {
            // Our ends only; and a smaller pipe is only slower.
            let _refused = rustix::fs::fcntl_setfl(pipe.as_fd(), OFlags::NONBLOCK);
            let _refused = rustix::pipe::fcntl_setpipe_size(pipe.as_fd(), PIPE);
        }
        Self {
            key,
            stdin: Some(stdin),
            stdout: Some(stdout),
            out: Vec::new(),
            written: 0,
            text: Vec::new(),
            sent: VecDeque::new(),
            held: 0,
            since: at,
            paced: at,
            pace: None,
            has_answered: false,
            is_alone: false,
            fault: None,
            ladder: None,
            is_told: false,
            stopped: None,
        }
    }

    /// What it would say something on.
    pub(super) fn stdout(&self) -> Option<&OwnedFd> {
        self.stdout.as_ref()
    }

    /// What it reads, and whether more is to be written there.
    pub(super) fn stdin(&self) -> Option<(&OwnedFd, bool)> {
        self.stdin.as_ref().map(|stdin| (stdin, self.written < self.out.len()))
    }

    /// Items without an answer.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Whether it may be given items.
    pub(super) const fn takes(&self) -> bool {
        self.stdin.is_some()
            && self.stdout.is_some()
            && self.fault.is_none()
            && self.stopped.is_none()
            && !self.is_alone
    }

    /// How many items more it should have now.
    pub(super) fn room(&self, trade: &Trade) -> usize {
        let ahead = self.pace.map_or(1, |pace| {
            let many = AHEAD.as_nanos() / pace.as_nanos().max(1);
            usize::try_from(many).unwrap_or(usize::MAX).saturating_add(1)
        });
        ahead.min(trade.in_flight).saturating_sub(self.held)
    }

    /// The number that the next item has to be above, so that what it has stays in order.
    pub(super) fn last(&self) -> Option<u32> {
        self.sent.back().map(|sent| sent.item.item)
    }

    /// Gives it an item.
    pub(super) fn give(&mut self, item: Item, trade: &Trade, at: Instant) {
        if self.held == 0 {
            (self.since, self.paced) = (at, at);
        }
        self.held += 1;
        self.sent.push_back(Sent { item, is_answered: false });
        answer::ask(item, trade, &mut self.out);
    }

    /// Writes what it takes.
    pub(super) fn write(&mut self, trade: &Trade, at: Instant) {
        while self.written < self.out.len() {
            let Some(stdin) = &self.stdin else { break };
            match rustix::io::write(stdin, &self.out[self.written..]) {
                Ok(len) => self.written += len,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return self.stops_reading(trade, at),
            }
        }
        self.out.clear();
        self.written = 0;
    }

    /// Reads what it said, and adds the answers. Whether there may be more.
    pub(super) fn read(&mut self, trade: &Trade, at: Instant, into: &mut Answers) -> bool {
        for _ in 0..ROUNDS {
            let Some(stdout) = &self.stdout else { return false };
            let had = self.text.len();
            self.text.resize(had + READ, 0);
            let read = rustix::io::read(stdout, &mut self.text[had..]);
            self.text.truncate(had + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(1..) => self.understand(trade, had, into),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Ok(0) | Err(_) => {
                    (self.stdin, self.stdout, self.out, self.written) = (None, None, Vec::new(), 0);
                    self.closed("standard output", at + CLOSED_PATIENCE);
                }
            }
            if matches!(self.fault, Some(Fault::Protocol(_))) {
                self.cut_off(at);
            }
        }
        true
    }

    /// Whole lines, of which those before `had` were looked at already.
    fn understand(&mut self, trade: &Trade, had: usize, into: &mut Answers) {
        let text = std::mem::take(&mut self.text);
        let mut from = 0;
        while let Some(len) = text[from.max(had)..].iter().position(|&byte| byte == b'\n') {
            let end = from.max(had) + len;
            let line = &text[from..end];
            from = end + 1;
            if !line.is_empty() && !line.iter().all(u8::is_ascii_whitespace) {
                let said = answer::read(line, &trade.outputs);
                if let Err(why) = said.and_then(|said| self.take(said, into)) {
                    return self.broke(&why);
                }
            }
        }
        self.text = text;
        self.text.drain(..from);
        if self.text.len() > limits::MAX_ANSWER_BYTES {
            let most = limits::MAX_ANSWER_BYTES;
            self.broke(&format!("a line longer than {most} bytes (MAX_ANSWER_BYTES)"));
        }
    }

    fn broke(&mut self, why: &str) {
        self.text.clear();
        self.fault.get_or_insert(Fault::Protocol(format!("answered with {why}")));
    }

    /// An answer, to an item that it should have.
    fn take(&mut self, said: Said, into: &mut Answers) -> Result<(), String> {
        let item = said.item();
        let front = self.sent.front().filter(|sent| sent.item.item == item).map(|_| 0);
        let at = front.or_else(|| self.sent.binary_search_by_key(&item, |sent| sent.item.item).ok());
        let sent = at.and_then(|at| self.sent.get_mut(at)).filter(|sent| !sent.is_answered);
        let Some(sent) = sent else {
            return Err(format!("item {item}, which it does not have: answered before, or never given"));
        };
        sent.is_answered = true;
        let number = sent.item.number;
        self.held -= 1;
        match said {
            Said::Plain(item) if number == 1 && !self.is_alone => into.add_plain(item),
            Said::Plain(item) => {
                let (outcome, outputs) = (Outcome::Success, Vec::new());
                into.others.push(Answer { item, number, outcome, outputs, note: None });
            }
            Said::More(more) => {
                let answer::More { item, outcome, outputs, note } = *more;
                into.others.push(Answer { item, number, outcome, outputs, note });
            }
        }
        self.is_alone &= self.held > 0;
        Ok(())
    }

    /// After a round of reading with `count` answers: how long it takes for one.
    pub(super) fn keep_pace(&mut self, count: usize, at: Instant, into: &mut Answers) {
        let Some(count) = u32::try_from(count).ok().filter(|&count| count > 0) else { return };
        self.has_answered = true;
        let took = at.saturating_duration_since(self.paced);
        into.took += took;
        let pace = took / count;
        self.pace = Some(self.pace.map_or(pace, |old| (old + pace) / 2));
        self.paced = at;
        if self.sent.front().is_some_and(|sent| sent.is_answered) {
            self.since = at;
        }
        while self.sent.front().is_some_and(|sent| sent.is_answered) {
            self.sent.pop_front();
        }
    }

    /// It reads no more. What it has it may still answer.
    pub(super) fn stops_reading(&mut self, trade: &Trade, at: Instant) {
        (self.stdin, self.out, self.written) = (None, Vec::new(), 0);
        let patience = if self.held > 0 { trade.grace } else { CLOSED_PATIENCE };
        self.closed("standard input", at + patience);
    }

    /// One of its pipes is closed. It may just be ending; if not, it is made to.
    fn closed(&mut self, which: &'static str, until: Instant) {
        self.fault.get_or_insert(Fault::Closed(which));
        let sooner = self.ladder.is_none_or(|(due, how)| how == StopKind::Terminate && due > until);
        if sooner {
            self.ladder = Some((until, StopKind::Terminate));
        }
    }

    /// Nothing more is given to it or taken from it, and it is told to end.
    fn cut_off(&mut self, at: Instant) {
        (self.stdin, self.stdout, self.out, self.written) = (None, None, Vec::new(), 0);
        self.ladder = Some((at, StopKind::Terminate));
    }

    /// Ends its input: it is to end by itself.
    pub(super) fn dismiss(&mut self, grace: Duration, at: Instant) {
        self.stdin = None;
        self.stopped.get_or_insert(StopKind::Terminate);
        self.ladder.get_or_insert((at + grace, StopKind::Terminate));
    }

    /// The engine wants it gone. What it is to be told, if that is news.
    pub(super) fn stop(&mut self, how: StopKind) -> Option<StopKind> {
        if self.stopped.is_some_and(|old| old == how || old == StopKind::Kill) {
            return None;
        }
        self.stopped = Some(how);
        // Whoever orders this says also when it becomes a kill.
        self.ladder = None;
        Some(how)
    }

    /// When something happens to it by itself.
    pub(super) fn due(&self, trade: &Trade) -> Option<Instant> {
        let hung = trade.timeout.filter(|_| self.held > 0 && self.fault.is_none() && self.stopped.is_none());
        let ladder = self.ladder.map(|it| it.0);
        [hung.map(|timeout| self.since + timeout), ladder].into_iter().flatten().min()
    }

    /// What it is to be told because a moment has come.
    pub(super) fn fire(&mut self, trade: &Trade, at: Instant) -> Option<StopKind> {
        if let Some(timeout) = trade.timeout
            && self.held > 0
            && self.fault.is_none()
            && self.stopped.is_none()
            && self.since + timeout <= at
        {
            let item = self.sent.front().map_or(0, |sent| sent.item.item);
            self.fault = Some(Fault::Hung(timeout, item));
            self.cut_off(at);
        }
        let (_, how) = self.ladder.filter(|it| it.0 <= at)?;
        self.is_told |= self.fault.is_some();
        self.ladder = (how == StopKind::Terminate).then(|| (at + trade.grace, StopKind::Kill));
        Some(how)
    }

    /// What it had not answered.
    pub(super) fn unanswered(&self) -> Vec<Item> {
        self.sent.iter().filter(|sent| !sent.is_answered).map(|sent| sent.item).collect()
    }

    /// Whether it has that item.
    pub(super) fn has(&self, item: u32) -> bool {
        self.sent.iter().any(|sent| sent.item.item == item && !sent.is_answered)
    }

    /// What it did wrong, if that is more than to end.
    fn wrong(&self) -> Option<&Fault> {
        self.fault.as_ref().filter(|fault| self.is_told || !matches!(fault, Fault::Closed(_)))
    }

    /// How an item failed that it had alone, now that it is gone.
    pub(super) fn verdict(&self, exit: &Exit, why: &str) -> Outcome {
        match (self.wrong(), exit) {
            (Some(Fault::Hung(..)), _) => Outcome::TimedOut(Clock::Attempt),
            (None, Exit::Code(code)) if *code != 0 => Outcome::Exit(*code),
            (None, Exit::Signal(signal)) => Outcome::Signal(*signal),
            _ => Outcome::BadResult(why.to_owned()),
        }
    }

    /// What happened to it; nothing when it ended as it was told.
    pub(super) fn words(&self, exit: &Exit) -> Option<String> {
        match self.wrong() {
            Some(Fault::Hung(timeout, item)) => {
                let span = crate::base::Span::from(*timeout);
                Some(format!("left item {item} without an answer for {span}"))
            }
            Some(Fault::Protocol(why)) => Some(why.clone()),
            Some(Fault::Closed(which)) => Some(format!("closed its {which}")),
            None if self.stopped.is_some() && matches!(exit, Exit::Code(0) | Exit::Signal(_)) => None,
            None => Some(ended(exit)),
        }
    }
}

impl Answers {
    /// Adds a plain success. Answers that come in order make one run.
    fn add_plain(&mut self, item: u32) {
        match self.runs.last_mut() {
            Some((first, count)) if *first + *count == item => *count += 1,
            _ => self.runs.push((item, 1)),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.others.len() + self.runs.iter().map(|run| run.1 as usize).sum::<usize>()
    }
}

fn ended(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
        Exit::NotStarted(why) => format!("could not be started: {why}"),
        Exit::Lost(why) => format!("could not be ended: {why}"),
    }
}
