//! Approvals that are signed: an approver is a key, whatever the machine calls the person.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Output, Project};
use crate::tool::{SHIP, by, events_of, log, set_policy, stage};

/// A project whose policy wants so many of ann and bob to agree; both keys are made with the engine, and one more.
fn project(min: u32, plan: &str) -> Project {
    let project = Project::with_plan(plan);
    let public = |name: &str| project.engine(&["keys", "new", name]).expect(0).stdout.trim().to_owned();
    let (ann, bob, _) = (public("ann.key"), public("bob.key"), public("eve.key"));
    let keys = format!("{{ann: '{ann}', bob: '{bob}'}}");
    set_policy(&project, &format!("approvals: {{min: {min}, distinct-from: [operator], keys: {keys}}}"));
    project
}

fn sign(project: &Project, key: &str, run: &str) -> Output {
    project.engine(&["approve", run, "approve", "--sign-with", key])
}

#[test]
fn a_name_proves_nothing_and_a_key_does() {
    let project = project(2, SHIP);
    let out = by(&project, "olga", &["run", "plan.yaml", "--run-id", "one", "--yes"]).expect(5);
    assert!(out.stdout.contains("approve? "), "{}", out.stdout);
    // Whoever says that they are ann has not proven it.
    let refused = by(&project, "ann", &["approve", "one", "approve"]).expect(5);
    let why = "`approve` needs a yes that is signed by one of `ann`, `bob`";
    assert!(refused.stderr.contains(why) && refused.stderr.contains("--sign-with FILE"), "{}", refused.stderr);
    let refused = sign(&project, "eve.key", "one").expect(5);
    assert!(refused.stderr.contains("is not among the keys that may agree to `approve`"), "{}", refused.stderr);
    let first = sign(&project, "ann.key", "one").expect(0);
    assert!(first.stdout.contains("approved `approve`: 1 of 2"), "{}", first.stdout);
    // One key is one person, by whatever name.
    let twice =
        project.engine_with(&[("ENGINE_ACTOR", "bob"), ("ENGINE_SIGN_WITH", "ann.key")], &["approve", "approve"]);
    assert!(twice.expect(5).stderr.contains("`ann` has agreed to `approve` already"));
    sign(&project, "bob.key", "one").expect(0);
    by(&project, "olga", &["resume", "one"]).expect(0);
    assert_eq!(log(&project), ["ship"]);
    let given = events_of(&project, "approval-given", "approve");
    assert!(given.iter().all(|it| it["signed"] == true) && given.len() == 2, "{given:?}");
    let decided = events_of(&project, "approval-decided", "approve");
    assert_eq!(decided[0]["by"], "ann and bob");
    let verified = project.engine(&["verify", "one", "--deep"]).expect(0);
    assert!(
        verified.stdout.contains("2 of the approvals are signed, each by one whom the policy names"),
        "{}",
        verified.stdout
    );
}

#[test]
fn a_signature_is_for_one_run_its_plan_and_its_inputs() {
    let project = project(1, SHIP);
    by(&project, "olga", &["run", "plan.yaml", "--run-id", "one"]).expect(5);
    // What ann signs for one run is put into another one's inbox.
    sign(&project, "ann.key", "one").expect(0);
    let signature = stage(&project, "approve")["approvals"][0]["signature"].as_str().expect("one").to_owned();
    by(&project, "olga", &["run", "plan.yaml", "--run-id", "two", "--set", "tag=v2"]).expect(5);
    let letter = format!(
        "{{\"verb\":\"attest\",\"stage\":\"approve\",\"vote\":{{\"by\":\"ann\",\"signature\":\"{signature}\"}}}}"
    );
    project.write(".engine/runs/two/inbox/9999999999999999-0000000001-000001.json", letter);
    let out = by(&project, "olga", &["resume", "two"]).expect(5);
    let why = "the signature is not `ann`'s for this run, this stage, this plan and these inputs";
    assert!(out.stdout.contains(why) || out.stderr.contains(why), "{}{}", out.stdout, out.stderr);
    assert!(!project.has("log"), "nothing was shipped");
}

#[test]
fn a_checklist_is_signed_item_by_item_and_a_broken_glass_needs_no_key() {
    let list = SHIP.replace(
        "uses: approval, with: {prompt: 'Ship {{ inputs.tag }}?'}",
        "uses: attest, with: {items: {docs: they are written}}",
    );
    let project = project(1, &list);
    by(&project, "olga", &["run", "plan.yaml", "--run-id", "one"]).expect(5);
    by(&project, "ann", &["attest", "one", "approve", "-a", "docs=yes"]).expect(5);
    project.engine(&["attest", "one", "approve", "-a", "docs=yes", "--sign-with", "ann.key"]).expect(0);
    by(&project, "olga", &["resume", "one"]).expect(0);
    project.engine(&["verify", "one", "--deep"]).expect(0);
    by(&project, "olga", &["run", "plan.yaml", "--run-id", "two", "--break-glass", "the site is down"]).expect(5);
    by(&project, "ann", &["attest", "two", "approve", "-a", "docs=yes"]).expect(0);
    by(&project, "olga", &["resume", "two"]).expect(0);
    assert_eq!(log(&project), ["ship", "ship"]);
}

#[test]
fn keys_are_made_shown_kept_to_their_owner_and_checked() {
    let project = project(1, SHIP);
    let shown = project.engine(&["keys", "show", "ann.key"]).expect(0).stdout;
    assert!(project.read("environments/live.yaml").contains(shown.trim()), "{shown}");
    project.engine(&["keys", "new", "ann.key"]).expect(9);
    let path = project.path("ann.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    let refused = project.engine(&["keys", "show", "ann.key"]).expect(9);
    assert!(refused.stderr.contains("can be read by others (mode 0644)"), "{}", refused.stderr);
    for (keys, why) in [
        ("{ann: AAAA}", "the key of `ann` does not begin with `ed25519:`"),
        ("{ann: 'ed25519:AAAA'}", "has 3 bytes, not 32"),
        (&format!("{{ann: '{0}', bob: '{0}'}}", shown.trim()), "`bob` and `ann` have the same key"),
        (&format!("{{ann: '{}'}}", shown.trim()), "2 people must agree, and there are keys of 1"),
    ] {
        set_policy(&project, &format!("approvals: {{min: 2, keys: {keys}}}"));
        let refused = project.engine(&["check", "plan.yaml"]).expect(3);
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("env::bad-key") && said.contains(why), "{why}: {said}");
    }
}
