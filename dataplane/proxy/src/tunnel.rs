//! What follows an upgrade or CONNECT: bytes both ways, each direction ending on its own.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use net::{Chunk, Net, NetError};
use wire::reason::Reason;

use crate::half::{ClientHalf, UpstreamHalf};
use crate::outcome::Record;
use crate::relay::Attempt;
use crate::worker::Worker;

/// Bytes queued towards a reader above which its source is paused.
const HIGH_BYTES: usize = 64 * 1024;

struct Directions {
    client_ended: bool,
    upstream_ended: bool,
}

enum Event {
    FromClient(Result<Chunk, NetError>),
    FromUpstream(Result<Chunk, NetError>),
}

/// Relays until both directions have ended, one fails, or nothing moves for `idle`.
pub(crate) async fn tunnel<N: Net, C: ClientHalf, U: UpstreamHalf>(
    worker: &Rc<Worker<N>>,
    client: &mut C,
    upstream: &mut U,
    record: &mut Record<N>,
    idle: Duration,
) -> Attempt {
    let mut directions = Directions { client_ended: false, upstream_ended: false };
    while !(directions.client_ended && directions.upstream_ended) {
        let deadline = Some(worker.net.now() + idle);
        client.set_deadline(deadline);
        upstream.set_deadline(deadline);
        match poll_fn(|cx| directions.poll(client, upstream, cx)).await {
            Event::FromClient(Ok(chunk)) if chunk.is_empty() => {
                directions.client_ended = true;
                upstream.end_tunnel();
            }
            Event::FromClient(Ok(chunk)) => {
                record.request_bytes += chunk.len() as u64;
                upstream.send_tunnel(chunk);
            }
            Event::FromUpstream(Ok(chunk)) if chunk.is_empty() => {
                directions.upstream_ended = true;
                client.end_tunnel();
            }
            Event::FromUpstream(Ok(chunk)) => {
                record.response_bytes += chunk.len() as u64;
                client.send_tunnel(chunk);
            }
            Event::FromClient(Err(error)) => {
                client.abort();
                record.complete(Some(match error {
                    NetError::TimedOut => Reason::IdleTimeout,
                    _ => Reason::ClientGone,
                }));
                return Attempt::Cut;
            }
            Event::FromUpstream(Err(error)) => {
                client.abort();
                record.complete(Some(match error {
                    NetError::TimedOut => Reason::IdleTimeout,
                    _ => Reason::UpstreamReset,
                }));
                return Attempt::Cut;
            }
        }
    }
    // What the upstream still has to take leaves before its connection is dropped.
    upstream.set_deadline(Some(worker.net.now() + idle));
    let _ = poll_fn(|cx| upstream.poll_drained(cx, 1)).await;
    record.complete(None);
    Attempt::Cut
}

impl Directions {
    fn poll<C: ClientHalf, U: UpstreamHalf>(
        &self,
        client: &mut C,
        upstream: &mut U,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        if !self.upstream_ended {
            match client.poll_drained(cx, HIGH_BYTES) {
                Poll::Ready(Err(error)) => return Poll::Ready(Event::FromClient(Err(error))),
                Poll::Ready(Ok(())) => {
                    if let Poll::Ready(received) = upstream.poll_tunnel(cx) {
                        return Poll::Ready(Event::FromUpstream(received));
                    }
                }
                Poll::Pending => {}
            }
        }
        if !self.client_ended {
            match upstream.poll_drained(cx, HIGH_BYTES) {
                Poll::Ready(Err(error)) => return Poll::Ready(Event::FromUpstream(Err(error))),
                Poll::Ready(Ok(())) => {
                    if let Poll::Ready(received) = client.poll_tunnel(cx) {
                        return Poll::Ready(Event::FromClient(received));
                    }
                }
                Poll::Pending => {}
            }
        } else if let Poll::Ready(error) = client.poll_gone(cx)
            && error != NetError::Closed
        {
            return Poll::Ready(Event::FromClient(Err(error)));
        }
        Poll::Pending
    }
}
