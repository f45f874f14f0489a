//! A door between the worker and the world: it takes time, it may refuse or lose the answer, and the process
//! may die in it.

use std::sync::Arc;

use mirror::error::{Error, ErrorKind, Result};

use crate::journal::Journal;
use crate::process::{Call, Moment, Process};
use crate::virtual_clock::VirtualClock;
use crate::weather::{Fate, Prospect, Weather};

/// What all doors of one life share.
#[derive(Clone, Debug)]
pub struct Port {
    pub process: Arc<Process>,
    pub clock: VirtualClock,
    pub weather: Arc<Weather>,
    pub journal: Arc<Journal>,
}

impl Port {
    /// The way to the effect. `what` tells this call from others of its kind.
    pub async fn ask(&self, call: Call, what: &[u8]) -> Result<Prospect> {
        self.ask_or(call, what, || ()).await
    }

    /// Like [`Port::ask`]; `on_death` is what is left behind if the process dies on the way.
    pub async fn ask_or(
        &self,
        call: Call,
        what: &[u8],
        on_death: impl FnOnce() + Send,
    ) -> Result<Prospect> {
        let prospect = self.weather.prospect(call, what, self.clock.aws_ms());
        self.clock
            .sleep_until(self.clock.aws_ms() + prospect.before_ms as i64)
            .await;
        if self.process.dies(call, Moment::Asked) {
            self.note(call, "dies before it");
            on_death();
            std::future::pending::<()>().await;
        }
        if let Fate::Hangs(ms) = prospect.fate {
            self.note(call, "hangs");
            self.clock.sleep_until(self.clock.aws_ms() + ms).await;
            self.process.live().await;
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{call:?}: simulated silence"),
            ));
        }
        assert!(
            prospect.fate != Fate::Panics,
            "{call:?}: a simulated mistake of the program"
        );
        if let Fate::Refused(kind) = &prospect.fate {
            self.note(call, "refused");
            self.clock
                .sleep_until(self.clock.aws_ms() + prospect.after_ms as i64)
                .await;
            self.process.live().await;
            return Err(Error::new(kind.clone(), format!("{call:?}: simulated")));
        }
        Ok(prospect)
    }

    /// The way back with the answer.
    pub async fn answer<T>(&self, call: Call, prospect: &Prospect, answer: Result<T>) -> Result<T> {
        if self.process.dies(call, Moment::Done) {
            self.note(call, "dies after it");
            std::future::pending::<()>().await;
        }
        self.clock
            .sleep_until(self.clock.aws_ms() + prospect.after_ms as i64)
            .await;
        // The process may have died at another door meanwhile.
        self.process.live().await;
        match prospect.fate {
            Fate::Lost | Fate::Late(_) => {
                self.note(call, "answer lost");
                Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{call:?}: simulated loss of the answer"),
                ))
            }
            _ => answer,
        }
    }

    /// Ask, effect, answer.
    pub async fn perform<T>(
        &self,
        call: Call,
        what: &[u8],
        effect: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let prospect = self.ask(call, what).await?;
        let outcome = effect();
        self.answer(call, &prospect, outcome).await
    }

    pub fn note(&self, call: Call, what: &str) {
        self.journal
            .note(self.clock.aws_ms(), format!("{call:?} {what}"));
    }
}
