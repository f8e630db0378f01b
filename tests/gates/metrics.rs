//! Metrics: a real Prometheus that scrapes a real exporter, files that change, a log that grows.

use std::process::{Child, Command, Stdio};

use super::server::Server;
use super::support::{Project, free_port};

/// A Prometheus with a folder of its own, ended with the test.
struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    /// Scrapes `server` five times a second; returns when it answers.
    fn start(project: &Project, server: &Server) -> Self {
        let config = format!(
            "global: {{scrape_interval: 200ms}}\nscrape_configs:\n  - job_name: shop\n    metrics_path: /file/metrics\n    static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
            server.port
        );
        project.write("prometheus.yml", config);
        let port = free_port();
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(project.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is there");
        let started = Self { child, url: format!("http://127.0.0.1:{port}") };
        let ready = format!("{}/-/ready", started.url);
        project.engine(&["gate", "probe", "http", "--url", &ready, "--interval", "50ms"]).expect(0);
        started
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // What it keeps goes with the project.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries one gate by hand; what was printed.
fn probe(project: &Project, kind: &str, words: &[&str], status: i32) -> String {
    let args: Vec<&str> = ["gate", "probe", kind].iter().chain(words).copied().collect();
    let out = project.engine(&args).expect(status);
    out.stdout + &out.stderr
}

#[test]
fn queries_to_a_real_prometheus_have_their_verdicts() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let metrics =
        "200\ndepth 3\nseries{kind=\"a\"} 1\nseries{kind=\"b\"} 2\nnone NaN\nrequests_total 100\nerrors_total 0\n";
    project.write("metrics", metrics);
    let prometheus = Prometheus::start(&project, &server);
    let asked = |query: &str, more: &[&str], status: i32| {
        let words = ["--url", &prometheus.url, "--query", query, "--interval", "50ms", "--on-no-data", "hold"];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        probe(&project, "prometheus", &words, status)
    };
    // The first scrape takes a moment.
    let said = asked("depth", &["--pass", "== 3", "--consecutive-fail", "600"], 0);
    assert!(said.contains("pass: 3 is == 3"), "{said}");
    for (query, pass, status, words) in [
        ("depth", "< 3", 1, "fail: 3 is not < 3"),
        ("depht", "< 3", 5, "no-data: the query finds nothing: is the metric's name right?"),
        ("none", "< 3", 5, "no-data: the value is NaN"),
        ("series", "< 3", 1, "error: the query gives 2 series: make one of them, as with `sum(…)`"),
        ("sum(series)", "== 3", 0, "pass: 3 is == 3"),
        ("sum(", "< 3", 1, "error: the query was refused: "),
        ("scalar(depth)", ">= 3", 0, "pass: 3 is >= 3"),
        ("depth / 0", "< 3", 1, "fail: inf is not < 3"),
    ] {
        let said = asked(query, &["--pass", pass], status);
        assert!(said.contains(words), "{query}: no `{words}` in\n{said}");
    }
    // The steps of a subquery are whole seconds of the server's clock: the first one with data may be to come.
    let range = ["--range", "10s", "--step", "1s", "--range-reduce", "max", "--consecutive-fail", "600"];
    let words: Vec<&str> = range.iter().chain(&["--pass", "== 3"]).copied().collect();
    let said = asked("depth", &words, 0);
    assert!(said.contains("pass: 3 is == 3"), "{said}");
    let window = ["--errors", "increase(errors_total[$window])", "--total", "increase(requests_total[$window])"];
    let objective = ["--url", &prometheus.url, "--objective", "99.9%", "--on-no-data", "hold"];
    let words: Vec<&str> = window.iter().chain(&objective).copied().collect();
    let said = probe(&project, "burn-rate", &words, 5);
    assert!(said.contains("no-data: there were no events in 5m"), "{said}");
}

#[test]
fn clocks_that_disagree_change_no_verdict() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    std::fs::create_dir_all(project.path("api/v1")).expect("folders");
    let url = server.url("/file");
    let plain = ["--url", &url, "--query", "depth", "--on-no-data", "hold", "--interval", "20ms"];
    // A server whose clock is in another century, and the same one a moment later, before that.
    for at in [7_258_118_400_u64, 631_152_000, 0] {
        let point = format!(
            "{{\"resultType\": \"vector\", \"result\": [{{\"metric\": {{}}, \"value\": [{at}, \"3\"]}}]}}"
        );
        project.write("api/v1/query", format!("200\n{{\"status\": \"success\", \"data\": {point}}}"));
        let words: Vec<&str> = plain.iter().chain(&["--pass", "< 5"]).copied().collect();
        assert!(probe(&project, "prometheus", &words, 0).contains("pass: 3 is < 5"), "{at}");
        let points = format!("[[{at}, \"1\"], [{}, \"4\"]]", at + 60);
        let series =
            format!("{{\"resultType\": \"matrix\", \"result\": [{{\"metric\": {{}}, \"values\": {points}}}]}}");
        project.write("api/v1/query", format!("200\n{{\"status\": \"success\", \"data\": {series}}}"));
        let range = ["--range", "5m", "--step", "1m", "--range-reduce", "increase", "--pass", "== 3"];
        let words: Vec<&str> = plain.iter().chain(&range).copied().collect();
        assert!(probe(&project, "prometheus", &words, 0).contains("pass: 3 is == 3"), "{at}");
    }
    // No time of ours is sent, so there is none that the server could disagree with.
    let asked =
        std::process::Command::new("curl").args(["-s", &server.url("/asked")]).output().expect("curl is there");
    let asked = String::from_utf8(asked.stdout).expect("text");
    assert_eq!(asked.lines().count(), 6, "{asked}");
    assert!(!asked.contains("time=") && !asked.contains("start=") && !asked.contains("end="), "{asked}");
}

