//! One scripted run in every format.

use insta::assert_snapshot;
use jiff::tz::TimeZone;

use super::console::{GitHub, GitLab, Look, Plain, Quiet};
use super::script::{self, TEST};
use super::table::{self, Row, Setting};
use super::*;

/// The tails of a scripted run.
fn tails(steps: &[script::Step]) -> Tails {
    let mut tails = Tails::default();
    for step in steps {
        match step {
            script::Step::Record(_, event) => tails.record(event),
            script::Step::Output(attempt, bytes) => tails.output(*attempt, bytes),
            script::Step::Tick(_) => {}
        }
    }
    tails
}

/// What a console made by `make` writes.
fn told<O: Observer>(make: impl FnOnce(View) -> O, into: impl FnOnce(O) -> Vec<u8>) -> String {
    let mut console = make(View::new(vec![script::graph()]));
    script::play(&script::failing(), &mut console);
    String::from_utf8(into(console)).expect("consoles write UTF-8")
}

/// Without the middle of a stage's output.
fn short(text: &str) -> String {
    let is_middle = |line: &str| {
        line.contains("case ")
            && line.contains("ok")
            && !["case 1 ", "case 22 ", "case 60 "].iter().any(|end| line.contains(end))
    };
    let lines: Vec<&str> = text.lines().filter(|line| !is_middle(line)).collect();
    lines.join("\n")
}

#[test]
fn what_could_not_be_stored_is_not_promised() {
    let mut console = Plain::new(View::new(vec![script::graph()]), Vec::new(), Look::PLAIN);
    script::play_to_end(&script::failing(), &mut console, true);
    let text = String::from_utf8(console.into_inner()).expect("consoles write UTF-8");
    let said = "   ╰ the last 40 lines that could be stored: engine logs 20261121-033105-7f3a test\n";
    assert!(text.contains(said) && !text.contains("all of them"), "{text}");
}

