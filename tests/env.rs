//! Environments through the real binary: checked, rendered, compared; every bad input at its place, nothing half
//! written.

#[path = "env/bad.rs"]
mod bad;
#[path = "env/keepers.rs"]
mod keepers;
#[path = "env/place.rs"]
mod place;
#[path = "env/plans.rs"]
mod plans;
#[path = "env/platform.rs"]
mod platform;
#[path = "env/secrets.rs"]
mod secrets;
#[path = "env/sources.rs"]
mod sources;
mod support;
#[path = "env/verbs.rs"]
mod verbs;
