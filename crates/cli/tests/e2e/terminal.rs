//! `tb` in a pseudo terminal, and somebody who reads the screen and types.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::stage::PATIENCE;

/// So many lines that nothing scrolls away.
const ROWS: u16 = 400;

/// A terminal with a command in it.
pub(crate) struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    /// How often each question has been answered.
    answered: HashMap<String, usize>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Runs the command in a terminal of so many columns.
    pub(crate) fn open(command: &Command, columns: u16) -> Self {
        let size = PtySize {
            rows: ROWS,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.cwd(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        builder.env("TERM", "xterm");
        let child = pair.slave.spawn_command(builder).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, columns, 0)));
        let mut output = pair.master.try_clone_reader().unwrap();
        let seen = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                seen.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self {
            screen,
            keyboard: pair.master.take_writer().unwrap(),
            child,
            answered: HashMap::new(),
            _master: pair.master,
        }
    }

    /// What the screen shows, without the empty lines below.
    pub(crate) fn text(&self) -> String {
        let text = self.screen.lock().unwrap().screen().contents();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Waits until `question` is asked once more than it was answered, with the cursor behind it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, question: &str) {
        let answered = self.answered.get(question).copied().unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        loop {
            {
                let parser = self.screen.lock().unwrap();
                let screen = parser.screen();
                let (row, columns) = (screen.cursor_position().0, screen.size().1);
                let above: Vec<String> =
                    screen.rows(0, columns).take(usize::from(row) + 1).collect();
                // A question may be longer than a narrow line.
                let from = above.iter().rposition(|line| {
                    question.starts_with(line.trim_end()) || line.starts_with(question)
                });
                let asked = above.iter().filter(|line| begins(line, question)).count();
                let last = from.is_some_and(|at| at + 4 > above.len());
                if asked > answered && last {
                    break;
                }
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                Instant::now() < deadline && ended.is_none(),
                "«{question}» was not asked ({ended:?}):\n{}",
                self.text()
            );
            thread::sleep(std::time::Duration::from_millis(10));
        }
        *self.answered.entry(question.to_owned()).or_default() += 1;
    }

    /// Waits for the question and answers it.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, answer: &str) {
        self.wait_for(question);
        self.press(&format!("{answer}\r"));
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits for the end; whether it was a success, and the screen.
    #[track_caller]
    pub(crate) fn end(mut self) -> (bool, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.text()
            );
            thread::sleep(std::time::Duration::from_millis(10));
        };
        // What was printed last may still be on its way.
        let mut before = String::new();
        loop {
            thread::sleep(std::time::Duration::from_millis(100));
            let now = self.text();
            if now == before {
                return (status.success(), now);
            }
            before = now;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the line is the beginning of the question, or begins with it.
fn begins(line: &str, question: &str) -> bool {
    let line = line.trim_end();
    line.starts_with(question) || (line.len() > 20 && question.starts_with(line))
}
