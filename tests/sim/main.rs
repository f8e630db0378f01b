//! Simulation of the core: a seed makes a graph, what its attempts do, and what people do to the run. Laws are
//! checked after every event, and the run is killed after every record and resumed.
//!
//! `SIM_SEED=n cargo test --test sim` repeats one seed, `SIM_LOG=1` shows its facts; `ENGINE_LONG=1` runs many.

mod audit;
mod background;
mod book;
mod consent;
mod crews;
mod disk;
mod edited;
mod engines;
mod heal;
mod held;
mod imagined;
mod items;
mod ladder;
mod late;
mod laws;
mod little;
mod news;
mod numbers;
mod people;
mod plan;
mod preview;
mod rehearsal;
mod seen;
mod undo;
mod verdict;
mod world;

use engine::graph::model::Node;
use engine::run::event::{NodeState, RunEnd};
use world::{Mode, World};

/// A sample and those that once found something; with `ENGINE_LONG` all up to `long`.
fn seeds_with(sample: u64, long: u64, found: &[u64]) -> Vec<u64> {
    let mut all = seeds(sample, long);
    if all.len() > 1 {
        let end = all.len() as u64;
        all.extend(found.iter().filter(|&&seed| seed > end));
    }
    all
}

fn seeds(sample: u64, long: u64) -> Vec<u64> {
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return vec![seed];
    }
    let count = if std::env::var_os("ENGINE_LONG").is_some() { long } else { sample };
    (1..=count).collect()
}

/// Runs `check` for every seed, also after one that fails; the end names the command that repeats each.
fn each(test: &str, seeds: Vec<u64>, check: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let mut failures = Vec::new();
    for seed in seeds {
        if let Err(cause) = std::panic::catch_unwind(|| check(seed)) {
            let words = cause.downcast_ref::<String>().map_or("", String::as_str);
            failures.push(format!("{words}\nrepeat with: SIM_SEED={seed} cargo test --test sim {test}"));
        }
    }
    assert!(failures.is_empty(), "{} seeds fail:\n{}", failures.len(), failures.join("\n"));
}

/// Everything at once: hostile executors, cancels, pauses. The run ends in bounded time, and no law breaks.
#[test]
fn every_run_keeps_the_laws_and_ends() {
    each("every_run", seeds(400, 50_000), |seed| {
        let mut world = World::new(seed, Mode::Hostile);
        world.run();
    });
}

/// Starts that leave before their record is durable are common, and each is judged by what is durable then.
#[test]
fn many_starts_leave_early() {
    let mut early = 0;
    for seed in 1..=200 {
        let mut world = World::new(seed, Mode::Mended);
        world.run();
        early += world.disk.early_starts;
    }
    assert!(early > 100, "only {early} starts left early: the law of early starts is hardly tested");
}

/// Killed after every record of a calm run: all prefixes reach the same verdict.
#[test]
fn a_crash_after_every_record_reaches_the_same_end() {
    each("a_crash", seeds(40, 2_000), |seed| {
        let mut whole = World::new(seed, Mode::Calm);
        whole.run();
        let end = whole.verdict().state;
        for count in 1..whole.log.len() {
            let mut cut = World::cut(&whole, count);
            let had = cut.done();
            cut.recover();
            cut.run();
            assert_eq!(cut.verdict().state, end, "cut after record {count} of {}", whole.log.len());
            assert!(cut.kept(&had), "cut after record {count}: something done was started again");
        }
    });
}

/// The same under every policy, with clocks that run out, approvals and clean-up: the same verdict, though not the
/// same stages, for a new try does again what the failure had stopped.
#[test]
fn a_crash_under_any_policy_reaches_the_same_verdict() {
    each("under_any_policy", seeds(40, 4_000), |seed| {
        let mut whole = World::new(seed, Mode::Fixed);
        whole.run();
        let end = fails(whole.verdict().state);
        for count in 1..whole.log.len() {
            let mut cut = World::cut(&whole, count);
            let had = cut.done();
            cut.recover();
            cut.run();
            assert_eq!(fails(cut.verdict().state), end, "cut after record {count} of {}", whole.log.len());
            assert!(cut.kept(&had), "cut after record {count}: something done was started again");
        }
    });
}

