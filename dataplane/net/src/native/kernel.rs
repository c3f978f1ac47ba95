//! The little that the reactor asks of a ring.

use std::os::fd::RawFd;
use std::time::Duration;

use super::token::Token;

/// Which pool of receive buffers an operation draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Small buffers, for heads and events.
    Small,
    /// Large buffers, for bulk transfers.
    Bulk,
}

/// One operation. Slots are direct descriptors; pointers stay valid until the operation's last
/// completion, or, where noted, until the next enter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Receives again and again, each time into a provided buffer.
    RecvMulti { slot: u32, group: Group },
    /// Receives once into a provided buffer.
    RecvOnce { slot: u32, group: Group },
    /// Sends all of one buffer.
    Send { slot: u32, ptr: *const u8, len: u32 },
    /// Sends all of several buffers.
    SendGather { slot: u32, message: *const libc::msghdr },
    /// Connects; the address stays valid until the next enter.
    Connect { slot: u32, address: *const libc::sockaddr, len: libc::socklen_t },
    /// Makes the descriptor at `fd` a direct one; the pointer stays valid until the next enter.
    Install { slot: u32, fd: *const RawFd },
    /// Keeps delayed ACKs on a connected TCP socket (kernel 6.7; older ones refuse, which costs
    /// nothing).
    DelayAcks { slot: u32 },
    /// Lets closing a TCP socket reset it (kernel 6.7; older ones refuse).
    ResetOnClose { slot: u32 },
    /// Ends the sending direction.
    ShutdownWrite { slot: u32 },
    /// Closes a direct descriptor.
    CloseSlot { slot: u32 },
    /// Closes a plain descriptor.
    CloseFd { fd: RawFd },
    /// Cancels one operation.
    Cancel { target: Token },
    /// Accepts again and again; completions carry plain descriptors.
    AcceptMulti { fd: RawFd },
    /// Reads eight bytes from an eventfd.
    ReadBell { fd: RawFd, into: *mut u64 },
}

/// One completion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) token: Token,
    /// Bytes or a descriptor, or a negative errno.
    pub(super) result: i32,
    /// The provided buffer that was filled.
    pub(super) buffer: Option<u16>,
    /// Whether further completions of the same operation follow.
    pub(super) more: bool,
}

/// How long an enter waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Submit and collect, without waiting.
    No,
    /// Until one completion is there, or the time is over.
    One { timeout: Option<Duration> },
    /// Until `batch` completions are there or `min_us` are over; from then on like `One`.
    Batch { batch: u32, min_us: u32, timeout: Duration },
}

/// A ring, real or fake.
pub(super) trait Kernel {
    /// Queues an operation for the next enter; enters early if the queue is full.
    fn push(&mut self, op: Op, token: Token);

    /// Lends a receive buffer to the kernel; it is published by the next enter.
    fn lend(&mut self, group: Group, id: u16, address: *mut u8, bytes: u32);

    /// Submits everything queued and waits as told.
    fn enter(&mut self, wait: Wait);

    /// The next completion that is already there.
    fn completion(&mut self) -> Option<Completion>;

    /// Numbers since the last call: enters, submissions, full submission queues, overflows.
    fn take_tally(&mut self) -> Tally;
}

/// What a ring counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) enters: u64,
    pub(super) submissions: u64,
    pub(super) submissions_full: u64,
    pub(super) overflows: u64,
}
