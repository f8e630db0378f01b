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

/// Why a stage failed is never cut: it stands below where there is no room, and in a pipe it is one line.
#[test]
fn status_tells_all_of_why_at_any_width_and_both_ends_of_a_name() {
    let long = "rollout-of-the-web-shop-and-its-workers";
    let project = Project::with_plan(&format!(
        "version: 1\nstages:\n  {long}:\n    matrix: {{region: [eu-central, us-east], on-failure: continue}}\n    \
         outputs: {{digest: string}}\n    run: 'true'\n"
    ));
    run(&project, 1);
    let why = "output `digest` is declared but was not written: echo \"digest=…\" >> \"$ENGINE_OUTPUT\"";
    let piped = project.engine(&["status"]).expect(0).stdout;
    for cell in ["eu-central", "us-east"] {
        let mut lines = piped.lines().filter(|line| line.contains(&format!("{long}:{cell}")));
        assert!(lines.next().expect("a line of the cell").ends_with(why), "{piped}");
    }
    for columns in [40, 80, 200] {
        let shown =
            on_a_terminal(&project, &format!("stty cols {columns} rows 40;"), "status").end_open().expect(0);
        let (_, table) = shown.stdout.split_once("state            stage").expect("a table");
        let words: Vec<&str> = table.split_whitespace().collect();
        assert!(words.join(" ").contains(why), "{columns}: {table}");
        for cell in ["-central", "us-east"] {
            assert!(
                table.lines().any(|line| line.contains("rollout-of") && line.contains(cell)),
                "{columns}: {table}"
            );
        }
    }
}
