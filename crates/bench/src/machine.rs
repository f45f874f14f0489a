//! Where and with what was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The machine: model, cores, memory, kernel, file system, load before the start.
pub(crate) fn describe(work: &Path) -> BTreeMap<String, String> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
            .unwrap_or_default()
    };
    let read = |file: &str| {
        fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    let disk = say("df", &["--output=fstype", &work.display().to_string()]);
    BTreeMap::from(
        [
            ("cpu", field("/proc/cpuinfo", "model name")),
            ("cores", cores().to_string()),
            ("memory", field("/proc/meminfo", "MemTotal")),
            ("kernel", read("/proc/sys/kernel/osrelease")),
            (
                "file_system",
                disk.lines().last().unwrap_or_default().to_owned(),
            ),
            ("load_before", read("/proc/loadavg")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// The commit of the checkout, with `-dirty` if files differ from it.
pub(crate) fn commit(root: &Path) -> String {
    let folder = root.display().to_string();
    let commit = say("git", &["-C", &folder, "rev-parse", "--short=12", "HEAD"]);
    let tracked = [
        "-C",
        &folder,
        "status",
        "--porcelain",
        "--untracked-files=no",
    ];
    // The harness's own output is no change of what was measured.
    let changed = say("git", &tracked)
        .lines()
        .any(|line| !line.contains("bench/results.json") && !line.contains("bench/history.jsonl"));
    match (commit.trim(), changed) {
        ("", _) => "unknown".to_owned(),
        (commit, true) => format!("{commit}-dirty"),
        (commit, false) => commit.to_owned(),
    }
}

pub(crate) fn rustc() -> String {
    say("rustc", &["--version"]).trim().to_owned()
}

/// The package that a library came in, by the `package.json` beside it.
pub(crate) fn package(library: &Path) -> String {
    let text = fs::read_to_string(library.with_file_name("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    match (package["name"].as_str(), package["version"].as_str()) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        _ => "unknown".to_owned(),
    }
}

fn say(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
