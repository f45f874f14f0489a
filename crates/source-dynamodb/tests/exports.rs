//! The life of an export, and its data files in every condition.

use std::time::Duration;

use aws_sim::{ExportConfig, Fault, FaultKind, WorldConfig};
use mirror::error::ErrorKind;
use mirror::source::{
    ExportDescription, ExportFile, ExportManifest, ExportRequest, ExportStatus, Source, Sources,
};

use crate::scene::{BUCKET, ROLE, Scene, canonical, failure, until};

pub(crate) fn request(token: &str, prefix: &str) -> ExportRequest {
    ExportRequest {
        client_token: token.to_owned(),
        s3_prefix: prefix.to_owned(),
        window: None,
    }
}

pub(crate) fn quick() -> Scene {
    exports(|_| {})
}

pub(crate) fn exports(change: impl FnOnce(&mut ExportConfig)) -> Scene {
    let mut export = ExportConfig {
        duration_ms: 100,
        files: Some(5),
        ..ExportConfig::default()
    };
    change(&mut export);
    let scene = Scene::with(WorldConfig {
        export,
        ..WorldConfig::default()
    });
    for n in 0..500 {
        scene.put(&format!(
            r#"{{"pk":{{"S":"item-{n}"}},"n":{{"N":"{n}.5"}},"s":{{"SS":["b","a","é"]}}}}"#
        ));
    }
    scene
}

pub(crate) async fn completed(source: &dyn Source, request: &ExportRequest) -> ExportDescription {
    let arn = source
        .start_export(request)
        .await
        .map_err(|error| error.report())
        .unwrap()
        .arn;
    until(async || {
        Some(source.describe_export(&arn).await.unwrap())
            .filter(|export| export.status != ExportStatus::InProgress)
    })
    .await
}

/// All lines of all files.
pub(crate) async fn lines(source: &dyn Source, manifest: &ExportManifest) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for file in &manifest.files {
        let mut reader = source
            .open_file(file)
            .await
            .map_err(|error| error.report())
            .unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let (mut lines, mut block) = (Vec::new(), Vec::new());
            while reader.next_lines(&mut block, 1000)? {
                lines.extend(
                    block
                        .split(|byte| *byte == b'\n')
                        .filter(|line| !line.is_empty())
                        .map(<[u8]>::to_vec),
                );
            }
            Ok::<_, mirror::error::Error>(lines)
        });
        all.extend(read.await.unwrap().map_err(|error| error.report()).unwrap());
    }
    all
}

/// The lines are exactly the table.
async fn holds_the_table(scene: &Scene, source: &dyn Source, manifest: &ExportManifest) {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for line in lines(source, manifest).await {
        let item = line
            .strip_prefix(b"{\"Item\":")
            .and_then(|line| line.strip_suffix(b"}"))
            .unwrap();
        found.push(canonical(item));
    }
    let mut expected: Vec<Vec<u8>> = scene.world(|world| {
        world
            .table_items("orders")
            .iter()
            .map(|item| item.to_vec())
            .collect()
    });
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(manifest.item_count, expected.len() as u64);
}

async fn first_failure(source: &dyn Source, manifest: &ExportManifest) -> mirror::error::Error {
    for file in &manifest.files {
        let mut reader = match source.open_file(file).await {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        let mut block = Vec::new();
        loop {
            match reader.next_lines(&mut block, 1000) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return error,
            }
        }
    }
    panic!("no file failed");
}

#[tokio::test]
async fn an_export_is_asked_for_once_followed_and_read_whole() {
    for prefix in ["", "mirror/orders"] {
        let scene = quick();
        let source = scene.connect().await;
        let started = source.start_export(&request("t1", prefix)).await.unwrap();
        assert_eq!(started.status, ExportStatus::InProgress);
        let again = source.start_export(&request("t1", prefix)).await.unwrap();
        assert_eq!(again.arn, started.arn);
        let export = completed(source.as_ref(), &request("t1", prefix)).await;
        assert_eq!(
            (export.arn.clone(), export.status.clone(), export.item_count),
            (started.arn, ExportStatus::Completed, Some(500))
        );
        assert!(export.manifest_key.as_ref().unwrap().starts_with(prefix));
        let manifest = source.read_manifest(&export).await.unwrap();
        assert!(manifest.export_time_ms > 1_700_000_000_000);
        assert_eq!(
            manifest
                .files
                .iter()
                .filter(|file| file.item_count == 0)
                .count(),
            2,
            "empty files in both shapes"
        );
        holds_the_table(&scene, source.as_ref(), &manifest).await;
        assert!(scene.spool_is_empty());
    }
}

