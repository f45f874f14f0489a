//! Every mistake, word for word: what is said, where, and what to write instead.

use std::fmt::Write;

use crate::samples::{CONNECTION, ORDERS, orders_with, parse};

/// A project with a mistake in it, and what the mistake is.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, String)>,
}

fn case(name: &'static str, path: &'static str, text: impl Into<String>) -> Case {
    Case {
        name,
        files: vec![(path, text.into())],
    }
}

/// The sample data source and its connection, with one text of the former replaced.
fn orders(name: &'static str, old: &str, new: &str) -> Case {
    let files = vec![
        ("orders.datasource", orders_with(old, new)),
        ("my_ddb.connection", CONNECTION.to_owned()),
    ];
    Case { name, files }
}

/// The sample connection with one text replaced.
fn connection(name: &'static str, old: &str, new: &str) -> Case {
    assert!(CONNECTION.contains(old), "{old:?} is not in the sample");
    case(name, "my_ddb.connection", CONNECTION.replacen(old, new, 1))
}

/// Compares with what is written down in `snapshots/`.
fn check(name: &str, cases: &[Case]) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, report(cases));
    });
}

/// All mistakes of all cases, one paragraph a case.
fn report(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases {
        writeln!(out, "## {}", case.name).ok();
        let files: Vec<(&str, &str)> = case
            .files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let parsed = parse(&files);
        assert!(
            !parsed.diagnostics.is_empty(),
            "{} has no mistake",
            case.name
        );
        for found in &parsed.diagnostics {
            let (_, text) = files
                .iter()
                .find(|(path, _)| *path == found.path)
                .expect("its file");
            let (line, column) = found.line_column(text);
            let marked: String = text[found.span.clone()].chars().take(70).collect();
            writeln!(
                out,
                "{:?} {} {}:{line}:{column} {marked:?}",
                found.severity, found.code, found.path
            )
            .ok();
            writeln!(out, "  {}", found.message).ok();
            writeln!(out, "  ^ {}", found.label).ok();
            writeln!(out, "  = {}", found.help.as_deref().unwrap_or("(no help)")).ok();
        }
        out.push('\n');
    }
    out
}

const SK: &str = "sk String `json:$.Item.sk`,";

#[test]
fn mistakes_in_lines() {
    check(
        "mistakes_in_lines",
        &[
            orders(
                "unknown instruction",
                "ENGINE_SORTING_KEY",
                "ENGINE_SORTIN_KEY",
            ),
            orders(
                "unknown instruction in the schema block",
                "ENGINE \"Repl",
                "ENGINEE \"Repl",
            ),
            orders("unknown block", "SCHEMA >", "SHCEMA >"),
            orders(
                "refused instruction",
                "ENGINE_VER",
                "SETTINGS index_granularity=1\nENGINE_VER",
            ),
            orders(
                "included file",
                "ENGINE_VER",
                "INCLUDE \"x.incl\"\nENGINE_VER",
            ),
            orders("ignored instruction", "ENGINE_VER", "VERSION 2\nENGINE_VER"),
            orders(
                "given twice",
                "ENGINE_VER",
                "ENGINE_VER _timestamp\nENGINE_VER",
            ),
            orders("open quote", "\"pk, sk\"", "\"pk, sk"),
            orders("no marker", "SCHEMA >", "SCHEMA"),
            orders("text after the marker", "SCHEMA >", "SCHEMA > a String"),
            orders(
                "block for a line",
                "ENGINE_VER \"_timestamp\"",
                "ENGINE_VER >\n    _timestamp",
            ),
            case(
                "schema on one line",
                "a.datasource",
                "SCHEMA a String, b Int8",
            ),
            case("no schema", "a.datasource", "ENGINE MergeTree"),
            case(
                "empty schema",
                "a.datasource",
                "SCHEMA >\n    -- nothing yet\n",
            ),
            orders("no value", "ENGINE_VER \"_timestamp\"", "ENGINE_VER"),
            orders("no engine name", "ENGINE \"ReplacingMergeTree\"", "ENGINE"),
            orders(
                "no bucket",
                "IMPORT_EXPORT_BUCKET my-orders-exports",
                "IMPORT_EXPORT_BUCKET",
            ),
        ],
    );
}

