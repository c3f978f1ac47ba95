//! Every bound of a runtime, in one place.

/// Sizes and bounds of one worker's runtime. The defaults suit a worker with a core of its own.
#[derive(Clone, Debug)]
pub struct Options {
    /// Streams open at once, client and upstream together. Fixes the table of direct descriptors:
    /// 8 bytes of kernel memory each.
    pub streams_max: u32,
    /// Bytes of one receive buffer; also the size of a send page.
    pub buffer_bytes: u32,
    /// Receive buffers for heads and small messages. At most 32,768, a power of two.
    pub recv_buffers: u16,
    /// Receive buffers for bulk transfers.
    pub bulk_buffers: u16,
    /// Bytes of one bulk receive buffer.
    pub bulk_buffer_bytes: u32,
    /// Budget of bytes queued for sending in pooled pages; beyond it streams fail with
    /// `BuffersExhausted`.
    pub send_bytes_max: u64,
    /// Submission queue entries; the completion queue is eight times as long, at least 16,384.
    pub ring_entries: u32,
    /// Unread bytes of one stream above which receiving pauses.
    pub recv_high_bytes: u32,
    /// Unread bytes at or below which receiving goes on.
    pub recv_low_bytes: u32,
    /// Longest wait for a batch of completions, in microseconds, while the core is more than half
    /// busy. Zero switches batching off. Needs kernel 6.12.
    pub min_wait_us: u32,
    /// Completions that end a batching wait early.
    pub min_wait_batch: u32,
    /// Seed of [`crate::Net::random`]; `None` takes one from the kernel.
    pub seed: Option<u64>,
    /// Set-up flags to leave out although the kernel may have them, for tests and ablation.
    pub refuse: Refusals,
}

/// Kernel features to do without, for tests and ablation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    /// No NO_SQARRAY.
    pub no_sqarray: bool,
    /// No min-wait.
    pub min_wait: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            streams_max: 1 << 16,
            buffer_bytes: 4096,
            recv_buffers: 4096,
            bulk_buffers: 256,
            bulk_buffer_bytes: 64 * 1024,
            send_bytes_max: 256 * 1024 * 1024,
            ring_entries: 4096,
            recv_high_bytes: 64 * 1024,
            recv_low_bytes: 16 * 1024,
            min_wait_us: 50,
            min_wait_batch: 16,
            seed: None,
            refuse: Refusals::default(),
        }
    }
}
