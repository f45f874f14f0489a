//! Every code has a section, every section a code, and every example makes the mistake that it is there for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use datafile::{Code, Diagnostic, Severity, SourceFile, parse_project};
use mirror::plan::build_plan;
use mirror::reason::Reason;
use mirror::status::MirrorState;
use mirror::table::{KeyAttribute, KeyType};

use super::*;

/// Codes that need a server, or files that no page can show.
const NOT_SHOWN: [Code; 5] = [
    Code::SecretNotSet,
    Code::BadSecret,
    Code::NameTaken,
    Code::FileIgnored,
    Code::FileTooLarge,
];

const README: &str = include_str!("../../../../../docs/errors/README.md");

/// `match` without a rest: whoever adds an exit code has to come here.
fn exits() -> [Exit; 6] {
    let all = [
        Exit::Failed,
        Exit::Usage,
        Exit::Unreachable,
        Exit::Refused,
        Exit::Server,
        Exit::Interrupted,
    ];
    all.map(|exit| match exit {
        Exit::Failed
        | Exit::Usage
        | Exit::Unreachable
        | Exit::Refused
        | Exit::Server
        | Exit::Interrupted => exit,
    })
}

fn known() -> Vec<String> {
    let files = Code::ALL.iter().map(ToString::to_string);
    let tables = Reason::ALL.iter().map(ToString::to_string);
    let states = MirrorState::ALL.iter().map(ToString::to_string);
    let exits = exits().map(|exit| format!("exit-{}", exit as u8));
    files.chain(tables).chain(states).chain(exits).collect()
}

#[test]
fn every_code_has_a_section_and_every_section_a_code() {
    let sections: Vec<&str> = sections().iter().map(|section| section.code).collect();
    let known = known();
    let in_code: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    let on_pages: BTreeSet<&str> = sections.iter().copied().collect();
    assert_eq!(in_code.len(), known.len(), "a name is used twice");
    assert_eq!(on_pages.len(), sections.len(), "a section is there twice");
    let without: Vec<_> = in_code.difference(&on_pages).collect();
    let of_nothing: Vec<_> = on_pages.difference(&in_code).collect();
    assert!(without.is_empty(), "no section in docs/errors: {without:?}");
    assert!(of_nothing.is_empty(), "no such code: {of_nothing:?}");
}

#[test]
fn every_page_is_in_the_program_and_in_the_index() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
    let mut pages: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    pages.sort();
    let mut embedded = PAGES.map(|(path, _)| path.trim_start_matches("docs/errors/"));
    embedded.sort_unstable();
    assert_eq!(pages, embedded);
    for page in embedded {
        assert!(README.contains(&format!("]({page})")), "{page}");
    }
}

#[test]
fn every_section_says_what_why_and_what_to_do() {
    for section in sections() {
        let (code, text) = (section.code, section.text);
        assert!(!section.says().is_empty(), "{code}");
        for part in ["**Cause.** ", "**Do.** ", "```"] {
            assert!(text.contains(part), "{code}: {part}");
        }
    }
}

#[test]
fn every_code_of_a_file_is_reported_somewhere() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut sources = String::new();
    for room in ["datafile/src", "mirror/src/plan", "server/src/deploy"] {
        read_sources(&std::path::Path::new(crates).join(room), &mut sources);
    }
    for code in Code::ALL {
        let member = format!("Code::{code:?}");
        assert!(sources.contains(&member), "nothing reports {code}");
    }
}