/// A new try may fail in another scope first, and with another scope to undo.
fn fails(end: RunEnd) -> RunEnd {
    if matches!(end, RunEnd::RolledBack | RunEnd::RollbackFailed) { RunEnd::Failed } else { end }
}

/// Whatever else happens to a run, also with an edited plan and a person's orders: killed after any record it ends.
#[test]
fn a_crash_after_any_record_of_a_hostile_run_ends() {
    each("hostile_run_ends", seeds_with(20, 2_000, &[600, 633, 750]), |seed| {
        let mut whole = World::new(seed, Mode::Hostile);
        whole.run();
        for count in (1..whole.log.len()).step_by(3) {
            let mut cut = World::cut(&whole, count);
            cut.hostile_takeover();
            cut.run();
        }
    });
}

/// All that can be heard, in each state on the way of a hostile run.
#[test]
fn any_news_in_any_state_is_taken() {
    each("any_news", seeds(6, 300), |seed| {
        let mut world = World::new(seed, Mode::Hostile);
        world.tries_all = true;
        world.run();
    });
}

/// Seeds that found news of one moment heard in another order: 11983 an approval before an empty attempt.
const FOUND: [u64; 5] = [9288, 11915, 11983, 13594, 15576];

/// What the dry run shows is what a run does in which all goes well.
#[test]
fn a_rehearsal_is_the_run_in_which_all_goes_well() {
    each("a_rehearsal", seeds_with(300, 30_000, &FOUND), |seed| {
        let graph = plan::versions(seed, plan::Kind::Calm).remove(0);
        // How a stage is cut that has a target hangs on what its shards take.
        let has_target = |node: &Node| node.rules.split.as_ref().is_some_and(|split| split.target.is_some());
        if graph.nodes.iter().any(has_target) {
            return;
        }
        let shown: Vec<_> = engine::run::rehearse(&graph).starts;
        assert_eq!(format!("{shown:?}"), format!("{:?}", rehearsal::perform(&graph)));
    });
}

/// A run that failed is resumed with everything mended: it succeeds, and what was done is not done again.
#[test]
fn a_failed_run_succeeds_once_its_cause_is_mended() {
    each("a_failed", seeds(200, 20_000), |seed| {
        let mut world = World::new(seed, Mode::Calm);
        world.run();
        if world.verdict().state == RunEnd::Success {
            return;
        }
        let had = world.done();
        world.mode = Mode::Mended;
        world.recover();
        world.run();
        assert_eq!(world.verdict().state, RunEnd::Success, "after the resume");
        assert!(world.kept(&had), "something done was started again");
        let bad = [NodeState::Failed, NodeState::TimedOut, NodeState::Unknown];
        assert!(bad.iter().all(|&state| world.core.state().count(state) == 0));
    });
}

/// Engines that work no longer than so long each, one after the other: the same verdict as one engine without an end,
/// nothing done is done again, and every box but the last gets something done.
#[test]
fn boxes_in_a_row_reach_the_same_end() {
    each("boxes_in_a_row", seeds(150, 20_000), |seed| {
        let length = 400;
        let graph = plan::versions(seed, plan::Kind::Calm).remove(0);
        let box_length = engine::base::Span::from_ms(length);
        if graph.nodes.iter().any(|node| !laws::fits(&node.rules, box_length)) {
            return;
        }
        let mut whole = World::new(seed, Mode::Calm);
        whole.run();
        let mut boxed = World::new(seed, Mode::Calm);
        boxed.time_box = Some(length);
        boxed.open_box();
        boxed.run();
        if boxed.core.state().verdict().is_none() {
            // A stall.
            return;
        }
        assert_eq!(boxed.verdict().state, whole.verdict().state);
        let states =
            |world: &World| graph.nodes.indexes().map(|node| world.core.state().state(node)).collect::<Vec<_>>();
        assert_eq!(states(&boxed), states(&whole));
    });
}
