//! One connection's state, as small as it can be: idle streams are what the gateway has most of.

use std::collections::VecDeque;
use std::task::Waker;

use super::kernel::Group;
use super::outbox::Outbox;
use crate::{Chunk, Instant, NetError};

/// What the receiving side is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// No operation is under way.
    Stopped,
    /// An operation is under way.
    Armed,
    /// It was asked to stop and has not yet.
    Cancelling,
    /// It found no buffer and waits for its turn.
    Starved,
}

/// Where the stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The slot is on the free list.
    Free,
    /// A connect is under way.
    Connecting,
    /// Bytes flow.
    Open,
    /// The owner is gone; the slot is freed when the last operation has completed.
    Closing,
}

/// What is asked of our sending direction besides bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing.
    None,
    /// End it after the queued bytes.
    Wanted,
    /// It was ended.
    Done,
}

pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) receiving: Receiving,
    pub(super) ending: Ending,
    /// Which buffers the current mode receives into.
    pub(super) group: Group,
    /// Receives in a row that filled their buffer (small group) or would not have filled a small
    /// one (bulk group): what decides about the mode.
    pub(super) streak: u8,
    /// Operations whose last completion is outstanding: at most a receive, a send or a
    /// shutdown, and a connect.
    pub(super) operations: u8,
    pub(super) end_of_stream: bool,
    pub(super) is_dirty: bool,
    /// Once connected, delayed ACKs are to be kept.
    pub(super) delays_acks: bool,
    pub(super) failure: Option<NetError>,
    /// Unread bytes.
    pub(super) unread_bytes: u32,
    /// Bytes queued and not yet taken by the kernel.
    pub(super) queued_bytes: u32,
    /// The writer waits until fewer bytes than this are queued.
    pub(super) drain_below: u32,
    /// Entry in the wheel.
    pub(super) timer: Option<u32>,
    /// When that entry comes up; the deadline itself may be later.
    pub(super) timer_due: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) first_unread: Option<Chunk>,
    #[expect(clippy::box_collection, reason = "eight bytes in each idle connection, not 32")]
    pub(super) more_unread: Option<Box<VecDeque<Chunk>>>,
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) connecting: Option<Box<socket2::SockAddr>>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Connection {
    pub(super) fn free() -> Connection {
        Connection {
            generation: 0,
            phase: Phase::Free,
            receiving: Receiving::Stopped,
            ending: Ending::None,
            group: Group::Small,
            streak: 0,
            operations: 0,
            end_of_stream: false,
            is_dirty: false,
            delays_acks: false,
            failure: None,
            unread_bytes: 0,
            queued_bytes: 0,
            drain_below: 0,
            timer: None,
            timer_due: Instant::ORIGIN,
            deadline: None,
            first_unread: None,
            more_unread: None,
            outbox: None,
            connecting: None,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn push_unread(&mut self, chunk: Chunk) {
        self.unread_bytes += chunk.len() as u32;
        if self.first_unread.is_none() {
            self.first_unread = Some(chunk);
        } else {
            self.more_unread.get_or_insert_default().push_back(chunk);
        }
    }

    pub(super) fn pop_unread(&mut self) -> Option<Chunk> {
        let chunk = self.first_unread.take()?;
        self.unread_bytes -= chunk.len() as u32;
        if let Some(more) = &mut self.more_unread {
            self.first_unread = more.pop_front();
            if more.is_empty() {
                self.more_unread = None;
            }
        }
        Some(chunk)
    }

    pub(super) fn is_past_deadline(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// Remembers `waker` in `place`, without a clone if it is there already.
pub(super) fn remember(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(known) if known.will_wake(waker) => {}
        _ => *place = Some(waker.clone()),
    }
}
