//! The help of every command, so that a change of it is seen.

#![expect(clippy::unwrap_used, reason = "tests")]

use insta::assert_snapshot;

use crate::program::Program;

const COMMANDS: [&str; 68] = [
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
    "plan",
    "deployment",
    "deployment ls",
    "deployment create",
    "deployment promote",
    "deployment discard",
    "check",
    "explain",
    "fmt",
    "sql",
    "connection",
    "connection create",
    "connection create dynamodb",
    "connection ls",
    "connection rm",
    "connection policy",
    "connection doctor",
    "datasource",
    "datasource create",
    "datasource ls",
    "datasource show",
    "datasource data",
    "datasource sample",
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
    "token",
    "token ls",
    "token create",
    "token rm",
    "token refresh",
    "job",
    "job ls",
    "job show",
    "job cancel",
    "logs",
    "workspace ls",
    "workspace current",
    "branch",
    "branch create",
    "branch ls",
    "branch rm",
    "login",
    "logout",
    "open",
    "info",
    "completions",
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
            "" | "local"
                | "datasource"
                | "datasource quarantine"
                | "secret"
                | "deployment"
                | "token"
                | "job"
                | "branch"
                | "connection"
                | "connection create"
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

/// The words of every `tb` line in the guides and on the pages of errors. `--help` at the end wins over what is missing,
/// not over what is unknown.
#[test]
fn the_guides_show_commands_that_there_are() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
    for (folder, at_least) in [("guide", 60), ("errors", 30)] {
        let mut seen = 0;
        for entry in std::fs::read_dir(format!("{docs}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("official-clients.md") {
                // The other command line of that name.
                continue;
            }
            for command in commands_of(&std::fs::read_to_string(&path).unwrap()) {
                let words = words_of(&command);
                let ran = Program::new().run(&words.iter().map(String::as_str).collect::<Vec<_>>());
                assert_eq!(ran.code, 0, "{}: {command}\n{ran}", path.display());
                seen += 1;
            }
        }
        assert!(seen >= at_least, "{folder}: {seen}");
    }
}

/// Lines that begin with `tb`, and code within a line: `` `tb ...` ``.
fn commands_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block && line.starts_with("tb ") {
            found.push(line.to_owned());
        } else if !in_block {
            let code = line.split('`').skip(1).step_by(2);
            // What speaks of commands in general.
            found.extend(
                code.filter(|code| {
                    code.starts_with("tb ") && !code.contains("...") && !code.contains("COMMAND")
                })
                .map(str::to_owned),
            );
        }
    }
    found
}

/// The arguments of a command as a shell would give them, and `--help`.
fn words_of(command: &str) -> Vec<String> {
    // A comment, a redirection, a second command, or a line that goes on.
    let ends = [" #", " >", " \\", " ||"]
        .iter()
        .filter_map(|mark| command.find(mark));
    let command = &command[..ends.min().unwrap_or(command.len())];
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    let given = words.into_iter().skip(1).filter(|word| !word.is_empty());
    given.chain(["--help".to_owned()]).collect()
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, line) in [
        ("bash", "complete -F _tb"),
        ("zsh", "#compdef tb"),
        ("fish", "complete -c tb"),
    ] {
        let ran = Program::new().run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{ran}");
        assert!(ran.out.contains(line), "{shell}");
        assert!(ran.out.contains("deployment"), "{shell}");
    }
    assert_eq!(Program::new().run(&["completions", "tcsh"]).code, 2);
}

#[test]
fn the_version_is_data() {
    let ran = Program::new().run(&["--version"]);
    assert_eq!(ran.out, concat!("tb ", env!("CARGO_PKG_VERSION"), "\n"));
}
