//! The house's rules that a machine can hold: sizes, names, arrows between crates, where unsafe and AWS may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Lines a file may have, tests inside it not counted.
const MAX_LINES: usize = 450;

/// Files that are longer, and why.
const LONGER: &[(&str, &str)] = &[];

const BANNED_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "types", "base", "imp", "misc", "stuff",
];

/// What each crate may depend on; the binary may use everything but the simulator.
const ARROWS: &[(&str, &[&str])] = &[
    ("datafile", &[]),
    ("mirror", &["datafile"]),
    ("source-dynamodb", &["mirror", "datafile"]),
    ("sink-clickhouse", &["mirror", "datafile"]),
    ("server", &["mirror", "datafile"]),
    ("aws-sim", &[]),
    ("bench", &[]),
    ("testkit", &["mirror", "datafile", "server", "aws-sim"]),
    ("fuzz-targets", &["mirror", "datafile", "source-dynamodb"]),
    (
        "cli",
        &[
            "mirror",
            "datafile",
            "server",
            "source-dynamodb",
            "sink-clickhouse",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every Rust file of the crates, by its path below `crates/`.
fn sources() -> BTreeMap<String, String> {
    let crates = root().join("crates");
    let mut files = Vec::new();
    rust_files(&crates, &mut files);
    let name = |path: &Path| {
        path.strip_prefix(&crates)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/")
    };
    files
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

#[test]
fn files_have_one_job_and_about_four_hundred_lines() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !is_test(path) && !LONGER.iter().any(|(longer, _)| longer == path))
        .map(|(path, text)| {
            (
                path,
                text.split("#[cfg(test)]")
                    .next()
                    .unwrap_or(text)
                    .lines()
                    .count(),
            )
        })
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(
        long.is_empty(),
        "is there a second room in it?\n{}",
        long.join("\n")
    );
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    let named: Vec<String> = sources()
        .into_keys()
        .filter(|path| {
            path.split(['/', '.'])
                .any(|part| BANNED_NAMES.contains(&part))
        })
        .collect();
    assert!(named.is_empty(), "{}", named.join("\n"));
}

#[test]
fn arrows_between_crates_only_point_down() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(
        packages.len(),
        ARROWS.len(),
        "every crate has its line in ARROWS"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = ARROWS.iter().find(|(of, _)| *of == name).unwrap().1;
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let ours = dependency["path"].is_string();
            let for_tests = dependency["kind"] == "dev";
            assert!(
                !ours || for_tests || allowed.contains(&on),
                "{name} must not use {on}"
            );
            let aws = on.starts_with("aws-") && !ours;
            assert!(
                !aws || name == "source-dynamodb",
                "{name} must not name the AWS SDK ({on})"
            );
        }
    }
}

#[test]
fn unsafe_is_in_the_file_that_loads_the_engine_and_nowhere_else() {
    let word = concat!("uns", "afe");
    for (path, text) in sources() {
        let used = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or("");
            [
                format!("{word} {{"),
                format!("{word} fn"),
                format!("{word} impl"),
                format!("{word} extern"),
            ]
            .iter()
            .any(|form| code.contains(form.as_str()))
        });
        assert!(
            !used || path == "sink-clickhouse/src/engine/library.rs",
            "{path}"
        );
    }
}

#[test]
fn nothing_is_left_undone() {
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    for (path, text) in sources() {
        for word in words {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}
