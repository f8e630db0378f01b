//! The way back of a merge that production does not serve yet.

use std::fs;

use crate::site::Site;

const REVERT: [&str; 4] =
    ["run", "plans/chrono/revert.yaml", "--set=repo=site/clone", "--set=production=site/production"];

#[test]
fn a_merge_that_is_not_deployed_is_reverted() {
    let site = Site::new();
    site.run_approved(&Site::release("0.2.0")).expect(0);
    let (merge, tree, checkout) =
        (site.commit("khala"), site.origin(&["rev-parse", "khala^1^{tree}"]), site.checkout());
    site.run_approved(&REVERT).expect(0);
    assert_eq!(site.origin(&["rev-parse", "khala^"]), merge);
    assert_eq!(site.origin(&["rev-parse", "khala^{tree}"]), tree, "khala is what it was before the merge");
    let message = site.origin(&["log", "-1", "--format=%B", "khala"]);
    assert!(message.starts_with("Revert \"Release v0.2.0\"") && message.contains(&merge), "{message}");
    assert_eq!(site.commit("v0.2.0"), merge, "a tag never moves");
    assert_eq!(site.checkout(), checkout);

    let again = site.run_approved(&REVERT).expect(1);
    assert!(again.stdout.contains("is no merge, there is nothing to revert"), "{}", again.stdout);
}

#[test]
fn what_was_reverted_can_be_released_later() {
    let site = Site::new();
    site.run_approved(&Site::release("0.2.0")).expect(0);
    site.run_approved(&REVERT).expect(0);
    let revert = site.commit("khala");
    site.develop("forge", "docs/ftso.md", "The spread again.\n");
    site.develop("forge", "IMPLEMENTATION_LOG.md", "- The spread is back.\n");
    // git takes the reverted changes for merged and would leave them out; the versions conflict before it can.
    let stopped = site.run_approved(&Site::release("0.3.0")).expect(1);
    assert!(stopped.stdout.contains("does not merge into khala"), "{}", stopped.stdout);
    assert_eq!(site.commit("khala"), revert);
    site.run(&["unlock", "chrono/release", "--reason", "forge is mended"]).expect(0);

    site.clone(&["fetch", "--quiet", "origin"]);
    site.clone(&["merge", "--quiet", "--ff-only", "origin/forge"]);
    site.clone(&["merge", "--quiet", "-s", "ours", "-m", "Keep what was reverted", "origin/khala"]);
    site.clone(&["push", "--quiet", "origin", "forge"]);
    site.run_approved(&Site::release("0.3.1")).expect(0);
    site.expect_on_khala("v0.3.1", &site.commit("archives/v0.3.1"), &revert);
    assert!(site.origin(&["show", "khala:src/spread"]).contains("the highest less the lowest"));
}

#[test]
fn what_production_serves_is_not_reverted() {
    let site = Site::new();
    site.run_approved(&Site::release("0.2.0")).expect(0);
    fs::write(site.path("production/DEPLOYED"), site.commit("khala")).expect("a file");
    let refs = site.refs();
    let stopped = site.run_approved(&REVERT).expect(1);
    assert!(stopped.stdout.contains("roll production back"), "{}", stopped.stdout);
    assert_eq!(site.refs(), refs);
}
