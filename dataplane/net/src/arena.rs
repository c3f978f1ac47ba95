//! Pooled byte buffers with plain reference counts, shared by all runtimes.
//!
//! An [`Arena`] is one reservation of equally large buffers. Untouched buffers cost no memory: the
//! reservation is zero pages until first use, and freed buffers are handed out again last in, first
//! out, so the memory in use follows the most that was ever needed at once.
//!
//! The native ring lends whole buffers to the kernel and adopts them when a completion names them;
//! the other runtimes take and fill them. Everybody else sees a [`Chunk`]: a counted, read-only
//! view that returns its buffer when the last view is dropped.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;

use bytes::Bytes;

/// A reservation of `count` buffers of `bytes` each, owned by one thread.
pub struct Arena {
    base: NonNull<u8>,
    layout: Layout,
    buffer_bytes: u32,
    count: u32,
    /// Buffers below this index were in use at least once.
    fresh: Cell<u32>,
    free: RefCell<Vec<u32>>,
    leases: Box<[Cell<u32>]>,
    in_use: Cell<u32>,
}

impl Arena {
    /// Reserves `count` buffers of `buffer_bytes` bytes, aligned to pages. Zero is rounded up to
    /// one for both.
    pub fn new(buffer_bytes: u32, count: u32) -> Rc<Arena> {
        let (buffer_bytes, count) = (buffer_bytes.max(1), count.max(1));
        let bytes = (buffer_bytes as usize).saturating_mul(count as usize);
        let layout = Layout::from_size_align(bytes, 4096).unwrap_or(Layout::new::<u8>());
        assert!(layout.size() == bytes, "an arena of {bytes} bytes exceeds the address space");
        // The kernel is asked directly: std's allocator writes the zeroes of anything aligned to
        // more than 16 bytes itself, which would touch every page of the reservation.
        // SAFETY: a private anonymous mapping at an address of the kernel's choice touches no
        // memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let base = if base == libc::MAP_FAILED { std::ptr::null_mut() } else { base.cast::<u8>() };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        Rc::new(Arena {
            base,
            layout,
            buffer_bytes,
            count,
            fresh: Cell::new(0),
            free: RefCell::new(Vec::new()),
            leases: (0..count).map(|_| Cell::new(0)).collect(),
            in_use: Cell::new(0),
        })
    }

    /// Bytes of one buffer.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes as usize
    }

    /// Buffers in use now, those lent to the kernel included.
    pub fn in_use(&self) -> u32 {
        self.in_use.get()
    }

    /// Buffers that may still be taken.
    pub fn available(&self) -> u32 {
        self.count - self.in_use.get()
    }

    /// An empty buffer to write into; `None` if all are in use.
    pub fn page(self: &Rc<Arena>) -> Option<PageMut> {
        let id = self.take()?;
        Some(PageMut { arena: Rc::clone(self), id, len: 0 })
    }

    /// Takes a buffer out of the pool, to be lent to the kernel.
    pub(crate) fn take(&self) -> Option<u32> {
        let id = match self.free.borrow_mut().pop() {
            Some(id) => id,
            None if self.fresh.get() < self.count => {
                let id = self.fresh.get();
                self.fresh.set(id + 1);
                id
            }
            None => return None,
        };
        self.in_use.set(self.in_use.get() + 1);
        self.lease_count(id).set(1);
        Some(id)
    }

    /// Turns a taken buffer, of which the kernel has filled the first `len` bytes, into a chunk.
    pub(crate) fn adopt(self: &Rc<Arena>, id: u32, len: u32) -> Chunk {
        debug_assert_eq!(self.lease_count(id).get(), 1, "only an unshared buffer is adopted");
        Chunk {
            ptr: self.address(id),
            len: len.min(self.buffer_bytes),
            owner: Owner::Arena(Rc::clone(self), id),
        }
    }

    /// Where the buffer lies.
    pub(crate) fn address(&self, id: u32) -> NonNull<u8> {
        assert!(id < self.count, "buffer {id} is not of this arena");
        // SAFETY: `id` is below `count`, so the offset stays inside the one allocation.
        unsafe { self.base.add(id as usize * self.buffer_bytes as usize) }
    }

    fn lease_count(&self, id: u32) -> &Cell<u32> {
        &self.leases[id as usize]
    }

    fn release(&self, id: u32) {
        let leases = self.lease_count(id);
        debug_assert!(leases.get() > 0, "a buffer is returned once");
        leases.set(leases.get() - 1);
        if leases.get() > 0 {
            return;
        }
        if cfg!(debug_assertions) {
            // SAFETY: the last lease is gone and the kernel does not have the buffer, so nobody
            // else can see it; the range is the buffer itself. Poison makes a use after return
            // visible in tests.
            unsafe { self.address(id).write_bytes(0xdd, self.buffer_bytes as usize) };
        }
        self.in_use.set(self.in_use.get() - 1);
        self.free.borrow_mut().push(id);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this very size; chunks keep the arena alive, so none is
        // left.
        let unmapped = unsafe { libc::munmap(self.base.as_ptr().cast(), self.layout.size()) };
        debug_assert_eq!(unmapped, 0, "the mapping is ours and whole");
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("buffer_bytes", &self.buffer_bytes)
            .field("count", &self.count)
            .field("in_use", &self.in_use.get())
            .finish()
    }
}

