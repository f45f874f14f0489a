//! Things that take a while: moving lines on a terminal, plain lines now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// Without a terminal, a line is printed when it says something new, at most this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Lines of progress on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    colour: bool,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Line {
    bar: Option<ProgressBar>,
    plain: Option<(Instant, String)>,
    colour: bool,
    printer: Printer,
}

impl Progress {
    pub(crate) fn new(printer: &Printer) -> Self {
        let bars = printer
            .err_is_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self {
            bars,
            colour: printer.err_colour(),
        }
    }

    /// A new line below the others.
    pub(crate) fn line(&self, printer: &Printer) -> Line {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style(if self.colour {
                "{spinner:.cyan} {wide_msg}"
            } else {
                "{spinner} {wide_msg}"
            }));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Line {
            bar,
            plain: None,
            colour: self.colour,
            printer: printer.clone(),
        }
    }

    /// Prints something above the lines.
    pub(crate) fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

impl Line {
    /// Says what is going on.
    pub(crate) fn say(&mut self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
            return;
        }
        let due = self
            .plain
            .as_ref()
            .is_none_or(|(at, last)| at.elapsed() >= PLAIN_INTERVAL && last != text);
        if due {
            self.printer.note(text);
            self.plain = Some((Instant::now(), text.to_owned()));
        }
    }

    /// Says it with a bar that is `done` of `total` full.
    pub(crate) fn fill(&mut self, done: u64, total: u64, text: &str) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total) {
                let template = if self.colour {
                    "{spinner:.cyan} {bar:20.cyan/dim} {wide_msg}"
                } else {
                    "{spinner} {bar:20} {wide_msg}"
                };
                bar.set_style(style(template).progress_chars("━╸─"));
                bar.set_length(total);
            }
            bar.set_position(done.min(total));
        }
        self.say(text);
    }

    /// Takes the line away; the caller says what came of it.
    pub(crate) fn clear(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
