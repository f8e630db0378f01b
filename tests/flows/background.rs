//! Background work through the real binary: the verdict first, what is left to others, kill -9, dead letters, the queue.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Live, Project};
use crate::tool::{events_of, json, log, stage, status};

/// A deploy with an upload behind it, which is held for as long as there is a file `hold`, and fails with one `broken`.
const PLAN: &str = r"
version: 1
name: shop
groups:
  later: {background: true}
stages:
  deploy: {run: echo deploy >> log, timeout: 1m}
  upload:
    group: later
    needs: [deploy]
    timeout: 10m
    run: |
      echo upload >> log
      if [ -e broken ]; then echo no road; exit 7; fi
      if [ -e hold ]; then echo held; exec sleep 600; fi
  metrics: {needs: [upload], background: true, timeout: 1m, run: echo metrics >> log}
finally:
  budget: 1m
  stages: {tidy: {run: echo tidy >> log, timeout: 10s}}
";

fn queue(project: &Project) -> Value {
    json(&project.engine(&["queue", "list", "--all", "--json"]).expect(0).stdout)
}

/// `(stage, state, attempts)` of all work in the queue.
fn work(project: &Project) -> Vec<(String, String, u64)> {
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let list = queue(project)["work"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<_> = list
        .iter()
        .map(|it| (text(it, "stage"), text(it, "state"), it["attempts"].as_u64().unwrap_or(0)))
        .collect();
    all.sort();
    all
}

fn is(stage: &str, state: &str, attempts: u64) -> (String, String, u64) {
    (stage.to_owned(), state.to_owned(), attempts)
}

#[test]
fn the_verdict_is_told_before_anything_of_the_background_starts() {
    let project = Project::with_plan(PLAN);
    let out = project.engine(&["run", "plan.yaml"]).expect(0);
    assert_eq!(log(&project), ["deploy", "tidy", "upload", "metrics"]);
    let verdict = out.stdout.find("2 background stages still run").expect("the verdict says what follows");
    let begun = out.stdout.find("start  upload").expect("it starts");
    assert!(out.stdout[..verdict].contains("success  run ") && verdict < begun, "{}", out.stdout);
    assert_eq!(status(&project)["state"], "success");
    let released = events_of(&project, "background-released", "upload");
    assert_eq!(released.len(), 1, "the release is a fact");
    assert_eq!(work(&project), [is("metrics", "done", 1), is("upload", "done", 1)]);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn told_not_to_wait_it_ends_with_the_verdict_and_another_engine_does_the_rest() {
    let project = Project::with_plan(PLAN);
    let out = project.engine(&["run", "plan.yaml", "--no-wait"]).expect(0);
    let run = project.only_run();
    assert!(
        out.stdout.contains(&format!("2 background stages are left to `engine queue drain {run}`")),
        "{}",
        out.stdout
    );
    assert_eq!(log(&project), ["deploy", "tidy"]);
    let found = status(&project);
    assert_eq!((&found["state"], &found["background"]["left"]), (&"success".into(), &2.into()), "{found:#}");
    assert_eq!(work(&project), [is("upload", "pending", 0)], "the other one waits for it");
    let shown = queue(&project);
    assert_eq!((&shown["depth"], &shown["dead"]), (&1.into(), &0.into()));
    // What is left keeps the run, however old it is.
    let kept = project.engine(&["gc", "--keep", "0"]).expect(0).stdout;
    assert!(project.runs().contains(&run), "{kept}");
    let took = status(&project)["duration_ms"].clone();
    project.engine(&["queue", "drain"]).expect(0);
    assert_eq!(status(&project)["duration_ms"], took, "what follows the verdict is no time of the run");
    assert_eq!(log(&project), ["deploy", "tidy", "upload", "metrics"]);
    assert_eq!(work(&project), [is("metrics", "done", 1), is("upload", "done", 1)]);
    let nothing = project.engine(&["queue", "drain", "--until-empty"]).expect(0);
    assert!(nothing.stdout.contains("nothing to drain"), "{}", nothing.stdout);
    project.engine(&["verify"]).expect(0);
}

/// A run whose upload is held: the engine waits for it, the verdict is given.
fn held(project: &Project) -> Live {
    project.write("hold", "");
    let live = project.start(&["run", "plan.yaml"]);
    live.line("background stages still run");
    live.line("upload | held");
    live
}

/// There is no verb to throw work away: what a run has to do is its plan, and an edit of that is recorded.
#[test]
fn work_that_must_never_run_is_taken_out_of_the_plan_and_the_rest_is_done() {
    let plan = PLAN
        .replace("  metrics:", "  mail: {needs: [deploy], background: true, run: echo mail >> log}\n  metrics:");
    let project = Project::with_plan(&plan);
    project.engine(&["run", "plan.yaml", "--no-wait"]).expect(0);
    project.write("plan.yaml", PLAN);
    let run = project.only_run();
    let shown = project.engine(&["plan", "--resume", &run]).expect(0).stdout;
    assert!(shown.contains("remove  mail") && shown.contains("keep    deploy"), "{shown}");
    project.engine(&["resume", &run, "--accept-changes"]).expect(0);
    // An edited plan has a verdict of its own, and so a clean-up.
    assert_eq!(log(&project), ["deploy", "tidy", "tidy", "upload", "metrics"], "no mail, and no deploy again");
    assert_eq!(work(&project), [is("metrics", "done", 1), is("upload", "done", 1)]);
    assert_eq!(status(&project)["state"], "success");
    project.engine(&["queue", "drain", "--until-empty"]).expect(0);
    assert_eq!(log(&project).len(), 5);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn killed_in_the_background_another_engine_does_it_and_touches_nothing_else() {
    let project = Project::with_plan(PLAN);
    let live = held(&project);
    assert_eq!(work(&project)[0], is("upload", "running", 1));
    live.signal(Signal::KILL);
    assert_eq!(live.end().status, 137);
    assert_eq!(status(&project)["state"], "success", "the verdict stands");
    assert_eq!(work(&project), [is("upload", "pending", 1)]);
    std::fs::remove_file(project.path("hold")).expect("it was there");
    let out = project.engine(&["queue", "drain", &project.only_run()]).expect(0);
    assert!(!out.stdout.contains("start  deploy") && !out.stdout.contains("start  tidy"), "{}", out.stdout);
    assert_eq!(log(&project), ["deploy", "tidy", "upload", "upload", "metrics"]);
    assert_eq!(stage(&project, "upload")["attempts"], 2);
    assert_eq!(events_of(&project, "background-released", "upload").len(), 1);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn interrupted_it_keeps_the_exit_code_of_its_verdict() {
    let project = Project::with_plan(PLAN);
    let live = held(&project);
    live.signal(Signal::INT);
    let out = live.end().expect(0);
    assert!(out.stdout.contains("engine queue drain"), "{}", out.stdout);
    assert_eq!(work(&project), [is("upload", "pending", 1)]);
    std::fs::remove_file(project.path("hold")).expect("it was there");
    // A plain resume goes on with what is left, too.
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["deploy", "tidy", "upload", "upload", "metrics"]);
}

#[test]
fn a_time_box_leaves_the_background_with_the_exit_code_of_the_verdict() {
    let project = Project::with_plan(PLAN);
    project.write("hold", "");
    let out = project.engine(&["run", "plan.yaml", "--time-box", "3s"]).expect(0);
    assert!(out.stdout.contains("engine queue drain"), "{}", out.stdout);
    let again = project.engine(&["queue", "drain", &project.only_run(), "--timeout", "2s"]).expect(75);
    assert!(!again.stdout.contains("start  deploy"), "{}", again.stdout);
    assert_eq!(stage(&project, "metrics")["state"], "pending");
}

#[test]
fn what_fails_for_good_is_a_ticket_and_can_be_queued_again() {
    let project = Project::with_plan(PLAN);
    project.write("broken", "");
    project.engine(&["run", "plan.yaml"]).expect(0);
    assert_eq!(status(&project)["state"], "success");
    assert_eq!(work(&project), [is("metrics", "skipped", 0), is("upload", "dead", 1)]);
    let tickets = json(&project.engine(&["tickets", "list", "--json"]).expect(0).stdout);
    let ticket = &tickets["tickets"][0];
    assert_eq!((&ticket["kind"], &ticket["stage"]), (&"dead".into(), &"upload".into()), "{tickets:#}");
    let run = project.only_run();
    let next = format!("engine queue retry {run} upload");
    assert!(ticket["suggestion"].as_array().into_iter().flatten().any(|it| *it == *next), "{ticket:#}");
    project.engine(&["queue", "retry", &run, "deploy"]).expect(4);
    std::fs::remove_file(project.path("broken")).expect("it was there");
    project.engine(&["queue", "retry", &run, "--dead"]).expect(0);
    let by = events_of(&project, "background-requeued", "upload")[0]["by"].clone();
    assert!(by.as_str().is_some_and(|by| by.starts_with("ann")), "{by}");
    assert!(work(&project).contains(&is("upload", "pending", 1)), "{:?}", work(&project));
    project.engine(&["queue", "drain", "--until-empty"]).expect(0);
    assert_eq!(log(&project), ["deploy", "tidy", "upload", "upload", "metrics"]);
    assert_eq!(work(&project), [is("metrics", "done", 1), is("upload", "done", 2)]);
    assert_eq!(status(&project)["state"], "success");
    project.engine(&["verify"]).expect(0);
}

/// What a report says of background work, by its format.
fn reported(project: &Project, format: &str) -> String {
    project.engine(&["report", "--format", format]).expect(0).stdout
}

#[test]
fn reports_keep_the_background_apart_and_say_how_to_go_on() {
    let project = Project::with_plan(PLAN);
    project.write("broken", "");
    let out = project.engine(&["run", "plan.yaml", "--report", "junit=junit.xml"]).expect(0);
    let retry = format!("engine queue retry {} upload", project.only_run());
    let end = out.stdout.rfind("success  run ").expect("the run has an end");
    assert!(out.stdout[end..].contains("1 blocked, 1 dead of 4 stages"), "{}", out.stdout);
    assert!(out.stdout[end..].contains(&retry) && !out.stdout.contains("group later"), "{}", out.stdout);

    let junit = project.read("junit.xml");
    assert_eq!(junit, reported(&project, "junit"));
    assert_eq!(junit.matches("failures=\"0\" errors=\"0\"").count(), 3, "a host calls none of it failed: {junit}");
    assert!(!junit.contains("<failure") && !junit.contains("<error") && !junit.contains("plan/later"), "{junit}");
    let (front, behind) = junit.split_once("<testsuite name=\"shop/background\"").expect("a suite of its own");
    assert!(front.contains("name=\"deploy\"") && front.contains("name=\"tidy\""), "{front}");
    assert!(behind.starts_with(" tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"2\""), "{behind}");
    assert!(behind.contains(&format!("<skipped message=\"dead: exit 7; {retry}\"/>")), "{behind}");
    assert!(behind.contains("no road"), "its last lines are there: {behind}");

    let html = reported(&project, "html");
    assert!(!html.contains("What failed"), "{html}");
    let (_, behind) = html.split_once("<h2>Background</h2>").expect("a part of its own");
    assert!(behind.contains(">dead</span> <code>upload</code>") && behind.contains(&retry), "{behind}");
    assert!(behind.contains("no road"), "{behind}");

    let summary = reported(&project, "summary");
    assert!(summary.starts_with("## ✅ shop: success"), "{summary}");
    let (front, behind) = summary.split_once("### Background").expect("a part of its own");
    assert!(
        !front.contains("### `upload`") && !front.contains("❌") && !front.contains("| `metrics` |"),
        "{front}"
    );
    assert!(behind.contains("| ⚠️ | `upload` | dead | 1 |") && behind.contains(&retry), "{behind}");
    assert!(behind.contains("| ⚪ | `metrics` | skipped | 0 |"), "{behind}");
}

#[test]
fn reports_of_work_that_is_left_name_the_drain() {
    let project = Project::with_plan(PLAN);
    project.engine(&["run", "plan.yaml", "--no-wait"]).expect(0);
    let drain = format!("engine queue drain {}", project.only_run());
    for format in ["html", "summary"] {
        let text = reported(&project, format);
        let (_, behind) = text.split_once("Background").expect("a part of its own");
        assert!(behind.contains("pending") && behind.contains(&drain), "{format}: {behind}");
    }
    let junit = reported(&project, "junit");
    assert!(junit.contains(&format!("<skipped message=\"pending: waits for an engine; {drain}\"/>")), "{junit}");
    project.engine(&["queue", "drain"]).expect(0);
    for (format, done) in
        [("html", ">done</span> <code>upload</code>"), ("summary", "| ✅ | `upload` | done | 1 |")]
    {
        let text = reported(&project, format);
        assert!(text.contains(done) && !text.contains("engine queue"), "{format}: {text}");
    }
}

#[test]
fn a_failed_deploy_stays_failed_and_its_background_is_done_all_the_same() {
    let plan = PLAN.replace("  metrics:", "  late: {needs: [deploy], run: exit 3, timeout: 1m}\n  metrics:");
    let project = Project::with_plan(&plan);
    project.engine(&["run", "plan.yaml"]).expect(1);
    let mut seen = log(&project);
    seen.sort();
    assert_eq!(seen, ["deploy", "metrics", "tidy", "upload"]);
    assert_eq!(status(&project)["state"], "failed");
    assert_eq!(stage(&project, "metrics")["state"], "success");
}

#[test]
fn work_whose_need_failed_is_blocked_and_changes_nothing() {
    let project = Project::with_plan(&PLAN.replace("run: echo deploy >> log", "run: exit 3"));
    project.engine(&["run", "plan.yaml"]).expect(1);
    assert_eq!(log(&project), ["tidy"]);
    let upload = stage(&project, "upload");
    assert_eq!(upload["state"], "blocked");
    assert!(upload["reason"].as_str().is_some_and(|why| why.contains("`deploy`")), "{upload:#}");
    assert_eq!(queue(&project)["depth"], 0);
}

/// An upload and a mail that count on a service, which does not come up with a file `broken`.
const SERVED: &str = r"
version: 1
name: shop
stages:
  db: {lifetime: run, run: '[ ! -e broken ] && (setsid sleep 1000 > /dev/null 2>&1 & echo up >> log)'}
  use: {needs: [db], run: echo use >> log}
  upload: {needs: [db], background: true, run: echo upload >> log}
  metrics: {needs: [upload], background: true, run: echo metrics >> log}
  mail: {needs: [use], background: true, run: echo mail >> log}
";

#[test]
fn work_whose_service_does_not_come_up_behind_the_verdict_is_dead() {
    let project = Project::with_plan(SERVED);
    project.engine(&["run", "plan.yaml", "--no-wait"]).expect(0);
    project.write("broken", "");
    let run = project.only_run();
    project.engine(&["queue", "drain", &run]).expect(0);
    assert_eq!(status(&project)["state"], "success");
    assert_eq!(work(&project), [is("mail", "dead", 0), is("metrics", "skipped", 0), is("upload", "dead", 0)]);
    assert_eq!(stage(&project, "mail")["state"], "failed");
    let tickets = json(&project.engine(&["tickets", "list", "--json"]).expect(0).stdout);
    let tickets = tickets["tickets"].as_array().cloned().unwrap_or_default();
    let of = |stage: &str| tickets.iter().find(|it| it["stage"] == stage && it["kind"] == "dead").cloned();
    assert!(of("upload").is_some() && of("mail").is_some() && of("metrics").is_none(), "{tickets:#?}");
    std::fs::remove_file(project.path("broken")).expect("it was there");
    project.engine(&["queue", "retry", &run, "--dead"]).expect(0);
    project.engine(&["queue", "drain", &run]).expect(0);
    assert_eq!(work(&project), [is("mail", "done", 1), is("metrics", "done", 1), is("upload", "done", 1)]);
    let mut done = log(&project);
    done.sort();
    assert_eq!(done, ["mail", "metrics", "up", "up", "upload", "use"]);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn what_counts_for_the_verdict_cannot_wait_for_the_background() {
    let wrong = [
        (
            "  ship: {needs: [upload], run: 'true'}\n",
            "`ship` needs `upload`, which is background work",
            "needs: [upload]",
        ),
        ("  ask: {uses: approval, background: true}\n", "asks a person", "approval"),
        (
            "  keep: {run: 'true', background: true, lifetime: run}\n",
            "serves the run, which is judged before it starts",
            "run",
        ),
        ("  undo: {run: 'true', background: true, rollback: {run: 'true'}}\n", "past every rollback", "rollback"),
        ("  heal: {run: 'true', background: true, heal: [{run: 'true'}]}\n", "until it is healed", "heal"),
    ];
    for (text, message, at) in wrong {
        let plan = PLAN.replace("  metrics:", &format!("{text}  metrics:"));
        let project = Project::with_plan(&plan);
        let out = project.engine(&["check", "plan.yaml"]).expect(3);
        let said = out.stderr + &out.stdout;
        assert!(said.contains("plan::background") && said.contains(message) && said.contains(at), "{said}");
        assert!(said.contains("help:"), "{said}");
    }
}

#[test]
fn the_dry_run_shows_it_apart() {
    let project = Project::with_plan(PLAN);
    let text = project.engine(&["plan", "plan.yaml"]).expect(0).stdout;
    let after = text.find("background, after the verdict").unwrap_or_else(|| panic!("{text}"));
    assert!(text[..after].contains("deploy") && text[after..].contains("upload"), "{text}");
    let shown = json(&project.engine(&["plan", "plan.yaml", "--json"]).expect(0).stdout);
    let path = &shown["critical_path"]["nodes"];
    assert!(!path.to_string().contains("upload"), "{path}");
    // A minute and its grace, and the budget of the clean-up.
    assert_eq!(shown["worst_ms"], 70_000 + 20_000, "{shown:#}");
    let upload = shown["nodes"].as_array().into_iter().flatten().find(|it| it["id"] == "upload");
    assert_eq!(upload.map(|it| &it["phase"]), Some(&"background".into()));
}

/// A cancel of a run that no engine has leaves what one of a live run does, but for the clean-up: a verdict, and the
/// background that was released before it.
#[test]
fn a_run_that_is_cancelled_when_its_engine_is_dead_has_a_verdict_and_its_queue_can_be_drained() {
    let plan = "version: 1\nname: shop\nstages:\n  deploy: {run: echo deploy >> log}\n  bad: {needs: [deploy], run: 'echo bad >> log; exit 3'}\n  \
                upload: {needs: [deploy], background: true, run: echo upload >> log}\n  \
                slow: {needs: [{stage: bad, accept: [failed]}], run: '[ ! -e hold ] || { echo held; exec sleep 600; }'}\n  \
                last: {needs: [slow, deploy], background: true, run: echo last >> log}\n\
                finally: {stages: {tidy: {run: echo tidy >> log}}}\n";
    let project = Project::with_plan(plan);
    project.write("hold", "");
    let live = project.start(&["run", "plan.yaml", "-j", "1"]);
    live.line("slow | held");
    live.signal(Signal::KILL);
    live.end();
    let run = project.only_run();
    project.engine(&["queue", "drain", &run]).expect(4);
    assert_eq!(project.engine(&["cancel"]).expect(0).stdout, format!("cancelled run {run}\n"));
    let told = log(&project);
    let found = status(&project);
    assert_eq!(
        (&found["state"], &found["cancel"]["level"], &found["failed"]),
        (&"cancelled".into(), &"kill".into(), &serde_json::json!(["bad"])),
        "{found:#}"
    );
    assert_eq!(
        (&found["background"]["is_decided"], found["sessions"].as_array().map(Vec::len)),
        (&true.into(), Some(1))
    );
    assert!(project.engine(&["runs"]).expect(0).stdout.contains(" cancelled "));
    project.engine(&["cancel"]).expect(4);
    project.engine(&["cancel", &run]).expect(4);
    project.engine(&["queue", "drain"]).expect(0);
    assert_eq!(log(&project)[told.len()..], ["upload"], "the clean-up neither");
    assert_eq!(work(&project), [is("last", "skipped", 0), is("upload", "done", 1)]);
    assert_eq!(status(&project)["state"], "cancelled");
    project.engine(&["queue", "drain", &run]).expect(0);
    project.engine(&["verify"]).expect(0);
    // It is tried again by a resume, as after any cancel.
    std::fs::remove_file(project.path("hold")).expect("it was there");
    project.engine(&["resume"]).expect(1);
    assert_eq!(log(&project)[told.len()..], ["upload", "bad", "tidy", "last"]);
    assert_eq!(status(&project)["state"], "failed");
}
