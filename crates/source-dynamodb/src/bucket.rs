//! The export bucket, spoken to in its own region, wherever that is.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use mirror::error::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tracing::{debug, info};

use crate::clients::s3_client;
use crate::error::{Fault, Subject, from_sdk};
use crate::role_session::RoleSession;
use crate::source::with_fresh_session;

/// Set on every answer S3 gives about a bucket, refusals included; s3:GetBucketLocation is not in the policy.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// One bucket through one role session.
#[derive(Debug)]
pub(crate) struct Bucket {
    config: SdkConfig,
    name: String,
    session: Arc<RoleSession>,
    place: Mutex<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    region: String,
    client: aws_sdk_s3::Client,
    /// Whether S3 has confirmed the region.
    known: bool,
}

/// Go on at a byte of the object that had this etag.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    pub(crate) offset: u64,
    pub(crate) etag: Option<String>,
}

impl Bucket {
    /// Starts from the table's region.
    pub(crate) fn new(
        config: SdkConfig,
        name: String,
        region: String,
        session: Arc<RoleSession>,
    ) -> Self {
        let client = s3_client(&config, &region);
        Self {
            config,
            name,
            session,
            place: Mutex::new(Place {
                region,
                client,
                known: false,
            }),
        }
    }

    /// Asks S3 whether the bucket is there and where.
    pub(crate) async fn check(&self) -> Result<()> {
        let (mut moved, mut renewed) = (false, false);
        loop {
            let place = self.place.lock().await.clone();
            let generation = self.session.generation();
            let send = || place.client.head_bucket().bucket(&self.name).send();
            let error = match Box::pin(send()).await {
                Ok(answer) => {
                    let region = answer.bucket_region.unwrap_or_else(|| place.region.clone());
                    self.settle(&place.region, region).await;
                    return Ok(());
                }
                Err(error) => error,
            };
            if let Some(region) = other_region(&error, &place.region).filter(|_| !moved) {
                self.settle(&place.region, region).await;
                moved = true;
                continue;
            }
            // An answer to HEAD has no body and so no code: a session that is over is a bare 400.
            if status(&error) == Some(400) && !renewed {
                self.session.discard(generation);
                renewed = true;
                continue;
            }
            return Err(self.head_failure(&error));
        }
    }

    /// HEAD answers have no body, so the status is all there is.
    fn head_failure<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let name = &self.name;
        let refused = |kind, hint: &str| {
            Error::with_source(
                kind,
                format!("reach bucket {name}: {hint}"),
                Fault::from_sdk(error),
            )
        };
        // A call that never got a role session has no status, and means what the session means.
        match status(error) {
            Some(404) => refused(
                ErrorKind::Bucket,
                "it does not exist; create it, or correct IMPORT_EXPORT_BUCKET",
            ),
            Some(301) => refused(
                ErrorKind::Bucket,
                "it is in another region, and S3 did not say which",
            ),
            Some(403) => refused(
                ErrorKind::AccessDenied,
                "the role needs s3:ListBucket on it, or the bucket belongs to another account",
            ),
            _ => from_sdk(Subject::Object, format!("reach bucket {name}"), error),
        }
    }

    /// Starts reading an object; `None` if there is no object of that key.
    pub(crate) async fn get(
        &self,
        key: &str,
        resume: Option<&Resume>,
    ) -> Result<Option<GetObjectOutput>> {
        self.locate().await?;
        let mut moved = false;
        loop {
            let place = self.place.lock().await.clone();
            let send = || {
                let call = place.client.get_object().bucket(&self.name).key(key);
                let call = call.set_range(resume.map(|resume| format!("bytes={}-", resume.offset)));
                call.set_if_match(resume.and_then(|resume| resume.etag.clone()))
                    .send()
            };
            let error = match with_fresh_session(&self.session, send).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => error,
            };
            if error
                .as_service_error()
                .and_then(ProvideErrorMetadata::code)
                == Some("NoSuchKey")
            {
                return Ok(None);
            }
            if let Some(region) = other_region(&error, &place.region).filter(|_| !moved) {
                self.settle(&place.region, region).await;
                moved = true;
                continue;
            }
            return Err(from_sdk(
                Subject::Object,
                format!("read s3://{}/{key}", self.name),
                &error,
            ));
        }
    }

    /// A client for the bucket's own region.
    pub(crate) async fn client(&self) -> Result<aws_sdk_s3::Client> {
        self.locate().await?;
        Ok(self.place.lock().await.client.clone())
    }

    /// Finds the bucket's region before the first object is read. A role that may read objects but not ask about
    /// the bucket gets by: S3 names the region with its refusal.
    async fn locate(&self) -> Result<()> {
        if self.place.lock().await.known {
            return Ok(());
        }
        match self.check().await {
            Err(error) if error.kind == ErrorKind::AccessDenied => {
                debug!(
                    bucket = self.name,
                    error = error.report(),
                    "bucket does not answer, reading from it all the same"
                );
                self.place.lock().await.known = true;
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn settle(&self, from: &str, region: String) {
        let mut place = self.place.lock().await;
        if place.region != region {
            info!(
                bucket = self.name,
                region, from, "bucket is in another region"
            );
            *place = Place {
                client: s3_client(&self.config, &region),
                region,
                known: true,
            };
        }
        place.known = true;
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// The region S3 sends us to, if it is not the one we asked.
fn other_region<E>(error: &SdkError<E, HttpResponse>, asked: &str) -> Option<String> {
    let response = error.raw_response()?;
    let region = response.headers().get(REGION_HEADER)?;
    let redirected = matches!(response.status().as_u16(), 301 | 307 | 400 | 403);
    (redirected && region != asked && !region.is_empty()).then(|| region.to_owned())
}
