//! `engine doctor`: what is wrong with this machine or project, and how to mend it.

use std::path::{Path, PathBuf};

use super::args::DoctorArgs;
use super::exit::Exit;
use super::settings::Settings;
use super::{find, print};
use crate::journal;
use crate::report::hint;

/// Less free space than this on the state folder's disk is a finding.
const MIN_FREE_BYTES: u64 = 256 << 20;

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    is_fine: bool,
    said: String,
    help: Option<String>,
}

impl Finding {
    fn fine(name: &'static str, said: impl Into<String>) -> Self {
        Self { name, is_fine: true, said: said.into(), help: None }
    }

    fn bad(name: &'static str, said: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name, is_fine: false, said: said.into(), help: Some(help.into()) }
    }
}

/// Looks at everything and tells; exit 9 when something is wrong.
pub(super) fn run(args: &DoctorArgs, settings: &Settings) -> Exit {
    let findings = [
        root(settings),
        tool("bash", "scripts run in it; install it, or give stages `shell: sh`"),
        tool("git", "the commit tells runs of different sources apart; install it, or give `--key`"),
        state_dir(settings),
        space(settings),
        children(),
        runs(settings),
    ];
    if args.json {
        let items: Vec<_> = findings
            .iter()
            .map(|one| serde_json::json!({"check": one.name, "ok": one.is_fine, "said": one.said, "help": one.help}))
            .collect();
        print::json(&serde_json::json!({"version": 1, "checks": items}));
    } else {
        for one in &findings {
            print::line(&format!("{}  {:<12} {}", if one.is_fine { "ok " } else { "BAD" }, one.name, one.said));
            if let Some(help) = &one.help {
                print::line(&format!("                  help: {help}"));
            }
        }
    }
    if findings.iter().all(|one| one.is_fine) { Exit::Success } else { Exit::Environment }
}

fn root(settings: &Settings) -> Finding {
    Finding::fine("root", settings.root.display().to_string())
}

fn tool(name: &'static str, help: &str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Finding::fine(name, path.display().to_string()),
        None => Finding::bad(name, "not found in PATH", help),
    }
}

fn state_dir(settings: &Settings) -> Finding {
    let dir = &settings.state_dir;
    let place = existing(dir);
    match rustix::fs::access(&place, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Finding::fine("state", dir.display().to_string()),
        Err(error) => Finding::bad(
            "state",
            format!("`{}` cannot be written: {error}", place.display()),
            "give another one: --state-dir DIR",
        ),
    }
}

/// The nearest folder upward that exists.
fn existing(dir: &Path) -> PathBuf {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

fn space(settings: &Settings) -> Finding {
    let place = existing(&settings.state_dir);
    match rustix::fs::statvfs(&place) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let said = format!("{} MiB free", free >> 20);
            if free >= MIN_FREE_BYTES {
                Finding::fine("space", said)
            } else {
                Finding::bad("space", said, format!("delete old runs: {}", hint::command("gc")))
            }
        }
        Err(error) => Finding::bad("space", error.to_string(), "look at the disk of the state folder"),
    }
}

/// Processes that leave their stage are found through this file of the kernel.
fn children() -> Finding {
    let me = std::process::id();
    if Path::new(&format!("/proc/self/task/{me}/children")).exists() {
        Finding::fine("processes", "escaped processes can be found")
    } else {
        Finding::bad(
            "processes",
            "the kernel does not list children in /proc",
            "mount /proc, on a kernel with CONFIG_PROC_CHILDREN",
        )
    }
}

fn runs(settings: &Settings) -> Finding {
    let listed = find::state(settings).and_then(|state| Ok(state.runs()?));
    match listed {
        Ok(runs) => {
            let damaged: Vec<String> = runs
                .iter()
                .filter(|run| journal::verify(&run.dir).is_ok_and(|found| !found.is_whole()))
                .map(|run| run.dir.id().to_string())
                .collect();
            let look = format!("look at it: {}", hint::verify(damaged.first().map_or("RUN", String::as_str)));
            if damaged.is_empty() {
                Finding::fine("runs", format!("{} on record, all whole", runs.len()))
            } else {
                Finding::bad("runs", format!("damaged: {}", damaged.join(", ")), look)
            }
        }
        Err(fault) => Finding::bad("runs", fault.message, format!("see: {}", hint::command("runs"))),
    }
}
