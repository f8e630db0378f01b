//! The story of a run, line by line: the same for every console.

use std::collections::BTreeMap;

use crate::base::{Millis, NodeIx, Span};
use crate::run::Attempt;
use crate::run::event::{
    Answer, CancelLevel, CheckKind, CutReason, Event, NodeState, Outcome, ReopenReason, RunEnd, SkipReason,
    StopReason, SuspendReason,
};

use super::super::view::{GroupState, RunWord, View, say_lost};
use super::super::{Excerpt, Logs, Summary, clean, hint, promise, tail, why, words};
use super::Look;

/// Columns of the word that begins a line.
pub(super) const WORD: usize = 9;

/// Lines about single shards with the same word that are told for each stage; the rest is in its counts.
const MAX_SHARD_LINES: u32 = 10;

/// How often the progress of a sharded stage is told.
const PROGRESS: Span = Span::from_secs(10);

/// Failed stages shown with their last lines at the end.
const MAX_FAILED: usize = 20;

/// Skipped and blocked stages told one by one; the totals have the rest.
const MAX_SKIPPED: u32 = 200;

/// Blocked stages told one by one for each stage that blocks them; the rest is one line.
const MAX_BLOCKED: u32 = 3;

/// Tells a run. Remembers only what keeps it from saying too much.
#[derive(Clone, Debug)]
pub(super) struct Story {
    look: Look,
    pub(super) is_live: bool,
    shard_lines: BTreeMap<(NodeIx, &'static str), u32>,
    told: BTreeMap<NodeIx, Millis>,
    skipped: u32,
    /// Of each blocked stage the one that did not end well.
    causes: BTreeMap<NodeIx, NodeIx>,
    /// Stages blocked so far by each of those.
    blocked: BTreeMap<NodeIx, u32>,
}

impl Story {
    /// Has told nothing yet.
    pub(super) const fn new(look: Look) -> Self {
        Self {
            look,
            is_live: false,
            shard_lines: BTreeMap::new(),
            told: BTreeMap::new(),
            skipped: 0,
            causes: BTreeMap::new(),
            blocked: BTreeMap::new(),
        }
    }

    /// Beside a live region, which shows what runs: starts and progress are left out.
    pub(super) const fn beside_live(look: Look) -> Self {
        Self {
            look,
            is_live: true,
            shard_lines: BTreeMap::new(),
            told: BTreeMap::new(),
            skipped: 0,
            causes: BTreeMap::new(),
            blocked: BTreeMap::new(),
        }
    }

    /// How to write.
    pub(super) const fn look(&self) -> Look {
        self.look
    }

    /// The lines for `event`, each with its end; `view` is the run after it. Often nothing.
    pub(super) fn tell(&mut self, view: &View, at: Millis, event: &Event) -> String {
        if !view.knows(event) {
            return String::new();
        }
        match event {
            Event::ShardsStarted { node, .. } => self.tell_start(view, *node, at),
            Event::ShardRetried { attempt } => self.tell_retried(view, *attempt),
            Event::ShardsCut { node, cut, why, p95 } => self.tell_cut(view, *node, (cut.size, *why, *p95)),
            Event::ShardFinished { attempt, outcome, result, .. } => {
                let mut text = String::new();
                // What is said of an item that a worker did is its output, too.
                let is_shown = self.look.output && !self.is_live && view.is_crewed(attempt.node);
                for note in result.notes.iter().filter(|_| !is_shown || result.output.is_none()) {
                    text += &self.tell_bounded(view, *attempt, "warning", note);
                }
                text + &self.tell_shard(view, *attempt, outcome, at)
            }
            Event::ShardsFinished { node, .. } => self.tell_progress(view, *node, at),
            Event::WorkerLost { node, why, shards } if !why.is_empty() => {
                self.tell_bounded(view, Attempt::of_worker(*node, 0, 0), "worker", &say_lost(why, shards.len()))
            }
            Event::RetryScheduled { attempt, at: due } => self.tell_retry(view, *attempt, due.since(at)),
            Event::StopRequested { attempt, why, .. } => self.tell_stop(view, *attempt, *why),
            Event::ShardLost { attempt } => {
                self.tell_bounded(view, *attempt, "lost", "nobody knows how this attempt ended")
            }
            Event::CheckAnswered { node, kind: CheckKind::DoneIf, answer, .. } => {
                let said = match answer {
                    Answer::Yes(_) => "it is done already".to_owned(),
                    Answer::No => "it is not done yet".to_owned(),
                    Answer::Unknown(why) => format!("cannot tell: {why}"),
                };
                self.line(NodeState::Waiting, "done-if", view.id(*node), &said)
            }
            Event::GateOpened { node, expires, .. } => self.tell_gate(view, *node, *expires, at),
            Event::VoteCast { node, vote } => self.tell_vote(view, *node, vote),
            Event::GateDecided { node, approved, .. } => {
                let (state, word) =
                    if *approved { (NodeState::Success, "approved") } else { (NodeState::Failed, "rejected") };
                let said = view.get(*node).reason.trim_start_matches(word).trim_start();
                self.line(state, word, view.id(*node), said)
            }
            Event::NodeFinished { node, state, .. } => self.tell_end(view, *node, *state),
            Event::NodeSkipped { node, why: SkipReason::Blocked { by } } => self.tell_blocked(view, *node, *by),
            Event::NodeSkipped { why: SkipReason::NoCell, .. } => String::new(),
            Event::NodeSkipped { node, .. } => self.tell_skip(view, *node),
            Event::NodeReopened { node, .. } if view.graph().is_unnamed(*node) => String::new(),
            Event::NodeReopened { node, why } if *why != ReopenReason::Resume => {
                self.line(NodeState::Waiting, "reopened", view.id(*node), words::reopened(*why))
            }
            Event::NodeResolved { node, .. } => {
                self.line(NodeState::Waiting, "resolved", view.id(*node), &view.get(*node).reason)
            }
            _ => self.tell_run(view, event),
        }
    }

