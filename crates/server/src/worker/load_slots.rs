//! What all loads of a process share: their memory, by construction.
//!
//! A file is converted only in a slot, and a slot stands for the batches of one file. There are as many as fit into
//! [`mirror::limits::LOAD_MEMORY_BYTES`], so a hundred mirrors that load at once hold no more than one does. Whoever
//! waits is served in order.

use std::sync::Arc;

use mirror::limits::LoadShape;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::block::SpareBlocks;

/// Downloads at a time, over all mirrors; each holds about a megabyte and ends by its own time limits.
const DOWNLOADS: usize = 8;

/// The slots of a process. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct LoadSlots {
    shape: LoadShape,
    converting: Arc<Semaphore>,
    downloading: Arc<Semaphore>,
    pub(super) spare_blocks: SpareBlocks,
}

/// The right to convert one file, for as long as any of its clones lives.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// A batch is cut at this many bytes.
    pub(crate) batch_bytes: usize,
    /// Blocks of files that are done; the last slot that goes frees them.
    pub(crate) spare_blocks: SpareBlocks,
    _held: Arc<Held>,
}

/// What a slot and its clones have in common.
#[derive(Debug)]
struct Held {
    permit: Option<OwnedSemaphorePermit>,
    slots: LoadSlots,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.permit = None;
        if self.slots.converting.available_permits() == self.slots.shape.files {
            self.slots.spare_blocks.free();
        }
    }
}

/// The right to download one file.
#[derive(Debug)]
pub(crate) struct Download {
    _permit: Option<OwnedSemaphorePermit>,
}

impl LoadSlots {
    /// Slots for `wanted` files at a time, or as many as there is memory for.
    pub(crate) fn new(wanted: usize) -> Self {
        let shape = LoadShape::new(wanted);
        Self {
            shape,
            converting: Arc::new(Semaphore::new(shape.files)),
            downloading: Arc::new(Semaphore::new(DOWNLOADS)),
            spare_blocks: SpareBlocks::default(),
        }
    }

    /// Files converted at a time.
    pub(crate) fn files(&self) -> usize {
        self.shape.files
    }

    /// Waits for the right to download.
    pub(crate) async fn download(&self) -> Download {
        // The semaphores are never closed.
        Download {
            _permit: Arc::clone(&self.downloading).acquire_owned().await.ok(),
        }
    }

    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> Slot {
        let permit = Arc::clone(&self.converting).acquire_owned().await;
        Slot {
            batch_bytes: self.shape.batch_bytes,
            spare_blocks: self.spare_blocks.clone(),
            _held: Arc::new(Held {
                permit: permit.ok(),
                slots: self.clone(),
            }),
        }
    }
}
