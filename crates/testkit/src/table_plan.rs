//! The tables under test and their data source.

use aws_sim::TableSpec;
use datafile::{SourceFile, parse_project};
use mirror::plan::build_plan;
use mirror::source::SourceSpec;
use mirror::table::{KeyAttribute, KeyType};
use server::worker::MirrorSpec;

/// Name of the table.
pub const TABLE: &str = "orders";
/// Bucket of its exports.
pub const BUCKET: &str = "exports";

/// The table: `pk` of type S, and `sk` of type N if `composite`; stream and recovery off.
pub fn table(composite: bool) -> TableSpec {
    let spec = TableSpec {
        view: None,
        pitr: false,
        ..TableSpec::new(TABLE)
    };
    if composite {
        spec.range("sk", "N")
    } else {
        spec
    }
}

/// Its mirror, planned from a datafile as a project would have it.
pub fn mirror(composite: bool) -> MirrorSpec {
    let (column, sorting_key) = if composite {
        ("sk String `json:$.Item.sk`,\n    ", "pk, sk")
    } else {
        ("", "pk")
    };
    let text = format!(
        "SCHEMA >\n    pk String `json:$.Item.pk`,\n    {column}_record String `json:$.NewImage`,\n    _old_record Nullable(String) `json:$.OldImage`,\n    \
         _timestamp DateTime64(3) `json:$.ApproximateCreationDateTime`,\n    _event_name LowCardinality(String) `json:$.eventName`,\n    \
         _is_deleted UInt8 `json:$._is_deleted`,\n    event_id String `json:$.eventID`,\n    number String `json:$.SequenceNumber`,\n    \
         who Nullable(String) `json:$.userIdentity.principalId`,\n    rev Nullable(Int64) `json:$.Item.rev`\n\n\
         ENGINE \"ReplacingMergeTree\"\nENGINE_SORTING_KEY \"{sorting_key}\"\nENGINE_VER \"_timestamp\"\nENGINE_IS_DELETED \"_is_deleted\"\n"
    );
    let file = SourceFile {
        path: "datasources/orders.datasource".to_owned(),
        text,
    };
    let mut parsed = parse_project(&[file]);
    let key = |name: &str, key_type| KeyAttribute {
        name: name.to_owned(),
        key_type,
    };
    let mut keys = vec![key("pk", KeyType::S)];
    if composite {
        keys.push(key("sk", KeyType::N));
    }
    let datasource = parsed.project.datasources.remove(0);
    let (plan, _) = build_plan("db", &datasource, &keys).expect("the datafile under test is right");
    MirrorSpec {
        id: "mirror-1".to_owned(),
        name: "main/orders".to_owned(),
        source: SourceSpec {
            role_arn: "arn:aws:iam::123456789012:role/mirror".to_owned(),
            external_id: "external-id".to_owned(),
            region: "us-east-1".to_owned(),
            table_arn: format!("arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}"),
            export_bucket: BUCKET.to_owned(),
        },
        s3_prefix: "mirrors/main/orders".to_owned(),
        plan,
        next_plan: None,
    }
}
