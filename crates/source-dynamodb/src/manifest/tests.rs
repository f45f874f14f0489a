#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/T/export/01234567890123-a1b2c3d4";
const KEY: &str = "p/AWSDynamoDB/01234567890123-a1b2c3d4/manifest-summary.json";
const MD5: &str = "a0k21IY3eelgr2PuWJLjJw==";

const FULL: &str = r#"{"version":"2020-06-30","exportArn":"arn:aws:dynamodb:us-east-1:123456789012:table/T/export/01234567890123-a1b2c3d4",
 "startTime":"2020-11-04T07:28:34.028Z","endTime":"2020-11-04T07:33:43.897Z","tableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/T",
 "tableId":"12345a12-abcd-123a-ab12-1234abc12345","exportTime":"2020-11-04T07:28:34.028Z","s3Bucket":"b","s3Prefix":"p","s3SseAlgorithm":"AES256",
 "s3SseKmsKeyId":null,"manifestFilesS3Key":"p/AWSDynamoDB/01234567890123-a1b2c3d4/manifest-files.json","billedSizeBytes":0,"itemCount":8,
 "outputFormat":"DYNAMODB_JSON"}"#;

fn folder() -> Folder {
    Folder::of(KEY, ARN).unwrap()
}

fn summary(item_count: u64) -> Summary {
    Summary {
        item_count,
        ..parse_summary(KEY, FULL.as_bytes(), ARN).unwrap()
    }
}

fn line(key: &str, items: u64) -> String {
    format!(
        "{{\"itemCount\":{items},\"md5Checksum\":\"{MD5}\",\"etag\":\"x-1\",\"dataFileS3Key\":\"{key}\"}}\n"
    )
}

fn data(name: &str) -> String {
    format!("p/AWSDynamoDB/01234567890123-a1b2c3d4/data/{name}.json.gz")
}

fn files(text: &str, items: u64) -> Result<Files> {
    parse_files(
        "manifest-files.json",
        text.as_bytes(),
        &folder(),
        &summary(items),
    )
}

fn refused(outcome: Result<Files>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt);
    error.report()
}

#[test]
fn a_full_summary_is_read() {
    let summary = parse_summary(KEY, FULL.as_bytes(), ARN).unwrap();
    assert_eq!(summary.export_time_ms, Some(1_604_474_914_028));
    assert_eq!((summary.item_count, summary.is_incremental()), (8, false));
    assert_eq!(
        summary.files_key,
        "p/AWSDynamoDB/01234567890123-a1b2c3d4/manifest-files.json"
    );
}

#[test]
fn an_incremental_summary_is_read() {
    let text = r#"{"version":"2023-08-01","exportFromTime":"2023-08-28T19:00:00.000Z","exportToTime":"2023-08-28T20:00:00.000Z",
        "manifestFilesS3Key":"AWSDynamoDB/x/manifest-files.json","itemCount":2,"outputFormat":"DYNAMODB_JSON",
        "outputView":"NEW_AND_OLD_IMAGES","exportType":"INCREMENTAL_EXPORT"}"#;
    let summary = parse_summary(KEY, text.as_bytes(), ARN).unwrap();
    assert_eq!(
        (summary.from_time_ms, summary.export_time_ms),
        (Some(1_693_249_200_000), Some(1_693_252_800_000))
    );
    let shared = line("p/AWSDynamoDB/data/abc.json.gz", 2);
    assert_eq!(
        parse_files("f", shared.as_bytes(), &folder(), &summary)
            .unwrap()
            .list
            .len(),
        1
    );
    assert!(parse_files("f", line(&data("abc"), 2).as_bytes(), &folder(), &summary).is_err());
}

#[test]
fn a_summary_that_is_not_ours_is_corrupt() {
    let other = FULL.replace("-a1b2c3d4\"", "-ffffffff\"");
    let ion = FULL.replace("DYNAMODB_JSON", "ION");
    let cases = [
        "",
        "[]",
        "{}",
        "{\"itemCount\":-1}",
        "\u{0}\u{0}",
        r#"{"itemCount":1e400,"manifestFilesS3Key":"k"}"#,
        &other,
        &ion,
    ];
    for text in cases {
        assert_eq!(
            parse_summary(KEY, text.as_bytes(), ARN).unwrap_err().kind,
            ErrorKind::Corrupt,
            "{text}"
        );
    }
    let never = FULL.replace("2020-11-04T07:28:34.028Z", "yesterday");
    assert!(
        parse_summary(KEY, never.as_bytes(), ARN)
            .unwrap_err()
            .report()
            .contains("yesterday is not a time")
    );
}

/// Of what the file says, 300 characters and an ellipsis; the rest is ours.
fn is_cut(report: &str) {
    assert!(report.contains("🙂…"), "{report}");
    assert_eq!(report.matches('🙂').count(), 300 - "x".len(), "{report}");
}

