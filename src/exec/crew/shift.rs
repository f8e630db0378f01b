//! The thread of a crew: hands items out, hears answers, and replaces workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::items::{Item, Items};
use super::worker::Worker;
use super::{Answer, Answers, Lost, Message, Shared, Told, Trade};
use crate::base::limits;
use crate::exec::local::now;
use crate::exec::{Exit, Key, StopKind, guard, unix};
use crate::run::event::Outcome;

/// The rest after the first worker that ended without an answer; each more in a row doubles it.
const FIRST_REST: Duration = Duration::from_millis(10);
/// No rest is longer.
const LAST_REST: Duration = Duration::from_secs(1);

/// A place that a worker may have.
enum Place {
    Empty,
    /// A worker was asked for.
    Wanted,
    Taken(Box<Worker>),
}

/// A crew at work.
pub(super) struct Shift {
    shared: Arc<Shared>,
    trade: Trade,
    tell: Box<dyn Fn(Told) + Send>,
    items: Items,
    places: Vec<Place>,
    answers: Answers,
    /// Workers in a row that ended without an answer.
    fruitless: u32,
    /// No worker is asked for before that.
    rests_until: Option<Instant>,
    /// Why no worker is ever asked for again.
    refused: Option<String>,
    dismissed: Option<StopKind>,
    is_leaving: bool,
}

impl Shift {
    pub(super) fn new(shared: Arc<Shared>, trade: Trade, tell: Box<dyn Fn(Told) + Send>) -> Self {
        Self {
            shared,
            trade,
            tell,
            items: Items::default(),
            places: Vec::new(),
            answers: Answers::default(),
            fruitless: 0,
            rests_until: None,
            refused: None,
            dismissed: None,
            is_leaving: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let mail = std::mem::take(&mut *self.shared.lock());
            let at = now();
            for message in mail {
                self.hear(message, at);
            }
            if self.is_leaving {
                return;
            }
            self.fire(at);
            self.hand_out(at);
            self.staff(at);
            self.tell_answers();
            if self.dismissed.is_some() && self.places.iter().all(|place| matches!(place, Place::Empty)) {
                return self.tell(Told::Gone);
            }
            self.wait();
        }
    }

    fn tell(&self, told: Told) {
        guard::hold_if_leaving();
        (self.tell)(told);
    }

    fn tell_answers(&mut self) {
        if self.answers.len() > 0 {
            self.answers.runs.sort_unstable();
            let answers = std::mem::take(&mut self.answers);
            self.tell(Told::Answered(answers));
        }
    }

    fn hear(&mut self, message: Message, at: Instant) {
        match message {
            Message::Hire(count) => self.places.extend((0..count).map(|_| Place::Empty)),
            Message::Give { first, count, number } => self.items.put(first, count, number),
            Message::Stop(item, how) => self.stop(item, how),
            Message::Join(place, key, stdin, stdout) => {
                let mut worker = Worker::new(key, stdin, stdout, at);
                if self.dismissed.is_some() {
                    worker.dismiss(self.trade.grace, at);
                }
                self.places[place as usize] = Place::Taken(Box::new(worker));
                if self.dismissed == Some(StopKind::Kill) {
                    self.tell(Told::Stop(key, StopKind::Kill));
                }
            }
            Message::Ended(key, exit, notes) => self.ended(key, &exit, notes, at),
            Message::Refuse(why) => self.refuse(why),
            Message::Dismiss(how) => self.dismiss(how, at),
            Message::Leave => self.is_leaving = true,
        }
    }

    /// An item that no worker has is off at once; a worker that has it goes with it.
    fn stop(&mut self, item: u32, how: StopKind) {
        if let Some(item) = self.items.remove(item) {
            return self.put_answer(item, Outcome::Cancelled, None);
        }
        let told = self.workers().find(|worker| worker.has(item));
        if let Some((key, how)) = told.and_then(|worker| Some((worker.key, worker.stop(how)?))) {
            self.tell(Told::Stop(key, how));
        }
    }

    fn workers(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.places.iter_mut().filter_map(|place| match place {
            Place::Taken(worker) => Some(&mut **worker),
            Place::Empty | Place::Wanted => None,
        })
    }

    fn put_answer(&mut self, Item { item, number }: Item, outcome: Outcome, note: Option<String>) {
        self.answers.others.push(Answer { item, number, outcome, outputs: Vec::new(), note });
    }

    fn refuse(&mut self, why: String) {
        for place in &mut self.places {
            if matches!(place, Place::Wanted) {
                *place = Place::Empty;
            }
        }
        self.refused.get_or_insert(why);
        self.turn_down();
    }

