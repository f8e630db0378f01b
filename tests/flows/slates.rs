//! The files that attempts are lent, in the hands of scripts that do what they like with them: nobody sees anything of
//! another attempt, nothing that a script took is changed, and a run of many shards has few files.

use std::collections::BTreeSet;

use crate::support::Project;
use crate::tool::{Gate, events_of, json, log, run, stage};

/// Says so when the attempt does not find its file for values there, and empty.
const IS_CLEAN: &str = r#"[ -f "$ENGINE_OUTPUT" ] && ! [ -s "$ENGINE_OUTPUT" ] && ! [ -L "$ENGINE_OUTPUT" ] || echo "dirty $ENGINE_STAGE $ENGINE_SHARD" >> log"#;

/// Whether files of attempts are left in the scratch folder of the only run.
fn has_slates(project: &Project) -> bool {
    let folder = project.path(format!(".engine/runs/{}/scratch", project.only_run()));
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("slate-"))
}

#[test]
fn hundreds_of_shards_at_once_each_find_their_own_items_in_few_files() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  pack:
    shards: {items: {range: 1500}, size: 4}
    outputs: {sum: int}
    run: [sh, pack.sh]
  whole:
    needs: [pack]
    run: [sh, -c, 'printf "%s" "$1" > sums', x, "{{ needs.pack.outputs | tojson }}"]
"#,
    );
    let script = r#"
IS_CLEAN
[ "$ENGINE_ATTEMPT" = 1 ] && [ $((ENGINE_SHARD % 9)) = 4 ] && { echo sum=7 >> "$ENGINE_OUTPUT"; exit 1; }
sum=0
while read -r item; do sum=$((sum + item)); echo "item $item" >> log; done < "$ENGINE_SHARD_FILE"
set -- "${ENGINE_SHARD_FILE%/*}"/slate-*
echo "files $#" >> log
echo "sum=$sum" >> "$ENGINE_OUTPUT"
"#;
    project.write("pack.sh", script.replace("IS_CLEAN", IS_CLEAN));
    let retry =
        project.read("plan.yaml").replace("    run: [sh, pack.sh]", "    retry: 1\n    run: [sh, pack.sh]");
    project.write("plan.yaml", retry);
    project.engine(&["run", "plan.yaml", "-j", "8"]).expect(0);
    let log = log(&project);
    let mut items: Vec<u32> = log.iter().filter_map(|line| line.strip_prefix("item ")?.parse().ok()).collect();
    items.sort_unstable();
    assert_eq!(items, (0..1500).collect::<Vec<_>>());
    assert!(!log.iter().any(|line| line.starts_with("dirty")), "somebody saw another's values");
    let sums = json(&project.read("sums"));
    for shard in 0..375_u64 {
        assert_eq!(sums[shard.to_string()]["sum"], 16 * shard + 6, "shard {shard}");
    }
    // Each attempt that fails with values scraps its slate, and eight have one.
    let most = log.iter().filter_map(|line| line.strip_prefix("files ")?.parse().ok()).max().unwrap_or(0);
    assert!((2..=2 * 8).contains(&most), "{most} files at once");
    assert!(!has_slates(&project), "the room is cleared");
}

/// What the shard with this number does to the file `$1`, after it has read its items; what it makes its own is `own-N`.
const DEEDS: &str = r#"
case $2 in
  1) rm "$1" ;;
  2) mv "$1" own-2 ;;
  3) ln "$1" own-3 ;;
  4) chmod 000 "$1" ;;
  5) : > "$1" ;;
  6) for i in 1 2 3 4 5 6 7 8 9; do echo "$3" >> "$1"; done ;;
  7) sed -i "s/i/j/" "$1" ;;
  8) cp "$1" own-8; ln -sf "$PWD/own-8" "$1" ;;
  9) rm "$1"; mkdir "$1"; touch "$1/x" ;;
  10) rm "$1"; mkfifo "$1" ;;
  11) mv "$1" own-11; cp own-11 "$1" ;;
  12) exec 9>> "$1" ;;
esac
"#;

