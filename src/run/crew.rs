//! Workers: a stage with `protocol: lines` has its items done by a few long-lived processes.
//!
//! Its items are shards like any others, with attempts, re-tries and ends of their own. What takes a slot and room in
//! pools is not the item but the worker: the stage first *hires* as many as there is room for, then *feeds* them items,
//! as many as they may have unanswered, and *dismisses* them once there is nothing more for them to do. It ends when
//! they are gone.
//!
//! Which worker has which item, and that it is replaced when it goes wrong, is the executor's business. The core
//! hears of answers, and of items that were lost with a worker: those are to be done again.

use std::collections::BTreeMap;

use super::advance::again;
use super::clock::Timer;
use super::decide::{judge, running};
use super::event::{Attempt, CancelLevel, Event, Left, NodeState, Outcome, ShardResult, StopKind};
use super::input::Input;
use super::ready::Slot;
use super::shards::{Key, Step};
use super::state::{Lane, RunState};
use crate::base::{Millis, NodeIx, Span, limits};

/// The workers of one stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Band {
    pub(super) workers: u32,
    dismissed: Option<StopKind>,
    /// When nobody waits for their end any more.
    due: Option<Millis>,
}

/// The workers of all stages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Crews {
    bands: BTreeMap<NodeIx, Band>,
    /// Workers of all of them: each takes a slot.
    pub(super) workers: u32,
    /// Attempts that run and take none.
    pub(super) items: u32,
}

impl Crews {
    pub(super) fn is_empty(&self) -> bool {
        self.bands.is_empty()
    }

    pub(super) fn of(&self, node: NodeIx) -> Option<&Band> {
        self.bands.get(&node)
    }

    pub(super) fn is_dismissed(&self, node: NodeIx) -> bool {
        self.of(node).is_some_and(|band| band.dismissed.is_some())
    }
}

// What is decided.
impl RunState {
    /// Whether workers do the items of `node`.
    pub fn is_crewed(&self, node: NodeIx) -> bool {
        self.in_flight(node).is_some()
    }

    fn in_flight(&self, node: NodeIx) -> Option<u32> {
        self.node(node).rules.split.as_ref()?.in_flight
    }

    /// How many items more the workers of `node` may have.
    fn appetite(&self, node: NodeIx, band: &Band) -> u32 {
        // A worker does one item after the other; that others wait beside it is nothing to think of ahead.
        let each = if self.thought.is_some() { 1 } else { self.in_flight(node).unwrap_or(1) };
        band.workers.saturating_mul(each).saturating_sub(self.cells[node].flights)
    }

    /// Whether items may be given at all.
    fn feeds(&self) -> bool {
        !self.crews.is_empty() && self.may_start()
    }

    fn is_hungry(&self, node: NodeIx, band: &Band) -> bool {
        band.dismissed.is_none() && self.cells[node].lane == Lane::Open && self.appetite(node, band) > 0
    }

    /// The next items for workers that have room for them.
    pub(super) fn fed(&self, at: Millis) -> Option<Event> {
        if !self.feeds() {
            return None;
        }
        self.crews.bands.iter().filter(|&(&node, band)| self.is_hungry(node, band)).find_map(|(&node, band)| {
            let quota = self.quota(at, node);
            if quota == 0 {
                return None;
            }
            let due = || self.delayed.iter().take_while(|it| it.0 <= at).find(|it| it.1.0 == node);
            let slot = self.ready.first_held(node).or_else(|| due().map(|&(_, key)| Slot::Again(key.1)))?;
            Some(self.defers(at, node).unwrap_or_else(|| match slot {
                Slot::Again(shard) | Slot::Ask(shard) => again(self, (node, shard)),
                Slot::Fresh | Slot::Cache => {
                    let first = self.cells[node].cursor;
                    if self.shards.number((node, first)) > 0 {
                        return again(self, (node, first));
                    }
                    let most = (self.shards_of(node) - first).min(self.appetite(node, band)).min(quota);
                    Event::ShardsStarted { node, first, count: self.fresh_run(node, first, most) }
                }
            }))
        })
    }

    /// When the next item can be given although nothing else happens.
    pub(super) fn crew_deadline(&self) -> Option<Millis> {
        if !self.feeds() {
            return None;
        }
        let next = |(&node, _): (&NodeIx, &Band)| {
            let paced = self
                .paces
                .get(&node)
                .map_or(self.now, |_| Millis::new(self.next_start(self.now, node).div_ceil(1_000_000)));
            let delayed = self.delayed.iter().find(|it| it.1.0 == node).map(|it| it.0.max(paced));
            self.ready.first_held(node).map(|_| paced).or(delayed)
        };
        self.crews.bands.iter().filter(|&(&node, band)| self.is_hungry(node, band)).filter_map(next).min()
    }