#[test]
fn mistakes_in_columns() {
    check(
        "mistakes_in_columns",
        &[
            orders("no comma", SK, "sk String `json:$.Item.sk`"),
            orders("two commas", SK, "sk String `json:$.Item.sk`,,"),
            orders("no type", SK, "sk `json:$.Item.sk`,"),
            orders(
                "hash comment",
                SK,
                "sk String `json:$.Item.sk`, # the sort key",
            ),
            orders("no backticks", SK, "sk String json:$.Item.sk,"),
            orders("no json:", SK, "sk String `$.Item.sk`,"),
            orders("no dollar", SK, "sk String `json:Item.sk`,"),
            orders("dots", SK, "sk String `json:$.Item..sk`,"),
            orders(
                "two paths",
                SK,
                "sk String `json:$.Item.sk` `json:$.Item.s`,",
            ),
            orders("open backtick", SK, "sk String `json:$.Item.sk,"),
            orders("open parenthesis", SK, "sk Decimal(10, 2 `json:$.Item.sk`,"),
            orders(
                "open double quote over several lines",
                SK,
                "sk String DEFAULT concat(\n        \"never closed,\n        'x') `json:$.Item.sk`,",
            ),
            orders(
                "open quote in a type",
                SK,
                "sk Enum8('a' = 1,\n        'b = 2, -- not this\n        'c' = 3) `json:$.Item.sk`,",
            ),
            orders(
                "open backtick in a codec",
                SK,
                "sk String `json:$.Item.sk` CODEC(\n        `ZSTD,\n        LZ4),",
            ),
            orders("null", SK, "sk String NULL `json:$.Item.sk`,"),
            orders("not null", SK, "sk String NOT NULL `json:$.Item.sk`,"),
            orders(
                "materialized",
                SK,
                "sk String MATERIALIZED lower(pk) `json:$.Item.sk`,",
            ),
            orders("ttl", SK, "sk String TTL now() `json:$.Item.sk`,"),
            orders("comment", SK, "sk String COMMENT 'x' `json:$.Item.sk`,"),
            orders("empty default", SK, "sk String `json:$.Item.sk` DEFAULT,"),
            orders("empty codec", SK, "sk String `json:$.Item.sk` CODEC,"),
            orders("rubbish", SK, "sk String = `json:$.Item.sk`,"),
            orders(
                "secret in a default",
                SK,
                "sk String `json:$.Item.sk` DEFAULT {{ tb_secret('x') }},",
            ),
            orders(
                "hostile name",
                SK,
                "sk String `json:$.Item.sk`,\n    a:b String `json:$.Item.x`,",
            ),
            orders(
                "index",
                SK,
                "sk String `json:$.Item.sk`,\n    INDEX i sk TYPE minmax GRANULARITY 1,",
            ),
            orders(
                "indented instruction",
                "\nENGINE \"Repl",
                "    ENGINE \"Repl",
            ),
            orders(
                "boolean",
                "_record String",
                "b Boolean `json:$.Item.b`,\n    _record String",
            ),
            orders("no precision", "DateTime64(3)", "DateTime64"),
            orders(
                "no size",
                "_record String",
                "b Nullable(Int) `json:$.Item.b`,\n    _record String",
            ),
            orders("misspelled type", "_record String", "_record Sting"),
            orders(
                "twice",
                SK,
                "sk String `json:$.Item.sk`,\n    pk String `json:$.Item.x`,",
            ),
            orders(
                "three in one column",
                SK,
                "sk Strin `json:$.Item.sk` NULL `json:$.Item.x`,",
            ),
        ],
    );
}

#[test]
fn mistakes_in_paths() {
    check(
        "mistakes_in_paths",
        &[
            orders("no path", SK, "sk String,"),
            orders("no root", SK, "sk String `json:$.sk`,"),
            orders("misspelled root", SK, "sk String `json:$.Itm.sk`,"),
            orders("stream nesting", "$.NewImage", "$.dynamodb.NewImage"),
            orders("misspelled field", "$.eventName", "$.event_name"),
            orders("array", SK, "sk String `json:$.Item.tags[:]`,"),
            orders("nothing near", "$.eventName", "$.a.b.c"),
        ],
    );
}

