//! How a command fails: a problem, its causes, a hint with the next action, and an exit code.

use std::process::ExitCode;

/// Exit codes; `tb --help` documents them, scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The project has mistakes, the build was refused for them, or a query failed.
    Failed = 1,
    /// The command line or a settings file cannot be understood.
    Usage = 2,
    /// No server answers.
    Unreachable = 3,
    /// The server or the command refused: token, destructive change, missing confirmation.
    Refused = 4,
    /// The server failed, or could not be started or stopped.
    Server = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Everything that is printed about a command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What went wrong, in a sentence; empty when the command has said everything already.
    pub(crate) problem: String,
    /// Why, from the outside in.
    pub(crate) causes: Vec<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, problem: impl Into<String>) -> Self {
        Self {
            exit,
            problem: problem.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// A failure whose story has been printed already.
    pub(crate) fn told(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `error` and what lies beneath it, leaving out texts that repeat the one above them.
    pub(crate) fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last().is_none_or(|last| !last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }
}
