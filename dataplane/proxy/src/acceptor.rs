//! Takes connections from a listener, and gives them to a less busy worker where that pays.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use config::snapshot::Listener;
use net::{Mailbox, Net, NetError, Stream, StreamExt};
use wire::reason::Reason;

use crate::answer::{Answer, refusal_body};
use crate::session::{SessionContext, serve_connection};
use crate::worker::Worker;

/// A connection on its way to another worker.
pub struct Handed<I> {
    pub(crate) incoming: I,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) listener: Arc<Listener>,
}

/// Accepts until the listener is dropped with the task, or fails for good.
pub(crate) async fn accept_all<N: Net>(
    worker: Rc<Worker<N>>,
    listening: N::Listener,
    mut listener: Arc<Listener>,
    serial: u64,
) {
    loop {
        let accepted = {
            let mut stop = worker.listener_stops.guard();
            // Kept from poll to poll: out of descriptors, it is what waits to try again.
            let mut accept = std::pin::pin!(worker.net.accept(&listening));
            std::future::poll_fn(|cx| {
                if worker.is_draining() || !worker.has_listener(listener.slot, serial) {
                    return std::task::Poll::Ready(None);
                }
                stop.register(cx.waker());
                accept.as_mut().poll(cx).map(Some)
            })
            .await
        };
        match accepted {
            None => return,
            Some(Ok((incoming, peer))) => {
                // New limits and timeouts hold for connections that come after them.
                if let Some(current) = worker.listener(listener.slot) {
                    listener = current;
                }
                place(&worker, incoming, peer, &listener);
            }
            Some(Err(_)) => return,
        }
    }
}

/// Serves a connection here or hands it over. Long-lived streams make the hash of SO_REUSEPORT
/// uneven; they are moved now or never.
fn place<N: Net>(
    worker: &Rc<Worker<N>>,
    incoming: N::Incoming,
    peer: Option<SocketAddr>,
    listener: &Arc<Listener>,
) {
    let handed = Handed { incoming, peer, listener: Arc::clone(listener) };
    match worker.less_busy_sibling() {
        Some(sibling) => match sibling.post(handed) {
            Ok(()) => {}
            Err(net::PostError::Full(handed) | net::PostError::Closed(handed)) => {
                open(worker, handed);
            }
        },
        None => open(worker, handed),
    }
}

/// Opens what siblings hand over.
pub(crate) async fn open_handed<N: Net>(
    worker: Rc<Worker<N>>,
    mut handed: Mailbox<Handed<N::Incoming>>,
) {
    loop {
        let next = handed.take().await;
        open(&worker, next);
    }
}

fn open<N: Net>(worker: &Rc<Worker<N>>, handed: Handed<N::Incoming>) {
    let Handed { incoming, peer, listener } = handed;
    let slot = listener.slot;
    let stream = match worker.net.open(incoming) {
        Ok(stream) => stream,
        Err(error) => {
            let reason = match error {
                NetError::BuffersExhausted => Reason::BuffersExhausted,
                NetError::DescriptorsExhausted => Reason::DescriptorsExhausted,
                _ => Reason::ConnectionsOverLimit,
            };
            worker.metrics.connection_refused(slot, reason);
            return;
        }
    };
    let cx = Rc::new(SessionContext::new(listener, peer));
    let is_over = worker.connections(slot) >= cx.limits.connections || worker.is_full();
    if is_over {
        worker.metrics.connection_refused(slot, Reason::ConnectionsOverLimit);
        worker.net.spawn(turn_away(Rc::clone(worker), stream));
        return;
    }
    // Counted before its task runs: more may be opened in the same turn.
    let counted = worker.connection_opened(slot);
    worker.net.spawn(serve_connection(Rc::clone(worker), stream, cx, counted));
}

/// Tells a client that there is no room for it, without reading what it has to say.
async fn turn_away<N: Net>(worker: Rc<Worker<N>>, stream: N::Stream) {
    let body = refusal_body(Reason::ConnectionsOverLimit);
    let answer = Answer::refusal(Reason::ConnectionsOverLimit, &body, worker.net.unix_us());
    let mut bytes = worker.take_buffer();
    answer.put(&mut bytes, false, true, false);
    stream.send_copy(&bytes);
    worker.return_buffer(bytes);
    stream.set_deadline(Some(worker.net.now() + std::time::Duration::from_secs(1)));
    let _ = stream.drained(1).await;
    stream.shutdown();
    while stream.recv().await.is_ok_and(|chunk| !chunk.is_empty()) {}
}
