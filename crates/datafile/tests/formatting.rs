//! The canonical form: says the same, stays the same, and loses no comment.

#![expect(clippy::unwrap_used, reason = "tests")]

use datafile::{NotFormatted, SourceFile, format_file};
use proptest::prelude::*;

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn formatted(path: &str, text: &str) -> Result<String, NotFormatted> {
    format_file(&file(path, text))
}

const LOOSE: &str = "schema >
  `pk`   String `json:$.Item.pk` ,
\t v   DateTime64(3)  `json:$.ApproximateCreationDateTime`,
  d UInt8 `json:$._is_deleted`
engine ReplacingMergeTree
ENGINE_SORTING_KEY   pk
engine_ver v
ENGINE_IS_DELETED 'd'


IMPORT_CONNECTION_NAME   'my_ddb'
IMPORT_TABLE_ARN arn:aws:dynamodb:us-east-1:123456789012:table/orders
IMPORT_EXPORT_BUCKET my-orders-exports";

const TIDY: &str = "SCHEMA >
    pk String `json:$.Item.pk`,
    v DateTime64(3) `json:$.ApproximateCreationDateTime`,
    d UInt8 `json:$._is_deleted`

ENGINE \"ReplacingMergeTree\"
ENGINE_SORTING_KEY \"pk\"
ENGINE_VER \"v\"
ENGINE_IS_DELETED \"d\"

IMPORT_CONNECTION_NAME my_ddb
IMPORT_TABLE_ARN arn:aws:dynamodb:us-east-1:123456789012:table/orders
IMPORT_EXPORT_BUCKET my-orders-exports
";

#[test]
fn a_loose_file_becomes_a_tidy_one_that_stays() {
    assert_eq!(formatted("orders.datasource", LOOSE).unwrap(), TIDY);
    assert_eq!(formatted("orders.datasource", TIDY).unwrap(), TIDY);
}

#[test]
fn a_comment_outside_of_a_query_keeps_the_file_as_it_is() {
    let cases = [
        (format!("# all orders\n{TIDY}"), 1),
        (
            TIDY.replace("ENGINE_VER \"v\"", "ENGINE_VER \"v\" # a clock"),
            8,
        ),
        (TIDY.replace("pk`,", "pk`, -- the key"), 2),
    ];
    for (text, line) in cases {
        assert_eq!(
            formatted("orders.datasource", &text),
            Err(NotFormatted::Comment { line }),
            "{text}"
        );
    }
}

#[test]
fn what_looks_like_a_comment_inside_quotes_is_none() {
    let text = TIDY.replace(
        "d UInt8 `json:$._is_deleted`",
        "d UInt8 `json:$._is_deleted`,\n    note String `json:$.NewImage` DEFAULT '--#'",
    );
    let once = formatted("orders.datasource", &text).unwrap();
    assert!(once.contains("DEFAULT '--#'"), "{once}");
}

#[test]
fn comments_of_a_query_are_part_of_it() {
    let text = "NODE top\nSQL >\n    -- the biggest\n    SELECT 1 # one\n\nTYPE endpoint\n";
    let once = formatted("top.pipe", text).unwrap();
    assert!(
        once.contains("-- the biggest\n    SELECT 1 # one"),
        "{once}"
    );
}

#[test]
fn a_file_with_mistakes_stays() {
    for (path, text) in [
        ("a.datasource", "SCHEMA >\n    pk\n"),
        ("a.datasource", ""),
        ("a.pipe", "NODE\n"),
        ("a.txt", TIDY),
    ] {
        assert_eq!(formatted(path, text), Err(NotFormatted::Mistakes), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Lines of real files in any order and any spacing: whatever can be formatted is the same formatted again.
    #[test]
    fn formatting_twice_is_formatting_once(
        lines in prop::collection::vec((prop::sample::select(fragments()), "[ \t]{0,3}", "[ \t]{0,2}\n{1,3}"), 1..16),
        kind in prop::sample::select(vec!["a.datasource", "a.pipe", "a.connection"]),
    ) {
        let text: String = lines
            .iter()
            .map(|(line, before, after)| {
                let before = if line.starts_with(' ') { before.as_str() } else { "" };
                format!("{before}{line}{after}")
            })
            .collect();
        match formatted(kind, &text) {
            Ok(once) => prop_assert_eq!(formatted(kind, &once), Ok(once.clone()), "{}", text),
            // What can be read can be written: the renderer has no excuse.
            Err(why) => prop_assert_ne!(why, NotFormatted::Differs, "{}", text),
        }
    }

    /// The spacing of a whole file does not matter for its canonical form.
    #[test]
    fn spacing_does_not_matter(gaps in prop::collection::vec("[ \t]{1,3}", 8), empty in prop::collection::vec(0..3_usize, 20)) {
        let mut gap = gaps.iter().cycle();
        let mut lines = empty.iter().cycle();
        let mut text = String::new();
        for line in TIDY.lines() {
            let spaced: Vec<&str> = line.trim_start().split(' ').collect();
            let indent = if line.starts_with(' ') { gap.next().unwrap().as_str() } else { "" };
            text.push_str(indent);
            text.push_str(&spaced.join(gap.next().unwrap()));
            text.push('\n');
            if !line.starts_with(' ') && !line.ends_with('>') {
                text.push_str(&"\n".repeat(*lines.next().unwrap()));
            }
        }
        prop_assert_eq!(formatted("orders.datasource", &text), Ok(TIDY.to_owned()), "{}", text);
    }
}

fn fragments() -> Vec<&'static str> {
    vec![
        "SCHEMA >",
        "    pk String `json:$.Item.pk`,",
        "    v DateTime64(3) `json:$.ApproximateCreationDateTime`",
        "    `a b` Nullable(String) `json:$.NewImage` DEFAULT 'x' CODEC(ZSTD(1))",
        "ENGINE ReplacingMergeTree",
        "ENGINE_SORTING_KEY \"pk\"",
        "ENGINE_VER v",
        "ENGINE_TTL \"toDateTime(v) + INTERVAL 1 DAY\"",
        "IMPORT_CONNECTION_NAME my_ddb",
        "IMPORT_TABLE_ARN {{ tb_secret(\"arn\", 'x') }}",
        "IMPORT_EXPORT_BUCKET my-orders-exports",
        "TOKEN \"read me\" READ",
        "TAGS \"a=b,c\"",
        "DESCRIPTION >",
        "DESCRIPTION one line # not a comment in quotes",
        "    some text, indented",
        "NODE endpoint",
        "SQL >",
        "    %",
        "    SELECT * FROM orders -- all",
        "TYPE endpoint",
        "TYPE dynamodb",
        "DYNAMODB_ARN {{ tb_secret(\"dynamodb_role_arn_my_ddb\") }}",
        "DYNAMODB_REGION us-east-1",
        "# a comment",
        "",
    ]
}
