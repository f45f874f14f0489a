//! The wizard as a person meets it: typed into a terminal, with every wrong answer once.

use std::fs;

use aws_sim::iam::{Permission, Trust};
use aws_sim::{Role, WorldConfig};
use serde_json::Value;

use super::flow::fill;
use super::oracle::equal;
use super::stage::{ROLE, Stage, TABLE_ARN, orders_table};
use super::terminal::Terminal;

/// Roles have to be declared, with the policies that somebody pastes.
pub(crate) fn stage() -> Stage {
    let stage = Stage::with(
        WorldConfig {
            open_roles: false,
            ..Default::default()
        },
        &orders_table(),
    );
    fs::remove_dir_all(stage.project()).unwrap();
    fs::create_dir(stage.project()).unwrap();
    stage
}

/// What a person does with the two documents that were printed: makes a role of them.
pub(crate) fn paste(stage: &Stage, role: &str, policies: &Value) {
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        list => {
            let list = list.as_array().unwrap().iter();
            list.map(|text| text.as_str().unwrap().to_owned()).collect()
        }
    };
    let trust = &policies["trust_policy"]["Statement"][0];
    let mut made = Role::new(role, "*", &[]);
    made.trust = vec![Trust {
        principals: texts(&trust["Principal"]["AWS"]),
        external_ids: texts(&trust["Condition"]["StringEquals"]["sts:ExternalId"]),
    }];
    made.permissions.clear();
    for statement in policies["access_policy"]["Statement"].as_array().unwrap() {
        for action in texts(&statement["Action"]) {
            let resources = texts(&statement["Resource"]);
            let on = resources
                .iter()
                .map(|resource| Permission::new(&action, resource));
            made.permissions.extend(on);
        }
    }
    stage.aws.handle.with(|world| world.iam.add_role(made));
}

/// The documents of a connection.
pub(crate) fn policies(stage: &Stage, arguments: &[&str]) -> Value {
    let base = ["connection", "policy", "my_ddb", "--output", "json"];
    let said = stage.tb(&[&base, arguments].concat()).success();
    serde_json::from_str(&said.out).unwrap()
}

pub(crate) fn files(stage: &Stage) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![stage.project()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(stage.project()).unwrap();
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A screen without what differs from run to run.
fn shown(screen: &str) -> String {
    let mut shown = String::new();
    let mut hex = String::new();
    for c in screen.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            hex.push(c);
            continue;
        }
        shown.push_str(if hex.len() == 32 {
            "<external id>"
        } else {
            &hex
        });
        hex.clear();
        shown.push(c);
    }
    let mut lines: Vec<String> = shown.trim_end().lines().map(str::to_owned).collect();
    for line in &mut lines {
        if let Some((_, name)) = line.split_once("Connection name [dynamodb_") {
            let (_, answer) = name.split_once(']').unwrap();
            *line = format!("Connection name [dynamodb_<hex>]{answer}");
        }
        if let Some((before, rest)) = line.split_once("request id ") {
            let (_, after) = rest.split_once(')').unwrap();
            *line = format!("{before}request id <id>){after}");
        }
    }
    lines.join("\n")
}

