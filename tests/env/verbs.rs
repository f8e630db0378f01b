//! `engine env` as a user meets it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;

use super::place::{CATALOG, SECRETS, TOKEN, base, day, env, project};
use super::support::Project;

fn json(project: &Project, args: &[&str], status: i32) -> Value {
    let out = env(project, &[args, &["--json"]].concat()).expect(status);
    serde_json::from_str(&out.stdout).unwrap_or_else(|error| panic!("{error}\n{}", out.stdout))
}

#[test]
fn check_wants_every_secret_and_tells_their_age() {
    let project = project();
    let out = env(&project, &["check", "staging", "production"]).expect(0);
    assert!(out.stdout.contains("staging: 6 keys, 2 of them secret, from staging → base"), "{}", out.stdout);
    assert!(out.stdout.contains("rotation  DATABASE_URL  ok"), "{}", out.stdout);
    let out = project.engine(&["env", "check", "staging"]).expect(9);
    assert!(
        out.stderr.contains("the secret `TOKEN` cannot be had: the variable `TOKEN` is not set"),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains("environments/base.yaml:3:23"), "{}", out.stderr);
    project.engine(&["env", "check", "staging", "--declared"]).expect(0);
    let told = json(&project, &["check", "staging"], 0);
    assert_eq!((&told["ok"], &told["environments"][0]["secrets"]), (&Value::from(true), &Value::from(2)));
    assert_eq!(told["environments"][0]["rotation"][0]["state"], "ok");
}

#[test]
fn a_secret_that_is_too_old_or_too_short_stops_production_only() {
    let project = project();
    for (ago, state, is_wrong) in
        [(71, "ok", false), (72, "due", false), (91, "overdue", true), (-30, "unknown", true)]
    {
        project.write("environments/base.yaml", base(ago));
        let told = json(&project, &["check", "staging"], 0);
        assert_eq!(told["environments"][0]["rotation"][0]["state"], state, "{ago} days");
        env(&project, &["check", "production"]).expect(if is_wrong { 9 } else { 0 });
    }
    let out = env(&project, &["check", "production"]).expect(9);
    assert!(out.stderr.contains("which is still to come"), "{}", out.stderr);
    project.write("environments/base.yaml", base(324));
    let out = env(&project, &["check", "staging"]).expect(0);
    assert!(out.stderr.contains("warning[env::rotation]"), "{}", out.stderr);
    let out = env(&project, &["check", "production"]).expect(9);
    assert!(
        out.stderr.contains("error[env::rotation]") && out.stderr.contains("90 are allowed"),
        "{}",
        out.stderr
    );
    // A waiver with a ticket, for at most 14 days.
    let exception = |until: &str| {
        format!(
            "exceptions:\n- {{key: DATABASE_URL, environments: [production], ticket: OPS-7, reason: r, until: '{until}', waives: rotation}}\n"
        )
    };
    project.write("environments/exceptions.yaml", exception("9999-12-31"));
    let out = env(&project, &["check", "production"]).expect(9);
    assert!(out.stderr.contains("may last 14 days"), "{}", out.stderr);
    project.write("environments/exceptions.yaml", exception(&day(1)));
    let out = env(&project, &["check", "staging"]).expect(3);
    let ended = format!("the exception for `DATABASE_URL` ended on {}", day(1));
    assert!(
        out.stderr.contains(&ended) && out.stderr.contains("environments/exceptions.yaml:2:"),
        "{}",
        out.stderr
    );
    project.write("environments/exceptions.yaml", exception(&day(-10)));
    let told = json(&project, &["check", "production"], 0);
    assert_eq!(told["environments"][0]["rotation"][0]["waived"], "OPS-7");
    fs::remove_file(project.path("environments/exceptions.yaml")).expect("removed");
    project.write("environments/base.yaml", base(20));
    project.write("environments/catalog.yaml", CATALOG.replace(", min-length: 8", ""));
    let short = [("TOKEN", "short"), SECRETS[1]];
    let out = project.engine_with(&short, &["env", "check", "staging"]).expect(0);
    assert!(out.stderr.contains("warning[env::short-secret]"), "{}", out.stderr);
    project.engine_with(&short, &["env", "check", "production"]).expect(9);
}

