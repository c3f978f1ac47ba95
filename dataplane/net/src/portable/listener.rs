//! Accepting.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::socket::Socket;
use super::stream::PortableStream;
use super::sys;
use super::timers::Sleep;
use super::worker::Worker;
use crate::{BoundSocket, NetError};

/// Pause before the next attempt when there are no descriptors or memory for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket of [`super::PortableNet`].
pub struct PortableListener {
    worker: Rc<Worker>,
    socket: Rc<Socket>,
}

impl PortableListener {
    pub(super) fn new(worker: Rc<Worker>, socket: BoundSocket) -> Result<Self, NetError> {
        let fd = socket.into_fd().ok_or(NetError::Os(libc::EBADF))?;
        let socket = worker.adopt(fd, false)?;
        // Connections may have come before the socket was watched.
        socket.set_readable(true);
        Ok(PortableListener { worker, socket })
    }

    pub(super) async fn accept(&self) -> Result<(PortableIncoming, Option<SocketAddr>), NetError> {
        loop {
            match std::future::poll_fn(|cx| self.poll_accept(cx)).await {
                Accepted::Connection(incoming, peer) => return Ok((incoming, peer)),
                Accepted::Failed(error) => return Err(error),
                Accepted::NoRoom => {
                    self.worker.counters.accept_paused.add(1);
                    let again = self.worker.now() + PAUSE;
                    Sleep::new(Rc::clone(&self.worker), again).await;
                }
            }
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Accepted> {
        while self.socket.is_readable() {
            if !self.worker.may_operate() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let error = match sys::accept(self.socket.fd()) {
                Ok((fd, peer)) => {
                    self.worker.counters.accepts.add(1);
                    return Poll::Ready(Accepted::Connection(PortableIncoming { fd }, peer));
                }
                Err(error) => error.raw_os_error().unwrap_or(0),
            };
            match error {
                libc::EAGAIN => self.socket.set_readable(false),
                libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => {
                    return Poll::Ready(Accepted::NoRoom);
                }
                // accept(2): these belong to the connection that was taken off, not to us.
                libc::EINTR
                | libc::ECONNABORTED
                | libc::EPERM
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH => {}
                errno => return Poll::Ready(Accepted::Failed(NetError::from_errno(errno))),
            }
        }
        self.socket.await_reading(cx);
        Poll::Pending
    }
}

impl Drop for PortableListener {
    fn drop(&mut self) {
        self.socket.abandon(&self.worker);
        self.worker.release(self.socket.key);
    }
}

impl fmt::Debug for PortableListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortableListener").finish_non_exhaustive()
    }
}

enum Accepted {
    Connection(PortableIncoming, Option<SocketAddr>),
    NoRoom,
    Failed(NetError),
}

/// An accepted connection that may still go to any worker.
#[derive(Debug)]
pub struct PortableIncoming {
    fd: OwnedFd,
}

impl PortableIncoming {
    pub(super) fn open(self, worker: &Rc<Worker>) -> Result<PortableStream, NetError> {
        PortableStream::open(worker, self.fd, true)
    }
}
