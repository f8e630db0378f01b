//! Background work: a naive recount of what is released and of the verdict, and its laws.

use std::collections::BTreeSet;

use engine::base::{Millis, NodeIx};
use engine::graph::Parts;
use engine::graph::model::{Need, Phase};
use engine::run::event::{CancelLevel, NodeState, ReopenReason, Resumed, RunEnd, Verdict};
use engine::run::{Event, Input};

use crate::book::{Book, Key};
use crate::laws::{accepts, counts_on, has_ended};
use crate::plan::Dice;
use crate::world::{Mode, World};
use crate::{each, seeds};

/// What is known of the background.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backs {
    pub(crate) released: BTreeSet<NodeIx>,
    /// The verdict of the foreground, of a run that is not over.
    pub(crate) decided: Option<Verdict>,
    /// The verdict of a run that is.
    over: Option<Verdict>,
    pub(crate) left: Option<CancelLevel>,
}

/// Makes some stages of a plan background work, by dice of their own: those that nothing in the foreground needs.
pub(crate) fn lay(seed: u64, parts: &mut Parts) {
    if !Dice(seed ^ 0xbac6).chance(50) {
        return;
    }
    for at in (0..parts.nodes.len()).rev() {
        let stage = &parts.nodes[at];
        let salt = stage.id.bytes().fold(seed ^ 0xbac5, |salt, byte| salt.rotate_left(8) ^ u64::from(byte));
        let needs = |it: &engine::graph::model::Node| it.needs.iter().any(|need| need.node.raw() as usize == at);
        let is_free = parts.nodes.iter().all(|it| it.phase == Phase::Background || !needs(it));
        if stage.phase == Phase::Main && !stage.rules.is_approval && is_free && Dice(salt).chance(40) {
            parts.nodes[at].phase = Phase::Background;
            parts.nodes[at].rules.is_service = false;
        }
    }
}

impl Book {
    pub(crate) fn is_background(&self, node: NodeIx) -> bool {
        self.graph.nodes[node].phase == Phase::Background
    }

    /// Whether a stage that is open again calls for another verdict: one that comes up for the background does not.
    pub(crate) fn is_of_foreground(&self, node: NodeIx) -> bool {
        let is_up = self.backs.decided.is_some() && self.restarting.contains(&node);
        self.graph.nodes[node].phase == Phase::Main && !is_up
    }

    fn backs(&self) -> impl Iterator<Item = NodeIx> {
        self.graph.nodes.indexes().filter(|&node| self.is_background(node))
    }

    /// Whether an engine that resumes goes on with the background only.
    pub(crate) fn goes_on(&self, resumed: &Resumed) -> bool {
        resumed.drains && (self.is_over || self.backs.decided.is_some())
    }

    /// Whether the engine has nothing to do with what is left.
    pub(crate) fn has_left(&self) -> bool {
        self.backs.decided.is_some() && self.backs.left.is_some()
    }

    pub(crate) fn hear_background(&mut self, event: &Event) {
        match event {
            Event::BackgroundReleased { node } => drop(self.backs.released.insert(*node)),
            Event::ForegroundEnded { verdict } => {
                self.backs.decided = Some(verdict.clone());
                let is_stopped = verdict.state == RunEnd::Cancelled || verdict.timed_out;
                if is_stopped && self.backs.left.is_none() {
                    self.backs.left = Some(CancelLevel::Drain);
                }
                self.cancel = None;
            }
            Event::BackgroundLeft { how, .. } => self.backs.left = Some(*how),
            Event::RunFinished { verdict } => {
                self.backs.over = Some(verdict.clone());
                self.backs.decided = None;
            }
            Event::BackgroundRequeued { node, .. } => {
                if self.is_over {
                    self.backs.decided = self.backs.over.take();
                    self.is_over = false;
                }
                let done: Vec<Key> = self.done.iter().copied().filter(|key| key.0 == *node).collect();
                // Of what its service kept from its turn it may not be known what an attempt did.
                let in_doubt =
                    self.doubt.iter().any(|key| key.0 == *node) || !self.stage(*node).unknown.is_empty();
                self.reopen(*node, if in_doubt { ReopenReason::Resume } else { ReopenReason::Ordered });
                self.done.extend(done);
                self.hold_back(*node);
                self.backs.released.insert(*node);
            }
            Event::NodeReopened { node, .. } => {
                if self.is_of_foreground(*node) {
                    self.judge_anew();
                }
                self.hold_back(*node);
            }
            Event::ShardsReopened { node } => {
                if self.graph.nodes[*node].phase == Phase::Main {
                    self.judge_anew();
                }
                self.hold_back(*node);
            }
            Event::PlanChanged { .. } => {
                self.backs.released.clear();
                let is_open =
                    |node: NodeIx| self.graph.nodes[node].phase == Phase::Main && !self.states.contains_key(&node);
                if self.graph.nodes.indexes().any(is_open) {
                    self.judge_anew();
                }
            }
            _ => {}
        }
    }