#[test]
fn render_writes_all_files_with_a_manifest_and_no_secret_elsewhere() {
    let project = project();
    let out = env(&project, &["render", "staging"]).expect(0);
    assert!(
        out.stdout.contains("+TOKEN=***") && out.stdout.contains("staging number 1: 6 keys"),
        "{}",
        out.stdout
    );
    assert_eq!(
        project.read("run/app.env"),
        "DATABASE_URL=postgresql://shop:canary-8b21@db:5432/shop\nGREETING=\"hello \\$USER\"\nHOST=localhost\nLOG_LEVEL=debug\n\
         PORT=8000\nTOKEN=\"canary-7f3a \\$x \\\"quoted\\\"\"\n"
    );
    let conf: Value = serde_json::from_str(&project.read("run/conf.json")).expect("JSON");
    assert_eq!(conf["token"], TOKEN);
    let mode = |path: &str| fs::metadata(project.path(path)).expect("there").permissions().mode() & 0o7777;
    assert_eq!((mode("run/app.env"), mode("run/conf.json")), (0o400, 0o600));
    let manifest: Value =
        serde_json::from_str(&project.read(".engine/environments/staging/manifest.json")).expect("JSON");
    assert_eq!((&manifest["number"], &manifest["files"][0]["mode"]), (&Value::from(1), &Value::from("0400")));
    assert_eq!(manifest["secrets"][1]["version"], "v3");
    assert_eq!(mode(".engine/environments/key"), 0o600);
    // The numbers only grow, and the manifests of before stay.
    let second = json(&project, &["render", "staging"], 0);
    assert_eq!((&second["manifest"]["number"], &second["diff"]), (&Value::from(2), &Value::Array(Vec::new())));
    assert!(project.has(".engine/environments/staging/manifests/000001.json"));
    assert_nothing_leaks(&project, ".engine");
}

/// No file below `folder` holds a secret.
fn assert_nothing_leaks(project: &Project, folder: &str) {
    let mut left = vec![project.path(folder)];
    let mut files = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        files += 1;
        let bytes = fs::read(&path).expect("readable");
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        assert!(!has(b"canary"), "{} holds a secret", path.display());
    }
    assert!(files > 3, "the search has found the state");
}

