//! Environments in plans: `env.*` in expressions, the actions as stages, and the router for real.

use std::fs;
use std::path::Path;

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

#[test]
fn a_secret_that_has_leaked_is_replaced_and_the_record_names_the_incident() {
    let project = router();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let dir = format!("dir={}", memory.path().join("router").display());
    let run = |secrets: &[(&str, &str)], id: &str| {
        let args = ["run", "plans/router/leak.yaml", "--run-id", id, "--no-input", "--set", &dir];
        let more = ["--set", "incident=INC-41", "--set", "secret=TELEGRAM_BOT_TOKEN"];
        project.engine_with(secrets, &[&args[..], &more].concat()).expect(5);
        project.engine(&["approve", id, "revoked"]).expect(0);
        project.engine_with(secrets, &["resume", id])
    };
    project.engine_with(&ROUTER_SECRETS, &["run", "plans/router/staging.yaml", "--set", &dir]).expect(0);
    let out =
        run(&[("TELEGRAM_BOT_TOKEN", "654321:canary-another-token"), ROUTER_SECRETS[1]], "replaced").expect(0);
    for words in ["~TELEGRAM_BOT_TOKEN=***", "INC-41: configuration 2 has another secret"] {
        assert!(out.stdout.contains(words) && !out.stdout.contains("canary"), "no `{words}` in\n{}", out.stdout);
    }
    assert!(project.read("artifacts/router/INC-41.json").contains("\"number\": 2"));
    // The same value once more is no replacement.
    let out = run(&[("TELEGRAM_BOT_TOKEN", "654321:canary-another-token"), ROUTER_SECRETS[1]], "same").expect(1);
    assert!(out.stdout.contains("TELEGRAM_BOT_TOKEN is still the one that has leaked"), "{}", out.stdout);
}

/// The dates of what was rotated pass; everything else that the files say must hold.
#[test]
fn every_environment_of_the_repository_is_as_its_catalog_wants() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for folder in fs::read_dir(root.join("environments")).expect("a folder") {
        let folder = folder.expect("an entry").path();
        for file in fs::read_dir(&folder).expect("a folder of environments") {
            let file = file.expect("an entry").path();
            let own = file.file_stem().expect("a name").to_string_lossy().into_owned();
            if !["catalog", "exceptions", "base"].contains(&&*own) {
                names.push(format!("{}/{own}", folder.file_name().expect("a name").to_string_lossy()));
            }
        }
    }
    assert!(names.len() >= 9, "{names:?}");
    let project = Project::new();
    for name in &names {
        let mut command = project.command(&["env", "check", name, "--declared", "--json"]);
        command.current_dir(root);
        let out = super::support::Live::start(command).end();
        let told: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
        let codes = told["findings"].as_array().expect("a list").iter().map(|one| one["code"].as_str());
        let others: Vec<_> = codes.flatten().filter(|code| *code != "env::rotation").collect();
        assert!(others.is_empty(), "{name}: {others:?}\n{}", out.stdout);
    }
}

#[test]
fn each_place_of_chrono_has_rules_of_its_own() {
    let project = Project::new();
    for folder in ["environments/chrono", "templates/chrono"] {
        project.bring(folder);
    }
    let local = [
        ("DATABASE_URL", "postgresql://dev:canary-1f@localhost/chrono"),
        ("REDIS_URL", "redis://localhost:6379/0"),
    ];
    let remote = [
        ("DATABASE_URL", "postgresql://chrono:canary-2e@db.staging.internal/chrono?sslmode=verify-full"),
        ("REDIS_URL", "rediss://:canary-3d@redis.internal:6380/0"),
    ];
    let render = |name: &str, secrets: &[(&str, &str)], status: i32| {
        project.engine_with(secrets, &["env", "render", &format!("chrono/{name}")]).expect(status)
    };
    for (name, right, wrong) in
        [("development", &local, &remote), ("staging", &remote, &local), ("production", &remote, &local)]
    {
        render(name, right, 0);
        let text = project.read(format!(".env.{name}"));
        assert!(text.contains(&format!("NODE_ENV={name}\n")) && text.contains("canary"), "{text}");
        let out = render(name, wrong, 9);
        assert_eq!(out.stderr.matches("error[env::bad-value]").count(), 2, "{}", out.stderr);
        assert!(
            !out.stderr.contains("canary") && out.stderr.contains("environments/chrono/base.yaml:3:"),
            "{}",
            out.stderr
        );
        assert_eq!(project.read(format!(".env.{name}")), text, "the file of before stands");
    }
    project.engine(&["env", "parity", "chrono/staging"]).expect(0);
}
