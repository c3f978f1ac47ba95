//! The stream of the portable runtime.

use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::socket::{Received, Socket};
use super::worker::Worker;
use crate::arena::Chunk;
use crate::{Instant, NetError, Stream};

/// A connected stream of [`super::PortableNet`].
pub struct PortableStream {
    worker: Rc<Worker>,
    socket: Rc<Socket>,
}

impl PortableStream {
    /// Takes a socket that is connected, or on its way to be, into the worker's table.
    pub(super) fn open(
        worker: &Rc<Worker>,
        fd: OwnedFd,
        connected: bool,
    ) -> Result<PortableStream, NetError> {
        if !worker.has_room() {
            return Err(NetError::Exhausted);
        }
        let socket = worker.adopt(fd, connected)?;
        worker.counters.streams_open.add(1);
        Ok(PortableStream { worker: Rc::clone(worker), socket })
    }

    /// Keeps TCP's delayed ACKs on the connected socket.
    pub(super) fn delay_acks(&self) {
        crate::socket::delay_acks(&self.socket.fd());
    }

    #[cfg(test)]
    pub(super) fn socket_is_readable(&self) -> bool {
        self.socket.is_readable()
    }

    /// Ready when a connect under way has succeeded or failed.
    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let socket = &self.socket;
        if socket.is_broken() {
            socket.learn_failure();
            return Poll::Ready(Err(socket.failure().unwrap_or(NetError::Reset)));
        }
        if socket.is_writable() {
            return Poll::Ready(Ok(()));
        }
        if socket.is_expired() {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        socket.await_drained(cx, 1);
        Poll::Pending
    }
}

impl Stream for PortableStream {
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>> {
        let socket = &self.socket;
        if let Some(chunk) = socket.take_inbox() {
            return Poll::Ready(Ok(chunk));
        }
        // Out of buffers of our own making: reading on would only need more of them.
        if let Some(NetError::BuffersExhausted) = socket.failure() {
            return Poll::Ready(Err(NetError::BuffersExhausted));
        }
        if socket.has_ended() {
            return Poll::Ready(Ok(Chunk::EMPTY));
        }
        // After a failed send, bytes that came before are still to be had.
        if socket.is_readable() || socket.failure().is_some() {
            if !self.worker.may_operate() {
                // Others first; the runtime puts a task that wakes itself behind them.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match socket.receive(&self.worker) {
                Received::Bytes(chunk) => return Poll::Ready(Ok(chunk)),
                Received::End => return Poll::Ready(Ok(Chunk::EMPTY)),
                Received::Failed(error) => {
                    socket.fail(error);
                    return Poll::Ready(Err(error));
                }
                Received::Nothing | Received::Starved => {}
            }
        }
        if let Some(error) = socket.failure() {
            return Poll::Ready(Err(error));
        }
        if socket.is_expired() {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        socket.await_reading(cx);
        Poll::Pending
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<NetError> {
        let socket = &self.socket;
        socket.learn_failure();
        if let Some(error) = socket.failure() {
            return Poll::Ready(error);
        }
        if socket.is_ending() || socket.is_broken() {
            return Poll::Ready(NetError::Closed);
        }
        if socket.is_expired() {
            return Poll::Ready(NetError::TimedOut);
        }
        socket.await_reading(cx);
        Poll::Pending
    }

    fn send(&self, chunk: Chunk) {
        self.socket.queue(&self.worker, chunk);
    }

    fn send_copy(&self, bytes: &[u8]) {
        self.socket.queue_copy(&self.worker, bytes);
    }

    fn queued_bytes(&self) -> usize {
        self.socket.queued_bytes()
    }

    fn poll_drained(&self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>> {
        let (socket, below) = (&self.socket, below.max(1));
        // The caller is about to wait for these bytes: sending now spares it being woken for them.
        if socket.queued_bytes() >= below && socket.is_dirty() && self.worker.may_operate() {
            socket.flush(&self.worker);
        }
        if let Some(error) = socket.failure() {
            return Poll::Ready(Err(error));
        }
        if socket.queued_bytes() < below {
            return Poll::Ready(Ok(()));
        }
        if socket.is_expired() {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        socket.await_drained(cx, below);
        Poll::Pending
    }

    fn shutdown(&self) {
        self.socket.end_sending(&self.worker);
    }

    fn reset_on_drop(&self) {
        // It fails only if the connection is gone, which is as good.
        let _ = crate::socket::reset_on_close(&self.socket.fd());
    }

    fn set_deadline(&self, deadline: Option<Instant>) {
        self.socket.set_deadline(&self.worker, deadline);
    }

    fn is_idle(&self) -> bool {
        let socket = &self.socket;
        if socket.failure().is_some()
            || socket.is_ending()
            || socket.is_broken()
            || !socket.is_sending()
            || socket.queued_bytes() > 0
        {
            return false;
        }
        if let Some(chunk) = socket.take_inbox() {
            socket.put_inbox(chunk);
            return false;
        }
        if !socket.is_readable() {
            return true;
        }
        match socket.receive(&self.worker) {
            Received::Nothing => true,
            Received::Bytes(chunk) => {
                socket.put_inbox(chunk);
                false
            }
            Received::Failed(error) => {
                socket.fail(error);
                false
            }
            Received::End | Received::Starved => false,
        }
    }
}

impl Drop for PortableStream {
    fn drop(&mut self) {
        self.socket.abandon(&self.worker);
        self.worker.release(self.socket.key);
        self.worker.counters.streams_open.sub(1);
    }
}

impl fmt::Debug for PortableStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortableStream")
            .field("queued_bytes", &self.socket.queued_bytes())
            .finish_non_exhaustive()
    }
}
