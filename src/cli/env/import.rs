//! `engine env import`

use std::fs;

use super::args::ImportArgs;
use super::count;
use crate::cli::exit::Exit;
use crate::cli::fault::{Answer, Fault};
use crate::cli::print;
use crate::cli::settings::Settings;
use crate::plan::environment::{import, is_name};

/// Writes a catalog and a base layer, and says what to look at.
pub(super) fn run(args: &ImportArgs, settings: &Settings) -> Answer {
    let failed = |what: String| Fault::new(Exit::Environment, what);
    let path = settings.cwd.join(&args.file);
    let text = fs::read_to_string(&path)
        .map_err(|error| failed(format!("`{}` cannot be read: {error}", args.file.display())))?;
    if let Some(folder) = args.folder.as_ref().filter(|folder| !is_name(folder)) {
        let help = "letters, digits, `-` and `_`, like `router`";
        return Err(Fault::new(Exit::Usage, format!("`{folder}` is no folder of environments")).help(help));
    }
    let imported = import(&text);
    let folder = settings.root.join("environments").join(args.folder.as_deref().unwrap_or_default());
    let files = [("catalog.yaml", &imported.catalog), ("base.yaml", &imported.base)];
    for (name, _) in files.iter().filter(|_| !args.force) {
        if folder.join(name).exists() {
            let message = format!("`{}` is there already", settings.path_from_root(&folder.join(name)));
            return Err(Fault::new(Exit::Usage, message).help("write over it with --force"));
        }
    }
    fs::create_dir_all(&folder)
        .map_err(|error| failed(format!("`{}` cannot be made: {error}", folder.display())))?;
    for (name, text) in files {
        let to = folder.join(name);
        fs::write(&to, text).map_err(|error| failed(format!("`{}` cannot be written: {error}", to.display())))?;
        print::line(&format!("wrote {}", settings.path_from_root(&to)));
    }
    print::line(&format!("{} from {}", count(imported.keys, "key"), args.file.display()));
    if !imported.secrets.is_empty() {
        print::line(&format!("review what is taken for a secret: {}", imported.secrets.join(", ")));
    }
    print::line("review types, `required-in` and `parity` in the catalog");
    for (line, why) in &imported.skipped {
        print::note(&format!("{}:{line}: skipped: {why}", args.file.display()));
    }
    Ok(Exit::Success)
}