    /// Whether new stages are held back, and how to let them go.
    fn tell_pause(&self, view: &View, on: bool, by: &str) -> String {
        let by = if by.is_empty() { String::new() } else { format!("by {}: ", clean::plain(by)) };
        if !on {
            return self.line(NodeState::Waiting, "unpaused", "", &format!("{by}goes on"));
        }
        let said = format!("{by}nothing new starts until: {}", hint::unpause(view.run_id()));
        self.line(NodeState::Waiting, "paused", "", &said)
    }

    /// Lines about the run.
    fn tell_run(&self, view: &View, event: &Event) -> String {
        match event {
            Event::RunBegan(_) => format!("run {} {}\n", view.run_id(), clean::plain(view.plan())),
            Event::RunResumed(resumed) => {
                let totals = view.totals();
                let done = totals.done + totals.cached + totals.skipped;
                let gap = words::length(resumed.gap);
                let plan = clean::plain(view.plan());
                let head = format!("run {} {plan}\n", view.run_id());
                let said = format!("after {gap}: {done} of {} stages are done", totals.all);
                let text = head + &self.line(NodeState::Waiting, "resumed", "", &said);
                if view.is_paused() { text + &self.tell_pause(view, true, "") } else { text }
            }
            Event::PlanChanged { version } => {
                let said = format!("what is left goes by version {version} of the plan");
                self.line(NodeState::Waiting, "changed", "", &said)
            }
            Event::PauseChanged { on, by } => self.tell_pause(view, *on, by),
            Event::CancelRaised { level, .. } => {
                let how = match level {
                    CancelLevel::Drain => "nothing new starts",
                    CancelLevel::Stop => "running stages are stopped",
                    CancelLevel::Kill => "running stages are killed",
                };
                let why = view.say_cancel().unwrap_or_default();
                self.line(NodeState::Cancelled, words::cancel_level(*level), "", &format!("{why}: {how}"))
            }
            Event::BoxOpened { .. } => {
                let left = view.time_box().map_or(Span::ZERO, |until| until.since(view.now()));
                self.line(NodeState::Waiting, "time box", "", &format!("{} for this engine", words::length(left)))
            }
            Event::BoxClosed => self.line(NodeState::Waiting, "time box", "", "over: what runs is stopped"),
            Event::NodeDeferred { node, wants } => {
                let left = view.time_box().map_or(Span::ZERO, |until| until.since(view.now()));
                self.line(NodeState::Waiting, "deferred", view.id(*node), &words::deferral(*wants, left))
            }
            Event::RollbackBegan { nodes, .. } => self.tell_rollback(view, nodes.len()),
            Event::FinallyBegan => self.line(NodeState::Waiting, "finally", "", "the clean-up begins"),
            // What is left, and how to go on with it, is told at the end.
            Event::RunSuspended { .. } if view.in_background() => String::new(),
            Event::RunSuspended { why: SuspendReason::Person } => {
                self.line(NodeState::Waiting, "waiting", "", "only a person can go on")
            }
            Event::RunSuspended { why: SuspendReason::HandOver } => {
                self.line(NodeState::Waiting, "handover", "", "the rest is for another time box")
            }
            Event::ForegroundEnded { .. } | Event::BackgroundLeft { .. } | Event::BackgroundRequeued { .. } => {
                self.tell_background(view, event)
            }
            Event::GlassBroken { .. } | Event::FreezeBegan { .. } | Event::FreezeEnded => self.tell_policy(event),
            _ => promise::told(view, event)
                .map_or_else(String::new, |it| self.line(it.tone, it.word, &it.name, &it.said)),
        }
    }

