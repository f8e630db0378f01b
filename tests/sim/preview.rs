//! What the preview of a resume says is what the resume does.

use std::collections::BTreeSet;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::Graph;
use engine::graph::model::Node;
use engine::run::event::{Answer, CheckKind, NodeState, ShardResult, SkipReason};
use engine::run::{Attempt, Command, Core, Event, Fate, HangsOn, Input, Outcome, Prospect, foresee, input};

use crate::little::resumed;
use crate::plan::{Dice, Kind, versions};
use crate::world::{Mode, World};
use crate::{each, seeds_with};

/// Seeds that found clocks that run out while a re-try waits, failures that come of a condition, and what hangs on
/// them: 1317 and 15604 the rest of a stage that has begun, 7422 what is undone, 22171 what finds a slot beside a stage
/// that is cut as it runs, 2820 who needs a doubtful stage that fails, 5829 a freeze.
const FOUND: [u64; 18] =
    [324, 793, 794, 1034, 1317, 2820, 4028, 4184, 4224, 4425, 5371, 5829, 6585, 7422, 12184, 15604, 22171, 28754];

/// Random runs, cut after a random record, some with another plan or a stage that is run again on purpose: each
/// stage has the fate that was foreseen.
#[test]
fn what_is_foreseen_is_what_happens() {
    each("what_is_foreseen", seeds_with(300, 30_000, &FOUND), |seed| {
        let mut dice = Dice(seed ^ 0x5eed);
        let mode = if dice.chance(60) { Mode::Hostile } else { Mode::Calm };
        let mut whole = World::new(seed, mode);
        whole.run();
        for _ in 0..4 {
            // All of it is a cut, too: a run that has failed, and is tried again.
            let count = 1 + usize::try_from(dice.below(whole.log.len() as u64)).expect("a length");
            compare(&World::cut(&whole, count), &mut dice, seed);
        }
        compare(&World::cut(&whole, whole.log.len()), &mut dice, seed);
    });
}

fn compare(cut: &World, dice: &mut Dice, seed: u64) {
    let may_change = !cut.core.state().goes_on_undoing();
    let edited = dice.chance(30).then(|| versions(seed + 1, Kind::Wild).remove(0)).filter(|_| may_change);
    let graphs: Vec<_> = cut.versions.iter().cloned().chain(edited.clone()).collect();
    let version = edited.map(|_| u32::try_from(graphs.len()).expect("few versions"));
    let mut core = Core::new(graphs.clone());
    for (at, event) in &cut.log {
        core.replay(*at, event);
    }
    let graph = version.map_or_else(|| core.state().graph(), |_| graphs.last().expect("one was added")).clone();
    let recover = recover(&graph, version, dice);
    // An engine comes back at once, or long after every clock has run out.
    let at = cut.at + Span::from_ms(if dice.chance(50) { 0 } else { 1_000_000 });
    agree(&core, at, &recover, &graph);
}

/// What is foreseen of a run that is resumed by `graph` is what happens then.
pub(crate) fn agree(core: &Core, at: Millis, recover: &Input, graph: &Graph) {
    let prospects = foresee(core.clone(), at, vec![recover.clone()]);
    // The preview waits for no `rate`, so it does not see a clock run out meanwhile.
    if graph.nodes.iter().any(has_rate) && has_clock(graph) {
        return;
    }
    // What attempts will leave is not known to the preview: each time something else.
    for n in 0..3 {
        let lived = live(core.clone(), at, vec![recover.clone()], n);
        // A start that nobody foresaw for certain is only thought to succeed, as all others are.
        let fails =
            |node: NodeIx| matches!(lived.core.state().state(node), NodeState::Failed | NodeState::TimedOut);
        let is_other =
            |node: NodeIx| prospects[node].hangs_on.is_some() && prospects[node].state != NodeState::Failed;
        if graph.nodes.indexes().any(|node| is_other(node) && fails(node)) {
            continue;
        }
        let awake = graph.nodes.indexes().filter(|&node| lived.core.state().is_awake(node));
        for node in awake {
            judge(node, &prospects[node], &lived);
        }
    }
}

fn has_rate(node: &Node) -> bool {
    node.rules.split.as_ref().is_some_and(|split| split.rate.is_some())
}

fn has_clock(graph: &Graph) -> bool {
    let is_timed = |node: &Node| {
        let rules = &node.rules;
        let within = rules.retry.as_ref().and_then(|retry| retry.within);
        rules.queue.or(within).or(rules.timeout.filter(|_| rules.is_approval)).is_some()
    };
    let settings = &graph.settings;
    let has_objective = !graph.objectives.is_empty();
    has_objective || settings.timeout.or(settings.finally_budget).is_some() || graph.nodes.iter().any(is_timed)
}

fn recover(graph: &Graph, plan_version: Option<u32>, dice: &mut Dice) -> Input {
    let resumed = resumed(Span::ZERO, graph.settings.max_parallel);
    let mut any = |percent| {
        let nodes: Vec<NodeIx> = graph.nodes.indexes().filter(|_| dice.chance(percent)).collect();
        nodes
    };
    let rerun = any(5);
    let gates = any(50).into_iter().filter(|&node| graph.nodes[node].rules.is_approval);
    let changed = if plan_version.is_some() { gates.collect() } else { Vec::new() };
    Input::Recover { resumed: Box::new(resumed), plan_version, changed, rerun, failed: Vec::new() }
}

