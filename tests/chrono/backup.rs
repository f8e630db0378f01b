//! Sealed backups (`plans/chrono/backup.yaml`) of a real database with a real age, and a lost machine that gets its data
//! back (`plans/chrono/recover.yaml`).

use std::fs;

use super::deploy::Production;
use crate::support::{Live, Output};

impl Production {
    /// Makes the keys that backups are sealed for.
    fn keys(&self) {
        self.lab.tool("age-keygen", &["-o", "key"]);
        let public = self.lab.tool("age-keygen", &["-y", "key"]);
        self.lab.project.write("recipients", public);
    }

    fn path(&self, path: &str) -> String {
        self.lab.project.path(path).to_str().expect("text").to_owned()
    }

    fn back_up(&self, id: &str, more: &[&str]) -> Output {
        let (store, recipients) = (self.path("store"), self.path("recipients"));
        let sets = [format!("store={store}"), format!("recipients={recipients}")];
        let mut args = vec!["run", "plans/chrono/backup.yaml", "--no-input", "--run-id", id];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        args.extend(more);
        self.lab.engine(&args)
    }

    fn sealed(&self) -> Vec<String> {
        let entries = fs::read_dir(self.lab.project.path("store")).expect("the store");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

#[test]
fn a_backup_is_sealed_opens_again_and_old_ones_go() {
    let production = Production::new();
    production.keys();
    let identity = format!("identity={}", production.path("key"));
    // Three of other days, of which two may go.
    fs::create_dir(production.lab.project.path("store")).expect("a folder");
    for day in ["20200101T0000Z", "20200102T0000Z", "20200103T0000Z"] {
        production.lab.project.write(format!("store/{day}-v0.0.9-old.dump.age"), "old");
    }
    let out = production.back_up("one", &["--set", &identity, "--set", "keep-least=2"]).expect(0);
    assert!(out.stdout.contains("is what the database held"), "{}", out.stdout);
    let names = production.sealed();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("20200103") && names[1].ends_with("-v0.1.0-one.dump.age"), "{names:?}");
    // Nothing of it is left in the clear, here or in what the engine keeps.
    let sealed = fs::read(production.lab.project.path("store").join(&names[1])).expect("a file");
    assert!(sealed.starts_with(b"age-encryption.org/v1"), "it is a file of age");
    let open = fs::read_dir(production.lab.place("backups")).expect("backups").count();
    assert_eq!(open, 1, "only the one of the deployment is left, which stays on this machine");
    assert_eq!(production.query("select count(*) from pg_database where datname like 'chrono_%'"), "0");
    // Whoever has another key opens nothing.
    production.lab.tool("age-keygen", &["-o", "other"]);
    let wrong = format!("identity={}", production.path("other"));
    let out = production.back_up("two", &["--set", &wrong]).expect(1);
    assert!(out.stdout.contains("does not open"), "{}", out.stdout);
    assert_eq!(production.sealed().len(), 3, "nothing old went for what cannot be opened");
    let tickets = production.lab.engine(&["tickets", "list"]).expect(0).stdout;
    assert!(tickets.contains("opens"), "{tickets}");
}

#[test]
fn a_database_that_does_not_answer_leaves_a_ticket_and_no_half_backup() {
    let production = Production::new();
    production.keys();
    let place = production.path("place");
    production.lab.tool("plans/lib/runit", &["stop", &place, "postgres"]);
    // Its re-tries wait half a minute each.
    let plan = production.lab.project.read("plans/chrono/backup.yaml");
    production.lab.project.write("plans/chrono/backup.yaml", plan.replace("delay: 30s", "delay: 10ms"));
    let out = production.back_up("one", &[]).expect(1);
    assert!(out.stdout.contains("failed  dump"), "{}", out.stdout);
    assert!(!production.lab.project.has("store"), "nothing was sealed");
    let tickets = production.lab.engine(&["tickets", "list", "--json"]).expect(0).stdout;
    assert!(tickets.contains("dump"), "{tickets}");
}

#[test]
fn a_lost_machine_gets_its_data_back_and_is_told_which_tag() {
    let production = Production::new();
    production.keys();
    production.back_up("one", &[]).expect(0);
    let before = production.query("select string_agg(price::text, ' ') from price_data");
    let store = format!("store={}", production.path("store"));
    let identity = format!("identity={}", production.path("key"));
    let recover = |id: &str| {
        production.lab.engine(&[
            "run",
            "plans/chrono/recover.yaml",
            "--no-input",
            "--run-id",
            id,
            "--set",
            &store,
            "--set",
            &identity,
        ])
    };
    // Where there is data nothing is put over it.
    let out = recover("early").expect(1);
    assert!(out.stdout.contains("nothing is put over it"), "{}", out.stdout);
    assert_eq!(production.query("select string_agg(price::text, ' ') from price_data"), before);
    production.lab.engine(&["cancel", "early"]).expect(0);
    // The machine is lost: nothing of the place is left but what lies elsewhere.
    production.lab.tool("plans/lib/runit", &["down", &production.path("place")]);
    fs::remove_dir_all(production.lab.place("")).expect("the place goes");
    let out = recover("late").expect(0);
    assert!(out.stdout.contains("deploy v0.1.0 now: it left the data so"), "{}", out.stdout);
    assert_eq!(production.query("select string_agg(price::text, ' ') from price_data"), before);
    Live::start(production.command_as("v0.1.0", "again")).end().expect(0);
    assert_eq!(production.ask("/price/FLR", &[]), "{\"price\": 2}");
}
