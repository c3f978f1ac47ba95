//! The face of the native runtime towards sessions.

use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::reactor::StreamId;
use super::runtime::{Inner, RingNet};
use crate::socket::peer_of;
use crate::{
    Address, BoundSocket, Chunk, ConnectOptions, Instant, Net, NetCounters, NetError, Stream,
};

/// A connected stream of the native runtime.
pub struct RingStream {
    inner: Rc<Inner>,
    id: StreamId,
}

/// A listening socket of the native runtime.
pub struct RingListener {
    inner: Rc<Inner>,
    index: u32,
}

/// An accepted connection that belongs to no worker yet.
#[derive(Debug)]
pub struct RingIncoming {
    fd: OwnedFd,
}

impl Net for RingNet {
    type Stream = RingStream;
    type Listener = RingListener;
    type Incoming = RingIncoming;

    fn now(&self) -> Instant {
        self.inner.now.get()
    }

    fn unix_us(&self) -> u64 {
        self.inner.unix_us()
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.inner.executor.spawn(Box::pin(task));
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> {
        let (index, timer) = self.inner.reactor.borrow_mut().new_sleeper(deadline);
        Sleep { inner: Rc::clone(&self.inner), index, timer }
    }

    fn listen(&self, socket: BoundSocket) -> Result<RingListener, NetError> {
        let fd = socket.into_fd().ok_or(NetError::Os(libc::EBADF))?;
        let index = self.inner.reactor.borrow_mut().listen(fd);
        Ok(RingListener { inner: Rc::clone(&self.inner), index })
    }

    async fn accept(
        &self,
        listener: &RingListener,
    ) -> Result<(RingIncoming, Option<SocketAddr>), NetError> {
        let fd = std::future::poll_fn(|cx| {
            self.inner.reactor.borrow_mut().poll_accept(listener.index, cx)
        })
        .await?;
        let peer = peer_of(&fd);
        Ok((RingIncoming { fd }, peer))
    }

    fn open(&self, incoming: RingIncoming) -> Result<RingStream, NetError> {
        let id = self.inner.reactor.borrow_mut().open(incoming.fd)?;
        Ok(RingStream { inner: Rc::clone(&self.inner), id })
    }

    async fn connect(
        &self,
        to: &Address,
        options: ConnectOptions,
        deadline: Instant,
    ) -> Result<RingStream, NetError> {
        let id = self.inner.reactor.borrow_mut().connect(to, options, deadline)?;
        // From here on dropping this future closes the connection.
        let stream = RingStream { inner: Rc::clone(&self.inner), id };
        std::future::poll_fn(|cx| self.inner.reactor.borrow_mut().poll_connected(id, cx)).await?;
        Ok(stream)
    }

    fn chunk_from(&self, bytes: &[u8]) -> Result<Chunk, NetError> {
        let mut page =
            self.inner.reactor.borrow().pages.page().ok_or(NetError::BuffersExhausted)?;
        page.fill(bytes);
        Ok(page.freeze())
    }

    fn counters(&self) -> &Arc<NetCounters> {
        &self.inner.counters
    }
}

impl Stream for RingStream {
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>> {
        self.inner.reactor.borrow_mut().poll_recv(self.id, cx)
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<NetError> {
        self.inner.reactor.borrow_mut().poll_gone(self.id, cx)
    }

    fn send(&self, chunk: Chunk) {
        self.inner.reactor.borrow_mut().send(self.id, chunk);
    }

    fn send_copy(&self, bytes: &[u8]) {
        self.inner.reactor.borrow_mut().send_copy(self.id, bytes);
    }

    fn queued_bytes(&self) -> usize {
        self.inner.reactor.borrow().queued_bytes(self.id)
    }

    fn poll_drained(&self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>> {
        self.inner.reactor.borrow_mut().poll_drained(self.id, cx, below)
    }

    fn shutdown(&self) {
        self.inner.reactor.borrow_mut().shutdown(self.id);
    }

    fn reset_on_drop(&self) {
        self.inner.reactor.borrow_mut().reset_on_close(self.id);
    }

    fn set_deadline(&self, deadline: Option<Instant>) {
        self.inner.reactor.borrow_mut().set_deadline(self.id, deadline);
    }

    fn is_idle(&self) -> bool {
        self.inner.reactor.borrow().is_idle(self.id)
    }
}

impl Drop for RingStream {
    fn drop(&mut self) {
        self.inner.reactor.borrow_mut().close(self.id);
    }
}

impl Drop for RingListener {
    fn drop(&mut self) {
        self.inner.reactor.borrow_mut().close_listener(self.index);
    }
}

/// A sleep in the wheel.
struct Sleep {
    inner: Rc<Inner>,
    index: u32,
    timer: u32,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.reactor.borrow_mut().poll_sleeper(self.index, cx)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.inner.reactor.borrow_mut().drop_sleeper(self.index, self.timer);
    }
}
