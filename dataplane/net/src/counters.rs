//! What a runtime counts about itself: one writer, any reader.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counters and gauges of one worker's runtime. Only the worker writes, with plain loads
        /// and stores, so counting costs no locked instruction; any thread may read.
        #[derive(Debug, Default)]
        pub struct NetCounters {
            $($(#[doc = $doc])+ pub $name: Count,)+
        }

        impl NetCounters {
            /// Name, help text and value of each, for the metrics page.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
                [$((stringify!($name), concat!($($doc,)+), self.$name.value()),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Kernel entries of the ring.
    enters,
    /// Turns of the loop.
    turns,
    /// Submission entries handed to the kernel.
    submissions,
    /// Completions taken from the kernel.
    completions,
    /// Completions whose connection was gone already.
    completions_stale,
    /// Times the kernel reported a full completion queue.
    completions_overflowed,
    /// Times the submission queue was full and had to be emptied first.
    submissions_full,
    /// Receives that found no free buffer.
    recv_starved,
    /// Multishot receives that ended and were armed again.
    recv_rearmed,
    /// Times receiving was paused because the session did not keep up.
    recv_paused,
    /// Bytes received.
    recv_bytes,
    /// Bytes sent.
    sent_bytes,
    /// Send operations.
    sends,
    /// Connections accepted.
    accepts,
    /// Times accepting paused for lack of descriptors or memory.
    accept_paused,
    /// Connections to upstreams begun.
    connects,
    /// Streams open now.
    streams_open,
    /// Receive and send buffers in use now.
    buffers_leased,
    /// Tasks alive now.
    tasks_alive,
    /// Tasks that panicked and were dropped.
    tasks_panicked,
}

/// One number with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the owning worker may call it: it is a load and a store, not one operation.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Subtracts `n`; for gauges.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    /// Sets the value; for gauges.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
