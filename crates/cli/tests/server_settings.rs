//! `tb server` refuses settings that it does not understand.

use insta::assert_snapshot;

use crate::program::Program;

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    let program = Program::new().file(
        "server.toml",
        "host = \"127.0.0.1\"\n\n[limits]\nmax_tabel_gb = 5\n",
    );
    assert_snapshot!(program.run(&["server", "--config", "server.toml"]));
}

#[test]
fn a_password_in_the_file_is_not_printed() {
    let program = Program::new().file("server.toml", "[clickhouse]\npassword = [\"hunter2\"]\n");
    let ran = program.run(&["server", "--config", "server.toml"]);
    assert_eq!(ran.code, 2, "{ran}");
    assert!(!ran.err.contains("hunter2"), "{ran}");
}

#[test]
fn a_local_server_does_not_listen_on_the_network() {
    let ran = Program::new().run(&["server", "--local", "--host", "0.0.0.0"]);
    assert_eq!(ran.code, 2, "{ran}");
    assert!(
        ran.err.contains("hands its tokens to whoever reaches it"),
        "{ran}"
    );
}
