//! Who calls, and what they may do.

use std::collections::{BTreeMap, HashMap};

use crate::api::ApiError;

/// A statement of a trust policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Trust {
    /// Account ids, `arn:aws:iam::…:root`, user or role ARNs, session ARNs, or `*`.
    pub principals: Vec<String>,
    /// Accepted external ids; empty asks for none.
    pub external_ids: Vec<String>,
}

/// An allowed action on a resource; both may contain `*` and `?`.
#[derive(Debug, Clone, PartialEq)]
pub struct Permission {
    pub action: String,
    pub resource: String,
}

impl Permission {
    /// A permission.
    pub fn new(action: &str, resource: &str) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
        }
    }

    fn covers(&self, action: &str, resource: &str) -> bool {
        glob(&self.action.to_lowercase(), &action.to_lowercase()) && glob(&self.resource, resource)
    }
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    pub arn: String,
    pub trust: Vec<Trust>,
    pub permissions: Vec<Permission>,
    /// Permissions taken away again.
    pub removed: Vec<Permission>,
    /// Longest session, seconds.
    pub max_session_s: i64,
    /// Unknown to STS before this time.
    pub visible_ms: i64,
}

impl Role {
    /// A role that may do everything and that `principal` may assume with one of `external_ids`.
    pub fn new(arn: &str, principal: &str, external_ids: &[&str]) -> Self {
        Self {
            arn: arn.to_owned(),
            trust: vec![Trust {
                principals: vec![principal.to_owned()],
                external_ids: external_ids.iter().map(|id| (*id).to_owned()).collect(),
            }],
            permissions: vec![Permission::new("*", "*")],
            removed: Vec::new(),
            max_session_s: 3600,
            visible_ms: 0,
        }
    }

    /// Replaces the permissions by the connector's documented policy for one table and one bucket.
    pub fn with_connector_policy(mut self, table_arn: &str, bucket: &str) -> Self {
        let on = |actions: &[&str], resource: &str| {
            actions
                .iter()
                .map(|action| Permission::new(action, resource))
                .collect::<Vec<_>>()
        };
        let table = [
            "dynamodb:Scan",
            "dynamodb:DescribeStream",
            "dynamodb:DescribeExport",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:DescribeTable",
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:ExportTableToPointInTime",
            "dynamodb:UpdateTable",
            "dynamodb:UpdateContinuousBackups",
        ];
        self.permissions = [
            on(&table, table_arn),
            on(&table, &format!("{table_arn}/stream/*")),
            on(&table, &format!("{table_arn}/export/*")),
            on(
                &["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
                &format!("arn:aws:s3:::{bucket}"),
            ),
            on(
                &["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
                &format!("arn:aws:s3:::{bucket}/*"),
            ),
        ]
        .concat();
        self
    }
}

/// Who makes a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// ARN shown in refusals.
    pub arn: String,
    pub account: String,
    /// Role of a session.
    pub role: Option<String>,
    /// UserId of GetCallerIdentity.
    pub user_id: String,
}

/// A role session.
#[derive(Debug, Clone)]
pub struct Session {
    pub role: String,
    pub name: String,
    pub expires_ms: i64,
}

/// Roles, sessions and long-term keys.
#[derive(Debug, Clone, Default)]
pub struct Iam {
    pub roles: BTreeMap<String, Role>,
    /// By access key id.
    pub sessions: HashMap<String, Session>,
    /// ARN by access key id.
    pub users: HashMap<String, String>,
}

impl Iam {
    /// Adds or replaces a role.
    pub fn add_role(&mut self, role: Role) {
        self.roles.insert(role.arn.clone(), role);
    }

    /// Registers a long-term access key of a user or of another account's root.
    pub fn add_user(&mut self, access_key: &str, arn: &str) {
        self.users.insert(access_key.to_owned(), arn.to_owned());
    }

