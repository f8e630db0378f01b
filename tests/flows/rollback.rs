//! Rollback through the real binary: order, kill -9 in the middle, orders of people, points, the drill.

use crate::support::{Live, Project};
use crate::tool::{json, log};

/// a → b → c, each with a rollback; `c` fails unless there is a file `fine`.
const CHAIN: &str = r#"
version: 1
on-failure: rollback
stages:
  a:
    outputs: {made: string}
    run: 'echo a >> log; echo "made=gold" >> "$ENGINE_OUTPUT"'
    rollback: {env: {MADE: "{{ self.outputs.made | default('-') }}"}, run: 'echo "undo a of $MADE" >> log'}
  b:
    needs: [a]
    run: echo b >> log
    rollback:
      run: |
        echo "begin undo b" >> log
        if [ -e hold ]; then rm hold; echo held; exec sleep 600; fi
        echo "undo b" >> log
  c: {needs: [b], run: 'echo c >> log; test -e fine', rollback: {run: 'test ! -e stuck; echo "undo c" >> log'}}
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#;

/// What became of each stage, and of what undoes it.
fn states(project: &Project) -> String {
    let status = json(&project.engine(&["status", "--json"]).expect(0).stdout);
    let all = status["stages"].as_array().expect("stages").iter();
    let said =
        all.map(|it| format!("{}={}", it["id"].as_str().expect("an id"), it["state"].as_str().expect("a state")));
    said.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_done_is_undone_backwards_and_the_run_says_so() {
    let project = Project::with_plan(CHAIN);
    let out = project.engine(&["run", "plan.yaml", "--report", "junit=junit.xml"]).expect(1);
    assert!(out.stdout.contains("rolled-back  run"), "{}", out.stdout);
    assert!(out.stdout.contains("1 done, 1 failed, 2 undone of 4 stages"), "{}", out.stdout);
    let junit = project.read("junit.xml");
    assert!(junit.contains("<testsuite name=\"plan/rollback\" tests=\"3\" failures=\"0\""), "{junit}");
    assert_eq!(log(&project), ["a", "b", "c", "undo c", "begin undo b", "undo b", "undo a of gold", "tidy"]);
    let expected =
        "a=undone b=undone c=failed tidy=success a.rollback=success b.rollback=success c.rollback=success";
    assert_eq!(states(&project), expected);
    let status = json(&project.engine(&["status", "--json"]).expect(0).stdout);
    assert_eq!(status["state"], "rolled-back");
    project.engine(&["verify"]).expect(0);
    // It is settled: nobody takes it up unasked.
    let resumed = project.engine(&["resume"]).expect(0);
    assert!(resumed.stdout.contains("nothing to resume"), "{}", resumed.stdout);
}

#[test]
fn killed_in_the_middle_of_a_rollback_it_goes_on_with_it() {
    let project = Project::with_plan(CHAIN);
    project.write("hold", "");
    let live = project.start(&["run", "plan.yaml"]);
    live.line("held");
    live.kill();
    let shown = project.engine(&["plan", "--resume", &project.only_run()]).expect(0);
    assert!(shown.stdout.contains("b.rollback"), "{}", shown.stdout);
    project.engine(&["resume"]).expect(1);
    let expected = ["a", "b", "c", "undo c", "begin undo b", "begin undo b", "undo b", "undo a of gold", "tidy"];
    assert_eq!(log(&project), expected);
    assert_eq!(json(&project.engine(&["status", "--json"]).expect(0).stdout)["state"], "rolled-back");
    project.engine(&["verify"]).expect(0);
}

#[test]
fn a_rollback_that_fails_names_what_remains_and_is_finished_later() {
    let project = Project::with_plan(CHAIN);
    project.write("stuck", "");
    let out = project.engine(&["run", "plan.yaml"]).expect(11);
    assert!(out.stdout.contains("not undone: `a`, `b`, `c`"), "{}", out.stdout);
    assert_eq!(log(&project), ["a", "b", "c", "tidy"]);
    std::fs::remove_file(project.path("stuck")).expect("the file is there");
    project.engine(&["resume"]).expect(1);
    let rest = ["undo c", "begin undo b", "undo b", "undo a of gold", "tidy"];
    assert_eq!(log(&project)[4..], rest);
}

#[test]
fn a_forward_only_stage_stops_it_and_a_person_goes_past() {
    let plan = CHAIN.replace(
        "    rollback:\n      run: |\n        echo \"begin undo b\" >> log\n",
        "    rollback: forward-only\n",
    );
    let plan = plan.lines().filter(|line| !line.contains("hold") && !line.contains("\"undo b\""));
    let project = Project::with_plan(&plan.collect::<Vec<_>>().join("\n"));
    project.write("src/deep/x", "");
    let out = project.engine(&["run", "plan.yaml"]).expect(11);
    assert!(out.stdout.contains("           engine run plan.yaml\n"), "{}", out.stdout);
    assert!(out.stdout.contains("`b` is forward-only"), "{}", out.stdout);
    assert!(out.stdout.contains("engine rollback "), "{}", out.stdout);
    assert_eq!(log(&project), ["a", "b", "c", "undo c", "tidy"]);
    // What is to be copied works in the folder where it is read.
    let mut elsewhere = project.command(&["resume"]);
    elsewhere.current_dir(project.path("src/deep"));
    let out = Live::start(elsewhere).end().expect(11);
    assert!(out.stdout.contains("           engine run ../../plan.yaml\n"), "{}", out.stdout);
    let done = log(&project).len();
    project.engine(&["rollback"]).expect(0);
    assert_eq!(log(&project)[done..], ["undo a of gold", "tidy"]);
    let expected =
        "a=undone b=success c=failed tidy=success a.rollback=success b.rollback=skipped c.rollback=success";
    assert_eq!(states(&project), expected);
}

#[test]
fn a_good_run_is_undone_when_somebody_orders_it() {
    let project = Project::with_plan(CHAIN);
    project.write("fine", "");
    project.engine(&["run", "plan.yaml"]).expect(0);
    project.engine(&["rollback"]).expect(0);
    let undone = ["undo c", "begin undo b", "undo b", "undo a of gold", "tidy"];
    assert_eq!(log(&project)[4..], undone);
    let again = project.engine(&["rollback"]).expect(0);
    assert!(again.stdout.contains("rolled back already"), "{}", again.stdout);
}

#[test]
fn a_cancel_with_rollback_stops_and_undoes() {
    let plan =
        CHAIN.replace("run: 'echo c >> log; test -e fine'", "run: 'echo c >> log; echo up; exec sleep 600'");
    let project = Project::with_plan(&plan);
    let live = project.start(&["run", "plan.yaml"]);
    live.line("up");
    project.engine(&["cancel", "--rollback"]).expect(0);
    let out = live.end().expect(1);
    assert!(out.stdout.contains("rolled-back"), "{}", out.stdout);
    assert_eq!(log(&project)[3..], ["undo c", "begin undo b", "undo b", "undo a of gold", "tidy"]);
}

#[test]
fn a_release_is_rolled_back_without_an_order_once() {
    let project = Project::with_plan(CHAIN);
    project.engine(&["run", "plan.yaml", "--key", "v1"]).expect(1);
    let count = log(&project).len();
    project.engine(&["run", "plan.yaml", "--key", "v1"]).expect(1);
    assert_eq!(log(&project)[count..], ["a", "b", "c", "tidy"], "it only drains");
    project.engine(&["run", "plan.yaml", "--key", "v2"]).expect(1);
    assert_eq!(log(&project).last().map(String::as_str), Some("tidy"));
    assert!(log(&project)[count + 4..].contains(&"undo c".to_owned()), "another release");
}

#[test]
fn a_good_run_is_a_point_that_can_be_gone_back_to() {
    let plan = r#"
version: 1
inputs: {tag: {type: string}}
stages:
  build: {env: {TAG: "{{ inputs.tag }}"}, run: 'echo "$TAG" > app; echo build >> log', artifacts: [app]}
  ship: {needs: [build], run: 'cp app live; echo ship >> log'}
"#;
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--set", "tag=v1", "--run-id", "first"]).expect(0);
    project.engine(&["run", "plan.yaml", "--set", "tag=v2", "--run-id", "second"]).expect(0);
    assert_eq!(project.read("live"), "v2\n");
    let points = json(&project.engine(&["rollback", "--list", "--json"]).expect(0).stdout);
    let runs: Vec<&str> =
        points["points"].as_array().expect("a list").iter().filter_map(|it| it["run"].as_str()).collect();
    assert_eq!(runs, ["second", "first"]);
    assert_eq!(points["points"][1]["inputs"]["tag"], "v1");
    // The plan of today does not matter, and nothing is built again.
    project.write("plan.yaml", "version: 1\nstages: {other: {run: exit 1}}\n");
    project.engine(&["rollback", "--to", "first"]).expect(0);
    assert_eq!(project.read("live"), "v1\n");
    assert_eq!(log(&project), ["build", "ship", "build", "ship", "ship"]);
    project.engine(&["rollback", "--to", "nobody"]).expect(4);
}

#[test]
fn a_drill_deploys_rolls_back_verifies_and_deploys_again() {
    let project = Project::with_plan(CHAIN);
    project.write("fine", "");
    project.write(
        "checks.yaml",
        "version: 1\nstages: {look: {run: 'tail -2 log | grep -q \"undo a\" && echo checked >> log'}}\n",
    );
    let out = project.engine(&["rollback", "--drill", "plan.yaml", "--verify", "checks.yaml"]).expect(0);
    assert!(out.stdout.contains("drill passed"), "{}", out.stdout);
    let all = log(&project);
    let place = |word: &str| all.iter().position(|line| line == word).expect("it is there");
    assert!(place("undo a of gold") < place("checked"));
    assert_eq!(all[place("checked") + 1..], ["a", "b", "c", "tidy"]);
}

#[test]
fn a_body_is_checked_as_a_stage_is() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  a: {run: "true", rollback: {run: 'echo {{ inputs.x }}'}}
  b: {run: "true", rollback: {run: [./undo, "{{ self.outputs.gone }}"]}}
  c: {run: "true", rollback: {timeout: 5m}}
  d: {run: "true", rollback: later}
finally: {stages: {e: {run: "true", rollback: {run: "true"}}}}
"#,
    );
    let out = project.engine(&["check", "plan.yaml"]).expect(3);
    for code in ["plan::script-template", "plan::unknown-output", "plan::missing-key", "plan::misplaced-key"] {
        assert!(out.stderr.contains(code) || out.stdout.contains(code), "{code}: {}{}", out.stdout, out.stderr);
    }
}

