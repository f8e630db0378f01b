//! The strategies of `plans/lib`, each with its compensation, under load.

use crate::hxo::{expect_no_failure, lab, url};
use crate::lab::Lab;
use crate::support::{Live, Output};

/// A platform with users, and a release by one of the files.
const PLAN: &str = r#"version: 1
name: release
max-parallel: 6
defaults: {timeout: 1m}
inputs: {place: {type: string}, version: {type: string}}
stages:
  load:
    env: {PLACE: "{{ inputs.place }}"}
    run: |
      rm -f "$PLACE/load"
      url=http://127.0.0.1:$(cat "$PLACE/nginx/port")
      python3 examples/slots/load.py "$url" "$PLACE/load" --rate 60 --seconds 900 > /dev/null 2>&1 &
      until [ -s "$PLACE/load" ]; do sleep 0.05; done
      echo "url=$url" >> "$ENGINE_OUTPUT"
    outputs: {url: url}
    lifetime: run
    rollback: none
  metrics:
    env: {PLACE: "{{ inputs.place }}"}
    run: |
      rm -f "$PLACE/metrics.port"
      plans/lib/metrics "$PLACE/nginx/access.log" "$PLACE/metrics.port" &
      until [ -s "$PLACE/metrics.port" ]; do sleep 0.05; done
      echo "url=http://127.0.0.1:$(cat "$PLACE/metrics.port")" >> "$ENGINE_OUTPUT"
    outputs: {url: url}
    lifetime: run
    rollback: none
  release:
    needs: [load, metrics]
    uses: ./plans/lib/STRATEGY.yaml
    on-failure: rollback
    with:
      place: "{{ inputs.place }}"
      service: examples/slots/slot
      version: "{{ inputs.version }}"
      url: "{{ needs.load.outputs.url }}"
      MORE
finally:
  budget: 1m
  stages:
    count: {run: [examples/slots/count, "{{ inputs.place }}/load"], allow-failure: true, timeout: 20s}
"#;

/// A place where `blue` serves v1; with a lease, `green` runs it too.
fn serving(strategy: &str, more: &str, has_lease: bool) -> Lab {
    let lab = lab(&[]);
    lab.project.write("plan.yaml", PLAN.replace("STRATEGY", strategy).replace("MORE", more));
    let place = lab.project.path("place");
    let place = place.to_str().expect("text");
    let slot = |args: &[&str]| lab.tool("examples/slots/slot", &[&[place], args].concat());
    if has_lease {
        slot(&["activate", "blue"]);
    }
    lab.tool("plans/lib/nginx", &["start", place]);
    slot(&["add", "blue", "green"]);
    let started = slot(&["start", "blue", "v1"]);
    let address = started.lines().find_map(|line| line.strip_prefix("address=")).expect("an address");
    lab.tool("plans/lib/nginx", &["point", place, address]);
    if has_lease {
        slot(&["start", "green", "v1"]);
    }
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    lab
}

fn run(lab: &Lab, version: &str) -> Output {
    let set = format!("version={version}");
    Live::start(lab.command(&["run", "plan.yaml", "--no-input", "--run-id", version, "--set", &set])).end()
}

fn shown(lab: &Lab, slot: &str) -> String {
    let place = lab.project.path("place");
    lab.tool("examples/slots/slot", &[place.to_str().expect("text"), "show", slot])
}

/// Ten figures of each version: eight are needed, and two may be missing.
const STEPS: &str = "metrics: \"{{ needs.metrics.outputs.url }}\"\n      step: 10s";

#[test]
fn a_canary_gets_a_tenth_then_half_then_all() {
    let lab = serving("canary", STEPS, false);
    let out = run(&lab, "v2").expect(0);
    for stage in ["compare-tenth", "compare-half"] {
        assert!(out.stdout.contains(&format!("release/{stage} | pass: ")), "{}", out.stdout);
    }
    expect_no_failure(&out);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
}

#[test]
fn a_slow_canary_loses_its_traffic_after_the_first_step() {
    let lab = serving("canary", STEPS, false);
    let out = run(&lab, "v3").expect(1);
    assert!(out.stdout.contains("release/compare-tenth | fail: "), "{}", out.stdout);
    assert!(out.stdout.contains("rolled-back  run v3"), "{}", out.stdout);
    assert_eq!(lab.stage("v3", "release/half")["state"], "blocked");
    expect_no_failure(&out);
    assert_eq!(lab.get(&url(&lab)), "200 v1");
    assert!(shown(&lab, "green").contains("version=none"), "it is stopped");
}

#[test]
fn a_roll_has_exactly_one_active_throughout() {
    let lab = serving("rolling", "instances: [blue, green]", true);
    let out = run(&lab, "v2").expect(0);
    assert!(out.stdout.contains("release/one-active | exactly one was active in "), "{}", out.stdout);
    assert_eq!(lab.stage("v2", "release/others:blue")["state"], "skipped", "the active one comes last");
    expect_no_failure(&out);
    for slot in ["blue", "green"] {
        assert!(shown(&lab, slot).contains("version=v2"), "{slot}");
    }
}

#[test]
fn a_second_active_one_stops_the_roll_and_takes_it_back() {
    let lab = serving("rolling", "instances: [blue, green]", true);
    let out = run(&lab, "v5").expect(1);
    assert!(
        out.stdout.contains("release/one-active | 2 slots take themselves for the active one"),
        "{}",
        out.stdout
    );
    assert!(out.stdout.contains("rolled-back  run v5"), "{}", out.stdout);
    expect_no_failure(&out);
    for slot in ["blue", "green"] {
        assert!(shown(&lab, slot).contains("version=v1"), "{slot}");
    }
}

#[test]
fn an_instance_that_does_not_come_up_ends_the_roll_and_what_watches_it() {
    let lab = serving("rolling", "instances: [blue, green]", true);
    let out = run(&lab, "v4").expect(1);
    assert!(out.stdout.contains("a hundred wrong answers in a row"), "{}", out.stdout);
    assert!(out.stdout.contains("release/one-active | exactly one was active in "), "{}", out.stdout);
    assert!(out.stdout.contains("rolled-back  run v4"), "{}", out.stdout);
    expect_no_failure(&out);
    assert!(shown(&lab, "green").contains("version=v1"), "it has its old version again");
}

#[test]
fn a_recreated_instance_has_a_gap_that_is_measured_and_comes_back_when_the_new_one_is_broken() {
    let lab = serving("recreate", "max-gap: 60", false);
    let out = run(&lab, "v2").expect(0);
    assert!(out.stdout.contains("release/verify | nobody answered for "), "{}", out.stdout);
    assert!(lab.stage("v2", "release/verify")["outputs"]["gap-ms"].as_u64().is_some_and(|gap| gap > 0));
    assert_eq!(lab.get(&url(&lab)), "200 v2");
    let out = run(&lab, "v4").expect(1);
    assert!(out.stdout.contains("rolled-back  run v4"), "{}", out.stdout);
    assert_eq!(lab.get(&url(&lab)), "200 v2");
}
