//! Reads a plan and every action file it uses, recursively, each file once.

use super::error::Report;
use super::model::Plan;
use super::source::{Loader, Sources};

/// A plan with all its files.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every file that was read, the plan's own first.
    pub sources: Sources,
    /// The plan.
    pub plan: Plan,
    /// The action files, each once; `Body::File::action` points here.
    pub actions: Vec<Plan>,
}

/// Reads the plan at `path` (relative to the root) and the files it uses.
///
/// Whatever is wrong goes to `report`. `Ok` means that the plan could be read as a map, not that it is right:
/// with errors in the report it must not run, but the graph builder may still look for more of them; a file
/// with [`Plan::partial`] set lacks what was wrong in it.
///
/// # Errors
/// The sources read so far, to show the report with, when there is nothing to go on with.
pub fn load(loader: &dyn Loader, path: &str, report: &mut Report) -> Result<Loaded, Sources> {
    let _ = (loader, path, report);
    Err(Sources::default())
}
