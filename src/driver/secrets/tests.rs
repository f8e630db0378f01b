//! The strongbox.
