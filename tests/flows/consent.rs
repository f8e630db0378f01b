//! Several people, checklists, and the policy of an environment.

use crate::support::Project;
use crate::tool::{SHIP, by, events_of, expect_states, log, set_policy, stage, status};

/// A plan for an environment with this policy.
fn project(policy: &str, plan: &str) -> Project {
    let project = Project::with_plan(plan);
    set_policy(&project, policy);
    project
}

#[test]
fn two_people_agree_and_neither_of_them_runs_it() {
    let project = project("approvals: {min: 2, distinct-from: [operator]}", SHIP);
    by(&project, "olga", &["run", "plan.yaml"]).expect(5);
    let refused = by(&project, "olga", &["approve", "approve"]).expect(5);
    assert!(
        refused.stderr.contains("works on this run, and `approve` needs 2 people, not the operator"),
        "{}",
        refused.stderr
    );
    let first = by(&project, "ann", &["approve", "approve", "-m", "read it"]).expect(0);
    assert!(first.stdout.contains("approved `approve`: 1 of 2"), "{}", first.stdout);
    let twice = by(&project, "ann", &["approve", "approve"]).expect(5);
    assert!(twice.stderr.contains("has agreed to `approve` already"), "{}", twice.stderr);
    // Whoever resumes it works on it, too; what one has said stands.
    by(&project, "olga", &["resume"]).expect(5);
    assert_eq!(stage(&project, "approve")["approvals"][0]["note"], "read it");
    let second = by(&project, "bob", &["approve", "approve", "--json"]).expect(0);
    assert!(second.stdout.contains("approved `approve`: 2 of 2"), "{}", second.stdout);
    by(&project, "olga", &["resume"]).expect(0);
    assert_eq!(log(&project), ["ship"]);
    let given = events_of(&project, "approval-given", "approve");
    assert_eq!(given.len(), 2, "{given:?}");
    let decided = events_of(&project, "approval-decided", "approve");
    let who = decided[0]["by"].as_str().expect("a name");
    assert!(who.starts_with("ann@") && who.contains(" and bob@"), "{who}");
}

#[test]
fn yes_bypasses_no_policy_and_neither_does_a_selection_or_a_condition() {
    let policy = "approvals: {min: 1}";
    let one = project(policy, SHIP);
    one.engine(&["run", "plan.yaml", "--yes"]).expect(5);
    assert!(!one.has("log"));
    for words in [["--skip", "approve"], ["--only", "ship"]] {
        let refused = one.engine(&["run", "plan.yaml", words[0], words[1]]).expect(3);
        assert!(refused.stderr.contains("plan::needs-approval"), "{}", refused.stderr);
    }
    let two = project(policy, &SHIP.replace("{uses: approval,", "{if: '1 == 2', uses: approval,"));
    let output = two.engine(&["run", "plan.yaml"]).expect(1);
    assert!(output.stdout.contains("its `if` cannot leave it out"), "{}", output.stdout);
    expect_states(&two, "approve=failed ship=blocked");
    let without = project(policy, "version: 1\nenvironment: live\nstages:\n  ship: {run: echo ship >> log}\n");
    let refused = without.engine(&["check", "plan.yaml"]).expect(3);
    assert!(refused.stdout.contains("no stage asks anybody"), "{}{}", refused.stdout, refused.stderr);
}

