//! `engine man`

use clap::CommandFactory;

use super::args::{Cli, ManArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::print;

/// Prints the main page, or writes one page for each command into a folder.
pub(super) fn run(args: &ManArgs) -> Answer {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        print::out(&page(&command)?);
        return Ok(Exit::Success);
    };
    let failed = |error: std::io::Error| {
        Fault::new(Exit::Environment, format!("failed to write man pages to `{}`: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(dir.join("engine.1"), page(&command)?).map_err(failed)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        let name = format!("engine-{}", verb.get_name());
        let verb = verb.clone().display_name(name.clone());
        std::fs::write(dir.join(format!("{name}.1")), page(&verb)?).map_err(failed)?;
    }
    Ok(Exit::Success)
}

/// One page in roff.
fn page(command: &clap::Command) -> Result<String, Fault> {
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut roff)
        .map_err(|error| Fault::new(Exit::Internal, format!("failed to render a man page: {error}")))?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}
