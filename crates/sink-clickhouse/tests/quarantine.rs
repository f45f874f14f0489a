//! Records in quarantine come back as they were, page by page, and go for good.

use mirror::sink::{QuarantinedRecord, Sink};
use mirror::warehouse::Warehouse;

use crate::support::{Engine, ask, kill_and_wait, simple_plan};

fn record(origin: &str, position: usize, column: &str) -> QuarantinedRecord {
    QuarantinedRecord {
        origin: origin.to_owned(),
        position: format!("{position:06}"),
        column: column.to_owned(),
        reason: "not a number".to_owned(),
        raw_record: format!("{{\"n\":{position}}}").into_bytes(),
        version_ms: 1_700_000_000_000 + position as i64,
    }
}

#[tokio::test]
async fn records_come_back_as_they_were() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let plan = simple_plan("orders");
    client.create_table(&plan).await.unwrap();
    assert_eq!(client.quarantined(&plan, None, 10).await.unwrap(), []);
    let odd = [
        "",
        "it's \\ \"x\" `y`",
        "line\nend\ttab\0nul\r",
        "данные 🦀",
        "x') OR 1 = 1 --",
        "\\'",
    ];
    let mut records: Vec<_> = odd
        .iter()
        .map(|text| QuarantinedRecord {
            origin: format!("a{text}"),
            position: text.to_string(),
            column: text.to_string(),
            reason: text.to_string(),
            raw_record: text.as_bytes().to_vec(),
            version_ms: 0,
        })
        .collect();
    let versions = [
        -1,
        -2_208_988_800_001,
        i64::MIN,
        i64::MAX,
        10_413_792_000_000,
        1,
    ];
    for (record, version_ms) in records.iter_mut().zip(versions) {
        record.version_ms = version_ms;
    }
    // Every byte there is, the length of a varint's steps, and as much as an item can be.
    for (at, length) in [0, 1, 127, 128, 16_383, 16_384, 400_000]
        .into_iter()
        .enumerate()
    {
        records.push(QuarantinedRecord {
            raw_record: (0..length).map(|byte| (byte * 7 % 256) as u8).collect(),
            ..record("b", at, "amount")
        });
    }
    for part in records.chunks(3) {
        client.quarantine(&plan, part).await.unwrap();
    }
    let order = |a: &QuarantinedRecord, b: &QuarantinedRecord| {
        (&a.origin, &a.position, &a.column).cmp(&(&b.origin, &b.position, &b.column))
    };
    records.sort_by(order);
    assert_eq!(client.quarantined(&plan, None, 100).await.unwrap(), records);
    for size in [1, 4] {
        let mut pages: Vec<QuarantinedRecord> = Vec::new();
        loop {
            let page = client.quarantined(&plan, pages.last(), size).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= size);
            pages.extend(page);
        }
        assert_eq!(pages, records);
    }
    assert_eq!(client.quarantined(&plan, None, 0).await.unwrap(), []);
    for record in records.clone() {
        let before = client.quarantined(&plan, None, 100).await.unwrap().len();
        client.discharge(&plan, &[record]).await.unwrap();
        assert_eq!(
            client.quarantined(&plan, None, 100).await.unwrap().len(),
            before - 1
        );
    }
    engine.stop().await;
}

#[tokio::test]
async fn discharged_records_are_gone_until_they_come_again() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let plan = simple_plan("orders");
    client.create_table(&plan).await.unwrap();
    let all: Vec<_> = (0..1300)
        .flat_map(|position| ["", "amount"].map(|column| record("shard", position, column)))
        .collect();
    // Twice, in other parts: the same record is there more than once.
    for records in [&all[..], &all[700..], &all[..900]] {
        client.quarantine(&plan, records).await.unwrap();
    }
    let kept = |at: usize| at == 1 || at >= 1250;
    let gone: Vec<_> = (0..all.len())
        .filter(|at| !kept(*at))
        .map(|at| all[at].clone())
        .collect();
    let left: Vec<_> = (0..all.len())
        .filter(|at| kept(*at))
        .map(|at| all[at].clone())
        .collect();
    for _ in 0..2 {
        client
            .discharge(&plan, &gone)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(client.quarantined(&plan, None, 5000).await.unwrap(), left);
    }
    client.discharge(&plan, &[]).await.unwrap();
    let count = "SELECT count() FROM orders_quarantine FINAL";
    assert_eq!(ask(client, count).await, left.len().to_string());
    kill_and_wait(&engine).await;
    assert_eq!(client.quarantined(&plan, None, 5000).await.unwrap(), left);

    let again = QuarantinedRecord {
        reason: "still not a number".to_owned(),
        ..gone[0].clone()
    };
    client
        .quarantine(&plan, std::slice::from_ref(&again))
        .await
        .unwrap();
    assert_eq!(client.quarantined(&plan, None, 1).await.unwrap(), [again]);
    engine.stop().await;
}

#[tokio::test]
async fn a_page_of_big_records_needs_little_memory() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let plan = simple_plan("orders");
    client.create_table(&plan).await.unwrap();
    // 1.2 GB in all, every page in every part: without a bound on blocks a query holds all of it, and copies.
    for chunk in 0..30 {
        let records: Vec<_> = (0..100)
            .map(|at| at * 30 + chunk)
            .map(|position| QuarantinedRecord {
                raw_record: vec![b'x'; 400_000],
                ..record("shard", position, "amount")
            })
            .collect();
        client.quarantine(&plan, &records).await.unwrap();
    }
    let mut after = None;
    for page in 0..30 {
        let records = client
            .quarantined(&plan, after.as_ref(), 100)
            .await
            .unwrap_or_else(|error| panic!("page {page}: {}", error.report()));
        assert_eq!(records.len(), 100);
        assert_eq!(records[0].position, format!("{:06}", page * 100));
        assert!(
            records
                .iter()
                .all(|record| record.raw_record.len() == 400_000)
        );
        after = records.into_iter().next_back();
    }
    assert_eq!(
        client
            .quarantined(&plan, after.as_ref(), 100)
            .await
            .unwrap(),
        []
    );
    engine.stop().await;
}
