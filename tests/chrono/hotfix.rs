//! A fix from khala, and back to every branch.

use std::fs;

use crate::site::Site;

const CRITERIA: [&str; 3] = ["severe", "urgent", "understood"];

fn with(set: &str) -> Vec<String> {
    let mut args = Site::hotfix();
    args.push(format!("--set={set}"));
    args
}

#[test]
fn a_hotfix_answers_for_its_criteria_ships_and_comes_back_everywhere() {
    let site = Site::new();
    let (khala, refs, checkout) = (site.commit("khala"), site.refs(), site.checkout());
    let asked = site.run(&with("patch=site/hotfix.patch")).expect(5);
    for stage in CRITERIA {
        assert!(asked.stdout.contains(stage), "{}", asked.stdout);
        assert_eq!(site.state(stage), "waiting");
    }
    assert_eq!(site.state("tests"), "success", "the fix is prepared meanwhile");
    assert_eq!(site.refs(), refs, "and origin knows nothing of it");

    site.approve(&CRITERIA);
    site.run(&["resume"]).expect(5);
    let recall = site.commit("recall/hotfix-no-prices");
    assert_eq!(site.commit("khala"), khala);
    site.approve(&["approve"]);
    site.run(&["resume"]).expect(0);

    site.expect_on_khala("v0.1.1", &recall, &khala);
    let fixed = site.origin(&["show", "khala:src/median"]);
    assert!(fixed.contains("[ $# -gt 0 ] || exit 1"), "{fixed}");
    for branch in ["gateway", "forge"] {
        assert_eq!(site.commit(&format!("{branch}^2")), recall, "{branch} is a merge of the fix");
        assert!(site.contains(branch, &recall));
    }
    assert_eq!(site.origin(&["branch", "--list", "recall/*"]), "");
    assert_eq!(site.checkout(), checkout);
    assert!(!site.has_workspace());
}

#[test]
fn without_one_criterion_it_is_no_hotfix() {
    let site = Site::new();
    let refs = site.refs();
    site.run(&with("patch=site/hotfix.patch")).expect(5);
    site.approve(&CRITERIA[..2]);
    site.run(&["reject", "understood", "-m", "nobody knows why it works"]).expect(0);
    site.run(&["resume"]).expect(1);
    assert_eq!(site.state("push-recall"), "blocked");
    assert_eq!(site.refs(), refs);
}

#[test]
fn a_fix_may_come_as_a_branch_which_is_deleted_in_the_end() {
    let site = Site::new();
    site.clone(&["checkout", "--quiet", "-b", "recall/hotfix-no-prices", "khala"]);
    site.clone(&["apply", "--index", "../hotfix.patch"]);
    site.clone(&["commit", "--quiet", "-m", "Refuse an empty list"]);
    site.clone(&["push", "--quiet", "origin", "recall/hotfix-no-prices"]);
    site.clone(&["checkout", "--quiet", "forge"]);
    let (khala, fix) = (site.commit("khala"), site.commit("recall/hotfix-no-prices"));
    site.run_approved(&with("branch=recall/hotfix-no-prices")).expect(0);
    assert!(site.contains("khala", &fix) && site.contains("forge", &fix) && site.contains("gateway", &fix));
    assert_eq!(site.commit("khala^1"), khala);
    assert_eq!(site.origin(&["branch", "--list", "recall/*"]), "");
    assert_eq!(site.clone(&["branch", "--list", "recall/*"]), "", "the developer's branch is merged and gone");
}

#[test]
fn a_conflict_in_one_backport_keeps_the_fix_from_no_other_branch() {
    let site = Site::new();
    site.develop("forge", "src/median", "#!/bin/sh\necho rewritten\n");
    let forge = site.commit("forge");
    let stopped = site.run_approved(&with("patch=site/hotfix.patch")).expect(1);
    assert!(stopped.stdout.contains("src/median"), "{}", stopped.stdout);
    let recall = site.commit("recall/hotfix-no-prices");
    assert!(site.contains("khala", &recall) && site.contains("gateway", &recall));
    assert_eq!(site.commit("forge"), forge);
    assert_eq!(site.state("delete-recall"), "blocked", "the branch stays for the merge by hand");

    site.clone(&["fetch", "--quiet", "origin"]);
    site.clone(&[
        "merge",
        "--quiet",
        "-s",
        "ours",
        "-m",
        "Merge the hotfix by hand",
        "origin/recall/hotfix-no-prices",
    ]);
    site.clone(&["push", "--quiet", "origin", "forge"]);
    site.run(&["resume"]).expect(0);
    assert!(site.contains("forge", &recall));
    assert_eq!(site.origin(&["branch", "--list", "recall/*"]), "");
}

#[test]
fn a_patch_that_does_not_apply_or_no_fix_at_all_stops_it() {
    let site = Site::new();
    let refs = site.refs();
    fs::write(site.path("other.patch"), "--- a/src/median\n+++ b/src/median\n@@ -1 +1 @@\n-no such line\n+x\n")
        .expect("a file");
    for (set, said) in [
        ("patch=site/other.patch", "does not apply to khala"),
        ("branch=nowhere", "no branch nowhere"),
        ("patch=", "exactly one of the inputs"),
    ] {
        let stopped = site.run_approved(&with(set)).expect(1);
        assert!(stopped.stdout.contains(said), "no `{said}`:\n{}", stopped.stdout);
        assert_eq!(site.refs(), refs);
        site.run(&["unlock", "chrono/hotfix", "--reason", "the next try of the same test"]).expect(0);
    }
}
