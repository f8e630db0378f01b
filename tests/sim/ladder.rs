//! Healing among everything else: ladders on some stages of hostile plans, a naive recount of whose turn it is, and its laws.

use std::collections::{BTreeMap, BTreeSet};

use engine::base::{Millis, NodeIx, Span};
use engine::graph::Parts;
use engine::graph::model::{Node, Phase};
use engine::plan::model::AllowFailure;
use engine::run::event::{Case, CaseKind, HealStep, NodeState, Severity};
use engine::run::{Event, Outcome, Phase as Stand, RunState};

use crate::book::{Book, Key};
use crate::plan::{Dice, Kind, rules};

/// Gives some stages of some plans bodies that heal them, by dice of their own and the stage's name.
pub(crate) fn lay(seed: u64, kind: Kind, parts: &mut Parts) {
    let mut own = Dice(seed ^ 0x4ea1);
    if kind != Kind::Wild || !own.chance(35) {
        return;
    }
    parts.settings.heal_depth = own.chance(70).then(|| 1 + own.small(3));
    for at in 0..parts.nodes.len() {
        let stage = &parts.nodes[at];
        let salt = stage.id.bytes().fold(seed ^ 0x4ea2, |salt, byte| salt.rotate_left(8) ^ u64::from(byte));
        let mut dice = Dice(salt);
        let is_plain = stage.phase == Phase::Main && !stage.rules.is_approval;
        if !is_plain || stage.rules.allow_failure == AllowFailure::Any || !dice.chance(40) {
            continue;
        }
        for level in 1..=1 + dice.small(3) {
            let mut body = Node::plain(&format!("{}.heal-{level}", parts.nodes[at].id));
            (body.phase, body.heals) = (Phase::Heal, Some(NodeIx::new(u32::try_from(at).expect("few"))));
            body.scope = parts.nodes[at].scope;
            rules(&mut dice, &mut body);
            (body.rules.is_approval, body.rules.has_cache, body.rules.shards) = (false, false, 1);
            body.rules.allow_failure = AllowFailure::No;
            body.rules.cool_down = Span::from_ms(dice.below(120));
            parts.nodes.push(body);
        }
    }
}

/// What is known of one stage's healing.
#[derive(Clone, Debug, Default)]
struct Turn {
    /// Bodies tried for this failure.
    level: u32,
    /// The one at work.
    body: Option<NodeIx>,
    /// A person has to say what becomes of it.
    is_halted: bool,
    /// When what failed may start again.
    again: Option<Millis>,
}

/// What is known of healing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heals {
    turns: BTreeMap<NodeIx, Turn>,
    /// Bodies that woke.
    pub(crate) awake: BTreeSet<NodeIx>,
    /// Shards whose last attempt failed.
    failed: BTreeSet<Key>,
    /// Where the shards of the stage stand whose turn comes again.
    stands: Vec<Stand>,
}

impl Heals {
    /// What the recount cannot know from the facts alone: which shards had failed for good.
    pub(crate) fn look(&mut self, state: &RunState, event: &Event) {
        if let Event::Healing { node, step: HealStep::Ended { .. } } = event {
            self.stands = state.phases(*node).to_vec();
        }
    }

    fn turn(&self, node: NodeIx) -> Turn {
        self.turns.get(&node).cloned().unwrap_or_default()
    }

    /// Whether a person decides what becomes of a stage that could not be healed.
    pub(crate) fn is_halted(&self, node: NodeIx) -> bool {
        self.turn(node).is_halted
    }
}

impl Book {
    /// Whether nothing starts before a person decides.
    pub(crate) fn is_guarded(&self) -> bool {
        self.cancel.is_none() && self.heals.turns.values().any(|turn| turn.is_halted)
    }

    /// Whether a stage waits for what heals it, or for the end of its `cool-down`.
    pub(crate) fn is_being_healed(&self, node: NodeIx) -> bool {
        let turn = self.heals.turn(node);
        turn.body.is_some() || turn.is_halted || turn.again.is_some_and(|due| due > self.last)
    }

