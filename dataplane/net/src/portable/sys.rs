//! The system calls of this runtime, each behind a function that cannot be misused.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use socket2::SockAddr;

use crate::Instant;

/// Receives into `target`. Zero is the end of the stream, unless `target` is empty.
pub(super) fn recv(fd: BorrowedFd<'_>, target: &mut [u8]) -> io::Result<usize> {
    retried(|| {
        let (start, len) = (target.as_mut_ptr().cast(), target.len());
        // SAFETY: the slice is writable for its length. std's readers would need a type per
        // address family and take no flags.
        unsafe { libc::recv(fd.as_raw_fd(), start, len, libc::MSG_DONTWAIT) }
    })
}

/// Sends one piece; says how much the kernel took.
pub(super) fn send(fd: BorrowedFd<'_>, piece: &[u8]) -> io::Result<usize> {
    retried(|| {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the slice is readable for its length. Called directly for the flags: without
        // NOSIGNAL a peer's reset could end the process.
        unsafe { libc::send(fd.as_raw_fd(), piece.as_ptr().cast(), piece.len(), flags) }
    })
}

/// Sends several pieces in order; says how much the kernel took of their sum.
pub(super) fn send_vectored(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let socket = socket2::SockRef::from(&fd);
    loop {
        match socket.send_vectored_with_flags(pieces, flags) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent,
        }
    }
}

/// Takes a connection off a listening socket: non-blocking, closed on exec.
pub(super) fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let accept_once = |storage, len| {
        // SAFETY: both pointers are to storage that socket2 sized for any address. socket2's own
        // accept leaves the socket blocking, at the price of a second call.
        let fd = unsafe { libc::accept4(fd.as_raw_fd(), storage, len, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: on success accept4 has written an address and its length.
    let (fd, peer) =
        unsafe { SockAddr::try_init(|storage, len| accept_once(storage.cast(), len)) }?;
    Ok((fd, peer.as_socket()))
}

/// Ends our direction of a stream.
pub(super) fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    socket2::SockRef::from(&fd).shutdown(std::net::Shutdown::Write)
}

/// The error waiting on a socket; taken, so that it shows once.
pub(super) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    socket2::SockRef::from(&fd).take_error()
}

/// What happened to a descriptor in a [`ReadySet`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// The key it was added with.
    pub(super) key: u64,
    bits: u32,
}

impl Ready {
    pub(super) fn readable(self) -> bool {
        self.bits & (libc::EPOLLIN as u32) != 0 || self.ended() || self.broken()
    }

    pub(super) fn writable(self) -> bool {
        self.bits & (libc::EPOLLOUT as u32) != 0
    }

    /// The peer has ended its direction, whether or not bytes are still unread.
    pub(super) fn ended(self) -> bool {
        self.bits & (libc::EPOLLRDHUP as u32) != 0
    }

    /// The connection failed, or both directions are ended.
    pub(super) fn broken(self) -> bool {
        self.bits & (libc::EPOLLERR as u32 | libc::EPOLLHUP as u32) != 0
    }
}

/// An edge-triggered epoll set: tells once whenever a descriptor becomes ready.
#[derive(Debug)]
pub(super) struct ReadySet {
    fd: OwnedFd,
}

/// Room for the events of one look at a [`ReadySet`].
pub(super) type ReadyBuffer = Box<[MaybeUninit<libc::epoll_event>]>;

impl ReadySet {
    pub(super) fn new() -> io::Result<ReadySet> {
        // SAFETY: takes no pointer.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(ReadySet { fd })
    }

    /// A second descriptor of the set, readable while an event waits.
    pub(super) fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Watches `fd` in both directions until it is closed. What is ready already is told too.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        let (set, fd) = (self.fd.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is valid for the call, which only reads it. Readiness of raw sockets has
        // no safe wrapper in std.
        checked(unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// Takes the events that wait now, without waiting for more.
    pub(super) fn take(&self, buffer: &mut ReadyBuffer) -> io::Result<impl Iterator<Item = Ready>> {
        let room = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
        let count = retried(|| {
            let target = buffer.as_mut_ptr().cast();
            // SAFETY: `target` has room for `room` events.
            let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), target, room, 0) };
            count as isize
        })?;
        Ok(buffer.iter().take(count).map(|event| {
            // SAFETY: the kernel wrote the first `count` events.
            let event = unsafe { event.assume_init() };
            Ready { key: event.u64, bits: event.events }
        }))
    }
}

/// One timer of the kernel, on the monotonic clock.
#[derive(Debug)]
pub(super) struct Alarm {
    fd: OwnedFd,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Alarm> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: takes no pointer.
        let fd = checked(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Alarm { fd })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.fd.as_fd()
    }

    /// Rings at `at`, at once if that has passed; replaces what was set before.
    pub(super) fn set(&self, at: Instant) -> io::Result<()> {
        let nanos = at.as_nanos().max(1);
        let at = libc::timespec {
            tv_sec: (nanos / 1_000_000_000) as libc::time_t,
            tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
        };
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = libc::itimerspec { it_interval: once, it_value: at };
        let (fd, absolute) = (self.fd.as_raw_fd(), libc::TFD_TIMER_ABSTIME);
        // SAFETY: `setting` is valid for the call; the old setting is not asked for.
        checked(unsafe { libc::timerfd_settime(fd, absolute, &setting, std::ptr::null_mut()) })?;
        Ok(())
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn retried(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(n) = usize::try_from(call()) {
            return Ok(n);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
