//! Where the values of secrets come from on this machine.

use std::path::Path;

use crate::driver::surroundings::Surroundings;
use crate::exec::secrets::Sources;

/// The sources of secrets, for environments below `root`.
pub fn sources(root: &Path) -> Sources {
    let here = Surroundings::read(root.to_path_buf());
    Sources::new(here.root, here.caller)
}