#[test]
fn an_approval_is_for_the_plan_and_the_inputs_that_were_looked_at() {
    let project = Project::with_plan(&SHIP.replace("environment: live\n", ""));
    project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(5);
    let subject = stage(&project, "approve")["subject"].as_str().expect("a digest").to_owned();
    // Other inputs are another subject.
    project.engine(&["run", "plan.yaml", "--run-id", "two", "--set", "tag=v2"]).expect(5);
    let refused = project.engine(&["approve", "two", "approve", "--plan", &subject]).expect(5);
    assert!(refused.stderr.contains(&format!("is for plan {}", &subject[..12])), "{}", refused.stderr);
    assert!(refused.stderr.contains("the plan or its inputs were changed since"), "{}", refused.stderr);
    // So is an edited plan, and what was said about the old one does not count.
    project.write("plan.yaml", SHIP.replace("environment: live\n", "").replace("echo ship", "echo other"));
    project.engine(&["resume", "one", "--accept-changes"]).expect(5);
    project.engine(&["approve", "one", "approve", "--plan", &subject]).expect(5);
    assert_ne!(stage_of(&project, "one")["subject"], subject.as_str());
    let now = stage_of(&project, "one")["subject"].as_str().expect("a digest").to_owned();
    project.engine(&["approve", "one", "approve", "--plan", &now[..12]]).expect(0);
    project.engine(&["resume", "one"]).expect(0);
    assert_eq!(log(&project), ["other"]);
}

