//! A ring of receive buffers lent to the kernel (io_uring_register_buf_ring(3)).

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// Entries are written locally and published to the kernel by one store of the tail.
pub(super) struct ProvidedRing {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    mask: u16,
    tail: u16,
    published: u16,
}

impl ProvidedRing {
    /// Registers a ring of `entries` (a power of two, at most 32,768) as buffer group `group`.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        group: u16,
        entries: u16,
    ) -> io::Result<ProvidedRing> {
        assert!(entries.is_power_of_two() && entries <= 1 << 15, "{entries} buffers in a ring");
        let bytes = usize::from(entries) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, 4096).map_err(io::Error::other)?;
        // SAFETY: the size is not zero, as `entries` is a power of two. The kernel wants
        // page-aligned memory that stays where it is, which no safe container promises.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory.cast::<BufRingEntry>()) else {
            handle_alloc_error(layout)
        };
        let ring =
            ProvidedRing { entries: memory, layout, mask: entries - 1, tail: 0, published: 0 };
        let address = memory.as_ptr() as u64;
        // SAFETY: the memory holds `entries` zeroed entries and is freed only in `drop`, which the
        // owner (`Ring`) calls after the io_uring instance is closed.
        unsafe { submitter.register_buf_ring_with_flags(address, entries, group, 0) }?;
        Ok(ring)
    }

    /// Writes one entry; the kernel sees it after [`ProvidedRing::publish`]. The owner never lends
    /// more buffers than the ring has entries, so no entry that the kernel may read is overwritten.
    pub(super) fn lend(&mut self, id: u16, address: *mut u8, bytes: u32) {
        let index = usize::from(self.tail & self.mask);
        // SAFETY: the masked index is within the allocation.
        let entry = unsafe { self.entries.add(index) };
        // SAFETY: between the published tail and our own tail only we touch entries. The entry is
        // initialised (zeroed, then written). The tail field of the ring shares the last bytes
        // of entry 0, which the setters below do not write.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(address as u64);
        entry.set_len(bytes);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Makes the entries written so far visible to the kernel.
    pub(super) fn publish(&mut self) {
        if self.tail == self.published {
            return;
        }
        // SAFETY: the pointer is to the first entry of a registered ring, as `tail` requires.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail field is two bytes, aligned, alive as long as the ring; user space is
        // its only writer and the kernel reads it with acquire order.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
        self.published = self.tail;
    }
}

impl Drop for ProvidedRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this layout. The io_uring instance that knew the
        // memory is closed before (field order in `Ring`); the kernel pinned the pages itself.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