#[test]
fn every_wrong_answer_is_explained_and_the_mirror_runs() {
    let mut stage = stage();
    fill(&stage, 10);
    stage.start();
    let mut person = Terminal::open(
        stage.command().args(["connection", "create", "dynamodb"]),
        100,
    );
    person.answer("Connection name", "my-ddb");
    person.answer("Connection name", "my_ddb");
    person.answer("DynamoDB table name", "");
    person.answer("DynamoDB table name", TABLE_ARN);
    person.answer("DynamoDB table name", "orders");
    person.answer("S3 bucket for exports", "s3://my-orders-exports/x");
    person.answer("S3 bucket for exports", "my-orders-exports");
    person.answer("Region of the table", "us-east");
    person.answer("Region of the table", "");
    person.wait_for("Press Enter when it is in place");
    let reach = ["--table", "orders", "--bucket", "my-orders-exports"];
    let documents = policies(&stage, &reach);
    person.press("\r");
    person.answer("Press Enter when the role exists", "");
    person.answer("ARN of the role", "dynamirror");
    person.answer("ARN of the role", "arn:aws:iam::123456789012:role/absent");
    person.wait_for("ARN of the role");
    paste(&stage, ROLE, &documents);
    person.press(&format!("{ROLE}\r"));
    person.answer("ARN of the table", "orders");
    person.answer(
        "ARN of the table",
        &TABLE_ARN.replace("us-east-1", "eu-west-1"),
    );
    person.answer("ARN of the table", &TABLE_ARN.replace("orders", "users"));
    person.answer(
        "ARN of the table",
        &TABLE_ARN.replace("123456789012", "999999999999"),
    );
    person.answer("ARN of the table", "");
    person.answer("Export bucket", "other-bucket");
    person.wait_for("Export bucket");
    assert_eq!(
        files(&stage),
        Vec::<String>::new(),
        "nothing is written yet"
    );
    person.press("\r");
    person.answer("Data source name", "2024");
    person.answer("Data source name", "");
    let (ok, screen) = person.end();
    assert!(ok, "{screen}");
    insta::assert_snapshot!("wizard", shown(&screen));
    assert_eq!(
        files(&stage),
        [
            "connections/my_ddb.connection",
            "datasources/orders.datasource"
        ]
    );
    stage
        .tb(&["build", "--with-connections", "--wait"])
        .success();
    assert_eq!(equal(&stage), 10);
}

#[test]
fn a_narrow_terminal_and_ctrl_c_leave_everything_as_it_was() {
    let mut stage = stage();
    stage.start();
    let mut person = Terminal::open(
        stage.command().args(["connection", "create", "dynamodb"]),
        40,
    );
    person.answer("Connection name", "my_ddb");
    person.answer("DynamoDB table name", "*");
    person.answer("S3 bucket for exports", "*");
    person.answer("Region of the table", "");
    person.answer("Press Enter when it is in place", "");
    person.wait_for("Press Enter when the role exists");
    // Documents are to be copied, so their lines stay whole.
    for line in person
        .text()
        .lines()
        .filter(|line| !line.starts_with("    "))
    {
        assert!(line.chars().count() <= 40, "{line}");
    }
    paste(
        &stage,
        ROLE,
        &policies(&stage, &["--table", "*", "--bucket", "*"]),
    );
    person.press("\r");
    person.answer("ARN of the role", ROLE);
    person.wait_for("ARN of the table");
    person.press("arn:aws\x03");
    let (ok, screen) = person.end();
    assert!(!ok, "{screen}");
    assert_eq!(files(&stage), Vec::<String>::new());
    let secrets = stage.tb(&["secret", "ls"]).success();
    assert!(
        !secrets.all().contains("dynamodb_role_arn"),
        "{}",
        secrets.all()
    );
}

#[test]
fn what_is_off_is_said_and_left_to_the_build() {
    let mut stage = stage();
    let spec = aws_sim::TableSpec {
        view: None,
        pitr: false,
        ..aws_sim::TableSpec::new("events").range("at", "N")
    };
    stage
        .aws
        .handle
        .with(|world| world.create_table(&spec).unwrap());
    stage.start();
    paste(
        &stage,
        ROLE,
        &policies(
            &stage,
            &["--table", "events", "--bucket", "my-orders-exports"],
        ),
    );
    let arn = TABLE_ARN.replace("orders", "events");
    let given = [
        "--name",
        "my_ddb",
        "--bucket",
        "my-orders-exports",
        "--role-arn",
        ROLE,
        "--table-arn",
        &arn,
    ];
    let arguments = [&["connection", "create", "dynamodb", "--yes"], &given[..]].concat();
    let said = stage.tb(&arguments).success().all();
    for word in [
        "Point-in-Time Recovery (PITR) must be enabled.",
        "DynamoDB Streams must be enabled.",
        "The key at is a number",
    ] {
        assert!(said.contains(word), "no «{word}» in:\n{said}");
    }
    let text = fs::read_to_string(stage.project().join("datasources/events.datasource")).unwrap();
    assert!(
        text.contains("at String `json:$.Item.at`") && text.contains("_old_record"),
        "{text}"
    );
    let again = stage.tb(&arguments).failure();
    assert!(
        again.err.contains("datasources/events.datasource exists"),
        "{}",
        again.err
    );
}