/// Lists that grow shorter, and longer again.
fn lists() -> Vec<usize> {
    vec![40, 9, 8, 7, 6, 5, 4, 30, 3, 2, 2, 2, 1, 1, 12, 1]
}

fn items_plan(lists: &[usize]) -> String {
    let items: Vec<String> = lists
        .iter()
        .enumerate()
        .map(|(at, &length)| serde_json::json!({"at": at, "text": "i".repeat(length)}).to_string())
        .collect();
    format!(
        "version: 1\nstages:\n  pack:\n    shards: {{items: [{}], items-format: json, size: 1, max-parallel: 1}}\n    run: [sh, pack.sh]\n",
        items.join(", ")
    )
}

#[test]
fn a_list_that_a_script_took_or_changed_is_nobody_s_list_afterwards() {
    let project = Project::with_plan(&items_plan(&lists()));
    project.write("deeds.sh", DEEDS);
    let script =
        "IS_CLEAN\ncat \"$ENGINE_SHARD_FILE\" >> log\nsh deeds.sh \"$ENGINE_SHARD_FILE\" \"$ENGINE_SHARD\" more\n";
    project.write("pack.sh", script.replace("IS_CLEAN", IS_CLEAN));
    run(&project, 0);
    let line = |at: usize| serde_json::json!({"at": at, "text": "i".repeat(lists()[at])}).to_string();
    let expected: Vec<String> = (0..lists().len()).map(line).collect();
    assert_eq!(log(&project), expected, "each its own list, whole and nothing else");
    for own in [2, 3, 8, 11] {
        assert_eq!(project.read(format!("own-{own}")), line(own) + "\n", "what shard {own} took is its own");
    }
    assert!(!has_slates(&project));
}

#[test]
fn values_that_a_script_took_or_changed_are_nobody_s_values_afterwards() {
    let project = Project::with_plan(&items_plan(&lists()));
    project.write("deeds.sh", DEEDS);
    // Even shards write values besides; they are read by nobody, for none are declared, but have to be lines.
    let script = r#"
IS_CLEAN
[ $((ENGINE_SHARD % 2)) = 1 ] || echo "i=$ENGINE_SHARD" >> "$ENGINE_OUTPUT"
sh deeds.sh "$ENGINE_OUTPUT" "$ENGINE_SHARD" more=1
echo "ran $ENGINE_SHARD" >> log
"#;
    project.write("pack.sh", script.replace("IS_CLEAN", IS_CLEAN));
    // A folder is no file, as ever.
    project.engine(&["run", "plan.yaml", "-k"]).expect(1);
    let expected: Vec<String> = (0..lists().len()).map(|shard| format!("ran {shard}")).collect();
    assert_eq!(log(&project), expected, "no shard is dirty");
    let failures = &stage(&project, "pack")["shards"]["failures"];
    assert_eq!(failures.as_array().map(Vec::len), Some(1), "{failures}");
    assert!(failures.to_string().contains("failed to read `$ENGINE_OUTPUT`"), "{failures}");
    for (own, text) in [(2, "i=2\n"), (3, ""), (8, "i=8\n"), (11, "")] {
        assert_eq!(project.read(format!("own-{own}")), text, "what shard {own} took is its own");
    }
}

#[test]
fn what_an_attempt_wrote_before_it_failed_is_not_the_next_one_s() {
    let project = Project::with_plan(&format!(
        r#"
version: 1
stages:
  retried:
    outputs: {{n: int}}
    retry: 1
    run: |
      {IS_CLEAN}
      [ "$ENGINE_ATTEMPT" = 2 ] || {{ echo n=1 >> "$ENGINE_OUTPUT"; exit 1; }}
  junk:
    run: 'echo "this is no value" >> "$ENGINE_OUTPUT"; exit 3'
    allow-failure: true
  asked:
    needs: [junk]
    idempotent: false
    done-if: {{run: '{IS_CLEAN}; echo junk again >> "$ENGINE_OUTPUT"; exit 1'}}
    run: |
      {IS_CLEAN}
      echo asked >> log
  plain:
    needs: [asked]
    run: |
      {IS_CLEAN}
      echo plain >> log
"#
    ));
    project.engine(&["run", "plan.yaml", "-k", "-j", "1"]).expect(1);
    let reason = stage(&project, "retried")["reason"].to_string();
    assert!(reason.contains("`n` is declared but was not written"), "{reason}");
    assert_eq!(log(&project), ["asked", "plain"]);
    assert_eq!(stage(&project, "plain")["state"], "success");
}

