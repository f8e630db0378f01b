//! Real runs, killed with -9 at random instants, also while they resume and twice in a row, then resumed to
//! their end. What ran (a log that the stages append to) is compared with what was recorded (the journal).
//!
//! A seed makes a plan and the instants. A failure prints the seed and the command that repeats it. A sample
//! of [`SAMPLE`] kills runs by default, [`LONG`] with `ENGINE_LONG=1`; `ENGINE_SEED=N` runs that seed alone.

use std::io::Write as _;

use crate::world::{Target, World};

/// Kills in the default series.
const SAMPLE: usize = 40;
/// Kills in the long series.
const LONG: usize = 1000;
/// First seed of a series.
const FIRST_SEED: u64 = 1;

/// Runs one seed to its end; answers who was killed.
fn kill_seed(seed: u64) -> Vec<Target> {
    match World::new(seed).and_then(World::live) {
        Ok(deaths) => deaths,
        Err(why) => panic!("seed {seed}: {why}\nrepeat it with: ENGINE_SEED={seed} cargo test --test faults"),
    }
}

#[test]
fn nothing_is_lost_or_done_twice_when_the_engine_is_killed_at_random_instants() {
    if let Some(seed) = std::env::var("ENGINE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        kill_seed(seed);
        return;
    }
    let wanted = if std::env::var_os("ENGINE_LONG").is_some() { LONG } else { SAMPLE };
    let (mut deaths, mut seed) = (Vec::new(), FIRST_SEED);
    while deaths.len() < wanted {
        deaths.extend(kill_seed(seed));
        seed += 1;
    }
    let count = |target| deaths.iter().filter(|&&one| one == target).count();
    let (worker, front, both) = (count(Target::Worker), count(Target::Front), count(Target::Both));
    let line = format!(
        "{} kills ({worker} worker, {front} front, {both} both), seeds {FIRST_SEED} to {}",
        deaths.len(),
        seed - 1
    );
    writeln!(std::io::stderr(), "{line}").expect("somebody reads");
    assert!(worker > 0 && front > 0 && both > 0, "every way to die is tried: {line}");
}
