//! The texts of the two files: a connection, and a data source with a typed column for each key.

use datafile::{
    Column, Connection, Datasource, Engine, Import, JsonPath, Spanned, Template, render_connection,
    render_datasource,
};

use super::checks_of_server::Validated;

/// A path in a record, and the column it fills.
const RECORD_COLUMNS: [(&str, &str, &str); 5] = [
    ("_record", "String", "NewImage"),
    ("_old_record", "Nullable(String)", "OldImage"),
    ("_timestamp", "DateTime64(3)", "ApproximateCreationDateTime"),
    ("_event_name", "LowCardinality(String)", "eventName"),
    ("_is_deleted", "UInt8", "_is_deleted"),
];

/// The text of `connections/<name>.connection`.
pub(crate) fn connection_text(name: &str, secret: &str, region: &str) -> String {
    let connection = Connection {
        name: name.to_owned(),
        path: String::new(),
        text: String::new(),
        description: None,
        kind: Spanned::unplaced("dynamodb".to_owned()),
        role_arn: Spanned::unplaced(Template::from_secret(secret)),
        region: Spanned::unplaced(Template::from_literal(region)),
    };
    render_connection(&connection) + "\n"
}

/// The text of `datasources/<name>.datasource`.
pub(crate) fn datasource_text(
    name: &str,
    connection: &str,
    table_arn: &str,
    bucket: &str,
    table: &Validated,
) -> String {
    let mut columns = Vec::new();
    let mut keys = Vec::new();
    for (attribute, _) in &table.keys {
        let column = column_for(attribute, &keys);
        keys.push(column.clone());
        // Also for numbers: all 38 digits of a key survive in a text, and two keys never become one row.
        columns.push(column_of(&column, "String", &["Item", attribute]));
    }
    for (column, ty, path) in RECORD_COLUMNS {
        if column != "_old_record" || table.old_images {
            columns.push(column_of(column, ty, &[path]));
        }
    }
    let named = |text: &str| Some(Spanned::unplaced(text.to_owned()));
    let engine = Engine {
        name: Spanned::unplaced("ReplacingMergeTree".to_owned()),
        sorting_key: named(&keys.join(", ")),
        sorting_columns: keys,
        ver: named("_timestamp"),
        is_deleted: named("_is_deleted"),
        ..Engine::default()
    };
    let literal = |text: &str| Spanned::unplaced(Template::from_literal(text));
    let datasource = Datasource {
        name: name.to_owned(),
        path: String::new(),
        text: String::new(),
        description: None,
        columns,
        schema_span: 0..0,
        engine,
        import: Some(Import {
            connection: literal(connection),
            table_arn: literal(table_arn),
            export_bucket: literal(bucket),
        }),
        tokens: Vec::new(),
        tags: Vec::new(),
        indexes: Vec::new(),
        forward_query: None,
        shared_with: Vec::new(),
        skip_backfill: false,
    };
    render_datasource(&datasource) + "\n"
}

fn column_of(name: &str, ty: &str, path: &[&str]) -> Spanned<Column> {
    Spanned::unplaced(Column {
        name: name.to_owned(),
        ty: ty.to_owned(),
        json_path: Some(JsonPath {
            segments: path.iter().map(|segment| (*segment).to_owned()).collect(),
        }),
        default: None,
        codec: None,
    })
}

/// A column name for a key attribute, whose name may be anything: letters, digits and `_`, unlike all others.
fn column_for(attribute: &str, taken: &[String]) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = attribute
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || name.chars().all(|c| c == '_') {
        name = format!("key_{name}");
    }
    let is_taken = |name: &str| {
        taken.iter().any(|known| known == name)
            || RECORD_COLUMNS.iter().any(|(known, ..)| *known == name)
    };
    while is_taken(&name) {
        name = format!("key_{name}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[(&str, &str)], old_images: bool) -> Validated {
        let keys = keys.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned()));
        Validated {
            keys: keys.collect(),
            old_images,
            to_switch_on: None,
            messages: Vec::new(),
        }
    }

    const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";

    #[test]
    fn both_files_are_those_of_the_example_character_for_character() {
        let connection = connection_text("my_ddb", "dynamodb_role_arn_my_ddb", "us-east-1");
        let example = include_str!("../../../../../examples/orders/connections/my_ddb.connection");
        assert_eq!(connection, example);
        let keys = [("pk", "S"), ("sk", "S")];
        let datasource = datasource_text(
            "orders",
            "my_ddb",
            ARN,
            "my-orders-exports",
            &table(&keys, true),
        );
        let example = include_str!("../../../../../examples/orders/datasources/orders.datasource");
        assert_eq!(datasource, example);
    }

    #[test]
    fn awkward_keys_get_columns_and_exact_paths() {
        let keys = [("order-id", "N"), ("_record", "B")];
        let text = datasource_text("o", "c", ARN, "my-bucket", &table(&keys, false));
        assert!(
            text.contains("    order_id String `json:$.Item.order-id`,\n    key__record String `json:$.Item._record`,\n"),
            "{text}"
        );
        assert!(!text.contains("OldImage"), "{text}");
        assert!(text.contains("ENGINE_SORTING_KEY \"order_id, key__record\""));
        let connection = connection_text("c", "s", "us-east-1");
        let file = |path: &str, text: String| datafile::SourceFile {
            path: path.to_owned(),
            text,
        };
        let parsed = datafile::parse_project(&[
            file("c.connection", connection),
            file("o.datasource", text),
        ]);
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    }
}
