//! One attempt at one endpoint: the request's body goes up, the answer comes down, each at the
//! pace of its reader, and nobody waits for somebody who has left.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use config::snapshot::RouteTimeouts;
use net::{Chunk, Instant, Net, NetError};
use wire::reason::Reason;
use wire::upgrade::{TunnelDecision, tunnel_opens};

use crate::dial::Dialed;
use crate::exchange::Plan;
use crate::forward::is_repeatable;
use crate::half::{ClientHalf, HalfError, Piece, ResponseStart, UpstreamHalf};
use crate::outcome::Record;
use crate::session::SessionContext;
use crate::tunnel::tunnel;
use crate::worker::Worker;

/// Bytes queued towards a reader above which its source is paused.
const HIGH_BYTES: usize = 128 * 1024;
/// Bytes queued below which the source goes on.
const LOW_BYTES: usize = 32 * 1024;

/// What became of an attempt.
pub(crate) enum Attempt {
    /// The answer went out whole.
    Done,
    /// The answer or the tunnel ended before its time, or the client left; nothing more can be
    /// said to it.
    Cut,
    /// A connection that had idled turned out to be closed; the request may be sent again.
    Stale,
    /// Failed before any of the answer went out.
    Failed(Reason),
}

/// Where the attempt stands.
struct Flow {
    timeouts: RouteTimeouts,
    total: Option<Instant>,
    client_body_timeout: Duration,
    client_send_timeout: Duration,
    is_request_sent: bool,
    /// Bytes of the request's body so far.
    body_bytes: u64,
    is_committed: bool,
    /// The client has to read before the upstream is read on.
    waits_for_client: bool,
    /// The upstream has to read before the client is read on.
    waits_for_upstream: bool,
}

enum Event {
    Request(Result<Piece, HalfError>),
    Gone(NetError),
    Head(Result<Chunk, HalfError>),
    Answer(Result<Piece, HalfError>),
    /// The upstream takes no more of the request.
    Unsendable(NetError),
}

/// Sends the request to a connected endpoint and relays its answer.
pub(crate) async fn attempt<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    cx: &Rc<SessionContext>,
    client: &mut C,
    plan: &mut Plan<N>,
    record: &mut Record<N>,
    dialed: &mut Dialed<N>,
) -> Attempt {
    let Some(timeouts) =
        plan.snapshot.get().and_then(|s| s.routes.get(plan.route)).map(|route| route.timeouts)
    else {
        return Attempt::Failed(Reason::Internal);
    };
    let is_reused = dialed.is_reused;
    let upstream = Rc::clone(dialed.upstream());
    let Some(half) = dialed.half() else { return Attempt::Failed(Reason::Internal) };
    let mut flow = Flow {
        timeouts,
        total: plan.total,
        client_body_timeout: cx.timeouts.body,
        client_send_timeout: cx.timeouts.send,
        is_request_sent: false,
        body_bytes: 0,
        is_committed: false,
        waits_for_client: false,
        waits_for_upstream: false,
    };
    half.send_head(&plan.encoded, plan.start);
    if client.is_body_read() {
        half.send_end(&[]);
        flow.is_request_sent = true;
        client.set_deadline(None);
    } else {
        client.set_deadline(Some(worker.net.now() + flow.client_body_timeout));
    }
    let mut last = worker.net.now();
    half.set_deadline(flow.upstream_deadline(last));
    loop {
        let event = poll_fn(|cx| flow.poll(worker, client, half, cx)).await;
        let now = worker.net.now();
        match event {
            Event::Answer(Ok(Piece::Data(data))) => {
                half.set_deadline(flow.upstream_deadline(now));
                upstream.note_pause(now.since(last));
                last = now;
                record.response_bytes += data.len() as u64;
                client.send_data(data);
            }
            Event::Answer(Ok(Piece::End)) => {
                client.send_end(half.trailers());
                record.complete(None);
                return Attempt::Done;
            }
            Event::Answer(Err(error)) => {
                client.abort();
                record.complete(Some(flow.upstream_reason(error, now)));
                return Attempt::Cut;
            }
            Event::Head(Ok(bytes)) => {
                half.set_deadline(flow.upstream_deadline(now));
                match on_head(worker, cx, client, plan, record, half, &bytes) {
                    Headed::Interim => {}
                    Headed::Final => {
                        flow.is_committed = true;
                        last = now;
                        half.set_deadline(flow.upstream_deadline(now));
                    }
                    Headed::Tunnel => {
                        drop(bytes);
                        return Box::pin(tunnel(worker, client, half, record, flow.timeouts.idle))
                            .await;
                    }
                    Headed::Refused(reason) => return Attempt::Failed(reason),
                }
            }
            Event::Head(Err(error)) => {
                return flow.on_no_head(error, is_reused, half.has_answered(), plan, now);
            }
            Event::Request(Ok(Piece::Data(data))) => {
                record.request_bytes += data.len() as u64;
                flow.body_bytes += data.len() as u64;
                if flow.body_bytes > plan.body_bytes_max {
                    return flow.fail(client, record, Reason::BodyTooLarge);
                }
                half.send_data(data);
                client.set_deadline(Some(now + flow.client_body_timeout));
                half.set_deadline(flow.upstream_deadline(now));
            }
            Event::Request(Ok(Piece::End)) => {
                half.send_end(client.trailers());
                flow.is_request_sent = true;
                client.set_deadline(None);
                half.set_deadline(flow.upstream_deadline(now));
            }
            Event::Request(Err(error)) => {
                let reason = match error {
                    HalfError::Protocol(reason) => reason,
                    HalfError::Net(NetError::TimedOut) => Reason::BodyTimeout,
                    HalfError::Net(_) => Reason::ClientGone,
                };
                return flow.fail(client, record, reason);
            }
            Event::Gone(error) => {
                let reason = match error {
                    NetError::TimedOut => Reason::SendTimeout,
                    NetError::BuffersExhausted => Reason::BuffersExhausted,
                    _ => Reason::ClientGone,
                };
                client.abort();
                record.complete(Some(reason));
                return Attempt::Cut;
            }
            // The upstream stopped reading, but may have answered: its answer decides.
            Event::Unsendable(NetError::TimedOut) => {
                return flow.fail(client, record, Reason::FirstByteTimeout);
            }
            Event::Unsendable(_) => {
                flow.is_request_sent = true;
                client.set_deadline(None);
            }
        }
    }
}

