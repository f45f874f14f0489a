//! Blocks of rows on their way from a file to ClickHouse, and the memory of those that are on no way just now.
//!
//! Fresh memory costs the kernel as much as filling it costs us, so a block goes from one file to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror::batch::Batch;
use mirror::sink::QuarantinedRecord;

use super::MirrorSpec;

/// A block of rows and the records that could not become one.
pub(crate) struct Block {
    pub(crate) rows: Batch,
    pub(crate) quarantined: Vec<QuarantinedRecord>,
    /// Bytes of the records in `quarantined`.
    pub(crate) quarantined_bytes: usize,
    /// Whose rows these are.
    spec: Arc<MirrorSpec>,
}

impl Block {
    /// An empty block without memory of its own yet.
    pub(crate) fn new(spec: &Arc<MirrorSpec>) -> Self {
        Self {
            rows: spec.plan.new_batch(),
            quarantined: Vec::new(),
            quarantined_bytes: 0,
            spec: Arc::clone(spec),
        }
    }

    /// Empties the block and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.quarantined = Vec::new();
        self.quarantined_bytes = 0;
    }

    /// Bytes of what is in it.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.quarantined_bytes
    }
}

/// Blocks that nobody uses just now. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SpareBlocks {
    blocks: Arc<Mutex<Vec<Block>>>,
}

impl SpareBlocks {
    /// An empty block for rows of `spec`. A new one takes the place of a spare one of another table, so that there
    /// are never more blocks than were in use at a time.
    pub(crate) fn take(&self, spec: &Arc<MirrorSpec>) -> Block {
        let mut blocks = self.lock();
        let fitting = blocks
            .iter()
            .position(|block| Arc::ptr_eq(&block.spec, spec));
        match fitting {
            Some(at) => blocks.swap_remove(at),
            None => {
                blocks.pop();
                Block::new(spec)
            }
        }
    }

    /// Takes a block back.
    pub(crate) fn put(&self, mut block: Block) {
        block.clear();
        self.lock().push(block);
    }

    /// Gives the memory of all of them back.
    pub(crate) fn free(&self) {
        let blocks = std::mem::take(&mut *self.lock());
        drop(blocks);
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SpareBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpareBlocks").finish_non_exhaustive()
    }
}
