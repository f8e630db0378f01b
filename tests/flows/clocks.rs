//! Re-tries, time limits and how attempts are stopped. Durations are short; no test asserts that something was fast.

use crate::support::Project;
use crate::tool::{count, events, events_of, expect_states, is_alive, log, run, stage};

#[test]
fn a_retry_waits_longer_each_time_and_its_jitter_is_on_record() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  flaky:
    retry: {max: 3, delay: 40ms, backoff: 2, max-delay: 60ms}
    run: 'echo try >> log; [ "$ENGINE_ATTEMPT" = 4 ]'
  random:
    retry: {max: 1, delay: 100ms, jitter: true}
    run: '[ "$ENGINE_ATTEMPT" = 2 ]'
"#,
    );
    run(&project, 0);
    assert_eq!(count(&project, "try"), 4);
    let waits: Vec<u64> = events_of(&project, "retry-scheduled", "flaky")
        .iter()
        .map(|event| {
            event["due_ms"].as_u64().or_else(|| event["at"].as_u64()).unwrap_or_else(|| panic!("{event}"))
                - event["at_ms"].as_u64().expect("a time")
        })
        .collect();
    assert_eq!(waits, [40, 60, 60]);
    assert_eq!(events_of(&project, "retry-scheduled", "random").len(), 1);
    assert_eq!(stage(&project, "flaky")["attempts"], 4);
}

#[test]
fn only_what_retry_names_is_tried_again() {
    let project = Project::with_plan(
        r#"
version: 1
on-failure: continue
stages:
  code: {retry: {max: 2, when: [{exit: [69]}]}, run: 'echo code >> log; [ "$ENGINE_ATTEMPT" != 1 ] || exit 69; exit 3'}
  clock: {timeout: 100ms, stop: {grace: 100ms}, retry: {max: 1, when: [timeout]}, run: 'echo clock >> log; exec sleep 600'}
  signal: {retry: {max: 1, when: [signal]}, run: 'echo signal >> log; kill -KILL $$'}
  other: {retry: {max: 2, when: [timeout]}, run: 'echo other >> log; exit 1'}
"#,
    );
    run(&project, 1);
    expect_states(&project, "code=failed clock=timed-out signal=failed other=failed");
    for (stage, times) in [("code", 2), ("clock", 2), ("signal", 2), ("other", 1)] {
        assert_eq!(count(&project, stage), times, "{stage}");
    }
}

#[test]
fn within_bounds_all_attempts_and_waits_together() {
    let project = Project::with_plan(
        r"
version: 1
stages:
  tries: {retry: {max: 9, delay: 20ms, within: 2s}, run: 'echo try >> log; [ ! -e twice ] || exec sleep 600; [ ! -e once ] || touch twice; touch once; exit 1'}
",
    );
    run(&project, 1);
    // The time ends in the middle of the third try, whatever a busy machine takes to start the first ones.
    assert_eq!((count(&project, "try"), stage(&project, "tries")["attempts"].as_u64()), (3, Some(3)));
    assert_eq!(stage(&project, "tries")["state"], "timed-out");
}

#[test]
fn every_clock_stops_what_it_watches_and_is_named() {
    let project = Project::with_plan(
        r#"
version: 1
on-failure: continue
pools: {one: 1}
max-parallel: 8
defaults: {stop: {grace: 100ms}}
stages:
  long: {timeout: 150ms, run: exec sleep 600}
  silent: {idle-timeout: 150ms, run: 'echo word; exec sleep 600'}
  talks: {idle-timeout: 60s, run: echo word}
  holder: {pools: [one], timeout: 1s, allow-failure: true, run: exec sleep 600}
  queued: {needs: [first], pools: [one], queue-timeout: 100ms, run: echo queued >> log}
  first: {run: "true"}
"#,
    );
    let output = run(&project, 1);
    expect_states(
        &project,
        "long=timed-out silent=timed-out talks=success holder=allowed-failure queued=timed-out first=success",
    );
    assert!(log(&project).is_empty());
    for clock in ["timeout ran out", "idle-timeout ran out", "`queue-timeout` ran out"] {
        assert!(output.stdout.contains(clock), "{clock} in {}", output.stdout);
    }
}