    /// Something of the foreground is open again: there will be another verdict.
    fn judge_anew(&mut self) {
        if self.backs.decided.take().is_some() {
            self.late.go_on();
        }
    }

    /// A stage is open again, and so what waits for it is no work yet.
    fn hold_back(&mut self, node: NodeIx) {
        self.backs.released.remove(&node);
        for &next in self.graph.dependents(node) {
            self.backs.released.remove(&next);
        }
    }

    /// Another engine has the run.
    pub(crate) fn resume_background(&mut self, goes_on: bool) {
        self.backs.left = None;
        let decided = self.backs.decided.take().or_else(|| self.backs.over.take());
        self.backs.decided = decided.filter(|_| goes_on);
        self.backs.over = None;
    }
}

/// Before an event: what is true of the background.
pub(crate) fn check(book: &Book, at: Millis, event: &Event) {
    match event {
        Event::BackgroundReleased { node } => {
            let it = &book.graph.nodes[*node];
            assert!(book.is_background(*node) && it.selected && !has_ended(book, *node), "{node:?} is no work");
            assert!(it.needs.iter().all(|&need| accepts(book, need)), "{node:?} is released without its needs");
            assert!(!book.backs.released.contains(node), "{node:?} is released twice");
        }
        Event::ForegroundEnded { verdict } => {
            assert!(book.backs.decided.is_none() && !book.is_suspended, "a second verdict");
            assert!(book.backs().next().is_some(), "no background follows");
            crate::verdict::is_true(book, verdict);
        }
        Event::RunFinished { verdict } => match &book.backs.decided {
            None => {
                assert!(book.backs().next().is_none(), "the background never had its turn");
                crate::verdict::is_true(book, verdict);
            }
            Some(decided) => {
                assert_eq!(decided, verdict, "the background changed the verdict");
                let is_end = |state: NodeState| {
                    state.is_success()
                        || matches!(state, NodeState::Failed | NodeState::TimedOut)
                        || matches!(state, NodeState::Skipped | NodeState::Blocked)
                };
                let open = book.backs().map(|node| (node, book.state(node))).find(|it| !is_end(it.1));
                assert_eq!(open, None, "it is neither done, nor dead, nor skipped");
            }
        },
        Event::BackgroundLeft { by, .. } => {
            let timeout = book.graph.settings.timeout;
            let is_late = timeout.is_some_and(|limit| book.used_time(at) >= limit);
            assert!(!by.is_empty() || is_late || !book.knows_time(), "the background had more time");
        }
        Event::BackgroundRequeued { node, .. } => {
            let is_dead = matches!(book.state(*node), NodeState::Failed | NodeState::TimedOut);
            assert!(is_dead && book.is_background(*node), "{node:?} is not dead");
        }
        _ => {}
    }
}

/// Nothing of the background acts before the verdict, without being released, or when its engine leaves; nor does what
/// counts on something that was undone.
pub(crate) fn may_act(book: &Book, node: NodeIx) {
    assert!(book.backs.decided.is_some(), "{node:?} acts before the verdict");
    assert!(book.backs.left.is_none(), "{node:?} acts although its engine leaves");
    assert!(book.backs.released.contains(&node), "{node:?} was never released");
    let is_fresh = !book.highest.keys().any(|key| key.0 == node);
    let undone = counts_on(book, node).into_iter().find(|it| book.undos.undone.contains(it));
    assert!(
        !is_fresh || book.undos.why.is_none() || undone.is_none(),
        "{node:?} counts on {undone:?}, which was undone"
    );
}

/// What may start is released in the batch that made it so; and an engine that leaves is gone once nothing runs.
pub(crate) fn after_step(book: &Book) {
    let is_due = |node: NodeIx| {
        let it = &book.graph.nodes[node];
        it.selected && !has_ended(book, node) && it.needs.iter().all(|&need| accepts(book, need))
    };
    let late = book.backs().find(|&node| is_due(node) && !book.backs.released.contains(&node));
    assert_eq!(late, None, "its needs are met, and it was not released with them");
    let runs = !book.running.is_empty() || !book.checks.is_empty();
    assert!(!book.has_left() || runs || book.is_suspended || book.is_over, "the engine does not leave");
    for (key, run) in book.running.iter().filter(|_| book.has_left()) {
        let asked = run.stop.is_some() || book.backs.left == Some(CancelLevel::Drain);
        assert!(asked, "{key:?} does not know that its engine leaves");
    }
}

/// Whether nothing keeps background work from its turn but services that are not up again.
pub(crate) fn lacks_services(book: &Book, node: NodeIx) -> bool {
    let above = counts_on(book, node);
    let is_down = |node: &NodeIx| book.restarting.contains(node) && !book.state(*node).is_success();
    let handles = |need: &Need| need.accept.failed && book.state(need.node).is_failure();
    let needs = &book.graph.nodes[node].needs;
    book.is_background(node)
        && above.iter().any(|it| is_down(it) && has_ended(book, *it))
        && !needs.iter().any(handles)
        && needs.iter().all(|&need| accepts(book, need) || is_down(&need.node))
}

