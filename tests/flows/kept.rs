//! Artifacts and the cache.

use std::fs;

use crate::support::Project;
use crate::tool::{count, expect_states, log, run, stage};

const ARTIFACTS: &str = r#"
version: 1
stages:
  build:
    cwd: out
    artifacts: ["dist/**"]
    run: 'mkdir -p dist/sub; echo built > dist/app; echo deep > dist/sub/x; chmod 755 dist/app; echo build >> ../log'
  ship:
    needs: [build]
    run: 'cat out/dist/app out/dist/sub/x >> log; [ -x out/dist/app ]; [ -e ready ]'
"#;

#[test]
fn artifacts_are_put_back_when_they_are_gone_before_a_dependent_starts() {
    let project = Project::with_plan(ARTIFACTS);
    project.write("out/.keep", "");
    run(&project, 1);
    fs::remove_dir_all(project.path("out/dist")).expect("removed");
    project.write("ready", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["build", "built", "deep", "built", "deep"]);
}

#[test]
fn a_changed_artifact_is_as_it_was_again_for_its_dependents() {
    let project = Project::with_plan(ARTIFACTS);
    project.write("out/.keep", "");
    run(&project, 1);
    project.write("out/dist/app", "spoiled");
    project.write("ready", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project)[3], "built");
}

#[test]
fn the_state_folder_alone_carries_a_run_to_a_fresh_checkout() {
    let first = Project::with_plan(ARTIFACTS);
    first.write("out/.keep", "");
    run(&first, 1);
    let second = Project::with_plan(ARTIFACTS);
    second.write("out/.keep", "");
    second.write("ready", "");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([first.path(".engine"), second.path(".engine")])
        .status()
        .expect("cp runs");
    assert!(copied.success());
    second.engine(&["resume"]).expect(0);
    assert_eq!(log(&second), ["built", "deep"]);
    expect_states(&second, "build=success ship=success");
}

#[test]
fn an_artifact_that_is_not_there_fails_its_stage() {
    let project = Project::with_plan("version: 1\nstages: {a: {artifacts: [\"none/*\"], run: 'true'}}\n");
    let output = run(&project, 1);
    assert!(output.stdout.contains("`none/*` names no file"), "{}", output.stdout);
}

const CACHED: &str = r#"
version: 1
inputs: {level: {type: string, default: one}}
stages:
  gen:
    env: {LEVEL: "{{ inputs.level }}"}
    run: 'mkdir -p gen; echo "$LEVEL" > gen/file; echo gen >> log'
    artifacts: ["gen/*"]
  build:
    needs: [gen]
    cache: {sources: ["src/**"], env: [PROFILE]}
    artifacts: ["dist/*"]
    outputs: {n: int}
    run: 'mkdir -p dist; cat src/* gen/file > dist/app; echo "n=$(wc -l < dist/app)" >> "$ENGINE_OUTPUT"; echo build >> log'
  use: {needs: [build], env: {N: "{{ needs.build.outputs.n }}"}, run: 'echo "use $N $(cat dist/app | tr "\n" ,)" >> log'}
"#;

fn cached() -> Project {
    let project = Project::with_plan(CACHED);
    project.write("src/a", "a\n");
    run(&project, 0);
    assert_eq!(stage(&project, "build")["state"], "success");
    project
}

/// Runs again and tells whether `build` was cached.
#[track_caller]
fn is_cached(project: &Project, env: &[(&str, &str)], args: &[&str]) -> bool {
    let builds = count(project, "build");
    let args: Vec<&str> = ["run", "plan.yaml"].iter().chain(args).copied().collect();
    project.engine_with(env, &args).expect(0);
    let is_cached = stage(project, "build")["state"] == "cached";
    assert_eq!(count(project, "build") == builds, is_cached, "a cached stage does not run, any other does");
    is_cached
}

#[test]
fn an_unchanged_stage_is_cached_with_its_outputs_and_artifacts() {
    let project = cached();
    fs::remove_dir_all(project.path("dist")).expect("removed");
    assert!(is_cached(&project, &[], &[]));
    assert_eq!(log(&project).last().map(String::as_str), Some("use 2 a,one,"));
    assert!(project.has("dist/app"), "its artifacts are put in place");
}

