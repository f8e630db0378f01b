//! Tree to model: first `check` compares the whole tree with the tables of `schema` and reports everything that
//! does not fit, then the readers here move what fits into [`Plan`].
//!
//! The readers are silent: what they leave out has been reported already, and the plan is then marked
//! [`Plan::partial`]. They take trees by value, so nothing is copied that stays as it is.

mod body;
mod check;
mod environment;
mod file;
mod hints;
mod parts;
mod service;
mod stage;
mod values;

#[cfg(test)]
mod tests;

pub(in crate::plan) use body::BUILT_INS;
pub(crate) use check::is_env_name;
pub(in crate::plan) use check::{is_id, is_key};
pub(in crate::plan) use environment::{catalog, exceptions, layer};
pub(in crate::plan) use file::empty;
pub(in crate::plan) use hints::NAMES;
pub(crate) use hints::for_bare;
pub(in crate::plan) use service::service;

use super::error::Report;
use super::model::Plan;
use super::source::Sources;
use super::tree::Tree;

/// What an id that is none should have been; none for one that is fine, or that cannot be mended.
pub(in crate::plan) fn mended_id(text: &str) -> Option<String> {
    (!check::is_id(text)).then(|| hints::mended_name(text, super::schema::NameRule::Id)).flatten()
}

/// Whether a file is the plan itself or used by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The file that was asked for.
    Plan,
    /// A file that `uses: ./file` named.
    Action,
}

/// Reads `tree` as a plan, reporting all that is wrong and giving back as much as could be read.
pub fn decode(tree: Tree, role: Role, sources: &Sources, report: &mut Report) -> Plan {
    let mut check = check::Check::new(sources, report);
    check.file(&tree, role);
    let lacks_stages = !file::has_all_stages(&tree);
    let mut plan = file::read(tree, sources, &mut check);
    plan.partial = check.found_errors();
    plan.lacks_stages = lacks_stages;
    plan
}
