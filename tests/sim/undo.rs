//! Rollback: a naive recount of what there is to undo, and its laws.

use std::collections::BTreeSet;

use engine::base::{NodeIx, ScopeIx};
use engine::graph::Graph;
use engine::graph::model::{Phase, Policy, Undo};
use engine::run::event::{CancelLevel, CancelReason, NodeState, RunEnd, SkipReason};
use engine::run::{Event, Outcome};

use crate::book::Book;
use crate::laws::{counts_on, has_ended, policy};
use crate::world::{Mode, World};
use crate::{each, seeds};

/// What is known of rollbacks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undos {
    /// Stages of which an attempt has done something.
    pub(crate) dirty: BTreeSet<NodeIx>,
    /// Stages that were undone and not begun again.
    pub(crate) undone: BTreeSet<NodeIx>,
    /// Nodes that woke.
    pub(crate) awake: BTreeSet<NodeIx>,
    between: BTreeSet<NodeIx>,
    pub(crate) why: Option<CancelReason>,
    automatic: u32,
}

impl Undos {
    /// Under their new numbers.
    pub(crate) fn rename(&mut self, find: impl Fn(NodeIx) -> Option<NodeIx>) {
        for set in [&mut self.dirty, &mut self.undone, &mut self.awake, &mut self.between] {
            *set = set.iter().filter_map(|&node| find(node)).collect();
        }
    }
}

impl Book {
    /// Whether `node` counts: it is a stage, or woke.
    pub(crate) fn is_awake(&self, node: NodeIx) -> bool {
        match self.graph.nodes[node].phase {
            Phase::Rollback => self.undos.awake.contains(&node),
            Phase::Heal => self.heals.awake.contains(&node),
            _ => true,
        }
    }

    /// Woken nodes that did not end well.
    pub(crate) fn left_to_undo(&self) -> impl Iterator<Item = NodeIx> {
        let is_left = |&node: &NodeIx| !self.state(node).is_success() && self.state(node) != NodeState::Skipped;
        self.undos.awake.iter().copied().filter(is_left)
    }

    /// Whether the next engine goes on with a rollback.
    pub(crate) fn goes_on_undoing(&self) -> bool {
        let is_decided = self.is_over || self.backs.decided.is_some();
        self.undos.why.is_some() && (!is_decided || self.left_to_undo().next().is_some())
    }

    pub(crate) fn hear_undo(&mut self, event: &Event) {
        match event {
            Event::ShardFinished { attempt, outcome, result, .. }
                if !result.never_ran && !matches!(outcome, Outcome::NotStarted(_)) =>
            {
                self.undos.dirty.insert(attempt.node);
            }
            Event::ShardLost { attempt } => {
                self.undos.dirty.insert(attempt.node);
            }
            Event::NodeFinished { node, state: NodeState::Success, .. } => {
                let Some(stage) = self.graph.nodes[*node].undoes else { return };
                self.undos.dirty.remove(&stage);
                self.undos.undone.insert(stage);
                if !matches!(self.state(stage), NodeState::Failed | NodeState::TimedOut) {
                    self.states.insert(stage, NodeState::Undone);
                }
            }
            Event::CancelRaised { why: CancelReason::Rollback, .. } if self.undos.why.is_some() => {
                self.undos.why = Some(CancelReason::Rollback);
            }
            Event::RollbackBegan { why, nodes, between } => {
                self.undos.why = Some(*why);
                self.undos.automatic += u32::from(*why != CancelReason::Rollback);
                self.undos.awake = nodes.iter().chain(between).copied().collect();
                self.undos.between = between.iter().copied().collect();
                self.cancel = Some((CancelLevel::Drain, *why));
            }
            Event::NodeReopened { node, .. } => {
                self.undos.undone.remove(node);
            }
            _ => {}
        }
    }

    /// A rolled back run is another try.
    pub(crate) fn forget_rollback(&mut self) {
        self.undos.why = None;
        self.undos.between.clear();
        for node in std::mem::take(&mut self.undos.awake) {
            self.states.remove(&node);
            self.stages.remove(&node);
            self.done.retain(|key| key.0 != node);
            self.doubt.retain(|key| key.0 != node);
            self.retries.retain(|key, _| key.0 != node);
            self.first.retain(|key, _| key.0 != node);
        }
    }
}

