//! API tokens: `p.<payload>.<signature>`, where the payload names a user and a token id.
//!
//! The signature is made with a key derived from the key file, so a token can be shown again without its
//! text being stored: the store holds its id, what it may do, and a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secrets::{Keyring, Secret};

/// Longest token text looked at, bytes.
const MAX_TOKEN_BYTES: usize = 1024;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A person's: makes, lists and deletes workspaces, and may do everything in all of them.
    User,
    /// The server's administrator: all workspaces.
    Admin,
    /// Everything in one workspace.
    WorkspaceAdmin,
    /// Only its scopes, in one workspace.
    Scoped,
}

impl TokenKind {
    /// The word in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::WorkspaceAdmin => "workspace_admin",
            Self::Scoped => "scoped",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Admin, Self::WorkspaceAdmin, Self::Scoped]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// One permission: `DATASOURCES:READ` on `orders`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `ADMIN`, `DATASOURCES:READ`, `DATASOURCES:APPEND`, `PIPES:READ`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The resource; absent when the permission is for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

impl Scope {
    /// A permission on one resource.
    pub fn on(kind: &str, resource: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            resource: Some(resource.to_owned()),
        }
    }

    /// A permission without a resource.
    pub fn everywhere(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            resource: None,
        }
    }

    /// Whether holding this scope includes `kind` on `resource`.
    pub fn covers(&self, kind: &str, resource: &str) -> bool {
        self.kind == "ADMIN"
            || (self.kind == kind && self.resource.as_deref().is_none_or(|own| own == resource))
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    u: String,
    id: String,
    host: Option<String>,
}

/// The text of the token `id` of `user`.
pub fn token_text(keys: &Keyring, user: &str, id: &str) -> Secret {
    let claims = Claims {
        u: user.to_owned(),
        id: id.to_owned(),
        host: Some("local".to_owned()),
    };
    let json = serde_json::to_vec(&claims).expect("three texts are JSON");
    let payload = URL_SAFE_NO_PAD.encode(json);
    let signature = URL_SAFE_NO_PAD.encode(keys.token_signature(&payload));
    Secret::new(format!("p.{payload}.{signature}"))
}

/// The hash that is stored of a token.
pub fn token_hash(text: &Secret) -> [u8; 32] {
    Sha256::digest(text.expose().as_bytes()).into()
}

/// The id inside `text`, if its signature is ours.
pub fn verified_id(keys: &Keyring, text: &str) -> Option<String> {
    if text.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let (payload, signature) = text.strip_prefix("p.")?.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let expected = keys.token_signature(payload);
    if !bool::from(expected.as_slice().ct_eq(&signature)) {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(claims.id)
}

/// Whether `text` is the token with this stored hash, in constant time.
pub fn hash_matches(text: &str, stored: &[u8]) -> bool {
    let own: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    own.as_slice().ct_eq(stored).into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::secrets::MasterKey;

    #[test]
    fn a_token_has_the_shape_that_clients_mask() {
        let keys = Keyring::new(&MasterKey::random());
        let text = token_text(&keys, "u1", "t1");
        assert!(text.expose().starts_with("p.ey"));
        assert_eq!(text, token_text(&keys, "u1", "t1"));
        assert_eq!(verified_id(&keys, text.expose()).unwrap(), "t1");
        assert!(hash_matches(text.expose(), &token_hash(&text)));
    }

    #[test]
    fn a_token_with_another_signature_is_nothing() {
        let keys = Keyring::new(&MasterKey::random());
        let text = token_text(&keys, "u1", "t1");
        let other = Keyring::new(&MasterKey::random());
        assert_eq!(verified_id(&other, text.expose()), None);
        for broken in [
            "",
            "p.",
            "p.x",
            "p..",
            &text.expose()[..text.expose().len() - 1],
        ] {
            assert_eq!(verified_id(&keys, broken), None, "{broken:?}");
        }
        let payload = text.expose().split('.').nth(1).unwrap();
        assert_eq!(verified_id(&keys, &format!("p.{payload}.")), None);
    }

    #[test]
    fn a_scope_covers_its_resource_and_no_other() {
        let scope = Scope::on("DATASOURCES:READ", "orders");
        assert!(scope.covers("DATASOURCES:READ", "orders"));
        assert!(!scope.covers("DATASOURCES:READ", "users"));
        assert!(!scope.covers("DATASOURCES:APPEND", "orders"));
        assert!(Scope::everywhere("ADMIN").covers("DATASOURCES:APPEND", "orders"));
    }
}