/// A counted, read-only view of received or queued bytes. Cloning shares the bytes.
pub struct Chunk {
    ptr: NonNull<u8>,
    len: u32,
    owner: Owner,
}

enum Owner {
    Arena(Rc<Arena>, u32),
    Heap(Rc<Bytes>),
    Nobody,
}

impl Chunk {
    /// No bytes.
    pub const EMPTY: Chunk = Chunk { ptr: NonNull::dangling(), len: 0, owner: Owner::Nobody };

    /// Bytes outside any arena, such as a body from the configuration. At most 4 GiB - 1; what
    /// exceeds it is cut off.
    pub fn from_bytes(bytes: Bytes) -> Chunk {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let bytes = Rc::new(bytes);
        let ptr = NonNull::new(bytes.as_ptr().cast_mut()).unwrap_or(NonNull::dangling());
        Chunk { ptr, len, owner: Owner::Heap(bytes) }
    }

    /// Bytes in view.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no byte is in view.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops the first `n` bytes from the view; all of them if there are fewer.
    pub fn advance(&mut self, n: usize) {
        let n = n.min(self.len as usize);
        // SAFETY: `n` is at most the length in view, so the pointer stays within the buffer or at
        // its end.
        self.ptr = unsafe { self.ptr.add(n) };
        self.len -= n as u32;
    }

    /// Keeps the first `n` bytes in view.
    pub fn truncate(&mut self, n: usize) {
        self.len = self.len.min(u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// Takes the first `n` bytes (or all) as a view of their own; the rest stays here.
    pub fn split_to(&mut self, n: usize) -> Chunk {
        if n >= self.len() {
            return std::mem::replace(self, Chunk::EMPTY);
        }
        let mut first = self.clone();
        first.truncate(n);
        self.advance(n);
        first
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `ptr` and `len` lie within a buffer that `owner` keeps alive. Nobody writes to
        // it: the kernel filled it before the chunk was made, and page writers give up their
        // access when they freeze. (An empty view may dangle, which a slice of length 0 allows.)
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len as usize) }
    }
}

