//! `$PORT` and its like: what the platform gives wins, where the catalog lets it.

use super::place::{CATALOG, SECRETS, project};
use super::support::{Output, Project};

/// A project whose `PORT` may be given by the platform.
fn hosted() -> Project {
    let project = project();
    let rule = "PORT: {type: int, default: 8000, min: 1024, injected: true}";
    project.write("environments/catalog.yaml", CATALOG.replace("PORT: {type: int, default: 8000}", rule));
    project
}

fn on(project: &Project, port: &str, args: &[&str]) -> Output {
    project.engine_with(&[SECRETS[0], SECRETS[1], ("PORT", port), ("HOST", "injected.example")], args)
}

#[test]
fn what_the_platform_gives_wins_where_the_catalog_lets_it() {
    let project = hosted();
    let out = on(&project, "9000", &["env", "explain", "PORT", "HOST", "--env", "staging"]).expect(0);
    let told = "PORT  9000       platform  $PORT:1\nHOST  localhost  catalog  environments/catalog.yaml:2\n";
    assert_eq!(out.stdout, told);
    on(&project, "9000", &["env", "render", "staging"]).expect(0);
    assert!(project.read("run/app.env").contains("HOST=localhost\nLOG_LEVEL=debug\nPORT=9000\n"));
    let out = on(&project, "", &["env", "explain", "PORT", "--env", "staging"]).expect(0);
    assert!(out.stdout.contains("8000  catalog"), "an empty variable gives nothing: {}", out.stdout);
    // What is compared are the files.
    let parity = |port: &str| on(&project, port, &["env", "parity", "staging"]).stdout;
    assert_eq!(parity("9000"), parity("9001"));
}

#[test]
fn what_the_platform_gives_keeps_the_rules_of_the_catalog() {
    let project = hosted();
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages: {a: {run: 'true'}}\n");
    for (port, words) in [
        ("eighty", "env::bad-value"),
        ("80", "`80` is below the minimum"),
        ("{{ 1 }}", "a value of the platform has no `{{`"),
    ] {
        for (args, status) in [(&["env", "check", "staging"][..], 9), (&["run", "plan.yaml"], 3)] {
            let out = on(&project, port, args).expect(status);
            for word in [words, "$PORT:1:1", "environments/catalog.yaml:3:3"] {
                assert!(out.stderr.contains(word), "{args:?} on {port}: no `{word}` in\n{}", out.stderr);
            }
        }
    }
    for rule in ["{secret: true, injected: true}", "{type: map, injected: true}"] {
        project.write("environments/catalog.yaml", format!("keys: {{X: {rule}}}\n"));
        let out = on(&project, "1", &["env", "check", "staging", "--declared"]).expect(3);
        assert!(out.stderr.contains("env::bad-rule") && out.stderr.contains("catalog.yaml:1:8"), "{}", out.stderr);
    }
}

#[test]
fn a_run_keeps_what_the_platform_gave_when_it_began() {
    let project = hosted();
    project.write(
        "plan.yaml",
        "version: 1\nenvironment: staging\nstages:\n  ok: {uses: approval}\n  say: {needs: [ok], run: [echo, \"on {{ env.PORT }}\"]}\n  \
         render: {needs: [ok], uses: env.render, with: {file: app}}\n",
    );
    on(&project, "9000", &["run", "plan.yaml", "--run-id", "one", "--no-input"]).expect(5);
    project.engine(&["approve", "one", "ok"]).expect(0);
    let out = on(&project, "9001", &["resume", "one"]).expect(0);
    assert!(out.stdout.contains("say | on 9000"), "{}", out.stdout);
    assert!(project.read("run/app.env").contains("PORT=9000\n"));
}