#[test]
fn an_alarm_that_fired_before_the_deploy_blocks_is_tolerated_or_needs_a_ticket() {
    let project = Project::new();
    for (preexisting, next, status, words) in [
        ("", "9", 1, "fail: 9 is not < 5; before the deploy it was 9"),
        (", preexisting: block", "9", 1, "fail: 9 is not < 5; before the deploy it was 9"),
        (", preexisting: tolerate", "9", 0, "pass: 9 is not < 5, as before (9)"),
        (", preexisting: tolerate", "10", 1, "fail: 10 is not < 5, and worse than before (9)"),
        (", preexisting: tolerate, worsen-ratio: 1.5", "10", 0, "pass: 10 is not < 5, as before (9)"),
        (", preexisting: need-ticket", "9", 1, "fail: 9 is not < 5; before the deploy it was 9"),
        (", preexisting: need-ticket, ticket: OPS-7", "9", 0, "pass: 9 is not < 5, as before (9)"),
    ] {
        project.write("errors", "9");
        project.write("next", next);
        project.write(
            "plan.yaml",
            format!(
                "version: 1\nstages:\n  before: {{uses: file, with: {{path: errors, value: '', pass: '< 5', consecutive-fail: 1, on-fail: continue}}}}\n\
                 \x20 ship: {{needs: [before], run: cp next errors}}\n\
                 \x20 after: {{needs: [before, ship], uses: file, with: {{path: errors, value: '', pass: '< 5', consecutive-fail: 1,\n    \
                 before: \"{{{{ needs.before.outputs.value }}}}\"{preexisting}}}}}\n"
            ),
        );
        let out = project.engine(&["run", "plan.yaml"]).expect(status);
        assert!(out.stdout.contains(words), "{preexisting} {next}: no `{words}` in\n{}", out.stdout);
    }
}