/// What a resume did while no person said a word.
struct Lived {
    core: Core,
    started: BTreeSet<NodeIx>,
    checked: BTreeSet<NodeIx>,
    skipped: BTreeSet<(NodeIx, String)>,
    ended: BTreeSet<NodeIx>,
}

/// A real resume: attempts end at once and all succeed.
fn live(mut core: Core, at: Millis, recover: Vec<Input>, n: u64) -> Lived {
    let (mut started, mut checked, mut skipped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut ended = BTreeSet::new();
    let mut at = at;
    let mut inputs = recover;
    for _ in 0..10_000 {
        let batch = core.step(at, std::mem::take(&mut inputs));
        for (_, event) in &batch.events {
            match event {
                Event::NodeSkipped { node, why } => {
                    skipped.insert((*node, format!("{why:?}")));
                }
                Event::NodeFinished { node, .. } => {
                    ended.insert(*node);
                }
                _ => {}
            }
            input::commands(event, |command| match command {
                Command::Start(attempt) => {
                    started.insert(attempt.node);
                    inputs.push(success(attempt, n));
                }
                Command::Check(node, shard, kind) => {
                    if kind == CheckKind::DoneIf {
                        checked.insert(node);
                    }
                    inputs.push(Input::Checked { node, shard, kind, answer: Answer::No });
                }
                Command::Stop(..) | Command::Hire(..) => {}
                Command::Dismiss(node, _) => inputs.push(Input::CrewGone { node }),
            });
        }
        // The preview shows what starts once a freeze is over.
        if core.state().is_frozen() {
            inputs.push(Input::BreakGlass { by: String::new(), reason: String::new() });
        }
        if inputs.is_empty() {
            // Only what waits for its moment may make time pass, not what waits for a person.
            let waits_for_person = core.state().needs_person();
            match core.next_deadline().filter(|_| !waits_for_person && core.state().verdict().is_none()) {
                Some(due) if due > at || !batch.events.is_empty() => at = at.max(due),
                _ => return Lived { core, started, checked, skipped, ended },
            }
            inputs.push(Input::Tick);
        }
    }
    panic!("the resume does not end");
}

/// An attempt succeeds, and leaves an output by which conditions go.
fn success(attempt: Attempt, n: u64) -> Input {
    let left = if n < 2 { n } else { u64::from(attempt.node.raw() % 2) };
    let outputs = vec![("n".to_owned(), left.into())];
    let result = Box::new(ShardResult { outputs, ..ShardResult::default() });
    Input::Done { attempt, outcome: Outcome::Success, took: Span::ZERO, result }
}

fn judge(node: NodeIx, prospect: &Prospect, lived: &Lived) {
    let (state, has_started) = (lived.core.state().state(node), lived.started.contains(&node));
    let told = format!("{node:?} was foreseen as {prospect:?} and is {state:?}, started: {has_started}");
    let was_skipped = matches!(state, NodeState::Skipped | NodeState::Blocked);
    // What hangs on the run itself may wait, be left out, or be done.
    // One of which an attempt was put back before a failure drains the run ends as cancelled.
    // What a failure drains may be undone after it, whether that comes sooner or later than was foreseen.
    let is_undone =
        state == NodeState::Undone && matches!(prospect.hangs_on, Some(HangsOn::Drain | HangsOn::Rest));
    let is_left = is_undone || was_skipped || state.is_success() || state == NodeState::Cancelled;
    let is_left = is_left || !state.is_final();
    // What is known of it all the same: that it starts, or that it does not and stays done if it is not undone.
    let is_known = match prospect.hangs_on {
        Some(HangsOn::Rest) => has_started,
        Some(HangsOn::Undo) => has_started == prospect.starts && state.is_success(),
        _ => true,
    };
    let is_other = prospect.hangs_on.is_some() && is_left && is_known;
    assert!(is_other || is_as_foreseen(node, prospect, lived), "{told}");
}

fn is_as_foreseen(node: NodeIx, prospect: &Prospect, lived: &Lived) -> bool {
    let (state, has_started) = (lived.core.state().state(node), lived.started.contains(&node));
    let was_skipped = matches!(state, NodeState::Skipped | NodeState::Blocked);
    let is_so = match &prospect.fate {
        Fate::Kept => !has_started && state.is_final(),
        Fate::Starts => has_started,
        Fate::Checked => lived.checked.contains(&node),
        Fate::Asked => is_asked(lived, node),
        Fate::Waits(on) => !state.is_final() && on.is_none_or(|on| is_asked(lived, on)),
        Fate::Skipped(why) => {
            let is_blocked = matches!(why, SkipReason::Blocked { .. });
            let is_right = state == if is_blocked { NodeState::Blocked } else { NodeState::Skipped };
            is_right && lived.skipped.contains(&(node, format!("{why:?}")))
        }
        Fate::Ends(_) => lived.ended.contains(&node) && !has_started && !state.is_success() && !was_skipped,
    };
    is_so && prospect.state == state && prospect.starts == has_started
}

fn is_asked(lived: &Lived, node: NodeIx) -> bool {
    let state = lived.core.state();
    state.open_approvals().any(|(open, _)| open == node) || state.unknown().any(|unknown| unknown == node)
}
