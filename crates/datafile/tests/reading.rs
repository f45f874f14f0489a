//! Correct files give the project they describe, without a word of complaint.

use datafile::{
    NodeKind, Template, TemplatePart, render_connection, render_datasource, render_pipe,
};

use crate::samples::{CONNECTION, ENDPOINT, ORDERS, WIZARD, orders_with, parse, parse_clean};

const CONNECTION_FILE: (&str, &str) = ("connections/my_ddb.connection", CONNECTION);

fn orders(text: &str) -> datafile::Datasource {
    let project = parse_clean(&[("orders.datasource", text), CONNECTION_FILE]);
    project
        .datasources
        .into_iter()
        .next()
        .expect("one data source")
}

#[test]
fn generated_files_are_read_and_rendered_as_they_were() {
    let project = parse_clean(&[
        ("orders.datasource", ORDERS),
        CONNECTION_FILE,
        ("orders_by_status.pipe", ENDPOINT),
    ]);
    assert_eq!(render_datasource(&project.datasources[0]), ORDERS);
    assert_eq!(render_connection(&project.connections[0]), CONNECTION);
    assert_eq!(render_pipe(&project.pipes[0]), ENDPOINT);
}

#[test]
fn values_carry_their_places() {
    let orders = orders(ORDERS);
    assert_eq!(
        (orders.name.as_str(), orders.path.as_str()),
        ("orders", "orders.datasource")
    );
    let column = &orders.columns[3];
    assert_eq!(column.name, "_old_record");
    assert_eq!(column.ty, "Nullable(String)");
    assert_eq!(
        column
            .json_path
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("$.OldImage")
    );
    assert_eq!(
        &ORDERS[column.span.clone()],
        "_old_record Nullable(String) `json:$.OldImage`"
    );
    assert_eq!(orders.engine.sorting_columns, ["pk", "sk"]);
    assert_eq!(
        &ORDERS[orders.engine.sorting_key.expect("a key").span],
        "pk, sk"
    );
    assert!(ORDERS[orders.schema_span.clone()].starts_with("pk String"));
    assert!(ORDERS[orders.schema_span].ends_with("`json:$._is_deleted`"));
    let import = orders.import.expect("an import");
    assert_eq!(import.connection.literal().as_deref(), Some("my_ddb"));
    assert_eq!(&ORDERS[import.export_bucket.span], "my-orders-exports");
}

#[test]
fn the_wizards_file_says_the_same_with_other_quotes() {
    let orders = orders(WIZARD);
    assert_eq!(
        orders.description.as_deref(),
        Some("Mirror of the DynamoDB table orders")
    );
    assert_eq!(orders.engine.sorting_columns, ["pk", "created_at"]);
    assert_eq!(
        orders
            .import
            .and_then(|import| import.table_arn.literal())
            .as_deref(),
        Some("arn:aws:dynamodb:us-east-1:123456789012:table/orders")
    );
}

#[test]
fn comments_case_line_ends_and_trailing_commas_do_not_matter() {
    let text = ORDERS
        .replace("SCHEMA >", "\u{feff}# a mirror\nschema >")
        .replace("ENGINE_VER", "engine_ver  # newest wins\r\nENGINE_VER")
        .replace("engine_ver  # newest wins\r\n", "")
        .replace(
            "`json:$.Item.pk`,",
            "`json:$.Item.pk`, -- it's the (partition key, really",
        )
        .replace("`json:$._is_deleted`", "`json:$._is_deleted`,")
        .replace(
            "ENGINE_SORTING_KEY \"pk, sk\"",
            "ENGINE_SORTING_KEY pk,   `sk` # both",
        )
        .replace('\n', "\r\n");
    let orders = orders(&text);
    assert_eq!(orders.columns.len(), 7);
    assert_eq!(orders.engine.sorting_columns, ["pk", "sk"]);
}

#[test]
fn a_name_that_contains_the_version_column_is_not_the_version_column() {
    let text = ORDERS
        .replace(
            "sk String `json:$.Item.sk`",
            "event_timestamp String `json:$.Item.sk`",
        )
        .replace("pk, sk", "pk, event_timestamp");
    assert_eq!(
        orders(&text).engine.sorting_columns,
        ["pk", "event_timestamp"]
    );
}

#[test]
fn every_offered_path_is_accepted() {
    let text = orders_with(
        "    _record String",
        "    a String `json:$.Item`,\n    b String `json:$.NewImage.a.['b.c']`,\n    \
         c String `json:$.Keys.pk`,\n    d String `json:$.eventID`,\n    \
         e String `json:$.SequenceNumber`,\n    f String `json:$.awsRegion`,\n    \
         g String `json:$.userIdentity.type`,\n    h String `json:$.userIdentity.principalId`,\n    \
         _record String",
    );
    assert_eq!(orders(&text).columns.len(), 15);
}

