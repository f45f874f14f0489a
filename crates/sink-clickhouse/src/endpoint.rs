//! Where ClickHouse listens now and who we are there.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use mirror::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

use crate::error::CallError;

/// Idle connections go before the server closes them (10 s in older servers), so that no request
/// meets a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A password: never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// 32 random bytes in hex.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(
                ErrorKind::Permanent,
                format!("take random bytes from the system: {error}"),
            )
        })?;
        Ok(Self(hex(&bytes)))
    }

    /// A password that follows from this one; nobody can go back from it.
    pub(crate) fn derive(&self, purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"dynamirror reader\0");
        hash.update(self.0.as_bytes());
        hash.update(b"\0");
        hash.update(purpose.as_bytes());
        Self(hex(&hash.finalize()))
    }

    pub(crate) fn sha256_hex(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

/// A ClickHouse user and its password.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

/// A ClickHouse server that can be called, with the connections to it.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) url: reqwest::Url,
    pub(crate) http: reqwest::Client,
    pub(crate) admin: Credentials,
    /// How many workspaces have users of their own; only the embedded engine has such slots.
    pub(crate) slots: u32,
}

impl Address {
    /// The embedded engine on this machine.
    pub(crate) fn embedded(port: u16, admin: Credentials, slots: u32) -> Result<Self> {
        let url = reqwest::Url::parse(&format!("http://127.0.0.1:{port}/")).map_err(|error| {
            Error::with_source(ErrorKind::Permanent, "address the engine", error)
        })?;
        // A proxy of the environment must not see the engine's password.
        Ok(Self {
            url,
            http: http_client(reqwest::Client::builder().no_proxy())?,
            admin,
            slots,
        })
    }

    /// A server of somebody else's; proxies of the environment apply.
    pub(crate) fn external(url: reqwest::Url, admin: Credentials) -> Result<Self> {
        Ok(Self {
            url,
            http: http_client(reqwest::Client::builder())?,
            admin,
            slots: 0,
        })
    }
}

/// The address in use; the engine's supervisor changes it, all clones of the client follow.
#[derive(Debug)]
pub(crate) struct Endpoint(RwLock<std::result::Result<Arc<Address>, String>>);

impl Endpoint {
    pub(crate) fn new(address: Arc<Address>) -> Self {
        Self(RwLock::new(Ok(address)))
    }

    pub(crate) fn get(&self) -> std::result::Result<Arc<Address>, CallError> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state
            .as_ref()
            .map(Arc::clone)
            .map_err(|reason| CallError::Down(reason.clone()))
    }

    pub(crate) fn set(&self, address: Arc<Address>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Ok(address);
    }

    /// From now on calls fail at once; idle connections are closed.
    pub(crate) fn set_down(&self, reason: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Err(reason.to_owned());
    }
}

fn http_client(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    static TLS: OnceLock<()> = OnceLock::new();
    TLS.get_or_init(|| {
        // An error means that the process has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    builder
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Error::with_source(ErrorKind::Permanent, "make an HTTP client", error))
}
