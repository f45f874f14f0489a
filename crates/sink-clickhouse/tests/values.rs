//! Every type, every kind of missing value, every kind of name, there and back.

use mirror::batch::Batch;
use mirror::error::ErrorKind;
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;

use crate::support::{DATABASE, Engine, ask, column, finish_row, plan, push, rows, simple_plan};

/// A value of each type: declared type, bytes on the wire (`None` for NULL or missing), what ClickHouse shows.
fn fixed(
    declared: &'static str,
    bytes: &[u8],
    shown: &'static str,
) -> (&'static str, Option<Vec<u8>>, &'static str) {
    (declared, Some(bytes.to_vec()), shown)
}

fn cases() -> Vec<(&'static str, Option<Vec<u8>>, &'static str)> {
    let largest: i128 = 10_i128.pow(38) - 1;
    vec![
        fixed(
            "String",
            "naïve 🦀 \u{0} tab\t".as_bytes(),
            "naïve 🦀 \\0 tab\\t",
        ),
        fixed("String", b"", ""),
        fixed("LowCardinality(String)", "ключ".as_bytes(), "ключ"),
        fixed("LowCardinality(Nullable(String))", b"x", "x"),
        ("LowCardinality(Nullable(String))", None, "\\N"),
        fixed("Nullable(String)", b"", ""),
        ("Nullable(String)", None, "\\N"),
        fixed("Bool", &[1], "true"),
        ("Nullable(Bool)", None, "\\N"),
        fixed("UInt8", &[255], "255"),
        fixed("UInt16", &u16::MAX.to_le_bytes(), "65535"),
        fixed("UInt32", &u32::MAX.to_le_bytes(), "4294967295"),
        fixed("UInt64", &u64::MAX.to_le_bytes(), "18446744073709551615"),
        fixed("Int8", &i8::MIN.to_le_bytes(), "-128"),
        fixed("Int16", &i16::MIN.to_le_bytes(), "-32768"),
        fixed("Int32", &i32::MIN.to_le_bytes(), "-2147483648"),
        fixed("Int64", &i64::MIN.to_le_bytes(), "-9223372036854775808"),
        fixed(
            "Int128",
            &i128::MIN.to_le_bytes(),
            "-170141183460469231731687303715884105728",
        ),
        fixed("Float32", &1.5_f32.to_le_bytes(), "1.5"),
        fixed("Float64", &0.1_f64.to_le_bytes(), "0.1"),
        ("Nullable(Float64)", None, "\\N"),
        fixed("Decimal(9, 2)", &(-1234_i32).to_le_bytes(), "-12.34"),
        fixed("Decimal64(4)", &10_001_i64.to_le_bytes(), "1.0001"),
        fixed(
            "Decimal(38, 0)",
            &largest.to_le_bytes(),
            "99999999999999999999999999999999999999",
        ),
        fixed(
            "Decimal(38, 10)",
            &(-largest).to_le_bytes(),
            "-9999999999999999999999999999.9999999999",
        ),
        ("Nullable(Decimal(38, 10))", None, "\\N"),
        fixed(
            "DateTime",
            &1_700_000_000_u32.to_le_bytes(),
            "2023-11-14 22:13:20",
        ),
        fixed(
            "DateTime('Asia/Tokyo')",
            &1_700_000_000_u32.to_le_bytes(),
            "2023-11-15 07:13:20",
        ),
        fixed(
            "DateTime64(3)",
            &1_700_000_000_123_i64.to_le_bytes(),
            "2023-11-14 22:13:20.123",
        ),
        fixed(
            "DateTime64(6, 'UTC')",
            &(-1_i64).to_le_bytes(),
            "1969-12-31 23:59:59.999999",
        ),
        ("Nullable(DateTime64(3))", None, "\\N"),
    ]
}

fn fill(batch: &mut Batch, at: usize, value: Option<&[u8]>) {
    let is_text = matches!(
        batch.columns[at].data,
        mirror::batch::ColumnData::Strings { .. }
    );
    match value {
        None => batch.columns[at].push_null(),
        Some(bytes) if is_text => batch.columns[at].push_text(bytes),
        Some(bytes) => batch.columns[at].push_fixed(bytes),
    }
}

