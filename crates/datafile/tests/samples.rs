//! Files as the official clients write them, and a short way to parse.

use datafile::{Parsed, SourceFile, parse_project};

/// What both SDKs generate for a mirrored table.
pub(crate) const ORDERS: &str = r#"SCHEMA >
    pk String `json:$.Item.pk`,
    sk String `json:$.Item.sk`,
    _record String `json:$.NewImage`,
    _old_record Nullable(String) `json:$.OldImage`,
    _timestamp DateTime64(3) `json:$.ApproximateCreationDateTime`,
    _event_name LowCardinality(String) `json:$.eventName`,
    _is_deleted UInt8 `json:$._is_deleted`

ENGINE "ReplacingMergeTree"
ENGINE_SORTING_KEY "pk, sk"
ENGINE_VER "_timestamp"
ENGINE_IS_DELETED "_is_deleted"

IMPORT_CONNECTION_NAME my_ddb
IMPORT_TABLE_ARN arn:aws:dynamodb:us-east-1:123456789012:table/orders
IMPORT_EXPORT_BUCKET my-orders-exports"#;

/// What both SDKs generate for a connection.
pub(crate) const CONNECTION: &str = r#"TYPE dynamodb
DYNAMODB_ARN {{ tb_secret("dynamodb_role_arn_my_ddb") }}
DYNAMODB_REGION us-east-1"#;

/// What the TypeScript SDK generates for an endpoint.
pub(crate) const ENDPOINT: &str = r#"DESCRIPTION >
    Orders by status

NODE endpoint
SQL >
    %
    SELECT JSONExtractString(_record, 'id') AS id
        FROM orders FINAL
        WHERE JSONExtractString(_record, 'status') = {{ String(status, 'open', required=False) }}
        LIMIT {{ Int32(limit, 10, required=False) }}

TYPE endpoint"#;

/// What the command line's wizard writes.
pub(crate) const WIZARD: &str = r#"DESCRIPTION >
    Mirror of the DynamoDB table orders

SCHEMA >
    `pk` String `json:$.Item.pk`,
    `created_at` Float64 `json:$.Item.created_at`,
    `_record` String `json:$.NewImage`,
    `_timestamp` DateTime64(3) `json:$.ApproximateCreationDateTime`,
    `_event_name` LowCardinality(String) `json:$.eventName`,
    `_is_deleted` UInt8 `json:$._is_deleted`

ENGINE "ReplacingMergeTree"
ENGINE_SORTING_KEY pk, created_at
ENGINE_VER "_timestamp"
ENGINE_IS_DELETED "_is_deleted"

IMPORT_CONNECTION_NAME 'my_ddb'
IMPORT_TABLE_ARN 'arn:aws:dynamodb:us-east-1:123456789012:table/orders'
IMPORT_EXPORT_BUCKET 'my-orders-exports'
"#;

pub(crate) fn file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn parse(files: &[(&str, &str)]) -> Parsed {
    let files: Vec<SourceFile> = files.iter().map(|(path, text)| file(path, text)).collect();
    parse_project(&files)
}

/// Parses files that must not have a mistake in them.
pub(crate) fn parse_clean(files: &[(&str, &str)]) -> datafile::Project {
    let parsed = parse(files);
    assert_eq!(parsed.diagnostics, [], "no mistake was expected");
    parsed.project
}

/// The data source of the SDKs with one text replaced by another.
pub(crate) fn orders_with(old: &str, new: &str) -> String {
    assert!(ORDERS.contains(old), "{old:?} is not in the sample");
    ORDERS.replacen(old, new, 1)
}
