//! Production (`plans/chrono/deploy.yaml`): a released tag on a real database, behind a real front; taken back, killed,
//! and stopped before anything has changed.

use std::fs;

use rustix::process::Signal;

use crate::lab::Lab;
use crate::shown::expect_shown;
use crate::support::{Live, Output};

const WORD: &str = "canary-s3cret";
const COLUMNS: &str = "select string_agg(column_name, ' ' order by ordinal_position) from information_schema.columns where table_name = 'price_data'";

/// A project's repositories, and the place that its tags are deployed to.
pub(crate) struct Production {
    pub(crate) lab: Lab,
}

impl Production {
    /// Production with v0.1.0, which serves, and prices that users have submitted.
    pub(crate) fn new() -> Self {
        let folders = ["plans/chrono", "plans/lib", "examples/chrono", "environments/chrono"];
        let mut lab = Lab::new(&folders);
        let sockets = lab.place("postgres/sockets");
        lab.env = vec![
            ("DATABASE_URL", format!("postgresql://chrono:{WORD}@/chrono?host={}", sockets.display())),
            ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ];
        lab.tool("examples/chrono/make-repos", &["site"]);
        let production = Self { lab };
        production.deploy("v0.1.0").expect(0);
        for price in ["3", "1", "2"] {
            production.ask("/price/FLR", &["-d", price]);
        }
        production
    }

    pub(crate) fn command(&self, tag: &str) -> std::process::Command {
        self.command_as(tag, tag)
    }

    /// The same, in a run of this id.
    pub(crate) fn command_as(&self, tag: &str, id: &str) -> std::process::Command {
        let tag_is = format!("tag={tag}");
        // On a slow machine a look takes longer than the time between two.
        let sets = ["repo=site/clone", "bake=1s", "interval=100ms", "coverage=5%", "p99-ms=60000", &tag_is];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> =
            ["run", "plans/chrono/deploy.yaml", "--run-id", id].into_iter().chain(sets).collect();
        self.lab.command(&args)
    }

    fn deploy(&self, tag: &str) -> Output {
        Live::start(self.command(tag)).end()
    }

    fn url(&self, route: &str) -> String {
        let port = fs::read_to_string(self.lab.place("nginx/port")).expect("the front has a port");
        format!("http://127.0.0.1:{}{route}", port.trim())
    }

    /// What the front answers.
    #[track_caller]
    pub(crate) fn ask(&self, route: &str, args: &[&str]) -> String {
        self.lab
            .tool("curl", &[&["-sS", "--max-time", "60", &self.url(route)], args].concat())
            .trim_end()
            .to_owned()
    }

    /// The version that users are answered by, the schema that it sees, and its process.
    #[track_caller]
    fn served(&self) -> (String, u64, u64) {
        let told: serde_json::Value = serde_json::from_str(&self.ask("/healthz", &[])).expect("JSON");
        let number = |key: &str| told[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {told}"));
        (told["version"].as_str().expect("a version").to_owned(), number("schema"), number("pid"))
    }

    /// One query, asked with the service's own role.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> String {
        self.lab.tool("psql", &["-XAtq", "-d", &self.lab.env[0].1, "-c", sql]).trim_end().to_owned()
    }

    /// Releases what forge has, changed by this shell in the checkout, as `tag`: merged into khala, and pushed.
    #[track_caller]
    fn release(&self, tag: &str, change: &str) {
        let script = format!(
            "set -e; cd site/clone; git fetch -q origin; git checkout -q -B archives/{tag} origin/forge; {change}; \
             git commit -q --allow-empty -am 'Make {tag}'; git checkout -q -B khala origin/khala; \
             git merge -q --no-ff --no-commit -s ours archives/{tag}; git read-tree --reset -u archives/{tag}; \
             git commit -q -m 'Release {tag}'; git tag -a -m 'Release {tag}' {tag}; \
             git push -q origin archives/{tag}; git push -q --atomic origin khala {tag}"
        );
        self.lab.tool("sh", &["-c", &script]);
    }

    /// The word that the record has for each tag, in order.
    fn record(&self) -> String {
        let text = fs::read_to_string(self.lab.place("record")).expect("a record");
        let words = text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>().join(", ")
    }

