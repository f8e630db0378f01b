//! What stops a release, with nothing half pushed.

use std::fs;

use crate::site::Site;

/// A release that must stop with `said`, before origin has anything of it.
#[track_caller]
fn expect_stopped(site: &Site, stage: &str, said: &str) {
    let (refs, checkout) = (site.refs(), site.checkout());
    let stopped = site.run_approved(&Site::release("0.2.0")).expect(1);
    assert!(stopped.stdout.contains(said), "no `{said}`:\n{}", stopped.stdout);
    assert_eq!(site.state(stage), "failed");
    assert_eq!(site.state("push-gateway"), "blocked");
    assert_eq!(site.refs(), refs, "origin is as it was");
    assert_eq!(site.checkout(), checkout);
    assert!(!site.path("staging").exists(), "nothing was deployed");
}

#[test]
fn a_conflict_between_forge_and_gateway() {
    let site = Site::new();
    site.develop("gateway", "docs/ftso.md", "Staging says otherwise.\n");
    fs::remove_dir_all(site.path("staging")).expect("the push deployed it");
    expect_stopped(&site, "merge-gateway", "docs/ftso.md");
}

#[test]
fn a_failing_test() {
    let site = Site::new();
    site.develop("forge", "tests/median", "#!/bin/sh\nexit 3\n");
    expect_stopped(&site, "tests", "FAILED tests/median");
    assert_eq!(site.state("no-env-file"), "success", "the other checks answer all the same");
}

#[test]
fn an_open_critical_issue() {
    let site = Site::new();
    fs::write(site.path("issues.tsv"), "40\topen\tbug,Critical Mission\tPrices are frozen\n").expect("a file");
    expect_stopped(&site, "no-critical-issue", "#40 Prices are frozen");

    fs::write(site.path("issues.tsv"), "40\tclosed\tbug,Critical Mission\tPrices are frozen\n").expect("a file");
    let resumed = site.run_approved(&["resume"]).expect(0).stdout;
    assert!(!resumed.contains("start  tests"), "what had passed is not asked again\n{resumed}");
    assert!(resumed.contains("start  no-critical-issue"), "{resumed}");
}

#[test]
fn a_committed_environment_file() {
    let site = Site::new();
    site.develop("forge", ".env.production", "DATABASE_URL=postgres://secret\n");
    expect_stopped(&site, "no-env-file", ".env.production");
}

#[test]
fn a_log_that_nobody_wrote() {
    let site = Site::new();
    let log = site.origin(&["show", "v0.1.0:IMPLEMENTATION_LOG.md"]) + "\n";
    site.develop("forge", "IMPLEMENTATION_LOG.md", &log);
    expect_stopped(&site, "documented", "IMPLEMENTATION_LOG.md has not changed since v0.1.0");
}

#[test]
fn a_checkout_with_changes_or_behind_origin() {
    let site = Site::new();
    fs::write(site.path("clone/src/median"), "half an idea\n").expect("a file");
    expect_stopped(&site, "current", "src/median");

    let site = Site::new();
    site.develop("forge", "src/extra", "new\n");
    site.clone(&["reset", "--quiet", "--hard", "HEAD~1"]);
    expect_stopped(&site, "current", "pull or push first");
}

#[test]
fn a_smoke_test_that_fails_keeps_production_as_it_is() {
    let site = Site::new();
    site.develop("forge", "scripts/helpers/smoke.sh", "#!/bin/sh\necho smoke: no price >&2\nexit 1\n");
    let khala = site.commit("khala");
    let stopped = site.run_approved(&Site::release("0.2.0")).expect(1);
    assert!(stopped.stdout.contains("smoke: no price"), "{}", stopped.stdout);
    assert_eq!(site.commit("khala"), khala);
    assert_eq!(site.origin(&["branch", "--list", "archives/*"]), "");
}

#[test]
fn a_push_that_the_remote_refuses_moves_nothing_and_can_be_resumed() {
    let site = Site::new();
    // This hook is asked for each ref on its own, so khala alone would be welcome.
    let hook = site.path("origin.git/hooks/update");
    let refusing = "#!/bin/sh\ncase $1 in refs/tags/*) echo 'refused: code freeze' >&2; exit 1 ;; esac\n";
    site.project.script(&hook, refusing);
    let khala = site.commit("khala");
    let stopped = site.run_approved(&Site::release("0.2.0")).expect(1);
    assert!(stopped.stdout.contains("refused: code freeze"), "{}", stopped.stdout);
    assert_eq!(site.state("publish"), "failed");
    assert_eq!(site.commit("khala"), khala, "the tag was refused, so khala did not move either");
    assert_eq!(site.origin(&["tag"]), "v0.1.0");
    assert!(site.has_workspace(), "kept for the resume");

    fs::remove_file(&hook).expect("the freeze ends");
    site.run(&["resume"]).expect(0);
    site.expect_on_khala("v0.2.0", &site.commit("archives/v0.2.0"), &khala);
    assert!(!site.has_workspace());
}

#[test]
fn a_hotfix_that_came_between_stops_the_release() {
    let site = Site::new();
    let release = site.run(&Site::release("0.2.0")).expect(5);
    let id = release.stdout.split_whitespace().nth(1).expect("run ID").to_owned();
    let mut hotfix = Site::hotfix();
    hotfix.push("--set=patch=site/hotfix.patch".to_owned());
    site.run_approved(&hotfix).expect(0);
    let refs = site.refs();
    site.run(&["approve", &id, "approve"]).expect(0);
    let stopped = site.run(&["resume", &id]).expect(1);
    assert!(stopped.stdout.contains("somebody else has pushed, so nothing was pushed"), "{}", stopped.stdout);
    assert_eq!(site.refs(), refs);
}

#[test]
fn manifests_that_cannot_be_made_equal_stop_before_the_release_branch_is_pushed() {
    let site = Site::new();
    site.develop("forge", "package.json", "{\"name\": \"chrono\", \"version\": \"0.1.0\"}\n");
    let khala = site.commit("khala");
    let stopped = site.run_approved(&Site::release("0.2.0")).expect(1);
    assert!(stopped.stdout.contains("package.json has version \"\", expected \"0.2.0\""), "{}", stopped.stdout);
    assert_eq!(site.state("versions"), "failed");
    assert_eq!(site.commit("khala"), khala);
    assert_eq!(site.origin(&["branch", "--list", "archives/*"]), "");
}