#[tokio::test]
async fn every_type_goes_there_and_back() {
    let engine = Engine::start().await;
    let cases = cases();
    let columns = cases
        .iter()
        .enumerate()
        .map(|(at, (declared, ..))| column(&format!("c{at}"), declared))
        .collect();
    let plan = plan("kinds", columns);
    engine.client.create_table(&plan).await.unwrap();
    // A second time finds the same table, `Decimal64(4)` and `'Asia/Tokyo'` included.
    engine.client.create_table(&plan).await.unwrap();
    for order in [RowOrder::AsGiven, RowOrder::Free] {
        let mut batch = plan.new_batch();
        for pk in ["b", "a"] {
            for (at, (_, value, _)) in cases.iter().enumerate() {
                fill(&mut batch, at + 1, value.as_deref());
            }
            finish_row(&plan, &mut batch, pk);
        }
        engine
            .client
            .insert(&plan, &batch, order)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        for pk in ["a", "b"] {
            let shown = ask(&engine.client, &format!("SELECT * EXCEPT (pk, _timestamp, _is_deleted) FROM kinds FINAL WHERE pk = '{pk}'")).await;
            let expected: Vec<_> = cases.iter().map(|(.., shown)| *shown).collect();
            assert_eq!(shown.split('\t').collect::<Vec<_>>(), expected);
        }
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_missing_value_becomes_the_columns_default() {
    let engine = Engine::start().await;
    let defaults = [
        ("String", "concat('d-', pk)", "d-a", "x"),
        ("LowCardinality(String)", "'low'", "low", "x"),
        ("UInt8", "7", "7", "1"),
        ("Bool", "true", "true", "true"),
        ("Int128", "-5", "-5", "1"),
        ("Float64", "2.5", "2.5", "1"),
        ("Decimal(38, 2)", "12.34", "12.34", "0.01"),
        (
            "DateTime",
            "toDateTime('2020-01-02 03:04:05')",
            "2020-01-02 03:04:05",
            "1970-01-01 00:00:01",
        ),
        (
            "DateTime64(3)",
            "toDateTime64('2020-01-02 03:04:05.678', 3)",
            "2020-01-02 03:04:05.678",
            "1970-01-01 00:00:00.001",
        ),
        // A Nullable column keeps its NULL whatever the default.
        ("Nullable(String)", "'unused'", "\\N", "x"),
    ];
    let columns = defaults
        .iter()
        .enumerate()
        .map(|(at, (declared, default, ..))| {
            let mut column = column(&format!("c{at}"), declared);
            column.default = Some((*default).to_owned());
            column
        })
        .chain([
            column("bare_text", "String"),
            column("bare_number", "UInt32"),
        ])
        .collect();
    let plan = plan("defaults", columns);
    engine.client.create_table(&plan).await.unwrap();
    let mut batch = plan.new_batch();
    for at in 1..=defaults.len() + 2 {
        batch.columns[at].push_null();
    }
    finish_row(&plan, &mut batch, "a");
    // Defaults of one row leave the values of the next one alone.
    for at in 1..=defaults.len() + 2 {
        match plan.columns[at].column_type.scalar.width() {
            None => batch.columns[at].push_text(b"x"),
            Some(width) => {
                let mut bytes = vec![0; width];
                bytes[0] = 1;
                if plan.columns[at].declared_type == "Float64" {
                    bytes.copy_from_slice(&1.0_f64.to_le_bytes());
                }
                batch.columns[at].push_fixed(&bytes);
            }
        }
    }
    finish_row(&plan, &mut batch, "b");
    engine
        .client
        .insert(&plan, &batch, RowOrder::Free)
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    let row = async |pk: &str| {
        ask(
            &engine.client,
            &format!(
                "SELECT * EXCEPT (pk, _timestamp, _is_deleted) FROM defaults WHERE pk = '{pk}'"
            ),
        )
        .await
    };
    let expected =
        |pick: fn(&(&'static str, &'static str, &'static str, &'static str)) -> &'static str,
         last: [&'static str; 2]| {
            defaults
                .iter()
                .map(pick)
                .chain(last)
                .collect::<Vec<_>>()
                .join("\t")
        };
    assert_eq!(
        row("a").await.trim_end(),
        expected(|case| case.2, ["", "0"]).trim_end()
    );
    assert_eq!(row("b").await, expected(|case| case.3, ["x", "1"]));
    engine.stop().await;
}

#[tokio::test]
async fn large_values_and_broken_batches() {
    let engine = Engine::start().await;
    let plan = simple_plan("large");
    engine.client.create_table(&plan).await.unwrap();
    let mut batch = plan.new_batch();
    for key in 0..20 {
        push(
            &mut batch,
            &format!("k{key}"),
            &"é".repeat(512 * 1024),
            1,
            0,
        );
    }
    engine
        .client
        .insert(&plan, &batch, RowOrder::Free)
        .await
        .unwrap();
    assert_eq!(
        ask(
            &engine.client,
            "SELECT count(), sum(length(value)), sum(isValidUTF8(value)) FROM large"
        )
        .await,
        "20\t20971520\t20"
    );
    engine
        .client
        .insert(&plan, &plan.new_batch(), RowOrder::Free)
        .await
        .unwrap();

    let mut short = plan.new_batch();
    short.columns[0].push_text(b"only one column");
    short.rows = 1;
    assert_eq!(
        engine
            .client
            .insert(&plan, &short, RowOrder::Free)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Corrupt
    );
    let mut many = plan.new_batch();
    many.rows = sink_clickhouse::MAX_ROWS_PER_INSERT + 1;
    assert_eq!(
        engine
            .client
            .insert(&plan, &many, RowOrder::Free)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Corrupt
    );

    let mut missing = plan.clone();
    missing.table = "missing".to_owned();
    let error = engine
        .client
        .insert(&missing, &rows(&missing, 0..1), RowOrder::Free)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Rejected { code: 60 },
        "{}",
        error.report()
    );
    missing.database = "ws_9".to_owned();
    let error = engine
        .client
        .insert(&missing, &rows(&missing, 0..1), RowOrder::Free)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::Rejected { code: 60 | 81 }),
        "{}",
        error.report()
    );
    engine.stop().await;
}

