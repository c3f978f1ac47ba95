//! `perf-load sse-origin`: an event stream for every request.
//!
//! Settings: `--listen ADDRESS`, `--interval-ms COUNT` between two events of a stream (10; 0 sends
//! the first event only and then leaves the stream open), `--streams COUNT` over which the events
//! of one interval are spread evenly (500).
//! Report: `{"events":…,"held":…,"late":…,"streams":…}`: events written, events not written because
//! the socket was full, events more than one interval late, streams open.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::commands::{Commands, Wish};
use crate::connect::listen;
use crate::event::{EVENT_BYTES, Event, now_ns};
use crate::settings::Settings;

const LISTENER: Token = Token(usize::MAX);
const COMMANDS: Token = Token(usize::MAX - 1);
/// Longest sleep between two looks at the sockets, while streams run.
const LOOK: Duration = Duration::from_millis(1);

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(crate) fn run(mut settings: Settings) -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = settings.take("listen", SocketAddr::from(([127, 0, 0, 1], 9000)))?;
    let interval = Duration::from_millis(settings.take("interval-ms", 10)?);
    let spread: u32 = settings.take("streams", 500)?;
    settings.finish()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::from_std(listen(address)?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), COMMANDS)?;
    let commands = Commands::listen(move || drop(waker.wake()));
    let mut origin = Origin {
        listener,
        interval,
        spread: spread.max(1),
        started: Instant::now(),
        opened: 0,
        streams: Vec::new(),
        free: Vec::new(),
        due: VecDeque::new(),
        scratch: Vec::new(),
        counters: Counters::default(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        // With streams to serve the sleep is below, finer than the milliseconds of epoll.
        let patience = (!origin.due.is_empty()).then_some(Duration::ZERO);
        match poll.poll(&mut events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => origin.accept(&poll)?,
                COMMANDS => {}
                Token(index) => origin.hear(index),
            }
        }
        while let Some(wish) = commands.poll() {
            if wish == Wish::Leave {
                return Ok(());
            }
            origin.report();
        }
        let rest = origin.send_due();
        if !origin.due.is_empty() && !rest.is_zero() {
            std::thread::sleep(rest.min(LOOK));
        }
    }
}

struct Origin {
    listener: TcpListener,
    interval: Duration,
    spread: u32,
    started: Instant,
    opened: u32,
    streams: Vec<Option<Stream>>,
    free: Vec<usize>,
    /// When which stream has its next event, in order; all streams have one interval, so a stream
    /// goes to the back after its event.
    due: VecDeque<(Instant, usize, u32)>,
    scratch: Vec<u8>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    events: u64,
    held: u64,
    late: u64,
}

struct Stream {
    socket: TcpStream,
    /// The request as far as it came; unused once the stream runs.
    request: Vec<u8>,
    /// Tells this stream from an earlier one of the same index.
    id: u32,
    running: bool,
    next_seq: u64,
    unsent: Vec<u8>,
}

impl Origin {
    fn accept(&mut self, poll: &Poll) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                self.streams.push(None);
                self.streams.len() - 1
            });
            poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
            let id = self.opened;
            self.opened = self.opened.wrapping_add(1);
            let (request, unsent) = (Vec::new(), Vec::new());
            let stream = Stream { socket, request, id, running: false, next_seq: 0, unsent };
            if let Some(slot) = self.streams.get_mut(index) {
                *slot = Some(stream);
            }
        }
    }

    /// Reads a request, or notices that the client has left.
    fn hear(&mut self, index: usize) {
        let Some(Some(stream)) = self.streams.get_mut(index) else {
            return;
        };
        match stream.hear() {
            Heard::More => {}
            Heard::Request => self.start(index),
            Heard::End => self.close(index),
        }
    }

    fn start(&mut self, index: usize) {
        let Some(Some(stream)) = self.streams.get_mut(index) else {
            return;
        };
        stream.running = true;
        stream.unsent.extend_from_slice(HEAD);
        let id = stream.id;
        self.send_event(index);
        if self.interval.is_zero() {
            return;
        }
        // Its place in the interval, so that all streams together send at an even pace.
        let place = self.interval * (id % self.spread) / self.spread;
        let elapsed = self.started.elapsed().as_nanos() / self.interval.as_nanos() + 1;
        let due = self.started + self.interval * elapsed as u32 + place;
        let position = self.due.partition_point(|(other, ..)| *other <= due);
        self.due.insert(position, (due, index, id));
    }

    /// Sends every event that is due; the time until the next one.
    fn send_due(&mut self) -> Duration {
        let mut now = Instant::now();
        while let Some(&(due, index, id)) = self.due.front() {
            if due > now {
                now = Instant::now();
                if due > now {
                    return due - now;
                }
            }
            self.due.pop_front();
            let Some(Some(stream)) = self.streams.get(index) else {
                continue;
            };
            if stream.id != id {
                continue;
            }
            self.counters.late += u64::from(now - due > self.interval);
            self.due.push_back((due + self.interval, index, id));
            self.send_event(index);
        }
        LOOK
    }

    fn send_event(&mut self, index: usize) {
        let Some(Some(stream)) = self.streams.get_mut(index) else {
            return;
        };
        if !stream.unsent.is_empty() && !stream.flush() {
            self.close(index);
            return;
        }
        if !stream.unsent.is_empty() {
            self.counters.held += 1;
            return;
        }
        let event = Event { stream: stream.id.into(), seq: stream.next_seq, sent_ns: now_ns() };
        stream.next_seq += 1;
        self.scratch.clear();
        let _ = write!(self.scratch, "{EVENT_BYTES:x}\r\n");
        event.put(&mut self.scratch);
        self.scratch.extend_from_slice(b"\r\n");
        self.counters.events += 1;
        if !stream.send(&self.scratch) {
            self.close(index);
        }
    }

    fn close(&mut self, index: usize) {
        if let Some(slot) = self.streams.get_mut(index)
            && slot.take().is_some()
        {
            self.free.push(index);
        }
    }

    fn report(&mut self) {
        let Counters { events, held, late } = std::mem::take(&mut self.counters);
        let streams = self.streams.iter().flatten().filter(|stream| stream.running).count();
        println!("{{\"events\":{events},\"held\":{held},\"late\":{late},\"streams\":{streams}}}");
    }
}

enum Heard {
    More,
    Request,
    End,
}

impl Stream {
    fn hear(&mut self) -> Heard {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Heard::End,
                Ok(count) if !self.running => {
                    self.request.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if self.request.ends_with(b"\r\n\r\n") {
                        return Heard::Request;
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::More,
                Err(_) => return Heard::End,
            }
        }
    }

    /// Sends `bytes`, keeping what the socket has no room for; false if the connection is broken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        match self.socket.write(bytes) {
            Ok(written) => self.unsent.extend_from_slice(bytes.get(written..).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(bytes);
            }
            Err(_) => return false,
        }
        true
    }

    fn flush(&mut self) -> bool {
        let unsent = std::mem::take(&mut self.unsent);
        self.send(&unsent)
    }
}
