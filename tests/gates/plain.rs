//! `http`, `tcp`, `command` and `file` against real servers, ports, files and processes.

use super::server::Server;
use super::support::Project;

/// Runs one gate of its own plan; what was printed.
fn gate(project: &Project, with: &str, kind: &str, status: i32) -> String {
    project.write(
        "plan.yaml",
        format!("version: 1\nstages:\n  gate: {{uses: {kind}, timeout: 60s, with: {{{with}}}}}\n"),
    );
    let out = project.engine(&["run", "plan.yaml"]).expect(status);
    out.stdout + &out.stderr
}

#[test]
fn an_answer_passes_when_it_is_as_it_should_be_and_says_why_when_not() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    project.write("ready", "200\n{\"ready\": true, \"queue\": 3, \"version\": \"v2\"}");
    let url = format!("url: '{}', interval: 20ms", server.url("/file/ready"));
    for (with, status, words) in [
        ("expect: {status: 200, json: {/ready: true, /queue: '< 5', /version: v2}}", 0, "pass: status 200"),
        ("expect: {headers: {X-Load: '< 8', x-version: v2}}", 0, "pass: status 200"),
        ("expect: {identity: {json: /version, is: v2}}, consecutive: 3", 0, "pass: status 200, 3 times in a row"),
        ("expect: {identity: {header: X-Version, is: v3}}, consecutive-fail: 1", 1, "served by `v2`, not by `v3`"),
        ("expect: {json: {/queue: '< 3'}}, consecutive-fail: 2", 1, "`/queue` is `3`, not < 3, 2 times in a row"),
        ("expect: {json: {/gone: 1}}, consecutive-fail: 1", 1, "there is nothing at `/gone`"),
        ("expect: {status: [204, 3xx]}, consecutive-fail: 1", 1, "fail: status 200"),
        ("expect: {contains: steady}, consecutive-fail: 1", 1, "the body does not contain `steady`"),
        ("value: /queue, pass: '== 3'", 0, "pass: 3 is == 3"),
        (
            "value: /ready, pass: '== 3', consecutive-fail: 1, on-no-data: fail",
            1,
            "no-data: `/ready` is no number",
        ),
    ] {
        let said = gate(&project, &format!("{url}, {with}"), "http", status);
        assert!(said.contains(words), "{with}: no `{words}` in\n{said}");
    }
}

/// What is said of an answer that is not whole in time, with its server as `HERE`.
const LATE: &str = "error: no whole answer of `HERE` within 500ms";

