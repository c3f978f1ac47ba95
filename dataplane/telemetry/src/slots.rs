//! Tables that grow while others read them: chunks of slots, each made by the writer when it first
//! touches one of its slots.

use std::sync::OnceLock;

/// Slots in a chunk.
const CHUNK: usize = 256;
/// Chunks in a table: 262,144 slots. Further ones share the last.
const CHUNKS: usize = 1024;

/// A table indexed by slot.
#[derive(Debug)]
pub(crate) struct SlotTable<T> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
}

impl<T: Default> SlotTable<T> {
    pub(crate) fn new() -> SlotTable<T> {
        SlotTable { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    /// The slot's entry, made if it is new.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        let slot = (slot as usize).min(CHUNK * CHUNKS - 1);
        let chunk = self
            .chunks
            .get(slot / CHUNK)?
            .get_or_init(|| (0..CHUNK).map(|_| T::default()).collect());
        chunk.get(slot % CHUNK)
    }

    /// The slot's entry, if anybody has touched its chunk.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.chunks.get(slot as usize / CHUNK)?.get()?.get(slot as usize % CHUNK)
    }
}
