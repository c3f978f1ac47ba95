//! The stream of the simulated network.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::link::Link;
use super::socket::Socket;
use super::world::{Place, World};
use crate::arena::Chunk;
use crate::{Instant, NetError, Stream};

/// A connected stream of [`super::SimNet`].
pub struct SimStream {
    world: Rc<World>,
    socket: Rc<Socket>,
}

impl SimStream {
    pub(super) fn new(world: &Rc<World>, place: Place, link: Rc<Link>, at: usize) -> SimStream {
        let socket = Socket::new(place, link, at);
        if socket.link.is_reset(at) {
            socket.fail(NetError::Reset);
        }
        // Bytes may have come before anybody held this end.
        socket.receive(world);
        SimStream { world: Rc::clone(world), socket }
    }

    /// The number of this end in traces.
    pub fn id(&self) -> u64 {
        self.socket.link.end_id(self.socket.at)
    }
}

impl Stream for SimStream {
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>> {
        let socket = &self.socket;
        let failure = socket.failure();
        // Out of buffers of our own making: reading on would only need more of them.
        if failure == Some(NetError::BuffersExhausted) {
            return Poll::Ready(Err(NetError::BuffersExhausted));
        }
        if let Some(chunk) = socket.take_chunk(&self.world) {
            return Poll::Ready(Ok(chunk));
        }
        if !socket.has_unread() {
            if let Some(error) = failure {
                return Poll::Ready(Err(error));
            }
            if socket.has_ended() {
                return Poll::Ready(Ok(Chunk::EMPTY));
            }
        }
        if socket.is_expired() {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        socket.await_reading(cx);
        Poll::Pending
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<NetError> {
        let socket = &self.socket;
        if let Some(error) = socket.failure() {
            return Poll::Ready(error);
        }
        if socket.has_ended() {
            return Poll::Ready(NetError::Closed);
        }
        if socket.is_expired() {
            return Poll::Ready(NetError::TimedOut);
        }
        socket.await_reading(cx);
        Poll::Pending
    }

    fn send(&self, chunk: Chunk) {
        self.socket.queue(&self.world, chunk);
    }

    fn send_copy(&self, bytes: &[u8]) {
        self.socket.queue_copy(&self.world, bytes);
    }

    fn queued_bytes(&self) -> usize {
        self.socket.queued_bytes()
    }

    fn poll_drained(&self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>> {
        let (socket, below) = (&self.socket, below.max(1));
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
        self.socket.end_sending(&self.world);
    }

    fn reset_on_drop(&self) {
        self.socket.reset_on_close();
    }

    fn set_deadline(&self, deadline: Option<Instant>) {
        self.socket.set_deadline(&self.world, deadline);
    }

    fn is_idle(&self) -> bool {
        let socket = &self.socket;
        socket.failure().is_none()
            && !socket.has_ended()
            && socket.is_sending()
            && socket.queued_bytes() == 0
            && !socket.has_chunk()
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.socket.abandon(&self.world);
    }
}

impl fmt::Debug for SimStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStream").field("id", &self.id()).finish_non_exhaustive()
    }
}