#[test]
fn mistakes_in_engines_and_keys() {
    let plain = "SCHEMA >\n    a String,\n    n Nullable(String),\n    s AggregateFunction(sum, UInt64)\n\n";
    check(
        "mistakes_in_engines_and_keys",
        &[
            orders("another engine", "ReplacingMergeTree", "MergeTree"),
            orders("no such engine", "ReplacingMergeTree", "ReplacingMergTree"),
            orders("no engine", "ENGINE \"ReplacingMergeTree\"\n", ""),
            orders(
                "arguments",
                "\"ReplacingMergeTree\"",
                "\"ReplacingMergeTree(_timestamp)\"",
            ),
            orders("no version", "ENGINE_VER \"_timestamp\"\n", ""),
            orders(
                "unknown version",
                "ENGINE_VER \"_timestamp\"",
                "ENGINE_VER \"_timestmap\"",
            ),
            orders(
                "version type",
                "_timestamp DateTime64(3)",
                "_timestamp DateTime",
            ),
            orders(
                "version path",
                "_timestamp DateTime64(3) `json:$.ApproximateCreationDateTime`",
                "_timestamp UInt64 `json:$.Item.updated`",
            ),
            orders("no deleted", "ENGINE_IS_DELETED \"_is_deleted\"\n", ""),
            orders(
                "unknown deleted",
                "ENGINE_IS_DELETED \"_is_deleted\"",
                "ENGINE_IS_DELETED gone",
            ),
            orders("deleted type", "_is_deleted UInt8", "_is_deleted Bool"),
            orders(
                "deleted path",
                "`json:$._is_deleted`",
                "`json:$.Item.deleted`",
            ),
            orders("no key", "ENGINE_SORTING_KEY \"pk, sk\"\n", ""),
            orders("empty key", "\"pk, sk\"", "tuple()"),
            orders("unknown column", "\"pk, sk\"", "\"pk, ks\""),
            orders("nullable key", "sk String", "sk Nullable(String)"),
            orders("version in the key", "\"pk, sk\"", "\"pk, _timestamp\""),
            orders("deleted in the key", "\"pk, sk\"", "pk, _is_deleted"),
            orders("expression", "\"pk, sk\"", "\"pk, lower(sk)\""),
            orders("changing column", "\"pk, sk\"", "\"pk, sk, _event_name\""),
            orders("no item key", "\"pk, sk\"", "\"_event_name\""),
            orders("secret", "\"pk, sk\"", "{{ tb_secret(\"key\") }}"),
            case(
                "unknown engine",
                "a.datasource",
                format!("{plain}ENGINE MergeTee"),
            ),
            case(
                "replacing without a key",
                "a.datasource",
                format!("{plain}ENGINE ReplacingMergeTree"),
            ),
            case(
                "unknown version, no import",
                "a.datasource",
                format!(
                    "{plain}ENGINE ReplacingMergeTree\nENGINE_SORTING_KEY a\nENGINE_VER v\nENGINE_IS_DELETED d"
                ),
            ),
            case(
                "unsortable",
                "a.datasource",
                format!("{plain}ENGINE MergeTree\nENGINE_SORTING_KEY n, s"),
            ),
        ],
    );
}

#[test]
fn mistakes_in_imports() {
    let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";
    check(
        "mistakes_in_imports",
        &[
            orders("one missing", "IMPORT_EXPORT_BUCKET my-orders-exports", ""),
            case(
                "two missing",
                "orders.datasource",
                ORDERS
                    .replace("IMPORT_TABLE_ARN", "# ")
                    .replace("IMPORT_EXPORT_BUCKET", "# "),
            ),
            orders("not an arn", arn, "orders"),
            orders(
                "stream arn",
                arn,
                "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2024-01-01T00:00:00.000",
            ),
            orders("other service", arn, "arn:aws:s3:::orders"),
            orders("scheme", "my-orders-exports", "s3://my-orders-exports"),
            orders(
                "scheme and path",
                "my-orders-exports",
                "s3://my-orders-exports/daily/",
            ),
            orders(
                "scheme before a secret",
                "my-orders-exports",
                "s3://{{ tb_secret('bucket') }}",
            ),
            orders("bucket name", "my-orders-exports", "My_Bucket"),
            orders("unknown connection", "my_ddb", "my_dbd"),
            case("no connection", "orders.datasource", ORDERS),
            orders("region", "us-east-1", "eu-west-1"),
            orders(
                "not a secret",
                "my-orders-exports",
                "{{ secret('bucket') }}",
            ),
            orders("open braces", "my-orders-exports", "{{ tb_secret('bucket')"),
            case(
                "kafka",
                "a.datasource",
                "SCHEMA >\n    a String\n\nKAFKA_CONNECTION_NAME k\nKAFKA_TOPIC t",
            ),
            case(
                "s3",
                "a.datasource",
                "SCHEMA >\n    a String\n\nIMPORT_CONNECTION_NAME k\nIMPORT_BUCKET_URI s3://b/*.csv\nIMPORT_SCHEDULE @auto",
            ),
        ],
    );
}

#[test]
fn mistakes_in_other_instructions() {
    let plain = "SCHEMA >\n    a String\n\n";
    check(
        "mistakes_in_other_instructions",
        &[
            case(
                "token without permission",
                "a.datasource",
                format!("{plain}TOKEN reader"),
            ),
            case(
                "token permission",
                "a.datasource",
                format!("{plain}TOKEN reader WRITE"),
            ),
            case("backfill", "a.datasource", format!("{plain}BACKFILL no")),
            case(
                "index",
                "a.datasource",
                format!("{plain}INDEXES >\n    i a minmax\n    j a TYPE minmax GRANULARITY x"),
            ),
        ],
    );
}

