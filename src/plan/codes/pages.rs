//! The pages, sorted by code.

use super::Page;

/// Every page.
pub(super) static ALL: &[Page] = &[];
