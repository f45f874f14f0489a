//! `parse(render(x)) == x`, places in the file aside.

use datafile::{
    Column, Connection, Datasource, Engine, Import, Index, JsonPath, NodeKind, Pipe, PipeNode,
    Project, Spanned, Template, TemplatePart, TokenGrant, render_connection, render_datasource,
    render_pipe,
};
use proptest::prelude::*;

use crate::samples::parse;

fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned::unplaced(value)
}

fn identifier() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_]{0,8}"
}

/// Text as a block keeps it: no empty lines around it, no shared indentation, no spaces at line ends.
fn block_text() -> impl Strategy<Value = String> {
    prop::collection::vec("( {0,3}[!-~é]{1,6}( [!-~]{1,4})?)?", 0..4).prop_flat_map(|middle| {
        ("[a-zA-Z*'\"`#>-][!-~]{0,8}", Just(middle), "[!-~]{1,8}")
            .prop_map(|(first, middle, last)| [vec![first], middle, vec![last]].concat().join("\n"))
    })
}

fn types() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "String",
        "UInt8",
        "Int64",
        "DateTime64(3)",
        "Decimal(10, 2)",
        "DateTime64(6, 'UTC')",
        "Enum8('a' = 1, 'b,' = 2)",
    ]);
    (plain, 0..3).prop_map(|(ty, wrap)| match wrap {
        0 => ty.to_owned(),
        1 => format!("Nullable({ty})"),
        _ => format!("Array({ty})"),
    })
}

fn column() -> impl Strategy<Value = Column> {
    let name = prop_oneof![4 => identifier(), 1 => "[a-zé#,.() \"'-]{1,8}", 1 => Just("INDEX".to_owned()), 1 => Just("TTL".to_owned())]
        .prop_filter("a path", |name| !name.starts_with("json:"));
    let key = prop_oneof![3 => identifier(), 1 => any::<String>()]
        .prop_filter("a key", |key| !key.is_empty() && key != "[:]");
    let path = prop::collection::vec(key, 0..3).prop_map(|segments| JsonPath { segments });
    let default = prop::option::of(prop::sample::select(vec![
        "''",
        "now()",
        "NULL",
        "1 + 2",
        "concat('a,  b', `x`)",
    ]));
    let codec = prop::option::of(prop::sample::select(vec!["ZSTD(1)", "Delta, LZ4"]));
    (name, types(), prop::option::of(path), default, codec).prop_map(
        |(name, ty, json_path, default, codec)| Column {
            name,
            ty,
            json_path,
            default: default.map(str::to_owned),
            codec: codec.map(str::to_owned),
        },
    )
}

fn columns() -> impl Strategy<Value = Vec<Spanned<Column>>> {
    prop::collection::vec(column(), 1..6).prop_map(|mut columns| {
        let mut names = std::collections::HashSet::new();
        columns.retain(|column| names.insert(column.name.clone()));
        columns.into_iter().map(unplaced).collect()
    })
}

/// A value on one line: tokens between single spaces, one kind of quotes at most.
fn value() -> impl Strategy<Value = String> {
    "[a-z(){}=0-9,.+*>'-]{1,8}( [a-z(){}=0-9,.+*>'#-]{1,8}){0,2}".prop_filter("braces", |text| {
        !text.contains("{{") && !text.contains("}}")
    })
}

fn template() -> impl Strategy<Value = Template> {
    let name = "[a-z_'\" \\\\]{1,8}";
    let default = prop::option::of("[a-z0-9 #'\"\\\\}]{0,8}");
    let secret = (name, default).prop_map(|(name, default)| TemplatePart::Secret { name, default });
    let literal = "[a-z0-9:/-]{1,12}";
    prop_oneof![
        literal.prop_map(Template::from_literal),
        (
            prop::option::of(literal),
            prop::collection::vec(secret, 1..3),
            prop::option::of(literal)
        )
            .prop_map(|(before, secrets, after)| {
                let before = before.map(TemplatePart::Literal).into_iter();
                let after = after.map(TemplatePart::Literal);
                Template {
                    parts: before.chain(secrets).chain(after).collect(),
                }
            }),
    ]
}

fn engine() -> impl Strategy<Value = Engine> {
    let name = prop::sample::select(vec![
        "MergeTree",
        "ReplacingMergeTree",
        "Null",
        "SummingMergeTree",
    ]);
    let key = prop::sample::select(vec!["pk, sk", "tuple()", "`a b`, toDate(c)", "(x, y)"]);
    let optional = || prop::option::of(value().prop_map(unplaced));
    (
        (
            name,
            prop::option::of(key),
            prop::option::of(identifier()),
            prop::option::of(identifier()),
        ),
        (optional(), optional(), optional(), optional(), optional()),
        (optional(), optional(), optional()),
    )
        .prop_map(|((name, key, ver, is_deleted), first, second)| {
            let sorting_columns: &[&str] = match key {
                Some("pk, sk") => &["pk", "sk"],
                Some("`a b`, toDate(c)") => &["a b", "c"],
                Some("(x, y)") => &["x", "y"],
                _ => &[],
            };
            Engine {
                name: unplaced(name.to_owned()),
                sorting_key: key.map(|key| unplaced(key.to_owned())),
                sorting_columns: sorting_columns
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
                partition_key: first.0,
                primary_key: first.1,
                sampling_key: first.2,
                ttl: first.3,
                settings: first.4,
                ver: ver.map(unplaced),
                is_deleted: is_deleted.map(unplaced),
                sign: second.0,
                version: second.1,
                columns: second.2,
            }
        })
}