    /// What was done is undone.
    fn tell_rollback(&self, view: &View, count: usize) -> String {
        let why = view.say_undoing().unwrap_or_default();
        let what = match count {
            0 => "there is nothing to undo".to_owned(),
            _ => format!("{} to undo, the last one first", words::count(count, "stage")),
        };
        self.line(NodeState::Undone, "rollback", "", &format!("{why}: {what}"))
    }

    /// The first start of a stage.
    fn tell_start(&mut self, view: &View, ix: NodeIx, at: Millis) -> String {
        let node = view.get(ix);
        if self.is_live || (self.told.contains_key(&ix) && node.shards.all != 1) {
            return String::new();
        }
        self.told.insert(ix, at);
        let mut said = Vec::new();
        if node.shards.all != 1 {
            said.push(format!("{} shards", node.shards.all));
        }
        said.extend(view.expected(ix).map(|usual| format!("usually {}", words::length(usual))));
        self.line(NodeState::Running, "start", view.id(ix), &said.join(", "))
    }

    /// A later attempt starts.
    fn tell_retried(&mut self, view: &View, attempt: Attempt) -> String {
        if self.is_live || view.get(attempt.node).shards.all != 1 {
            return String::new();
        }
        self.line(NodeState::Running, "start", view.id(attempt.node), &format!("attempt {}", attempt.number))
    }

    /// What is left of a stage is cut smaller; that it is cut larger is nobody's trouble.
    fn tell_cut(&self, view: &View, ix: NodeIx, (size, why, p95): (u32, CutReason, Span)) -> String {
        if why != CutReason::Split {
            return String::new();
        }
        let items = if size == 1 { "1 item".to_owned() } else { format!("{size} items") };
        let said =
            format!("p95 of its shards is {}: what is left is cut into shards of {items}", words::length(p95));
        self.line(NodeState::Running, "split", view.id(ix), &said)
    }

    /// A shard's end: only failures, and progress now and then.
    fn tell_shard(&mut self, view: &View, attempt: Attempt, outcome: &Outcome, at: Millis) -> String {
        let node = view.get(attempt.node);
        if node.shards.all == 1 {
            return String::new();
        }
        let mut text = String::new();
        if !matches!(outcome, Outcome::Success | Outcome::Cancelled) {
            let items = view.items_words(attempt.node, attempt.shard);
            let said = [words::outcome(outcome), items].into_iter().filter(|part| !part.is_empty());
            text += &self.tell_bounded(view, attempt, "failed", &said.collect::<Vec<_>>().join("; "));
        }
        text + &self.tell_progress(view, attempt.node, at)
    }

    /// How far a stage is, now and then.
    fn tell_progress(&mut self, view: &View, ix: NodeIx, at: Millis) -> String {
        let last = self.told.entry(ix).or_insert(at);
        if !self.is_live && at.since(*last) >= PROGRESS {
            *last = at;
            let shards = why::shards(view.get(ix));
            let said = match estimate(view, ix, at) {
                Some(left) => format!("{shards}, about {} left", words::length(left)),
                None => shards,
            };
            return self.line(NodeState::Running, "shards", view.id(ix), &said);
        }
        String::new()
    }

    /// A line about one attempt, at most so many with each word for each sharded stage.
    fn tell_bounded(&mut self, view: &View, attempt: Attempt, word: &'static str, said: &str) -> String {
        let told = self.shard_lines.entry((attempt.node, word)).or_default();
        *told += 1;
        let beyond = told.saturating_sub(MAX_SHARD_LINES);
        let tone = if word == "warning" { NodeState::Unknown } else { NodeState::Retrying };
        match beyond {
            _ if view.get(attempt.node).shards.all == 1 => {}
            0 => {}
            1 => {
                return self.line(
                    tone,
                    word,
                    view.id(attempt.node),
                    "more of its shards, which are left out here",
                );
            }
            _ => return String::new(),
        }
        let name = if word == "worker" { view.id(attempt.node).to_owned() } else { stage(view, attempt) };
        self.line(tone, word, &name, said)
    }

