//! What happened last, for whoever has to understand a failing seed; and the first rule that was broken.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

const LINES: usize = 400;

#[derive(Debug, Default)]
struct Entries {
    lines: VecDeque<(i64, String)>,
    verdict: Option<String>,
}

/// Shared by every part of one simulation.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Mutex<Entries>,
    bell: Notify,
}

impl Journal {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something; only the newest lines are kept.
    pub fn note(&self, at_ms: i64, line: String) {
        let mut entries = self.entries();
        if entries.lines.len() == LINES {
            entries.lines.pop_front();
        }
        entries.lines.push_back((at_ms, line));
    }

    /// A rule was broken. The first one counts.
    pub fn broken(&self, rule: String) {
        self.entries().verdict.get_or_insert(rule);
        self.bell.notify_waiters();
    }

    /// The first broken rule.
    pub fn verdict(&self) -> Option<String> {
        self.entries().verdict.clone()
    }

    /// Returns when a rule is broken.
    pub async fn when_broken(&self) {
        let heard = self.bell.notified();
        if self.verdict().is_none() {
            heard.await;
        }
    }

    /// The newest lines, times in milliseconds since `start_ms`.
    pub fn tail(&self, start_ms: i64, lines: usize) -> String {
        let entries = self.entries();
        let skipped = entries.lines.len().saturating_sub(lines);
        let newest = entries.lines.iter().skip(skipped);
        newest
            .map(|(at, line)| format!("{:>10} {line}\n", at - start_ms))
            .collect()
    }
}
