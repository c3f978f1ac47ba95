//! One client connection, from its first byte to its last.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use config::snapshot::{Listener, ListenerLimits, ListenerTimeouts, ProxyProtocol, Snapshot};
use net::{Net, NetError, Stream, StreamExt};
use telemetry::Outcome;
use wire::HeadLimits;
use wire::proxy_protocol::{ProxyParsed, parse as parse_preamble};
use wire::reason::Reason;

use crate::answer::{Answer, refusal_body};
use crate::exchange::serve;
use crate::h1::{H1Client, HeadRead, head_reason};
use crate::half::{ClientHalf, HalfError, Request};
use crate::worker::{OpenConnection, Worker};

/// What all exchanges of a connection share.
pub(crate) struct SessionContext {
    /// The listener as it was when the connection came.
    pub(crate) listener: Arc<Listener>,
    pub(crate) listener_slot: u32,
    pub(crate) limits: ListenerLimits,
    pub(crate) timeouts: ListenerTimeouts,
    pub(crate) via: bool,
    pub(crate) scheme: &'static str,
    pub(crate) peer: Cell<Option<SocketAddr>>,
}

impl SessionContext {
    pub(crate) fn new(listener: Arc<Listener>, peer: Option<SocketAddr>) -> SessionContext {
        SessionContext {
            listener_slot: listener.slot,
            limits: listener.limits,
            timeouts: listener.timeouts,
            via: listener.via,
            scheme: "http",
            peer: Cell::new(peer),
            listener,
        }
    }

    /// The listener as `snapshot` has it, if it still does.
    pub(crate) fn listener<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Listener> {
        snapshot.listeners.iter().find(|l| l.slot == self.listener_slot).map(Arc::as_ref)
    }
}

/// Longest PROXY preamble: a version 2 header with all the additions we would look at.
const PREAMBLE_BYTES_MAX: usize = 4096;
/// How long a closing connection is read on, so that the client gets our last answer and not a
/// reset for bytes we did not read.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes read and dropped while lingering.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Serves a connection until it ends.
pub(crate) async fn serve_connection<N: Net>(
    worker: Rc<Worker<N>>,
    stream: N::Stream,
    cx: Rc<SessionContext>,
    _counted: OpenConnection<N>,
) {
    let mut client = H1Client::new(stream);
    client.set_deadline(Some(worker.net.now() + cx.timeouts.head));
    if cx.listener.proxy_protocol != ProxyProtocol::Off
        && let Err(reason) = Box::pin(read_preamble(&mut client, &cx)).await
    {
        record_refusal(&worker, &cx, reason, 0);
        return;
    }
    let mut is_first = true;
    loop {
        if !has_room(&worker, &cx, &mut client).await {
            record_refusal(&worker, &cx, Reason::SendTimeout, 0);
            break;
        }
        let mut request = worker.take_request();
        match read_head(&worker, &cx, &mut client, &mut request, is_first).await {
            Ok(HeadRead::Complete) => {}
            Ok(HeadRead::Closed) => {
                worker.return_request(request);
                // The client may still be reading the last answer.
                if client.queued_bytes() > 0 {
                    break;
                }
                return;
            }
            Err(reason) => {
                worker.return_request(request);
                refuse_head(&worker, &cx, &mut client, reason);
                break;
            }
        }
        is_first = false;
        if worker.is_draining() {
            client.end_after_this();
        }
        serve(&worker, &cx, &mut client, request).await;
        if !client.is_persistent() {
            break;
        }
    }
    Box::pin(close(&worker, &cx, client)).await;
}

/// Answers a client may leave unread before its next request is looked at.
const UNREAD_BYTES_MAX: usize = 128 * 1024;

/// Waits until a client that sends one request after the other has read enough of the answers;
/// false if it does not within the send time.
async fn has_room<N: Net>(
    worker: &Rc<Worker<N>>,
    cx: &SessionContext,
    client: &mut H1Client<N::Stream>,
) -> bool {
    if client.queued_bytes() < UNREAD_BYTES_MAX {
        return true;
    }
    client.set_deadline(Some(worker.net.now() + cx.timeouts.send));
    poll_fn(|task| client.poll_drained(task, UNREAD_BYTES_MAX)).await.is_ok()
}

