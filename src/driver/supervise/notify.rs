//! Tells a service manager how things are, by the protocol of `sd_notify(3)`: a datagram to `$NOTIFY_SOCKET`.
//!
//! The word comes from the worker, not from the process that the manager started: a unit needs `NotifyAccess=all`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says `word` (`READY=1`); without a manager nobody hears.
pub(super) fn tell(word: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(word.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("the service manager cannot be told `{word}`: {error}");
    }
}