#[test]
fn a_page_instead_of_an_answer_is_named_by_how_it_begins() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    std::fs::create_dir_all(project.path("api/v1")).expect("folders");
    let page = "200\n\n<!DOCTYPE html>\n<html><title>Sign in</title></html>\n";
    project.write("api/v1/query", page);
    let url = server.url("/file");
    let words = ["--url", &url, "--query", "up", "--pass", "== 1", "--on-no-data", "hold"];
    let said = probe(&project, "prometheus", &words, 1);
    let why = "and no answer of Prometheus: it is not JSON, it begins with `<!DOCTYPE html>`";
    assert!(said.contains(&format!("error: status 200, {why}")), "{said}");
    project.write("stats", page);
    let stats = server.url("/file/stats");
    let words =
        ["--url", &stats, "--value", "/p95", "--pass", "< 5", "--on-no-data", "hold", "--consecutive-fail", "1"];
    let said = probe(&project, "http", &words, 5);
    assert!(said.contains("no-data: it is not JSON, it begins with `<!DOCTYPE html>`"), "{said}");
    project.write("stats", "200\n");
    assert!(probe(&project, "http", &words, 5).contains("no-data: it is not JSON, it is empty"));
}

#[test]
fn an_authority_that_is_all_for_it_does_not_outvote_the_other_and_says_who_refuses() {
    let project = Project::new();
    for (files, status, words) in [
        // One of two in correctness is enough to refuse, whatever safety says.
        ([("a", "1"), ("b", "0"), ("c", "1")], 1, "fail: consensus.failure: correctness refuses: b: "),
        ([("a", "1"), ("b", "1"), ("c", "0")], 5, "held: fail: consensus.failure: safety refuses: c: "),
        (
            [("a", "0"), ("b", "0"), ("c", "0")],
            5,
            "guardian.halt: fail: consensus.failure: correctness and safety refuse: a: ",
        ),
    ] {
        for (name, text) in files {
            project.write(name, text);
        }
        let metrics: String =
            ["a", "b", "c"].map(|it| format!("{it}: {{file: {it}, value: '', pass: '== 1'}}")).join(", ");
        project.write(
            "plan.yaml",
            format!("version: 1\nstages:\n  gate: {{uses: soak, with: {{for: 60ms, interval: 20ms, coverage: 1%, on-no-data: hold, metrics: {{{metrics}}}, authorities: {{correctness: [a, b], safety: [c]}}}}}}\n"),
        );
        let out = project.engine(&["run", "plan.yaml"]).expect(status);
        assert!(out.stdout.contains(words), "no `{words}` in\n{}", out.stdout);
    }
}

#[test]
fn a_source_that_stops_in_the_middle_of_a_soak_holds_it() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    project.write("metrics", "200\ndepth 3\n");
    project.write(
        "plan.yaml",
        format!(
            "version: 1\nstages:\n  soak: {{uses: soak, with: {{for: 60s, interval: 50ms, coverage: 99%, on-no-data: hold, on-error: fail,\n    metrics: {{depth: {{http: '{}', expect: {{status: 200}}, value: /depth, pass: '< 5'}}}}}}}}\n",
            server.url("/file/depth")
        ),
    );
    project.write("depth", "200\n{\"depth\": 3, \"note\": 1}");
    let live = project.start(&["run", "plan.yaml", "--run-id", "one"]);
    // One number has come when the first sample is on the disk; then the source goes away.
    live.line("start");
    project.write("depth", "503\nstopping");
    live.line("no data: status 503");
    let out = live.end().expect(5);
    assert!(out.stdout.contains("held: no-data: depth: "), "{}", out.stdout);
    let again = project.engine(&["gate", "replay", "one", "soak"]).expect(0);
    assert!(again.stdout.contains("the same as recorded"), "{}", again.stdout);
}

#[test]
fn a_canary_that_does_worse_fails_and_one_that_does_not_passes() {
    let project = Project::new();
    project.write("old", "100");
    project.write("new", "150");
    let words = |name: &'static str| {
        [
            "--for",
            "2s",
            "--interval",
            "50ms",
            "--on-no-data",
            "fail",
            "--metrics.p95.baseline.file",
            "old",
            "--metrics.p95.baseline.value",
            "",
            "--metrics.p95.canary.file",
            name,
            "--metrics.p95.canary.value",
            "",
        ]
    };
    let said = probe(&project, "canary", &words("new"), 1);
    assert!(
        said.contains("fail: p95: worse than the baseline (p 0.000") && said.contains("effect +1.00"),
        "{said}"
    );
    let said = probe(&project, "canary", &words("old"), 0);
    assert!(said.contains("pass: p95: no worse than the baseline (p 1.0000, effect +0.00)"), "{said}");
}

