//! The state machine of all connections of one worker. It owns whatever the kernel may touch, so
//! futures can be dropped at any point.
//!
//! A slot is reused only when the last completion of each of its operations has come. Cancelling
//! is only a request: whatever the operation did meanwhile still arrives and is accounted for.

mod listening;
mod opening;
mod receiving;
mod sending;
mod timing;
mod turning;

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, Waker};

use crate::native::connection::{Connection, Ending, Phase, Receiving, remember};
use crate::native::kernel::{Completion, Group, Kernel, Op};
use crate::native::outbox::Outbox;
use crate::native::token::{GENERATIONS, Kind, Token};
use crate::wheel::Wheel;
use crate::{Address, Arena, Chunk, ConnectOptions, Instant, NetCounters, NetError, Options};

/// Outboxes kept for reuse.
const OUTBOXES_KEPT: usize = 1024;
/// Connections accepted by the kernel and not yet taken by a task, per listener.
const ACCEPTED_MAX: usize = 1024;
/// How long accepting rests when descriptors or memory have run out.
const ACCEPT_REST: std::time::Duration = std::time::Duration::from_millis(50);
/// Receive buffers lent at first. The fewer are out, the sooner each is used again and the warmer
/// it is; the number doubles whenever it proves too small.
const LENT_AT_FIRST: u32 = 256;
/// Full small receives in a row after which a stream changes to bulk buffers, and small bulk
/// receives after which it changes back.
const STREAK: u8 = 4;

/// Names a stream: its slot, and which of the slot's owners it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::native) struct StreamId {
    pub(in crate::native) slot: u32,
    pub(in crate::native) generation: u32,
}

/// What the wheel wakes.
#[derive(Clone, Copy, Debug)]
pub(in crate::native) enum Due {
    Stream(StreamId),
    Sleeper(u32),
    Listener(u32),
}

pub(in crate::native) struct Reactor<K> {
    pub(in crate::native) kernel: K,
    pub(in crate::native) now: Instant,
    pub(in crate::native) counters: Arc<NetCounters>,
    pub(in crate::native) small: Rc<Arena>,
    bulk: Rc<Arena>,
    pub(in crate::native) pages: Rc<Arena>,
    lent: Lent,
    lent_bulk: Lent,
    connections: Vec<Connection>,
    free: Vec<u32>,
    slots: u32,
    /// Where install operations read their descriptor from, one cell per slot.
    descriptors: Box<[AtomicI32]>,
    dirty: Vec<u32>,
    starved: VecDeque<StreamId>,
    #[expect(clippy::vec_box, reason = "the kernel reads message headers in place")]
    outboxes: Vec<Box<Outbox>>,
    pub(in crate::native) wheel: Wheel<Due>,
    /// Scratch of `expire`.
    due: Vec<Due>,
    sleepers: Vec<Sleeper>,
    free_sleepers: Vec<u32>,
    listeners: Vec<ListenerState>,
    bell: Option<(RawFd, Box<u64>)>,
    bell_rang: bool,
    /// Operations under way whose buffers the kernel may touch.
    operations: u64,
    recv_high_bytes: u32,
    recv_low_bytes: u32,
}

struct Lent {
    now: u32,
    target: u32,
    max: u32,
}

#[derive(Default)]
struct Sleeper {
    waker: Option<Waker>,
    is_due: bool,
}

struct ListenerState {
    /// `None` once dropped; the descriptor stays open until the accept has ended.
    fd: Option<OwnedFd>,
    generation: u32,
    is_armed: bool,
    is_resting: bool,
    is_closing: bool,
    accepted: VecDeque<OwnedFd>,
    waiter: Option<Waker>,
    failure: Option<NetError>,
}

impl<K: Kernel> Reactor<K> {
    pub(in crate::native) fn new(
        kernel: K,
        options: &Options,
        slots: u32,
        now: Instant,
    ) -> Reactor<K> {
        let pages = (options.send_bytes_max / u64::from(options.buffer_bytes.max(1))).max(1);
        let lent = |count: u16| Lent {
            now: 0,
            target: LENT_AT_FIRST.min(u32::from(count)),
            max: u32::from(count),
        };
        Reactor {
            kernel,
            now,
            counters: Arc::default(),
            small: Arena::new(options.buffer_bytes, u32::from(options.recv_buffers)),
            bulk: Arena::new(options.bulk_buffer_bytes, u32::from(options.bulk_buffers)),
            pages: Arena::new(options.buffer_bytes, u32::try_from(pages).unwrap_or(u32::MAX)),
            lent: lent(options.recv_buffers),
            lent_bulk: Lent {
                target: u32::from(options.bulk_buffers).min(16),
                ..lent(options.bulk_buffers)
            },
            connections: Vec::new(),
            free: Vec::new(),
            slots,
            descriptors: (0..slots).map(|_| AtomicI32::new(-1)).collect(),
            dirty: Vec::new(),
            starved: VecDeque::new(),
            outboxes: Vec::new(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            sleepers: Vec::new(),
            free_sleepers: Vec::new(),
            listeners: Vec::new(),
            bell: None,
            bell_rang: false,
            operations: 0,
            recv_high_bytes: options.recv_high_bytes,
            recv_low_bytes: options.recv_low_bytes,
        }
    }
}

fn token(kind: Kind, id: StreamId) -> Token {
    Token::new(kind, id.generation, id.slot)
}