#[test]
fn plain_tells_the_run() {
    let text = told(|view| Plain::new(view, Vec::new(), Look::PLAIN), Plain::into_inner);
    assert_eq!(text.matches("   │ ").count(), 40);
    assert_snapshot!(short(&text), @r#"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
        start  build
    build | compiling
    build | ::set-env name=X::1
    build | done
      success  build  12.3s
        start  test
        start  pack  50 shards
        retry  test  exit 69; attempt 2 of 2 in 2.0s
        start  test  attempt 2
       failed  pack[7]  signal 9 (KILL)
        retry  pack[7]  signal 9 (KILL); attempt 2 in 50ms
       shards  pack  32/50 shards, about 5.7s left
      success  pack  13.7s, 50/50 shards
     approve?  approve  Ship v1.2.0? (within 4h00m)
               engine approve 20261121-033105-7f3a approve
    run 20261121-033105-7f3a shop-release
      resumed  after 1m00s: 3 of 6 stages are done
         lost  test  nobody knows how this attempt ended
        start  test  attempt 3
     approved  approve  by eva: ship <it>
      success  approve  1m08s, approved by eva: ship <it>
    test | case 1 & <ok>
    test | case 22 & <ok>
    test | case 60 & <ok>
         stop  test  its timeout ran out
    test | assertion failed: � left != ``` right ::error::
    timed-out  test  5m17s, timeout ran out
      blocked  deploy  needs `test`, which timed out

    ── test: timeout ran out
       │ case 22 & <ok>
       │ case 60 & <ok>
       │ assertion failed: � left != ``` right ::error::
       ╰ the last 40 lines; all of them: engine logs 20261121-033105-7f3a test

       failed  run 20261121-033105-7f3a  in 5m30s: 3 done, 1 failed, 1 skipped, 1 blocked of 6 stages
         next  mend it, then go on with what is left:
               engine resume 20261121-033105-7f3a
      warning  2 files are missing
    "#);
}

#[test]
fn github_folds_and_shields() {
    let lines = [(TEST, ("plans/release.yaml".to_owned(), 14))].into_iter().collect();
    let make = |view| GitHub::new(view, Vec::new(), Look::PLAIN, "t0k3n", lines);
    let text = told(make, GitHub::into_inner);
    assert_snapshot!(short(&text), @r#"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
        start  build
    ::group::build (success, 12.3s)
    ::stop-commands::t0k3n
    compiling
    ::set-env name=X::1
    done
    ::t0k3n::
    ::endgroup::
      success  build  12.3s
        start  test
        start  pack  50 shards
        retry  test  exit 69; attempt 2 of 2 in 2.0s
        start  test  attempt 2
       failed  pack[7]  signal 9 (KILL)
        retry  pack[7]  signal 9 (KILL); attempt 2 in 50ms
       shards  pack  32/50 shards, about 5.7s left
      success  pack  13.7s, 50/50 shards
     approve?  approve  Ship v1.2.0? (within 4h00m)
               engine approve 20261121-033105-7f3a approve
    run 20261121-033105-7f3a shop-release
      resumed  after 1m00s: 3 of 6 stages are done
         lost  test  nobody knows how this attempt ended
        start  test  attempt 3
     approved  approve  by eva: ship <it>
      success  approve  1m08s, approved by eva: ship <it>
         stop  test  its timeout ran out
    ::group::test (timeout ran out, 5m00s)
    ::stop-commands::t0k3n
    case 1 & <ok>
    case 22 & <ok>
    case 60 & <ok>
    assertion failed: � left != ``` right ::error::
    ::t0k3n::
    ::endgroup::
    timed-out  test  5m17s, timeout ran out
    ::error file=plans/release.yaml,line=14,title=test timed-out::`test`: timeout ran out
      blocked  deploy  needs `test`, which timed out
    ::stop-commands::t0k3n

    ── test: timeout ran out
       │ case 22 & <ok>
       │ case 60 & <ok>
       │ assertion failed: � left != ``` right ::error::
       ╰ the last 40 lines; all of them: engine logs 20261121-033105-7f3a test

       failed  run 20261121-033105-7f3a  in 5m30s: 3 done, 1 failed, 1 skipped, 1 blocked of 6 stages
         next  mend it, then go on with what is left:
               engine resume 20261121-033105-7f3a
      warning  2 files are missing
    ::t0k3n::
    "#);
}

#[test]
fn gitlab_folds() {
    let text = told(|view| GitLab::new(view, Vec::new(), Look::PLAIN), GitLab::into_inner);
    let head: Vec<String> = text.lines().take(8).map(|line| line.escape_default().to_string()).collect();
    assert_snapshot!(head.join("\n"), @r#"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
        start  build
    \u{1b}[0Ksection_start:1795232845:engine_0_0_1[collapsed=true]\r\u{1b}[0Kbuild (success, 12.3s)
    compiling
    ::set-env name=X::1
    done
    \u{1b}[0Ksection_end:1795232857:engine_0_0_1\r\u{1b}[0K
    "#);
}

#[test]
fn quiet_says_what_needs_somebody() {
    let look = Look { colour: true, output: false };
    let text = told(|view| Quiet::new(view, Vec::new(), look), Quiet::into_inner);
    let lines: Vec<String> = text.lines().take(6).map(|line| line.escape_debug().to_string()).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    run 20261121-033105-7f3a shop-release
     \u{1b}[1m\u{1b}[36mapprove?\u{1b}[0m  approve  Ship v1.2.0? (within 4h00m)
               \u{1b}[1mengine approve 20261121-033105-7f3a approve\u{1b}[0m
    run 20261121-033105-7f3a shop-release
      \u{1b}[1m\u{1b}[36mresumed\u{1b}[0m  after 1m00s: 3 of 6 stages are done
    \u{1b}[1m\u{1b}[31mtimed-out\u{1b}[0m  test  5m17s, timeout ran out
    "#);
}

#[test]
fn events_are_lines_of_json() {
    let text = told(|view| events::Lines::new(view, Vec::new()), events::Lines::into_inner);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("one JSON value a line");
        assert_eq!(value["v"], 1, "{line}");
        assert_ne!(value["event"], "other", "{line}");
    }
    let some: Vec<&str> = text.lines().filter(|line| !line.contains("\"pack\"")).collect();
    assert_snapshot!(some.join("\n"), @r#"
    {"v":1,"seq":1,"at_ms":0,"time":"2026-11-21T03:47:25.000Z","event":"run-began","run":"20261121-033105-7f3a","plan":"shop-release","path":"plans/release.yaml","jobs":8,"key":"4f2a91c","by":"ana","engine":"0.1.0","graph":"0000000000000000000000000000000000000000000000000000000000000000","stages":6}
    {"v":1,"seq":2,"at_ms":2,"time":"2026-11-21T03:47:25.002Z","event":"stage-skipped","stage":"notify","state":"skipped","why":"condition","by":null}
    {"v":1,"seq":3,"at_ms":3,"time":"2026-11-21T03:47:25.003Z","event":"shards-started","stage":"build","first":0,"count":1,"attempt":1}
    {"v":1,"seq":4,"at_ms":12303,"time":"2026-11-21T03:47:37.303Z","event":"shard-finished","stage":"build","shard":0,"attempt":1,"took_ms":12300,"outcome":"success","outputs":{},"artifacts":null,"cpu_us":8610000,"max_rss_kib":20480,"notes":[],"output_bytes":0}
    {"v":1,"seq":5,"at_ms":12304,"time":"2026-11-21T03:47:37.304Z","event":"stage-finished","stage":"build","state":"success","reason":""}
    {"v":1,"seq":6,"at_ms":12310,"time":"2026-11-21T03:47:37.310Z","event":"shards-started","stage":"test","first":0,"count":1,"attempt":1}
    {"v":1,"seq":8,"at_ms":14000,"time":"2026-11-21T03:47:39.000Z","event":"shard-finished","stage":"test","shard":0,"attempt":1,"took_ms":1690,"outcome":"exit","exit":69,"outputs":{},"artifacts":null,"cpu_us":1183000,"max_rss_kib":20480,"notes":[],"output_bytes":0}
    {"v":1,"seq":9,"at_ms":14000,"time":"2026-11-21T03:47:39.000Z","event":"retry-scheduled","stage":"test","shard":0,"attempt":2,"due_ms":16000}
    {"v":1,"seq":10,"at_ms":16000,"time":"2026-11-21T03:47:41.000Z","event":"shard-retried","stage":"test","shard":0,"attempt":2}
    {"v":1,"seq":111,"at_ms":26101,"time":"2026-11-21T03:47:51.101Z","event":"approval-opened","stage":"approve","expires_ms":14426101,"prompt":"Ship v1.2.0?"}
    {"v":1,"seq":112,"at_ms":90000,"time":"2026-11-21T03:48:55.000Z","event":"run-resumed","run":"20261121-033105-7f3a","gap_ms":60000,"jobs":8,"by":"ben","engine":"0.1.0"}
    {"v":1,"seq":113,"at_ms":90000,"time":"2026-11-21T03:48:55.000Z","event":"shard-lost","stage":"test","shard":0,"attempt":2}
    {"v":1,"seq":114,"at_ms":90001,"time":"2026-11-21T03:48:55.001Z","event":"shard-retried","stage":"test","shard":0,"attempt":3}
    {"v":1,"seq":115,"at_ms":95000,"time":"2026-11-21T03:49:00.000Z","event":"approval-decided","stage":"approve","approved":true,"by":"eva","note":"ship <it>"}
    {"v":1,"seq":116,"at_ms":95000,"time":"2026-11-21T03:49:00.000Z","event":"stage-finished","stage":"approve","state":"success","reason":""}
    {"v":1,"seq":117,"at_ms":390000,"time":"2026-11-21T03:53:55.000Z","event":"stop-requested","stage":"test","shard":0,"attempt":3,"how":"terminate","why":"its timeout ran out"}
    {"v":1,"seq":118,"at_ms":390100,"time":"2026-11-21T03:53:55.100Z","event":"shard-finished","stage":"test","shard":0,"attempt":3,"took_ms":300099,"outcome":"timed-out","clock":"timeout","outputs":{},"artifacts":null,"cpu_us":210069300,"max_rss_kib":20480,"notes":[],"output_bytes":0}
    {"v":1,"seq":119,"at_ms":390100,"time":"2026-11-21T03:53:55.100Z","event":"stage-finished","stage":"test","state":"timed-out","reason":""}
    {"v":1,"seq":120,"at_ms":390101,"time":"2026-11-21T03:53:55.101Z","event":"stage-skipped","stage":"deploy","state":"blocked","why":"blocked","by":"test"}
    {"v":1,"seq":121,"at_ms":390102,"time":"2026-11-21T03:53:55.102Z","event":"run-finished","state":"failed","failed":["test"],"timed_out":false}
    {"v":1,"seq":null,"at_ms":390102,"time":"2026-11-21T03:53:55.102Z","event":"engine-left","run":"20261121-033105-7f3a","state":"failed","exit":1,"notes":["2 files are missing"]}
    "#);
}

#[test]
fn status_fits_80_columns() {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let setting =
        Setting { now: Millis::new(27_000), is_alive: false, zone: &zone, look: Look::PLAIN, columns: Some(80) };
    let view = script::view(&script::waiting());
    let text = table::status(&view, &setting);
    assert!(text.lines().all(|line| clean::width(line) <= 80), "{text}");
    assert_snapshot!(text, @r"
    run 20261121-033105-7f3a shop-release
    state   waiting
    started 2026-11-21 04:47:25 +01:00 by ana
    left    2026-11-21 04:47:52 +01:00
    took    27.0s

    state            stage     try     time  why
    success          build       1    12.3s
    running          test        2    14.6s  attempt 2
    success          pack        2    13.7s  50/50 shards
    waiting          approve          899ms
        waiting for an approval, 3h59m left: Ship v1.2.0?
    pending          deploy                  not started
    skipped          notify                  its `if` is false

    2 done, 1 skipped, 1 running, 2 not started of 6 stages
    `approve` waits for an approval:
      engine approve 20261121-033105-7f3a approve
    then go on:
      engine resume 20261121-033105-7f3a
    ");
    let rows = [Row::of(&view, &setting), Row::of(&script::view(&script::failing()), &setting)];
    assert_snapshot!(table::runs(&rows, Look::PLAIN, Some(80)), @r#"
    run                   state        started             time  plan
    20261121-033105-7f3a  waiting      2026-11-21 04:47   27.0s  shop-release 3/6
    20261121-033105-7f3a  failed       2026-11-21 04:47   5m30s  shop-release 4/6, …
    "#);
}

#[test]
fn status_as_json() {
    let view = script::view(&script::waiting());
    let value = serde_json::to_value(json::Status::new(&view, Millis::new(27_000), false)).expect("JSON");
    let stages = value["stages"].as_array().expect("an array");
    let mut lines: Vec<String> = stages.iter().map(ToString::to_string).collect();
    let mut head = value.clone();
    head["stages"] = serde_json::Value::Null;
    lines.insert(0, head.to_string());
    assert_snapshot!(lines.join("\n"), @r##"
    {"version":1,"run":"20261121-033105-7f3a","plan":"shop-release","path":"plans/release.yaml","key":"4f2a91c","by":"ana","state":"waiting","alive":false,"paused":false,"started":"2026-11-21T03:47:25.000Z","ended":"2026-11-21T03:47:52.000Z","duration_ms":27000,"records":112,"totals":{"pending":1,"waiting":1,"running":1,"retrying":0,"success":2,"cached":0,"skipped":1,"blocked":0,"failed":0,"allowed-failure":0,"timed-out":0,"cancelled":0,"unknown":0,"undone":0},"failed":[],"timed_out":false,"only_late":false,"groups":[],"slos":[],"tickets":[],"override":null,"frozen":null,"cancel":null,"background":null,"sessions":[{"at":"2026-11-21T03:47:25.000Z","gap_ms":0,"by":"ana","engine":"0.1.0","jobs":8,"root":null}],"stages":null}
    {"id":"build","state":"success","attempts":1,"started":"2026-11-21T03:47:25.003Z","ended":"2026-11-21T03:47:37.304Z","duration_ms":12301,"expected_ms":null,"reason":"","interrupted":false,"needs":[],"outputs":{},"group":null,"background":false,"exit":0,"cpu_ms":8610,"max_rss_kib":20480,"notes":[]}
    {"id":"test","state":"running","attempts":2,"started":"2026-11-21T03:47:37.310Z","ended":null,"duration_ms":14690,"expected_ms":null,"reason":"attempt 2","interrupted":false,"needs":["build"],"outputs":{},"group":null,"background":false,"exit":69,"cpu_ms":1183,"max_rss_kib":20480,"notes":[]}
    {"id":"pack","state":"success","attempts":2,"started":"2026-11-21T03:47:37.310Z","ended":"2026-11-21T03:47:51.100Z","duration_ms":13790,"expected_ms":null,"reason":"","interrupted":false,"needs":["build"],"outputs":{},"group":"assets","background":false,"exit":0,"cpu_ms":33985,"max_rss_kib":20480,"notes":[],"shards":{"all":50,"done":50,"failed":0,"running":0,"retrying":0}}
    {"id":"approve","state":"waiting","attempts":0,"started":"2026-11-21T03:47:51.101Z","ended":null,"duration_ms":899,"expected_ms":null,"reason":"waiting for an approval, 3h59m left: Ship v1.2.0?","interrupted":false,"needs":["pack"],"outputs":{},"group":null,"background":false,"exit":null,"cpu_ms":0,"max_rss_kib":0,"notes":[],"prompt":"Ship v1.2.0?","expires":"2026-11-21T07:47:51.101Z","approve":"engine approve 20261121-033105-7f3a approve","subject":"cb6c801f7c881e6f14e9f099588f33fc482191586f6ec535cf881bdfe2b74b39","approvers":1}
    {"id":"deploy","state":"pending","attempts":0,"started":null,"ended":null,"duration_ms":null,"expected_ms":null,"reason":"not started","interrupted":false,"needs":["test","approve"],"outputs":{},"group":null,"background":false,"exit":null,"cpu_ms":0,"max_rss_kib":0,"notes":[]}
    {"id":"notify","state":"skipped","attempts":0,"started":null,"ended":"2026-11-21T03:47:25.002Z","duration_ms":null,"expected_ms":null,"reason":"its `if` is false","interrupted":false,"needs":[],"outputs":{},"group":null,"background":false,"exit":null,"cpu_ms":0,"max_rss_kib":0,"notes":[]}
    "##);
}

#[test]
fn junit_counts_and_escapes() {
    let steps = script::failing();
    let text = junit::render(&script::view(&steps), &tails(&steps));
    assert_snapshot!(short(&text), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="shop-release" tests="6" failures="1" errors="0" skipped="2" time="330.102">
      <testsuite name="shop-release" tests="5" failures="1" errors="0" skipped="2" time="398.990" timestamp="2026-11-21T03:47:25.000">
        <properties>
          <property name="run" value="20261121-033105-7f3a"/>
          <property name="state" value="failed"/>
        </properties>
        <testcase name="build" classname="shop-release" time="12.301"/>
        <testcase name="test" classname="shop-release" time="317.790">
          <failure message="timeout ran out" type="timed-out">case 22 &amp; &lt;ok&gt;
    case 60 &amp; &lt;ok&gt;
    assertion failed: � left != ``` right ::error::</failure>
        </testcase>
        <testcase name="approve" classname="shop-release" time="68.899"/>
        <testcase name="deploy" classname="shop-release" time="0.000">
          <skipped message="blocked: needs `test`, which timed out"/>
        </testcase>
        <testcase name="notify" classname="shop-release" time="0.000">
          <skipped message="skipped: its `if` is false"/>
        </testcase>
      </testsuite>
      <testsuite name="shop-release/assets" tests="1" failures="0" errors="0" skipped="0" time="13.790" timestamp="2026-11-21T03:47:25.000">
        <properties>
          <property name="run" value="20261121-033105-7f3a"/>
          <property name="state" value="failed"/>
        </properties>
        <testcase name="pack" classname="shop-release.assets" time="13.790"/>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn markdown_leads_with_failures() {
    let steps = script::failing();
    assert_snapshot!(short(&markdown::render(&script::view(&steps), &tails(&steps))), @r#"
    ## ❌ shop-release: failed in 5m30s

    Run `20261121-033105-7f3a`, 3 done, 1 failed, 1 skipped, 1 blocked of 6 stages.

    Mend it, then go on with what is left: `engine resume 20261121-033105-7f3a`

    ### `test` timed-out

    timeout ran out

    <details open><summary>last 40 lines</summary>

    ````text
    case 22 & <ok>
    case 60 & <ok>
    assertion failed: � left != ``` right ::error::
    ````

    </details>

    | | stage | state | attempts | time | why |
    |---|---|---|---:|---:|---|
    | ❌ | `test` | timed-out | 3 | 5m17s | timeout ran out |
    | ✅ | `build` | success | 1 | 12.3s |  |
    | ✅ | `pack` | success | 2 | 13.7s |  |
    | ✅ | `approve` | success | 0 | 1m08s | approved by eva: ship &lt;it&gt; |
    | ⚪ | `deploy` | blocked | 0 |  | needs `test`, which timed out |
    | ⚪ | `notify` | skipped | 0 |  | its `if` is false |
    "#);
}

#[test]
fn two_runs_differ() {
    let (a, b) = (script::view(&script::waiting()), script::view(&script::failing()));
    assert_snapshot!(diff::text(&a, &b, Look::PLAIN), @r#"
    a  run 20261121-033105-7f3a shop-release: waiting in 27.0s
    b  run 20261121-033105-7f3a shop-release: failed in 5m30s

    test     running 14.6s, 2 attempts → timed-out 5m17s, 3 attempts (timeout ran out)
    approve  waiting 899ms → success 1m08s
    deploy   pending → blocked

    3 of 6 stages differ
    "#);
    assert_snapshot!(diff::text(&a, &a, Look::PLAIN), @r#"
    a  run 20261121-033105-7f3a shop-release: waiting in 27.0s
    b  run 20261121-033105-7f3a shop-release: waiting in 27.0s

    no stage differs
    "#);
    assert_eq!(diff::json(&a, &b)["stages"].as_array().map(Vec::len), Some(diff::compare(&a, &b).len()));
}

/// 2,000 stages in groups, and a few that failed; written for a person to look at.
#[test]
#[ignore = "writes files to look at, to the folder in REPORT_DIR"]
fn pages_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var("REPORT_DIR").expect("REPORT_DIR is set"));
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let steps = script::failing();
    let small = html::render(&script::view(&steps), &tails(&steps), &zone);
    std::fs::write(folder.join("small.html"), small).expect("a folder to write to");
    let large = html::render(&script::large(), &tail::NoLogs, &zone);
    std::fs::write(folder.join("large.html"), large).expect("a folder to write to");
}