    /// Takes an action away from a role, on resources that match. A role not declared so far becomes declared.
    pub fn deny(&mut self, role: &str, action: &str, resource: &str) {
        let role = self
            .roles
            .entry(role.to_owned())
            .or_insert_with(|| Role::new(role, "*", &[]));
        role.removed.push(Permission::new(action, resource));
    }

    /// Gives back everything taken away from a role.
    pub fn restore(&mut self, role: &str) {
        if let Some(role) = self.roles.get_mut(role) {
            role.removed.clear();
        }
    }

    /// Ends all sessions of a role at once.
    pub fn expire_sessions(&mut self, role: &str) {
        for session in self
            .sessions
            .values_mut()
            .filter(|session| session.role == role)
        {
            session.expires_ms = 0;
        }
    }

    /// Resolves an access key. `open` makes unregistered keys the root of `account`.
    pub fn caller(
        &self,
        key: Option<&str>,
        account: &str,
        open: bool,
        now_ms: i64,
    ) -> Result<Caller, ApiError> {
        let Some(key) = key else {
            return Err(ApiError::new(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ));
        };
        if let Some(session) = self.sessions.get(key) {
            if now_ms >= session.expires_ms {
                return Err(ApiError::new(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                ));
            }
            return Ok(session_caller(session, key));
        }
        let arn = match self.users.get(key) {
            Some(arn) => arn.clone(),
            None if open && !key.starts_with("ASIA") => format!("arn:aws:iam::{account}:root"),
            None => {
                return Err(ApiError::new(
                    "UnrecognizedClientException",
                    "The security token included in the request is invalid.",
                ));
            }
        };
        let account = account_of(&arn).to_owned();
        let user_id = if arn.ends_with(":root") {
            account.clone()
        } else {
            format!("AIDA{key}")
        };
        Ok(Caller {
            arn,
            account,
            role: None,
            user_id,
        })
    }

    /// True if the caller's policies allow the action; only role sessions are limited.
    pub fn allowed(&self, caller: &Caller, action: &str, resource: &str) -> bool {
        let Some(role) = caller.role.as_ref().and_then(|arn| self.roles.get(arn)) else {
            return true;
        };
        role.permissions
            .iter()
            .any(|permission| permission.covers(action, resource))
            && !role
                .removed
                .iter()
                .any(|permission| permission.covers(action, resource))
    }

    /// Checks an action of a JSON service.
    pub fn authorise(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        if self.allowed(caller, action, resource) {
            return Ok(());
        }
        Err(ApiError::new(
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} action",
                caller.arn
            ),
        ))
    }

    /// True if the role's trust policy admits the caller with this external id.
    pub fn trusts(role: &Role, caller: &Caller, external_id: Option<&str>) -> bool {
        role.trust.iter().any(|trust| {
            let known = trust
                .principals
                .iter()
                .any(|principal| admits(principal, caller));
            let id = trust.external_ids.is_empty()
                || external_id
                    .is_some_and(|id| trust.external_ids.iter().any(|accepted| accepted == id));
            known && id
        })
    }
}

fn session_caller(session: &Session, key: &str) -> Caller {
    let account = account_of(&session.role).to_owned();
    let name = session.role.rsplit('/').next().unwrap_or_default();
    Caller {
        arn: format!(
            "arn:aws:sts::{account}:assumed-role/{name}/{}",
            session.name
        ),
        role: Some(session.role.clone()),
        user_id: format!("AROA{}:{}", key.get(4..).unwrap_or_default(), session.name),
        account,
    }
}

fn admits(principal: &str, caller: &Caller) -> bool {
    principal == "*"
        || principal == caller.account
        || principal == caller.arn
        || caller.role.as_deref() == Some(principal)
        || principal
            .strip_prefix("arn:aws:iam::")
            .and_then(|rest| rest.strip_suffix(":root"))
            == Some(&caller.account)
}

/// The account field of an ARN.
pub fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// `*` and `?` wildcards, as IAM has them.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
