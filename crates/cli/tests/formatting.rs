//! `tb fmt` on files.

use insta::assert_snapshot;

use crate::program::Program;

const LOOSE: &str =
    "TYPE   dynamodb\nDYNAMODB_ARN {{tb_secret('role')}}\n\n\nDYNAMODB_REGION us-east-1";
const TIDY: &str =
    "TYPE dynamodb\nDYNAMODB_ARN {{ tb_secret(\"role\") }}\nDYNAMODB_REGION us-east-1\n";

#[test]
fn files_are_written_once_and_then_stay() {
    let program = Program::new().with_orders().file("a.connection", LOOSE);
    let ran = program.run(&["fmt", "--check"]);
    assert_snapshot!(ran);
    assert_eq!(program.read("a.connection"), LOOSE);
    let ran = program.run(&["fmt"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(program.read("a.connection"), TIDY);
    for arguments in [&["fmt"][..], &["fmt", "--check"]] {
        let ran = program.run(arguments);
        assert_eq!(ran.code, 0, "{ran}");
        assert!(ran.err.contains("0 changed"), "{ran}");
    }
}

#[test]
fn the_example_is_in_canonical_form() {
    let ran = Program::new().with_orders().run(&["fmt", "--check"]);
    assert_eq!(ran.code, 0, "{ran}");
}

#[test]
fn a_file_with_a_comment_is_left_as_it_is_and_the_others_are_not() {
    let commented = format!("# whose role\n{LOOSE}");
    let program = Program::new()
        .file("a.connection", LOOSE)
        .file("b.connection", &commented);
    assert_snapshot!(program.run(&["fmt"]));
    assert_eq!(program.read("a.connection"), TIDY);
    assert_eq!(program.read("b.connection"), commented);
    let ran = program.run(&["fmt", "a.connection", "--output", "json"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.out.contains("\"result\": \"unchanged\""), "{ran}");
    let ran = program.run(&["fmt", "c.connection"]);
    assert_eq!(ran.code, 2, "{ran}");
}
