//! Sockets before they belong to a runtime: bound, configured, ready to listen.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::Address;

/// How a listening socket is set up. Accepted sockets inherit these options.
#[derive(Clone, Debug)]
pub struct BindOptions {
    /// Connections the kernel keeps for us before we accept them.
    pub backlog: u32,
    /// One socket per worker on the same address; the kernel spreads connections by hash.
    pub reuse_port: bool,
}

impl Default for BindOptions {
    fn default() -> BindOptions {
        BindOptions { backlog: 4096, reuse_port: true }
    }
}

/// A bound, listening socket on its way to a worker.
#[derive(Debug)]
pub struct BoundSocket {
    fd: Option<OwnedFd>,
    address: Address,
}

impl BoundSocket {
    /// Binds and listens. A unix path left behind by a dead process is replaced; one that somebody
    /// still serves is an error.
    ///
    /// # Errors
    /// What the kernel says, such as `AddrInUse`.
    pub fn bind(address: &Address, options: &BindOptions) -> io::Result<BoundSocket> {
        match address {
            Address::Tcp(at) => bind_tcp(*at, options),
            Address::Unix(path) => bind_unix(path, options),
        }
    }

    /// A socket of the simulated network, which has no descriptor.
    pub fn simulated(address: Address) -> BoundSocket {
        BoundSocket { fd: None, address }
    }

    /// The address bound, with the port the kernel chose if zero was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The same socket once more, for another worker.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<BoundSocket> {
        let fd = self.fd.as_ref().map(OwnedFd::try_clone).transpose()?;
        Ok(BoundSocket { fd, address: self.address.clone() })
    }

    /// The descriptor; `None` in the simulated network.
    pub fn into_fd(self) -> Option<OwnedFd> {
        self.fd
    }
}

impl AsRawFd for BoundSocket {
    /// The descriptor, or -1 in the simulated network.
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

fn bind_tcp(at: SocketAddr, options: &BindOptions) -> io::Result<BoundSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(at);
    Ok(BoundSocket { fd: Some(socket.into()), address: Address::Tcp(bound) })
}

fn bind_unix(path: &Path, options: &BindOptions) -> io::Result<BoundSocket> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    let socket = Socket::from(OwnedFd::from(listener));
    // A second listen(2) only replaces the backlog that std chose.
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(BoundSocket { fd: Some(socket.into()), address: Address::Unix(path.into()) })
}

/// Whether a socket file is there that nobody listens on.
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused
}

/// A socket ready to be connected: non-blocking, with our options.
pub(crate) fn new_for_connect(to: &Address) -> io::Result<Socket> {
    match to {
        Address::Tcp(at) => {
            let socket = Socket::new(Domain::for_address(*at), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        }
        Address::Unix(_) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        }
    }
}

/// Keeps delayed ACKs on a connected socket; see [`crate::ConnectOptions::delayed_ack`]. Before the
/// handshake is over the kernel would forget it. Refusals, as of unix sockets, cost nothing.
pub(crate) fn delay_acks(socket: &impl std::os::fd::AsFd) {
    let _ = socket2::SockRef::from(socket).set_tcp_quickack(false);
}

/// Lets closing a TCP socket reset it, whatever is queued.
pub(crate) fn reset_on_close(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO))
}

/// The kernel's form of an address.
pub(crate) fn kernel_address(to: &Address) -> io::Result<SockAddr> {
    match to {
        Address::Tcp(at) => Ok(SockAddr::from(*at)),
        Address::Unix(path) => SockAddr::unix(path),
    }
}

/// The peer of a connected socket; `None` for unix sockets and sockets already broken.
pub(crate) fn peer_of(socket: &impl std::os::fd::AsFd) -> Option<SocketAddr> {
    socket2::SockRef::from(socket).peer_addr().ok()?.as_socket()
}