fn tokens(permissions: &'static [&'static str]) -> impl Strategy<Value = Vec<TokenGrant>> {
    let token =
        ("[a-z# ']{1,8}", prop::sample::select(permissions)).prop_map(|(name, permission)| {
            TokenGrant {
                name,
                permission: permission.to_owned(),
                span: 0..0,
            }
        });
    prop::collection::vec(token, 0..3)
}

fn tags() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    prop::collection::vec((identifier(), prop::option::of(identifier())), 0..3)
}

fn datasource() -> impl Strategy<Value = Datasource> {
    let import =
        (template(), template(), template()).prop_map(|(connection, table_arn, export_bucket)| {
            Import {
                connection: unplaced(connection),
                table_arn: unplaced(table_arn),
                export_bucket: unplaced(export_bucket),
            }
        });
    let index = (identifier(), prop::option::of(0u64..9)).prop_map(|(name, granularity)| Index {
        name,
        expr: "lower(a) + 1".to_owned(),
        kind: "set(100)".to_owned(),
        granularity,
    });
    (
        (
            columns(),
            engine(),
            prop::option::of(import),
            tokens(&["READ", "APPEND"]),
            tags(),
        ),
        prop::option::of(block_text()),
        prop::option::of(block_text()),
        prop::collection::vec(index, 0..3),
        prop::collection::vec(identifier(), 0..3),
        any::<bool>(),
    )
        .prop_map(
            |(main, description, forward_query, indexes, shared_with, skip_backfill)| {
                let (columns, engine, import, tokens, tags) = main;
                Datasource {
                    name: "orders".to_owned(),
                    path: "orders.datasource".to_owned(),
                    text: String::new(),
                    description,
                    columns,
                    schema_span: 0..0,
                    engine,
                    import,
                    tokens,
                    tags,
                    indexes,
                    forward_query,
                    shared_with,
                    skip_backfill,
                }
            },
        )
}

fn node() -> impl Strategy<Value = PipeNode> {
    let kind = prop::sample::select(vec![
        NodeKind::Standard,
        NodeKind::Endpoint,
        NodeKind::Materialized,
        NodeKind::Copy,
        NodeKind::Sink,
    ]);
    let options = prop::collection::vec(value(), 2);
    (
        block_text(),
        any::<bool>(),
        kind,
        prop::option::of(block_text()),
        options,
    )
        .prop_map(|(sql, is_template, kind, description, values)| PipeNode {
            name: String::new(),
            sql,
            is_template,
            kind,
            description,
            options: ["COPY_SCHEDULE", "EXPORT_FORMAT"]
                .map(str::to_owned)
                .into_iter()
                .zip(values)
                .collect(),
        })
}

fn pipe() -> impl Strategy<Value = Pipe> {
    (
        prop::collection::vec(node(), 1..4),
        prop::option::of(block_text()),
        tokens(&["READ"]),
        tags(),
    )
        .prop_map(|(mut nodes, description, tokens, tags)| {
            for (at, node) in nodes.iter_mut().enumerate() {
                node.name = format!("node_{at}");
            }
            Pipe {
                name: "daily".to_owned(),
                path: "daily.pipe".to_owned(),
                text: String::new(),
                description,
                nodes,
                tokens,
                tags,
            }
        })
}

#[test]
fn white_space_inside_quotes_survives() {
    for space in ["\t", "\r", "  ", " \r ", "\u{a0}", "\u{b}"] {
        let text = format!(
            "NODE a\nSQL >\n    SELECT 1\nTYPE copy\nTARGET_DATASOURCE t\nCOPY_SCHEDULE \"a{space}b\"\n"
        );
        let written = reread("daily.pipe", &text).pipes.remove(0);
        let again = reread("daily.pipe", &render_pipe(&written)).pipes.remove(0);
        assert_eq!(again.nodes, written.nodes, "{space:?}");
        assert_eq!(written.nodes[0].options[1].1, format!("a{space}b"));
    }
}

fn reread(path: &str, text: &str) -> Project {
    parse(&[(path, text)]).project
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rendered_data_source_reads_as_it_was(written in datasource()) {
        let text = render_datasource(&written);
        let mut read = reread(&written.path, &text).datasources.remove(0);
        read.text.clear();
        read.schema_span = 0..0;
        prop_assert_eq!(read, written, "{}", text);
    }

    #[test]
    fn a_rendered_connection_reads_as_it_was(role in template(), region in template(), description in prop::option::of(block_text())) {
        let written = Connection {
            name: "my_ddb".to_owned(),
            path: "my_ddb.connection".to_owned(),
            text: String::new(),
            description,
            kind: unplaced("dynamodb".to_owned()),
            role_arn: unplaced(role),
            region: unplaced(region),
        };
        let text = render_connection(&written);
        let mut read = reread(&written.path, &text).connections.remove(0);
        read.text.clear();
        prop_assert_eq!(read, written, "{}", text);
    }

    #[test]
    fn a_rendered_pipe_reads_as_it_was(written in pipe()) {
        let text = render_pipe(&written);
        let mut read = reread(&written.path, &text).pipes.remove(0);
        read.text.clear();
        prop_assert_eq!(read, written, "{}", text);
    }
}
