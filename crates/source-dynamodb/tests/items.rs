//! Items read by key and by Scan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sim::{Permission, TableSpec, WorldConfig};
use mirror::error::ErrorKind;
use mirror::source::{ScanPage, ScanRequest};
use serde_json::{Value, json};

use crate::answers::source;
use crate::canned::Reply;
use crate::scene::{ROLE, Scene, TABLE, canonical, failure};

/// A scene whose role may also BatchGetItem, with items in a table with a sort key of numbers.
fn scene(items: impl IntoIterator<Item = String>) -> Scene {
    let scene = Scene::empty(WorldConfig::default(), |world| {
        let spec = TableSpec::new("orders").range("n", "N");
        world.create_table(&spec).unwrap();
        let role = world.iam.roles.get_mut(ROLE).unwrap();
        role.permissions
            .push(Permission::new("dynamodb:BatchGetItem", TABLE));
    });
    for item in items {
        scene.put(&item);
    }
    scene
}

fn item(n: usize, more: &str) -> String {
    format!(r#"{{"n":{{"N":"{n}"}},"pk":{{"S":"é{n}"}},"v":{{"S":"{more}"}}}}"#)
}

fn key(n: usize) -> Vec<u8> {
    // Neither the order of names nor the spelling that AWS gives.
    format!(r#"{{"pk":{{"S":"\u00e9{n}"}},"n":{{"N":"{n}.0"}}}}"#).into_bytes()
}

fn page(segment: u32, total_segments: u32, limit: u32, after: Option<Vec<u8>>) -> ScanRequest {
    ScanRequest {
        segment,
        total_segments,
        limit,
        after,
    }
}

#[tokio::test]
async fn items_come_in_the_order_of_their_keys_and_absent_ones_are_none() {
    let scene = scene((0..250).map(|n| item(n, "x")));
    let source = scene.connect().await;
    // 300 keys in three calls, fifty of them absent, some named twice.
    let order: Vec<usize> = (0..300).rev().chain([7, 299, 7]).collect();
    let keys: Vec<Vec<u8>> = order.iter().map(|n| key(*n)).collect();
    let found = source
        .read_items(&keys)
        .await
        .map_err(|error| error.report())
        .unwrap();
    assert_eq!(found.len(), order.len());
    for (n, found) in order.iter().zip(&found) {
        let expected = (*n < 250).then(|| item(*n, "x").into_bytes());
        assert_eq!(found.as_deref().map(canonical), expected, "{n}");
    }
    assert_eq!(
        source.read_items(&[]).await.unwrap(),
        Vec::<Option<Vec<u8>>>::new()
    );
}

#[tokio::test]
async fn what_does_not_fit_one_answer_is_asked_for_again() {
    let large = "x".repeat(350_000);
    let scene = scene((0..60).map(|n| item(n, &large)));
    let source = scene.connect().await;
    let keys: Vec<Vec<u8>> = (0..60).map(key).collect();
    let found = source.read_items(&keys).await.unwrap();
    assert!(found.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_role_that_may_not_read_items_is_denied_and_a_bad_key_refused() {
    let scene = Scene::new();
    let source = scene.connect().await;
    let key = br#"{"pk":{"S":"a"}}"#.to_vec();
    let error = failure(source.read_items(std::slice::from_ref(&key)).await);
    assert_eq!(error.kind, ErrorKind::AccessDenied, "{}", error.report());
    assert!(source.scan(&page(0, 1, 10, None)).await.is_ok());
    for bad in [
        "",
        "{",
        "{}",
        "[]",
        r#"{"pk":"hunter2"}"#,
        r#"{"pk":{"BOOL":true}}"#,
    ] {
        let error = failure(source.read_items(&[key.clone(), bad.into()]).await);
        assert_eq!(error.kind, ErrorKind::Permanent);
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn keys_that_stay_unprocessed_are_throttling_after_a_few_tries() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let (source, _server, _spool) = source(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let asked = &asked["RequestItems"];
        assert_eq!(asked["orders"]["ConsistentRead"], true);
        Reply::json(&json!({ "Responses": { "orders": [] }, "UnprocessedKeys": asked }))
    })
    .await;
    let error = failure(source.read_items(&[key(1), key(2)]).await);
    assert_eq!(error.kind, ErrorKind::Throttled, "{}", error.report());
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn items_are_the_bytes_that_aws_wrote() {
    let odd = r#"{ "z" : {"X":"?"}, "n":{"N":"1"},"pk":{"S":"\u00e91"} }"#;
    let (source, _server, _spool) = source(move |request| {
        let body = match request.action().as_str() {
            "BatchGetItem" => {
                format!(r#"{{"Responses":{{"orders":[{odd}]}},"UnprocessedKeys":{{}}}}"#)
            }
            _ => format!(r#"{{"Items":[{odd}],"LastEvaluatedKey":{odd},"Count":1}}"#),
        };
        Reply::new(200, body)
    })
    .await;
    let found = source
        .read_items(&[key(1)])
        .await
        .map_err(|error| error.report())
        .unwrap();
    assert_eq!(found, [Some(odd.as_bytes().to_vec())]);
    let strange = failure(source.read_items(&[key(2)]).await);
    assert_eq!(strange.kind, ErrorKind::Corrupt, "{}", strange.report());
    let scanned = source.scan(&page(0, 1, 1, None)).await.unwrap();
    let bytes = odd.as_bytes().to_vec();
    assert_eq!(
        scanned,
        ScanPage {
            items: vec![bytes.clone()],
            next: Some(bytes)
        }
    );
}

#[tokio::test]
async fn segments_and_pages_together_are_the_table() {
    let scene = scene((0..200).map(|n| item(n, "x")));
    let source = scene.connect().await;
    for (segments, limit) in [(1, 7), (4, 30), (1, 1000)] {
        let mut found = BTreeSet::new();
        let mut pages = 0;
        for segment in 0..segments {
            let mut after = None;
            loop {
                let next = source.scan(&page(segment, segments, limit, after)).await;
                let next = next.map_err(|error| error.report()).unwrap();
                assert!(next.items.len() <= limit as usize);
                for item in &next.items {
                    assert!(found.insert(canonical(item)), "an item came twice");
                }
                pages += 1;
                after = next.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let expected: BTreeSet<Vec<u8>> = (0..200).map(|n| item(n, "x").into_bytes()).collect();
        assert_eq!(found, expected);
        assert!(pages >= 200 / limit);
    }
    let refused = source.scan(&page(0, 1, 1, Some(b"{".to_vec()))).await;
    assert_eq!(failure(refused).kind, ErrorKind::Permanent);
}

#[tokio::test]
async fn both_reads_are_consistent_and_their_faults_are_named() {
    let (source, _server, _spool) = source(|request| {
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        if request.action() == "Scan" {
            let expected = json!({ "TableName": "orders", "ConsistentRead": true, "Segment": 2, "TotalSegments": 3, "Limit": 5,
                "ExclusiveStartKey": { "pk": { "S": "a" } } });
            assert_eq!(asked, expected);
        }
        assert_eq!(request.header("content-length"), request.body.len().to_string());
        Reply::fault(400, "ResourceNotFoundException", "Requested resource not found")
    })
    .await;
    let after = Some(br#"{"pk":{"S":"a"}}"#.to_vec());
    let error = failure(source.scan(&page(2, 3, 5, after)).await);
    assert_eq!(error.kind, ErrorKind::TableNotFound, "{}", error.report());
    let error = failure(source.read_items(&[key(1)]).await);
    assert_eq!(error.kind, ErrorKind::TableNotFound, "{}", error.report());
    assert!(
        error.report().contains("read 1 items of table orders"),
        "{}",
        error.report()
    );
}
