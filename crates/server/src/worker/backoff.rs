//! Pauses that double, with a spread so that many shards do not knock in step.

/// A pause that grows with every failure and starts over after a success.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    next_ms: u64,
    spread: u64,
}

impl Backoff {
    /// `name` decides the spread, so that the same mirror behaves the same way again.
    pub(crate) fn new(min_ms: u64, max_ms: u64, name: &str) -> Self {
        let spread = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            min_ms,
            max_ms,
            next_ms: min_ms,
            spread,
        }
    }

    /// The next pause, milliseconds: between half of it and the whole.
    pub(crate) fn next_ms(&mut self) -> u64 {
        let pause = self.next_ms;
        self.next_ms = (self.next_ms * 2).min(self.max_ms);
        self.spread = self
            .spread
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let half = pause / 2;
        pause - half + (self.spread >> 33) % (half + 1)
    }

    /// The longest pause at once: nobody helps by knocking more often.
    pub(crate) fn slowest_ms(&self) -> u64 {
        self.max_ms
    }

    /// Starts over.
    pub(crate) fn reset(&mut self) {
        self.next_ms = self.min_ms;
    }
}
