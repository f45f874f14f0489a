//! One table, one bucket, one role in a simulator, and the source that reads them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sim::attribute::{map_bytes, parse_map};
use aws_sim::{Iam, Role, RunningSim, Sim, TableSpec, World, WorldConfig};
use mirror::error::{Error, Result};
use mirror::source::{Source, SourceSpec, Sources};
use source_dynamodb::{AccessKeys, AwsOptions, AwsSources, BaseCredentials};
use tempfile::TempDir;

pub(crate) const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/mirror";
pub(crate) const BUCKET: &str = "exports";
pub(crate) const EXTERNAL_ID: &str = "install-1";
pub(crate) const SECRET: &str = "base-secret-key";

pub(crate) struct Scene {
    pub(crate) sim: RunningSim,
    pub(crate) options: AwsOptions,
    spool: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(WorldConfig::default())
    }

    /// The table with stream and backups on, the bucket beside it, the role with the documented policy.
    pub(crate) fn with(config: WorldConfig) -> Self {
        Self::empty(config, |world| {
            world.create_table(&TableSpec::new("orders")).unwrap();
            world.s3.create_bucket(BUCKET, "us-east-1");
        })
    }

    pub(crate) fn empty(config: WorldConfig, fill: impl FnOnce(&mut World)) -> Self {
        let sim = Sim::start(WorldConfig {
            open_roles: false,
            ..config
        })
        .unwrap();
        sim.handle.with(|world| {
            let role = Role::new(ROLE, "123456789012", &["another-install", EXTERNAL_ID]);
            world
                .iam
                .add_role(role.with_connector_policy(TABLE, BUCKET));
            fill(world);
        });
        let spool = tempfile::tempdir().unwrap();
        let options = options(&sim.url, spool.path());
        Self {
            sim,
            options,
            spool,
        }
    }

    pub(crate) fn sources(&self) -> AwsSources {
        AwsSources::new(self.options.clone())
    }

    pub(crate) async fn connect(&self) -> Arc<dyn Source> {
        self.sources()
            .connect(&spec())
            .await
            .map_err(|error| error.report())
            .unwrap()
    }

    pub(crate) async fn refusal(&self, spec: &SourceSpec) -> Error {
        failure(self.sources().connect(spec).await)
    }

    pub(crate) fn world<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        self.sim.handle.with(work)
    }

    pub(crate) fn iam(&self, work: impl FnOnce(&mut Iam)) {
        self.world(|world| work(&mut world.iam));
    }

    pub(crate) fn fault(&self, fault: aws_sim::Fault) {
        self.world(|world| world.faults.add(fault));
    }

    pub(crate) fn put(&self, item: &str) {
        self.world(|world| {
            world
                .put_item("orders", &parse_map(item.as_bytes()))
                .unwrap()
        });
    }

    pub(crate) fn delete(&self, key: &str) {
        self.world(|world| {
            world
                .delete_item("orders", &parse_map(key.as_bytes()))
                .unwrap()
        });
    }

    /// Every spooled file is unlinked, so the directory stays empty.
    pub(crate) fn spool_is_empty(&self) -> bool {
        std::fs::read_dir(self.spool.path())
            .unwrap()
            .next()
            .is_none()
    }
}

pub(crate) fn spec() -> SourceSpec {
    SourceSpec {
        role_arn: ROLE.to_owned(),
        external_id: EXTERNAL_ID.to_owned(),
        region: "us-east-1".to_owned(),
        table_arn: TABLE.to_owned(),
        export_bucket: BUCKET.to_owned(),
    }
}

pub(crate) fn options(url: &str, spool: &std::path::Path) -> AwsOptions {
    AwsOptions {
        credentials: BaseCredentials::Keys(AccessKeys {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: SECRET.to_owned(),
            session_token: None,
            expires_at: None,
        }),
        endpoint_url: Some(url.to_owned()),
        region: Some("us-east-1".to_owned()),
        session_label: "test".to_owned(),
        role_retries: 0,
        initial_backoff: Duration::from_millis(1),
        read_timeout: Duration::from_secs(5),
        ..AwsOptions::new(spool)
    }
}

/// The error of a call that must fail.
pub(crate) fn failure<T>(outcome: Result<T>) -> Error {
    match outcome {
        Ok(_) => panic!("the call should have failed"),
        Err(error) => error,
    }
}

/// Asks again until the answer is there, at most ten seconds.
pub(crate) async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "the condition did not come true in time"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// DynamoDB JSON with sorted names and sets, as the oracle writes it.
pub(crate) fn canonical(item: &[u8]) -> Vec<u8> {
    map_bytes(&parse_map(item))
}
