//! Questions to a person. Without one at the terminal, a command says which flag answers instead.

use std::io::{BufRead, IsTerminal, Read, Write};

use dialoguer::{Confirm, Password};

use crate::failure::{Exit, Failure, Outcome};
use crate::resolve::Secret;

/// A secret is a token or a role, not a file: more than this on stdin is a mistake, bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Whether there is somebody to ask: questions go to stderr and answers come from stdin.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a line. The terminal itself edits it, so that long answers wrap as they should in any width.
pub(crate) fn line(question: &str) -> Outcome<String> {
    let failed = |error: &std::io::Error| {
        Failure::new(Exit::Refused, "no answer, so nothing was done").because(error)
    };
    let mut err = std::io::stderr().lock();
    write!(err, "{question}: ")
        .and_then(|()| err.flush())
        .map_err(|error| failed(&error))?;
    let mut answer = String::new();
    let read = std::io::stdin()
        .lock()
        .take(MAX_SECRET_BYTES)
        .read_line(&mut answer);
    match read {
        Ok(0) => Err(Failure::new(
            Exit::Interrupted,
            "no answer, so nothing was done",
        )),
        Ok(_) => Ok(answer.trim().to_owned()),
        Err(error) => Err(failed(&error)),
    }
}

/// Asks before something is lost. `flag` says how to answer in a script.
pub(crate) fn confirm(question: &str, flag: &str) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::new(Exit::Refused, format!("not confirmed: {question}"))
                .hint(format!("nobody is here to ask; give {flag}")),
        );
    }
    match Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
    {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(Exit::Refused, "nothing was done")),
        Err(error) => Err(unanswered(&error)),
    }
}

/// Asks without echo, or reads stdin when it is not a terminal; the line feed at its end is not part of it.
pub(crate) fn secret(question: &str) -> Outcome<Secret> {
    if std::io::stdin().is_terminal() {
        return Password::new()
            .with_prompt(question)
            .interact()
            .map(Secret::new)
            .map_err(|error| unanswered(&error));
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_SECRET_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(Exit::Failed, "cannot read the value from stdin").because(&error)
        })?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(
            Failure::new(Exit::Usage, "the value on stdin is larger than 64 KiB")
                .hint("is this the right file?"),
        );
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::new(Exit::Usage, "there is no value on stdin")
            .hint("give the value after the name, or pipe it in"));
    }
    Ok(Secret::new(text))
}

fn unanswered(error: &dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    let exit = if error.kind() == std::io::ErrorKind::Interrupted {
        Exit::Interrupted
    } else {
        Exit::Refused
    };
    Failure::new(exit, "no answer, so nothing was done").because(error)
}