#[test]
fn bad_servers_have_their_verdicts() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let asked = "interval: 20ms, consecutive-fail: 1, request-timeout: 500ms";
    for (path, with, words) in [
        ("/redirect", "", "fail: status 302: redirects to `/count`, which is not followed"),
        ("/drip", ", expect: {contains: done}", LATE),
        ("/drip-head", "", LATE),
        ("/silent", "", LATE),
        ("/huge", ", expect: {json: {/ready: true}}", "fail: the body is longer than 1048576 bytes"),
        ("/file/none", "", "fail: status 404"),
    ] {
        let said = gate(&project, &format!("url: '{}', {asked}{with}", server.url(path)), "http", 1);
        let said = said.replace(&format!("127.0.0.1:{}", server.port), "HERE");
        assert!(said.contains(words), "{path}: no `{words}` in\n{said}");
    }
    // Who only wants the status does not wait for the body.
    gate(&project, &format!("url: '{}', {asked}", server.url("/huge")), "http", 0);
    gate(&project, &format!("url: '{}', {asked}", server.url("/drip")), "http", 0);
    let gone = server.port;
    drop(server);
    let said = gate(&project, &format!("url: 'http://127.0.0.1:{gone}', {asked}"), "http", 1);
    assert!(said.contains(&format!("error: nobody listens at `127.0.0.1:{gone}`")), "{said}");
    let said = gate(&project, &format!("address: '127.0.0.1:{gone}', {asked}"), "tcp", 1);
    assert!(said.contains("fail: 127.0.0.1"), "{said}");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_an_error_and_a_named_one_is_trusted() {
    let project = Project::new();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(project.path(""))
        .output()
        .expect("openssl is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let paths =
        [project.path("cert.pem"), project.path("key.pem")].map(|path| path.to_string_lossy().into_owned());
    let server = Server::start(&project, &[&paths[0], &paths[1]]);
    let url = format!("url: 'https://127.0.0.1:{}/', interval: 20ms, consecutive-fail: 1", server.port);
    let said = gate(&project, &url, "http", 1);
    assert!(said.contains("error: ") && said.contains("UnknownIssuer"), "{said}");
    gate(&project, &format!("{url}, ca: cert.pem"), "http", 0);
    let said = gate(&project, &format!("{url}, on-error: continue"), "http", 0);
    assert!(said.contains("error: "), "{said}");
}

#[test]
fn a_gate_waits_until_the_answer_comes_and_keeps_its_connection() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    project.write("ready", "503\nstarting");
    project.write(
        "plan.yaml",
        format!(
            "version: 1\nstages:\n  gate: {{uses: http, timeout: 60s, with: {{url: '{}', interval: 20ms, consecutive: 3}}}}\n\
             \x20 after: {{needs: [gate], run: 'echo got $V', env: {{V: \"{{{{ needs.gate.outputs.verdict }}}}\"}}}}\n",
            server.url("/file/ready")
        ),
    );
    let live = project.start(&["run", "plan.yaml", "--run-id", "one"]);
    live.line("status 503");
    project.write("ready", "200\nready");
    let out = live.end().expect(0);
    assert!(out.stdout.contains("got pass"), "{}", out.stdout);
    // Its samples say the same again.
    let again = project.engine(&["gate", "replay", "one", "gate"]).expect(0);
    assert!(again.stdout.contains("pass: status 200, 3 times in a row\nthe same as recorded"), "{}", again.stdout);
    let path = project.path(".engine/runs/one/gates/gate.jsonl");
    let text = std::fs::read_to_string(&path).expect("samples");
    let counted = project.engine(&[
        "gate",
        "probe",
        "http",
        "--url",
        &server.url("/count"),
        "--value",
        "/connections",
        "--pass",
        "<= 3",
    ]);
    counted.expect(0);
    // A changed sample is found.
    std::fs::write(&path, text.replacen("status 503", "status 504", 1)).expect("written");
    let out = project.engine(&["gate", "replay", "one", "gate"]).expect(8);
    assert!(out.stdout.contains("the samples are not those of the record"), "{}", out.stdout);
}

#[test]
fn a_timeout_ends_the_wait_and_a_cancel_too() {
    let project = Project::new();
    project.write(
        "plan.yaml",
        "version: 1\nstages:\n  gate: {uses: file, timeout: 200ms, with: {path: never, interval: 20ms}}\n",
    );
    let out = project.engine(&["run", "plan.yaml"]).expect(1);
    assert!(out.stdout.contains("timed-out") && out.stdout.contains("`never` is not there"), "{}", out.stdout);
    project.write("plan.yaml", "version: 1\nstages:\n  gate: {uses: file, with: {path: never, interval: 20ms}}\n");
    let live = project.start(&["run", "plan.yaml"]);
    live.line("`never` is not there");
    live.signal(rustix::process::Signal::INT);
    live.end().expect(130);
}

#[test]
fn files_and_commands_are_asked_too() {
    let project = Project::new();
    project.write("state.json", "{\"depth\": 4}");
    for (kind, with, status, words) in [
        ("file", "path: state.json, expect: {json: {/depth: '< 5'}}", 0, "pass: 12 bytes"),
        ("file", "path: state.json, value: /depth, pass: '< 4', consecutive-fail: 1", 1, "fail: 4 is not < 4"),
        ("file", "path: state.json, expect: {absent: true}, consecutive-fail: 1", 1, "`state.json` is there"),
        ("file", "path: gone, expect: {absent: true}", 0, "`gone` is not there"),
        ("command", "run: [test, -e, state.json]", 0, "pass: exit code 0"),
        ("command", "run: ['false'], consecutive-fail: 2, interval: 20ms", 1, "exit code 1, 2 times in a row"),
        ("command", "run: [bash, -c, 'exit 3'], expect: {exit: [3]}", 0, "pass: exit code 3"),
        ("command", "run: [cat, state.json], value: /depth, pass: '>= 4'", 0, "pass: 4 is >= 4"),
        (
            "command",
            "run: [sleep, '60'], request-timeout: 100ms, consecutive-fail: 1",
            1,
            "did not end within 100ms",
        ),
        (
            "command",
            "run: [no-such-program], consecutive-fail: 1",
            1,
            "error: `no-such-program` cannot be started",
        ),
    ] {
        let said = gate(&project, with, kind, status);
        assert!(said.contains(words), "{kind} {with}: no `{words}` in\n{said}");
    }
}

