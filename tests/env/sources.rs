//! Sources of secrets that give nothing of use: told at their place, without a byte of what they gave, and nothing is
//! rendered or started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use super::place::{pipe, project, told};
use super::support::Project;

/// A project whose `TOKEN` comes from `source`, and where that stands.
fn from(source: &str) -> (Project, String) {
    let project = project();
    let line = "  TOKEN: {from: {";
    let base = format!(
        "values: {{LOG_LEVEL: info}}\nsecrets:\n{line}{source}}}}}\n  DATABASE_URL: {{from: {{file: url}}}}\n"
    );
    project.write("environments/base.yaml", base);
    private(&project, "url", "postgresql://shop:canary-8b21@db:5432/shop\n");
    project.write(
        "plan.yaml",
        "version: 1\nenvironment: staging\nstages: {a: {secrets: [TOKEN], run: touch began}}\n",
    );
    let column = line.len() + source.find(':').expect("a key") + 3;
    (project, format!("environments/base.yaml:3:{column}"))
}

fn private(project: &Project, path: &str, text: &str) {
    let path = project.write(path, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
}

#[test]
fn a_source_that_gives_nothing_of_use_is_told_at_its_place() {
    for (source, words) in [
        ("command: [./say, 'exit 3']", "the command failed with exit status: 3"),
        ("command: [./say, 'kill -9 $$']", "the command failed with signal: 9"),
        ("command: ['true']", "it is empty"),
        ("command: [head, -c, '100000000', /dev/zero]", "it is larger than 64 KiB"),
        ("command: [./say, 'yes $0 | head -c 100000000']", "it is larger than 64 KiB"),
        ("command: [./say, 'printf \"a\\0b\"']", "it contains a NUL byte"),
        ("command: [no-such-tool]", "`no-such-tool` was not found on the PATH"),
        ("file: open", "open` has mode 0644: it can be read by everybody on this machine; `chmod 0600"),
        ("file: loose", "loose` has mode 0660: it can be changed by its whole group"),
        ("file: pipe", "pipe` is not a regular file"),
        ("file: run", "run` cannot be read: No such file"),
        ("file: marked", "it begins with a byte order mark"),
        ("env: TOKEN", "the variable `TOKEN` is not set"),
        ("credential: db", "`$CREDENTIALS_DIRECTORY` is not set"),
        ("vault: {path: kv/db, field: it}", "no server is named: give `address`, or set `VAULT_ADDR`"),
    ] {
        let (project, place) = from(source);
        for (name, mode) in [("open", 0o644), ("loose", 0o660)] {
            let path = project.write(name, "canary-4c1d\n");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
        }
        project.script("say", "#!/bin/sh\necho canary-4c1d\necho canary-4c1d >&2\neval \"$1\"\n");
        private(&project, "marked", "\u{feff}canary-4c1d\n");
        pipe(&project, "pipe");
        for args in [&["env", "check", "staging"][..], &["env", "render", "staging"], &["run", "plan.yaml"]] {
            let out = project.engine(args).expect(9);
            for word in ["env::no-secret", "the secret `TOKEN` cannot be had", words, &place] {
                assert!(out.stderr.contains(word), "{args:?} with {source}: no `{word}` in\n{}", out.stderr);
            }
            assert!(!out.stderr.contains("canary") && !out.stdout.contains("canary"), "{}", out.stderr);
        }
        assert!(!project.has("run") && !project.has("began") && project.runs().is_empty(), "{source}");
    }
}

#[test]
fn a_value_that_breaks_its_rule_is_told_once_without_it() {
    let (project, place) = from("command: [echo, short]");
    for args in [&["env", "check", "staging"][..], &["env", "render", "staging"], &["run", "plan.yaml"]] {
        let out = project.engine(args).expect(9);
        let told = "error[env::bad-value]: the secret `TOKEN`: its value has 5 characters, and needs 8 at least";
        assert_eq!(out.stderr.matches("the secret `TOKEN`:").count(), 1, "{}", out.stderr);
        for word in [told, &place, "environments/catalog.yaml:7:3", "declared here"] {
            assert!(out.stderr.contains(word), "{args:?}: no `{word}` in\n{}", out.stderr);
        }
    }
}

#[test]
fn a_command_that_hangs_ends_with_whoever_asked_it() {
    let (project, _) = from("command: [./slow]");
    project.script("slow", "#!/bin/sh\nsleep 1000 &\necho $! > pid\nwait\n");
    pipe(&project, "pid");
    for args in [&["env", "check", "staging"][..], &["env", "render", "staging"], &["env", "diff", "staging"]] {
        for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let live = project.start(args);
            let pid = told(&project, "pid");
            live.signal(signal);
            let out = live.end().expect(status);
            assert_eq!((&*out.stdout, &*out.stderr), ("", ""), "whoever ends it knows that they did");
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            assert!(stat.as_ref().map_or(true, |stat| stat.contains(") Z ")), "{args:?}: it lives on: {stat:?}");
        }
    }
    assert!(!project.has("run"));
}

#[test]
fn a_command_has_the_caller_s_variables_in_a_stage_as_well() {
    let (project, _) = from("command: [sh, -c, 'echo \"$PASSWORD_STORE\"']");
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  check: {uses: env.check}\n  render: {needs: [check], uses: env.render, with: {file: app}}\n");
    let out = project.engine_with(&[("PASSWORD_STORE", "canary-of-a-store")], &["run", "plan.yaml"]).expect(0);
    assert!(!out.stdout.contains("canary"), "{}", out.stdout);
    assert!(project.read("run/app.env").contains("TOKEN=canary-of-a-store\n"));
}
