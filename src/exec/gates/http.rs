//! Requests over HTTP and TLS.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

use super::ask::Place;
use crate::base::limits;
use crate::exec::web;
use crate::gate::Seen;
use crate::gate::probe::{Http, Query, Reply};

/// Bytes of a body that nobody wants, read so that the connection can be used again.
const DRAIN_BYTES: u64 = 4 << 10;
/// Bytes of a connection's buffers: a thousand connections are common, and their answers are short.
const BUFFER_BYTES: usize = 8 << 10;

/// Connections, kept alive from round to round; one set for each certificate file and patience.
#[derive(Default)]
pub(super) struct Web {
    agents: Mutex<BTreeMap<(Option<String>, Duration), Agent>>,
}

/// What came back.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_cut: bool,
}

impl Answer {
    fn reply(&self) -> Reply<'_> {
        let headers = self.headers.clone();
        Reply { status: self.status, headers, body: &self.body, is_cut: self.is_cut }
    }
}

/// Takes an address as it is; a name is looked up by the system.
#[derive(Debug, Default)]
struct Addresses {
    names: DefaultResolver,
}

impl Resolver for Addresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let mut found = self.names.empty();
                found.push(SocketAddr::new(address, port));
                Ok(found)
            }
            Err(_) => self.names.resolve(uri, config, timeout),
        }
    }
}

impl Web {
    /// What a request brings.
    pub(super) fn http(&self, http: &Http, patience: Duration, place: &Place) -> Seen {
        let asked = (http.url.as_str(), http.headers.as_slice(), http.ca.as_deref());
        match self.get(asked, http.wants_body(), patience, place) {
            Ok(answer) => http.judge(&answer.reply()),
            Err(why) => Seen::Error(why),
        }
    }

    /// What a query brings.
    pub(super) fn query(&self, query: &Query, patience: Duration, place: &Place) -> Seen {
        let url = format!("{}/api/v1/query?query={}", query.url, escaped(&query.expression()));
        match self.get((&url, &query.headers, query.ca.as_deref()), true, patience, place) {
            Ok(answer) => query.judge(&answer.reply()),
            Err(why) => Seen::Error(why),
        }
    }

    fn get(
        &self,
        (url, headers, ca): (&str, &[(String, String)], Option<&str>),
        wants_body: bool,
        patience: Duration,
        place: &Place,
    ) -> Result<Answer, String> {
        let agent = self.agent(ca, patience, place)?;
        let mut request = agent.get(url);
        for (name, value) in headers {
            request = request.header(name, place.fill(value)?);
        }
        let said = |error: &ureq::Error| said(error, url, patience);
        let mut response = request.call().map_err(|error| said(&error))?;
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers: Vec<(String, String)> = headers.collect();
        let status = response.status().as_u16();
        let (body, is_cut) =
            if wants_body { read(response.body_mut(), said)? } else { drain(response.body_mut()) };
        Ok(Answer { status, headers, body, is_cut })
    }

    fn agent(&self, ca: Option<&str>, patience: Duration, place: &Place) -> Result<Agent, String> {
        let path = ca.map(|ca| place.cwd.join(ca).to_string_lossy().into_owned());
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (path, patience);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let tls = match &key.0 {
            Some(path) => TlsConfig::builder().root_certs(web::roots(Path::new(path), path)?).build(),
            None => TlsConfig::default(),
        };
        let config = web::agent(patience)
            .proxy(None)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(limits::MAX_GATE_THREADS * 4)
            .max_idle_connections_per_host(limits::MAX_GATE_THREADS)
            .tls_config(tls)
            .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Addresses::default());
        agents.insert(key, agent.clone());
        Ok(agent)
    }
}

/// As much of a body as a gate reads, and whether there was more.
fn read(body: &mut Body, said: impl Fn(&ureq::Error) -> String) -> Result<(Vec<u8>, bool), String> {
    let mut bytes = Vec::new();
    let limit = limits::MAX_GATE_BODY_BYTES;
    let read = body.as_reader().take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| said(&ureq::Error::from(error)))?;
    let is_cut = bytes.len() as u64 > limit;
    bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok((bytes, is_cut))
}

/// Reads a short body that nobody wants. A long one costs the connection.
fn drain(body: &mut Body) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    if body.content_length().is_some_and(|length| length <= DRAIN_BYTES) {
        // What matters has come; a connection that breaks now is made anew.
        let _ = body.as_reader().take(DRAIN_BYTES).read_to_end(&mut bytes);
    }
    (Vec::new(), false)
}

/// A failure in words: somebody who is woken by it has to know whom nobody could ask.
fn said(error: &ureq::Error, url: &str, patience: Duration) -> String {
    let place = Uri::try_from(url).ok().and_then(|uri| {
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        uri.host().map(|host| format!("{host}{port}"))
    });
    let place = place.unwrap_or_else(|| "it".to_owned());
    match error {
        ureq::Error::Timeout(_) => {
            format!("no whole answer of `{place}` within {}", crate::base::Span::from(patience))
        }
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("nobody listens at `{place}`")
        }
        ureq::Error::Io(error) => format!("`{place}`: {error}"),
        error => format!("`{place}`: {error}"),
    }
}

/// A text as a part of an address.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