#[test]
fn diff_tells_what_would_change_and_what_was_changed_here() {
    let project = project();
    let out = env(&project, &["diff", "staging"]).expect(10);
    assert!(out.stdout.contains("staging was never rendered here"), "{}", out.stdout);
    env(&project, &["render", "staging"]).expect(0);
    env(&project, &["diff", "staging"]).expect(0);
    project
        .write("environments/base.yaml", base(20).replace("{LOG_LEVEL: info}", "{LOG_LEVEL: info, PORT: 9000}"));
    let out = env(&project, &["diff", "staging"]).expect(10);
    assert!(out.stdout.contains("-PORT=8000") && out.stdout.contains("+PORT=9000"), "{}", out.stdout);
    env(&project, &["render", "staging"]).expect(0);
    let rotated = [("TOKEN", "canary-other"), SECRETS[1]];
    let out = project.engine_with(&rotated, &["env", "diff", "staging"]).expect(10);
    assert!(out.stdout.contains("~TOKEN=***") && !out.stdout.contains("canary"), "{}", out.stdout);
    let path = project.path("run/conf.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode bits");
    fs::remove_file(project.path("run/app.env")).expect("removed");
    let told = json(&project, &["diff", "staging"], 10);
    let states: Vec<&str> =
        told["host"].as_array().expect("a list").iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(states, ["missing", "mode"]);
    fs::write(&path, "{}").expect("written");
    let told = json(&project, &["diff", "staging"], 10);
    assert_eq!(told["host"][1]["state"], "changed");
    // What is no file any more is not read, and holds nobody up.
    for make in [["ln", "-s", "/dev/zero"], ["ln", "-s", "../copy"], ["mkfifo", "-m", "600"]] {
        fs::remove_file(&path).expect("it was there");
        env(&project, &["render", "staging"]).expect(0);
        fs::rename(&path, project.path("copy")).expect("the same text elsewhere");
        let made = std::process::Command::new(make[0]).args(&make[1..]).arg(&path).status().expect("it runs");
        assert!(made.success());
        let told = json(&project, &["diff", "staging"], 10);
        assert_eq!(told["host"][1]["state"], "changed", "{make:?}");
    }
    env(&project, &["render", "staging"]).expect(0);
    env(&project, &["diff", "staging"]).expect(0);
    if fs::metadata("/proc/self").expect("/proc").uid() == 0 {
        std::os::unix::fs::chown(&path, Some(65534), None).expect("root may");
        let told = json(&project, &["diff", "staging"], 10);
        assert_eq!((&told["host"][1]["state"], &told["host"][1]["detail"]), (&"owner".into(), &"65534".into()));
    }
}

#[test]
fn parity_is_a_gate_with_tickets() {
    let project = project();
    let out = env(&project, &["parity", "staging"]).expect(10);
    assert!(out.stdout.contains("debug ≠ info") && out.stdout.contains("drift 25.0%"), "{}", out.stdout);
    assert!(out.stdout.contains("a single difference is over the limit"), "{}", out.stdout);
    env(&project, &["parity", "staging", "production", "--max-drift", "26%"]).expect(0);
    project.write(
        "environments/exceptions.yaml",
        "exceptions:\n- {key: LOG_LEVEL, environments: [staging, production], ticket: OPS-9, reason: noise, until: '9999-12-31'}\n",
    );
    let told = json(&project, &["parity", "staging"], 0);
    assert_eq!((&told["unexcused"], &told["differences"][0]["ticket"]), (&Value::from(0), &Value::from("OPS-9")));
    // One that excuses nothing would excuse the next difference.
    let exceptions = project.read("environments/exceptions.yaml");
    let with = |from: &str, to: &str| project.write("environments/exceptions.yaml", exceptions.replace(from, to));
    with("{key: LOG_LEVEL", "{key: HOST");
    let out = env(&project, &["parity", "staging"]).expect(3);
    for word in
        ["env::unused-exception", "exceptions.yaml:2:9", "`staging` and `production` do not differ in `HOST`"]
    {
        assert!(out.stderr.contains(word), "{word}: {}", out.stderr);
    }
    // It is in use when it is there for a third one.
    project.write("environments/lab.yaml", "extends: base\nvalues: {GREETING: lab, LOG_LEVEL: debug}\n");
    project.write(
        "environments/exceptions.yaml",
        exceptions.clone()
            + &exceptions
                .replace("exceptions:\n", "")
                .replace("LOG_LEVEL", "GREETING")
                .replace("[staging,", "[lab, staging,"),
    );
    env(&project, &["parity", "staging"]).expect(0);
    with("[staging,", "[stagign,");
    for verb in ["parity", "check", "render"] {
        let out = env(&project, &[verb, "staging"]).expect(3);
        for word in ["env::unknown-environment", "exceptions.yaml:2:35", "did you mean `staging`?"] {
            assert!(out.stderr.contains(word), "{word}: {}", out.stderr);
        }
    }
    fs::remove_file(project.path("environments/exceptions.yaml")).expect("it was there");
    env(&project, &["parity", "production"]).expect(2);
}