#[test]
fn a_changed_source_environment_definition_or_need_misses() {
    let project = cached();
    project.write("src/a", "b\n");
    assert!(!is_cached(&project, &[], &[]), "a source changed");
    assert!(is_cached(&project, &[], &[]));
    project.write("src/new", "n\n");
    assert!(!is_cached(&project, &[], &[]), "a source is new");
    fs::remove_file(project.path("src/new")).expect("removed");
    assert!(is_cached(&project, &[], &[]), "as it was before");
    assert!(!is_cached(&project, &[("PROFILE", "fast")], &[]), "its environment changed");
    assert!(is_cached(&project, &[("PROFILE", "fast"), ("OTHER", "x")], &[]), "other variables do not count");
    assert!(!is_cached(&project, &[], &["--set", "level=two"]), "what it needs changed");
    project.write("plan.yaml", CACHED.replace("mkdir -p dist;", "mkdir -p dist ;"));
    assert!(!is_cached(&project, &[], &[]), "its script changed");
    project.write("plan.yaml", CACHED.replace("outputs: {n: int}", "outputs: {n: string}"));
    assert!(!is_cached(&project, &[], &[]), "its outputs changed");
}

#[test]
fn what_a_later_engine_of_the_run_finishes_is_cached_too() {
    let project = Project::with_plan(&CACHED.replace("mkdir -p dist;", "mkdir -p dist; [ -e ready ];"));
    project.write("src/a", "a\n");
    run(&project, 1);
    project.write("ready", "");
    project.engine(&["resume"]).expect(0);
    assert!(is_cached(&project, &[], &[]));
    // A source that changed in between is part of what was done.
    project.write("src/a", "b\n");
    assert!(!is_cached(&project, &[], &[]));
}

#[test]
fn shards_that_a_later_engine_of_the_run_does_are_cached_too() {
    let plan = "version: 1\nstages:\n  each:\n    shards: {items: [a, b, c, d], max-parallel: 1}\n    \
        cache: {sources: [plan.yaml]}\n    run: 'i=$(cat \"$ENGINE_SHARD_FILE\"); [ $i != c ] || [ -e ready ]; echo build >> log'\n";
    let project = Project::with_plan(plan);
    run(&project, 1);
    project.write("ready", "");
    project.engine(&["resume"]).expect(0);
    let done = count(&project, "build");
    assert_eq!(done, 4);
    run(&project, 0);
    assert_eq!((stage(&project, "each")["state"].as_str(), count(&project, "build")), (Some("cached"), done));
}

#[test]
fn what_changes_while_a_stage_runs_is_not_cached() {
    let project =
        Project::with_plan(&CACHED.replace("mkdir -p dist;", "mkdir -p dist; [ ! -e edit ] || mv edit src/a;"));
    project.write("src/a", "a\n");
    // Somebody saves `src/a` after the engine has read it and before the stage does.
    project.write("edit", "b\n");
    run(&project, 0);
    let notes = stage(&project, "build")["notes"].to_string();
    assert!(notes.contains("not cached: files of `cache.sources` changed while it ran"), "{notes}");
    project.write("src/a", "a\n");
    assert!(!is_cached(&project, &[], &[]), "the result of `b` is never that of `a`");
    assert_eq!(log(&project).last().map(String::as_str), Some("use 2 a,one,"));
    assert!(is_cached(&project, &[], &[]), "nothing changed this time");
    project.write("src/a", "b\n");
    assert!(!is_cached(&project, &[], &[]), "nor is it remembered as that of `b`, which nobody had asked for");
}