    /// What waits fails, for there will be no worker for it.
    fn turn_down(&mut self) {
        let Some(why) = self.refused.clone().filter(|_| self.items.len() > 0) else { return };
        for item in self.items.take_all() {
            self.put_answer(item, Outcome::NotStarted(why.clone()), None);
        }
    }

    fn dismiss(&mut self, how: StopKind, at: Instant) {
        self.dismissed = Some(self.dismissed.map_or(how, |old| old.max(how)));
        let grace = self.trade.grace;
        let mut stops = Vec::new();
        for worker in self.workers() {
            worker.dismiss(grace, at);
            if how == StopKind::Kill {
                stops.extend(worker.stop(how).map(|how| (worker.key, how)));
            }
        }
        for (key, how) in stops {
            self.tell(Told::Stop(key, how));
        }
    }

    fn fire(&mut self, at: Instant) {
        let mut stops = Vec::new();
        for place in &mut self.places {
            if let Place::Taken(worker) = place {
                stops.extend(worker.fire(&self.trade, at).map(|how| (worker.key, how)));
            }
        }
        for (key, how) in stops {
            self.tell(Told::Stop(key, how));
        }
    }

    /// Gives what waits to workers with room for it.
    fn hand_out(&mut self, at: Instant) {
        self.turn_down();
        for place in &mut self.places {
            let Place::Taken(worker) = place else { continue };
            if worker.takes()
                && worker.held() == 0
                && let Some(item) = self.items.take_alone()
            {
                worker.give(item, &self.trade, at);
                worker.is_alone = true;
            }
        }
        // One item each in turn while they are few, so that no worker has several while another has none.
        let mut is_open = true;
        while std::mem::take(&mut is_open) && self.items.len() > 0 {
            let workers = self.places.len().max(1);
            let share = (self.items.len() / workers).clamp(1, limits::MAX_IN_FLIGHT as usize);
            for place in &mut self.places {
                let Place::Taken(worker) = place else { continue };
                let room = if worker.takes() { worker.room(&self.trade).min(share) } else { 0 };
                for _ in 0..room {
                    let above = worker.last().filter(|_| worker.held() > 0);
                    let Some(item) = self.items.take(above) else { break };
                    worker.give(item, &self.trade, at);
                    is_open = true;
                }
            }
        }
        for place in &mut self.places {
            if let Place::Taken(worker) = place {
                worker.write(&self.trade, at);
            }
        }
    }

    /// Asks for workers while there is more to do than there are free hands.
    fn staff(&mut self, at: Instant) {
        if self.dismissed.is_some() || self.refused.is_some() || self.rests_until.is_some_and(|until| until > at) {
            return;
        }
        self.rests_until = None;
        let free = self.places.iter().filter(|place| match place {
            Place::Empty => false,
            Place::Wanted => true,
            Place::Taken(worker) => worker.takes() && worker.held() == 0,
        });
        let mut lacking = self.items.len().saturating_sub(free.count());
        for place in 0..self.places.len() {
            if lacking > 0 && matches!(self.places[place], Place::Empty) {
                lacking -= 1;
                self.places[place] = Place::Wanted;
                self.tell(Told::Wanted(u32::try_from(place).expect("limits::MAX_PARALLEL fits")));
            }
        }
    }

    /// A worker is over, with all that it had started: what it had not answered is lost, or has failed.
    fn ended(&mut self, key: Key, exit: &Exit, notes: Vec<String>, at: Instant) {
        let is_it = |place: &Place| matches!(place, Place::Taken(worker) if worker.key == key);
        let Some(at_place) = self.places.iter().position(is_it) else { return };
        let Place::Taken(mut worker) = std::mem::replace(&mut self.places[at_place], Place::Empty) else { return };
        while self.listen(&mut worker, at) {}
        let said = worker.words(exit);
        let mut why = said.clone().map(|said| format!("worker {at_place} {said}"));
        for note in notes {
            why = Some(why.map_or_else(|| format!("worker {at_place}: {note}"), |why| format!("{why}; {note}")));
        }
        self.count_end(&worker, exit, said.as_deref().unwrap_or_default(), at);
        let before = self.answers.others.len();
        let items = self.judge(&worker, exit, why.as_deref().unwrap_or_default());
        // An item that failed with it says why itself.
        let is_said = items.is_empty() && self.answers.others.len() > before;
        self.tell_answers();
        if !is_said && (why.is_some() || !items.is_empty()) {
            let is_alive = matches!(exit, Exit::Lost(_));
            self.tell(Told::Lost(Lost { why, items, is_alive }));
        }
    }

