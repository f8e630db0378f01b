//! Every diagnostic code, with the page that `engine explain CODE` prints.
//!
//! A code is stable: it may be retired, never given another meaning. A test compares this table with the codes
//! that the sources use, and runs the examples of each page.

mod pages;

/// What `engine explain` shows for one code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// The code, `plan::unknown-key`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What it means and why it is an error.
    pub text: &'static str,
    /// A plan that has it; empty when no short one can. A line `# file: PATH` begins another file; the first one is
    /// `plan.yaml` when nothing else is said.
    pub bad: &'static str,
    /// The same plan, mended.
    pub good: &'static str,
}

/// The page of `code`.
pub fn page(code: &str) -> Option<&'static Page> {
    let found = pages::ALL.binary_search_by(|page| page.code.cmp(code)).ok()?;
    Some(&pages::ALL[found])
}

/// Every page, sorted by code.
pub fn all() -> &'static [Page] {
    &pages::ALL
}

#[cfg(test)]
mod tests;