/// a → b → c → d, of which all but `d` can be undone, and `d` fails.
const LONG: &str = r#"
version: 1
defaults: {env: {COLOR: red}}
stages:
  a: {outputs: {made: string}, run: 'echo a >> log; echo "made=gold" >> "$ENGINE_OUTPUT"', rollback: {run: 'echo "undo a" >> log'}}
  b:
    needs: [a]
    outputs: {id: string}
    run: 'echo b >> log; echo "id=7" >> "$ENGINE_OUTPUT"'
    rollback:
      env: {ID: "{{ self.outputs.id | default('-') }}", MADE: "{{ needs.a.outputs.made | default('-') }}"}
      run: |
        echo "begin undo b" >> log
        if [ -e hold ]; then rm hold; echo held; exec sleep 600; fi
        echo "undo b: $ID $MADE $COLOR" >> log
  c: {needs: [b], run: echo c >> log, rollback: {run: echo "undo c" >> log}}
  d: {needs: [c], run: "echo d >> log; test -e fine"}
"#;

/// `b` is gone, and what `c` needs is the other one.
const WITHOUT_B: &str = r#"
version: 1
defaults: {env: {COLOR: blue}}
stages:
  a: {outputs: {made: string}, run: 'echo a >> log; echo "made=gold" >> "$ENGINE_OUTPUT"', rollback: {run: 'echo "undo a" >> log'}}
  c: {needs: [a], run: echo c >> log, rollback: {run: echo "undo c" >> log}}
  d: {needs: [c], run: "echo d >> log; test -e fine"}
