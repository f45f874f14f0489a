//! `tb check`: mistakes of a project, for people and for programs.

use insta::assert_snapshot;

use crate::program::Program;

const BAD: &str = "SCHEMA >
    pk String `json:$.Item.pk`,
    _record String `json:$.NewImage`,
    _timestamp DateTime64(3) `json:$.ApproximateCreationDateTime`,
    _is_deleted UInt8 `json:$._is_deleted`

ENGINE \"MergeTree\"
ENGINE_SORTING_KEE \"pk\"
ENGINE_VER \"_timestamp\"
ENGINE_IS_DELETED \"_is_deleted\"

IMPORT_CONNECTION_NAME my_dbd
IMPORT_TABLE_ARN arn:aws:dynamodb:us-east-1:123456789012:table/orders
IMPORT_EXPORT_BUCKET s3://my-orders-exports
";

fn bad() -> Program {
    Program::new()
        .with_orders()
        .file("datasources/orders.datasource", BAD)
}

#[test]
fn a_project_without_mistakes_passes() {
    assert_snapshot!(Program::new().with_orders().run(&["check"]), @"
    exit code 0
    --- stdout

    --- stderr
    ✓ 2 files checked, no mistakes
    ");
}

#[test]
fn mistakes_are_shown_where_they_are() {
    assert_snapshot!(bad().run(&["check"]));
}

#[test]
fn programs_get_the_mistakes_as_json() {
    let ran = bad().run(&["check", "--output", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    assert_snapshot!(ran.out);
}

#[test]
fn programs_get_an_empty_list_when_there_are_none() {
    let ran = Program::new()
        .with_orders()
        .run(&["check", "--output", "json"]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "[]\n", "")
    );
}

#[test]
fn the_project_can_be_elsewhere() {
    let program = Program::new().with_orders();
    for run in [
        program.run_with(&["check", "--cwd", "../project"], &[]),
        program.run_with(&["check"], &[("TB_CWD", "../project")]),
    ] {
        assert_eq!(run.code, 0, "{run}");
    }
}

#[test]
fn a_build_with_mistakes_does_not_look_for_a_server() {
    let ran = bad().run(&["build"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains("datasources/orders.datasource:"), "{ran}");
    assert!(!ran.err.contains("127.0.0.1"), "{ran}");
}
