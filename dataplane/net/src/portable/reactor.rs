//! The task through which monoio tells us of readiness.
//!
//! All sockets of a worker are in one epoll set of ours, and monoio watches that set as if it were
//! one socket. Registering every socket with monoio instead would cost one failed receive per
//! message: its readiness flags are cleared by a failing call alone. The set costs two short calls
//! per turn, however many sockets became ready in it, and works alike under both drivers.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use monoio::net::TcpStream;

use super::worker::Worker;

/// Looks taken without letting tasks run, when the set is ready again at once.
const LOOKS_MAX: u32 = 4;

/// Registers the worker's ready set with the monoio runtime that polls this.
pub(super) fn register(worker: &Worker) -> io::Result<TcpStream> {
    let fd: OwnedFd = worker.try_clone_ready_fd()?;
    // monoio offers readiness through its socket types only; nothing but `readable` is ever called
    // on this one, and that knows no difference.
    TcpStream::from_std(std::net::TcpStream::from(fd))
}

/// Hands readiness to the sockets until the worker closes.
///
/// Whatever wakes this task, it looks at the sockets first and asks monoio afterwards: with epoll
/// that clears monoio's flag with a call that fails, with io_uring it finds the wait completed.
pub(super) async fn react(worker: Rc<Worker>, ready_set: TcpStream) {
    let mut events = Worker::event_buffer();
    let mut looks = 0;
    while !worker.is_closing() {
        let mut readable = pin!(ready_set.readable(false));
        let mut look_first = looks > 0;
        let mut has_waited = false;
        std::future::poll_fn(|cx| {
            worker.set_reactor(cx.waker());
            if worker.is_closing() {
                return Poll::Ready(());
            }
            if look_first {
                worker.dispatch(&mut events);
            }
            look_first = true;
            let polled = readable.as_mut().poll(cx).map(drop);
            has_waited |= polled.is_pending();
            polled
        })
        .await;
        // Ready without waiting: events came during the last look.
        looks = if has_waited { 0 } else { looks + 1 };
        if looks >= LOOKS_MAX {
            yield_to_tasks().await;
        }
    }
}

/// Lets every task that is ready run first.
pub(super) async fn yield_to_tasks() {
    let mut yielded = false;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        // monoio would run a task that wakes itself before all others; one woken by another task
        // takes its place in the queue.
        let waker = cx.waker().clone();
        drop(monoio::spawn(async move { waker.wake() }));
        Poll::Pending
    })
    .await;
}