#[tokio::test]
async fn a_token_with_another_request_is_a_conflict() {
    let scene = quick();
    let source = scene.connect().await;
    source.start_export(&request("t1", "a")).await.unwrap();
    assert_eq!(
        failure(source.start_export(&request("t1", "b")).await).kind,
        ErrorKind::ExportConflict
    );
}

#[tokio::test]
async fn a_failed_export_shows_code_and_message() {
    let scene = quick();
    let source = scene.connect().await;
    scene.fault(
        Fault::new(
            "ExportTableToPointInTime",
            FaultKind::ExportFailed {
                code: "S3Oops".to_owned(),
                message: "it broke".to_owned(),
            },
        )
        .times(1),
    );
    let export = completed(source.as_ref(), &request("t1", "")).await;
    assert_eq!(
        export.status,
        ExportStatus::Failed {
            code: "S3Oops".to_owned(),
            message: "it broke".to_owned()
        }
    );
    assert_eq!(
        failure(source.read_manifest(&export).await).kind,
        ErrorKind::Permanent
    );
    scene.iam(|iam| iam.deny(ROLE, "s3:PutObject", "*"));
    let ExportStatus::Failed { message, .. } =
        completed(source.as_ref(), &request("t2", "")).await.status
    else {
        panic!()
    };
    assert!(message.contains("s3:AbortMultipartUpload"), "{message}");
}

#[tokio::test]
async fn a_missing_bucket_is_seen_before_and_after_the_export() {
    let scene = quick();
    let source = scene.connect().await;
    source.check_bucket().await.unwrap();
    scene.world(|world| world.s3.delete_bucket(BUCKET));
    assert_eq!(failure(source.check_bucket().await).kind, ErrorKind::Bucket);
    let ExportStatus::Failed { code, message } =
        completed(source.as_ref(), &request("t1", "")).await.status
    else {
        panic!()
    };
    assert_eq!(code, "S3NoSuchBucket");
    assert!(message.contains("does not exist"), "{message}");
}

#[tokio::test]
async fn refusals_of_an_export_are_told_apart() {
    let scene = quick();
    let source = scene.connect().await;
    let error = |code: &str| FaultKind::Error {
        code: code.to_owned(),
        message: None,
        status: None,
    };
    let cases = [
        (
            "PointInTimeRecoveryUnavailableException",
            ErrorKind::PitrUnavailable,
        ),
        ("LimitExceededException", ErrorKind::Throttled),
        ("TableNotFoundException", ErrorKind::TableNotFound),
        ("InvalidExportTimeException", ErrorKind::ExportTime),
        ("AccessDeniedException", ErrorKind::AccessDenied),
        ("InternalServerError", ErrorKind::Unavailable),
    ];
    for (code, kind) in cases {
        scene.fault(Fault::new("ExportTableToPointInTime", error(code)).times(3));
        assert_eq!(
            failure(source.start_export(&request("t1", "")).await).kind,
            kind,
            "{code}"
        );
        scene.world(|world| world.faults.clear());
    }
    let unknown =
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders/export/01234567890123-ffffffff";
    assert_eq!(
        failure(source.describe_export(unknown).await).kind,
        ErrorKind::Permanent
    );
}

#[tokio::test]
async fn a_bucket_in_another_region_is_followed() {
    let scene = quick();
    scene.world(|world| {
        world.s3.delete_bucket(BUCKET);
        world.s3.create_bucket(BUCKET, "eu-west-1");
    });
    let source = scene.connect().await;
    source.check_bucket().await.unwrap();
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    // A source that reads without having checked finds the region by itself.
    let source = scene.connect().await;
    let manifest = source.read_manifest(&export).await.unwrap();
    holds_the_table(&scene, source.as_ref(), &manifest).await;
}

