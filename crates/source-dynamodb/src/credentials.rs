//! Who we are before any role is assumed.

use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::CallerIdentity;

use crate::clients::Connector;
use crate::error::{Fault, Subject, chain_text, from_sdk};

/// What to do when there is nobody to be.
const CREDENTIALS_ADVICE: &str = "no usable AWS credentials: run `tb local start --use-aws-creds` with credentials in the \
     environment or a profile, or give the host that runs `tb server` a role";

/// Where the first credentials come from.
#[derive(Clone, Debug)]
pub enum BaseCredentials {
    /// AWS's default chain: environment, profile, SSO, process, web identity, ECS, IMDS.
    Environment,
    /// These keys.
    Keys(AccessKeys),
    /// None at all, without looking: every call fails with `CredentialsMissing`.
    Absent,
}

/// An access key, its secret and perhaps a session token. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeys {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    /// When temporary credentials end.
    pub expires_at: Option<SystemTime>,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys")
            .field("secrets", &"<redacted>")
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// Runs the default chain once and returns what it found, for handing credentials to another process.
pub(crate) async fn resolve(connector: &Connector) -> Result<AccessKeys> {
    let config = connector.base_config(None).await?;
    let Some(provider) = config.credentials_provider() else {
        return Err(missing(None));
    };
    let found = provider
        .provide_credentials()
        .await
        .map_err(|error| base_failure(&error))?;
    Ok(AccessKeys {
        access_key_id: found.access_key_id().to_owned(),
        secret_access_key: found.secret_access_key().to_owned(),
        session_token: found.session_token().map(str::to_owned),
        expires_at: found.expiry(),
    })
}

/// STS GetCallerIdentity; needs no permission.
pub(crate) async fn caller_identity(connector: &Connector) -> Result<CallerIdentity> {
    let config = connector.base_config(None).await?;
    let answer = aws_sdk_sts::Client::new(&config)
        .get_caller_identity()
        .send()
        .await;
    let identity = answer.map_err(|error| {
        if let Some(cause) = credentials_error(&error) {
            return base_failure(cause);
        }
        let code = error
            .as_service_error()
            .and_then(|e| e.meta().code())
            .unwrap_or_default();
        if names_bad_keys(code) {
            return missing(Some(Fault::from_sdk(&error)));
        }
        from_sdk(Subject::Role, "get caller identity".to_owned(), &error)
    })?;
    Ok(CallerIdentity {
        account: identity.account.unwrap_or_default(),
        arn: identity.arn.unwrap_or_default(),
    })
}

/// Codes that STS gives to keys which are unknown, revoked or over, as opposed to keys that may not do something.
pub(crate) fn names_bad_keys(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "InvalidAccessKeyId"
    )
}

/// `CredentialsMissing`, with the cause if there is one to show.
pub(crate) fn missing(cause: Option<Fault>) -> Error {
    match cause {
        Some(cause) => Error::with_source(ErrorKind::CredentialsMissing, CREDENTIALS_ADVICE, cause),
        None => Error::new(ErrorKind::CredentialsMissing, CREDENTIALS_ADVICE),
    }
}

/// What a failure of the default chain means. An outage of the metadata service passes; anything that needs a
/// person (nothing found, a broken profile, an SSO login that is over) does not.
pub(crate) fn base_failure(error: &CredentialsError) -> Error {
    let text = chain_text(error);
    let needs_login =
        text.contains("SSO") || text.contains("AccessDenied") || text.contains("xpired");
    match error {
        CredentialsError::CredentialsNotLoaded(_) => missing(None),
        CredentialsError::InvalidConfiguration(_) => missing(Some(Fault::new(text))),
        _ if needs_login => missing(Some(Fault::new(text))),
        _ => Error::with_source(
            ErrorKind::Unavailable,
            "load the AWS credentials of this host",
            Fault::new(text),
        ),
    }
}

/// The outermost failure to load credentials in a chain of causes.
pub(crate) fn credentials_error<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a CredentialsError> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
