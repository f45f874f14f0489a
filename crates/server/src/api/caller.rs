//! Who asks, and what they may do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::App;
use super::error::{ApiError, ApiResult};
use super::params::{FormToken, QueryParams};
use crate::secrets::Secret;
use crate::store::{TokenRow, Workspace};
use crate::tokens::{self, Scope, TokenKind};

/// Name of the workspace that every server has.
pub(crate) const DEFAULT_WORKSPACE: &str = "Workspace";

/// A verified token.
pub(super) struct Caller {
    pub(super) token: TokenRow,
    /// Its workspace; the default one for tokens that belong to none.
    pub(super) workspace: Workspace,
}

/// A verified token whose workspace may not be there: the default one, after somebody deleted it.
///
/// For what clients do to clear it: list, which must not show it, and make it again.
pub(super) struct Visitor {
    token: TokenRow,
    workspace: Option<Workspace>,
}

impl Visitor {
    /// `None` is one of the server's own tokens, without the default workspace.
    pub(super) fn into_caller(self) -> Option<Caller> {
        let token = self.token;
        self.workspace.map(|workspace| Caller { token, workspace })
    }

    pub(super) fn require_server_admin(&self) -> ApiResult<()> {
        require_server_admin(&self.token)
    }
}

fn is_server_admin(token: &TokenRow) -> bool {
    matches!(token.kind, TokenKind::User | TokenKind::Admin)
}

fn require_server_admin(token: &TokenRow) -> ApiResult<()> {
    if is_server_admin(token) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "this needs a user token or the admin token of the server; see: tb local ls",
    ))
}

impl Caller {
    /// Whether the token may do everything in its workspace.
    pub(super) fn is_admin(&self) -> bool {
        self.token.kind != TokenKind::Scoped || self.may("ADMIN", "")
    }

    /// Whether the token may do everything in every workspace.
    pub(super) fn is_server_admin(&self) -> bool {
        is_server_admin(&self.token)
    }

    /// Whether the token may do `kind` to `resource`.
    pub(super) fn may(&self, kind: &str, resource: &str) -> bool {
        self.token.kind != TokenKind::Scoped
            || self.token.scopes.iter().any(|s| s.covers(kind, resource))
    }

    pub(super) fn require_admin(&self) -> ApiResult<()> {
        if self.is_admin() {
            return Ok(());
        }
        Err(self.refusal(&Scope::everywhere("ADMIN")))
    }

    pub(super) fn require(&self, kind: &str, resource: &str) -> ApiResult<()> {
        if self.may(kind, resource) {
            return Ok(());
        }
        Err(self.refusal(&Scope::on(kind, resource)))
    }

    fn refusal(&self, missing: &Scope) -> ApiError {
        let resource = match &missing.resource {
            Some(resource) => format!(":{resource}"),
            None => String::new(),
        };
        ApiError::forbidden(format!(
            "the token {:?} lacks the scope {}{resource}",
            self.token.name, missing.kind
        ))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        let Visitor { token, workspace } = Visitor::from_request_parts(parts, app).await?;
        let workspace = match workspace {
            Some(workspace) => workspace,
            None => app.default_workspace().await?,
        };
        Ok(Self { token, workspace })
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        let text = token_of(parts, app).await?;
        let refused = || {
            ApiError::forbidden(
                "invalid authentication token: it was not made by this server, or it was revoked",
            )
        };
        let id = tokens::verified_id(&app.keys, text.expose()).ok_or_else(refused)?;
        let token = app.store.token(&id).await?.ok_or_else(refused)?;
        if !tokens::hash_matches(text.expose(), &token.sha256) {
            return Err(refused());
        }
        let workspace = match &token.workspace_id {
            Some(id) => Some(app.store.workspace(id).await?.ok_or_else(refused)?),
            None => app.store.workspace(DEFAULT_WORKSPACE).await?,
        };
        Ok(Self { token, workspace })
    }
}

async fn token_of(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Secret> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let text = header.to_str().unwrap_or_default();
        let scheme_end = text.find(' ').unwrap_or(text.len());
        let (scheme, token) = text.split_at(scheme_end);
        if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
            return Ok(Secret::new(token.trim()));
        }
    }
    let query = QueryParams::from_request_parts(parts, app).await?;
    if let Some(token) = query.get("token") {
        return Ok(Secret::new(token));
    }
    match parts.extensions.get::<FormToken>() {
        Some(FormToken(token)) => Ok(Secret::new(token.as_str())),
        None => Err(ApiError::forbidden(
            "this needs a token: send Authorization: Bearer <token>, or the parameter token=<token>",
        )),
    }
}

impl App {
    /// The workspace of tokens that belong to none; made again if somebody deleted it.
    pub(crate) async fn default_workspace(&self) -> Result<Workspace, crate::store::StoreError> {
        if let Some(workspace) = self.store.workspace(DEFAULT_WORKSPACE).await? {
            return Ok(workspace);
        }
        let now_ms = self.clock.now_ms();
        match self
            .store
            .create_workspace(DEFAULT_WORKSPACE, now_ms)
            .await?
        {
            Some(workspace) => Ok(workspace),
            // Somebody else was faster.
            None => match self.store.workspace(DEFAULT_WORKSPACE).await? {
                Some(workspace) => Ok(workspace),
                None => Err(crate::store::StoreError::Unreadable {
                    what: "the default workspace",
                    reason: "it is neither there nor can it be made".to_owned(),
                }),
            },
        }
    }

    /// The text of one of the server's own tokens, which is made when it is first asked for.
    pub(super) async fn own_token(
        &self,
        kind: TokenKind,
        workspace: Option<&Workspace>,
    ) -> ApiResult<Secret> {
        let name = match kind {
            TokenKind::User => "user token",
            TokenKind::Admin => "admin token",
            _ => "workspace admin token",
        };
        let workspace_id = workspace.map(|workspace| workspace.id.as_str());
        if let Some(row) = self.store.token_named(workspace_id, name).await? {
            let text = self.token_text(&row);
            if tokens::hash_matches(text.expose(), &row.sha256) {
                return Ok(text);
            }
            // Made with another key file: nobody's text of it works any more.
            let now_ms = self.clock.now_ms();
            self.store.revoke_token(&row.id, now_ms).await?;
        }
        let token = self.deployer.new_token(workspace, name, kind, &[], false);
        let row = self.store.put_token(&token).await?;
        Ok(self.token_text(&row))
    }

    /// The text of a stored token.
    pub(super) fn token_text(&self, row: &TokenRow) -> Secret {
        tokens::token_text(&self.keys, &self.installation.user_id, &row.id)
    }
}
