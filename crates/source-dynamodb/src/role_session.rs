//! One assumed role: refused in plain words, refreshed before it ends, thrown away when AWS says it is over.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::sts::AssumeRoleProvider;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::SourceSpec;
use tracing::{debug, warn};

use crate::credentials;
use crate::error::{Fault, Subject, chain_text, from_sdk};
use crate::options::AwsOptions;

/// After a refresh that failed while the old session still works, the next try comes this much later.
const REFRESH_RETRY: Duration = Duration::from_secs(10);

/// Says who was refused which role, and what to look at. AWS gives the same answer to a wrong external id, a
/// wrong principal and a role that does not exist. `caller_arn` is the principal if it is known.
pub fn role_refused_message(caller_arn: Option<&str>, role_arn: &str, external_id: &str) -> String {
    let caller = caller_arn.unwrap_or("these credentials");
    let external_id = if external_id.is_empty() {
        "(none was given)"
    } else {
        external_id
    };
    format!(
        "AWS refused to let {caller} assume {role_arn} (HTTP 403). Check that the role exists and that its trust policy \
         allows this principal and include(s) the following external ID: {external_id}. AWS does not say which of these is wrong."
    )
}

/// A role session that renews itself.
pub(crate) struct RoleSession {
    provider: AssumeRoleProvider,
    role_arn: String,
    external_id: String,
    refresh_before: Duration,
    current: Mutex<Current>,
    /// Held by the one caller that asks STS.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    credentials: Option<Credentials>,
    obtained: Option<SystemTime>,
    /// Counts sessions, so that many callers with one dead token replace it once.
    generation: u64,
    not_before: Option<SystemTime>,
}

/// State of the session a caller finds.
enum Running {
    Good(Credentials),
    /// Usable, but about to end.
    Due(Credentials),
    None,
}

impl RoleSession {
    pub(crate) async fn new(base: &SdkConfig, spec: &SourceSpec, options: &AwsOptions) -> Self {
        let mut builder = AssumeRoleProvider::builder(&spec.role_arn)
            .session_name(session_name(&options.session_label))
            .session_length(options.session_length)
            .region(Region::new(spec.region.clone()))
            .configure(base);
        // An empty id would be a ValidationError; without one AWS answers for the role as it is.
        if !spec.external_id.is_empty() {
            builder = builder.external_id(&spec.external_id);
        }
        let provider = builder.build().await;
        Self {
            provider,
            role_arn: spec.role_arn.clone(),
            external_id: spec.external_id.clone(),
            refresh_before: options.refresh_before,
            current: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// The running session, or a new one when it is about to end.
    pub(crate) async fn credentials(&self) -> Result<Credentials> {
        let usable = match self.running() {
            Running::Good(found) => return Ok(found),
            Running::Due(found) => Some(found),
            Running::None => None,
        };
        let _renewing = match &usable {
            // Somebody is at it already, and STS may be slow: the old session does meanwhile.
            Some(found) => match self.renewing.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(found.clone()),
            },
            None => {
                let guard = self.renewing.lock().await;
                if let Running::Good(found) | Running::Due(found) = self.running() {
                    return Ok(found);
                }
                guard
            }
        };
        let asked_at = SystemTime::now();
        let outcome = self.provider.provide_credentials().await;
        let mut current = self.current();
        match outcome {
            Ok(new) => {
                debug!(role_arn = self.role_arn, "assumed role");
                *current = Current {
                    credentials: Some(new.clone()),
                    obtained: Some(asked_at),
                    generation: current.generation + 1,
                    not_before: None,
                };
                Ok(new)
            }
            Err(error) => {
                let error = self.failure(&error);
                let Some(found) = usable else {
                    return Err(error);
                };
                warn!(
                    role_arn = self.role_arn,
                    error = error.report(),
                    "could not renew the role session yet"
                );
                current.not_before = Some(SystemTime::now() + REFRESH_RETRY);
                Ok(found)
            }
        }
    }

    /// Which session is running; for [`Self::discard`].
    pub(crate) fn generation(&self) -> u64 {
        self.current().generation
    }

    /// Forgets a session that AWS no longer takes, unless somebody already replaced it.
    pub(crate) fn discard(&self, generation: u64) {
        let mut current = self.current();
        if current.generation == generation {
            current.credentials = None;
            current.not_before = None;
        }
    }

    fn running(&self) -> Running {
        let current = self.current();
        let now = SystemTime::now();
        let Some(found) = &current.credentials else {
            return Running::None;
        };
        if found.expiry().is_some_and(|end| end <= now) {
            return Running::None;
        }
        let waiting = current.not_before.is_some_and(|time| now < time);
        if waiting || !self.is_due(found, current.obtained, now) {
            return Running::Good(found.clone());
        }
        Running::Due(found.clone())
    }

    /// Never held across an await.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is due at three quarters of its life or `refresh_before` its end, whichever is later: a short
    /// session would otherwise be renewed on every call.
    fn is_due(&self, found: &Credentials, obtained: Option<SystemTime>, now: SystemTime) -> bool {
        let Some(end) = found.expiry() else {
            return false;
        };
        let life = obtained
            .and_then(|start| end.duration_since(start).ok())
            .unwrap_or_default();
        let margin = self.refresh_before.min(life / 4);
        end.duration_since(now).unwrap_or_default() <= margin
    }

    fn failure(&self, error: &CredentialsError) -> Error {
        let context = format!("assume role {}", self.role_arn);
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(link) = cause {
            if let Some(answer) = link.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
                return self.refusal(context, answer);
            }
            cause = link.source();
        }
        Error::with_source(
            ErrorKind::Unavailable,
            context,
            Fault::new(chain_text(error)),
        )
    }

