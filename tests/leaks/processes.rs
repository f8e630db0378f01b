//! What other processes can see while secrets are in memory: command lines, environments, dumps.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::canary::Canary;
use super::plans::Cage;
use super::search::Search;
use super::support::{Live, Project};

/// Two stages that wait on a pipe, one with secrets and one without, and a third that is never reached.
const HELD: &str = r#"version: 1
name: held
inputs: {token: {secret: true}}
environment: cage
stages:
  with:
    secrets: {SHORT: SHORT, COMMAND: COMMAND, QUOTES: QUOTES, TOKEN: token}
    run: 'echo "$SHORT$COMMAND$QUOTES$TOKEN"; echo with-holds; read -r _ < go-with'
  without:
    run: 'echo without-holds; read -r _ < go-without'
  after: {needs: [with, without], secrets: [SHORT], run: 'echo "after: $SHORT"; cat cage/COMMAND'}
"#;

/// A process as `/proc` shows it: its id, command line and environment.
struct Seen {
    pid: u32,
    command: Vec<u8>,
    environ: Vec<u8>,
}

fn all_processes() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that ends meanwhile is not there.
    pids.filter_map(|pid: u32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        Some(Seen { pid, command: read("cmdline")?, environ: read("environ").unwrap_or_default() })
    })
    .collect()
}

fn has(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|part| part == word.as_bytes())
}

fn fifos(project: &Project) {
    for name in ["go-with", "go-without"] {
        let made = Command::new("mkfifo").arg(project.path(name)).status().expect("mkfifo runs");
        assert!(made.success());
    }
}

fn search_of<'c>(cage: &'c Cage, is: impl Fn(&Canary) -> bool + 'c) -> Search {
    Search::of(cage.canaries.iter().filter(move |canary| is(canary)))
}

#[test]
fn no_command_line_and_no_other_environment_holds_a_secret() {
    let cage = Cage::new();
    fifos(&cage.project);
    cage.project.write("plan.yaml", HELD);
    let live = Live::start(cage.command(&["run", "plan.yaml", "--run-id", "held", "-j2"]));
    live.line("with-holds");
    let all = cage.search();
    // What its caller put into the engine's environment is there; nothing else may be.
    let own = search_of(&cage, |canary| !["QUOTES", "token"].contains(&canary.name));
    let (mut stages, mut engines, mut sentinels) = (0, 0, 0);
    for seen in all_processes() {
        all.assert_clean(&format!("the command line of {}", seen.pid), &seen.command);
        if !has(&seen.environ, &cage.project.path("").display().to_string()) && !has(&seen.environ, "held") {
            continue;
        }
        let what = format!("the environment of {}", String::from_utf8_lossy(&seen.command));
        match () {
            () if has(&seen.environ, "ENGINE_STAGE=with\0") => {
                stages += 1;
                assert!(all.find(&seen.environ).is_some(), "the stage that names them has them");
            }
            () if has(&seen.environ, "ENGINE_STAGE=") => {
                stages += 1;
                all.assert_clean(&what, &seen.environ);
            }
            () if has(&seen.environ, "ENGINE_SENTINEL=") => {
                sentinels += 1;
                all.assert_clean(&what, &seen.environ);
            }
            () => {
                engines += 1;
                own.assert_clean(&what, &seen.environ);
            }
        }
    }
    assert!(stages >= 2 && engines >= 2 && sentinels == 1, "{stages} {engines} {sentinels}");
    live.kill_worker();
    let out = live.end();
    all.assert_clean("standard output", out.stdout.as_bytes());

    // A resume fetches them again and masks the same, also in stages that do not name them.
    let resumed = Live::start(cage.command(&["resume", "held"]));
    resumed.line("with-holds");
    for name in ["go-with", "go-without"] {
        fs::write(cage.project.path(name), "\n").expect("the stage reads");
    }
    let out = resumed.end().expect(0);
    assert!(out.stdout.contains("after | after: ***\n") && out.stdout.contains("after | ***"), "{}", out.stdout);
    all.assert_clean("the resumed run", out.stdout.as_bytes());
    let (hits, _) = all.below(&cage.project.path(".engine"), |_| false);
    assert!(hits.is_empty(), "{hits:#?}");

    // Without the secret input, which is recorded nowhere, a resume says what it wants.
    let mut command = cage.project.command(&["resume", "held", "--rerun", "with"]);
    command.env("QUOTES", cage.value("QUOTES"));
    let out = Live::start(command).end().expect(9);
    assert!(out.stderr.contains("set `ENGINE_INPUT_TOKEN`"), "{}", out.stderr);
}

/// A process that cannot be dumped belongs to root in `/proc`, whoever it runs as.
#[test]
fn an_engine_that_holds_secrets_cannot_be_dumped_and_works_without_privileges() {
    let project = Project::new();
    fifos(&project);
    let engine = project.path("engine");
    fs::copy(env!("CARGO_BIN_EXE_engine"), &engine).expect("a copy that everybody may run");
    project.write("environments/catalog.yaml", "keys: {TOKEN: {secret: true}, HOST: {default: h}}\n");
    project.write("environments/cage.yaml", "secrets: {TOKEN: {from: {env: TOKEN}}}\n");
    let plan = "version: 1\nenvironment: cage\nstages:\n  check: {uses: env.check}\n  with:\n    needs: [check]\n    SECRETS\n    \
                run: 'echo with-holds; read -r _ < go-with; echo \"got ${TOKEN:-none}\"'\n";
    let me = fs::metadata("/proc/self").expect("/proc").uid();
    let user = if me == 0 { 65534 } else { me };
    for (secrets, owner) in [("secrets: [TOKEN]", 0), ("description: none", user)] {
        let plan = plan.replace("SECRETS", secrets);
        let plan = if owner == 0 {
            plan
        } else {
            plan.replace("  check: {uses: env.check}\n", "").replace("    needs: [check]\n", "")
        };
        project.write("plan.yaml", plan);
        if me == 0 {
            give_to(&project.path(""), user);
        }
        let mut command = Command::new(&engine);
        command.args(["run", "plan.yaml"]).current_dir(project.path("")).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", project.path("")).env("TOKEN", "canary-of-nobody");
        if me == 0 {
            command.uid(user).gid(user);
        }
        let live = Live::start(command);
        live.line("with-holds");
        let front = live.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{front}/task/{front}/children")).expect("it lives");
        let worker = children.split_whitespace().next().expect("a front has its worker");
        let found = fs::metadata(format!("/proc/{worker}/environ")).expect("it lives").uid();
        assert_eq!(found, owner, "{secrets}");
        let home = format!("HOME={}", project.path("").display());
        let is_ours = |seen: &Seen| has(&seen.environ, "ENGINE_STAGE=with\0") && has(&seen.environ, &home);
        let stage = all_processes().into_iter().find(is_ours);
        let stage = stage.expect("the stage runs").pid;
        let found = fs::metadata(format!("/proc/{stage}/environ")).expect("it lives").uid();
        assert_eq!(found, user, "a stage is as it would be without secrets");
        fs::write(project.path("go-with"), "\n").expect("the stage reads");
        let out = live.end().expect(0);
        assert!(out.stdout.contains(if owner == 0 { "got ***" } else { "got none" }), "{}", out.stdout);
    }
}

fn give_to(path: &std::path::Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may");
    if path.is_dir() && !path.is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("root may");
        for entry in fs::read_dir(path).expect("a folder") {
            give_to(&entry.expect("an entry").path(), user);
        }
    }
}