    /// Workers for a stage that has none: as many as there are items, slots, and room in its pools for.
    pub(super) fn hired(&self, node: NodeIx) -> Event {
        let fresh = self.shards_of(node) - self.cells[node].cursor;
        let waiting = u32::try_from(self.shards.between_of(node).count()).unwrap_or(u32::MAX);
        let items = fresh.saturating_add(waiting).max(1);
        Event::CrewHired { node, count: items.min(self.free_slots()).min(self.ready.room(node)).max(1) }
    }

    /// More workers for a stage whose workers all have enough, when nobody else wants the slots.
    pub(super) fn more_hired(&self) -> Option<Event> {
        let wants = |(&node, band): (&NodeIx, &Band)| {
            let left = self.shards_of(node) - self.cells[node].cursor;
            let has_enough = self.appetite(node, band) == 0 && self.cells[node].lane == Lane::Open;
            let count = left.min(self.free_slots()).min(self.ready.room(node));
            let is_open = band.dismissed.is_none() && has_enough && count > 0;
            is_open.then_some(Event::CrewHired { node, count })
        };
        self.crews.bands.iter().find_map(wants)
    }

    /// The first workers to let go: they have nothing, and there is nothing for them.
    pub(super) fn dismissed(&self) -> Option<Event> {
        let is_killed = self.cancel.is_some_and(|(level, _)| level == CancelLevel::Kill) || self.leaves_killing();
        let how = if is_killed { StopKind::Kill } else { StopKind::Terminate };
        let goes = |(&node, band): (&NodeIx, &Band)| {
            let is_idle = self.cells[node].flights == 0;
            let has_work = self.feeds() && self.cells[node].lane == Lane::Open;
            match band.dismissed {
                None => is_idle && !has_work,
                Some(old) => old < how,
            }
        };
        let (&node, _) = self.crews.bands.iter().find(|&it| goes(it))?;
        Some(Event::CrewDismissed { node, how })
    }

    /// What follows from news about workers. Of a stage that has none they are stale.
    pub(super) fn hear_crew(&self, input: Input, out: &mut Vec<Event>) {
        let has_crew = |node: NodeIx| self.crews.of(node).is_some();
        match input {
            Input::Answered { node, runs, took } if has_crew(node) => self.answered(node, &runs, took, out),
            Input::WorkerLost { node, why, shards } if has_crew(node) => {
                self.worker_lost(node, why, &shards, out);
            }
            Input::CrewGone { node } if self.crews.is_dismissed(node) => out.push(Event::CrewGone { node }),
            _ => {}
        }
    }

    /// Answers to items that are still waited for.
    fn answered(&self, node: NodeIx, runs: &[(u32, u32)], took: Span, out: &mut Vec<Event>) {
        let all: u64 = runs.iter().map(|run| u64::from(run.1)).sum();
        let mut left = (took.ms(), all);
        let mut tell = |block: Option<(u32, u32)>, out: &mut Vec<Event>| {
            if let Some((first, count)) = block {
                // Their share of the time; what is lost by rounding goes to the next.
                let share = left.0 * u64::from(count) / left.1.max(1);
                left = (left.0 - share, left.1 - u64::from(count));
                out.push(Event::ShardsFinished { node, first, count, took: Span::from_ms(share) });
            }
        };
        let mut block: Option<(u32, u32)> = None;
        // Answers rise; what stands behind a higher one was said twice.
        let mut next = 0;
        for shard in runs.iter().flat_map(|&(first, count)| first..first.saturating_add(count)) {
            let attempt = Attempt { node, shard, number: 1 };
            let Some(flight) = running(self, attempt).filter(|_| shard >= next) else { continue };
            next = shard + 1;
            if flight.stop.is_some() {
                tell(block.take(), out);
                out.push(ended(attempt, judge(flight, Outcome::Success)));
                continue;
            }
            match &mut block {
                Some((first, count)) if *first + *count == shard => *count += 1,
                _ => tell(block.replace((shard, 1)), out),
            }
        }
        tell(block, out);
    }

    /// What follows when a worker is gone, or went wrong.
    fn worker_lost(&self, node: NodeIx, why: Option<String>, shards: &[(u32, u16)], out: &mut Vec<Event>) {
        let mut lost = Vec::new();
        for &(shard, number) in shards {
            let attempt = Attempt { node, shard, number };
            match running(self, attempt) {
                Some(flight) if flight.stop.is_some() => {
                    out.push(ended(attempt, judge(flight, Outcome::Cancelled)));
                }
                Some(_) => lost.push(shard),
                None => {}
            }
        }
        if why.is_some() || !lost.is_empty() {
            out.push(Event::WorkerLost { node, why: why.unwrap_or_default(), shards: lost });
        }
    }
}