#[test]
fn default_and_codec_may_stand_on_either_side_of_the_path() {
    let text = orders_with(
        "sk String `json:$.Item.sk`",
        "sk String DEFAULT concat('a, ', 'b') CODEC(ZSTD(1)) `json:$.Item.sk`",
    );
    let column = orders(&text).columns[1].clone();
    assert_eq!(column.default.as_deref(), Some("concat('a, ', 'b')"));
    assert_eq!(column.codec.as_deref(), Some("ZSTD(1)"));
    let text = orders_with(
        "sk String `json:$.Item.sk`",
        "sk Decimal( 10,2 ) `json:$.Item.sk` DEFAULT NULL CODEC(Delta, LZ4)",
    );
    let column = orders(&text).columns[1].clone();
    assert_eq!(column.ty, "Decimal(10, 2)");
    assert_eq!(column.default.as_deref(), Some("NULL"));
    assert_eq!(column.codec.as_deref(), Some("Delta, LZ4"));
}

#[test]
fn columns_without_indentation_and_in_capitals_are_columns() {
    let text = orders_with("    pk String", "PK String").replace("pk, sk", "PK, sk");
    assert_eq!(orders(&text).columns[0].name, "PK");
}

#[test]
fn secrets_are_read_and_resolved() {
    let text = orders_with(
        "my-orders-exports",
        "{{ tb_secret('bucket', \"b-#1 x\") }}-x",
    );
    let bucket = orders(&text).import.expect("an import").export_bucket.value;
    assert_eq!(
        bucket.parts,
        [
            TemplatePart::Secret {
                name: "bucket".to_owned(),
                default: Some("b-#1 x".to_owned())
            },
            TemplatePart::Literal("-x".to_owned()),
        ]
    );
    assert_eq!(bucket.literal(), None);
    assert_eq!(bucket.secrets().collect::<Vec<_>>(), ["bucket"]);
    assert_eq!(bucket.resolve(&|_| None).as_deref(), Ok("b-#1 x-x"));
    assert_eq!(
        bucket.resolve(&|_| Some(String::new())).as_deref(),
        Ok("-x")
    );
    let missing = Template::from_secret("role")
        .resolve(&|_| None)
        .expect_err("no value");
    assert_eq!(missing.name, "role");
}

#[test]
fn everything_a_data_source_may_have_is_read() {
    let text = format!(
        "{}\n{}",
        ORDERS,
        r#"
TOKEN "reader of orders" READ
TOKEN writer append
TAGS "team=shop,gold"
SHARED_WITH >
    one,
    two
BACKFILL skip
INDEXES >
    INDEX by_event _event_name TYPE set(100) GRANULARITY 4
    by_time toDate(_timestamp) TYPE minmax
ENGINE_TTL ""
ENGINE_SETTINGS "index_granularity=8192"
FORWARD_QUERY >
    SELECT *
      FROM orders
VERSION 3
"#
    );
    let parsed = parse(&[("orders.datasource", &text), CONNECTION_FILE]);
    assert_eq!(parsed.diagnostics.len(), 1, "only VERSION is remarked upon");
    let orders = &parsed.project.datasources[0];
    assert_eq!(orders.tokens[0].name, "reader of orders");
    assert_eq!(orders.tokens[1].permission, "APPEND");
    assert_eq!(
        orders.tags,
        [
            ("team".to_owned(), Some("shop".to_owned())),
            ("gold".to_owned(), None)
        ]
    );
    assert_eq!(orders.shared_with, ["one", "two"]);
    assert!(orders.skip_backfill);
    assert_eq!(orders.indexes[0].granularity, Some(4));
    assert_eq!(orders.indexes[1].expr, "toDate(_timestamp)");
    assert_eq!(orders.engine.ttl, None);
    assert_eq!(
        orders.forward_query.as_deref(),
        Some("SELECT *\n  FROM orders")
    );
}

#[test]
fn a_data_source_without_an_import_may_have_any_engine() {
    let project = parse_clean(&[(
        "events.datasource",
        "SCHEMA >\n    ts DateTime64(3) `json:$.ts`,\n    tags Array(String) `json:$.tags[:]`\n\n\
         SORTING_KEY toDate(ts), ts\nTTL ts + INTERVAL 90 DAY",
    )]);
    let engine = &project.datasources[0].engine;
    assert_eq!(engine.name.value, "MergeTree");
    assert_eq!(engine.sorting_columns, ["ts"]);
    assert_eq!(
        engine.ttl.as_deref().map(String::as_str),
        Some("ts + INTERVAL 90 DAY")
    );
}

#[test]
fn pipes_of_every_kind_are_read() {
    let project = parse_clean(&[(
        "daily.pipe",
        "TOKEN dashboard READ\nNODE base\nDESCRIPTION all of them\nSQL >\n    SELECT 1\n\
         NODE daily\nSQL >\n%\nSELECT {{ tb_secret('x') }}\n\nTYPE COPY\nTARGET_DATASOURCE days\n\
         COPY_SCHEDULE 0 * * * *\nCOPY_MODE replace\n",
    )]);
    let pipe = &project.pipes[0];
    assert_eq!(pipe.nodes[0].description.as_deref(), Some("all of them"));
    assert_eq!(pipe.nodes[0].kind, NodeKind::Standard);
    let copy = &pipe.nodes[1];
    assert_eq!((copy.kind, copy.is_template), (NodeKind::Copy, true));
    assert_eq!(copy.sql, "SELECT {{ tb_secret('x') }}");
    assert_eq!(
        copy.options[1],
        ("COPY_SCHEDULE".to_owned(), "0 * * * *".to_owned())
    );
}