#[tokio::test]
async fn a_role_that_may_read_but_not_list_reads() {
    let scene = quick();
    let source = scene.connect().await;
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    scene.iam(|iam| iam.deny(ROLE, "s3:ListBucket", "*"));
    let source = scene.connect().await;
    let error = failure(source.check_bucket().await);
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    assert!(
        error.report().contains("s3:ListBucket"),
        "{}",
        error.report()
    );
    let manifest = source.read_manifest(&export).await.unwrap();
    holds_the_table(&scene, source.as_ref(), &manifest).await;
    scene.iam(|iam| iam.deny(ROLE, "s3:GetObject", "*"));
    let error = failure(source.open_file(&manifest.files[0]).await);
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    assert!(
        error.report().contains("s3:GetObject"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn damaged_data_files_are_corrupt_and_named() {
    let cases = [
        (FaultKind::WrongManifestMd5, "MD5"),
        (FaultKind::TruncatedDataFile, "truncated gzip"),
    ];
    for (fault, words) in cases {
        let scene = quick();
        let source = scene.connect().await;
        scene.fault(Fault::new("ExportTableToPointInTime", fault).times(1));
        let export = completed(source.as_ref(), &request("t1", "p")).await;
        let manifest = source.read_manifest(&export).await.unwrap();
        let error = first_failure(source.as_ref(), &manifest).await;
        assert_eq!(error.kind, ErrorKind::Corrupt);
        let text = error.report();
        assert!(
            text.contains(words) && text.contains("p/AWSDynamoDB/") && text.contains(".json.gz"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_wrong_count_is_found_in_the_manifest() {
    let scene = quick();
    let source = scene.connect().await;
    scene.fault(
        Fault::new(
            "ExportTableToPointInTime",
            FaultKind::WrongManifestItemCount,
        )
        .times(1),
    );
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    let error = failure(source.read_manifest(&export).await);
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(error.report().contains("500"), "{}", error.report());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_resumed_where_it_broke() {
    let scene = exports(|export| export.files = Some(1));
    let source = scene.connect().await;
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    let manifest = source.read_manifest(&export).await.unwrap();
    let data = "/data/";
    scene.fault(
        Fault::new("GetObject", FaultKind::CutBody { fraction: 0.3 })
            .containing(data)
            .times(3),
    );
    scene.fault(
        Fault::new("GetObject", FaultKind::ConnectionReset)
            .containing(data)
            .times(1),
    );
    holds_the_table(&scene, source.as_ref(), &manifest).await;
    assert_eq!(
        scene.world(|world| world.faults.list().len()),
        0,
        "the faults were met"
    );
}

#[tokio::test]
async fn a_body_that_always_breaks_off_is_unavailable_and_one_that_hangs_is_broken_off() {
    let mut scene = exports(|export| export.files = Some(1));
    scene.options.download_resumes = 1;
    scene.options.body_idle_timeout = Duration::from_millis(150);
    let source = scene.connect().await;
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    let manifest = source.read_manifest(&export).await.unwrap();
    let file = manifest
        .files
        .iter()
        .max_by_key(|file| file.item_count)
        .unwrap();
    scene.fault(Fault::new("GetObject", FaultKind::CutBody { fraction: 0.1 }).containing("/data/"));
    let error = failure(source.open_file(file).await);
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.report().contains("broke off 2 times"),
        "{}",
        error.report()
    );
    scene.world(|world| world.faults.clear());
    scene.fault(
        Fault::new("GetObject", FaultKind::SlowBody { pause_ms: 2000 }).containing("/data/"),
    );
    let error = failure(source.open_file(file).await);
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.report().contains("nothing came"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn a_file_that_is_gone_or_has_no_md5_is_corrupt() {
    let scene = quick();
    let source = scene.connect().await;
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    let manifest = source.read_manifest(&export).await.unwrap();
    let file = manifest.files[0].clone();
    for md5 in ["", "abc"] {
        let error = failure(
            source
                .open_file(&ExportFile {
                    md5: md5.to_owned(),
                    ..file.clone()
                })
                .await,
        );
        assert_eq!(error.kind, ErrorKind::Corrupt);
    }
    scene.world(|world| {
        world
            .s3
            .buckets
            .get_mut(BUCKET)
            .unwrap()
            .objects
            .remove(&file.key)
    });
    let error = failure(source.open_file(&file).await);
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(
        error.report().contains("was it deleted?"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_says_so() {
    let mut scene = quick();
    let source = scene.connect().await;
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    scene.options.spool_dir = "/dev/null/spool".into();
    let source = scene
        .sources()
        .connect(&crate::scene::spec())
        .await
        .unwrap();
    let error = failure(source.read_manifest(&export).await);
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(error.report().contains("spool"), "{}", error.report());
}
