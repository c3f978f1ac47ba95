//! Moves bytes and time, and holds no opinion on either.
//!
//! One small interface, [`Net`] and [`Stream`], with three bodies: the native ring on io_uring
//! ([`native`]), the portable runtime on monoio ([`portable`]) and the simulated network ([`sim`]).
//! The session, the built-in origin and the load generators are written against the interface and
//! run on all three.
//!
//! The interface is completion-shaped: received bytes arrive as a leased [`Chunk`] that goes back
//! to its arena when dropped, sent bytes are queued and leave in one operation per socket and turn.
//! Memory that the kernel may touch belongs to the runtime, never to a future, so any future may
//! be dropped at any await point.

mod address;
mod arena;
mod counters;
mod error;
mod mailbox;
mod options;
mod socket;
mod time;
mod wheel;

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod native;
pub mod portable;
pub mod sim;

pub use address::Address;
pub use arena::{Arena, Chunk, PageMut};
pub use counters::{Count, NetCounters};
pub use error::NetError;
pub use mailbox::{Mailbox, Post, PostError, mailbox};
pub use options::{Options, Refusals};
pub use socket::{BindOptions, BoundSocket};
pub use time::Instant;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// All that a session may ask of the world.
///
/// A value is a cheap handle on the runtime of the current thread; it never leaves that thread.
pub trait Net: Clone + 'static {
    /// A connected byte stream.
    type Stream: Stream;
    /// A socket that is listening on this worker.
    type Listener: 'static;
    /// A connection that was accepted but belongs to no worker yet: it may be opened here or be
    /// posted to a less busy worker.
    type Incoming: Send + 'static;

    /// The time at which this turn began; read from the clock once a turn.
    fn now(&self) -> Instant;

    /// Microseconds since the Unix epoch, for logs and Date fields; as exact as [`Net::now`].
    fn unix_us(&self) -> u64;

    /// Sixty-four random bits; not for secrets. Seeded in the simulated runtime.
    fn random(&self) -> u64;

    /// Runs a task on this worker, detached.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Sleeps until `deadline`, to the wheel's tick of some milliseconds; never less.
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()>;

    /// Starts to listen on a bound socket. Dropping the listener stops accepting.
    ///
    /// # Errors
    /// [`NetError`] if the socket cannot listen here.
    fn listen(&self, socket: BoundSocket) -> Result<Self::Listener, NetError>;

    /// The next connection and its peer's address (none for unix sockets). Out of descriptors, it
    /// waits and tries again; it fails only when the listener is of no more use.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = Result<(Self::Incoming, Option<SocketAddr>), NetError>>;

    /// Makes an accepted connection a stream of this worker.
    ///
    /// # Errors
    /// [`NetError::Exhausted`] if the worker's connection table is full.
    fn open(&self, incoming: Self::Incoming) -> Result<Self::Stream, NetError>;

    /// Connects to `to`, giving up at `deadline`.
    fn connect(
        &self,
        to: &Address,
        options: ConnectOptions,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Stream, NetError>>;

    /// A copy of `bytes` in pooled memory; at most [`Options::buffer_bytes`] of them.
    ///
    /// # Errors
    /// [`NetError::BuffersExhausted`] if the budget of buffered bytes is used up.
    fn chunk_from(&self, bytes: &[u8]) -> Result<Chunk, NetError>;

    /// This worker's counters, readable from any thread.
    fn counters(&self) -> &Arc<NetCounters>;
}

/// Options of one connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions {
    /// Keep TCP's delayed ACKs on this socket although it mostly receives: one ACK per timer
    /// instead of one per read. Saves 12 to 15 % of the cost of an SSE event; a sender that runs
    /// Nagle's algorithm then waits up to 40 ms per small write.
    pub delayed_ack: bool,
}

/// A connected byte stream.
///
/// Dropping it closes the connection at once; bytes still queued are lost. [`Stream::poll_drained`]
/// with 1 waits until all has been handed to the kernel.
///
/// All `poll_*` functions remember the waker of the last call of their kind (one for receiving,
/// one for sending). They may be abandoned at any time without loss.
pub trait Stream: 'static {
    /// The next received bytes. An empty chunk is the peer's end of stream, from then on always.
    ///
    /// # Errors
    /// [`NetError::TimedOut`] once the deadline set has passed; [`NetError::Reset`] and others for
    /// the connection's failure. Bytes received before a failure are delivered first.
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>>;

    /// Ready when the peer has ended ([`NetError::Closed`]) or broken the stream, even while
    /// received bytes are unread, or once the deadline has passed. Shares its waker with
    /// [`Stream::poll_recv`].
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<NetError>;

    /// Queues bytes; they leave at the end of this turn, or as soon as earlier ones have left.
    /// After a failure the bytes are dropped, and the failure shows in the next poll.
    fn send(&self, chunk: Chunk);

    /// Queues a copy of `bytes`; small pieces queued in one turn leave as one. If the budget of
    /// buffered bytes is used up, the stream fails with [`NetError::BuffersExhausted`].
    fn send_copy(&self, bytes: &[u8]);

    /// Bytes queued and not yet taken by the kernel.
    fn queued_bytes(&self) -> usize;

    /// Ready when fewer than `below` bytes are queued.
    ///
    /// # Errors
    /// The stream's failure, or [`NetError::TimedOut`] once the deadline set has passed.
    fn poll_drained(&self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>>;

    /// Ends our direction once everything queued has left; receiving goes on.
    fn shutdown(&self);

    /// From now on dropping the stream resets the connection, so that the peer can tell a cut from
    /// an end; what the kernel has not delivered by then is lost. For the ends of messages that
    /// nothing but the end of the stream marks. Unix sockets know no reset and end as usual, and so
    /// does the native ring's TCP before kernel 6.7.
    fn reset_on_drop(&self);

    /// From this instant on every poll that would wait errs with [`NetError::TimedOut`]; a later
    /// deadline set afterwards ends that. Setting a later deadline costs a store. `None`: none.
    fn set_deadline(&self, deadline: Option<Instant>);

    /// Whether the stream can carry another exchange: no failure, no end of stream, nothing
    /// unread, nothing queued.
    fn is_idle(&self) -> bool;
}

/// Awaitable forms of the polls, for code that waits for one thing at a time.
pub trait StreamExt: Stream {
    /// See [`Stream::poll_recv`].
    fn recv(&self) -> impl Future<Output = Result<Chunk, NetError>> {
        std::future::poll_fn(|cx| self.poll_recv(cx))
    }

    /// See [`Stream::poll_drained`].
    fn drained(&self, below: usize) -> impl Future<Output = Result<(), NetError>> {
        std::future::poll_fn(move |cx| self.poll_drained(cx, below))
    }
}

impl<S: Stream> StreamExt for S {}