#[test]
fn values_of_an_attempt_that_was_killed_while_it_wrote_are_for_nobody() {
    let project = Project::with_plan(&format!(
        r#"
version: 1
stages:
  a:
    outputs: {{n: int}}
    retry: 1
    timeout: 3s
    run: |
      {IS_CLEAN}
      [ "$ENGINE_ATTEMPT" = 2 ] && exit
      trap '' TERM
      while :; do echo "n=$ENGINE_ATTEMPT" >> "$ENGINE_OUTPUT"; done
    stop: {{signal: TERM, grace: 10ms}}
"#
    ));
    run(&project, 1);
    assert!(log(&project).is_empty(), "{:?}", log(&project));
    let reason = stage(&project, "a")["reason"].to_string();
    assert!(reason.contains("`n` is declared but was not written"), "{reason}");
    assert_eq!(events_of(&project, "shard-retried", "a").len(), 1);
}

#[test]
fn a_service_that_lives_on_keeps_its_files_for_itself() {
    let project = Project::with_plan(&format!(
        r#"
version: 1
stages:
  first: {{run: 'echo "$ENGINE_OUTPUT" >> paths'}}
  server:
    needs: [first]
    lifetime: run
    run: |
      {IS_CLEAN}
      echo "$ENGINE_OUTPUT" >> paths
      (trap '' HUP; read -r _ < gate; echo "no value" >> "$ENGINE_OUTPUT"; touch wrote; exec sleep 600) > /dev/null 2>&1 &
  second:
    needs: [server]
    run: |
      {IS_CLEAN}
      echo "$ENGINE_OUTPUT" >> paths
      echo > gate
      until [ -e wrote ]; do :; done
  third:
    needs: [second]
    run: |
      {IS_CLEAN}
      echo "$ENGINE_OUTPUT" >> paths
"#
    ));
    let _gate = Gate::new(&project, "gate");
    run(&project, 0);
    assert!(log(&project).is_empty(), "{:?}", log(&project));
    let text = project.read("paths");
    let paths: Vec<&str> = text.lines().collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    assert_eq!((paths[0], paths[2]), (paths[1], paths[3]), "what is free is lent again");
    assert_ne!(paths[1], paths[2], "a service gives nothing back");
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn what_a_killed_engine_left_is_seen_by_no_attempt_of_the_next() {
    let project = Project::with_plan(&format!(
        r#"
version: 1
stages:
  pack:
    shards: {{items: [a long item, another, b]}}
    outputs: {{n: string}}
    run: |
      {IS_CLEAN}
      cat "$ENGINE_SHARD_FILE" >> log
      echo "n=$ENGINE_ATTEMPT" >> "$ENGINE_OUTPUT"
      [ -e calm ] || {{ touch "up-$ENGINE_SHARD"; [ -e up-0 ] && [ -e up-1 ] && [ -e up-2 ] && echo all up; exec sleep 600; }}
  whole:
    needs: [pack]
    run: [sh, -c, 'echo "$1" >> log', x, "{{{{ needs.pack.outputs | tojson }}}}"]
"#
    ));
    let live = project.start(&["run", "plan.yaml", "-j", "3"]);
    live.line("all up");
    live.kill();
    assert!(has_slates(&project), "it had no time to clear its room");
    project.write("calm", "");
    project.engine(&["resume"]).expect(0);
    let mut seen = log(&project);
    let sums = seen.pop().expect("the last stage ran");
    assert_eq!(
        sums,
        r#"{"0": {"n": "2"}, "1": {"n": "2"}, "2": {"n": "2"}}"#.replace(": ", ":").replace(", ", ",")
    );
    seen.sort();
    assert_eq!(seen, ["a long item", "a long item", "another", "another", "b", "b"]);
    assert!(!has_slates(&project));
}
