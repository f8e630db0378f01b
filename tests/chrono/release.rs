//! A release from forge to khala, as it should go.

use crate::site::Site;

#[test]
fn the_plans_check_and_a_dry_run_touches_nothing() {
    let site = Site::new();
    let (refs, checkout) = (site.refs(), site.checkout());
    let plans = ["plans/chrono/release.yaml", "plans/chrono/hotfix.yaml", "plans/chrono/revert.yaml"];
    let checked = site.run(&[&["check"], &plans[..]].concat()).expect(0);
    for plan in plans {
        assert!(checked.stdout.contains(plan), "{}", checked.stdout);
    }
    let mut args = Site::release("0.2.0");
    args[0] = "plan".to_owned();
    let shown = site.run(&args).expect(0).stdout;
    for stage in ["merge-gateway", "approve", "publish", "back-merge"] {
        assert!(shown.contains(stage), "no {stage}:\n{shown}");
    }
    assert_eq!((site.refs(), site.checkout()), (refs, checkout));
    assert!(!site.has_workspace());
}

#[test]
fn a_release_waits_for_its_approval_and_then_ships_as_a_whole() {
    let site = Site::new();
    let checkout = site.checkout();
    let (forge, gateway, khala) = (site.commit("forge"), site.commit("gateway"), site.commit("khala"));

    let waiting = site.run(&Site::release("0.2.0")).expect(5);
    assert!(waiting.stdout.contains("engine approve"), "{}", waiting.stdout);
    let question = format!(
        "Release v0.2.0 (for a test) to khala, production? It is v0.1.0 now; staging serves {}",
        site.commit("gateway")
    );
    assert!(waiting.stdout.contains(&question), "no `{question}`\n{}", waiting.stdout);
    assert!(!waiting.stdout.contains("killed what was left"), "{}", waiting.stdout);
    assert!(waiting.stdout.contains("smoke: the median of 3 1 2 is 2"), "staging was asked\n{}", waiting.stdout);
    assert_eq!(site.state("approve"), "waiting");
    let merged = site.commit("gateway");
    assert_eq!(site.origin(&["rev-parse", "gateway^1", "gateway^2"]), format!("{gateway}\n{forge}"));
    assert_eq!(site.origin(&["log", "-1", "--format=%s", "gateway"]), "Merge forge to gateway for v0.2.0 release");
    let archives = site.commit("archives/v0.2.0");
    assert_eq!(site.origin(&["rev-parse", "archives/v0.2.0^"]), merged);
    assert_eq!(site.commit("khala"), khala, "production waits for a person");
    assert_eq!(site.origin(&["tag"]), "v0.1.0");

    site.approve(&["approve"]);
    let shipped = site.run(&["resume"]).expect(0);
    assert!(!shipped.stdout.contains("start  merge-gateway"), "done is done\n{}", shipped.stdout);
    site.expect_on_khala("v0.2.0", &archives, &khala);
    let notes = site.origin(&["tag", "-l", "--format=%(contents)", "v0.2.0"]);
    assert_eq!(
        notes.trim_end(),
        "Release v0.2.0: for a test\n\nChanges:\n- Measure the spread of prices\n- Write down the spread"
    );
    for branch in ["forge", "gateway"] {
        assert!(site.contains(branch, &archives), "{branch} has the release");
    }
    assert!(site.states().iter().all(|(_, state)| state == "success"), "{:?}", site.states());
    assert_eq!(site.checkout(), checkout, "the clone is where it was");
    assert!(!site.has_workspace());
}

#[test]
fn one_release_follows_another() {
    let site = Site::new();
    site.run_approved(&Site::release("0.2.0")).expect(0);
    let (khala, forge) = (site.commit("khala"), site.commit("forge"));
    site.develop("forge", "docs/ftso.md", "More about prices.\n");
    site.develop("forge", "IMPLEMENTATION_LOG.md", "- More is written about prices.\n");
    assert!(site.contains("forge", &forge));
    site.run_approved(&Site::release("0.3.0")).expect(0);
    site.expect_on_khala("v0.3.0", &site.commit("archives/v0.3.0"), &khala);
    let again = site.run_approved(&Site::release("0.3.0")).expect(1);
    assert!(again.stdout.contains("0.3.0 does not come after 0.3.0"), "{}", again.stdout);
}

#[test]
fn a_rejected_release_leaves_production_alone() {
    let site = Site::new();
    let khala = site.commit("khala");
    site.run(&Site::release("0.2.0")).expect(5);
    site.run(&["reject", "approve"]).expect(0);
    site.run(&["resume"]).expect(1);
    assert_eq!(site.commit("khala"), khala);
    assert_eq!(site.origin(&["tag"]), "v0.1.0");
}

#[test]
fn khala_takes_nothing_by_hand() {
    let site = Site::new();
    let refs = site.refs();
    for (what, said) in [
        ("forge:khala", "one merge at a time"),
        ("forge~1:khala", "protected"),
        (":khala", "cannot be deleted"),
        ("forge:refs/tags/v9.9.9", "annotated"),
    ] {
        let (succeeded, told) = site.attempt("git", &["-C", "site/clone", "push", "origin", what]);
        assert!(!succeeded && told.contains("refused: ") && told.contains(said), "{what}: {told}");
    }
    assert_eq!(site.refs(), refs);
}