#[test]
fn gates_of_the_host_ask_side_by_side_while_a_process_has_the_only_slot() {
    const GATES: usize = 40;
    let project = Project::new();
    let gate =
        |number| format!("  a{number}: {{uses: file, timeout: 60s, with: {{path: flag, interval: 20ms}}}}\n");
    let gates: String = (0..GATES).map(gate).collect::<Vec<_>>().concat();
    // It ends when every gate has asked in vain, and each of them ends after it.
    let work = format!(
        "  work:\n    timeout: 60s\n    run: |\n      \
         asked() {{ grep -ls 'is not there' .engine/runs/one/gates/*.jsonl | wc -l; }}\n      \
         until [ $(asked) -eq {GATES} ]; do :; done\n      touch flag\n"
    );
    project.write("plan.yaml", format!("version: 1\nstages:\n{gates}{work}"));
    project.engine(&["run", "plan.yaml", "--run-id", "one", "-j", "1"]).expect(0);
}

#[test]
fn a_held_gate_waits_for_a_person_who_waives_or_refuses_it() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  gate: {uses: file, with: {path: never, interval: 20ms, consecutive-fail: 1, on-fail: hold}}\n\
         \x20 after: {needs: [gate], run: 'echo after'}\n",
    );
    let out = project.engine(&["run", "plan.yaml", "--run-id", "one", "--yes"]).expect(5);
    assert!(out.stdout.contains("held: fail: `never` is not there; go on all the same?"), "{}", out.stdout);
    assert!(!out.stdout.contains("after |"), "{}", out.stdout);
    project.engine(&["approve", "one", "gate", "-m", "known"]).expect(0);
    let out = project.engine(&["resume", "one"]).expect(0);
    assert!(out.stdout.contains("after"), "{}", out.stdout);
    let status = project.engine(&["status", "one"]).expect(0);
    assert!(status.stdout.contains("waived by ann"), "{}", status.stdout);
    project.engine(&["run", "plan.yaml", "--run-id", "two"]).expect(5);
    project.engine(&["reject", "two", "gate"]).expect(0);
    project.engine(&["resume", "two"]).expect(1);
    // Nobody came in time.
    project.write(
        "plan.yaml",
        "version: 1\nstages:\n  gate: {uses: file, with: {path: never, interval: 20ms, consecutive-fail: 1, on-fail: hold, hold-for: 50ms}}\n\
         \x20 beside: {uses: file, with: {path: later, interval: 20ms}}\n",
    );
    let live = project.start(&["run", "plan.yaml"]);
    live.line("nobody decided in time");
    project.write("later", "");
    live.end().expect(1);
}

#[test]
fn a_killed_engine_goes_on_with_the_samples_it_had() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  gate: {uses: soak, with: {for: 400ms, interval: 20ms, on-no-data: fail, coverage: 50%, \
         metrics: {depth: {file: depth, value: '', pass: '< 5'}}}}\n  hold: {needs: [gate], run: 'true'}\n",
    );
    let live = project.start(&["run", "plan.yaml", "--run-id", "one"]);
    let path = project.path(".engine/runs/one/gates/gate.jsonl");
    live.line("no data: `depth` is not there");
    project.write("depth", "3");
    live.kill_worker();
    live.end();
    let before = std::fs::read_to_string(&path).expect("samples").lines().count();
    assert!(before < 20, "killed in the middle: {before}");
    project.engine(&["resume", "one"]).expect(0);
    let again = project.engine(&["gate", "replay", "one", "gate"]).expect(0);
    assert!(again.stdout.contains("pass: depth: max 3 is < 5"), "{}", again.stdout);
    let whole = std::fs::read_to_string(&path).expect("samples");
    assert!(
        whole.contains("not there") && whole.lines().count() <= 24,
        "it went on instead of beginning anew:\n{whole}"
    );
}
