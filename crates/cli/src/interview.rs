//! Questions and answers: options first, then the person, who is told why an answer is refused and asked again.

use crate::failure::{Exit, Failure, Outcome};
use crate::printer::Printer;
use crate::prompt;
use crate::text;

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    /// What is asked.
    pub(crate) prompt: &'a str,
    /// The option that answers it.
    pub(crate) option: &'static str,
    /// The answer of whoever just presses Enter.
    pub(crate) default: Option<String>,
}

/// Whoever answers.
#[derive(Debug)]
pub(crate) struct Interview<'a> {
    pub(crate) printer: &'a Printer,
    /// Whether somebody is there and wants to be asked.
    pub(crate) asks: bool,
}

impl<'a> Interview<'a> {
    /// Asks if there is a terminal, unless told not to.
    pub(crate) fn new(yes: bool, printer: &'a Printer) -> Self {
        Self {
            printer,
            asks: !yes && prompt::is_possible(),
        }
    }

    /// The answer: the option's value, else what a person says, checked. `check` gives the answer back as it is meant.
    pub(crate) fn answer<T>(
        &self,
        question: &Question<'_>,
        given: Option<String>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Outcome<T> {
        let mut given = given;
        loop {
            let from_option = given.is_some();
            let answer = match given.take() {
                Some(answer) => answer,
                None => self.ask(question)?,
            };
            match check(answer.trim()) {
                Ok(answer) => return Ok(answer),
                Err(why) if self.asks => self.refuse(&why),
                Err(why) if from_option => {
                    return Err(Failure::new(
                        Exit::Usage,
                        format!("{}: {why}", question.option),
                    ));
                }
                Err(why) => return Err(Failure::new(Exit::Usage, why)),
            }
        }
    }

    fn ask(&self, question: &Question<'_>) -> Outcome<String> {
        if !self.asks {
            let prompt = question.prompt;
            return Err(
                Failure::new(Exit::Usage, format!("there is no answer to: {prompt}"))
                    .hint(format!("give {}", question.option)),
            );
        }
        let answer = match &question.default {
            Some(default) => prompt::line(&format!("{} [{default}]", question.prompt))?,
            None => prompt::line(question.prompt)?,
        };
        Ok(match &question.default {
            Some(default) if answer.is_empty() => default.clone(),
            _ => answer,
        })
    }

    /// Yes or no; yes without a person, who has said so by not being there or with `--yes`.
    pub(crate) fn agrees(&self, question: &str) -> Outcome<bool> {
        if !self.asks {
            return Ok(true);
        }
        loop {
            let answer = prompt::line(&format!("{question}? [Y/n]"))?;
            match answer.to_ascii_lowercase().as_str() {
                "" | "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.refuse(&format!("{answer:?} is neither y nor n")),
            }
        }
    }

    /// Waits for Enter.
    pub(crate) fn pause(&self, what: &str) -> Outcome {
        if !self.asks {
            return Ok(());
        }
        prompt::line(what).map(drop)
    }

    /// Says why an answer does not do.
    pub(crate) fn refuse(&self, why: &str) {
        self.printer.error(why);
    }

    /// A paragraph, no wider than the terminal.
    pub(crate) fn tell(&self, paragraph: &str) {
        for line in text::wrap(paragraph, self.printer.err_width()) {
            self.printer.note(line);
        }
    }

    /// A failure that a person may answer differently; everybody else ends with it.
    pub(crate) fn again(&self, failure: Failure) -> Outcome {
        if !self.asks || failure.exit == Exit::Interrupted {
            return Err(failure);
        }
        self.printer.failure(&failure);
        Ok(())
    }
}

/// Refuses an empty answer.
pub(crate) fn not_empty(answer: &str) -> Result<String, String> {
    if answer.is_empty() {
        return Err("an answer is needed".to_owned());
    }
    Ok(answer.to_owned())
}
