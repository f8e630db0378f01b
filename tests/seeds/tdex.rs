//! TDE-X (`plans/tdex`): a real database, front, service and ssh target; broken, killed and without its secrets.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::lab::Lab;
use crate::shown::expect_shown;
use crate::support::{Live, Output, free_port};

const SECRET: &str = "canary-secret-key-0123456789abcdef";
const WORD: &str = "canary-s3cret%2F$x";
const DEPLOY: [&str; 4] = ["run", "plans/tdex/deploy.yaml", "--run-id", "one"];
const BOOTSTRAP: [&str; 3] = ["check-env", "tools", "warm-cache"];

struct Tdex {
    lab: Lab,
    port: u16,
}

impl Tdex {
    fn new() -> Self {
        let mut lab = Lab::new(&["plans/tdex", "plans/lib", "examples/tdex", "environments/tdex"]);
        let port = free_port();
        let values = lab.project.read("environments/tdex/lab.yaml");
        let mended = values.replace("values: {", &format!("values: {{PORT: {port}, "));
        assert_ne!(values, mended);
        lab.project.write("environments/tdex/lab.yaml", mended);
        let sockets = lab.place("postgres/sockets");
        let url = format!("postgresql+asyncpg://bridge:{WORD}@/bridge?host={}", sockets.display());
        lab.env = vec![("DATABASE_URL", url), ("SECRET_KEY", SECRET.to_owned())];
        Self { lab, port }
    }

    fn get(&self, route: &str) -> String {
        self.lab.get(&format!("http://127.0.0.1:{}{route}", self.port))
    }

    /// One query, asked with the service's own role.
    #[track_caller]
    fn query(&self, sql: &str) -> String {
        let url = self.lab.env[0].1.replace("+asyncpg", "");
        self.lab.tool("psql", &["-XAtq", "-d", &url, "-c", sql]).trim_end().to_owned()
    }

    /// That every migration is there, and none was applied twice.
    #[track_caller]
    fn expect_migrated_once(&self) {
        assert_eq!(
            self.query("select string_agg(number::text, ' ' order by number) from schema_migrations"),
            "1 2 3"
        );
        assert_eq!(self.query("select count(*) from tasks"), "2", "each migration took effect once");
        assert_eq!(self.query("select count(*) from shards"), "3");
    }

    fn expect_states(&self, ids: &[&str], state: &str) {
        for id in ids {
            assert_eq!(self.lab.stage("one", id)["state"], state, "{id}");
        }
    }

    fn down(&self) -> Output {
        self.lab.engine(&["run", "plans/tdex/down.yaml"]).expect(0)
    }

    /// That no secret stands in the state of the engine or in what it printed.
    fn expect_no_secret(&self, printed: &Output) {
        for text in [&printed.stdout, &printed.stderr] {
            assert!(!text.contains("canary"), "{text}");
        }
        search(&self.lab.project.path(".engine"));
    }
}

/// Every byte below a folder is free of the secrets.
fn search(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path);
        } else {
            let bytes = fs::read(&path).expect("a file");
            assert!(!bytes.windows(6).any(|part| part == b"canary"), "a secret in {}", path.display());
        }
    }
}

#[test]
fn groups_side_by_side_and_it_serves_when_the_engine_is_gone() {
    let tdex = Tdex::new();
    let out = tdex.lab.engine(&DEPLOY).expect(0);
    let stages = tdex.lab.stages("one");
    assert!(stages.iter().all(|stage| stage["state"] == "success"), "{stages:?}");
    // The first stage of each group starts at once, before anything has ended.
    let first_end = out.stdout.find("success  ").expect("an end");
    for id in ["check-env", "database"] {
        assert!(out.stdout[..first_end].contains(&format!("start  {id}\n")), "{}", out.stdout);
    }
    // What nobody waits for starts when the verdict is told.
    let verdict = out.stdout.find("3 background stages still run").expect("the verdict");
    assert!(out.stdout.find("start  asset-target\n").is_some_and(|at| at > verdict), "{}", out.stdout);
    for route in ["/health/live", "/health/ready", "/api/shards", "/api/session"] {
        assert_eq!(tdex.get(route), "200 v1.9.7a", "{route}");
    }
    tdex.expect_migrated_once();
    let (source, target) = (tdex.lab.place("assets"), tdex.lab.place("target"));
    tdex.lab.tool("diff", &["-r", source.to_str().expect("text"), target.to_str().expect("text")]);
    assert_eq!(fs::read_dir(target).expect("the target").count(), 200);
    let metrics = fs::read_to_string(tdex.lab.place("metrics/tdex.prom")).expect("metrics");
    assert!(metrics.contains("tdex_deploy_ok{version=\"v1.9.7a\"} 1\n"), "{metrics}");
    tdex.expect_no_secret(&out);
    tdex.lab.engine(&["verify", "one"]).expect(0);
    // A second deployment is refused by its preflight: somebody has the port.
    let again = tdex.lab.engine(&["run", "plans/tdex/deploy.yaml", "--run-id", "two"]).expect(1);
    assert!(again.stdout.contains(&format!("somebody listens on port {}", tdex.port)), "{}", again.stdout);
    let down = tdex.down();
    assert!(down.stdout.contains("services | postgres is down"), "{}", down.stdout);
    assert_eq!(
        tdex.lab.tool("sh", &["-c", &format!("curl -s http://127.0.0.1:{}/ || echo nobody", tdex.port)]),
        "nobody\n"
    );
}

