//! The help of every command, so that a change of it is seen.

use insta::assert_snapshot;

use crate::program::Program;

const COMMANDS: [&str; 31] = [
    "",
    "local",
    "local start",
    "local stop",
    "local restart",
    "local status",
    "local remove",
    "local logs",
    "local version",
    "build",
    "deploy",
    "check",
    "sql",
    "datasource",
    "datasource ls",
    "datasource show",
    "datasource data",
    "datasource stop",
    "datasource start",
    "datasource resync",
    "datasource verify",
    "datasource quarantine",
    "datasource quarantine ls",
    "datasource quarantine show",
    "datasource quarantine replay",
    "secret",
    "secret set",
    "secret ls",
    "secret rm",
    "workspace current",
    "server",
];

fn help(command: &str, flag: &str) -> String {
    let arguments: Vec<&str> = command.split_whitespace().chain([flag]).collect();
    let ran = Program::new().run(&arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
    ran.out
}

#[test]
fn every_command_has_a_help_with_examples() {
    for command in COMMANDS {
        let text = help(command, "--help");
        let group = matches!(
            command,
            "" | "local" | "datasource" | "datasource quarantine" | "secret"
        );
        assert!(group || text.contains("Examples:\n  "), "{command}: {text}");
        let name = if command.is_empty() { "tb" } else { command };
        assert_snapshot!(format!("help {name}").replace(' ', "_"), text);
    }
}

#[test]
fn the_short_help_shows_where_to_start() {
    assert_snapshot!(help("", "-h"));
}

#[test]
fn the_version_is_data() {
    let ran = Program::new().run(&["--version"]);
    assert_eq!(ran.out, concat!("tb ", env!("CARGO_PKG_VERSION"), "\n"));
}