#[test]
fn lines_of_a_log_are_counted_from_where_it_stood() {
    let project = Project::new();
    project.write("app.log", "ERROR of yesterday\n");
    let base = ["--path", "app.log", "--match", "ERROR", "--interval", "20ms"];
    let with = |more: &[&'static str]| -> Vec<&'static str> { base.iter().chain(more).copied().collect() };
    let said = probe(&project, "log", &with(&["--for", "100ms"]), 0);
    assert!(said.contains("pass: max 0 is == 0"), "{said}");
    let said = probe(&project, "log", &with(&["--for", "60s", "--from-start", "true"]), 1);
    assert!(said.contains("can no longer be met"), "{said}");
    let said = probe(&project, "log", &with(&["--pass", ">= 1", "--from-start", "true"]), 0);
    assert!(said.contains("pass: 1 is >= 1"), "{said}");
    // A line that is written while the gate waits.
    project.write(
        "plan.yaml",
        "version: 1\nstages:\n  up: {uses: log, timeout: 60s, with: {path: app.log, match: 'ready$', pass: '>= 1', interval: 20ms}}\n",
    );
    let live = project.start(&["run", "plan.yaml"]);
    live.line("0 is not >= 1");
    project.write("app.log", "ERROR of yesterday\nnow ready\n");
    live.end().expect(0);
}

#[test]
fn two_authorities_refuse_in_three_ways() {
    let project = Project::new();
    let run = |right: &str, safe: &str, status: i32| {
        project.write("right", right);
        project.write("safe", safe);
        project.write(
            "plan.yaml",
            "version: 1\nstages:\n  gate: {uses: soak, with: {for: 60ms, interval: 20ms, coverage: 1%, on-no-data: hold,\n    metrics: {right: {file: right, value: '', pass: '== 1'}, safe: {file: safe, value: '', pass: '== 1'}},\n    authorities: {correctness: [right], safety: [safe]}}}\n",
        );
        project.engine(&["run", "plan.yaml"]).expect(status).stdout
    };
    assert!(run("1", "1", 0).contains("pass: "));
    assert!(run("0", "1", 1).contains("correctness refuses: right: "));
    assert!(run("1", "0", 5).contains("held: fail: consensus.failure: safety refuses: safe: "));
    assert!(run("0", "0", 5).contains("guardian.halt: fail: consensus.failure: correctness and safety refuse: "));
    // A halt has no end: it is a ticket, once, which a hold is not.
    let tickets = project.engine(&["tickets", "list", "--json"]).expect(0).stdout;
    assert_eq!(tickets.matches("\"kind\": \"halted\"").count(), 1, "{tickets}");
    assert!(tickets.contains("guardian.halt: fail: consensus.failure"), "{tickets}");
}

/// Counters of a real Prometheus; the plan's gate, the hand's gate and the replay say the same.
#[test]
fn a_burn_fires_and_a_budget_that_is_nearly_spent_asks_a_person() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let count = |total: u32, errors: u32| {
        project.write("metrics", format!("200\nrequests_total {total}\nerrors_total {errors}\n"));
    };
    count(1_000, 1_000);
    let prometheus = Prometheus::start(&project, &server);
    let is_seen = |query: &str, pass: &str| {
        let words = ["--url", &prometheus.url, "--query", query, "--pass", pass, "--on-no-data", "fail"];
        let patient = ["--interval", "50ms", "--consecutive-fail", "600"];
        probe(&project, "prometheus", &words.iter().chain(&patient).copied().collect::<Vec<_>>(), 0);
    };
    // A counter has to be seen twice before it can have grown.
    is_seen("count_over_time(requests_total[2m])", ">= 2");
    let url = &prometheus.url;
    let plan = |budget: &str| {
        project.write(
            "plan.yaml",
            format!(
                "version: 1\nstages:\n  budget:\n    uses: burn-rate\n    with:\n      url: {url}\n      errors: increase(errors_total[$window])\n      \
                 total: increase(requests_total[$window])\n      objective: 90%\n      rules: [1m/30s 4]\n      on-no-data: fail\n{budget}  \
                 ship: {{needs: [budget], run: 'true'}}\n"
            ),
        );
    };
    let run = |id: &str, status: i32, words: &str| {
        let out = project.engine(&["run", "plan.yaml", "--run-id", id]).expect(status);
        assert!(out.stdout.contains(words), "no `{words}` in\n{}", out.stdout);
        assert!(
            project.engine(&["gate", "replay", id, "budget"]).expect(0).stdout.contains("the same as recorded")
        );
        out.stdout
    };
    let tiers = "      budget: {over: 2m, hold-below: 25%}\n";
    // 8.5 % of errors where 10 % may fail: 15 % are left. No rule fires.
    count(2_000, 1_085);
    is_seen("errors_total", "== 1085");
    // What a counter has grown is stretched to the window, by less the more samples there are; a sample that comes between the
    // gate's two questions then changes hardly anything.
    is_seen("count_over_time(requests_total[2m])", ">= 12");
    plan("");
    run("plain", 0, "pass: the budget burns at most 0.8");
    plan(tiers);
    let held = run("held", 5, "% of the error budget of 2m is left, `hold-below` is 25%; go on all the same?");
    assert!(held.contains("held: fail: 1"), "{held}");
    project.engine(&["approve", "held", "budget"]).expect(0);
    assert!(project.engine(&["resume", "held"]).expect(0).stdout.contains("start  ship"));
    // Half of them: nothing is left, and the rule fires, too.
    count(3_000, 1_900);
    is_seen("errors_total", "== 1900");
    run("spent", 1, "of the error budget of 2m is left, `fail-at` is 0%");
    plan("");
    run("burning", 1, " over 30s, the rule is 4");
}

