//! `perf-load idle`: connections that were used once and now only stay open.
//!
//! Settings: `--connect ADDRESS`, `--count COUNT` (1000), `--kind keepalive|sse`, `--path PATH`,
//! `--host NAME`, `--offset COUNT` of connections that other processes open, so that their source
//! addresses are left to them. Prints `{"open":…,"refused":…}` when all are open, after one whole answer each
//! (kind `keepalive`) or one event each (kind `sse`); then `{"open":…,"closed":…}` for each line of
//! input. A refusal ends the opening: what is open then is what the host allows.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem;

use crate::commands::{Commands, Wish};
use crate::connect::connect;
use crate::settings::Settings;
use crate::sse_clients::request;
use crate::stream::StreamReader;

/// Connections that are opened side by side.
const WAVE: u32 = 128;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    KeepAlive,
    Sse,
}

pub(crate) fn run(mut settings: Settings) -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = settings.take("connect", SocketAddr::from(([127, 0, 0, 1], 8080)))?;
    let count: u32 = settings.take("count", 1000)?;
    let offset: u32 = settings.take("offset", 0)?;
    let kind = match settings.take("kind", String::from("keepalive"))?.as_str() {
        "keepalive" => Kind::KeepAlive,
        "sse" => Kind::Sse,
        other => return Err(format!("--kind {other}: keepalive or sse").into()),
    };
    let path: String = settings.take("path", "/".into())?;
    let host: String = settings.take("host", "bench.example".into())?;
    settings.finish()?;
    let request = request(&path, &host);
    let mut open = Vec::new();
    let mut failure = None;
    while (open.len() as u32) < count && failure.is_none() {
        let first = open.len() as u32;
        let wave = offset + first..offset + count.min(first + WAVE);
        failure = open_wave(wave, address, &request, kind, &mut open).err();
    }
    let refused = count - open.len() as u32;
    if let Some(error) = failure {
        eprintln!("perf-load idle: connection {}: {error}", open.len() + 1);
    }
    // Last, so that who waits for this line finds the reason already written.
    println!("{{\"open\":{},\"refused\":{refused}}}", open.len());
    let commands = Commands::listen(|| {});
    while commands.wait() == Wish::Report {
        let alive = open.iter().filter(|socket| is_open(socket)).count();
        println!("{{\"open\":{alive},\"closed\":{}}}", open.len() - alive);
    }
    Ok(())
}

/// Opens the connections of `indices`; those that got their answer are in `open`, in any event.
fn open_wave(
    indices: std::ops::Range<u32>,
    address: SocketAddr,
    request: &[u8],
    kind: Kind,
    open: &mut Vec<TcpStream>,
) -> io::Result<()> {
    let mut asked = Vec::new();
    let mut outcome = Ok(());
    for index in indices {
        match ask(address, index, request) {
            Ok(socket) => asked.push(socket),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    for mut socket in asked {
        match kind {
            Kind::KeepAlive => read_answer(&mut socket)?,
            Kind::Sse => read_event(&mut socket)?,
        }
        socket.set_nonblocking(true)?;
        open.push(socket);
    }
    outcome
}

fn ask(address: SocketAddr, index: u32, request: &[u8]) -> io::Result<TcpStream> {
    let mut socket = connect(address, index)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request)?;
    Ok(socket)
}

/// Reads one answer of a fixed length.
fn read_answer(socket: &mut TcpStream) -> io::Result<()> {
    let mut answer = Vec::new();
    loop {
        read_more(socket, &mut answer)?;
        if let Some(bytes) = answer_bytes(&answer)? {
            if answer.len() > bytes {
                return Err(io::Error::other("more than one answer to one request"));
            }
            if answer.len() == bytes {
                return Ok(());
            }
        }
    }
}

/// The length of an answer, once its head is there.
fn answer_bytes(answer: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        let status = head.lines().next().unwrap_or_default();
        return Err(io::Error::other(format!("answered with {status}")));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => Ok(Some(end + 4 + length)),
        None => Err(io::Error::other("an answer without a length")),
    }
}

/// Reads until the first event.
fn read_event(socket: &mut TcpStream) -> io::Result<()> {
    let (mut reader, mut events) = (StreamReader::new(), 0);
    while events == 0 {
        let mut part = Vec::new();
        read_more(socket, &mut part)?;
        let outcome = reader.read(&part, |_| events += 1);
        outcome.map_err(|fault| io::Error::other(format!("not an event stream: {fault:?}")))?;
    }
    Ok(())
}

fn read_more(socket: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    match socket.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            into.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(())
        }
    }
}

fn is_open(socket: &TcpStream) -> bool {
    match socket.peek(&mut [0]) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_an_answer_ends() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(answer_bytes(answer).unwrap(), Some(answer.len()));
        assert_eq!(answer_bytes(&answer[..30]).unwrap(), None);
    }

    #[test]
    fn takes_no_other_answer_than_a_good_one_of_known_length() {
        assert!(answer_bytes(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(answer_bytes(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