#[test]
fn a_release_that_is_taken_back_takes_its_migrations_along() {
    let tdex = Tdex::new();
    tdex.lab.engine(&DEPLOY).expect(0);
    assert_eq!(tdex.query("select max(number) from schema_migrations"), "3");
    let out = tdex.lab.engine(&["rollback", "one"]).expect(0);
    assert!(out.stdout.contains("undone 003_task_state"), "{}", out.stdout);
    assert_eq!(tdex.query("select count(*) from schema_migrations"), "0");
    assert_eq!(tdex.lab.stage("one", "migrate")["state"], "undone");
}

#[test]
fn a_broken_migration_stays_in_its_group_and_fails_the_run() {
    let tdex = Tdex::new();
    let broken = "examples/tdex/migrations/003_task_state.sql";
    let whole = tdex.lab.project.read(broken);
    tdex.lab.project.write(broken, format!("{whole}alter table nothing add column x int;\n"));
    let out = tdex.lab.engine(&DEPLOY).expect(1);
    assert!(out.stdout.contains("migrate | applied 002_tasks"), "{}", out.stdout);
    assert!(out.stdout.contains("relation \"nothing\" does not exist"), "{}", out.stdout);
    // What was before it in the same file is not there either.
    assert_eq!(tdex.query("select max(number) from schema_migrations"), "2");
    assert_eq!(
        tdex.query(
            "select count(*) from information_schema.columns where table_name = 'tasks' and column_name = 'state'"
        ),
        "0"
    );
    tdex.expect_states(&BOOTSTRAP, "success");
    tdex.expect_states(&["asset-target", "upload-assets", "emit-metrics"], "success");
    tdex.expect_states(&["start", "point", "routes"], "blocked");
    assert!(tdex.get("/health/ready").starts_with("502"), "the front answers, with nobody behind it");
    tdex.expect_no_secret(&out);
    // The mended migration goes on where it stood.
    tdex.lab.project.write(broken, whole);
    expect_shown("docs/tdex.md", "engine run plans/tdex/deploy.yaml --run-id", &out.stdout);
    let resumed = tdex.lab.engine(&["resume", "one"]).expect(0);
    expect_shown("docs/tdex.md", "engine resume one", &resumed.stdout);
    assert!(resumed.stdout.contains("migrate | 002_tasks was applied before"), "{}", resumed.stdout);
    assert!(!resumed.stdout.contains("start  database"), "{}", resumed.stdout);
    assert_eq!(tdex.get("/health/ready"), "200 v1.9.7a");
    tdex.expect_migrated_once();
}

/// Kills the engine with -9 while the stage `migrate` stands at the barrier, and goes on.
fn killed_in_migration(tdex: &Tdex, mend: impl FnOnce()) -> Output {
    let live = Live::start(tdex.lab.command(&DEPLOY));
    tdex.lab.wait_at_barrier();
    live.signal(Signal::KILL);
    assert_eq!(live.end().status, 137);
    mend();
    let resumed = tdex.lab.engine(&["resume", "one"]).expect(0);
    assert_eq!(tdex.get("/health/ready"), "200 v1.9.7a");
    tdex.expect_migrated_once();
    tdex.expect_no_secret(&resumed);
    tdex.lab.engine(&["verify", "one"]).expect(0);
    resumed
}

#[test]
fn killed_in_the_middle_of_a_migration_it_is_applied_once() {
    let tdex = Tdex::new();
    let held = "examples/tdex/migrations/002_tasks.sql";
    let whole = tdex.lab.project.read(held);
    // `\!` is psql's: the session stands between two statements of an open transaction.
    let barrier = tdex.lab.barrier();
    tdex.lab.project.write(held, format!("{whole}\\! {barrier}\nselect 1;\n"));
    let resumed = killed_in_migration(&tdex, || {
        tdex.lab.project.write(held, &whole);
    });
    assert!(resumed.stdout.contains("migrate | 001_shards was applied before"), "{}", resumed.stdout);
    assert!(resumed.stdout.contains("migrate | applied 002_tasks"), "it was rolled back\n{}", resumed.stdout);
    assert!(!resumed.stdout.contains("start  database"), "the database outlived the engine\n{}", resumed.stdout);
}

