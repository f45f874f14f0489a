//! The server's own tokens: `GET /tokens` for clients on the same machine, a file for whoever runs a shared server.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use serde_json::{Value, json};

use super::App;
use super::error::{ApiError, ApiResult};
use crate::tokens::TokenKind;

/// Hands out the server's tokens without asking for one. Only `tb local` does, only to this machine, and only
/// when asked by a loopback name: a web page that points its own name at this machine sends that name.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> ApiResult<Json<Value>> {
    if !app.settings.local {
        return Err(ApiError::not_found(
            "this server hands out no tokens; log in with `tb login`; its first tokens are in tokens.json in its state folder",
        ));
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    if !peer.ip().to_canonical().is_loopback() || !host.is_some_and(is_loopback_name) {
        return Err(ApiError::forbidden(
            "tokens are handed out on this machine only: ask for http://localhost or http://127.0.0.1",
        ));
    }
    Ok(Json(tokens(&app).await?))
}

/// Writes the tokens of a server that teams share into its state folder, for whoever administers it to log in with.
/// Only the owner of the folder can read them, who could read the key file as well.
pub(crate) async fn write_file(app: &App, path: &Path) -> io::Result<()> {
    let tokens = tokens(app)
        .await
        .map_err(|error| io::Error::other(error.text()))?;
    let draft = path.with_extension("json.new");
    let _ = std::fs::remove_file(&draft);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(format!("{tokens:#}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

async fn tokens(app: &App) -> ApiResult<Value> {
    let workspace = app.default_workspace().await?;
    let user = app.own_token(TokenKind::User, None).await?;
    let admin = app.own_token(TokenKind::Admin, None).await?;
    let own = app
        .own_token(TokenKind::WorkspaceAdmin, Some(&workspace))
        .await?;
    Ok(json!({
        "user_token": user.expose(),
        "admin_token": admin.expose(),
        "workspace_admin_token": own.expose(),
    }))
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_get_tokens() {
        for host in [
            "localhost",
            "localhost:7181",
            "127.0.0.1:7181",
            "[::1]:7181",
            "LOCALHOST",
        ] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1:7181",
            "[::2]",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
