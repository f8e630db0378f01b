//! `engine init`: a small plan that runs.

use std::io::Write;

use super::args::InitArgs;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::print;
use crate::report::hint;

const YAML: &str = include_str!("init/plan.yaml");
const TOML: &str = include_str!("init/plan.toml");

/// Writes `plan.yaml` or `plan.toml`; never over a file that is there.
pub(super) fn run(args: &InitArgs) -> Answer {
    let (name, text) = if args.toml { ("plan.toml", TOML) } else { ("plan.yaml", YAML) };
    let path = args.dir.join(name);
    let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    std::fs::create_dir_all(&args.dir).map_err(|error| {
        Fault::new(Exit::Environment, format!("failed to make `{}`: {error}", args.dir.display()))
    })?;
    let mut file = std::fs::File::create_new(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fault::new(Exit::Usage, format!("`{shown}` is there already, and stays as it is"))
                .help("give another folder: engine init DIR")
        }
        _ => Fault::new(Exit::Environment, format!("failed to write `{shown}`: {error}")),
    })?;
    file.write_all(text.as_bytes())
        .map_err(|error| Fault::new(Exit::Environment, format!("failed to write `{shown}`: {error}")))?;
    print::line(&format!("wrote {shown}\n"));
    let [plan, run] = ["plan", "run"].map(|verb| hint::command(&format!("{verb} {}", hint::word(&shown))));
    print::line(&format!("  {plan}   shows what it would do"));
    print::line(&format!("  {run}    does it"));
    Ok(Exit::Success)
}
