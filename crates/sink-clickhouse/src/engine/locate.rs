//! Where the engine's library is.

use std::path::{Path, PathBuf};

use mirror::error::{Error, ErrorKind, Result};

/// Names the library file, before every other place.
pub const LIBRARY_VARIABLE: &str = "TB_ENGINE_LIBRARY";

const FILE: &str = "libchdb.so";
const IN_REPOSITORY: &str = "engine/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";

/// Finds the engine's library: the file named by `TB_ENGINE_LIBRARY`; `libchdb.so` beside this
/// program or in `../lib`; what `make engine` installed, in the folders above this program
/// and above the current folder.
pub fn find_library() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        if named.is_file() {
            return Ok(named);
        }
        return Err(Error::new(
            ErrorKind::Permanent,
            format!(
                "find the engine's library: {LIBRARY_VARIABLE} names {}, which is no file",
                named.display()
            ),
        ));
    }
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.canonicalize().ok());
    let folder = program.as_deref().and_then(Path::parent);
    search(folder, std::env::current_dir().ok().as_deref()).ok_or_else(|| {
        Error::new(
            ErrorKind::Permanent,
            "find the engine's library libchdb.so: run `make engine`, or set CLICKHOUSE_URL to use a ClickHouse server of your own",
        )
    })
}

fn search(program_folder: Option<&Path>, current: Option<&Path>) -> Option<PathBuf> {
    let beside = program_folder
        .into_iter()
        .flat_map(|folder| [folder.join(FILE), folder.join("../lib").join(FILE)]);
    let above = program_folder
        .into_iter()
        .chain(current)
        .flat_map(Path::ancestors)
        .map(|folder| folder.join(IN_REPOSITORY));
    beside.chain(above).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_library_beside_the_program_comes_before_the_repository() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("target/debug");
        let installed = root.path().join(IN_REPOSITORY);
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(installed.parent().unwrap()).unwrap();
        assert_eq!(search(Some(&bin), None), None);
        std::fs::write(&installed, "").unwrap();
        assert_eq!(search(Some(&bin), None), Some(installed.clone()));
        assert_eq!(search(None, Some(&bin)), Some(installed));
        std::fs::write(bin.join(FILE), "").unwrap();
        assert_eq!(search(Some(&bin), None), Some(bin.join(FILE)));
    }
}
