//! HTTP to processes on this machine.

use std::sync::OnceLock;

use reqwest::blocking::{Body, Client, RequestBuilder};
use serde_json::Value;

use crate::Result;

static CLIENT: OnceLock<Client> = OnceLock::new();

/// The client everything shares; it waits as long as it takes.
fn client() -> &'static Client {
    CLIENT.get_or_init(|| {
        // An engine that is told to stop waits seconds for connections that are kept for later.
        let builder = Client::builder()
            .timeout(None)
            .no_proxy()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(0);
        // Nothing in this configuration can fail to build; the default client is as good.
        builder.build().unwrap_or_default()
    })
}

pub(crate) fn get(url: &str, token: Option<&str>) -> Result<Vec<u8>> {
    send(url, client().get(url), token)
}

pub(crate) fn get_json(url: &str, token: Option<&str>) -> Result<Value> {
    Ok(serde_json::from_slice(&get(url, token)?)?)
}

pub(crate) fn post(url: &str, body: impl Into<Body>, token: Option<&str>) -> Result<Vec<u8>> {
    send(url, client().post(url).body(body), token)
}

pub(crate) fn post_json(url: &str, body: &Value, headers: &[(&str, &str)]) -> Result<Value> {
    let mut request = client().post(url).body(body.to_string());
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(serde_json::from_slice(&send(url, request, None)?)?)
}

fn send(url: &str, mut request: RequestBuilder, token: Option<&str>) -> Result<Vec<u8>> {
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request
        .send()
        .map_err(|error| format!("{url}: {error:?}"))?;
    let status = answer.status();
    let body = answer.bytes()?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let text: String = String::from_utf8_lossy(&body).chars().take(2000).collect();
    let path = url.split('?').next().unwrap_or(url);
    Err(format!("{path}: HTTP {status}: {text}").into())
}