impl Flow {
    fn poll<N: Net, C: ClientHalf, U: UpstreamHalf>(
        &mut self,
        worker: &Rc<Worker<N>>,
        client: &mut C,
        upstream: &mut U,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        if let Poll::Ready(event) = self.poll_answer(worker, client, upstream, cx) {
            return Poll::Ready(event);
        }
        if self.is_request_sent {
            return client.poll_gone(cx).map(Event::Gone);
        }
        self.poll_request(worker, client, upstream, cx)
    }

    fn poll_answer<N: Net, C: ClientHalf, U: UpstreamHalf>(
        &mut self,
        worker: &Rc<Worker<N>>,
        client: &mut C,
        upstream: &mut U,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        // Interim answers queue up like any other bytes.
        if self.waits_for_client || client.queued_bytes() >= HIGH_BYTES {
            if !std::mem::replace(&mut self.waits_for_client, true) {
                client.set_deadline(Some(worker.net.now() + self.client_send_timeout));
            }
            match client.poll_drained(cx, LOW_BYTES) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Gone(error)),
                Poll::Ready(Ok(())) => {
                    let now = worker.net.now();
                    self.waits_for_client = false;
                    let body_by = now + self.client_body_timeout;
                    client.set_deadline((!self.is_request_sent).then_some(body_by));
                    upstream.set_deadline(self.upstream_deadline(now));
                }
            }
        }
        if !self.is_committed {
            let mut head = worker.response_head.borrow_mut();
            return upstream.poll_head(cx, &worker.upstream_limits, &mut head).map(Event::Head);
        }
        upstream.poll_body(cx).map(Event::Answer)
    }

    fn poll_request<N: Net, C: ClientHalf, U: UpstreamHalf>(
        &mut self,
        worker: &Rc<Worker<N>>,
        client: &mut C,
        upstream: &mut U,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        if self.waits_for_upstream || upstream.queued_bytes() >= HIGH_BYTES {
            if !std::mem::replace(&mut self.waits_for_upstream, true) {
                upstream.set_deadline(self.upstream_deadline(worker.net.now()));
            }
            match upstream.poll_drained(cx, LOW_BYTES) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Unsendable(error)),
                Poll::Ready(Ok(())) => {
                    let now = worker.net.now();
                    self.waits_for_upstream = false;
                    client.set_deadline(Some(now + self.client_body_timeout));
                    upstream.set_deadline(self.upstream_deadline(now));
                }
            }
        }
        client.poll_body(cx).map(Event::Request)
    }

    /// Until when the upstream has to move. The first byte has its own time, which begins when the
    /// request has gone out; as long as the client is the one to send, its time is the body's.
    fn upstream_deadline(&self, now: Instant) -> Option<Instant> {
        let step = match (self.is_committed, self.is_request_sent) {
            (true, _) => Some(self.timeouts.idle),
            (false, true) => Some(self.timeouts.first_byte),
            (false, false) => self.waits_for_upstream.then_some(self.timeouts.idle),
        };
        match (step.map(|step| now + step), self.total) {
            (Some(deadline), Some(total)) => Some(deadline.min(total)),
            (deadline, total) => deadline.or(total),
        }
    }

    fn upstream_reason(&self, error: HalfError, now: Instant) -> Reason {
        match error {
            HalfError::Protocol(reason) => reason,
            HalfError::Net(NetError::TimedOut) => {
                if self.total.is_some_and(|total| now >= total) {
                    Reason::RequestTimeout
                } else if self.is_committed {
                    Reason::IdleTimeout
                } else {
                    Reason::FirstByteTimeout
                }
            }
            HalfError::Net(NetError::BuffersExhausted) => Reason::BuffersExhausted,
            HalfError::Net(_) => Reason::UpstreamReset,
        }
    }

    /// The upstream failed before its head. A reused connection that ends without a byte was
    /// closed while it idled; the request goes out again if it may and if it is still whole.
    fn on_no_head<N: Net>(
        &self,
        error: HalfError,
        is_reused: bool,
        has_answered: bool,
        plan: &Plan<N>,
        now: Instant,
    ) -> Attempt {
        let is_closed = matches!(error, HalfError::Net(NetError::Closed | NetError::Reset));
        let is_whole = self.body_bytes == 0;
        if is_closed && is_reused && !has_answered && is_whole && is_repeatable(plan.start.method) {
            return Attempt::Stale;
        }
        Attempt::Failed(self.upstream_reason(error, now))
    }

    /// Gives up for the client's fault or ours: with an answer, if none has begun.
    fn fail<N: Net, C: ClientHalf>(
        &self,
        client: &mut C,
        record: &mut Record<N>,
        reason: Reason,
    ) -> Attempt {
        if !self.is_committed && reason != Reason::ClientGone {
            return Attempt::Failed(reason);
        }
        client.abort();
        record.complete(Some(reason));
        Attempt::Cut
    }
}

