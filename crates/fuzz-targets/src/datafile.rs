//! The text of a project file.

use datafile::{
    Code, Connection, Datasource, Parsed, Pipe, Severity, SourceFile, parse_project,
    render_connection, render_datasource, render_pipe,
};

const PATHS: [&str; 3] = ["my_ddb.connection", "orders.datasource", "daily.pipe"];

/// The input is the text, read once as each kind of file.
///
/// Promises: mistakes point into the text and are bounded in number and size; a file without an error is rendered
/// to a text that has no error either and says the same, and rendering that once more gives the same text. Gives whether it
/// was without an error as any kind of file.
pub fn check(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut taken = false;
    for path in PATHS {
        taken |= check_file(path, &text);
    }
    taken
}

fn read(path: &str, text: &str) -> Parsed {
    parse_project(&[SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }])
}

fn check_file(path: &str, text: &str) -> bool {
    let parsed = read(path, text);
    assert!(parsed.diagnostics.len() <= 200);
    for found in &parsed.diagnostics {
        assert!(text.get(found.span.clone()).is_some(), "{found:?}");
        let most = 8 * text.len() + 2000;
        assert!(found.one_line(text).len() <= most, "{}", found.code);
    }
    // Another file of the project may be what is missing.
    let wrong = |parsed: &Parsed| {
        let errors = parsed.diagnostics.iter().filter(|found| {
            found.severity == Severity::Error && found.code != Code::ConnectionNotFound
        });
        errors.map(|found| found.one_line("")).collect::<Vec<_>>()
    };
    if !wrong(&parsed).is_empty() {
        return false;
    }
    let project = parsed.project;
    if let Some(first) = project.connections.into_iter().next() {
        let written = render_connection(&first);
        let again = read(path, &written);
        assert_eq!(wrong(&again), [""; 0], "{written}");
        let second = again.project.connections.into_iter().next();
        let second = second.unwrap_or_else(|| panic!("lost: {written}"));
        assert_eq!(render_connection(&second), written);
        assert_eq!(without_text(second), without_text(first), "{written}");
    }
    if let Some(first) = project.datasources.into_iter().next() {
        let written = render_datasource(&first);
        let again = read(path, &written);
        assert_eq!(wrong(&again), [""; 0], "{written}");
        let second = again.project.datasources.into_iter().next();
        let second = second.unwrap_or_else(|| panic!("lost: {written}"));
        assert_eq!(render_datasource(&second), written);
        assert_eq!(without_places(second), without_places(first), "{written}");
    }
    if let Some(first) = project.pipes.into_iter().next() {
        let written = render_pipe(&first);
        let again = read(path, &written);
        assert_eq!(wrong(&again), [""; 0], "{written}");
        let second = again.project.pipes.into_iter().next();
        let second = second.unwrap_or_else(|| panic!("lost: {written}"));
        assert_eq!(render_pipe(&second), written);
        assert_eq!(without_file(second), without_file(first), "{written}");
    }
    true
}

fn without_text(connection: Connection) -> Connection {
    Connection {
        text: String::new(),
        ..connection
    }
}

fn without_places(datasource: Datasource) -> Datasource {
    Datasource {
        text: String::new(),
        schema_span: 0..0,
        ..datasource
    }
}

fn without_file(pipe: Pipe) -> Pipe {
    Pipe {
        text: String::new(),
        ..pipe
    }
}
