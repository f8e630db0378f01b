//! What the preview of a resume says is what the resume does.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::Graph;
use engine::run::event::{Answer, CheckKind, NodeState, Resumed, ShardResult, SkipReason};
use engine::run::{Attempt, Command, Core, Event, Fate, Input, Outcome, Prospect, foresee, input};

use crate::plan::{Dice, Kind, versions};
use crate::world::{Mode, World};
use crate::{each, seeds};

/// Random runs, cut after a random record, some with another plan or a stage that is run again on purpose: each
/// stage has the fate that was foreseen.
#[test]
fn what_is_foreseen_is_what_happens() {
    each("what_is_foreseen", seeds(300, 30_000), |seed| {
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
    let edited = dice.chance(30).then(|| versions(seed + 1, Kind::Wild).remove(0));
    // No clock but those that have run out already: the preview does not know how long things will take.
    let graphs: Vec<_> = cut.versions.iter().cloned().chain(edited.clone()).map(|it| simpler(&it)).collect();
    let version = edited.map(|_| u32::try_from(graphs.len()).expect("few versions"));
    let mut core = Core::new(graphs.clone());
    for (at, event) in &cut.log {
        core.replay(*at, event);
    }
    let graph = version.map_or_else(|| core.state().graph(), |_| graphs.last().expect("one was added")).clone();
    let recover = vec![recover(&graph, version, dice)];
    // An engine comes back at once, or long after every clock has run out.
    let at = cut.at + Span::from_ms(if dice.chance(50) { 0 } else { 1_000_000 });
    let prospects = foresee(core.clone(), at, recover.clone());
    let lived = live(core, at, recover);
    for node in graph.nodes.indexes() {
        judge(node, &prospects[node], &lived);
    }
}

fn simpler(graph: &Graph) -> Arc<Graph> {
    let mut graph = graph.clone();
    for node in &mut graph.nodes {
        // What a condition hangs on is told as conditional, which the flows of the binary test.
        node.conditions.clear();
        node.rules.queue = None;
        if let Some(retry) = &mut node.rules.retry {
            retry.within = None;
        }
    }
    Arc::new(graph)
}

fn recover(graph: &Graph, plan_version: Option<u32>, dice: &mut Dice) -> Input {
    let jobs = graph.settings.max_parallel;
    let resumed = Resumed { wall_ms: 0, gap: Span::ZERO, jobs, by: String::new(), engine: String::new() };
    let mut any = |percent| {
        let nodes: Vec<NodeIx> = graph.nodes.indexes().filter(|_| dice.chance(percent)).collect();
        nodes
    };
    let rerun = any(5);
    let gates = any(50).into_iter().filter(|&node| graph.nodes[node].rules.is_approval);
    let changed = if plan_version.is_some() { gates.collect() } else { Vec::new() };
    Input::Recover { resumed: Box::new(resumed), plan_version, changed, rerun }
}

/// What a resume did while no person said a word.
struct Lived {
    core: Core,
    started: BTreeSet<NodeIx>,
    checked: BTreeSet<NodeIx>,
    skipped: BTreeSet<(NodeIx, String)>,
}

/// A real resume: attempts take their time, and all succeed.
fn live(mut core: Core, at: Millis, recover: Vec<Input>) -> Lived {
    let (mut started, mut checked, mut skipped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut at = at;
    let mut inputs = recover;
    for _ in 0..10_000 {
        let batch = core.step(at, std::mem::take(&mut inputs));
        for (_, event) in &batch.events {
            if let Event::NodeSkipped { node, why } = event {
                skipped.insert((*node, format!("{why:?}")));
            }
            input::commands(event, |command| match command {
                Command::Start(attempt) => {
                    started.insert(attempt.node);
                    inputs.push(success(attempt));
                }
                Command::Check(node, shard, kind) => {
                    if kind == CheckKind::DoneIf {
                        checked.insert(node);
                    }
                    inputs.push(Input::Checked { node, shard, kind, answer: Answer::No });
                }
                Command::Stop(..) => {}
            });
        }
        if inputs.is_empty() {
            // Only re-tries may make time pass: before an approval expires, a person would have decided.
            let waits_for_person = core.state().needs_person();
            match core.next_deadline().filter(|_| !waits_for_person && core.state().verdict().is_none()) {
                Some(due) if due > at || !batch.events.is_empty() => at = at.max(due),
                _ => return Lived { core, started, checked, skipped },
            }
            inputs.push(Input::Tick);
        }
    }
    panic!("the resume does not end");
}

fn success(attempt: Attempt) -> Input {
    let result = Box::<ShardResult>::default();
    Input::Done { attempt, outcome: Outcome::Success, took: Span::ZERO, result }
}

fn judge(node: NodeIx, prospect: &Prospect, lived: &Lived) {
    let (state, has_started) = (lived.core.state().state(node), lived.started.contains(&node));
    let told = format!("{node:?} was foreseen as {prospect:?} and is {state:?}, started: {has_started}");
    assert_eq!(prospect.state, state, "{told}");
    match &prospect.fate {
        Fate::Kept => assert!(!has_started && state.is_final(), "{told}"),
        Fate::Starts => assert!(has_started, "{told}"),
        Fate::Checked => assert!(lived.checked.contains(&node), "{told}"),
        Fate::Asked => assert!(is_asked(lived, node), "{told}"),
        Fate::Waits(on) => {
            assert!(!has_started && !state.is_final(), "{told}");
            assert!(on.is_none_or(|on| is_asked(lived, on)), "{told}");
        }
        Fate::Skipped(why) => {
            assert!(!has_started && lived.skipped.contains(&(node, format!("{why:?}"))), "{told}");
            let is_blocked = matches!(why, SkipReason::Blocked { .. });
            assert_eq!(state, if is_blocked { NodeState::Blocked } else { NodeState::Skipped }, "{told}");
        }
    }
}

fn is_asked(lived: &Lived, node: NodeIx) -> bool {
    let state = lived.core.state();
    state.open_approvals().any(|(open, _)| open == node) || state.unknown().any(|unknown| unknown == node)
}