#[test]
fn a_score_holds_what_is_neither_good_nor_bad_and_a_critical_metric_fails_it() {
    let project = Project::new();
    project.write("old", "100");
    let plan = |more: &str| {
        let pair = |name: &str, more: &str| {
            format!(
                "        {name}: {{baseline: {{file: old, value: ''}}, canary: {{file: {name}, value: ''}}{more}}}\n"
            )
        };
        let pairs = pair("errors", more) + &pair("p95", ", group: latency") + &pair("p99", ", group: latency");
        project.write(
            "plan.yaml",
            format!(
                "version: 1\nstages:\n  gate:\n    uses: canary\n    with:\n      for: 400ms\n      interval: 20ms\n      min-samples: 4\n      alpha: 0.2\n      on-no-data: fail\n      \
                 score: {{pass: 95%, marginal: 75%, weights: {{latency: 2}}}}\n      metrics:\n{pairs}"
            ),
        );
    };
    let run = |values: [&str; 3], status: i32, words: &str| {
        for (name, value) in ["errors", "p95", "p99"].into_iter().zip(values) {
            project.write(name, value);
        }
        let out = project.engine(&["run", "plan.yaml"]).expect(status);
        assert!(out.stdout.contains(words), "no `{words}` in\n{}", out.stdout);
    };
    plan("");
    run(["100", "100", "100"], 0, "pass: score 100%, `pass` is 95%: errors: no worse than the baseline");
    // One in three by weight 1, latency two in three: a third of the weight is lost, then a half of two thirds.
    run(["150", "100", "100"], 1, "fail: score 66.7%, `marginal` is 75%: errors: worse than the baseline");
    run(["100", "100", "150"], 1, "fail: score 66.7%, `marginal` is 75%: p99: worse than the baseline");
    plan(", critical: true");
    run(["150", "100", "100"], 1, "fail: critical: errors: worse than the baseline");
    let text = project.read("plan.yaml").replace("marginal: 75%", "marginal: 50%");
    project.write("plan.yaml", text);
    run(["100", "100", "150"], 5, "held: inconclusive: score 66.7%, `pass` is 95%: p99: worse than the baseline");
}