"#;

/// `a` is gone as well, and what fails is rolled back.
const WITHOUT_A_AND_B: &str = r#"
version: 1
on-failure: rollback
stages:
  c: {run: echo c >> log, rollback: {run: echo "undo c" >> log}}
  d: {needs: [c], run: "echo d >> log; test -e fine"}
"#;

#[test]
fn a_stage_that_is_gone_from_the_plan_is_undone_as_it_was_recorded() {
    let project = Project::with_plan(LONG);
    project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(1);
    project.write("plan.yaml", WITHOUT_B);
    let shown = project.engine(&["plan", "--resume", "one"]).expect(0);
    let said = "is gone from the plan; its recorded rollback stays";
    assert!(shown.stdout.contains(&format!("- b  {said}")), "{}", shown.stdout);
    assert!(!shown.stdout.contains("refuses"), "{}", shown.stdout);
    let resumed = project.engine(&["resume", "one", "--accept-changes"]).expect(1);
    assert!(resumed.stderr.contains(&format!("- b  {said}")), "{}", resumed.stderr);
    assert_eq!(states(&project), "a=success c=success d=failed b=success");
    let status = project.engine(&["status", "one"]).expect(0);
    let line = status.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some("b"));
    assert!(line.is_some_and(|line| line.ends_with("gone from the plan")), "{}", status.stdout);
    // What is gone does not run again, whoever asks for it.
    let asked = project.engine(&["resume", "one", "--rerun", "b"]).expect(4);
    assert!(asked.stderr.contains("`b` is gone from the plan"), "{}", asked.stderr);
    assert_eq!(log(&project), ["a", "b", "c", "d", "d"]);
    project.write("plan.yaml", WITHOUT_A_AND_B);
    project.write("hold", "");
    let live = project.start(&["resume", "one", "--accept-changes"]);
    live.line("held");
    live.kill();
    project.engine(&["verify", "one"]).expect(0);
    project.engine(&["resume", "one"]).expect(1);
    let undone = ["d", "undo c", "begin undo b", "begin undo b", "undo b: 7 gold red", "undo a"];
    assert_eq!(log(&project)[5..], undone);
    let ends = "c=undone d=failed c.rollback=success a=undone b=undone a.rollback=success b.rollback=success";
    assert_eq!(states(&project), ends);
    project.engine(&["verify", "one"]).expect(0);
    // Tried once more, the run does what the plan has now, and what is gone and undone is no part of that.
    project.write("fine", "");
    project.engine(&["resume", "one"]).expect(0);
    assert_eq!(log(&project)[11..], ["c", "d"]);
    project.engine(&["rollback", "one"]).expect(0);
    assert_eq!(log(&project)[13..], ["undo c"]);
}

