//! Environments in plans: `env.*` in expressions, the actions as stages, and the router for real.

use super::place::{SECRETS, project};
use super::support::{Output, Project, free_port};

fn check(project: &Project, plan: &str, status: i32) -> Output {
    project.write("plan.yaml", format!("version: 1\n{plan}"));
    project.engine(&["check", "plan.yaml"]).expect(status)
}

#[test]
fn expressions_read_values_by_their_types_and_faults_are_located() {
    let project = project();
    let plan = "environment: \"{{ inputs.where }}\"\ninputs: {where: {default: staging}}\nstages:\n  a:\n    if: env.PORT > 80 and env.LOG_LEVEL \
                == 'debug'\n    env: {GREETING: \"{{ env.GREETING }}\", LATE: \"{{ env.HOST }}/{{ run.id }}\"}\n    run: 'echo \"$GREETING|$LATE\"'\n";
    project.write("plan.yaml", format!("version: 1\n{plan}"));
    let out = project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(0);
    assert!(out.stdout.contains("a | hello $USER|localhost/one"), "{}", out.stdout);
    // In another place the same condition is false.
    let out = project.engine(&["run", "plan.yaml", "--set", "where=production"]).expect(0);
    assert!(out.stdout.contains("skipped  a"), "{}", out.stdout);
    for (text, status, words) in [
        (
            "environment: staging\nstages: {a: {run: [x, \"{{ env.PROT }}\"]}}",
            3,
            &["plan::unknown-env", "plan.yaml:3:27", "did you mean `PORT`?"][..],
        ),
        (
            "environment: staging\nstages: {a: {run: [x, \"{{ env.TOKEN }}\"]}}",
            3,
            &["is a secret", "`secrets: [TOKEN]`"],
        ),
        ("stages: {a: {run: [x, \"{{ env.PORT }}\"]}}", 3, &["plan::no-environment", "environment: staging"]),
        ("stages: {a: {uses: env.check}}", 3, &["plan::no-environment", "plan.yaml:2:20"]),
        ("environment: stagin\nstages: {a: {run: x}}", 3, &["env::unreadable", "plan.yaml:2:14"]),
        ("environment: \"{{ inputs.x }}\"\nstages: {a: {run: x}}", 3, &["plan::unknown-input", "plan.yaml:2:18"]),
        ("environment: staging\nstages: {a: {uses: env.chekc}}", 3, &["plan::unknown-action", "`env.check`?"]),
        (
            "environment: staging\nstages: {a: {uses: env.check, with: {to: x}}}",
            3,
            &["plan::misplaced-key", "`env.check`"],
        ),
        (
            "environment: staging\nstages: {a: {uses: env.render, with: {fiel: x}}}",
            3,
            &["plan::unknown-key", "did you mean `file`?"],
        ),
        (
            "environment: \"{{ inputs.e }}\"\ninputs: {e: {}}\nstages: {a: {run: [x, \"{{ env.ANY }}\"]}, b: {uses: env.check}}",
            0,
            &[],
        ),
        ("environment: staging\nstages: {a: {run: [x, \"{{ env.NOPE | default('-') }}\"]}}", 0, &[]),
    ] {
        let out = check(&project, text, status);
        for word in words {
            assert!(out.stdout.contains(word), "no `{word}` for\n{text}\n{}", out.stdout);
        }
    }
    project.write("environments/staging.yaml", "extends: base\nvalues: {LOG_LEVEL: loud}\n");
    let out = check(&project, "environment: staging\nstages: {a: {run: x}}", 3);
    assert!(
        out.stdout.contains("env::bad-value") && out.stdout.contains("environments/staging.yaml:2:21"),
        "{}",
        out.stdout
    );
}

#[test]
fn actions_are_stages_with_outputs_and_exit_codes() {
    let project = project();
    project.write(
        "plan.yaml",
        "version: 1\nenvironment: staging\nstages:\n  check: {uses: env.check}\n  render: {needs: [check], uses: env.render, with: {file: app}}\n  \
         diff: {needs: [render], uses: env.diff, allow-failure: {exit: [10]}}\n  parity: {uses: env.parity, with: {with: production, max-drift: 50%}}\n  \
         say: {needs: [render], run: [echo, \"number {{ needs.render.outputs.number }} {{ needs.render.outputs.redacted_sha256 }}\"]}\n",
    );
    let out = project.engine_with(&SECRETS, &["run", "plan.yaml", "--run-id", "one"]).expect(0);
    assert!(out.stdout.contains("say | number 1 "), "{}", out.stdout);
    assert!(!out.stdout.contains("canary"), "{}", out.stdout);
    let manifest = project.read(".engine/environments/staging/manifest.json");
    assert!(
        manifest.contains("\"run\": \"one\"") && project.has("run/app.env") && !project.has("run/conf.json"),
        "{manifest}"
    );
    // A gate that fails stops what needs it.
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  parity: {uses: env.parity}\n  ship: {needs: [parity], run: [echo, shipped]}\n");
    let out = project.engine_with(&SECRETS, &["run", "plan.yaml"]).expect(1);
    assert!(out.stdout.contains("failed  parity") && !out.stdout.contains("ship | shipped"), "{}", out.stdout);
    // Without the secret the check fails, whatever the caller's other variables are.
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  check: {uses: env.check}\n");
    let out = project.engine(&["run", "plan.yaml"]).expect(1);
    assert!(out.stdout.contains("exit 9") && out.stdout.contains("`TOKEN` is not set"), "{}", out.stdout);
}

