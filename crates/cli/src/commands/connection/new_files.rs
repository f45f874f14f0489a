//! Writes new files of a project: whole or not at all, and never over another without being told.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::{Exit, Failure, Outcome};

/// One file to write.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    /// Below the project's root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether it may replace one that is there.
    pub(crate) overwrite: bool,
}

/// Writes all of them. Each is complete on disk before the first gets its name; when one cannot get it, those
/// before it are taken back.
pub(crate) fn write(root: &Path, files: &[NewFile]) -> Outcome {
    let mut ready = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        let prepared = prepare(&path, &file.text);
        let prepared = prepared.map_err(|error| cannot_write(&path, &error))?;
        ready.push((path, prepared, file.overwrite));
    }
    let mut done: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
    for (path, prepared, overwrite) in ready {
        let before = fs::read(&path).ok().filter(|_| overwrite);
        let placed = if overwrite {
            prepared.persist(&path)
        } else {
            prepared.persist_noclobber(&path)
        };
        if let Err(error) = placed {
            for (path, before) in done.into_iter().rev() {
                // What cannot be taken back is a whole file, and the failure names the folder.
                let _ = match before {
                    Some(text) => fs::write(&path, text),
                    None => fs::remove_file(&path),
                };
            }
            return Err(cannot_write(&path, &error.error));
        }
        done.push((path, before));
    }
    Ok(())
}

fn prepare(path: &Path, text: &str) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Hidden, so that a project read meanwhile does not see it; the umask decides who may read it.
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("cannot write {}", path.display()));
    if error.kind() == ErrorKind::AlreadyExists {
        return failure.hint("it is there already; choose another name, or give --overwrite");
    }
    failure
        .because(error)
        .hint("nothing was written; check the folder's permissions and the free space")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn file(path: &str, text: &str, overwrite: bool) -> NewFile {
        NewFile {
            path: path.to_owned(),
            text: text.to_owned(),
            overwrite,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_or_none() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        fs::write(root.path().join("b/two.txt"), "mine").unwrap();
        fs::write(root.path().join("keep.txt"), "old").unwrap();
        let files = [
            file("a/one.txt", "1", false),
            file("keep.txt", "new", true),
            file("b/two.txt", "2", false),
        ];
        let failure = write(root.path(), &files).unwrap_err();
        assert!(failure.problem.contains("two.txt"), "{failure:?}");
        assert_eq!(names(&root.path().join("a")), Vec::<String>::new());
        assert_eq!(names(&root.path().join("b")), ["two.txt"]);
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(
            (read("b/two.txt"), read("keep.txt")),
            ("mine".into(), "old".into())
        );
        write(root.path(), &files[..2]).unwrap();
        assert_eq!(
            (read("a/one.txt"), read("keep.txt")),
            ("1".into(), "new".into())
        );
        let mode = fs::metadata(root.path().join("a/one.txt"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o400, 0o400);
    }
}