#[test]
fn what_was_cut_off_and_is_gone_from_the_plan_is_undone() {
    let plan = r#"
version: 1
stages:
  a: {run: echo a >> log, rollback: {run: 'echo "undo a" >> log'}}
  half: {needs: [a], run: echo half >> log; exit 1, rollback: {env: {WAS: "{{ self.state }}"}, run: 'echo "undo half, $WAS" >> log'}}
  cut: {needs: [a], shards: {size: 1, items: [x, y]}, run: 'echo cut; exec sleep 600', rollback: {env: {WAS: "{{ self.state }}"}, run: 'echo "undo cut, $WAS" >> log'}}
"#;
    let project = Project::with_plan(plan);
    let live = project.start(&["run", "plan.yaml", "--run-id", "one"]);
    live.line("cut");
    live.line("failed");
    live.kill();
    project.write("plan.yaml", "version: 1\nstages:\n  new: {run: echo new >> log}\n");
    let out = project.engine(&["resume", "one", "--accept-changes"]).expect(0);
    for gone in ["a", "half", "cut"] {
        assert!(out.stderr.contains(&format!("- {gone}  is gone from the plan; its recorded")), "{}", out.stderr);
    }
    assert_eq!(states(&project), "new=success a=success half=skipped cut=skipped");
    project.engine(&["rollback", "one"]).expect(0);
    let mut undone = log(&project)[3..].to_vec();
    undone[..2].sort();
    // Each is told how far it had come, and not that the plan has it no more.
    assert_eq!(undone, ["undo cut, cancelled", "undo half, failed", "undo a"]);
    project.engine(&["verify", "one"]).expect(0);
}