fn read_sources(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, into);
        } else {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_example_makes_its_mistake_and_mends_it() {
    let mut shown = 0;
    for section in sections() {
        let Some(code) = Code::ALL.iter().find(|code| code.name() == section.code) else {
            continue;
        };
        let example = section.text.split("```diff\n").nth(1);
        assert_eq!(example.is_none(), NOT_SHOWN.contains(code), "{code}");
        let Some(example) = example.and_then(|text| text.split("\n```").next()) else {
            continue;
        };
        let found = diagnostics(&with_mistake(example), example);
        let reported = found.iter().find(|found| found.code == *code);
        let reported = reported.unwrap_or_else(|| panic!("{code}: {found:?}"));
        let warning = if reported.severity == Severity::Warning {
            " (a warning)"
        } else {
            ""
        };
        assert_eq!(
            section.says(),
            format!("{}{warning}", reported.message),
            "{code}"
        );
        let without = diagnostics(&project(), "");
        assert!(without.is_empty(), "{without:?}");
        shown += 1;
    }
    assert_eq!(shown, Code::ALL.len() - NOT_SHOWN.len());
}

/// The project that examples are about, file by file.
fn project() -> BTreeMap<String, String> {
    let pipe = README.split("```text\n").nth(1).unwrap();
    let pipe = pipe.split("```").next().unwrap();
    let datasource = include_str!("../../../../../examples/orders/datasources/orders.datasource");
    let connection = include_str!("../../../../../examples/orders/connections/my_ddb.connection");
    [
        ("datasources/orders.datasource", datasource),
        ("connections/my_ddb.connection", connection),
        ("pipes/by_status.pipe", pipe),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into()
}

/// The project with the lines of `-` in place of those of `+`, or after the last line without a mark, or at the end.
fn with_mistake(example: &str) -> BTreeMap<String, String> {
    let mut files = project();
    let mut lines = example.lines();
    let head = lines.next().and_then(|line| line.strip_prefix("--- "));
    let path = head.expect("a file").split(',').next().unwrap().to_owned();
    let text = files.get(&path).cloned().unwrap_or_default();
    let mut text: Vec<&str> = text.lines().collect();
    let (mut wrong, mut right, mut after) = (Vec::new(), Vec::new(), None);
    for line in lines {
        match line.split_at_checked(1) {
            Some(("-", line)) => wrong.push(line),
            Some(("+", line)) => right.push(line),
            Some((" ", line)) => after = text.iter().position(|known| *known == line),
            _ => panic!("not a line of a diff: {line:?}"),
        }
    }
    if right.is_empty() {
        let at = after.map_or(text.len(), |at| at + 1);
        text.splice(at..at, wrong);
    } else {
        let at = text.windows(right.len()).position(|part| part == right);
        let at = at.unwrap_or_else(|| panic!("not in {path}: {right:?}"));
        text.splice(at..at + right.len(), wrong);
    }
    files.insert(path, format!("{}\n", text.join("\n")));
    files
}

/// What reader and planner say of the files.
fn diagnostics(files: &BTreeMap<String, String>, example: &str) -> Vec<Diagnostic> {
    let file = |(path, text): (&String, &String)| SourceFile {
        path: path.clone(),
        text: text.clone(),
    };
    let parsed = parse_project(&files.iter().map(file).collect::<Vec<_>>());
    let mut found = parsed.diagnostics;
    let number = example.contains("where sk is of type N");
    let keys = [
        ("pk", KeyType::S),
        ("sk", if number { KeyType::N } else { KeyType::S }),
    ];
    let keys = keys.map(|(name, key_type)| KeyAttribute {
        name: name.to_owned(),
        key_type,
    });
    for datasource in &parsed.project.datasources {
        if datasource.name == "orders" {
            let planned = build_plan("db", datasource, &keys);
            found.extend(planned.map_or_else(|mistakes| mistakes, |(_, warnings)| warnings));
        }
    }
    found
}

#[test]
fn a_code_is_found_however_it_is_spelled() {
    let all = sections();
    for spelled in ["catching up", "catching-up", "CATCHING_UP"] {
        let found: Vec<_> = find(&all, spelled)
            .iter()
            .map(|section| section.code)
            .collect();
        assert_eq!(found, ["catching up"]);
    }
    let found: Vec<_> = find(&all, "(PITR) must be")
        .iter()
        .map(|section| section.code)
        .collect();
    assert_eq!(found, ["pitr_disabled"]);
    assert!(find(&all, "nothing says this").is_empty());
}