#[test]
fn an_error_quotes_the_beginning_of_a_long_text() {
    let long = format!("x{}", "🙂".repeat(10_000));
    for member in [
        "exportArn",
        "exportTime",
        "outputFormat",
        "manifestFilesS3Key",
    ] {
        let text = format!(r#"{{"{member}":"{long}","itemCount":1,"manifestFilesS3Key":"k"}}"#);
        let text = match member {
            "manifestFilesS3Key" => text.replace(r#","manifestFilesS3Key":"k""#, ""),
            _ => text,
        };
        is_cut(
            &parse_summary(KEY, text.as_bytes(), ARN)
                .unwrap_err()
                .report(),
        );
    }
    let twice = data(&"y".repeat(900));
    let report = refused(files(&(line(&twice, 4) + &line(&twice, 4)), 8));
    assert!(
        report.contains("y… twice") && report.len() < 400,
        "{report}"
    );
    is_cut(&refused(files(&line(&long, 8), 8)));
    is_cut(&corrupt(&long, "").report());
    // What serde_json finds in place of a number.
    let wrong = format!(r#"{{"itemCount":"{long}"}}"#);
    let report = parse_summary(KEY, wrong.as_bytes(), ARN)
        .unwrap_err()
        .report();
    assert!(
        report.contains("🙂…") && report.chars().count() < 500,
        "{report}"
    );
    let report = refused(files(&wrong, 8));
    assert!(
        report.contains("🙂…") && report.chars().count() < 500,
        "{report}"
    );
}

#[test]
fn a_key_that_s3_cannot_have_is_refused() {
    let most = MAX_KEY_BYTES - data("").len();
    assert_eq!(
        files(&line(&data(&"k".repeat(most)), 8), 8)
            .unwrap()
            .list
            .len(),
        1
    );
    let report = refused(files(&line(&data(&"k".repeat(most + 1)), 8), 8));
    assert!(report.contains("no key of S3"), "{report}");
}

#[test]
fn the_folder_is_that_of_the_export() {
    assert_eq!(
        folder(),
        Folder {
            prefix: "p/".to_owned(),
            id: "01234567890123-a1b2c3d4".to_owned()
        }
    );
    let bare = "AWSDynamoDB/01234567890123-a1b2c3d4/manifest-summary.json";
    assert_eq!(Folder::of(bare, ARN).unwrap().prefix, "");
    for key in [
        "",
        "manifest-summary.json",
        "xAWSDynamoDB/01234567890123-a1b2c3d4/manifest-summary.json",
        "AWSDynamoDB/other/manifest-summary.json",
    ] {
        assert!(Folder::of(key, ARN).is_err(), "{key}");
    }
}

#[test]
fn files_keep_their_order_and_unknown_members_are_ignored() {
    let text = format!(
        "{}\n{}",
        line(&data("b"), 5),
        line(&data("a"), 3).replace("\"etag\"", "\"future\":{\"x\":[1]},\"etag\"")
    );
    let read = files(&text, 8).unwrap();
    assert_eq!(read.place, Place::Prefixed);
    assert_eq!(
        read.list
            .iter()
            .map(|file| file.item_count)
            .collect::<Vec<_>>(),
        [5, 3]
    );
    assert_eq!(
        read.list[0],
        ExportFile {
            key: data("b"),
            item_count: 5,
            md5: MD5.to_owned()
        }
    );
}

#[test]
fn a_manifest_without_files_is_an_empty_table() {
    assert_eq!(files("", 0).unwrap().list, []);
}

#[test]
fn counts_that_do_not_add_up_are_shown_both() {
    let text = refused(files(&(line(&data("a"), 5) + &line(&data("b"), 2)), 8));
    assert!(
        text.contains("7 items") && text.contains("summary says 8"),
        "{text}"
    );
    let huge = line(&data("a"), u64::MAX) + &line(&data("b"), 9);
    assert!(files(&huge, 8).is_err());
}

#[test]
fn a_file_named_twice_is_refused() {
    assert!(refused(files(&(line(&data("a"), 4) + &line(&data("a"), 4)), 8)).contains("twice"));
}

#[test]
fn keys_outside_of_the_export_are_refused() {
    let hostile = [
        "other/secrets.json.gz",
        "p/AWSDynamoDB/99999999999999-ffffffff/data/a.json.gz",
        "p/AWSDynamoDB/01234567890123-a1b2c3d4/../../x.gz",
        "p/AWSDynamoDB/01234567890123-a1b2c3d4/",
        "p/AWSDynamoDB/data/a.json.gz",
        "/etc/passwd",
        "",
    ];
    for key in hostile {
        assert!(
            refused(files(&line(key, 8), 8)).contains("outside"),
            "{key}"
        );
    }
}

#[test]
fn keys_without_the_prefix_are_told_apart_and_never_mixed() {
    let bare = "AWSDynamoDB/01234567890123-a1b2c3d4/data/a.json.gz";
    assert_eq!(files(&line(bare, 8), 8).unwrap().place, Place::Bare);
    assert!(refused(files(&(line(bare, 4) + &line(&data("b"), 4)), 8)).contains("some have not"));
}

#[test]
fn broken_lines_are_refused_with_their_number() {
    let good = line(&data("a"), 8);
    let long = format!("{{\"x\":\"{}\"}}\n", "y".repeat(MAX_LINE_BYTES as usize));
    let cases = [
        good.clone() + "{\n",
        good.clone() + "null\n",
        good.clone() + &long,
        good.clone() + &line(&data("b"), 0).replace(MD5, "abcd"),
        good.clone() + "{\"itemCount\":-3}\n",
        good + "{\"dataFileS3Key\":\"p/AWSDynamoDB/01234567890123-a1b2c3d4/data/b\"}\n",
    ];
    for text in cases {
        assert!(refused(files(&text, 8)).contains("line 2"), "{text:.80}");
    }
}
