//! Puts one question to the outside.

use std::path::PathBuf;
use std::time::Duration;

use super::http::Web;
use super::small;
use crate::gate::{Probe, Seen};

/// Where a gate stands: its folder and its variables, secrets among them.
pub(super) struct Place {
    pub(super) cwd: PathBuf,
    pub(super) variables: Vec<(String, String)>,
}

/// What a probe remembers from one round to the next.
#[derive(Default)]
pub(super) struct Memory {
    /// Of a log: how far it was read, in which file, and how many lines have matched.
    pub(super) log: Option<small::Progress>,
}

/// Asks.
#[derive(Default)]
pub(super) struct Asker {
    web: Web,
}

impl Asker {
    /// What `probe` sees now.
    pub(super) fn ask(&self, probe: &Probe, patience: Duration, memory: &mut Memory, place: &Place) -> Seen {
        match probe {
            Probe::Http(http) => self.web.http(http, patience, place),
            Probe::Prometheus(query) => self.web.query(query, patience, place),
            Probe::Tcp(address) => small::tcp(address, patience),
            Probe::File(file) => small::file(file, place),
            Probe::Log(log) => small::log(log, memory, place),
            Probe::Command(command) => small::command(command, patience, place),
        }
    }
}

impl Place {
    /// `text` with each `${NAME}` of a variable in its place, so that a secret need not be in a word.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            filled.push_str(before);
            let (name, after) = behind.split_once('}').ok_or_else(|| "a `${` without its `}`".to_owned())?;
            let value = self.variables.iter().rev().find(|(key, _)| key == name);
            filled.push_str(&value.ok_or_else(|| format!("the stage has no variable `{name}`"))?.1);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}
