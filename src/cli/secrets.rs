//! The secrets of a run that is about to begin or to go on.

use super::exit::Exit;
use super::fault::Fault;
use super::settings::Settings;
use super::{check, print};
use crate::driver::compile::Compiled;
use crate::driver::secrets::{Given, Strongbox};
use crate::driver::surroundings::Surroundings;
use crate::plan::error;

/// Fetches what the stages of `compiled` may get, before anything of the run exists. What cannot be had is told.
pub(super) fn open(
    compiled: &Compiled,
    given: &Given,
    surroundings: &Surroundings,
    settings: &Settings,
) -> Result<Option<Strongbox>, Fault> {
    match Strongbox::open(&compiled.graph, given, surroundings) {
        Ok(None) => Ok(None),
        Ok(Some((strongbox, warnings))) => {
            check::warn(&warnings, &compiled.sources, settings);
            Ok(Some(strongbox))
        }
        Err(found) => {
            print::note(error::text(&found, &compiled.sources, settings.color_err).trim_end());
            Err(Fault::told(Exit::Environment))
        }
    }
}
