use aws_sim::number::{Decimal, normalise};
use serde_json::{Value, json};

use crate::scenario::{code, world};

#[test]
fn numbers_are_printed_as_aws_prints_them() {
    let long = format!("0.{}1", "0".repeat(129));
    let big = format!("1{}", "0".repeat(125));
    for (text, shown) in [
        ("-0.50", "-0.5"),
        ("-0", "0"),
        ("+007.10", "7.1"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("1E-130", long.as_str()),
        ("1E+125", big.as_str()),
        (
            "12345678901234567890123456789012345678",
            "12345678901234567890123456789012345678",
        ),
        ("100", "100"),
    ] {
        assert_eq!(normalise(text).as_deref(), Ok(shown));
    }
    for text in [
        "",
        "-",
        "1.2.3",
        "1e",
        "0x1",
        "1E126",
        "1E-131",
        &"1".repeat(39),
    ] {
        assert!(normalise(text).is_err(), "{text}");
    }
}

#[test]
fn sums_are_exact_and_sort_keys_keep_numeric_order() {
    let number = |text: &str| Decimal::parse(text).expect("a number");
    for (left, right, sum) in [
        ("0.1", "0.2", "0.3"),
        ("1e20", "-1", "99999999999999999999"),
        ("-5", "5", "0"),
        ("-1.5", "-1.5", "-3"),
        (
            "99999999999999999999999999999999999999",
            "0.9",
            "100000000000000000000000000000000000000",
        ),
    ] {
        assert_eq!(
            number(left).add(&number(right)).map(|sum| sum.render()),
            Ok(sum.to_owned())
        );
    }
    let order = [
        "-1e10", "-12", "-1.5", "-1e-9", "0", "1e-9", "0.5", "1", "1.5", "12", "1e10",
    ];
    for pair in order.windows(2) {
        assert!(
            number(pair[0]).sortable() < number(pair[1]).sortable(),
            "{pair:?}"
        );
    }
}

#[test]
fn updates_see_the_item_as_it_was() {
    let mut world = world(|_| ());
    let update = |world: &mut aws_sim::World, expression: &str, values: Value| {
        let mut body = json!({
            "TableName": "t", "Key": {"pk": {"S": "a"}}, "UpdateExpression": expression, "ReturnValues": "ALL_NEW",
        });
        if values != Value::Null {
            body["ExpressionAttributeValues"] = values;
        }
        world
            .dynamodb("UpdateItem", body)
            .map(|answer| answer["Attributes"].clone())
    };
    update(
        &mut world,
        "SET a = :x, b = :y",
        json!({":x": {"N": "1"}, ":y": {"N": "2"}}),
    )
    .expect("set");
    let swapped = update(&mut world, "SET a = b, b = a", Value::Null).expect("swap");
    assert_eq!(
        swapped,
        json!({"a": {"N": "2"}, "b": {"N": "1"}, "pk": {"S": "a"}})
    );
    update(
        &mut world,
        "SET l = :l",
        json!({":l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}}),
    )
    .expect("list");
    let left = update(&mut world, "REMOVE l[0], l[2], a", Value::Null).expect("remove");
    assert_eq!(left["l"], json!({"L": [{"N": "1"}]}));
    assert!(left.get("a").is_none());
    let path =
        update(&mut world, "SET m.x = :x", json!({":x": {"N": "1"}})).expect_err("no map yet");
    assert!(path.message.contains("document path"), "{path}");
}

#[test]
fn malformed_expressions_are_refused_and_never_panic() {
    let mut world = world(|_| ());
    let deep = "(".repeat(5000);
    for text in [
        "",
        "a =",
        "= a",
        "a = :x)",
        "a[x] = :x",
        "foo(a)",
        "é = :x",
        &deep,
        "a.b. = :x",
        "NOT",
        "a BETWEEN :x",
        "\u{0}",
    ] {
        let answer = world.dynamodb(
            "Scan",
            json!({"TableName": "t", "FilterExpression": text, "ExpressionAttributeValues": {":x": {"N": "1"}}}),
        );
        assert_eq!(code(answer), "ValidationException", "{text}");
    }
}

#[test]
fn key_conditions_select_ranges_in_order() {
    let mut world = world(|_| ());
    let spec = aws_sim::TableSpec::new("s").range("sk", "N");
    world.create_table(&spec).expect("a table");
    for n in -20..20 {
        let item = json!({"pk": {"S": "a"}, "sk": {"N": (f64::from(n) / 2.0).to_string()}});
        world
            .dynamodb("PutItem", json!({"TableName": "s", "Item": item}))
            .expect("put");
    }
    let mut keys = |condition: &str, values: Value, forward: bool| -> Vec<f64> {
        let mut values = values;
        values[":p"] = json!({"S": "a"});
        let answer = world
            .dynamodb(
                "Query",
                json!({
                    "TableName": "s", "KeyConditionExpression": format!("pk = :p{condition}"),
                    "ExpressionAttributeValues": values, "ScanIndexForward": forward,
                }),
            )
            .expect("a query");
        let items = answer["Items"].as_array().expect("items").clone();
        items
            .iter()
            .filter_map(|item| item["sk"]["N"].as_str()?.parse().ok())
            .collect()
    };
    assert_eq!(keys("", json!({}), true).len(), 40);
    assert_eq!(
        keys(" AND sk < :a", json!({":a": {"N": "-9"}}), true),
        [-10.0, -9.5]
    );
    assert_eq!(
        keys(" AND sk >= :a", json!({":a": {"N": "8.5"}}), false),
        [9.5, 9.0, 8.5]
    );
    assert_eq!(
        keys(
            " AND sk BETWEEN :a AND :b",
            json!({":a": {"N": "-0.5"}, ":b": {"N": "0.5"}}),
            true
        ),
        [-0.5, 0.0, 0.5]
    );
    assert!(keys(" AND sk > :a", json!({":a": {"N": "100"}}), true).is_empty());
}

#[test]
fn batches_and_transactions_check_before_they_write() {
    let mut world = world(|_| ());
    let put = |key: &str| json!({"PutRequest": {"Item": {"pk": {"S": key}}}});
    let twice = world.dynamodb(
        "BatchWriteItem",
        json!({"RequestItems": {"t": [put("a"), put("a")]}}),
    );
    assert_eq!(code(twice), "ValidationException");
    let many: Vec<_> = (0..26).map(|n| put(&n.to_string())).collect();
    assert_eq!(
        code(world.dynamodb("BatchWriteItem", json!({"RequestItems": {"t": many}}))),
        "ValidationException"
    );
    assert!(world.table_items("t").is_empty());
    let refused = world.dynamodb(
        "TransactWriteItems",
        json!({"TransactItems": [
            {"Put": {"TableName": "t", "Item": {"pk": {"S": "a"}}}},
            {"ConditionCheck": {"TableName": "t", "Key": {"pk": {"S": "b"}}, "ConditionExpression": "attribute_exists(pk)"}},
        ]}),
    );
    let error = refused.expect_err("a refusal");
    assert!(
        error.message.ends_with("[None, ConditionalCheckFailed]"),
        "{error}"
    );
    assert!(world.table_items("t").is_empty());
}

#[test]
fn a_batch_of_keys_is_read_up_to_sixteen_megabytes() {
    let mut world = world(|_| ());
    let large = "x".repeat(350_000);
    for n in 0..60 {
        let item = json!({"pk": {"S": n.to_string()}, "v": {"S": large}});
        world
            .dynamodb("PutItem", json!({"TableName": "t", "Item": item}))
            .expect("a put");
    }
    let read = |world: &mut aws_sim::World, keys: Vec<serde_json::Value>| {
        let request = json!({"t": {"Keys": keys, "ConsistentRead": true}});
        world.dynamodb("BatchGetItem", json!({ "RequestItems": request }))
    };
    let key = |n: i32| json!({"pk": {"S": n.to_string()}});
    let answer = read(&mut world, (0..61).map(key).collect()).expect("an answer");
    let count = |value: &serde_json::Value| value.as_array().map_or(0, Vec::len);
    let items = count(&answer["Responses"]["t"]);
    assert_eq!(items, 16 * 1024 * 1024 / 350_003);
    let left = answer["UnprocessedKeys"]["t"].clone();
    assert_eq!(
        count(&left["Keys"]),
        60 - items,
        "the absent one is no matter"
    );
    let rest = world.dynamodb("BatchGetItem", json!({"RequestItems": {"t": left}}));
    assert_eq!(
        count(&rest.expect("the rest")["Responses"]["t"]),
        60 - items
    );
    assert_eq!(
        code(read(&mut world, vec![key(1), key(1)])),
        "ValidationException"
    );
    assert_eq!(
        code(read(&mut world, (0..101).map(key).collect())),
        "ValidationException"
    );
}
