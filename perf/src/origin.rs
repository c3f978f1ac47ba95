//! `perf-load origin`: the same HTTP/1.1 answer to every head.
//!
//! Settings: `--listen ADDRESS`, `--body-bytes COUNT` (256).
//! Report: `{"requests":…,"connections":…}`, requests since the report before.
//!
//! A request is the empty line that ends its head: heads are counted, not parsed, and bodies are
//! not understood. Pipelined requests are answered in one write.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use memchr::memmem::Finder;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::commands::{Commands, Wish};
use crate::connect::listen;
use crate::settings::Settings;

const LISTENER: Token = Token(usize::MAX);
const COMMANDS: Token = Token(usize::MAX - 1);
const READ_BYTES: usize = 64 * 1024;
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

pub(crate) fn run(mut settings: Settings) -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = settings.take("listen", SocketAddr::from(([127, 0, 0, 1], 9000)))?;
    let body_bytes: usize = settings.take("body-bytes", 256)?;
    settings.finish()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::from_std(listen(address)?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), COMMANDS)?;
    let commands = Commands::listen(move || drop(waker.wake()));
    let mut origin = Origin {
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        answer: answer(body_bytes),
        head_end: Finder::new(HEAD_END),
        requests: 0,
    };
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Events::with_capacity(1024);
    loop {
        wait(&mut poll, &mut events)?;
        for event in &events {
            match event.token() {
                LISTENER => origin.accept(&poll)?,
                COMMANDS => {
                    while let Some(wish) = commands.poll() {
                        if wish == Wish::Leave {
                            return Ok(());
                        }
                        origin.report();
                    }
                }
                Token(index) => origin.serve(index, &mut buffer, &poll)?,
            }
        }
    }
}

/// Waits for events; an interruption by a signal is none.
pub(crate) fn wait(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    match poll.poll(events, None) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

struct Origin {
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    answer: Vec<u8>,
    head_end: Finder<'static>,
    requests: u64,
}

struct Connection {
    stream: TcpStream,
    /// How much of the empty line the last read ended with.
    matched: usize,
    /// Answers the socket had no room for.
    unsent: Vec<u8>,
}

impl Origin {
    fn accept(&mut self, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            let connection = Connection { stream, matched: 0, unsent: Vec::new() };
            if let Some(slot) = self.connections.get_mut(index) {
                *slot = Some(connection);
            }
        }
    }

    fn serve(&mut self, index: usize, buffer: &mut [u8], poll: &Poll) -> io::Result<()> {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let alive = connection.flush() && {
            let requests = connection.read(buffer, &self.head_end);
            self.requests += requests.unwrap_or(0);
            requests.is_some_and(|count| connection.answer(count, &self.answer))
        };
        if !alive {
            self.connections[index] = None;
            self.free.push(index);
            return Ok(());
        }
        // Re-registered only around a full socket, which the measured workloads never meet.
        let blocked = !connection.unsent.is_empty();
        if blocked {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().reregister(&mut connection.stream, Token(index), both)?;
        }
        Ok(())
    }

    fn report(&mut self) {
        let open = self.connections.len() - self.free.len();
        println!("{{\"requests\":{},\"connections\":{open}}}", self.requests);
        self.requests = 0;
    }
}

impl Connection {
    /// Reads what there is and counts the heads that ended in it; `None` at the end of the stream.
    fn read(&mut self, buffer: &mut [u8], head_end: &Finder<'_>) -> Option<u64> {
        let mut requests = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return None,
                Ok(count) => {
                    requests += count_heads(buffer.get(..count)?, &mut self.matched, head_end);
                    // A short read emptied the socket; the next edge will come by itself.
                    if count < buffer.len() {
                        return Some(requests);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(requests),
                Err(_) => return None,
            }
        }
    }

    fn answer(&mut self, count: u64, answer: &[u8]) -> bool {
        if count == 1 && self.unsent.is_empty() {
            match self.stream.write(answer) {
                Ok(written) => self.unsent.extend_from_slice(&answer[written..]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(answer);
                }
                Err(_) => return false,
            }
            return true;
        }
        (0..count).for_each(|_| self.unsent.extend_from_slice(answer));
        self.flush()
    }

    /// Sends what waits; false if the connection is broken.
    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// Counts the ends of heads in `bytes`; `matched` carries a beginning of one over to the next read.
fn count_heads(bytes: &[u8], matched: &mut usize, head_end: &Finder<'_>) -> u64 {
    let mut count = 0;
    let mut rest = bytes;
    while *matched > 0 {
        let Some((&byte, after)) = rest.split_first() else {
            return count;
        };
        if byte == HEAD_END[*matched] {
            *matched += 1;
            rest = after;
        } else {
            // This byte may begin an empty line of its own, which the search below then finds.
            *matched = 0;
        }
        if *matched == HEAD_END.len() {
            *matched = 0;
            count += 1;
        }
    }
    while let Some(position) = head_end.find(rest) {
        count += 1;
        rest = rest.get(position + HEAD_END.len()..).unwrap_or_default();
    }
    *matched = (1..HEAD_END.len()).rev().find(|&n| rest.ends_with(&HEAD_END[..n])).unwrap_or(0);
    count
}

fn answer(body_bytes: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body_bytes}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + body_bytes, b'x');
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPELINE: &[u8] =
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: \r\r\r\n\r\n";

    fn count(parts: &[&[u8]]) -> u64 {
        let finder = Finder::new(HEAD_END);
        let mut matched = 0;
        parts.iter().map(|part| count_heads(part, &mut matched, &finder)).sum()
    }

    #[test]
    fn counts_the_heads_of_a_pipeline_at_every_split_point() {
        for split in 0..=PIPELINE.len() {
            let (first, second) = PIPELINE.split_at(split);
            assert_eq!(count(&[first, second]), 2, "split at {split}");
        }
    }

    #[test]
    fn counts_the_heads_of_a_pipeline_byte_by_byte() {
        let bytes: Vec<&[u8]> = PIPELINE.chunks(1).collect();
        assert_eq!(count(&bytes), 2);
    }

    #[test]
    fn answers_with_the_length_it_names() {
        let answer = answer(256);
        let head = Finder::new(HEAD_END).find(&answer).unwrap() + HEAD_END.len();
        assert_eq!(answer.len() - head, 256);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
