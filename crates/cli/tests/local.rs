//! `tb local` without a server.

use std::fs;

use insta::assert_snapshot;

use crate::program::Program;

#[test]
fn a_server_that_does_not_run_is_said_to_be_stopped() {
    let program = Program::new();
    assert_snapshot!(program.run(&["local", "status"]), @"
    exit code 3
    --- stdout
    status   stopped
    state    /folder/state
    log      /folder/state/server.log
    --- stderr
    hint: start it with: tb local start
    ");
    let ran = program.run(&["local", "stop"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "The Local server does not run.\n")
    );
}

#[test]
fn a_failed_start_shows_the_log_and_the_cause() {
    let program = Program::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").ok();
    let port = listener
        .as_ref()
        .and_then(|it| it.local_addr().ok())
        .map_or(0, |it| it.port());
    let ran = program.run(&["local", "start", "--port", &port.to_string()]);
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.err.contains("the Local server did not start"), "{ran}");
    assert!(ran.err.contains("  | "), "{ran}");
}

#[test]
fn nothing_is_removed_without_a_yes() {
    let program = Program::new();
    fs::create_dir_all(program.state().join("engine")).ok();
    fs::write(program.state().join("key"), "key").ok();
    fs::write(program.state().join("diary.txt"), "mine").ok();
    let asked = program.run(&["local", "remove"]);
    assert_eq!(asked.code, 4, "{asked}");
    assert!(program.state().join("key").exists());
    // What a server did not write stays.
    let ran = program.run(&["local", "remove", "--yes"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(
        ran.err.contains("Other files are left there: diary.txt"),
        "{ran}"
    );
    assert!(!program.state().join("key").exists());
    assert!(program.state().join("diary.txt").exists());
}

#[test]
fn the_log_is_printed_from_its_end() {
    let program = Program::new();
    assert_eq!(program.run(&["local", "logs"]).code, 1);
    fs::create_dir_all(program.state()).ok();
    fs::write(
        program.state().join("server.log"),
        "one\ntwo\n\x1b[31mthree\n",
    )
    .ok();
    assert_eq!(
        program.run(&["local", "logs", "-n", "2"]).out,
        "two\n[31mthree\n"
    );
}