#[test]
fn a_damaged_or_deleted_cache_entry_is_a_miss() {
    for damage in ["flip", "cut", "remove"] {
        let project = cached();
        let mut hit = 0;
        for path in files(&project.path(".engine/objects")) {
            {
                hit += 1;
                fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
                    .expect("mode bits");
                match damage {
                    "flip" => {
                        let mut bytes = fs::read(&path).expect("read");
                        bytes[0] ^= 1;
                        fs::write(&path, bytes).expect("written");
                    }
                    "cut" => fs::write(&path, "").expect("written"),
                    _ => fs::remove_file(&path).expect("removed"),
                }
            }
        }
        assert!(hit > 0, "something is stored");
        assert!(!is_cached(&project, &[], &[]), "{damage}: a broken entry is never used");
        assert!(is_cached(&project, &[], &[]), "{damage}: and is replaced");
    }
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// What a shard's words come to besides its item is part of what its result is known by, however it is written.
#[test]
fn a_shard_is_not_taken_from_a_run_whose_command_was_another() {
    let words = [
        ("'{{ inputs.mode }}-{{ shard.item }}'", "{}"),
        ("'{{ shard.item }}'", "{MODE: '{{ inputs.mode }} of {{ shard.item }}'}"),
        ("'{{ vars.mode }}-{{ shard.item }}'", "{}"),
        ("'{{ needs.first.outputs.mode }}-{{ shard.item }}'", "{}"),
        ("'{{ shard.item if shard.item == inputs.mode else inputs.mode }}'", "{}"),
    ];
    for (word, env) in words {
        let project = Project::with_plan(&format!(
            "
version: 1
inputs: {{mode: {{type: string, default: quick}}, other: {{type: string, default: x}}}}
vars: {{mode: '{{{{ inputs.mode }}}}'}}
stages:
  first:
    env: {{MODE: '{{{{ inputs.mode }}}}'}}
    run: echo mode=$MODE >> \"$ENGINE_OUTPUT\"
    outputs: {{mode: string}}
  pack:
    needs: [first]
    cache: {{sources: [plan.yaml]}}
    shards: {{items: [a, b]}}
    env: {env}
    run: [sh, -c, 'echo done >> log', sh, \"{word}\"]
"
        ));
        let mut seen = Vec::new();
        for args in [&[][..], &["--set", "mode=full"], &["--set", "mode=full", "--set", "other=y"], &[]] {
            project.engine(&[&["run", "plan.yaml"], args].concat()).expect(0);
            seen.push(log(&project).len());
        }
        assert_eq!(seen, [2, 4, 4, 4], "{word} with {env}: once for each mode, whatever else changes");
    }
}

#[test]
fn a_shard_whose_number_counts_is_not_taken_from_another_place() {
    let actions = "\nactions:\n  tell: {run: 'echo $AT >> log'}\n";
    let uses = "uses: tell, env: {AT: '{{ shard.index }}'}";
    let reads = [
        ("run: [sh, -c, 'echo $0 >> log', \"{{ shard['index'] }}\"]", ""),
        ("run: [sh, -c, 'echo $ENGINE_SHARD >> log']", ""),
        (uses, actions),
    ];
    for (body, actions) in reads {
        let plan = format!(
            "version: 1\nstages:\n  pack: {{shards: {{items: [x, y]}}, cache: {{sources: [src]}}, {body}}}\n{actions}"
        );
        let project = Project::with_plan(&plan);
        project.write("src", "");
        run(&project, 0);
        run(&project, 0);
        assert_eq!(log(&project).len(), 2, "{body}: nothing changed");
        project.write("plan.yaml", plan.replace("[x, y]", "[y, x]"));
        run(&project, 0);
        assert_eq!(log(&project).len(), 4, "{body}: `x` is another shard now");
    }
}

#[test]
fn artifacts_of_shards_with_folders_of_their_own_are_put_back_there() {
    let project = Project::with_plan(
        "
version: 1
stages:
  pack:
    shards: {items: [one, two]}
    cache: {sources: [plan.yaml]}
    cwd: '{{ shard.item }}'
    artifacts: [out]
    run: 'basename $PWD > out; echo ran >> ../log'
  ship: {needs: [pack], run: '[ -e ready ] && cat one/out two/out >> log'}
",
    );
    project.write("one/.keep", "");
    project.write("two/.keep", "");
    let remove = || ["one/out", "two/out"].map(|name| fs::remove_file(project.path(name)).expect("it was there"));
    run(&project, 1);
    remove();
    project.write("ready", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project)[2..], ["one", "two"], "for those who need them");
    remove();
    run(&project, 0);
    assert_eq!(log(&project)[4..], ["one", "two"], "and from the cache");
}
