//! Manifests that were tampered with, half deleted, or written the way AWS's guide shows them.

use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{ExportType, IncrementalExportSpecification};
use aws_sim::s3::Object;
use mirror::error::ErrorKind;
use mirror::source::{ExportDescription, ExportStatus, Source};

use crate::exports::{completed, lines, quick, request};
use crate::scene::{BUCKET, Scene, TABLE, failure, until};
use crate::tables::admin;

struct Written {
    scene: Scene,
    source: std::sync::Arc<dyn Source>,
    export: ExportDescription,
}

async fn written() -> Written {
    let scene = quick();
    let source = scene.connect().await;
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    Written {
        scene,
        source,
        export,
    }
}

impl Written {
    fn key(&self, name: &str) -> String {
        self.export
            .manifest_key
            .as_ref()
            .unwrap()
            .replace("manifest-summary.json", name)
    }

    fn remove(&self, name: &str) -> Object {
        let key = self.key(name);
        self.scene.world(|world| {
            world
                .s3
                .buckets
                .get_mut(BUCKET)
                .unwrap()
                .objects
                .remove(&key)
                .unwrap()
        })
    }

    /// Rewrites a manifest and forgets its checksum.
    fn rewrite(&self, name: &str, change: impl FnOnce(String) -> String) {
        let mut object = self.remove(name);
        object.body = change(String::from_utf8(object.body.to_vec()).unwrap()).into();
        self.scene
            .world(|world| world.s3.put(BUCKET, &self.key(name), object));
        self.remove(&name.replace(".json", ".md5"));
    }

    async fn refusal(&self) -> String {
        let error = failure(self.source.read_manifest(&self.export).await);
        assert_eq!(error.kind, ErrorKind::Corrupt, "{}", error.report());
        error.report()
    }
}

#[tokio::test]
async fn a_manifest_that_does_not_match_its_checksum_is_corrupt() {
    for (name, checksum) in [
        ("manifest-summary.json", "manifest-summary.md5"),
        ("manifest-files.json", "manifest-files.md5"),
    ] {
        let written = written().await;
        let mut object = written.remove(checksum);
        object.body = "AAAAAAAAAAAAAAAAAAAAAA==".into();
        written
            .scene
            .world(|world| world.s3.put(BUCKET, &written.key(checksum), object));
        let text = written.refusal().await;
        assert!(text.contains(name) && text.contains(checksum), "{text}");
    }
}

#[tokio::test]
async fn the_checksum_may_be_called_checksum_or_be_missing() {
    let written = written().await;
    let object = written.remove("manifest-summary.md5");
    written.source.read_manifest(&written.export).await.unwrap();
    let object = Object {
        body: [&object.body[..], b"\n"].concat().into(),
        ..object
    };
    written.scene.world(|world| {
        world.s3.put(
            BUCKET,
            &written.key("manifest-summary.checksum"),
            object.clone(),
        )
    });
    written.source.read_manifest(&written.export).await.unwrap();
    let wrong = Object {
        body: "AAAAAAAAAAAAAAAAAAAAAA==".into(),
        ..object
    };
    written.scene.world(|world| {
        world
            .s3
            .put(BUCKET, &written.key("manifest-summary.checksum"), wrong)
    });
    assert!(
        written
            .refusal()
            .await
            .contains("manifest-summary.checksum")
    );
}

#[tokio::test]
async fn keys_without_the_prefix_are_found_with_it() {
    let written = written().await;
    written.rewrite("manifest-summary.json", |text| {
        text.replace("\"p/AWSDynamoDB", "\"AWSDynamoDB")
    });
    written.rewrite("manifest-files.json", |text| {
        text.replace("\"p/AWSDynamoDB", "\"AWSDynamoDB")
    });
    let bare = written
        .export
        .manifest_key
        .as_ref()
        .map(|key| key.replacen("p/", "", 1));
    for manifest_key in [written.export.manifest_key.clone(), bare] {
        let export = ExportDescription {
            manifest_key,
            ..written.export.clone()
        };
        let manifest = written.source.read_manifest(&export).await.unwrap();
        assert!(
            manifest
                .files
                .iter()
                .all(|file| file.key.starts_with("p/AWSDynamoDB/"))
        );
        assert_eq!(lines(written.source.as_ref(), &manifest).await.len(), 500);
    }
}