/// Waits for a request and reads its head. Between requests the connection may idle for the
/// keep-alive time; a head that has begun must be complete within the head time.
async fn read_head<N: Net>(
    worker: &Rc<Worker<N>>,
    cx: &SessionContext,
    client: &mut H1Client<N::Stream>,
    request: &mut Request,
    is_first: bool,
) -> Result<HeadRead, Reason> {
    let limits = HeadLimits { head_bytes_max: cx.limits.head_bytes, fields_max: cx.limits.fields };
    let mut has_begun = is_first || client.has_pending();
    let wait = if has_begun { cx.timeouts.head } else { cx.timeouts.keepalive };
    client.set_deadline(Some(worker.net.now() + wait));
    let mut idle = worker.idle_sessions.guard();
    let read = poll_fn(|task| {
        match client.poll_head(task, &limits, request) {
            Poll::Ready(read) => return Poll::Ready(Some(read)),
            Poll::Pending => {}
        }
        if !has_begun && !request.collected.is_empty() {
            has_begun = true;
            client.set_deadline(Some(worker.net.now() + cx.timeouts.head));
        }
        // An idle connection is closed at once when draining begins.
        if !has_begun && worker.is_draining() {
            return Poll::Ready(None);
        }
        idle.register(task.waker());
        Poll::Pending
    })
    .await;
    match read {
        None => Ok(HeadRead::Closed),
        Some(Ok(read)) => Ok(read),
        Some(Err(HalfError::Net(NetError::TimedOut))) if request.collected.is_empty() => {
            // Nothing of a request came: closing is all there is to say.
            Ok(HeadRead::Closed)
        }
        Some(Err(HalfError::Net(error)))
            if request.collected.is_empty() && error != NetError::BuffersExhausted =>
        {
            Ok(HeadRead::Closed)
        }
        Some(Err(error)) => Err(head_reason(error)),
    }
}

/// Reads a PROXY protocol preamble in front of everything else.
async fn read_preamble<S: Stream>(
    client: &mut H1Client<S>,
    cx: &SessionContext,
) -> Result<(), Reason> {
    let mut collected: Vec<u8> = Vec::new();
    loop {
        let chunk = client.stream().recv().await.map_err(|_| Reason::ProxyProtocolInvalid)?;
        if chunk.is_empty() {
            return Err(Reason::ProxyProtocolInvalid);
        }
        collected.extend_from_slice(&chunk);
        match parse_preamble(&collected).map_err(|_| Reason::ProxyProtocolInvalid)? {
            ProxyParsed::Partial if collected.len() > PREAMBLE_BYTES_MAX => {
                return Err(Reason::ProxyProtocolInvalid);
            }
            ProxyParsed::Partial => {}
            ProxyParsed::Absent if cx.listener.proxy_protocol == ProxyProtocol::Require => {
                return Err(Reason::ProxyProtocolInvalid);
            }
            ProxyParsed::Absent => {
                *client.pending_mut() = net::Chunk::from_bytes(collected.into());
                return Ok(());
            }
            ProxyParsed::Complete { bytes, source, .. } => {
                if let Some(source) = source {
                    cx.peer.set(Some(source));
                }
                let rest = collected.split_off(bytes.min(collected.len()));
                *client.pending_mut() = net::Chunk::from_bytes(rest.into());
                return Ok(());
            }
        }
    }
}

/// Answers a head that cannot be served, and makes the answer the connection's last.
fn refuse_head<N: Net>(
    worker: &Rc<Worker<N>>,
    cx: &SessionContext,
    client: &mut H1Client<N::Stream>,
    reason: Reason,
) {
    client.end_after_this();
    client.forget_request();
    if reason == Reason::ClientGone {
        record_refusal(worker, cx, reason, 0);
        return;
    }
    let body = refusal_body(reason);
    let answer = Answer::refusal(reason, &body, worker.net.unix_us());
    client.send_answer(&answer, &mut worker.scratch.borrow_mut());
    record_refusal(worker, cx, reason, reason.status());
}

/// Records a request that never became an exchange.
fn record_refusal<N: Net>(
    worker: &Rc<Worker<N>>,
    cx: &SessionContext,
    reason: Reason,
    status: u16,
) {
    worker.record(&Outcome {
        listener: cx.listener_slot,
        route: None,
        upstream: None,
        method: b"",
        host: b"",
        path: b"",
        client: cx.peer.get(),
        endpoint: None,
        request_id: b"",
        status,
        reason: Some(reason),
        request_bytes: 0,
        response_bytes: 0,
        started_unix_us: worker.net.unix_us(),
        first_byte_us: None,
        duration_us: 0,
        attempts: 0,
        upgraded: false,
    });
}

/// Ends a connection so that the client gets everything we said: what is queued leaves, our
/// direction ends, and what the client still sends is read and dropped for a while (RFC 9112
/// §9.6).
async fn close<N: Net>(worker: &Rc<Worker<N>>, cx: &SessionContext, client: H1Client<N::Stream>) {
    let stream = client.stream();
    stream.set_deadline(Some(worker.net.now() + cx.timeouts.send));
    if stream.drained(1).await.is_err() || client.is_broken_off() {
        return;
    }
    stream.shutdown();
    stream.set_deadline(Some(worker.net.now() + LINGER));
    let mut dropped = 0;
    while dropped < LINGER_BYTES_MAX {
        match stream.recv().await {
            Ok(chunk) if !chunk.is_empty() => dropped += chunk.len(),
            _ => return,
        }
    }
}