/// A rollback begins once the main phase has drained, for a reason, at most once by itself, and wakes the nodes of all
/// that has something to undo and of nothing else.
pub(crate) fn may_begin(book: &Book, why: CancelReason, nodes: &[NodeIx], between: &[NodeIx]) {
    let undos = &book.undos;
    assert!(book.running.is_empty() && book.checks.is_empty(), "a rollback begins while something runs");
    assert!(
        book.finally_since.is_none() && undos.why.is_none() && !book.is_suspended,
        "a rollback out of its time"
    );
    let is_open =
        |(ix, node): (NodeIx, &engine::graph::Node)| node.phase == Phase::Main && !book.states.contains_key(&ix);
    assert!(!book.graph.nodes.pairs().any(is_open), "a rollback begins before the drain ends");
    let (level, reason) = book.cancel.expect("a drain");
    assert!(reason == why && level < CancelLevel::Kill, "{why:?} is not why the run ends: {:?}", book.cancel);
    let is_ordered = why == CancelReason::Rollback;
    assert!(is_ordered || undos.automatic == 0, "a second rollback that nobody ordered");
    let is_whole = match why {
        CancelReason::Rollback => true,
        CancelReason::Timeout => book.graph.scopes[ScopeIx::new(0)].policy == Policy::Rollback,
        CancelReason::Failure(_) => false,
        other => panic!("{other:?} undoes nothing"),
    };
    let has_failed = |node: NodeIx| matches!(book.state(node), NodeState::Failed | NodeState::TimedOut);
    let is_ours = |node: NodeIx| has_failed(node) && policy(book, node) == Policy::Rollback;
    let failed = book.graph.nodes.indexes().filter(|&node| is_ours(node));
    let failed: BTreeSet<ScopeIx> = failed.map(|node| book.graph.nodes[node].scope).collect();
    assert!(is_whole || !failed.is_empty(), "nobody asks for a rollback");
    let scopes = &book.graph.scopes;
    let is_inside = |stage: NodeIx| {
        let chain = std::iter::successors(Some(book.graph.nodes[stage].scope), |&it| scopes[it].parent);
        chain.into_iter().any(|scope| failed.contains(&scope))
    };
    let is_due = |stage: NodeIx| undos.dirty.contains(&stage) && (is_whole || is_inside(stage));
    let all = book.graph.nodes.pairs().filter_map(|(ix, node)| Some((ix, node.undoes?)));
    let due: BTreeSet<NodeIx> = all.filter(|&(_, stage)| is_due(stage)).map(|it| it.0).collect();
    assert_eq!(nodes.iter().copied().collect::<BTreeSet<_>>(), due, "what there is to undo");
    assert_eq!(nodes.len(), due.len(), "one is undone twice");
    assert!(between.iter().all(|node| !due.contains(node)), "{between:?} have something to undo");
}

/// All stages that come after `stage`, near and far, by the needs of the plan.
fn later(graph: &Graph, stage: NodeIx) -> BTreeSet<NodeIx> {
    let (mut all, mut next) = (BTreeSet::new(), vec![stage]);
    while let Some(from) = next.pop() {
        let needs = |node: &engine::graph::Node| node.needs.iter().any(|need| need.node == from);
        let found = graph.nodes.pairs().filter(|(_, node)| node.phase == Phase::Main && needs(node));
        next.extend(found.map(|it| it.0).filter(|&it| all.insert(it)));
    }
    all
}

/// Reverse order: everything after a stage that is to be undone was undone before it.
pub(crate) fn may_undo(book: &Book, node: NodeIx) {
    let Some(stage) = book.graph.nodes[node].undoes else { return };
    assert!(book.undos.awake.contains(&node) && !book.undos.between.contains(&node), "{node:?} sleeps");
    assert!(book.undos.dirty.contains(&stage), "{stage:?} has nothing to undo, or was undone");
    assert_ne!(book.graph.nodes[node].rules.undo, Undo::Never, "{stage:?} can't be undone");
    assert_eq!(comes_up(book, stage), None, "{stage:?} is undone while it comes up");
    for after in later(&book.graph, stage) {
        let undo = book.graph.nodes.pairs().find(|(_, it)| it.undoes == Some(after)).map(|it| it.0);
        if let Some(undo) = undo.filter(|undo| book.undos.awake.contains(undo)) {
            let is = book.state(undo);
            assert!(is.is_success() || is == NodeState::Skipped, "{stage:?} before {after:?}, which is {is:?}");
        }
    }
}

/// Only what has nothing to undo is passed over, and a `forward-only` stage only by a person's order.
pub(crate) fn may_pass(book: &Book, node: NodeIx, why: &SkipReason) {
    if *why != SkipReason::NotNeeded {
        return;
    }
    let is_ordered = book.undos.why == Some(CancelReason::Rollback);
    let is_barrier = book.graph.nodes[node].rules.undo == Undo::Never;
    assert!(book.undos.between.contains(&node) || (is_ordered && is_barrier), "{node:?} is passed over");
}

/// A node of the rollback whose turn has come starts: what is independent is undone at once.
pub(crate) fn nothing_waits(book: &Book, slots: usize) {
    let used = book.slots();
    let is_open = book.cancel.is_some_and(|(level, _)| level < CancelLevel::Stop) && book.undos.why.is_some();
    if !is_open || book.is_paused || book.is_suspended || used >= slots {
        return;
    }
    for &node in &book.undos.awake {
        let it = &book.graph.nodes[node];
        let is_fresh = !book.highest.contains_key(&(node, 0)) && !book.states.contains_key(&node);
        let has_room = it.rules.pools.is_empty();
        let is_next = it.needs.iter().all(|&need| crate::laws::accepts(book, need));
        let is_held = counts_on_undo(book, node);
        assert!(!(is_fresh && has_room && is_next) || is_held, "{node:?} could be undone, and waits");
    }
}

