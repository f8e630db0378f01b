//! The live view, on a terminal of its own.

use crate::support::Project;
use crate::tool::{Gate, on_a_terminal, run};

/// Two stages, the second of which takes a second: what is left is told from five runs before.
#[test]
fn the_live_view_says_when_the_run_will_end_as_history_has_it() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  hold: {run: 'echo here; read -r _ < gate'}\n  \
         work: {needs: [hold], run: 'exec sleep 1.2'}\n",
    );
    let mut gate = Gate::new(&project, "gate");
    for _ in 0..5 {
        gate.open();
        run(&project, 0);
    }
    let live = on_a_terminal(&project, "stty cols 100 rows 20;", "run plan.yaml");
    let told = live.line(" left, until ");
    let (left, until) = told.split_once(" left, until ").expect("it was found by that");
    assert!(left.ends_with("about 2s") || left.ends_with("about 1s"), "the second stage is to come: {told:?}");
    let clock: String = until.chars().take(5).collect();
    assert!(
        clock.as_bytes().iter().enumerate().all(|(at, c)| if at == 2 { *c == b':' } else { c.is_ascii_digit() }),
        "{told:?}"
    );
    gate.open();
    live.end_open().expect(0);
}
