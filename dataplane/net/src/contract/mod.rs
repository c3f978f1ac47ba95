//! What every runtime must do, as a suite of tests over [`Net`].
//!
//! A runtime implements [`Host`] and calls [`net_contract!`](crate::net_contract); each function of
//! this module becomes a test. The suite uses the interface alone, so that the native ring, the
//! portable runtime and the simulated network pass or fail for the same reasons.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite of tests: to panic is how it reports"
)]

mod deadlines;
mod limits;
mod streams;
mod tasks;

pub use deadlines::*;
pub use limits::*;
pub use streams::*;
pub use tasks::*;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::{
    Address, BindOptions, BoundSocket, Chunk, ConnectOptions, Instant, Net, NetCounters, NetError,
    Options, Stream, StreamExt,
};

/// A runtime under test, and the network around it.
///
/// A stream dropped while bytes are unread must reset its peer, as the kernel's sockets do.
pub trait Host: 'static {
    /// Its handle.
    type Net: Net;

    /// Runs `main` to its end on a fresh runtime of the current thread, then takes that down.
    fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        options: Options,
        main: impl FnOnce(Self::Net) -> F + 'static,
    ) -> T;

    /// A fresh socket to listen on.
    fn bind(&self, options: &BindOptions) -> BoundSocket;

    /// An address at which nobody listens.
    fn nobody(&self) -> Address;
}

/// Makes a module's tests of the whole suite, for the [`Host`] that the expression yields. Names
/// after `except` are left out.
#[macro_export]
macro_rules! net_contract {
    ($host:expr) => {
        $crate::net_contract!($host; with_threads);
        $crate::net_contract!($host; without_threads);
    };
    ($host:expr; with_threads) => {
        $crate::net_contract!($host; each a_message_from_another_thread_wakes_its_reader);
    };
    ($host:expr; without_threads) => {
        $crate::net_contract!($host; each
            echoes_and_ends
            mixed_pieces_arrive_whole_and_in_order
            large_transfers_go_both_ways_at_once
            a_peer_that_does_not_read_holds_the_sender_back
            a_half_closed_stream_still_answers
            a_reset_shows_in_recv
            a_reset_shows_in_gone
            a_stream_dropped_unread_resets_its_peer
            gone_shows_while_bytes_are_unread
            the_end_of_one_stream_leaves_the_next_alone
            an_idle_stream_says_so
            queued_bytes_leave_before_the_end
            a_dropped_receive_loses_nothing
            a_dropped_accept_loses_no_connection
            a_dropped_connect_leaves_nothing_behind
            connecting_to_nobody_is_refused
            connecting_to_a_full_listener_times_out
            a_deadline_ends_receiving_and_a_later_one_revives_it
            a_deadline_put_off_does_not_fire
            a_deadline_brought_forward_fires
            a_deadline_ends_draining
            a_deadline_shows_in_gone
            sleeps_end_in_order_and_never_early
            tasks_spawn_tasks
            a_panic_ends_one_task_only
            a_task_that_wakes_itself_lets_others_run
            a_busy_stream_lets_others_run
            the_end_of_main_drops_every_task
            streams_beyond_the_maximum_are_refused
            copies_beyond_the_send_budget_fail_the_stream
            chunks_beyond_the_send_budget_are_refused
            receiving_without_a_free_buffer_waits_for_one
        );
    };
    ($host:expr; each $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                $crate::contract::$name(Box::leak(Box::new($host)));
            }
        )+
    };
}

/// Longest that any test waits, on the runtime's clock.
const PATIENCE: Duration = Duration::from_secs(30);

/// Small enough to feel every bound, large enough to work.
fn small_options() -> Options {
    Options {
        streams_max: 64,
        recv_buffers: 64,
        bulk_buffers: 8,
        send_bytes_max: 4 * 1024 * 1024,
        ring_entries: 64,
        seed: Some(7),
        ..Options::default()
    }
}

/// Runs a test within [`PATIENCE`] and checks that nothing is left when it is over.
fn check<H: Host, F: Future<Output = ()> + 'static>(
    host: &H,
    options: Options,
    test: impl FnOnce(H::Net) -> F + 'static,
) {
    let counters: Arc<NetCounters> = host.run(options, async move |net: H::Net| {
        let deadline = net.now() + PATIENCE;
        let finished = before(&net, deadline, test(net.clone())).await;
        assert!(finished.is_some(), "the test hung");
        Arc::clone(net.counters())
    });
    assert_eq!(counters.streams_open.value(), 0, "streams are left open");
    assert_eq!(counters.buffers_leased.value(), 0, "buffers are left leased");
    assert_eq!(counters.tasks_alive.value(), 0, "tasks are left alive");
}

/// What the future yields, or `None` if `deadline` passes first.
async fn before<N: Net, T>(
    net: &N,
    deadline: Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep = pin!(net.sleep_until(deadline));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}

async fn pause<N: Net>(net: &N, ms: u64) {
    net.sleep_until(net.now() + Duration::from_millis(ms)).await;
}

/// Two ends of a connection, both on this worker.
async fn pair<H: Host>(
    host: &H,
    net: &H::Net,
) -> (<H::Net as Net>::Stream, <H::Net as Net>::Stream) {
    let socket = host.bind(&BindOptions::default());
    let address = socket.address().clone();
    let listener = net.listen(socket).unwrap();
    let client = dial(net, &address).await.unwrap();
    let (incoming, _) = net.accept(&listener).await.unwrap();
    (client, net.open(incoming).unwrap())
}

async fn dial<N: Net>(net: &N, to: &Address) -> Result<N::Stream, NetError> {
    net.connect(to, ConnectOptions::default(), net.now() + Duration::from_secs(5)).await
}

/// Everything up to the peer's end.
async fn recv_all(stream: &impl Stream) -> Result<Vec<u8>, NetError> {
    let mut bytes = Vec::new();
    loop {
        let chunk = stream.recv().await?;
        if chunk.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// Exactly `n` bytes.
async fn recv_exact(stream: &impl Stream, n: usize) -> Result<Vec<u8>, NetError> {
    let mut bytes = Vec::new();
    while bytes.len() < n {
        let chunk = stream.recv().await?;
        assert!(!chunk.is_empty(), "the stream ended after {} of {n} bytes", bytes.len());
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes.len(), n, "more came than was sent");
    Ok(bytes)
}

async fn gone(stream: &impl Stream) -> NetError {
    std::future::poll_fn(|cx| stream.poll_gone(cx)).await
}

/// Sends until the peer, who does not read, holds us back. Returns the bytes queued in all.
async fn fill_until_stalled<N: Net>(net: &N, stream: &impl Stream) -> usize {
    const BYTES_MAX: usize = 64 * 1024 * 1024;
    let page = bytes::Bytes::from(vec![b'x'; 32 * 1024]);
    let mut queued = 0;
    while queued < BYTES_MAX {
        stream.send(Chunk::from_bytes(page.clone()));
        queued += page.len();
        let soon = net.now() + Duration::from_millis(150);
        if before(net, soon, stream.drained(64 * 1024)).await.is_none() {
            return queued;
        }
    }
    panic!("nothing held the sender back");
}

/// The byte at `position` of a transfer that is easy to check: its period divides no buffer.
fn pattern(position: usize) -> u8 {
    (position % 251) as u8
}
