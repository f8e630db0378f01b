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
fn what_production_serves_is_not_reverted() {
    let site = Site::new();
    site.run_approved(&Site::release("0.2.0")).expect(0);
    fs::write(site.path("production/DEPLOYED"), site.commit("khala")).expect("a file");
    let refs = site.refs();
    let stopped = site.run_approved(&REVERT).expect(1);
    assert!(stopped.stdout.contains("roll production back"), "{}", stopped.stdout);
    assert_eq!(site.refs(), refs);
}