    /// Another attempt will follow.
    fn tell_retry(&mut self, view: &View, attempt: Attempt, delay: Span) -> String {
        let node = view.get(attempt.node);
        let after = node.outcome.as_ref().map_or_else(String::new, words::outcome);
        let most = view.node(attempt.node).rules.retry.as_ref().map(|retry| retry.max + 1);
        let most = most.filter(|&most| most >= u32::from(attempt.number) && node.reopened == 0);
        let of = most.map_or_else(String::new, |most| format!(" of {most}"));
        let said = format!("{after}; attempt {}{of} in {}", attempt.number, words::length(delay));
        if node.shards.all == 1 {
            self.line(NodeState::Retrying, "retry", view.id(attempt.node), &said)
        } else {
            self.tell_bounded(view, attempt, "retry", &said)
        }
    }

    /// An attempt is being stopped.
    fn tell_stop(&mut self, view: &View, attempt: Attempt, why: StopReason) -> String {
        self.tell_bounded(view, attempt, "stop", words::stop_reason(why))
    }

    /// A stage's end.
    fn tell_end(&self, view: &View, ix: NodeIx, state: NodeState) -> String {
        let node = view.get(ix);
        let took = node.duration(view.now()).map(words::length);
        let shards = (node.shards.all != 1).then(|| why::shards(node));
        let reason = Some(node.reason.clone()).filter(|text| !text.is_empty());
        let said: Vec<String> = [took, shards, reason].into_iter().flatten().collect();
        let mut text = self.line(state, state.word(), view.id(ix), &said.join(", "));
        if state == NodeState::Unknown {
            text += &self.command(&hint::resolve(view.run_id(), view.id(ix)));
        }
        text
    }

    /// A stage that will not run.
    /// A stage that a need holds back: the first few of each need, for one failure may block a whole plan.
    fn tell_blocked(&mut self, view: &View, ix: NodeIx, by: NodeIx) -> String {
        let first = self.causes.get(&by).copied().unwrap_or(by);
        self.causes.insert(ix, first);
        let count = self.blocked.entry(first).or_default();
        *count += 1;
        match *count {
            0..=MAX_BLOCKED => self.tell_skip(view, ix),
            count if count == MAX_BLOCKED + 1 => {
                let said = format!("and what else depends on `{}`", clean::plain(view.id(first)));
                self.line(NodeState::Blocked, "…", "", &said)
            }
            _ => String::new(),
        }
    }

    fn tell_skip(&mut self, view: &View, ix: NodeIx) -> String {
        self.skipped += 1;
        let node = view.get(ix);
        match self.skipped.checked_sub(MAX_SKIPPED) {
            None | Some(0) => self.line(node.state, node.state.word(), view.id(ix), &node.reason),
            Some(1) => self.line(node.state, "…", "", "further skipped and blocked stages are counted at the end"),
            Some(_) => String::new(),
        }
    }

    /// One line: a word in its column, the stage, what is said of it.
    pub(super) fn line(&self, tone: NodeState, word: &str, stage: &str, said: &str) -> String {
        let gap = " ".repeat(WORD.saturating_sub(clean::width(word)));
        let said = clean::plain(said);
        let stage = clean::plain(stage);
        let between = if stage.is_empty() || said.is_empty() { "" } else { "  " };
        format!("{gap}{}  {stage}{between}{said}\n", self.look.paint(tone, word))
    }

    /// A command to copy, on a line of its own.
    pub(super) fn command(&self, command: &str) -> String {
        format!("{}{}\n", " ".repeat(WORD + 2), self.look.bold(command))
    }

    /// Failed stages with their last lines, totals, and what to type next.
    pub(super) fn epilogue(&self, view: &View, logs: &dyn Logs, summary: &Summary) -> String {
        let mut out = String::new();
        let bad: Vec<NodeIx> =
            view.nodes().filter(|(_, node)| words::is_bad(node.state)).map(|(ix, _)| ix).collect();
        for &ix in bad.iter().take(MAX_FAILED) {
            out += &self.failure(view, ix, logs, summary.is_output_cut);
        }
        if bad.len() > MAX_FAILED {
            let more = format!("and {} more: {}", bad.len() - MAX_FAILED, hint::status(view.run_id()));
            out += &self.line(NodeState::Failed, "failed", "", &more);
        }
        out.push('\n');
        out += &self.closing(view, summary.at);
        if let Some(left) = view.say_rollback() {
            out += &self.line(NodeState::Failed, "rollback", "", &left);
        }
        for (why, command) in hint::next(view) {
            out += &self.line(NodeState::Waiting, "next", "", &format!("{why}:"));
            out += &self.command(&command);
        }
        for note in &summary.notes {
            out += &self.line(NodeState::Unknown, "warning", "", note);
        }
        out
    }