#[test]
fn an_edit_beside_which_a_recorded_rollback_cannot_stay_is_refused() {
    let plan = LONG.replace("b:\n    needs", "b:\n    secrets: {KEY: key}\n    needs");
    let declared = "version: 1\ninputs: {key: {type: string, secret: true}}\n";
    let project = Project::with_plan(&plan.replace("version: 1\n", declared));
    let caller = [("ENGINE_INPUT_KEY", "hush-hush-hush")];
    project.engine_with(&caller, &["run", "plan.yaml", "--run-id", "one"]).expect(1);
    for (edited, why) in [
        (WITHOUT_B.to_owned(), "it needs the secret `inputs.key`, which is gone as well"),
        (
            WITHOUT_B.replace("a: {", "a: {needs: [c], ").replace("needs: [a], run: echo c", "run: echo c"),
            "turns the recorded order round",
        ),
    ] {
        project.write("plan.yaml", &edited);
        let refused = project.engine_with(&caller, &["resume", "one", "--accept-changes"]).expect(5);
        assert!(refused.stderr.contains("drops what undoes `b`, and it cannot be kept: "), "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    assert_eq!(log(&project), ["a", "b", "c", "d"], "nothing was started");
}

/// Nothing was begun, so nothing was interrupted.
#[test]
fn a_rollback_that_has_nothing_to_do_says_so_and_no_more() {
    let project = Project::with_plan(CHAIN);
    project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(1);
    let done = project.engine(&["rollback", "one"]).expect(0);
    assert!(done.stdout.contains("nothing to undo: run one was rolled back already"), "{}", done.stdout);
    assert_eq!(done.stderr, "");
    for words in [&["rollback", "none"][..], &["rollback", "--to", "none"], &["cancel", "--rollback", "none"]] {
        let refused = project.engine(words).expect(4);
        assert!(
            refused.stderr.contains("no run `none`") && !refused.stderr.contains("interrupted"),
            "{}",
            refused.stderr
        );
    }
}

/// What a stage counted on while it ran, its rollback counts on, too; and nobody starts it any more.
#[test]
fn an_edit_that_drops_the_service_below_a_recorded_rollback_is_refused() {
    let serves = "  db: {lifetime: run, run: 'sleep 600 & touch up', rollback: none}\n";
    let between = "  schema: {needs: [db], run: echo schema >> log, rollback: none}\n";
    let plan = format!(
        "version: 1\nstages:\n{serves}{between}  migrate: {{needs: [schema], run: echo up >> log, rollback: {{run: echo down >> log}}}}\n  \
         last: {{needs: [migrate], run: 'test -e fine'}}\n"
    );
    let project = Project::with_plan(&plan);
    project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(1);
    let last = "  last: {run: 'test -e fine'}\n";
    project.write("plan.yaml", format!("version: 1\nstages:\n{last}"));
    let why = "drops what undoes `migrate`, and it cannot be kept: it may count on `db`, which served the run and is gone as well";
    let shown = project.engine(&["plan", "--resume", "one"]).expect(0);
    assert!(shown.stdout.contains(&format!("a resume refuses it: the edit {why}")), "{}", shown.stdout);
    let refused = project.engine(&["resume", "one", "--accept-changes"]).expect(5);
    assert!(refused.stderr.contains(why) && refused.stderr.contains("engine rollback one"), "{}", refused.stderr);
    // With the service it can go, and what undoes it finds the service as before.
    project.write("plan.yaml", format!("version: 1\nstages:\n{serves}{last}"));
    project.engine(&["resume", "one", "--accept-changes"]).expect(1);
    project.engine(&["rollback", "one"]).expect(0);
    assert_eq!(log(&project), ["schema", "up", "down"]);
}

#[test]
fn an_edit_that_keeps_a_stage_without_its_way_back_is_refused_until_there_is_nothing_to_go_back_from() {
    let project = Project::with_plan(&CHAIN.replace("on-failure: rollback\n", ""));
    project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(1);
    let edits = [
        // `a` and `b` are gone, and stay to be undone; `c` is there, and what undoes it is not.
        "version: 1\nstages:\n  c: {run: 'echo mended >> log'}\n",
        // It is there, and only what undoes it is not.
        "version: 1\nstages:\n  a: {run: 'true', rollback: {run: 'true'}}\n  b: {needs: [a], run: 'true'}\n  c: {needs: [b], run: 'echo mended >> log', rollback: {run: 'true'}}\n",
    ];
    for (plan, lost) in edits.into_iter().zip(["`c`", "`b`"]) {
        project.write("plan.yaml", plan);
        let why = format!("the edit drops what undoes {lost}, and what that did stands");
        let shown = project.engine(&["plan", "--resume", "one"]).expect(0);
        assert!(shown.stdout.contains(&format!("a resume refuses it: {why}")), "{}", shown.stdout);
        for words in [vec!["resume", "one", "--accept-changes"], vec!["resume", "one", "--yes"]] {
            let refused = project.engine(&words).expect(5);
            assert!(refused.stderr.contains(&why), "{}", refused.stderr);
            assert!(refused.stderr.contains("engine rollback one"), "{}", refused.stderr);
        }
    }
    assert_eq!(log(&project), ["a", "b", "c", "tidy"], "nothing was started");
    // Undone, there is nothing left to go back from.
    project.engine(&["rollback", "one"]).expect(0);
    project.write("plan.yaml", edits[0]);
    project.engine(&["resume", "one", "--accept-changes"]).expect(0);
    assert_eq!(log(&project).last().map(String::as_str), Some("mended"));
}
