//! Reads environments from the working tree and checks them by their catalog.

use std::path::Path;

use jiff::civil::Date;

use crate::plan::environment::{Checker, Environment, Library, stale};
use crate::plan::source::Disk;
use crate::plan::{Diagnostic, Report, Sources};

/// Environments, and what is wrong with them.
#[derive(Debug)]
pub struct Opened {
    /// Their files.
    pub sources: Sources,
    /// Those that could be read, in the order that was asked for.
    pub environments: Vec<Environment>,
    /// What is wrong with the files themselves: they mean nothing until it is mended.
    pub faults: Vec<Diagnostic>,
    /// What is wrong with what they say: values that break the catalog's rules, missing ones.
    pub broken: Vec<Diagnostic>,
}

/// Reads the environments `names` below `root`. With a day, exceptions that ended before it are faults. `variable` tells
/// what the platform gives.
pub fn open(
    root: &Path,
    names: &[&str],
    today: Option<Date>,
    variable: impl Fn(&str) -> Option<String>,
) -> Opened {
    let loader = Disk::new(root.to_path_buf());
    let (mut sources, mut faults, mut broken) = (Sources::default(), Report::default(), Report::default());
    let (mut library, mut checker) = (Library::new(&loader), Checker::default());
    let mut environments = Vec::new();
    for name in names {
        let Some(mut environment) = library.open(name, None, &mut sources, &mut faults) else { continue };
        let given = environment.ask_platform(&variable);
        environment.inject(given, &mut sources, &mut broken);
        if let Some(today) = today {
            stale(&environment, today, &mut faults);
            library.strangers(&environment, &mut faults);
        }
        checker.check(&environment, &mut broken);
        environments.push(environment);
    }
    // A catalog that contradicts itself is a fault of a file, whatever the values are.
    let is_of_file = |one: &Diagnostic| matches!(one.code, "env::bad-rule" | "env::bad-policy" | "env::bad-place");
    let (of_files, broken): (Vec<_>, Vec<_>) = broken.sorted().into_iter().partition(is_of_file);
    for one in of_files {
        faults.push(one);
    }
    Opened { sources, environments, faults: faults.sorted(), broken }
}
