//! Tokens that `TOKEN` lines of a project ask for.

use std::collections::BTreeMap;

use datafile::Project;

use super::Deployer;
use super::changes::{Permission, PermissionChanges, TokenChange};
use super::live::Live;
use crate::store::{TokenRow, Workspace};
use crate::tokens::{Scope, TokenKind, token_hash, token_text};

/// What happens to tokens.
#[derive(Default)]
pub(super) struct TokenPlan {
    pub(super) put: Vec<TokenRow>,
    pub(super) revoke: Vec<String>,
    pub(super) changes: Vec<TokenChange>,
}

impl Deployer {
    pub(super) fn plan_tokens(
        &self,
        workspace: &Workspace,
        live: &Live,
        wanted: &Project,
    ) -> TokenPlan {
        let mut plan = TokenPlan::default();
        let wanted = wanted_scopes(wanted);
        for (name, scopes) in &wanted {
            let known = live.tokens.iter().find(|token| token.name == *name);
            let before = known.map_or(&[][..], |token| &token.scopes);
            if known.is_some() && before == scopes.as_slice() {
                continue;
            }
            let kind = if known.is_some() { "changed" } else { "new" };
            plan.changes.push(change(name, kind, before, scopes));
            plan.put.push(match known {
                Some(known) => TokenRow {
                    scopes: scopes.clone(),
                    ..known.clone()
                },
                None => self.new_token(Some(workspace), name, TokenKind::Scoped, scopes, true),
            });
        }
        for token in live.tokens.iter().filter(|token| token.from_files) {
            if !wanted.contains_key(token.name.as_str()) {
                plan.changes
                    .push(change(&token.name, "deleted", &token.scopes, &[]));
                plan.revoke.push(token.id.clone());
            }
        }
        plan
    }

    /// A token that is not stored yet.
    pub(crate) fn new_token(
        &self,
        workspace: Option<&Workspace>,
        name: &str,
        kind: TokenKind,
        scopes: &[Scope],
        from_files: bool,
    ) -> TokenRow {
        let id = uuid::Uuid::new_v4().to_string();
        let text = token_text(&self.keys, &self.user_id, &id);
        TokenRow {
            id,
            workspace_id: workspace.map(|workspace| workspace.id.clone()),
            name: name.to_owned(),
            kind,
            scopes: scopes.to_vec(),
            from_files,
            sha256: token_hash(&text).to_vec(),
            created_at_ms: self.clock.now_ms(),
        }
    }
}

fn wanted_scopes(project: &Project) -> BTreeMap<String, Vec<Scope>> {
    let mut wanted: BTreeMap<String, Vec<Scope>> = BTreeMap::new();
    let mut add = |token: &datafile::TokenGrant, family: &str, resource: &str| {
        let scope = Scope::on(&format!("{family}:{}", token.permission), resource);
        let scopes = wanted.entry(token.name.clone()).or_default();
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    };
    for datasource in &project.datasources {
        for token in &datasource.tokens {
            add(token, "DATASOURCES", &datasource.name);
        }
    }
    for pipe in &project.pipes {
        for token in &pipe.tokens {
            add(token, "PIPES", &pipe.name);
        }
    }
    wanted
}

fn change(name: &str, kind: &str, before: &[Scope], after: &[Scope]) -> TokenChange {
    let missing = |from: &[Scope], other: &[Scope]| {
        from.iter()
            .filter(|scope| !other.contains(scope))
            .map(permission)
            .collect()
    };
    TokenChange {
        token_name: name.to_owned(),
        change_type: kind.to_owned(),
        permission_changes: PermissionChanges {
            added_permissions: missing(after, before),
            removed_permissions: missing(before, after),
        },
    }
}

fn permission(scope: &Scope) -> Permission {
    let (family, permission) = scope.kind.split_once(':').unwrap_or((&scope.kind, ""));
    let resource_type = if family == "PIPES" {
        "pipe"
    } else {
        "datasource"
    };
    Permission {
        resource_name: scope.resource.clone().unwrap_or_default(),
        resource_type: resource_type.to_owned(),
        permission: permission.to_owned(),
    }
}
