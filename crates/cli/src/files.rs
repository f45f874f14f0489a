//! The project folder: which files belong to the project, and what `.tinyb` remembers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use datafile::SourceFile;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Exit, Failure, Outcome};

/// Folders below the root that are searched, as the official clients do: `a/b/orders.datasource` is found.
const MAX_DEPTH: usize = 2;
/// A datafile is text that somebody wrote; one larger than this is something else, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// More datafiles than any project has; beyond it, the folder is not a project.
const MAX_FILES: usize = 5000;

/// `.tinyb` in the project folder: what an official client remembers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct TinybFile {
    /// Address of the server.
    pub(crate) host: Option<String>,
    /// Token of the workspace.
    pub(crate) token: Option<String>,
    /// Tokens of servers, by their addresses.
    #[serde(default)]
    pub(crate) tokens: BTreeMap<String, String>,
    /// Name of the workspace.
    pub(crate) name: Option<String>,
    /// The project folder, if it is another one.
    pub(crate) cwd: Option<PathBuf>,
}

/// The parts of `tinybird.config.json` that say where files are.
#[derive(Debug, Default, Deserialize)]
struct ConfigFile {
    folder: Option<PathBuf>,
    #[serde(default)]
    include: Vec<String>,
}

/// A project as it lies on disk.
#[derive(Debug)]
pub(crate) struct ProjectFiles {
    /// The folder that paths are relative to.
    pub(crate) root: PathBuf,
    /// Its datafiles, sorted by path.
    pub(crate) files: Vec<SourceFile>,
}

/// Reads `.tinyb`; a missing or broken one says nothing.
pub(crate) fn tinyb_file(folder: &Path) -> TinybFile {
    let text = fs::read_to_string(folder.join(".tinyb")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// `.tinyb` with all its keys, to be changed.
pub(crate) fn tinyb_object(folder: &Path) -> Outcome<Map<String, Value>> {
    let path = folder.join(".tinyb");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(unreadable(&path, &error)),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(object),
        // Its text may hold a token, so the parser's words stay out of it.
        _ => Err(Failure::new(
            Exit::Failed,
            format!("{} is not a JSON object", path.display()),
        )
        .hint("repair it or remove it; nothing was changed")),
    }
}

/// Writes `.tinyb` for its owner only: beside and renamed, so that nobody finds half of it.
pub(crate) fn write_tinyb(folder: &Path, object: &Map<String, Value>) -> Outcome<PathBuf> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let (path, draft) = (folder.join(".tinyb"), folder.join(".tinyb.new"));
    let text = format!("{:#}\n", Value::Object(object.clone()));
    // One that somebody else left there could have other rights.
    let _ = fs::remove_file(&draft);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, &path));
    match written {
        Ok(()) => Ok(path),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(
                Failure::new(Exit::Failed, format!("cannot write {}", path.display()))
                    .because(&error),
            )
        }
    }
}

/// Removes `.tinyb`, if it is there.
pub(crate) fn remove_tinyb(folder: &Path) -> Outcome {
    let path = folder.join(".tinyb");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(
            Exit::Failed,
            format!("cannot remove {}", path.display()),
        )
        .because(&error)),
        _ => Ok(()),
    }
}

/// Whether git would leave a file of this name in `folder` alone, as far as the .gitignore files say so in plain words.
pub(crate) fn is_ignored_by_git(folder: &Path, name: &str) -> bool {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(root) = folder.ancestors().find(|it| it.join(".git").exists()) else {
        return true;
    };
    let above = folder.ancestors().take_while(|it| it.starts_with(root));
    above.map(|it| it.join(".gitignore")).any(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        lines.any(|line| line.trim_start_matches("**").trim_start_matches('/') == name)
    })
}

/// Finds and reads the datafiles of the project that `folder` belongs to.
pub(crate) fn read_project(folder: &Path, tinyb: &TinybFile) -> Outcome<ProjectFiles> {
    let config = config_file(folder)?;
    let root = match (&config.folder, &tinyb.cwd) {
        (Some(sub), _) => folder.join(sub),
        (None, Some(cwd)) if cwd.is_dir() => cwd.clone(),
        _ => folder.to_owned(),
    };
    let mut found = BTreeMap::new();
    if config.include.is_empty() {
        search(&root, &root, 0, &mut found)?;
    } else {
        for entry in &config.include {
            let path = root.join(entry);
            if path.is_dir() {
                search(&root, &path, 0, &mut found)?;
            } else if is_datafile(&path) {
                add(&root, &path, &mut found)?;
            }
        }
    }
    let files = found
        .into_iter()
        .map(|(path, text)| SourceFile { path, text })
        .collect();
    Ok(ProjectFiles { root, files })
}