#[test]
fn mistakes_in_connections() {
    check(
        "mistakes_in_connections",
        &[
            connection("no type", "TYPE dynamodb\n", ""),
            connection("unknown type", "TYPE dynamodb", "TYPE dynamo"),
            case(
                "kafka",
                "k.connection",
                "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS a:9092",
            ),
            case("s3", "s.connection", "TYPE s3\nS3_REGION us-east-1"),
            connection(
                "another type's instruction",
                "DYNAMODB_REGION",
                "S3_ARN x\nDYNAMODB_REGION",
            ),
            connection("no role", "DYNAMODB_ARN", "# "),
            connection("no region", "DYNAMODB_REGION us-east-1", ""),
            case("neither", "c.connection", "TYPE dynamodb"),
            connection(
                "not a role",
                "{{ tb_secret(\"dynamodb_role_arn_my_ddb\") }}",
                "arn:aws:iam::123456789012:user/me",
            ),
            connection("not a region", "us-east-1", "Virginia"),
            connection(
                "no braces",
                "{{ tb_secret(\"dynamodb_role_arn_my_ddb\") }}",
                "{{ dynamodb_role_arn }}",
            ),
        ],
    );
}

#[test]
fn mistakes_in_pipes() {
    let node = "NODE a\nSQL >\n    SELECT 1\n\n";
    check(
        "mistakes_in_pipes",
        &[
            case("no node", "p.pipe", "DESCRIPTION nothing"),
            case("sql before a node", "p.pipe", "SQL >\n    SELECT 1\n"),
            case("sql on one line", "p.pipe", "NODE a\nSQL SELECT 1\n"),
            case("no sql", "p.pipe", "NODE a\nTYPE endpoint\n"),
            case("empty template", "p.pipe", "NODE a\nSQL >\n    %\n"),
            case("two names", "p.pipe", format!("{node}{node}")),
            case("no name", "p.pipe", "NODE\nSQL >\n    SELECT 1\n"),
            case(
                "two published",
                "p.pipe",
                format!(
                    "{node}TYPE endpoint\n{}TYPE endpoint",
                    node.replace('a', "b")
                ),
            ),
            case("unknown type", "p.pipe", format!("{node}TYPE endpont")),
            case(
                "no target",
                "p.pipe",
                format!("{node}TYPE copy\nCOPY_MODE upsert"),
            ),
            case(
                "no data source",
                "p.pipe",
                format!("{node}TYPE materialized\nDEPLOYMENT_METHOD swap"),
            ),
            case(
                "option of another type",
                "p.pipe",
                format!("{node}TYPE endpoint\nCOPY_SCHEDULE @on-demand"),
            ),
            case(
                "option without a value",
                "p.pipe",
                format!("{node}TYPE sink\nEXPORT_CONNECTION_NAME"),
            ),
            case("append", "p.pipe", format!("TOKEN t APPEND\n{node}")),
        ],
    );
}

#[test]
fn mistakes_in_projects() {
    check(
        "mistakes_in_projects",
        &[
            case("other file", "README.md", "# Orders"),
            case("name", "my-orders.pipe", "NODE a\nSQL >\n    SELECT 1"),
            Case {
                name: "two of one name",
                files: vec![
                    ("my_ddb.connection", CONNECTION.to_owned()),
                    ("datasources/orders.datasource", ORDERS.to_owned()),
                    (
                        "pipes/orders.pipe",
                        "NODE a\nSQL >\n    SELECT 1".to_owned(),
                    ),
                ],
            },
        ],
    );
}

#[test]
fn one_line_says_everything() {
    let text = orders_with("ReplacingMergeTree", "MergeTree");
    let parsed = parse(&[
        ("orders.datasource", &text),
        ("my_ddb.connection", CONNECTION),
    ]);
    insta::assert_snapshot!(parsed.diagnostics[0].one_line(&text), @r#"orders.datasource:10:9: DynamoDB data sources do not support the MergeTree engine; ReplacingMergeTree is the only option. not supported with DynamoDB [engine-not-supported]; help: write `ENGINE "ReplacingMergeTree"`"#);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = ORDERS
        .replace("ReplacingMergeTree", "MergeTree")
        .replace("$.eventName", "$.eventNam")
        .replace("my-orders-exports", "s3://my-orders-exports")
        .replace("my_ddb", "your_ddb");
    let parsed = parse(&[
        ("orders.datasource", &text),
        ("my_ddb.connection", CONNECTION),
    ]);
    let codes: Vec<&str> = parsed
        .diagnostics
        .iter()
        .map(|found| found.code.name())
        .collect();
    assert_eq!(
        codes,
        [
            "json-path-not-offered",
            "engine-not-supported",
            "connection-not-found",
            "bucket-has-scheme"
        ]
    );
}