// What is folded.
impl RunState {
    /// Attempts of `node` have started.
    pub(super) fn has_started(&mut self, at: Millis, node: NodeIx, count: u32) {
        if self.is_crewed(node) {
            self.crews.items += count;
        } else {
            self.ready.take(node, count);
        }
        self.asking += if self.node(node).rules.is_hosted { count } else { 0 };
        let cell = &mut self.cells[node];
        cell.flights += count;
        cell.started.get_or_insert(at);
        if let Some(due) = cell.queue_due.take() {
            self.timers.remove(&(due, Timer::Queue(node)));
        }
        self.set_state(node, NodeState::Running);
        self.spend(at, node, count);
    }

    /// Takes in what became of workers and their items, and of what heals a stage.
    pub(super) fn fold_crew(&mut self, at: Millis, event: &Event) {
        match event {
            Event::Healing { node, step } => self.fold_healing(at, *node, step),
            Event::CrewHired { node, count } => self.fold_hired(at, *node, *count),
            Event::CrewDismissed { node, how } => self.fold_dismissed(at, *node, *how),
            Event::CrewGone { node } => self.fold_gone(at, *node),
            Event::WorkerLost { node, shards, .. } => {
                for &shard in shards {
                    self.fold_returned((*node, shard));
                }
                self.settle(at, *node);
            }
            Event::ShardsFinished { node, first, count, .. } => self.fold_answers(at, *node, (*first, *count)),
            _ => self.fold_background(at, event),
        }
    }

    fn fold_hired(&mut self, at: Millis, node: NodeIx, count: u32) {
        self.crews.bands.entry(node).or_default().workers += count;
        self.crews.workers += count;
        self.ready.take(node, count);
        // What starts of it from here on needs no slot.
        self.ready.hold(node);
        self.cells[node].has_crew = true;
        self.place(at, node);
    }

    fn fold_dismissed(&mut self, at: Millis, node: NodeIx, how: StopKind) {
        let grace = self.node(node).rules.grace;
        let Some(band) = self.crews.bands.get_mut(&node) else { return };
        // They first end by themselves, then by the signal, then by force.
        let wait = if how == StopKind::Terminate { grace + grace } else { Span::ZERO };
        let due = at + wait + Span::from_ms(limits::KILL_WAIT_MS);
        band.dismissed = Some(how);
        if let Some(old) = band.due.replace(due) {
            self.timers.remove(&(old, Timer::Crew(node)));
        }
        self.timers.insert((due, Timer::Crew(node)));
    }

    fn fold_gone(&mut self, at: Millis, node: NodeIx) {
        let Some(band) = self.crews.bands.remove(&node) else { return };
        if let Some(due) = band.due {
            self.timers.remove(&(due, Timer::Crew(node)));
        }
        self.crews.workers -= band.workers;
        (0..band.workers).for_each(|_| self.ready.give(node));
        self.ready.free(node);
        self.cells[node].has_crew = false;
        self.place(at, node);
    }

    /// A shard was lost with its worker; that counts for none of its re-tries.
    fn fold_returned(&mut self, key: Key) {
        if self.land(key).is_none() {
            return;
        }
        if self.node(key.0).rules.idempotent {
            self.shards.forgive(key);
            self.wait(key, Step::Ready, None);
        } else {
            self.make_unknown(key, "its worker ended without an answer, and it is not idempotent");
        }
    }

    fn fold_answers(&mut self, at: Millis, node: NodeIx, (first, count): (u32, u32)) {
        let nothing = ShardResult::default();
        self.think_done(node);
        for flight in self.flights.remove_run((node, first), count) {
            self.has_landed(&flight);
            self.succeed(flight.key, &nothing);
        }
        self.settle(at, node);
    }

    /// The workers of an engine that died are gone with it.
    pub(super) fn forget_crews(&mut self) {
        self.crews = Crews::default();
        for cell in &mut self.cells {
            cell.has_crew = false;
        }
    }

    /// Counts the attempts that run and take no slot.
    pub(super) fn recount_crews(&mut self) {
        let items = self.flights.all().iter().filter(|flight| self.is_crewed(flight.key.0)).count();
        self.crews.items = u32::try_from(items).expect("limits::MAX_SHARDS fits");
    }
}

fn ended(attempt: Attempt, outcome: Outcome) -> Event {
    Event::ShardFinished { attempt, outcome, took: Span::ZERO, result: Left::default() }
}