#[tokio::test]
async fn a_hostile_manifest_is_refused() {
    let outside = written().await;
    outside.rewrite("manifest-files.json", |text| {
        text.replace("p/AWSDynamoDB", "q/AWSDynamoDB")
    });
    assert!(outside.refusal().await.contains("outside"));
    let elsewhere = written().await;
    elsewhere.rewrite("manifest-summary.json", |text| {
        text.replace("/manifest-files.json", "/../manifest-files.json")
    });
    assert!(elsewhere.refusal().await.contains("outside"));
    let twice = written().await;
    twice.rewrite("manifest-files.json", |text| {
        let first = text
            .lines()
            .find(|line| line.contains("\"itemCount\":0"))
            .unwrap()
            .to_owned();
        text + &first + "\n"
    });
    assert!(twice.refusal().await.contains("twice"));
    let other = written().await;
    other.rewrite("manifest-summary.json", |text| {
        text.replace("table/orders/export/", "table/users/export/")
    });
    assert!(other.refusal().await.contains("belongs to export"));
    let noise = written().await;
    noise.rewrite("manifest-summary.json", |_| "\u{0}".repeat(3));
    noise.refusal().await;
    let huge = written().await;
    huge.rewrite("manifest-summary.json", |text| {
        text + &" ".repeat(2 * 1024 * 1024)
    });
    assert!(huge.refusal().await.contains("larger"));
}

#[tokio::test]
async fn a_summary_that_disagrees_with_describe_export_is_refused() {
    let written = written().await;
    let export = ExportDescription {
        item_count: Some(499),
        ..written.export.clone()
    };
    let error = failure(written.source.read_manifest(&export).await);
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(
        error.report().contains("500") && error.report().contains("499"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn deleted_manifests_say_what_is_missing() {
    for name in ["manifest-summary.json", "manifest-files.json"] {
        let written = written().await;
        written.remove(name);
        let text = written.refusal().await;
        assert!(
            text.contains(name) && text.contains("was it deleted?"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_incremental_export_is_read_from_its_shared_folder() {
    let scene = quick();
    let source = scene.connect().await;
    let from = scene.world(|world| world.now_ms()) / 1000 + 1;
    scene.sim.advance(20 * 60 * 1000);
    scene.put(r#"{"pk":{"S":"new"}}"#);
    scene.delete(r#"{"pk":{"S":"item-7"}}"#);
    scene.sim.advance(60 * 1000);
    let to = from + 20 * 60 + 30;
    let window = IncrementalExportSpecification::builder()
        .export_from_time(DateTime::from_secs(from))
        .export_to_time(DateTime::from_secs(to));
    let asked = admin(&scene)
        .export_table_to_point_in_time()
        .table_arn(TABLE)
        .s3_bucket(BUCKET)
        .s3_prefix("p");
    let asked = asked
        .export_type(ExportType::IncrementalExport)
        .incremental_export_specification(window.build());
    let answer = asked.send().await.unwrap();
    let arn = answer
        .export_description()
        .unwrap()
        .export_arn()
        .unwrap()
        .to_owned();
    let export = until(async || {
        let export = source.describe_export(&arn).await.unwrap();
        (export.status == ExportStatus::Completed).then_some(export)
    })
    .await;
    let manifest = source.read_manifest(&export).await.unwrap();
    assert_eq!(manifest.export_time_ms, to * 1000);
    assert!(
        manifest
            .files
            .iter()
            .all(|file| file.key.starts_with("p/AWSDynamoDB/data/"))
    );
    assert_eq!(lines(source.as_ref(), &manifest).await.len(), 2);
}
