//! Runs `tb` in a folder of its own, without the caller's environment.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder with a project in it, and a state folder nobody else uses.
pub(crate) struct Program {
    folder: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("project")).unwrap();
        Self { folder }
    }

    /// Writes a file of the project.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join("project").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// What a file of the project holds.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join("project").join(path)).unwrap()
    }

    /// A project without mistakes.
    pub(crate) fn with_orders(self) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders");
        [
            "connections/my_ddb.connection",
            "datasources/orders.datasource",
        ]
        .into_iter()
        .fold(self, |program, path| {
            let text = fs::read_to_string(example.join(path)).unwrap();
            program.file(path, &text)
        })
    }

    /// The folder of the Local server.
    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// Runs `tb`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs `tb` with more variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_tb"))
            .args(arguments)
            .current_dir(self.folder.path().join("project"))
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TB_LOCAL_STATE", self.state())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            // Temporary folders differ from run to run.
            let folder = self.folder.path();
            let canonical = folder.canonicalize().unwrap();
            text.replace(canonical.to_str().unwrap(), "/folder")
                .replace(folder.to_str().unwrap(), "/folder")
        };
        Ran {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "exit code {}", self.code)?;
        writeln!(f, "--- stdout\n{}", self.out.trim_end())?;
        write!(f, "--- stderr\n{}", self.err.trim_end())
    }
}