#[test]
fn explain_tells_value_file_line_and_layer() {
    let project = project();
    let out = env(&project, &["explain", "LOG_LEVEL", "TOKEN", "--env", "staging"]).expect(0);
    assert_eq!(
        out.stdout,
        "LOG_LEVEL  debug  staging  environments/staging.yaml:2\nTOKEN      ***    base  environments/base.yaml:3  from env:TOKEN\n"
    );
    let out = env(&project, &["explain", "LOG_LEVLE", "staging"]).expect(4);
    assert!(out.stderr.contains("did you mean `LOG_LEVEL`?"), "{}", out.stderr);
    let out = env(&project, &["explain", "staging"]).expect(0);
    assert!(out.stdout.contains("policy: parity with production: drift below 5%"), "{}", out.stdout);
    env(&project, &["explain", "LOG_LEVEL"]).expect(2);
}

#[test]
fn rendering_may_be_tried_redirected_and_narrowed() {
    let project = project();
    let out = env(&project, &["render", "staging", "--dry-run"]).expect(0);
    assert!(out.stdout.contains("would write") && !project.has("run"), "{}", out.stdout);
    env(&project, &["render", "staging", "--file", "app", "--to", "other.env"]).expect(0);
    assert!(project.has("other.env") && !project.has("run"));
    let out = env(&project, &["render", "staging", "--file", "ap"]).expect(2);
    assert!(out.stderr.contains("did you mean `app`?"), "{}", out.stderr);
}

#[test]
fn what_git_tracks_and_who_listens_is_found() {
    let project = Project::new();
    fs::remove_dir(project.path(".git")).expect("the mark");
    let git = |args: &[&str]| {
        let done = project
            .command(&[])
            .get_envs()
            .fold(std::process::Command::new("git"), |mut git, (key, value)| {
                if let Some(value) = value {
                    git.env(key, value);
                }
                git
            })
            .args(args)
            .current_dir(project.path(""))
            .output()
            .expect("git runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    project.write("environments/catalog.yaml", "keys: {PORT: {type: int, free-port: true}}\n");
    project.write("environments/dev.yaml", format!("values: {{PORT: {port}}}\n"));
    project.write(".env.example", "PORT=1\n");
    project.write("deep/.env.production", "PORT=1\n");
    git(&["add", "-f", "."]);
    let out = project.engine(&["env", "check", "dev"]).expect(9);
    assert!(out.stderr.contains(&format!("somebody listens on port {port} already")), "{}", out.stderr);
    assert!(out.stderr.contains("git tracks `deep/.env.production`"), "{}", out.stderr);
    assert!(!out.stderr.contains(".env.example"), "{}", out.stderr);
    drop(listener);
    git(&["rm", "-q", "--cached", "deep/.env.production"]);
    project.engine(&["env", "check", "dev"]).expect(0);
}

#[test]
fn checksums_are_those_of_their_files_and_keys() {
    let project = Project::new();
    project.write("config/personas.json", "abc");
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    project.write(
        "environments/catalog.yaml",
        "keys:\n  MAP: {checksum-of: config/personas.json}\n  CHATS: {default: abc}\n  CHATS_SUM: {checksum-of: CHATS}\n",
    );
    let values = |map: &str, chats: &str| format!("values: {{MAP: '{map}', CHATS_SUM: '{chats}'}}\n");
    project.write("environments/dev.yaml", values(abc, abc));
    project.engine(&["env", "check", "dev"]).expect(0);
    project.write("environments/dev.yaml", values(abc, "00"));
    let out = project.engine(&["env", "check", "dev"]).expect(9);
    assert!(
        out.stderr.contains("`CHATS_SUM` is not the SHA-256 of `CHATS`") && out.stderr.contains(abc),
        "{}",
        out.stderr
    );
    fs::remove_file(project.path("config/personas.json")).expect("removed");
    let out = project.engine(&["env", "check", "dev"]).expect(9);
    assert!(out.stderr.contains("which cannot be had"), "{}", out.stderr);
}