    fn refusal(&self, context: String, answer: &SdkError<AssumeRoleError, HttpResponse>) -> Error {
        if let Some(base) = credentials::credentials_error(answer) {
            return credentials::base_failure(base);
        }
        let refused = answer.as_service_error();
        let code = refused
            .and_then(ProvideErrorMetadata::code)
            .unwrap_or_default();
        match code {
            "AccessDenied" | "AccessDeniedException" => {
                let message = refused
                    .and_then(ProvideErrorMetadata::message)
                    .unwrap_or_default();
                let refusal = Refusal {
                    advice: role_refused_message(
                        caller_in(message),
                        &self.role_arn,
                        &self.external_id,
                    ),
                    answer: Fault::from_sdk(answer),
                };
                Error::with_source(ErrorKind::RoleRefused, context, refusal)
            }
            code if credentials::names_bad_keys(code) => {
                credentials::missing(Some(Fault::from_sdk(answer)))
            }
            _ => from_sdk(Subject::Role, context, answer),
        }
    }
}

impl fmt::Debug for RoleSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleSession")
            .field("role_arn", &self.role_arn)
            .finish_non_exhaustive()
    }
}

/// The session as the SDK wants to see it.
#[derive(Clone, Debug)]
pub(crate) struct SessionCredentials(pub(crate) Arc<RoleSession>);

impl ProvideCredentials for SessionCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        // The port's error travels inside the SDK's; `error::from_sdk` takes it out again.
        future::ProvideCredentials::new(async {
            self.0
                .credentials()
                .await
                .map_err(CredentialsError::provider_error)
        })
    }
}

/// A refused AssumeRole: our words first, AWS's answer as the cause.
#[derive(Debug)]
struct Refusal {
    advice: String,
    answer: Fault,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advice)
    }
}

impl StdError for Refusal {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.answer)
    }
}

/// The principal in "User: <arn> is not authorized to perform: ...".
fn caller_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User: ")?;
    let (arn, _) = rest.split_once(" is not authorized")?;
    arn.starts_with("arn:").then_some(arn)
}

/// `dynamirror-<label>` within what STS allows: 2 to 64 of `[\w+=,.@-]`.
fn session_name(label: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let label: String = label.chars().filter(|c| allowed(*c)).take(50).collect();
    format!(
        "dynamirror-{}",
        if label.is_empty() { "local" } else { &label }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_stay_within_what_sts_allows() {
        assert_eq!(session_name("a b/c:d"), "dynamirror-abcd");
        assert_eq!(session_name(""), "dynamirror-local");
        assert_eq!(session_name(&"x".repeat(200)).len(), 61);
    }

    #[test]
    fn the_caller_is_read_from_the_refusal() {
        let text = "User: arn:aws:iam::1:user/dev is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/r";
        assert_eq!(caller_in(text), Some("arn:aws:iam::1:user/dev"));
        assert_eq!(caller_in("Access denied"), None);
    }

    #[test]
    fn the_refusal_names_caller_role_and_external_id() {
        let text = role_refused_message(
            Some("arn:aws:iam::1:user/dev"),
            "arn:aws:iam::2:role/r",
            "abc",
        );
        assert!(text.contains("arn:aws:iam::1:user/dev assume arn:aws:iam::2:role/r (HTTP 403)"));
        assert!(text.contains("include(s) the following external ID: abc."));
    }
}