enum Headed {
    Interim,
    Final,
    Tunnel,
    Refused(Reason),
}

/// A head came from the upstream; it stands parsed in the worker's scratch.
fn on_head<N: Net, C: ClientHalf, U: UpstreamHalf>(
    worker: &Rc<Worker<N>>,
    cx: &Rc<SessionContext>,
    client: &mut C,
    plan: &mut Plan<N>,
    record: &mut Record<N>,
    half: &mut U,
    bytes: &Chunk,
) -> Headed {
    let head = worker.response_head.borrow();
    let mut scratch = worker.scratch.borrow_mut();
    let mut edits = worker.edits.borrow_mut();
    edits.clear();
    let upgrade = head.upgrade.map(|upgrade| upgrade.of(bytes));
    let offered = plan.offered.as_deref();
    match tunnel_opens(plan.start.method, offered, head.status, upgrade) {
        TunnelDecision::Refuse(reason) => return Headed::Refused(reason),
        TunnelDecision::NotATunnel if (100..200).contains(&head.status) => {
            client.send_interim(&head, bytes, &mut scratch);
            return Headed::Interim;
        }
        // RFC 9110 §7.8: the request comes to its end first. What is left of its body must not pass
        // as the new protocol's bytes.
        TunnelDecision::Opens if !client.is_body_read() => {
            return Headed::Refused(Reason::UpgradeUnexpected);
        }
        TunnelDecision::Opens => {
            let start = ResponseStart { head: &head, bytes, edits: &edits, via: cx.via };
            client.send_head(&start, &mut scratch);
            record.answered(head.status);
            record.is_upgraded = true;
            client.become_tunnel();
            half.become_tunnel();
            return Headed::Tunnel;
        }
        TunnelDecision::NotATunnel => {}
    }
    if let Some(route) = plan.snapshot.get().and_then(|s| s.routes.get(plan.route))
        && !route.chain.is_empty()
    {
        let view = filters::ResponseView { head: &head, bytes };
        route.chain.on_response(&view, &mut edits);
    }
    let start = ResponseStart { head: &head, bytes, edits: &edits, via: cx.via };
    client.send_head(&start, &mut scratch);
    record.answered(head.status);
    half.start_body(&head);
    // The request cannot be sent again from here on.
    worker.return_buffer(std::mem::take(&mut plan.encoded));
    Headed::Final
}