impl Clone for Chunk {
    fn clone(&self) -> Chunk {
        let owner = match &self.owner {
            Owner::Arena(arena, id) => {
                let leases = arena.lease_count(*id);
                leases.set(leases.get() + 1);
                Owner::Arena(Rc::clone(arena), *id)
            }
            Owner::Heap(bytes) => Owner::Heap(Rc::clone(bytes)),
            Owner::Nobody => Owner::Nobody,
        };
        Chunk { ptr: self.ptr, len: self.len, owner }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Owner::Arena(arena, id) = &self.owner {
            arena.release(*id);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk(b\"{}\")", self.escape_ascii())
    }
}

/// A buffer with one owner, being filled.
pub struct PageMut {
    arena: Rc<Arena>,
    id: u32,
    len: u32,
}

impl PageMut {
    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.arena.buffer_bytes() - self.len as usize
    }

    /// Appends as much of `bytes` as fits and says how much that was.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        if let Some(target) = self.spare().get_mut(..n)
            && let Some(source) = bytes.get(..n)
        {
            target.copy_from_slice(source);
        }
        self.len += n as u32;
        n
    }

    /// The part not written yet.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: the length written never exceeds the buffer.
        let start = unsafe { self.arena.address(self.id).add(self.len as usize) };
        // SAFETY: the range ends with the buffer. This page is the buffer's only owner, and the
        // slice borrows the page, so no other reference exists. Arena memory is zeroed at first
        // and was written since, hence initialised.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.room()) }
    }

    /// Counts `n` bytes (or as many as fit) of [`PageMut::spare`] as written.
    pub fn commit(&mut self, n: usize) {
        self.len += n.min(self.room()) as u32;
    }

    /// The bytes written so far, as a chunk.
    pub fn freeze(self) -> Chunk {
        let page = std::mem::ManuallyDrop::new(self);
        // SAFETY: the page is never used again, so its handle on the arena is moved out once.
        let arena = unsafe { std::ptr::read(&page.arena) };
        Chunk { ptr: arena.address(page.id), len: page.len, owner: Owner::Arena(arena, page.id) }
    }
}

impl Drop for PageMut {
    fn drop(&mut self) {
        self.arena.release(self.id);
    }
}

impl fmt::Debug for PageMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageMut").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_its_last_view_is_dropped() {
        let arena = Arena::new(16, 2);
        let mut page = arena.page().unwrap();
        assert_eq!(page.fill(b"hello world, this is long"), 16);
        let mut whole = page.freeze();
        let head = whole.split_to(5);
        assert_eq!(&*head, b"hello");
        assert_eq!(&*whole, b" world, thi");
        drop(whole);
        assert_eq!(arena.in_use(), 1);
        assert_eq!(&*head, b"hello");
        drop(head);
        assert_eq!(arena.in_use(), 0);
    }

    #[test]
    fn hands_out_no_more_than_it_has_and_reuses_the_last_first() {
        let arena = Arena::new(8, 2);
        let (a, b) = (arena.take().unwrap(), arena.take().unwrap());
        assert!(arena.take().is_none());
        drop((arena.adopt(a, 0), arena.adopt(b, 0)));
        assert_eq!(arena.take(), Some(b));
        drop(arena.adopt(b, 0));
        assert_eq!(arena.available(), 2);
    }

    #[test]
    fn an_untouched_reservation_takes_no_memory() {
        let resident_pages = || -> usize {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse().unwrap()
        };
        let before = resident_pages();
        let arena = Arena::new(64 * 1024, 64 * 1024);
        let page = arena.page();
        // Other tests of this process come and go; 4 GiB would show.
        assert!(resident_pages() < before + 256 * 1024);
        drop((page, arena));
    }

    #[test]
    fn chunks_outlive_the_handle_on_their_arena() {
        let arena = Arena::new(8, 1);
        let mut page = arena.page().unwrap();
        page.fill(b"kept");
        let chunk = page.freeze();
        drop(arena);
        assert_eq!(&*chunk.clone(), b"kept");
    }

    #[test]
    fn splitting_at_every_point_conserves_bytes() {
        for at in 0..=6 {
            let mut rest = Chunk::from_bytes(Bytes::from_static(b"abcde"));
            let first = rest.split_to(at);
            assert_eq!([&*first, &*rest].concat(), b"abcde");
        }
    }
}