/// What to do about a folder without datafiles.
pub(crate) const OTHER_FOLDER: &str = "run this in the project folder, or name it with --cwd";

/// [`read_project`], and a refusal of a folder without any.
pub(crate) fn read_some_project(folder: &Path, tinyb: &TinybFile) -> Outcome<ProjectFiles> {
    let project = read_project(folder, tinyb)?;
    if project.files.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "no .datasource, .pipe or .connection file in {} or two levels below",
                project.root.display()
            ),
        )
        .hint(OTHER_FOLDER));
    }
    Ok(project)
}

fn config_file(folder: &Path) -> Outcome<ConfigFile> {
    let path = folder.join("tinybird.config.json");
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| {
            Failure::new(Exit::Failed, format!("{} cannot be read", path.display()))
                .because(&error)
                .hint(
                    "it must be a JSON object; `folder` and `include` say where the datafiles are",
                )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn search(
    root: &Path,
    folder: &Path,
    depth: usize,
    found: &mut BTreeMap<String, String>,
) -> Outcome {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // Other people's projects: packages, and data sources shared by other workspaces.
            let foreign = matches!(name.as_ref(), "node_modules" | "vendor");
            if depth < MAX_DEPTH && !foreign {
                search(root, &path, depth + 1, found)?;
            }
        } else if is_datafile(&path) {
            add(root, &path, found)?;
        }
    }
    Ok(())
}

fn is_datafile(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("datasource" | "pipe" | "connection"))
}

fn add(root: &Path, path: &Path, found: &mut BTreeMap<String, String>) -> Outcome {
    let size = fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    if size > MAX_FILE_BYTES || found.len() >= MAX_FILES {
        let (what, limit) = if size > MAX_FILE_BYTES {
            ("is larger than", "1 MiB")
        } else {
            ("is one file more than", "5,000")
        };
        return Err(
            Failure::new(Exit::Failed, format!("{} {what} {limit}", path.display()))
                .hint("a project holds datafiles only; is this the right folder?"),
        );
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let relative = path.strip_prefix(root).unwrap_or(path);
    found.insert(relative.to_string_lossy().into_owned(), text);
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot read {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn paths(folder: &Path) -> Vec<String> {
        let project = read_project(folder, &TinybFile::default()).unwrap();
        project.files.into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn files_two_folders_deep_are_found_in_order_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "orders.datasource",
            "connections/my.connection",
            "a/b/deep.pipe",
            "a/b/c/too_deep.pipe",
            "node_modules/x.pipe",
            "vendor/other/x.datasource",
            ".hidden/x.pipe",
            "README.md",
        ] {
            write(folder.path(), path, "");
        }
        assert_eq!(
            paths(folder.path()),
            [
                "a/b/deep.pipe",
                "connections/my.connection",
                "orders.datasource"
            ]
        );
    }

    #[test]
    fn the_config_file_names_the_folder_or_the_files() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "x.pipe", "");
        write(folder.path(), "tb/y.pipe", "");
        write(folder.path(), "tb/z.datasource", "");
        write(folder.path(), "tinybird.config.json", r#"{"folder": "tb"}"#);
        assert_eq!(paths(folder.path()), ["y.pipe", "z.datasource"]);
        write(
            folder.path(),
            "tinybird.config.json",
            r#"{"include": ["x.pipe", "tb/z.datasource", "src/a.ts"]}"#,
        );
        assert_eq!(paths(folder.path()), ["tb/z.datasource", "x.pipe"]);
    }

    #[test]
    fn tinyb_is_optional_and_may_be_broken() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(tinyb_file(folder.path()), TinybFile::default());
        write(folder.path(), ".tinyb", "{");
        assert_eq!(tinyb_file(folder.path()), TinybFile::default());
        write(
            folder.path(),
            ".tinyb",
            r#"{"host": "http://h", "token": "t", "name": "n", "tokens": {}}"#,
        );
        assert_eq!(tinyb_file(folder.path()).name.as_deref(), Some("n"));
    }
}