fn stage_of(project: &Project, run: &str) -> serde_json::Value {
    let output = project.engine(&["status", run, "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    status["stages"][0].clone()
}

const LIST: &str = r"
version: 1
stages:
  ready:
    uses: attest
    with:
      items: {tests: the full test script has passed, docs: the changelog names the version}
  ship: {needs: [ready], run: echo ship >> log}
";

#[test]
fn a_checklist_wants_an_answer_to_each_item() {
    let project = Project::with_plan(LIST);
    let output = project.engine(&["run", "plan.yaml", "--yes"]).expect(5);
    assert!(output.stdout.contains("- docs: the changelog names the version"), "{}", output.stdout);
    assert!(output.stdout.contains(" ready -a tests=yes -a docs=yes"), "{}", output.stdout);
    project.engine(&["approve", "ready"]).expect(2);
    for (answers, why) in [
        (vec!["tests=yes"], "without an answer: `docs`"),
        (vec!["tests=yes", "dogs=yes"], "has no item `dogs`"),
        (vec!["tests=yes", "tests=no"], "is answered twice"),
        (vec!["tests=perhaps"], "is no answer"),
        (vec!["tests"], "is not ITEM=ANSWER"),
    ] {
        let words: Vec<&str> =
            ["attest", "ready"].into_iter().chain(answers.iter().flat_map(|it| ["-a", it])).collect();
        let refused = project.engine(&words).expect(2);
        assert!(refused.stderr.contains(why), "{why}: {}", refused.stderr);
    }
    by(&project, "ann", &["attest", "ready", "-a", "docs=yes, line 12", "-a", "tests=yes"]).expect(0);
    project.engine(&["resume"]).expect(0);
    let given = events_of(&project, "approval-given", "ready");
    assert_eq!(given[0]["answers"][1]["words"], "line 12", "{given:?}");
    assert!(given[0]["by"].as_str().is_some_and(|who| who.starts_with("ann@")));
    assert_eq!(log(&project), ["ship"]);
}

#[test]
fn one_no_in_a_checklist_fails_it() {
    let project = Project::with_plan(LIST);
    project.engine(&["run", "plan.yaml"]).expect(5);
    project.engine(&["attest", "ready", "-a", "docs=yes", "-a", "tests=no, two are red"]).expect(0);
    let output = project.engine(&["resume"]).expect(1);
    assert!(output.stdout.contains("tests: no, two are red"), "{}", output.stdout);
    expect_states(&project, "ready=failed ship=blocked");
}

const FREEZE: &str = "freeze: [{from: '2020-01-01T00:00', to: '2999-01-01T00:00', reason: holidays}]";

#[test]
fn nothing_begins_in_a_freeze_but_what_breaks_the_glass() {
    let project = project(
        FREEZE,
        &SHIP.replace("uses: approval, with: {prompt: 'Ship {{ inputs.tag }}?'}, timeout: 4h", "run: 'true'"),
    );
    let refused = project.engine(&["run", "plan.yaml"]).expect(5);
    let said = "`live` is frozen until 2999-01-01 00:00 (UTC): holidays";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert!(project.runs().is_empty(), "a run that may not begin leaves nothing");
    project.engine(&["run", "plan.yaml", "--break-glass", " "]).expect(2);
    let output = by(&project, "olga", &["run", "plan.yaml", "--break-glass", "the site is down"]).expect(0);
    assert!(output.stdout.contains("override"), "{}", output.stdout);
    assert_eq!(log(&project), ["ship"]);
    let status = status(&project);
    assert_eq!(status["override"]["reason"], "the site is down", "{status}");
    assert!(status["override"]["by"].as_str().is_some_and(|who| who.starts_with("olga@")));
    let tickets = project.engine(&["tickets", "list", "--json"]).expect(0).stdout;
    assert!(tickets.contains("overrode the policy of the environment: the site is down"), "{tickets}");
    let shown = project.engine(&["status"]).expect(0).stdout;
    assert!(shown.contains("policy  overridden by olga@"), "{shown}");
}

/// What a dry run refuses the run refuses, and nothing else.
#[test]
fn a_dry_run_with_a_broken_glass_takes_the_selection_that_the_run_takes() {
    let project = project("approvals: {min: 1}", SHIP);
    let run = |more: &[&str]| project.engine(&[&["run", "plan.yaml", "--skip", "approve"], more].concat());
    for dry in [&["--dry-run"][..], &[]] {
        assert!(run(dry).expect(3).stderr.contains("--break-glass REASON"));
        run(&[dry, &["--break-glass", "the site is down"]].concat()).expect(0);
    }
    assert_eq!(log(&project), ["ship"]);
}

#[test]
fn a_freeze_that_came_meanwhile_holds_a_resume_back_and_a_broken_glass_lets_it_go_on() {
    let project = project("approvals: {min: 1}", SHIP);
    project.engine(&["run", "plan.yaml"]).expect(5);
    by(&project, "bob", &["approve", "approve"]).expect(0);
    project.write("environments/live.yaml", format!("policy: {{approvals: {{min: 1}}, {FREEZE}}}\n"));
    let held = project.engine(&["resume", "--accept-changes"]).expect(5);
    assert!(held.stdout.contains("is frozen until"), "{}{}", held.stdout, held.stderr);
    assert!(!project.has("log"));
    project.engine(&["resume", "--break-glass", "the site is down"]).expect(0);
    assert_eq!(log(&project), ["ship"]);
}

/// What the clock of a zone says so many hours from now, as a freeze is written.
fn local(zone: &str, hours: i64) -> String {
    let zone = jiff::tz::TimeZone::get(zone).expect("the system knows it");
    let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    moment.to_zoned(zone).datetime().strftime("%Y-%m-%dT%H:%M").to_string()
}

#[test]
fn a_freeze_counts_by_the_clocks_of_its_zone() {
    let plan =
        SHIP.replace("uses: approval, with: {prompt: 'Ship {{ inputs.tag }}?'}, timeout: 4h", "run: 'true'");
    let (zone, from, to) = ("Pacific/Auckland", local("Pacific/Auckland", -1), local("Pacific/Auckland", 1));
    let there = project(&format!("freeze: [{{from: '{from}', to: '{to}', tz: {zone}, reason: harvest}}]"), &plan);
    let refused = there.engine(&["run", "plan.yaml"]).expect(5);
    let said = format!("`live` is frozen until {} ({zone}): harvest", to.replace('T', " "));
    assert!(refused.stderr.contains(&said), "no `{said}` in {}", refused.stderr);
    // The same words, by other clocks, are another time.
    let here = project(&format!("freeze: [{{from: '{from}', to: '{to}', reason: harvest}}]"), &plan);
    here.engine(&["run", "plan.yaml"]).expect(0);
    let nowhere = project(
        "freeze: [{from: '2020-01-01T00:00', to: '2999-01-01T00:00', tz: Mars/Olympus, reason: x}]",
        &plan,
    );
    let refused = nowhere.engine(&["check", "plan.yaml"]).expect(3);
    assert!(refused.stdout.contains("`Mars/Olympus`, which is not known here"), "{}", refused.stdout);
}
