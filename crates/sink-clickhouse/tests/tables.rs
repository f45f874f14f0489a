//! Tables: every clause, every kind of name, what happens to those that are there.

use mirror::plan::PlanIndex;
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::warehouse::Warehouse;

use crate::support::{DATABASE, Engine, LIMITS, ask, column, finish_row, plan, simple_plan};

#[tokio::test]
async fn hostile_names_are_only_names() {
    let engine = Engine::start().await;
    for table in [
        "a`b",
        "a.b",
        "a'b\"c",
        "данные 🦀",
        "a\\b",
        "select",
        "a;b--c",
        "%2e",
    ] {
        let names = [
            "x`y",
            "x.y",
            "x'y\"z",
            "имя 🦀",
            "x\\y",
            "from",
            "x;y--z",
            "?a=b&c#d",
        ];
        let plan = plan(
            table,
            names.iter().map(|name| column(name, "String")).collect(),
        );
        engine
            .client
            .create_table(&plan)
            .await
            .unwrap_or_else(|error| panic!("{table}: {}", error.report()));
        engine
            .client
            .create_table(&plan)
            .await
            .unwrap_or_else(|error| panic!("{table}: {}", error.report()));
        let mut batch = plan.new_batch();
        for (at, name) in names.iter().enumerate() {
            batch.columns[at + 1].push_text(name.as_bytes());
        }
        finish_row(&plan, &mut batch, "k");
        engine
            .client
            .insert(&plan, &batch, RowOrder::AsGiven)
            .await
            .unwrap_or_else(|error| panic!("{table}: {}", error.report()));
        let quoted = table.replace('\\', "\\\\").replace('`', "\\`");
        let answer = engine
            .client
            .user_query(
                DATABASE,
                &format!("SELECT * EXCEPT (pk, _timestamp, _is_deleted) FROM `{quoted}`"),
                "TSVRawWithNames",
                &LIMITS,
            )
            .await
            .unwrap_or_else(|error| panic!("{table}: {}", error.report()));
        let text = String::from_utf8(answer.body).unwrap();
        let [head, values] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        assert_eq!(head, values);
        engine.client.hold_merges(&plan, true).await.unwrap();
        engine.client.drop_table(DATABASE, table).await.unwrap();
    }
    assert_eq!(engine.client.stats(DATABASE).await.unwrap(), []);
    engine.stop().await;
}