    /// Workers that end one after the other without an answer get slower, and then are no more.
    fn count_end(&mut self, worker: &Worker, exit: &Exit, said: &str, at: Instant) {
        if worker.has_answered || worker.stopped.is_some() {
            return;
        }
        self.fruitless += 1;
        let rest = FIRST_REST.saturating_mul(1 << (self.fruitless - 1).min(10)).min(LAST_REST);
        self.rests_until = Some(at + rest);
        if let Exit::NotStarted(why) = exit {
            self.refused.get_or_insert_with(|| why.clone());
        } else if self.fruitless >= limits::MAX_FRUITLESS_WORKERS {
            let many = self.fruitless;
            let why = format!("{many} workers in a row ended without an answer; the last one {said}");
            self.refused.get_or_insert(why);
        }
    }

    /// What is to be given again of what a worker had; the rest is answered.
    fn judge(&mut self, worker: &Worker, exit: &Exit, why: &str) -> Vec<(u32, u16)> {
        let is_ours = worker.stopped.is_some() || matches!(exit, Exit::Lost(_)) || !self.trade.is_idempotent;
        let mut lost = Vec::new();
        for item in worker.unanswered() {
            if let Exit::NotStarted(why) = exit {
                self.put_answer(item, Outcome::NotStarted(why.clone()), None);
            } else if worker.is_alone && !is_ours {
                let outcome = worker.verdict(exit, why);
                let note = (!matches!(outcome, Outcome::BadResult(_))).then(|| why.to_owned());
                self.put_answer(item, outcome, note);
            } else {
                if !is_ours {
                    self.items.suspect(item.item);
                }
                lost.push((item.item, item.number));
            }
        }
        lost
    }

    /// Hears one worker; whether it may have more to say.
    fn listen(&mut self, worker: &mut Worker, at: Instant) -> bool {
        let before = self.answers.len();
        let others = self.answers.others.len();
        let has_more = worker.read(&self.trade, at, &mut self.answers);
        let count = self.answers.len() - before;
        worker.keep_pace(count, at, &mut self.answers);
        if count > 0 {
            self.fruitless = 0;
            for at in others..self.answers.others.len() {
                self.items.acquit(self.answers.others[at].item);
            }
        }
        has_more
    }

    /// Sleeps until something is there, and hears it.
    fn wait(&mut self) {
        let ready = self.look();
        let at = now();
        for (what, number) in ready {
            if what == What::Mail {
                let mut count = [0; 8];
                let _empty = rustix::io::read(&self.shared.waker, &mut count);
                continue;
            }
            let Place::Taken(mut worker) = std::mem::replace(&mut self.places[number], Place::Empty) else {
                continue;
            };
            match what {
                What::Answers => drop(self.listen(&mut worker, at)),
                What::NoReader => worker.stops_reading(&self.trade, at),
                What::Mail | What::Room => {}
            }
            self.places[number] = Place::Taken(worker);
        }
    }

    /// Sleeps until something is there, and lists it by place.
    fn look(&self) -> Vec<(What, usize)> {
        let mut due = self.rests_until.filter(|_| self.items.len() > 0);
        let mut polled = vec![PollFd::new(&self.shared.waker, PollFlags::IN)];
        let mut whose = vec![(What::Mail, 0)];
        for (number, place) in self.places.iter().enumerate() {
            let Place::Taken(worker) = place else { continue };
            due = [due, worker.due(&self.trade)].into_iter().flatten().min();
            if let Some(stdout) = worker.stdout() {
                polled.push(PollFd::new(stdout, PollFlags::IN));
                whose.push((What::Answers, number));
            }
            if let Some((stdin, is_full)) = worker.stdin() {
                polled.push(PollFd::new(stdin, if is_full { PollFlags::OUT } else { PollFlags::empty() }));
                whose.push((What::Room, number));
            }
        }
        let timeout = due.map(|due| unix::timespec(due.saturating_duration_since(now())));
        // An interrupted wait only means an early turn.
        let _early = poll(&mut polled, timeout.as_ref());
        let heard = |(fd, (what, number)): (PollFd<'_>, (What, usize))| match (what, fd.revents()) {
            (_, none) if none.is_empty() => None,
            (What::Room, some) if some.contains(PollFlags::ERR) => Some((What::NoReader, number)),
            _ => Some((what, number)),
        };
        polled.into_iter().zip(whose).filter_map(heard).collect()
    }
}

/// What there is to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Mail,
    Answers,
    /// More can be written.
    Room,
    /// Nobody reads any more.
    NoReader,
}
