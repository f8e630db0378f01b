//! Gates through the real binary, against real servers, ports, files, processes and Prometheus.

#[path = "gates/held.rs"]
mod held;
#[path = "gates/metrics.rs"]
mod metrics;
#[path = "gates/plain.rs"]
mod plain;
#[path = "gates/server.rs"]
mod server;
mod support;