#[tokio::test]
async fn a_table_gets_every_clause_of_its_plan_and_new_columns_later() {
    let engine = Engine::start().await;
    let mut plan = plan(
        "clauses",
        vec![column("amount", "Decimal(18, 4)"), column("note", "String")],
    );
    plan.columns[2].codec = Some("ZSTD(1)".to_owned());
    plan.columns[2].default = Some("'-'".to_owned());
    plan.sorting_key = "pk, cityHash64(pk)".to_owned();
    plan.primary_key = Some("pk".to_owned());
    plan.sampling_key = None;
    plan.partition_key = Some("toYYYYMM(_timestamp)".to_owned());
    plan.ttl = Some("toDateTime(_timestamp) + INTERVAL 50 YEAR DELETE".to_owned());
    plan.settings = Some("index_granularity = 1024, fsync_after_insert = 0".to_owned());
    plan.indexes = vec![PlanIndex {
        name: "by note".to_owned(),
        expression: "lower(note)".to_owned(),
        kind: "bloom_filter(0.01)".to_owned(),
        granularity: Some(4),
    }];
    for _ in 0..2 {
        engine
            .client
            .create_table(&plan)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
    }
    let ddl = ask(&engine.client, "SHOW CREATE TABLE clauses").await;
    for clause in [
        "ReplacingMergeTree(_timestamp, _is_deleted)",
        "PARTITION BY",
        "PRIMARY KEY",
        "toIntervalYear(50)",
        "CODEC(ZSTD(1))",
        "INDEX `by note`",
        "bloom_filter(0.01) GRANULARITY 4",
        "index_granularity = 1024",
        "fsync_after_insert = 0",
        "fsync_part_directory = 1",
        "min_bytes_for_wide_part = 67108864",
        "non_replicated_deduplication_window = 0",
        "old_parts_lifetime = 480",
    ] {
        assert!(ddl.contains(clause), "{clause} is not in {ddl}");
    }
    // 150 partitions at once: more than ClickHouse takes by default.
    let mut batch = plan.new_batch();
    for month in 0..150_i64 {
        batch.columns[1].push_fixed(&1_i64.to_le_bytes());
        batch.columns[2].push_null();
        batch.columns[0].push_text(format!("k{month}").as_bytes());
        batch.columns[3].push_fixed(&(1_300_000_000_000 + month * 2_678_400_000).to_le_bytes());
        batch.columns[4].push_fixed(&[0]);
        batch.rows += 1;
    }
    engine
        .client
        .insert(&plan, &batch, RowOrder::Free)
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(
        ask(&engine.client, "SELECT count(), any(note) FROM clauses").await,
        "150\t-"
    );

    let mut wider = plan.clone();
    wider.columns.push(column("extra", "Nullable(String)"));
    let error = engine.client.create_table(&wider).await.unwrap_err();
    assert!(
        error.report().contains("column extra is missing"),
        "{}",
        error.report()
    );
    engine
        .client
        .add_columns(&wider, &["extra".to_owned()])
        .await
        .unwrap();
    engine.client.create_table(&wider).await.unwrap();

    let mut other = wider.clone();
    other.columns[1] = column("amount", "Float64");
    other.columns.remove(2);
    other.sorting_key = "pk".to_owned();
    let report = engine
        .client
        .create_table(&other)
        .await
        .unwrap_err()
        .report();
    for difference in [
        "column amount is Decimal(18, 4) instead of Float64",
        "column note of type String is not in the data source",
        "its sorting key is (pk, cityHash64(pk)) instead of (pk)",
    ] {
        assert!(
            report.contains(difference),
            "{difference} is not in {report}"
        );
    }
    engine.stop().await;
}

#[tokio::test]
async fn the_same_record_twice_in_quarantine_is_one_row() {
    let engine = Engine::start().await;
    let plan = simple_plan("orders");
    engine.client.create_table(&plan).await.unwrap();
    let record = QuarantinedRecord {
        origin: "shardId-1".to_owned(),
        position: "42".to_owned(),
        column: "amount".to_owned(),
        reason: "not a number".to_owned(),
        raw_record: b"{\"pk\":{\"S\":\"\xff\"}}".to_vec(),
        version_ms: 1_700_000_000_123,
    };
    let other = QuarantinedRecord {
        position: "43".to_owned(),
        ..record.clone()
    };
    for _ in 0..2 {
        engine
            .client
            .quarantine(&plan, &[record.clone(), other.clone()])
            .await
            .unwrap();
    }
    engine.client.quarantine(&plan, &[]).await.unwrap();
    assert_eq!(
        ask(&engine.client, "SELECT origin, position, column_name, reason, hex(substring(raw_record, 13, 1)), version, insertion_date > now() - 60 FROM orders_quarantine FINAL WHERE position = '42'").await,
        "shardId-1\t42\tamount\tnot a number\tFF\t2023-11-14 22:13:20.123\ttrue".replace("true", "1"),
    );
    assert_eq!(
        ask(
            &engine.client,
            "SELECT count() FROM orders_quarantine FINAL"
        )
        .await,
        "2"
    );
    engine.client.drop_database(DATABASE).await.unwrap();
    engine.client.drop_database(DATABASE).await.unwrap();
    engine.client.create_database(DATABASE).await.unwrap();
    assert_eq!(ask(&engine.client, "SHOW TABLES").await, "");
    engine.stop().await;
}
