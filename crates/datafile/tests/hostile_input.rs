//! Whatever a file holds: no panic, spans inside the text, a bounded number of mistakes.

use datafile::{Parsed, SourceFile, parse_project};
use proptest::prelude::*;

use crate::samples::{CONNECTION, ENDPOINT, ORDERS, WIZARD, file};

const NAMES: [&str; 3] = [
    "orders.datasource",
    "my_ddb.connection",
    "orders_by_status.pipe",
];

/// Parses the text as every kind of file and checks what must hold for any text.
fn check(text: &str) {
    for name in NAMES {
        let files = [file(name, text)];
        let parsed = parse_project(&files);
        check_parsed(&parsed, &files);
    }
}

fn check_parsed(parsed: &Parsed, files: &[SourceFile]) {
    assert!(parsed.diagnostics.len() <= 200 * files.len());
    for found in &parsed.diagnostics {
        let text = &files
            .iter()
            .find(|file| file.path == found.path)
            .expect("its file")
            .text;
        assert!(text.get(found.span.clone()).is_some(), "{found:?}");
        assert!(!found.message.is_empty());
        let line = found.one_line(text);
        assert!(line.starts_with(&found.path));
    }
    for connection in &parsed.project.connections {
        for span in [
            &connection.kind.span,
            &connection.role_arn.span,
            &connection.region.span,
        ] {
            assert!(connection.text.get(span.clone()).is_some(), "{span:?}");
        }
    }
    for datasource in &parsed.project.datasources {
        assert!(
            datasource
                .text
                .get(datasource.schema_span.clone())
                .is_some()
        );
        let engine = &datasource.engine;
        let values = [
            &engine.sorting_key,
            &engine.ver,
            &engine.is_deleted,
            &engine.ttl,
        ];
        let spans = values.into_iter().flatten().map(|value| &value.span);
        let columns = datasource.columns.iter().map(|column| &column.span);
        let import = datasource.import.iter().flat_map(|import| {
            [
                &import.connection.span,
                &import.table_arn.span,
                &import.export_bucket.span,
            ]
        });
        let tokens = datasource.tokens.iter().map(|token| &token.span);
        for span in spans
            .chain(columns)
            .chain(import)
            .chain(tokens)
            .chain([&engine.name.span])
        {
            assert!(datasource.text.get(span.clone()).is_some(), "{span:?}");
        }
    }
}

/// A valid file with pieces cut out, put in and swapped.
fn mutated() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "",
        "\"",
        "'",
        "`",
        "(",
        ")",
        "[",
        ",",
        ">",
        "#",
        "--",
        "{{",
        "}}",
        "\n",
        "\n\n",
        "\t",
        "json:",
        "$.",
        "é",
        "\u{feff}",
        "\\",
        "ENGINE ",
        "SCHEMA >",
        "Nullable(",
        "%",
        "NODE a",
        "TYPE",
        ":",
        "/",
        "\r\n",
        "\0",
    ]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, pieces), 1..6);
    let base = prop::sample::select(vec![ORDERS, CONNECTION, ENDPOINT, WIZARD]);
    (base, edits).prop_map(|(base, edits)| {
        let mut chars: Vec<char> = base.chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(chars.len() + 1);
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_change_to_a_valid_file_is_survived(text in mutated()) {
        check(&text);
    }

    #[test]
    fn any_schema_is_survived(body in "[a-z `'\"(),.:$\\[\\]#\n-]{0,80}|( [A-Z]{1,8}[ (`,\n]){1,8}") {
        check(&format!("SCHEMA >\n    {body}\nENGINE_SORTING_KEY {}", body.replace('\n', " ")));
    }
}

#[test]
fn large_hostile_files_are_read_in_bounded_time() {
    let started = std::time::Instant::now();
    for piece in [
        "(",
        "(\n",
        "'",
        "'\\",
        "\\'",
        "`",
        "{{",
        "{{\"",
        "{{'a",
        "a,",
        ",",
        "INDEX ",
        "INDEX\n",
        "a a\n",
        "x (' \n",
        "ENGIN\n",
        "ENGINE\n",
        "DEFAULT ",
        "a b DEFAULT (\n",
        "#",
        "--",
        "[:]",
        "\t",
        "é",
        "\"a\" ",
        "NODE a\n",
        "TOKEN a READ\n",
    ] {
        let many = piece.repeat(100_000 / piece.len());
        for text in [
            many.clone(),
            format!("SCHEMA >\n    {many}"),
            format!("SCHEMA >\n    a String DEFAULT {many}"),
            format!("SCHEMA >\n    a String `json:$.['{many}']`"),
            format!("SCHEMA >\n  a String\nENGINE ReplacingMergeTree\nENGINE_SORTING_KEY {many}"),
            format!("SCHEMA >\n  a String\nINDEXES >\n{many}"),
            format!("TYPE dynamodb\nDYNAMODB_ARN {many}"),
            format!("NODE a\nSQL >\n{many}"),
        ] {
            check(&text);
        }
    }
    assert!(
        started.elapsed().as_secs() < 120,
        "took {:?}",
        started.elapsed()
    );
}

#[test]
fn too_large_a_file_is_one_mistake() {
    let files = [file("orders.datasource", &"a".repeat(1024 * 1024 + 1))];
    let parsed = parse_project(&files);
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].code, datafile::Code::FileTooLarge);
    assert!(parsed.project.datasources.is_empty());
}

#[test]
fn spaces_that_are_joined_move_no_span_into_a_character() {
    check("IMPORT_EXPORT_BUCKET K \t\u{fffd} T \t\u{fffd} ");
    check("IMPORT_EXPORT_BUCKET s3://\u{fffd} \t \u{fffd} / \t\u{fffd}");
}