/// Work that only lacks services ends as done or as a ticket, and not before somebody knows what became of them.
pub(crate) fn is_blocked_for_good(book: &Book, node: NodeIx, by: NodeIx) {
    let is_left = counts_on(book, node).iter().all(|it| !book.undos.undone.contains(it));
    let lacks = is_left && lacks_services(book, node);
    let is_lost = lacks && book.backs.decided.is_some();
    assert!(!is_lost, "promise 9: {node:?} ends neither as done nor as a ticket");
    let is_early = lacks && book.state(by) == NodeState::Unknown;
    assert!(!is_early, "nobody knows whether {by:?} was started again for {node:?}");
}

fn background(world: &World) -> Vec<NodeIx> {
    let graph = world.graph();
    graph.nodes.indexes().filter(|&node| graph.nodes[node].phase == Phase::Background).collect()
}

/// How every stage ended. Of two shards that fail, one by a clock, the first one names the end, and which that is hangs on
/// when they started.
fn ends(world: &World) -> Vec<NodeState> {
    let by_name = |state| if state == NodeState::TimedOut { NodeState::Failed } else { state };
    world.graph().nodes.indexes().map(|it| by_name(world.core.state().state(it))).collect()
}

/// Told not to wait, every engine leaves what is left of the background to the next one, with the verdict of the first.
#[test]
fn engines_that_do_not_wait_leave_the_rest_to_others() {
    let left = std::sync::atomic::AtomicU32::new(0);
    each("engines_that_do_not_wait", seeds(200, 20_000), |seed| {
        let mut whole = World::new(seed, Mode::Fixed);
        whole.run();
        let mut world = World::new(seed, Mode::Fixed);
        world.send(0, Input::LeaveBackground { how: CancelLevel::Drain, by: "sim".to_owned() });
        world.run_once();
        let state = world.core.state();
        assert_eq!(state.decided().map(|it| it.state), Some(whole.verdict().state));
        let had: Vec<NodeIx> = background(&world).into_iter().filter(|&it| !state.state(it).is_final()).collect();
        if had.is_empty() {
            assert!(state.verdict().is_some(), "nothing is left to do");
            return;
        }
        left.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(state.verdict().is_none() && state.suspended().is_some(), "it leaves");
        assert!(background(&world).iter().all(|&node| state.attempts(node, 0) == 0), "nothing of it was started");
        world.drain();
        world.run();
        assert_eq!(world.verdict(), whole.verdict());
        assert_eq!(ends(&world), ends(&whole));
    });
    assert!(left.into_inner() > 0 || std::env::var_os("SIM_SEED").is_some(), "no seed leaves anything");
}

/// Killed after every record, and then drained instead of resumed: once the verdict was given it stands, every stage of
/// the background comes to the same end, and nothing of the foreground is touched.
#[test]
fn a_crash_in_the_background_changes_nothing() {
    each("a_crash_in_the_background", seeds(150, 10_000), |seed| {
        let mut whole = World::new(seed, Mode::Fixed);
        whole.run();
        let given = whole.log.iter().position(|(_, event)| matches!(event, Event::ForegroundEnded { .. }));
        let Some(given) = given else { return };
        for count in given + 1..whole.log.len() {
            let mut cut = World::cut(&whole, count);
            let had = cut.done();
            cut.drain();
            cut.run();
            assert_eq!(cut.verdict(), whole.verdict(), "cut after record {count}");
            assert!(cut.kept(&had), "cut after record {count}: something done was started again");
            assert_eq!(ends(&cut), ends(&whole), "cut after record {count}");
        }
    });
}

/// Dead letters that are queued again are done once their cause is mended; the verdict stays what it was.
#[test]
fn dead_letters_are_queued_again() {
    let dead = std::sync::atomic::AtomicU32::new(0);
    each("dead_letters", seeds(200, 20_000), |seed| {
        let mut world = World::new(seed, Mode::Fixed);
        world.run();
        let (verdict, nodes) = (world.verdict(), world.core.state().dead().collect::<Vec<_>>());
        if nodes.is_empty() {
            return;
        }
        dead.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let had = world.done();
        world.mode = Mode::Mended;
        world.requeue(nodes.clone());
        assert!(world.core.state().verdict().is_none() && world.core.state().suspended().is_some());
        world.drain();
        world.run();
        assert_eq!(world.verdict(), verdict);
        assert!(world.kept(&had), "something done was started again");
        // What handles the failure of another one is not needed once that is mended.
        let graph = world.graph();
        let handles = |node: NodeIx| graph.nodes[node].needs.iter().any(|need| !need.accept.success);
        let is_done = |node: NodeIx| match world.core.state().state(node) {
            NodeState::Skipped => handles(node),
            state => state.is_success(),
        };
        assert!(nodes.iter().all(|&node| is_done(node)), "they are done");
        assert_eq!(world.core.state().dead().count(), 0);
    });
    assert!(dead.into_inner() > 0 || std::env::var_os("SIM_SEED").is_some(), "no seed has a dead letter");
}