    /// One failed stage, with the end of what it printed; `is_cut` when that could not all be stored.
    fn failure(&self, view: &View, ix: NodeIx, logs: &dyn Logs, is_cut: bool) -> String {
        let node = view.get(ix);
        let excerpt = Excerpt::of(view, logs, ix, tail::TAIL_LINES);
        let reason = if node.reason.is_empty() { node.state.word() } else { &node.reason };
        let mut out =
            format!("\n{} {}: {}\n", self.look.paint(node.state, "──"), view.id(ix), clean::plain(reason));
        for line in why::failed_shards(view, ix) {
            put!(out, "   {}\n", clean::plain(&line));
        }
        let whose = excerpt.whose(view, ix);
        if excerpt.shard.is_some() {
            put!(out, "   {} {}\n", self.look.dim("╭"), clean::plain(&whose));
        }
        for line in &excerpt.lines {
            put!(out, "   {} {}\n", self.look.dim("│"), clean::line(line.as_bytes(), self.look.colour));
        }
        let (count, all) = (excerpt.lines.len(), hint::logs(view.run_id(), &whose));
        let said = match (is_cut, count) {
            (_, 0) => return out,
            (true, _) => format!("the last {} that could be stored: {all}", words::count(count, "line")),
            (false, tail::TAIL_LINES..) => format!("the last {count} lines; all of them: {all}"),
            (false, _) => return out,
        };
        put!(out, "   {} {said}\n", self.look.dim("╰"));
        out
    }

    /// How the run stands, in one line.
    pub(super) fn closing(&self, view: &View, at: Millis) -> String {
        let state = view.state_given(false);
        let tone = match state {
            RunWord::Success => NodeState::Success,
            RunWord::Failed | RunWord::RollbackFailed => NodeState::Failed,
            _ => NodeState::Cancelled,
        };
        let took = words::length(view.elapsed(at));
        let why = match view.decided() {
            Some(verdict) if verdict.timed_out => "its timeout ran out, ".to_owned(),
            Some(verdict) if verdict.state == RunEnd::Cancelled => {
                view.say_cancel().map(|why| format!("{why}, ")).unwrap_or_default()
            }
            _ => String::new(),
        };
        let said = format!("in {took}: {why}{}", view.say_totals());
        let text = self.line(tone, state.word(), &format!("run {}", view.run_id()), &said);
        self.readiness(view, at) + &text
    }

    /// Which groups are ready and which are not, when not all are; objectives that were missed.
    fn readiness(&self, view: &View, now: Millis) -> String {
        let is_ready =
            view.groups().all(|(name, _, state)| state == GroupState::Ready || view.is_group_behind(name));
        let mut out = String::new();
        for line in promise::lines(view, now) {
            let group = line.name.strip_prefix("group ");
            let is_behind = group.is_some_and(|group| view.is_group_behind(group));
            let is_said = line.tone == NodeState::Failed || (!is_ready && group.is_some());
            if is_said && !is_behind {
                out += &self.line(line.tone, line.word, &line.name, &line.said);
            }
        }
        out
    }
}

/// `pack[3]` for a shard, `pack[worker 0]`, else the stage.
pub(super) fn stage(view: &View, attempt: Attempt) -> String {
    words::shard(view.id(attempt.node), attempt, view.is_sharded(attempt.node))
}

/// How an attempt ended, for the title of its output; reasons, which may be long and odd, follow elsewhere.
pub(super) fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success => "success".to_owned(),
        Outcome::NotStarted(_) => "could not start".to_owned(),
        Outcome::BadResult(_) => "bad result".to_owned(),
        Outcome::Exit(_) | Outcome::Signal(_) | Outcome::TimedOut(_) | Outcome::Cancelled => {
            words::outcome(outcome)
        }
    }
}

/// How long the shards that are left will take, by the rate so far.
pub(super) fn estimate(view: &View, ix: NodeIx, now: Millis) -> Option<Span> {
    let node = view.get(ix);
    let done = u64::from(node.shards.done + node.shards.failed);
    let left = u64::from(node.shards.all) - done.min(u64::from(node.shards.all));
    let spent = node.duration(now)?.ms();
    (done > 0).then(|| Span::from_ms(spent.saturating_mul(left) / done))
}