    pub(crate) fn hear_healing(&mut self, event: &Event) {
        match event {
            Event::Healing { node, step } => self.heal(*node, *step),
            Event::ShardFinished { attempt, outcome, .. } => {
                let key = (attempt.node, attempt.shard);
                self.heals.failed.remove(&key);
                if !matches!(outcome, Outcome::Success | Outcome::Cancelled) {
                    self.heals.failed.insert(key);
                }
            }
            Event::ShardLost { attempt } => {
                self.heals.failed.remove(&(attempt.node, attempt.shard));
            }
            Event::NodeReopened { node, .. } | Event::ShardsReopened { node } => {
                self.forget_healing(*node);
                // What failed before has all its re-tries again.
                self.heals.failed.retain(|key| key.0 != *node);
            }
            Event::NodeFinished { node, .. } => {
                if let Some(turn) = self.heals.turns.get_mut(node) {
                    turn.is_halted = false;
                }
            }
            Event::PlanChanged { .. } => {
                let turns = std::mem::take(&mut self.heals.turns);
                // With its healing a stage forgets the `cool-down`.
                let is_cooling = |node, due| turns.get(&node).is_some_and(|turn: &Turn| turn.again == Some(due));
                self.due.retain(|key, due| !is_cooling(key.0, *due));
                for node in turns.into_iter().filter(|(_, turn)| turn.is_halted).map(|it| it.0) {
                    let stage = self.stages.get_mut(&node);
                    if let Some(stage) = stage.filter(|_| !self.graph.nodes[node].rules.is_approval) {
                        (stage.opened, stage.decided) = (None, None);
                    }
                }
                let bodies: Vec<NodeIx> =
                    self.graph.nodes.pairs().filter(|(_, it)| it.phase == Phase::Heal).map(|it| it.0).collect();
                for body in bodies {
                    self.sleep(body);
                }
            }
            _ => {}
        }
    }

    fn heal(&mut self, node: NodeIx, step: HealStep) {
        let last = self.last;
        let turn = self.heals.turns.entry(node).or_default();
        match step {
            HealStep::Began { body, level } => {
                *turn = Turn { level, body: Some(body), ..Turn::default() };
                self.sleep(body);
                self.heals.awake.insert(body);
            }
            HealStep::Halted { .. } => (turn.body, turn.is_halted) = (None, true),
            HealStep::Ended { due } => {
                let level = if turn.is_halted { 0 } else { turn.level };
                *turn = Turn { level, again: Some(due), ..Turn::default() };
                self.try_healed(node, due, last);
            }
        }
    }

    /// What failed of a stage starts again, with all its re-tries; what waited for its own goes on to.
    fn try_healed(&mut self, node: NodeIx, due: Millis, last: Millis) {
        let stands = std::mem::take(&mut self.heals.stands);
        // The fault of a shard that waits for a re-try of its own is none that was healed, and stays one.
        let waits =
            |(shard, stand): (u32, &Stand)| *stand == Stand::Between && self.heals.failed.contains(&(node, shard));
        let has_own = (0..).zip(&stands).any(waits);
        if let Some(stage) = self.stages.get_mut(&node) {
            (stage.opened, stage.decided) = (None, None);
            if !has_own {
                stage.ends.clear();
            }
        }
        for (shard, stand) in (0..).zip(stands) {
            let key = (node, shard);
            match stand {
                Stand::Failed => {
                    self.retries.remove(&key);
                    self.first.remove(&key);
                    self.due.insert(key, due);
                }
                Stand::Between if due > last => {
                    let own = self.due.get(&key).copied();
                    let is_retry = own.is_none() && self.heals.failed.contains(&key);
                    *self.retries.entry(key).or_default() += u32::from(is_retry);
                    self.due.insert(key, own.map_or(due, |own| own.max(due)));
                }
                _ => {}
            }
        }
    }

    fn forget_healing(&mut self, node: NodeIx) {
        self.heals.turns.remove(&node);
        let ladder = self.graph.ladder(node).to_vec();
        for body in ladder {
            self.sleep(body);
        }
    }

