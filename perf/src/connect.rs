//! Listening, and connecting from more than one loopback address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

/// Connections opened from one source address before the next is used. Below the 28,232 ports of
/// Linux's default ephemeral range, so that every connection finds a port.
const PER_SOURCE: u32 = 20_000;

/// Source addresses start here: 127.0.0.1 is left to everybody else.
const FIRST_SOURCE: u32 = 0x7f00_0002;

/// A non-blocking listener with a backlog for bursts of connections; accepted sockets inherit
/// TCP_NODELAY.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Connection number `index` to `address`, blocking. To a loopback address it comes from a source
/// address of its own for each 20,000 connections.
pub(crate) fn connect(address: SocketAddr, index: u32) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv4() && address.ip().is_loopback() {
        // The port is chosen when the destination is known. One chosen by `bind` would be lost to
        // every connection from whatever address, those of the proxy to its origin included.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        let source = Ipv4Addr::from_bits(FIRST_SOURCE + index / PER_SOURCE);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
