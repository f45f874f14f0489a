//! SDK configuration and the clients of one role session.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::ServiceConfigKey;
use mirror::error::{Error, ErrorKind, Result};

use crate::clock::AwsClock;
use crate::credentials::{BaseCredentials, missing};
use crate::options::AwsOptions;
use crate::proxy;
use crate::role_session::SessionCredentials;

/// Where GetCallerIdentity is asked if nothing names a region.
const FALLBACK_REGION: &str = "us-east-1";

/// Makes SDK configurations; all of them share one pool of connections.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) options: AwsOptions,
    http: std::result::Result<SharedHttpClient, String>,
}

impl Connector {
    pub(crate) fn new(options: AwsOptions) -> Self {
        let http = proxy::from_environment().map(http_client);
        Self { options, http }
    }

    /// Configuration with the base credentials. Loaded anew each time, so that a profile that was edited or an
    /// SSO login that was renewed is seen by the next mirror that starts.
    pub(crate) async fn base_config(&self, region: Option<&str>) -> Result<SdkConfig> {
        let options = &self.options;
        let http = self.http.as_ref();
        let http = http.map_err(|wrong| Error::new(ErrorKind::Permanent, wrong))?;
        // Without the metadata service: it would cost seconds on every machine that is not an EC2 instance.
        let region = RegionProviderChain::first_try(
            region
                .or(options.region.as_deref())
                .map(|name| Region::new(name.to_owned())),
        )
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(FALLBACK_REGION));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .http_client(http.clone())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(options.max_attempts.max(1))
                    .with_initial_backoff(options.initial_backoff),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(options.connect_timeout)
                    .read_timeout(options.read_timeout)
                    .operation_attempt_timeout(options.attempt_timeout)
                    .build(),
            );
        if let Ok(name) = AppName::new("dynamirror") {
            loader = loader.app_name(name);
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader = match &options.credentials {
            BaseCredentials::Environment => loader,
            BaseCredentials::Absent => return Err(missing(None)),
            BaseCredentials::Keys(keys) => loader.credentials_provider(Credentials::new(
                keys.access_key_id.clone(),
                keys.secret_access_key.clone(),
                keys.session_token.clone(),
                keys.expires_at,
                "dynamirror",
            )),
        };
        Ok(loader.load().await)
    }
}

/// The same client speaks plain http when an endpoint says so; native root certificates are its default.
fn http_client(proxy: ProxyConfig) -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector =
            aws_smithy_http_client::Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build()
    })
}

/// Clients of one role session in one region.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
}

/// Configuration whose calls are signed with the role session. The session caches by itself, so that a refused
/// token can be thrown away; the SDK's own cache would hold on to it.
pub(crate) fn role_config(base: SdkConfig, session: SessionCredentials) -> SdkConfig {
    base.into_builder()
        .credentials_provider(SharedCredentialsProvider::new(session))
        .identity_cache(IdentityCache::no_cache())
        .build()
}

impl Clients {
    /// Clients whose every answer sets `clock`.
    pub(crate) fn new(config: &SdkConfig, clock: &AwsClock) -> Self {
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(config).interceptor(clock.clone());
        let streams =
            aws_sdk_dynamodbstreams::config::Builder::from(config).interceptor(clock.clone());
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams.build()),
        }
    }
}

/// An S3 client for a bucket's own region.
pub(crate) fn s3_client(config: &SdkConfig, region: &str) -> aws_sdk_s3::Client {
    let builder = aws_sdk_s3::config::Builder::from(config)
        .region(Region::new(region.to_owned()))
        // Names of buckets are host names on AWS only; the SDK has no setting for this in the environment.
        .force_path_style(has_s3_endpoint(config))
        // A reader under back-pressure is no stalled stream; `download` times the body itself.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Every byte is checked against the manifest's MD5.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// Whether S3 is reached at an endpoint that somebody set, by code, environment or profile.
fn has_s3_endpoint(config: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = || config.service_config()?.load_config(key.ok()?);
    config.endpoint_url().is_some() || own().is_some()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::process::Command;

    use super::*;

    const PROBE: &str = "DYNAMIRROR_TEST_CONFIG_PROBE";

    /// Runs in a child; as a test of its own it has nothing to look at.
    #[tokio::test]
    async fn probe_from_the_environment() {
        let Ok(expected) = std::env::var(PROBE) else {
            return;
        };
        let connector = Connector::new(AwsOptions::new("unused"));
        let config = connector.base_config(Some("us-east-1")).await.unwrap();
        let found = format!("{:?} {}", config.endpoint_url(), has_s3_endpoint(&config));
        assert_eq!(found, expected);
    }

    #[test]
    fn configured_endpoints_can_all_be_ignored() {
        let general = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let own = ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2");
        let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        let set = "Some(\"http://127.0.0.1:1\") true";
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[], "None false"),
            (&[general], set),
            (&[own], "None true"),
            (&[general, own], set),
            (&[general, own, ignore], "None false"),
        ];
        for (variables, expected) in cases {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "clients::tests::probe_from_the_environment"]);
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
                command.env_remove(name);
            }
            command
                .env(PROBE, expected)
                .env("AWS_CONFIG_FILE", "/dev/null");
            command
                .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
                .envs(variables.iter().copied());
            let output = command.output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(told.contains("1 passed"), "{expected}: {told}");
        }
    }
}