#[test]
fn killed_after_the_last_commit_the_database_is_asked_and_nothing_is_applied_again() {
    let tdex = Tdex::new();
    let script = "plans/lib/migrate";
    let whole = tdex.lab.project.read(script);
    let barrier = tdex.lab.barrier();
    tdex.lab.project.script(script, &format!("{whole}{barrier}\n"));
    let resumed = killed_in_migration(&tdex, || {
        tdex.lab.project.script(script, &whole);
    });
    assert!(resumed.stdout.contains("its `done-if` says that it is done"), "{}", resumed.stdout);
    assert!(!resumed.stdout.contains("start  migrate"), "{}", resumed.stdout);
}

#[test]
fn killed_behind_the_verdict_another_engine_brings_the_upload_to_its_end() {
    let tdex = Tdex::new();
    let script = "examples/tdex/upload";
    let whole = tdex.lab.project.read(script);
    let barrier = tdex.lab.barrier();
    // Everything is on the far end, but nobody has counted it yet.
    let held = whole.replace("\nfar \"cd", &format!("\n{barrier}\nfar \"cd"));
    assert_ne!(whole, held);
    tdex.lab.project.script(script, &held);
    let live = Live::start(tdex.lab.command(&DEPLOY));
    live.line("background stages still run");
    tdex.lab.wait_at_barrier();
    assert_eq!(tdex.get("/health/ready"), "200 v1.9.7a", "it serves while assets are uploaded");
    live.signal(Signal::KILL);
    live.end();
    assert!(!tdex.lab.place("target/asset-0000.txt").exists(), "half an upload is not in place");
    tdex.lab.project.script(script, &whole);
    let drained = tdex.lab.engine(&["queue", "drain"]).expect(0);
    assert!(!drained.stdout.contains("start  asset-target"), "it is up\n{}", drained.stdout);
    assert_eq!(tdex.lab.stage("one", "upload-assets")["attempts"], 2);
    tdex.expect_states(&["upload-assets", "emit-metrics"], "success");
    assert_eq!(fs::read_dir(tdex.lab.place("target")).expect("the target").count(), 200);
    tdex.expect_migrated_once();
}

#[test]
fn without_a_secret_nothing_is_touched() {
    let mut tdex = Tdex::new();
    tdex.lab.env.retain(|(key, _)| *key != "SECRET_KEY");
    let out = tdex.lab.engine(&DEPLOY).expect(9);
    assert!(out.stderr.contains("`SECRET_KEY` is not set"), "{}", out.stderr);
    expect_shown("docs/tdex.md", "engine run plans/tdex/deploy.yaml", &out.stderr);
    assert!(!tdex.lab.place("").exists(), "nothing was begun");
    assert!(!out.stderr.contains("canary"), "{}", out.stderr);
}

#[test]
fn an_upload_that_cannot_be_made_harms_nobody() {
    let tdex = Tdex::new();
    let script = "examples/tdex/upload";
    let whole = tdex.lab.project.read(script);
    tdex.lab.project.script(script, &whole.replace("-i \"$dir/client\"", "-i \"$dir/host\""));
    let plan = tdex.lab.project.read("plans/tdex/deploy.yaml");
    tdex.lab.project.write("plans/tdex/deploy.yaml", plan.replace("delay: 1s, backoff: 2", "delay: 10ms"));
    let out = tdex.lab.engine(&DEPLOY).expect(0);
    assert!(out.stdout.contains("Permission denied (publickey)"), "the key is not the right one\n{}", out.stdout);
    tdex.expect_states(&["upload-assets"], "failed");
    tdex.expect_states(&["emit-metrics"], "blocked");
    let tickets = tdex.lab.engine(&["tickets", "list"]).expect(0).stdout;
    assert!(tickets.contains("background work `upload-assets` of tdex-deploy failed"), "{tickets}");
    tdex.expect_states(&["migrate", "start", "routes"], "success");
    assert_eq!(tdex.get("/health/ready"), "200 v1.9.7a");
    // Once the key is right the dead letter is queued again.
    tdex.lab.project.script(script, &whole);
    tdex.lab.engine(&["queue", "retry", "one", "upload-assets"]).expect(0);
    tdex.lab.engine(&["queue", "drain", "one"]).expect(0);
    tdex.expect_states(&["upload-assets", "emit-metrics"], "success");
}

#[test]
fn told_not_to_wait_it_serves_before_anything_is_uploaded() {
    let tdex = Tdex::new();
    let mut words = DEPLOY.to_vec();
    words.push("--no-wait");
    let out = tdex.lab.engine(&words).expect(0);
    assert!(out.stdout.contains("3 background stages are left to `engine queue drain one`"), "{}", out.stdout);
    assert_eq!(tdex.get("/health/ready"), "200 v1.9.7a");
    assert!(!tdex.lab.place("target").exists(), "nothing was uploaded yet");
    tdex.lab.engine(&["queue", "drain", "--until-empty"]).expect(0);
    assert_eq!(fs::read_dir(tdex.lab.place("target")).expect("the target").count(), 200);
}