#[test]
fn a_run_keeps_the_environment_that_it_began_with() {
    let project = project();
    project.write(
        "plan.yaml",
        "version: 1\nenvironment: staging\nstages:\n  ok: {uses: approval}\n  say: {needs: [ok], run: [echo, \"port {{ env.PORT }}\"]}\n  \
         check: {needs: [say], uses: env.check}\n",
    );
    project.engine_with(&SECRETS, &["run", "plan.yaml", "--run-id", "one", "--no-input"]).expect(5);
    let base = super::place::base(20).replace("{LOG_LEVEL: info}", "{LOG_LEVEL: info, PORT: 9000}");
    project.write("environments/base.yaml", base);
    project.engine(&["approve", "one", "ok"]).expect(0);
    let out = project.engine_with(&SECRETS, &["resume", "one", "--recorded"]).expect(1);
    assert!(out.stdout.contains("say | port 8000"), "{}", out.stdout);
    assert!(out.stdout.contains("the files of `staging` have changed since the run was made"), "{}", out.stdout);
    let out = project.engine_with(&SECRETS, &["resume", "one", "--accept-changes", "--yes"]).expect(0);
    assert!(out.stdout.contains("success  check"), "{}", out.stdout);
}

/// The repository's router with all that belongs to it, on a free port.
fn router() -> Project {
    let project = Project::new();
    for folder in ["environments/router", "templates/router", "plans/router", "examples/router"] {
        project.bring(folder);
    }
    let port = free_port();
    let base = project.read("environments/router/base.yaml");
    project
        .write("environments/router/base.yaml", base.replace("values:\n", &format!("values:\n  PORT: {port}\n")));
    project
}

const ROUTER_SECRETS: [(&str, &str); 2] =
    [("TELEGRAM_BOT_TOKEN", "123456:canary-telegram-$tok \"en\" \\ ü"), ("A2A_TOKEN", "canary-a2a-token-000000")];

#[test]
fn the_router_runs_for_real_in_both_places() {
    for name in ["local", "staging"] {
        let project = router();
        let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
        let dir = memory.path().join("router");
        let plan = format!("plans/router/{name}.yaml");
        let set = format!("dir={}", dir.display());
        let out = project.engine_with(&ROUTER_SECRETS, &["run", &plan, "--set", &set]).expect(0);
        for part in ["\"ok\": true", "healthy | 3: ", "stop | stopped by INT", "router.end", "mode 0400"] {
            assert!(out.stdout.contains(part), "{name}: no `{part}` in\n{}", out.stdout);
        }
        assert!(!out.stdout.contains("canary") && !out.stderr.contains("canary"), "{}", out.stdout);
        assert!(!dir.join(".env.runtime").exists(), "what was rendered is gone with the run");
        let redacted = project.read("artifacts/router/config.sha");
        let manifest = project.read("artifacts/router/config-manifest.json");
        assert!(manifest.contains(redacted.trim()) && !manifest.contains("canary"), "{manifest}");
        if name == "staging" {
            assert!(
                out.stdout.contains("1 of 40 keys differ, drift 2.5%, limit 5%, 0 missing: pass"),
                "{}",
                out.stdout
            );
        }
    }
}

#[test]
fn a_second_difference_of_forty_blocks_staging() {
    let project = router();
    let staging = project.read("environments/router/staging.yaml");
    project.write(
        "environments/router/staging.yaml",
        staging.replace("  FEATURE_FLAGS:", "  A2A_MAX_RETRIES: 4\n  FEATURE_FLAGS:"),
    );
    let out = project.engine(&["env", "parity", "router/staging"]).expect(10);
    assert!(out.stdout.contains("2 of 40 keys differ, drift 5.0%, limit 5%, 0 missing: fail"), "{}", out.stdout);
    let out = project.engine_with(&ROUTER_SECRETS, &["run", "plans/router/staging.yaml"]).expect(1);
    assert!(out.stdout.contains("failed  parity") && !out.stdout.contains("render | wrote"), "{}", out.stdout);
}

#[test]
fn a_router_that_ignores_int_is_stopped_by_term() {
    let project = router();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let dir = memory.path().join("router");
    let plan = project.read("plans/router/local.yaml");
    let deaf = plan.replace(
        "    env: {DIR: \"{{ inputs.dir }}\"}\n    run: |\n      python3",
        "    env: {DIR: \"{{ inputs.dir }}\", ROUTER_IGNORES_INT: \"1\"}\n    run: |\n      python3",
    );
    assert_ne!(plan, deaf, "the plan starts the router as it did");
    project.write("plans/router/local.yaml", deaf);
    let set = format!("dir={}", dir.display());
    let out = project.engine_with(&ROUTER_SECRETS, &["run", "plans/router/local.yaml", "--set", &set]).expect(0);
    assert!(out.stdout.contains("stop | stopped by TERM"), "{}", out.stdout);
}

#[test]
fn a_guard_that_refuses_starts_nothing() {
    let project = router();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    project.write("examples/router/personas.json", "{}\n");
    let set = format!("dir={}", memory.path().join("router").display());
    let out = project.engine_with(&ROUTER_SECRETS, &["run", "plans/router/local.yaml", "--set", &set]).expect(1);
    assert!(
        out.stdout.contains("`PERSONA_MAP_SHA256` is not the SHA-256 of `examples/router/personas.json`"),
        "{}",
        out.stdout
    );
    assert!(out.stdout.contains("failed  check-env") && !out.stdout.contains("healthy |"), "{}", out.stdout);
}
