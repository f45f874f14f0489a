//! Answers that neither AWS nor the simulator should give, and that of emulators with gaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mirror::error::ErrorKind;
use mirror::source::{Source, Sources};
use serde_json::json;
use source_dynamodb::AwsSources;

use crate::canned::{Canned, Reply, Request};
use crate::scene::{TABLE, failure, options, spec};

const SESSION: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
    <AccessKeyId>ASIAKEY</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

/// A source whose every call but AssumeRole is answered by `handler`.
pub(crate) async fn source(
    handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (Arc<dyn Source>, Canned, tempfile::TempDir) {
    let server = Canned::start(move |request| match request.action().as_str() {
        "AssumeRole" => Reply::new(200, SESSION).with("content-type", "text/xml"),
        _ => handler(request),
    });
    let server = server.await;
    let spool = tempfile::tempdir().unwrap();
    let source = AwsSources::new(options(&server.url, spool.path()))
        .connect(&spec())
        .await
        .unwrap();
    (source, server, spool)
}

#[tokio::test]
async fn a_record_that_is_not_understood_does_not_stop_its_page() {
    let body = r#"{"Records":[{"eventName":"INSERT","dynamodb":{"SequenceNumber":"7","ApproximateCreationDateTime":1,
        "Keys":{"pk":{"S":"a"}},"NewImage":{"v":{"VEC":[1,2]}}}},{"eventName":"NEW","dynamodb":{"SequenceNumber":"8"}}]}"#;
    let (source, _server, _spool) = source(move |_| Reply::new(200, body)).await;
    let page = source.get_records("i").await.unwrap();
    assert_eq!(page.records.len(), 2);
    let image = page.change(0, 0, "us-east-1").new_image.unwrap();
    assert_eq!(image, br#"{"v":{"VEC":[1,2]}}"#);
    assert_eq!(page.records[1].creation_ms, 1000);
}

#[tokio::test]
async fn times_with_exponents_and_milliseconds_are_read_as_numbers() {
    for (text, expected) in [
        ("1.46480527E9", 1_464_805_270_000),
        ("1698878479.0", 1_698_878_479_000),
        ("1795336838.024", 1_795_336_838_024),
    ] {
        let (source, _server, _spool) = source(move |_| {
            let body = format!(
                r#"{{"Records":[{{"eventName":"REMOVE","dynamodb":{{"SequenceNumber":"7","Keys":{{}},"ApproximateCreationDateTime":{text}}}}}]}}"#
            );
            Reply::new(200, body)
        })
        .await;
        let page = source.get_records("i").await.unwrap();
        assert_eq!(page.records[0].creation_ms, expected);
        assert_eq!(page.next_iterator, None);
    }
}

#[tokio::test]
async fn a_table_without_id_and_billing_mode_has_both_filled_in() {
    let (source, _server, _spool) = source(|request| {
        if request.action() == "DescribeContinuousBackups" {
            return Reply::json(&json!({ "ContinuousBackupsDescription": { "ContinuousBackupsStatus": "ENABLED" } }));
        }
        Reply::json(&json!({ "Table": { "TableName": "orders", "TableArn": TABLE, "TableStatus": "ACTIVE", "CreationDateTime": 1_700_000_000.5,
            "KeySchema": [{ "AttributeName": "sk", "KeyType": "RANGE" }, { "AttributeName": "pk", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "N" }],
            "ProvisionedThroughput": { "ReadCapacityUnits": 5, "WriteCapacityUnits": 7 },
            "LatestStreamArn": format!("{TABLE}/stream/old"), "StreamSpecification": { "StreamEnabled": false } } }))
    })
    .await;
    let table = source.describe_table().await.unwrap();
    assert_eq!(table.table_id, format!("{TABLE}@1700000000500"));
    assert_eq!(table.write_capacity_units, Some(7), "absent is provisioned");
    assert_eq!(
        (table.stream, table.pitr_enabled),
        (None, false),
        "ContinuousBackupsStatus means nothing"
    );
    assert_eq!(table.keys[0].name, "pk");
}

#[tokio::test]
async fn a_listing_of_shards_that_runs_in_circles_ends() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let (source, _server, _spool) = source(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reply::json(&json!({ "StreamDescription": { "StreamStatus": "ENABLED", "StreamViewType": "NEW_IMAGE", "Shards": [],
            "LastEvaluatedShardId": "shardId-00000000000000000001-aaaaaaaa" } }))
    })
    .await;
    let error = failure(source.describe_stream("arn").await);
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_page_of_html_and_a_body_that_is_no_json_are_outages() {
    for status in [200, 500, 502] {
        let (source, _server, _spool) =
            source(move |_| Reply::new(status, "<html>proxy error</html>")).await;
        let error = failure(source.get_records("i").await);
        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.report());
    }
}

