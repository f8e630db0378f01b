//! Vault's key-value store, version 2, over HTTP.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use ureq::Agent;
use ureq::tls::TlsConfig;
use zeroize::Zeroizing;

use super::Sources;
use crate::base::limits;
use crate::exec::web;

/// A Vault server and the right to ask it.
pub(super) struct Server {
    agent: Agent,
    address: String,
    token: Zeroizing<String>,
    namespace: Option<String>,
}

/// A field that was read.
pub(super) struct Answer {
    /// Its bytes.
    pub(super) value: Zeroizing<Vec<u8>>,
    /// Which version Vault says it is.
    pub(super) version: Option<String>,
    /// When that version was written.
    pub(super) created: Option<Date>,
}

/// What the server answers, as far as it is of use.
#[derive(Deserialize)]
struct Reply {
    data: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    data: Option<serde_json::Map<String, serde_json::Value>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    created_time: Option<String>,
}

impl Server {
    /// The server that the declaration names, else the one in `$VAULT_ADDR`; the token likewise.
    pub(super) fn find(
        sources: &Sources,
        address: Option<&str>,
        token_file: Option<&str>,
    ) -> Result<Self, String> {
        let text = |name: &str| sources.var(name).and_then(|value| value.to_str()).map(str::to_owned);
        let address = match address.map(str::to_owned).or_else(|| text("VAULT_ADDR")) {
            Some(address) => address.trim_end_matches('/').to_owned(),
            None => return Err("no server is named: give `address`, or set `VAULT_ADDR`".to_owned()),
        };
        let token = match token_file {
            Some(path) => {
                let bytes = sources.file(path, true)?;
                let text =
                    std::str::from_utf8(&bytes).map_err(|_| format!("the token in `{path}` is not text"))?;
                Zeroizing::new(text.trim().to_owned())
            }
            None => match text("VAULT_TOKEN") {
                Some(token) => Zeroizing::new(token),
                None => return Err("there is no token: give `token-file`, or set `VAULT_TOKEN`".to_owned()),
            },
        };
        let tls = match text("VAULT_CACERT") {
            Some(path) => TlsConfig::builder().root_certs(web::roots(&sources.root.join(&path), &path)?).build(),
            None => TlsConfig::default(),
        };
        let patience = sources.patience.min(Duration::from_millis(limits::SECRET_WAIT_MS));
        let agent = web::agent(patience).tls_config(tls).build().new_agent();
        Ok(Self { agent, address, token, namespace: text("VAULT_NAMESPACE") })
    }

    /// Reads one field of the secret at `path`, whose first part is the mount.
    pub(super) fn read(&self, path: &str, field: &str, version: Option<u32>) -> Result<Answer, String> {
        let Some((mount, below)) = path.trim_matches('/').split_once('/') else {
            return Err(format!("`{path}` is only a mount; write `mount/path`"));
        };
        let url = format!("{}/v1/{mount}/data/{below}", self.address);
        let mut request = self.agent.get(&url).header("X-Vault-Token", self.token.as_str());
        if let Some(version) = version {
            request = request.query("version", version.to_string());
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let mut response =
            request.call().map_err(|error| format!("`{}` cannot be asked: {error}", self.address))?;
        self.judge(response.status().as_u16(), path)?;
        let body = response.body_mut().with_config().limit(limits::MAX_SECRET_REPLY_BYTES).read_to_vec();
        let body = Zeroizing::new(body.map_err(|error| format!("the answer cannot be read: {error}"))?);
        // The parser's own message would quote what it stumbled over.
        let reply: Reply = serde_json::from_slice(&body)
            .map_err(|_| format!("`{}` gave no answer of a key-value store of version 2", self.address))?;
        let metadata = reply.data.metadata;
        let Some(fields) = reply.data.data else {
            return Err(format!("version {} of `{path}` was deleted", metadata.version));
        };
        let value = match fields.get(field) {
            Some(serde_json::Value::String(text)) => text.as_bytes().to_vec(),
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                value.to_string().into_bytes()
            }
            Some(_) => return Err(format!("field `{field}` of `{path}` is no text")),
            None => return Err(format!("`{path}` has no field `{field}`")),
        };
        let created = metadata.created_time.and_then(|at| at.parse::<Timestamp>().ok());
        let created = created.map(|at| at.to_zoned(TimeZone::UTC).date());
        Ok(Answer { value: Zeroizing::new(value), version: Some(metadata.version.to_string()), created })
    }

    fn judge(&self, status: u16, path: &str) -> Result<(), String> {
        match status {
            200 => Ok(()),
            403 => Err(format!("the token may not read `{path}` (403)")),
            404 => Err(format!("there is no secret `{path}`, or its version was deleted (404)")),
            300..=399 => Err(format!(
                "`{}` redirects ({status}), which is not followed; name the server it leads to",
                self.address
            )),
            503 => Err(format!("`{}` is sealed or not ready (503)", self.address)),
            _ => Err(format!("`{}` answered with status {status}", self.address)),
        }
    }
}
