//! Everything about reaching AWS that a caller may set; the defaults are for real AWS.

use std::path::PathBuf;
use std::time::Duration;

use crate::credentials::BaseCredentials;

/// Settings of [`crate::AwsSources`].
#[derive(Clone, Debug)]
pub struct AwsOptions {
    /// Whose credentials assume the roles.
    pub credentials: BaseCredentials,
    /// One endpoint for all services, for simulators. `None` means AWS, or whatever `AWS_ENDPOINT_URL` and
    /// `AWS_ENDPOINT_URL_<SERVICE>` say; this value wins over them.
    pub endpoint_url: Option<String>,
    /// Region for [`mirror::source::Sources::caller_identity`]; `None` takes it from the environment or the
    /// profile, else `us-east-1`.
    pub region: Option<String>,
    /// Short name of this installation. Sessions are called `dynamirror-<label>` in the customer's CloudTrail.
    pub session_label: String,
    /// Length of a role session. AWS caps chained roles at one hour and refuses less than 15 minutes.
    pub session_length: Duration,
    /// A session is replaced this long before it ends (or at three quarters of its life, if that is later).
    pub refresh_before: Duration,
    /// How often a refused AssumeRole is tried again; IAM needs seconds to spread a new role.
    pub role_retries: u32,
    /// Pause before each of these tries.
    pub role_retry_wait: Duration,
    /// Tries of one call inside the SDK, the first one included.
    pub max_attempts: u32,
    /// The SDK's first pause between tries; it doubles.
    pub initial_backoff: Duration,
    /// Bound on setting up a connection.
    pub connect_timeout: Duration,
    /// Bound on waiting for the head of an answer.
    pub read_timeout: Duration,
    /// Bound on one try as a whole, bodies of S3 objects excepted.
    pub attempt_timeout: Duration,
    /// A body of an S3 object that brings nothing for this long is broken off and resumed.
    pub body_idle_timeout: Duration,
    /// How often the download of one object is resumed before it fails as unavailable.
    pub download_resumes: u32,
    /// Directory for data files that are being read. They are unlinked at once and vanish with the process.
    pub spool_dir: PathBuf,
}

impl AwsOptions {
    /// Defaults for real AWS, with data files spooled in `spool_dir`.
    pub fn new(spool_dir: impl Into<PathBuf>) -> Self {
        Self {
            credentials: BaseCredentials::Environment,
            endpoint_url: None,
            region: None,
            session_label: "local".to_owned(),
            session_length: Duration::from_secs(3600),
            refresh_before: Duration::from_secs(5 * 60),
            role_retries: 2,
            role_retry_wait: Duration::from_millis(2500),
            max_attempts: 3,
            initial_backoff: Duration::from_millis(500),
            connect_timeout: Duration::from_millis(3100),
            read_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(30),
            download_resumes: 8,
            spool_dir: spool_dir.into(),
        }
    }
}
