//! Exit codes, and errors that say what to do.

use insta::assert_snapshot;

use crate::program::Program;

#[test]
fn a_folder_without_a_project_is_refused() {
    assert_snapshot!(Program::new().run(&["check"]), @"
    exit code 1
    --- stdout

    --- stderr
    error: no .datasource, .pipe or .connection file in /folder/project or two levels below
    hint: run this in the project folder, or name it with --cwd
    ");
}

#[test]
fn a_word_that_is_no_command_is_wrong_usage() {
    let ran = Program::new().run(&["bulid"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("'build'"), "{ran}");
}

#[test]
fn a_folder_that_is_not_there_is_wrong_usage() {
    let ran = Program::new().run(&["check", "--cwd", "nowhere"]);
    assert_eq!(ran.code, 2, "{ran}");
}

#[test]
fn without_a_server_every_command_says_how_to_start_one() {
    let program = Program::new().with_orders();
    // Port 1 is privileged and unused.
    let variables = [("TB_LOCAL_PORT", "1")];
    assert_snapshot!(program.run_with(&["datasource", "ls"], &variables), @"
    exit code 3
    --- stdout

    --- stderr
    error: the Local server at http://127.0.0.1:1 does not answer
      caused by: Connection refused (os error 111)
    hint: start it with `tb local start`; `tb local status` says whether it runs
    ");
    for command in [
        &["build"][..],
        &["deploy", "--check"],
        &["sql", "SELECT 1"],
        &["secret", "ls"],
        &["secret", "set", "name", "value"],
        &["workspace", "current"],
        &["datasource", "data", "orders"],
    ] {
        let ran = program.run_with(command, &variables);
        assert_eq!(ran.code, 3, "{command:?}: {ran}");
        assert!(ran.err.contains("tb local start"), "{command:?}: {ran}");
    }
}

#[test]
fn another_server_that_is_not_there_is_not_called_local() {
    let ran = Program::new().run(&[
        "--host",
        "http://127.0.0.1:1",
        "--token",
        "t",
        "sql",
        "SELECT 1",
    ]);
    assert_eq!(ran.code, 3, "{ran}");
    assert!(!ran.err.contains("tb local start"), "{ran}");
}

#[test]
fn cloud_without_host_or_token_says_what_to_set() {
    let program = Program::new();
    assert_snapshot!(program.run(&["--cloud", "sql", "SELECT 1"]), @"
    exit code 2
    --- stdout

    --- stderr
    error: --cloud needs the address of a server
    hint: run `tb login`, set TB_HOST, or give --host https://mirrors.example.com
    ");
    let ran = program.run_with(
        &["sql", "SELECT 1", "--cloud"],
        &[("TB_HOST", "mirrors.example.com")],
    );
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.err.contains("TB_TOKEN"), "{ran}");
}

#[test]
fn a_secret_without_a_value_is_wrong_usage() {
    let ran = Program::new().run(&["secret", "set", "name"]);
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.err.contains("no value on stdin"), "{ran}");
}

#[test]
fn a_cloud_workspace_is_deployed_to_and_not_built_in() {
    let ran = Program::new().with_orders().run(&[
        "--host",
        "http://127.0.0.1:1",
        "--token",
        "t",
        "build",
    ]);
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.err.contains("tb --cloud deploy"), "{ran}");
}

#[test]
fn environments_exclude_each_other() {
    for arguments in [
        &["--cloud", "--local", "info"][..],
        &["--branch=x", "--cloud", "info"],
        &["--branch=x", "--local", "info"],
        &["--local", "branch", "ls"],
        &["--cloud", "login"],
    ] {
        let ran = Program::new().run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran}");
    }
}

#[test]
fn the_address_is_printed_without_a_browser_and_without_a_server() {
    let ran = Program::new().run_with(&["open"], &[("TB_LOCAL_PORT", "1")]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "http://127.0.0.1:1\n"));
}