/// Only what was running and is gone is started again, and only for somebody.
pub(crate) fn restart_is_needed(book: &Book, service: NodeIx) {
    let it = &book.graph.nodes[service];
    assert!(it.rules.is_service && it.selected && book.state(service) == NodeState::Success, "{service:?} serves");
    let is_open = |node: NodeIx| !has_ended(book, node) || book.state(node) == NodeState::Unknown;
    // Of what is undone nothing goes on but what is started again.
    let is_again = |node: &NodeIx| book.restarting.contains(node);
    // Background work begins once the verdict is given, and who it counts on with it.
    let goes_on = |node: NodeIx| match book.graph.nodes[node].phase {
        Phase::Main => book.undos.why.is_none() || is_again(&node),
        Phase::Background => book.backs.decided.is_some(),
        _ => true,
    };
    let is_for = |node: NodeIx| {
        book.is_awake(node) && goes_on(node) && is_open(node) && counts_on(book, node).contains(&service)
    };
    let undoes = |node: NodeIx| book.undos.awake.contains(&node) && is_open(node);
    let is_for_undo = |node: NodeIx| {
        let stage = book.graph.nodes[node].undoes;
        undoes(node) && stage.is_some_and(|stage| counts_on(book, stage).contains(&service))
    };
    let mut all = book.graph.nodes.indexes();
    assert!(all.any(|node| is_for(node) || is_for_undo(node)), "nobody needs {service:?}");
}

/// Whether what a node of the rollback undoes counts on something that does not run, or is about to be counted on.
fn counts_on_undo(book: &Book, node: NodeIx) -> bool {
    let stage = book.graph.nodes[node].undoes.expect("a node of the rollback");
    comes_up(book, stage).is_some()
        || counts_on(book, stage).iter().any(|it| book.restarting.contains(it) || book.down.contains(it))
}

/// A service that is being started again, and is `stage` or counts on it.
fn comes_up(book: &Book, stage: NodeIx) -> Option<NodeIx> {
    let mut open = book.restarting.iter().copied().filter(|&it| !has_ended(book, it));
    open.find(|&it| it == stage || counts_on(book, it).contains(&stage))
}

/// Killed after every record of a rollback: it is undone all the same, to the same end.
#[test]
fn a_crash_in_a_rollback_changes_nothing() {
    let rollbacks = std::sync::atomic::AtomicU32::new(0);
    each("a_crash_in_a_rollback", seeds(150, 8_000), |seed| {
        let mut whole = World::new(seed, Mode::Fixed);
        whole.run();
        let began = whole.log.iter().position(|(_, event)| matches!(event, Event::RollbackBegan { .. }));
        let Some(began) = began else { return };
        rollbacks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let end = whole.verdict().state;
        assert!(matches!(end, RunEnd::RolledBack | RunEnd::RollbackFailed));
        let states = |world: &World| {
            let main = |it: &NodeIx| world.graph().nodes[*it].phase != Phase::Finally;
            world.graph().nodes.indexes().filter(main).map(|it| world.core.state().state(it)).collect::<Vec<_>>()
        };
        for count in began + 1..whole.log.len() {
            let mut cut = World::cut(&whole, count);
            cut.recover();
            cut.run();
            assert_eq!(cut.verdict().state, end, "cut after record {count} of {}", whole.log.len());
            assert_eq!(states(&cut), states(&whole), "cut after record {count} of {}", whole.log.len());
        }
    });
    assert!(rollbacks.into_inner() > 0 || std::env::var_os("SIM_SEED").is_some(), "no seed is rolled back");
}

/// A rollback that failed is resumed with everything mended: the rest is undone, and nothing twice. One that was
/// rolled back is tried again from the start, and succeeds.
#[test]
fn a_rollback_is_finished_and_its_run_tried_again() {
    each("a_rollback_is_finished", seeds(150, 8_000), |seed| {
        let mut world = World::new(seed, Mode::Fixed);
        world.run();
        if !matches!(world.verdict().state, RunEnd::RolledBack | RunEnd::RollbackFailed) {
            return;
        }
        world.mode = Mode::Mended;
        if world.verdict().state == RunEnd::RollbackFailed {
            let barred = world.core.state().left_to_undo().collect::<Vec<_>>();
            let graph = world.graph();
            let is_barred = |node: &NodeIx| {
                let is_bridge = world.log.iter().any(|(_, event)| match event {
                    Event::RollbackBegan { between, .. } => between.contains(node),
                    _ => false,
                });
                graph.nodes[*node].rules.undo == Undo::Never && !is_bridge
            };
            let is_stuck = barred.iter().any(is_barred);
            world.recover();
            world.run();
            let end = if is_stuck { RunEnd::RollbackFailed } else { RunEnd::RolledBack };
            assert_eq!(world.verdict().state, end, "the rest is undone");
            if is_stuck {
                return;
            }
        }
        world.recover();
        world.run();
        assert_eq!(world.verdict().state, RunEnd::Success, "after it was undone");
    });
}