#[tokio::test]
async fn the_last_of_equal_versions_wins_and_a_replay_changes_nothing() {
    let engine = Engine::start().await;
    let plan = simple_plan("versions");
    engine.client.create_table(&plan).await.unwrap();
    engine.client.hold_merges(&plan, true).await.unwrap();
    let mut first = plan.new_batch();
    push(&mut first, "tie in a block", "1", 5, 0);
    push(&mut first, "tie in a block", "2", 5, 0);
    push(&mut first, "tie across blocks", "1", 5, 0);
    push(&mut first, "deleted", "1", 5, 0);
    push(&mut first, "deleted, then an older row", "", 9, 1);
    push(&mut first, "newer first", "new", 9, 0);
    let mut second = plan.new_batch();
    push(&mut second, "tie across blocks", "2", 5, 0);
    push(&mut second, "deleted", "", 6, 1);
    push(&mut second, "deleted, then an older row", "1", 5, 0);
    push(&mut second, "newer first", "old", 5, 0);
    for batch in [&first, &second, &first, &second] {
        engine
            .client
            .insert(&plan, batch, RowOrder::AsGiven)
            .await
            .unwrap();
    }
    let live = "newer first\tnew\ntie across blocks\t2\ntie in a block\t2";
    assert_eq!(
        ask(
            &engine.client,
            "SELECT pk, value FROM versions FINAL ORDER BY pk"
        )
        .await,
        live
    );
    // Nothing was dropped as a duplicate block, and merges were held.
    let stats = engine.client.stats(DATABASE).await.unwrap();
    let table = stats
        .iter()
        .find(|table| table.table == "versions")
        .unwrap();
    assert_eq!((table.rows, table.parts), (20, 4));
    assert!(table.bytes > 0);
    engine.client.hold_merges(&plan, false).await.unwrap();
    // The released table takes part in merges again; ClickHouse starts them with the next inserts.
    crate::support::eventually("parts are merged", async || {
        engine
            .client
            .insert(&plan, &second, RowOrder::AsGiven)
            .await
            .unwrap();
        let stats = engine.client.stats(DATABASE).await.unwrap();
        stats
            .iter()
            .any(|table| table.table == "versions" && table.parts < 4)
    })
    .await;
    assert_eq!(
        ask(
            &engine.client,
            "SELECT pk, value FROM versions FINAL ORDER BY pk"
        )
        .await,
        live
    );
    engine.stop().await;
}

#[tokio::test]
async fn free_rows_are_stored_sorted_whatever_the_types_of_the_key() {
    let engine = Engine::start().await;
    for (at, kind) in [
        "String",
        "Int64",
        "Float64",
        "Decimal(38, 3)",
        "DateTime64(3)",
        "Nullable(Int32)",
    ]
    .iter()
    .enumerate()
    {
        let mut plan = plan(&format!("sorted{at}"), vec![column("sk", kind)]);
        plan.sorting_key = "sk, pk".to_owned();
        plan.sorting_columns = vec![1, 0];
        plan.settings = Some("allow_nullable_key = 1".to_owned());
        engine.client.create_table(&plan).await.unwrap();
        let mut batch = plan.new_batch();
        for row in 0..3000_i64 {
            let value = (row * 7919) % 1000 - 500;
            match *kind {
                "String" => batch.columns[1].push_text(format!("prefix-{value}").as_bytes()),
                "Float64" => batch.columns[1].push_fixed(&(value as f64 / 3.0).to_le_bytes()),
                "Decimal(38, 3)" => batch.columns[1].push_fixed(&i128::from(value).to_le_bytes()),
                "Nullable(Int32)" => batch.columns[1].push_fixed(&(value as i32).to_le_bytes()),
                _ => batch.columns[1].push_fixed(&value.to_le_bytes()),
            }
            finish_row(&plan, &mut batch, &format!("k{}", row % 10));
        }
        let block = sink_clickhouse::native_block(&plan, &batch, RowOrder::Free).unwrap();
        assert_eq!(
            block.len(),
            sink_clickhouse::native_block(&plan, &batch, RowOrder::AsGiven)
                .unwrap()
                .len()
        );
        engine
            .client
            .insert(&plan, &batch, RowOrder::Free)
            .await
            .unwrap();
        let table = &plan.table;
        assert_eq!(
            ask(
                &engine.client,
                &format!("SELECT count(), uniqExact(sk, pk) FROM {table}")
            )
            .await
            .split('\t')
            .next(),
            Some("3000")
        );
    }
    engine.stop().await;
}