#[test]
fn a_stage_that_ignores_the_stop_signal_is_killed_with_all_it_started() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  stubborn:
    timeout: 200ms
    stop: {signal: TERM, grace: 150ms}
    run: |
      trap 'echo asked >> log' TERM
      ( trap '' TERM; echo $BASHPID > child; while :; do sleep 1000; done ) &
      setsid bash -c 'trap "" TERM; echo $$ > escaped; while :; do sleep 1000; done' &
      while :; do sleep 1000 & wait || true; done
"#,
    );
    run(&project, 1);
    expect_states(&project, "stubborn=timed-out");
    assert!(count(&project, "asked") >= 1, "it was asked first");
    for pid in ["child", "escaped"] {
        assert!(!is_alive(&project.read(pid)), "{pid} lives");
    }
    let stops = events_of(&project, "stop-requested", "stubborn");
    let how: Vec<_> = stops.iter().map(|event| event["how"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(how, ["terminate", "kill"]);
}

#[test]
fn the_stop_signal_is_the_stage_s_own() {
    let project = Project::with_plan(
        r"
version: 1
stages:
  polite:
    timeout: 200ms
    stop: {signal: INT, grace: 60s}
    run: |
      trap 'echo int >> log; exit 0' INT
      trap 'echo term >> log; exit 0' TERM
      while :; do sleep 1000 & wait || true; done
",
    );
    run(&project, 1);
    assert_eq!(log(&project), ["int"]);
    expect_states(&project, "polite=timed-out");
}

#[test]
fn the_run_s_timeout_leaves_the_clean_up_its_budget() {
    let project = Project::with_plan(
        r#"
version: 1
timeout: 5s
stages:
  long: {stop: {grace: 100ms}, run: 'echo long >> log; exec sleep 600'}
  after: {needs: [long], run: echo after >> log}
finally:
  budget: 4s
  stages:
    tidy: {env: {STATE: "{{ run.state }}"}, run: echo "tidy $STATE" >> log}
"#,
    );
    run(&project, 124);
    assert_eq!(log(&project), ["long", "tidy failed"]);
    expect_states(&project, "long=cancelled after=blocked tidy=success");
}

#[test]
fn the_clean_up_ends_with_its_budget() {
    let project = Project::with_plan(
        r#"
version: 1
stages: {a: {run: "true"}}
finally:
  budget: 300ms
  stages:
    slow: {stop: {grace: 50ms}, run: 'echo slow >> log; exec sleep 600'}
    late: {needs: [{stage: slow, accept: [failed, success]}], run: echo late >> log}
"#,
    );
    run(&project, 1);
    assert_eq!(log(&project), ["slow"]);
    assert_eq!(stage(&project, "slow")["state"], "timed-out");
}

#[test]
fn pools_are_never_overdrawn() {
    let project = Project::with_plan(
        r#"
version: 1
max-parallel: 6
pools: {room: 2}
stages:
  light: {matrix: {n: [1, 2, 3, 4]}, pools: [room], run: "true"}
  heavy: {matrix: {n: [1, 2]}, pools: {room: 2}, run: "true"}
"#,
    );
    run(&project, 0);
    let mut used = 0;
    for event in events(&project) {
        let stage = event["stage"].as_str().unwrap_or_default();
        let weight = if stage.starts_with("heavy") { 2 } else { 1 };
        match event["event"].as_str() {
            Some("shards-started") => used += weight,
            Some("shard-finished") => used -= weight,
            _ => {}
        }
        assert!((0..=2).contains(&used), "{used} units in use at {event}");
    }
}