    /// Nothing is known of a body but the numbers of its attempts.
    fn sleep(&mut self, body: NodeIx) {
        self.heals.awake.remove(&body);
        self.states.remove(&body);
        self.stages.remove(&body);
        self.forget_attempts(body);
    }

    /// The ticket that a halt calls for.
    pub(crate) fn halt(&self, node: NodeIx) -> Case {
        let (id, level) = (&self.graph.nodes[node].id, self.heals.turn(node).level);
        let tries = if level == 1 { "1 try".to_owned() } else { format!("{level} tries") };
        let words = format!("guardian.halt: `{id}` still fails after {tries} to heal it (`heal-depth`)");
        Case { kind: CaseKind::Halted, severity: Severity::Critical, node: Some(node), words }
    }
}

/// A body starts in its turn, and its stage in none of theirs; nothing starts in a halted run.
pub(crate) fn may_start(book: &Book, at: Millis, node: NodeIx) {
    assert!(!book.is_guarded(), "{node:?} starts in a halted run");
    if let Some(stage) = book.graph.nodes[node].heals {
        assert_eq!(book.heals.turn(stage).body, Some(node), "{node:?} sleeps");
        return;
    }
    let turn = book.heals.turn(node);
    assert!(turn.body.is_none() && !turn.is_halted, "{node:?} starts while it is healed");
    assert!(turn.again.is_none_or(|due| due <= at), "{node:?} starts in its cool-down");
}

/// A step of healing comes in its turn, one body after the other, of a stage that has failed.
pub(crate) fn may_heal(book: &Book, at: Millis, node: NodeIx, step: HealStep) {
    let (ladder, depth, turn) = (book.graph.ladder(node), book.graph.heal_depth(), book.heals.turn(node));
    let end_of = |body: NodeIx| book.states.get(&body).copied();
    assert!(!book.states.contains_key(&node), "{node:?} has ended and is healed");
    assert!(!book.running.keys().any(|key| key.0 == node), "{node:?} runs and is healed");
    let has_failed = !book.stage(node).ends.is_empty();
    match step {
        HealStep::Began { body, level } => {
            assert_eq!(level, turn.level + 1, "{node:?}: one after the other");
            assert!(level <= depth, "{node:?}: more than `heal-depth`");
            assert_eq!(ladder[level as usize - 1], body, "{node:?}: in their order");
            assert!(turn.body.is_none_or(|last| end_of(last).is_some_and(|end| !end.is_success())));
            assert!(has_failed, "{node:?} is healed and has not failed");
        }
        HealStep::Ended { due } if turn.is_halted => {
            assert_eq!(book.stage(node).decided, Some(true), "{node:?} is released by a person only");
            assert_eq!(due, at);
        }
        HealStep::Ended { due } => {
            let body = turn.body.expect("a body had its turn");
            assert!(end_of(body).is_some_and(NodeState::is_success), "{body:?}");
            assert_eq!(due, at + book.graph.nodes[body].rules.cool_down);
        }
        HealStep::Halted { level } => {
            assert_eq!((level, turn.level), (depth, depth), "{node:?} halts at the limit and not before");
            assert!(ladder.len() > level as usize, "{node:?} halts with nothing left to try");
        }
    }
}

/// No stage fails for its attempts while there is something left to try, unless the run ends.
pub(crate) fn has_tried(book: &Book, node: NodeIx) {
    let (it, stage, turn) = (&book.graph.nodes[node], book.stage(node), book.heals.turn(node));
    let is_other = stage.expired.is_some()
        || stage.resolved.is_some()
        || stage.decided == Some(false)
        || stage.was_killed
        || book.late.fails(book, node)
        || stage.ends.is_empty();
    if it.phase != Phase::Main || book.cancel.is_some() || is_other {
        return;
    }
    let is_spent = turn.level as usize == book.graph.ladder(node).len();
    assert!(is_spent, "{node:?} fails with something left to try: {turn:?}");
}
