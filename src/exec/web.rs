//! What everybody who asks over HTTP has in common.

use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use ureq::typestate::AgentScope;

/// An agent that takes every status for an answer, follows no redirect, and gives up after `patience`.
pub fn agent(patience: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false).max_redirects(0)
}

/// The authorities in a PEM file, which errors call `shown`.
pub(super) fn roots(path: &Path, shown: &str) -> Result<RootCerts, String> {
    let pem = std::fs::read(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("`{shown}` holds no certificate"));
    }
    Ok(RootCerts::from(certificates))
}