#[tokio::test]
async fn an_error_shows_code_message_status_and_request_id() {
    let (source, _server, _spool) = source(|_| {
        Reply::fault(
            400,
            "AccessDeniedException",
            "User: x is not authorized to perform: dynamodb:GetRecords on resource: y",
        )
        .with("x-amzn-requestid", "REQ1")
    })
    .await;
    let error = failure(source.get_records("i").await);
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    assert_eq!(
        error.report(),
        "get records: AccessDeniedException: User: x is not authorized to perform: dynamodb:GetRecords on resource: y (HTTP 400, request id REQ1)"
    );
}

#[tokio::test]
async fn another_region_of_the_bucket_is_found_by_its_header_alone() {
    let regions = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = regions.clone();
    let (source, _server, _spool) = source(move |request| {
        seen.lock().unwrap().push(request.region().to_owned());
        let status = if request.region() == "eu-central-1" {
            200
        } else {
            301
        };
        Reply::new(status, "").with("x-amz-bucket-region", "eu-central-1")
    })
    .await;
    source.check_bucket().await.unwrap();
    source.check_bucket().await.unwrap();
    assert_eq!(
        *regions.lock().unwrap(),
        ["us-east-1", "eu-central-1", "eu-central-1"]
    );
}

#[tokio::test]
async fn a_bucket_that_sends_us_around_in_circles_is_refused() {
    let (source, _server, _spool) = source(|request| {
        let other = if request.region() == "eu-west-1" {
            "eu-west-2"
        } else {
            "eu-west-1"
        };
        Reply::new(301, "").with("x-amz-bucket-region", other)
    })
    .await;
    assert_eq!(failure(source.check_bucket().await).kind, ErrorKind::Bucket);
}

#[tokio::test]
async fn tls_against_a_server_without_it_is_an_outage() {
    let server = Canned::start(|_| Reply::new(200, SESSION)).await;
    let spool = tempfile::tempdir().unwrap();
    let url = server.url.replace("http://", "https://");
    let sources = AwsSources::new(options(&url, spool.path()));
    let error = failure(sources.caller_identity().await);
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.report());
}

#[tokio::test]
async fn base_credentials_that_are_over_are_missing_credentials() {
    let fault = "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>\
        <Message>The security token included in the request is expired</Message></Error></ErrorResponse>";
    let server =
        Canned::start(move |_| Reply::new(403, fault).with("content-type", "text/xml")).await;
    let spool = tempfile::tempdir().unwrap();
    let sources = AwsSources::new(options(&server.url, spool.path()));
    for error in [
        failure(sources.caller_identity().await),
        failure(sources.connect(&spec()).await),
    ] {
        assert_eq!(error.kind, ErrorKind::CredentialsMissing);
        assert!(
            error
                .report()
                .contains("token included in the request is expired"),
            "{}",
            error.report()
        );
    }
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_object_again_and_nothing_is_doubled() {
    let key = "AWSDynamoDB/0-1/data/a.json.gz";
    let object = crate::lines::gzip(b"{\"Item\":{}}\n");
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, body) = (calls.clone(), object.clone());
    let (source, _server, _spool) = source(move |request| {
        if request.method == "HEAD" {
            return Reply::new(200, "");
        }
        let mut reply = Reply::new(200, body.clone()).with("etag", "\"e\"");
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            reply.cut = Some(10);
        } else {
            let resumed = (request.header("range"), request.header("if-match"));
            assert!(
                resumed == ("bytes=10-", "\"e\"") || resumed == ("", ""),
                "{resumed:?}"
            );
        }
        reply
    })
    .await;
    // The MD5 in the refusal is that of what was put together.
    let file = mirror::source::ExportFile {
        key: key.to_owned(),
        item_count: 1,
        md5: "AAAAAAAAAAAAAAAAAAAAAA==".to_owned(),
    };
    let text = failure(source.open_file(&file).await).report();
    assert!(
        text.contains(&format!("({} bytes read)", object.len())),
        "{text}"
    );
    let actual = text
        .split("its MD5 is ")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .unwrap()
        .to_owned();
    let mut reader = source
        .open_file(&mirror::source::ExportFile {
            md5: actual,
            ..file
        })
        .await
        .unwrap();
    let mut block = Vec::new();
    assert!(reader.next_lines(&mut block, 1).unwrap());
    assert_eq!(block, b"{\"Item\":{}}\n");
}