    /// The backups, by the tag that they are of.
    fn backups(&self) -> Vec<String> {
        let names = fs::read_dir(self.lab.place("backups")).expect("backups").map(|entry| {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            name.split('-').nth(1).expect("TIME-TAG-RUN.dump").to_owned()
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// That v0.1.0 serves from the process `pid`, on its own schema, with every price that users had submitted.
    #[track_caller]
    fn expect_as_before(&self, pid: u64) {
        assert_eq!(self.lab.get(&self.url("/")), "200 v0.1.0");
        assert_eq!(self.served(), ("v0.1.0".to_owned(), 1, pid));
        assert_eq!(self.query(COLUMNS), "symbol price at");
        assert_eq!(
            self.query("select string_agg(price::text, ' ') from price_data where symbol = 'FLR'"),
            "3 1 2"
        );
        assert_eq!(self.ask("/price/FLR", &[]), "{\"price\": 2}");
    }
}

#[test]
fn a_released_tag_goes_live_and_its_backup_can_be_restored() {
    let production = Production::new();
    let (_, _, old) = production.served();
    let mut release = production.lab.project.command(&["run", "plans/chrono/release.yaml", "--yes"]);
    for set in ["repo=site/clone", "issues=site/issues.tsv", "staging=site/staging", "version=0.2.0"] {
        release.args(["--set", set]);
    }
    release.envs(production.lab.env.iter().map(|(key, value)| (*key, value)));
    Live::start(release).end().expect(0);

    let out = production.deploy("v0.2.0").expect(0);
    let (version, schema, pid) = production.served();
    assert_eq!((version.as_str(), schema), ("v0.2.0", 2));
    assert_ne!(pid, old);
    assert_eq!(production.query(COLUMNS), "symbol price at source");
    assert_eq!(production.ask("/price/FLR", &[]), "{\"price\": 2}");
    assert_eq!(production.record(), "good v0.1.0, good v0.2.0");
    assert_eq!(production.backups(), ["none", "v0.1.0"]);
    assert!(out.stdout.contains("healthy | pass: status 200, 3 times in a row"), "{}", out.stdout);
    expect_shown(
        "docs/chrono.md",
        "engine run plans/chrono/deploy.yaml --set repo=/tmp/chrono/clone --set tag=v0.2.0",
        &out.stdout,
    );
    assert!(!out.stdout.contains(WORD) && !out.stderr.contains(WORD), "{}", out.stdout);

    // By hand: beside the live database, and never over it.
    let backup = production.lab.stage("v0.2.0", "backup")["outputs"]["file"].clone();
    let backup = backup.as_str().expect("the backup's file");
    let place = production.lab.place("");
    let restore = format!("examples/chrono/restore-backup {} {backup}", place.display());
    let told = production.lab.tool("sh", &["-c", &format!("{restore} looked_at")]);
    assert!(told.contains("price_data: 4 rows"), "{told}");
    let told = production.lab.tool("sh", &["-c", &format!("{restore} chrono 2>&1 || true")]);
    assert!(told.contains("chrono is in use"), "{told}");

    // A person may go back later, too.
    production.lab.engine(&["rollback", "v0.2.0"]).expect(0);
    production.expect_as_before(old);
    assert_eq!(production.record(), "good v0.1.0, rolled-back v0.2.0");
}

#[test]
fn a_tag_that_is_not_well_is_taken_back_to_the_last_good_one() {
    let production = Production::new();
    let (_, _, pid) = production.served();
    // It answers, but not as what it is.
    production.release("v0.2.0", "sed -i 's/\"version\": VERSION/\"version\": \"v9\"/' src/serve");
    let out = production.deploy("v0.2.0").expect(1);
    assert!(out.stdout.contains("probe | fail: "), "{}", out.stdout);
    assert!(out.stdout.contains("undone 002_source"), "{}", out.stdout);
    assert!(out.stdout.contains("rolled-back  run v0.2.0"), "{}", out.stdout);
    for (id, state) in [("start", "undone"), ("migrate", "undone"), ("switch", "blocked"), ("backup", "success")] {
        assert_eq!(production.lab.stage("v0.2.0", id)["state"], state, "{id}");
    }
    production.expect_as_before(pid);

    // It is well for whoever looks at it, and for no other user.
    let change = "sed -i 's/^    prices = /    if symbol != \"canary\": raise OSError\\n    prices = /' src/serve";
    production.release("v0.3.0", change);
    let mut command = production.command("v0.3.0");
    command.args(["--set", "bake=4s"]);
    let live = Live::start(command);
    live.line("start  healthy");
    assert_eq!(production.ask("/price/FLR", &[]), "{\"error\": \"OSError\"}");
    let out = live.end().expect(1);
    assert!(out.stdout.contains("bake | fail: errors: last "), "{}", out.stdout);
    expect_shown(
        "docs/chrono.md",
        "engine run plans/chrono/deploy.yaml --set repo=/tmp/chrono/clone --set tag=v0.3.0",
        &out.stdout,
    );
    assert!(out.stdout.contains("rolled-back  run v0.3.0"), "{}", out.stdout);
    assert_eq!(production.lab.stage("v0.3.0", "switch")["state"], "undone");
    production.expect_as_before(pid);
    assert_eq!(production.record(), "good v0.1.0, rolled-back v0.2.0, rolled-back v0.3.0");
    assert_eq!(production.backups(), ["none", "v0.1.0", "v0.1.0"]);
    production.lab.engine(&["verify", "v0.3.0"]).expect(0);
}

#[test]
fn killed_in_the_middle_of_its_migration_it_is_applied_once() {
    let production = Production::new();
    // `\!` is psql's: the session stands between two statements of an open transaction.
    let barrier = production.lab.barrier();
    let held = format!("printf '%s\\n' '\\! {barrier}' 'select 1;' >> migrations/002_source.sql");
    production.release("v0.2.0", &held);
    let live = Live::start(production.command("v0.2.0"));
    production.lab.wait_at_barrier();
    live.signal(Signal::KILL);
    assert_eq!(live.end().status, 137);
    assert_eq!(production.served().0, "v0.1.0", "users notice nothing");

    let file = production.lab.place("releases/v0.2.0/migrations/002_source.sql");
    let text = fs::read_to_string(&file).expect("the migration");
    fs::write(&file, text.lines().next().expect("its statement")).expect("a file");
    let resumed = production.lab.engine(&["resume", "v0.2.0"]).expect(0);
    assert!(resumed.stdout.contains("migrate | 001_price_data was applied before"), "{}", resumed.stdout);
    assert!(resumed.stdout.contains("migrate | applied 002_source"), "it was rolled back\n{}", resumed.stdout);
    assert!(!resumed.stdout.contains("start  backup"), "{}", resumed.stdout);
    assert_eq!(
        production.query("select string_agg(number::text, ' ' order by number) from schema_migrations"),
        "1 2"
    );
    assert_eq!(production.query("select count(*) from price_data"), "4");
    assert_eq!(production.served().0, "v0.2.0");
    production.lab.engine(&["verify", "v0.2.0"]).expect(0);
}

#[test]
fn a_backup_that_cannot_be_restored_stops_everything() {
    let production = Production::new();
    let (_, _, pid) = production.served();
    production.release("v0.2.0", "true");
    // It can be dumped, but the prices come back before the symbols that they are checked against.
    production.query(
        "create table symbols (name text); insert into symbols values ('FLR'), ('canary'); \
         create function is_known(text) returns bool language sql as 'select exists (select from public.symbols where name = $1)'; \
         alter table price_data add constraint known check (public.is_known(symbol))",
    );
    let out = production.deploy("v0.2.0").expect(1);
    assert!(out.stdout.contains("violates check constraint \"known\""), "{}", out.stdout);
    for id in ["schema", "migrate", "start", "switch", "good"] {
        assert_eq!(production.lab.stage("v0.2.0", id)["state"], "blocked", "{id}");
    }
    production.expect_as_before(pid);
    assert_eq!(production.backups(), ["none"], "half a backup is none");
    assert_eq!(production.query("select count(*) from pg_database where datname = 'chrono_restored'"), "0");

    production.query("alter table price_data drop constraint known");
    production.lab.engine(&["resume", "v0.2.0"]).expect(0);
    assert_eq!(production.served().0, "v0.2.0");
    assert_eq!(production.backups(), ["none", "v0.1.0"]);
}
