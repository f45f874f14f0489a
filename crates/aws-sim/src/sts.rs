//! GetCallerIdentity and AssumeRole, with AWS's single answer for every reason of refusal.

use crate::api::{ApiError, ApiResponse};
use crate::http::xml::escape;
use crate::iam::{Caller, Iam, Session};
use crate::timestamp;
use crate::world::World;

const SPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

impl World {
    /// Performs an STS action; the answer is the inside of its `…Result` element.
    pub(crate) fn sts_action(
        &mut self,
        caller: &Caller,
        params: &[(String, String)],
    ) -> Result<String, ApiError> {
        let get = |name: &str| {
            params
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        match get("Action") {
            Some("GetCallerIdentity") => Ok(format!(
                "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
                escape(&caller.arn),
                escape(&caller.user_id),
                escape(&caller.account)
            )),
            Some("AssumeRole") => {
                let role = get("RoleArn").ok_or_else(|| null("roleArn"))?;
                let name = get("RoleSessionName").ok_or_else(|| null("roleSessionName"))?;
                let seconds = get("DurationSeconds")
                    .map(str::parse)
                    .transpose()
                    .map_err(|_| null("durationSeconds"))?;
                let key = self.assume_role(
                    caller,
                    role,
                    name,
                    get("ExternalId"),
                    seconds.unwrap_or(3600),
                )?;
                Ok(self.credentials(&key))
            }
            _ => Err(ApiError::new(
                "InvalidAction",
                "Could not find operation for version 2011-06-15",
            )),
        }
    }

    /// Opens a session and returns its access key id.
    pub fn assume_role(
        &mut self,
        caller: &Caller,
        role_arn: &str,
        name: &str,
        external_id: Option<&str>,
        seconds: i64,
    ) -> Result<String, ApiError> {
        check_request(role_arn, name, external_id, seconds)?;
        let (open, longest) = match self.iam.roles.get(role_arn) {
            Some(role) => (
                self.now_ms >= role.visible_ms && Iam::trusts(role, caller, external_id),
                role.max_session_s,
            ),
            None => (self.config.open_roles && role_arn.contains(":role/"), 43200),
        };
        let may = self.iam.allowed(caller, "sts:AssumeRole", role_arn);
        if !open || !may {
            return Err(ApiError::with_status(
                "AccessDenied",
                403,
                format!(
                    "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                    caller.arn
                ),
            ));
        }
        let chained = caller.role.is_some() && seconds > 3600;
        if chained || seconds > longest {
            let message = if chained {
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            } else {
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            };
            return Err(ApiError::new("ValidationError", message));
        }
        let key = format!(
            "ASIA{}",
            self.rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
        );
        let expires_ms = self.now_ms + self.config.session_ms.unwrap_or(seconds * 1000);
        self.iam.sessions.insert(
            key.clone(),
            Session {
                role: role_arn.to_owned(),
                name: name.to_owned(),
                expires_ms,
            },
        );
        Ok(key)
    }

    fn credentials(&mut self, key: &str) -> String {
        let secret = self.shuffle.text(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            40,
        );
        let token = self.shuffle.text(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            180,
        );
        let Some(session) = self.iam.sessions.get(key) else {
            return String::new();
        };
        let account = crate::iam::account_of(&session.role);
        let role = session.role.rsplit('/').next().unwrap_or_default();
        format!(
            "<AssumedRoleUser><AssumedRoleId>AROA{}:{name}</AssumedRoleId><Arn>arn:aws:sts::{account}:assumed-role/{role}/{name}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{}</Expiration></Credentials>",
            key.get(4..).unwrap_or_default(),
            timestamp::iso(session.expires_ms / 1000 * 1000).replace(".000Z", "Z"),
            name = escape(&session.name),
        )
    }
}

/// The XML of a successful action.
pub(crate) fn success(action: &str, result: &str, id: &str) -> ApiResponse {
    let body = format!(
        "<{action}Response xmlns=\"{SPACE}\"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    );
    ApiResponse::new(200, "text/xml", body)
}

/// The XML of a refusal.
pub(crate) fn failure(error: &ApiError, id: &str) -> ApiResponse {
    let body = format!(
        "<ErrorResponse xmlns=\"{SPACE}\"><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
        if error.status >= 500 {
            "Receiver"
        } else {
            "Sender"
        },
        escape(&error.code),
        escape(&error.message)
    );
    ApiResponse::new(error.status, "text/xml", body)
}

/// STS's names for bad credentials.
pub(crate) fn token_error(error: ApiError) -> ApiError {
    let code = match error.code.as_str() {
        "ExpiredTokenException" => "ExpiredToken",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        _ => "MissingAuthenticationToken",
    };
    ApiError::with_status(code, 403, error.message)
}

fn null(name: &str) -> ApiError {
    ApiError::new(
        "ValidationError",
        format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ),
    )
}

fn check_request(
    role_arn: &str,
    name: &str,
    external_id: Option<&str>,
    seconds: i64,
) -> Result<(), ApiError> {
    check_text("roleSessionName", name, 2, 64, "+=,.@-_", r"[\w+=,.@-]*")?;
    if let Some(id) = external_id {
        check_text("externalId", id, 2, 1224, "+=,.@:/-_", r"[\w+=,.@:\/-]*")?;
    }
    if !(900..=43200).contains(&seconds) {
        let bound = if seconds < 900 {
            "greater than or equal to 900"
        } else {
            "less than or equal to 43200"
        };
        return Err(ApiError::new(
            "ValidationError",
            format!(
                "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value {bound}"
            ),
        ));
    }
    if role_arn.len() < 20 || !role_arn.starts_with("arn:aws:iam::") {
        return Err(ApiError::new(
            "ValidationError",
            format!("{role_arn} is invalid"),
        ));
    }
    Ok(())
}

fn check_text(
    name: &str,
    text: &str,
    low: usize,
    high: usize,
    marks: &str,
    pattern: &str,
) -> Result<(), ApiError> {
    let constraint = if text.len() < low {
        format!("Member must have length greater than or equal to {low}")
    } else if text.len() > high {
        format!("Member must have length less than or equal to {high}")
    } else if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
    {
        format!("Member must satisfy regular expression pattern: {pattern}")
    } else {
        return Ok(());
    };
    Err(ApiError::new(
        "ValidationError",
        format!(
            "1 validation error detected: Value '{text}' at '{name}' failed to satisfy constraint: {constraint}"
        ),
    ))
}
