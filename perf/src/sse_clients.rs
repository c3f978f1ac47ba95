//! `perf-load sse-clients`: opens event streams and checks every event.
//!
//! Settings: `--connect ADDRESS`, `--streams COUNT` (500), `--path PATH` (/events), `--host NAME`.
//! Prints `{"streams":…}` once every stream has given its first event, then one report per line of
//! input: `{"seconds":…,"events":…,"lost":…,"repeated":…,"malformed":…,"closed":…,"reads":…,
//! "gap_max_ms":…,"delay_us":{"p50":…,"p99":…,"p999":…,"max":…}}`. `delay_us` is the time from the
//! origin's write to our read, `gap_max_ms` the longest silence between two events of a stream.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::commands::{Commands, Wish};
use crate::connect::connect;
use crate::delays::Delays;
use crate::event::{Event, now_ns};
use crate::origin::wait;
use crate::settings::Settings;
use crate::stream::StreamReader;

const COMMANDS: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;

pub(crate) fn run(mut settings: Settings) -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = settings.take("connect", SocketAddr::from(([127, 0, 0, 1], 8080)))?;
    let streams: u32 = settings.take("streams", 500)?;
    let path: String = settings.take("path", "/events".into())?;
    let host: String = settings.take("host", "bench.example".into())?;
    settings.finish()?;
    let request = request(&path, &host);
    let mut poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), COMMANDS)?;
    let commands = Commands::listen(move || drop(waker.wake()));
    let mut clients = Vec::new();
    for index in 0..streams {
        let mut socket = connect(address, index)?;
        socket.write_all(&request)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(index as usize), Interest::READABLE)?;
        clients.push(Client { socket, reader: StreamReader::new(), last: None, open: true });
    }
    let mut tally = Tally::new();
    let mut silent = streams;
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Events::with_capacity(1024);
    loop {
        wait(&mut poll, &mut events)?;
        for event in &events {
            if let Some(client) = clients.get_mut(event.token().0) {
                let heard_before = client.last.is_some();
                client.read(&mut buffer, &mut tally);
                silent -= u32::from(client.last.is_some() && !heard_before);
                if silent == 0 {
                    silent = u32::MAX;
                    println!("{{\"streams\":{streams}}}");
                }
            }
        }
        while let Some(wish) = commands.poll() {
            if wish == Wish::Leave {
                return Ok(());
            }
            tally.report();
            tally = Tally::new();
        }
    }
}

/// The request of a stream, as a browser's EventSource would send it.
pub(crate) fn request(path: &str, host: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n").into_bytes()
}

struct Client {
    socket: TcpStream,
    reader: StreamReader,
    /// The last event, and when it was read.
    last: Option<(Event, u64)>,
    open: bool,
}

impl Client {
    fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) {
        while self.open {
            match self.socket.read(buffer) {
                Ok(0) => self.close(tally),
                Ok(count) => {
                    tally.reads += 1;
                    let (now, last) = (now_ns(), &mut self.last);
                    let input = buffer.get(..count).unwrap_or_default();
                    let outcome = self.reader.read(input, |event| tally.judge(event, last, now));
                    if outcome.is_err() {
                        tally.malformed += 1;
                        self.close(tally);
                    }
                    // A short read emptied the socket; the next edge will come by itself.
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.close(tally),
            }
        }
    }

    fn close(&mut self, tally: &mut Tally) {
        self.open = false;
        tally.closed += 1;
    }
}

/// What was seen since the last report.
struct Tally {
    since: Instant,
    events: u64,
    lost: u64,
    repeated: u64,
    malformed: u64,
    closed: u64,
    reads: u64,
    gap_max_ns: u64,
    delays: Delays,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            since: Instant::now(),
            events: 0,
            lost: 0,
            repeated: 0,
            malformed: 0,
            closed: 0,
            reads: 0,
            gap_max_ns: 0,
            delays: Delays::new(),
        }
    }

    fn judge(&mut self, bytes: &[u8], last: &mut Option<(Event, u64)>, now: u64) {
        let Some(event) = Event::parse(bytes) else {
            self.malformed += 1;
            return;
        };
        self.events += 1;
        self.delays.record(now.saturating_sub(event.sent_ns));
        if let Some((before, read)) = *last {
            self.gap_max_ns = self.gap_max_ns.max(now.saturating_sub(read));
            let expected = before.seq + 1;
            // An event of another stream is one of ours lost and one of theirs misled.
            if event.stream != before.stream {
                self.malformed += 1;
            } else if event.seq < expected {
                self.repeated += 1;
            } else {
                self.lost += event.seq - expected;
            }
        }
        *last = Some((event, now));
    }

    fn report(&self) {
        let Tally { events, lost, repeated, malformed, closed, reads, .. } = self;
        let seconds = self.since.elapsed().as_secs_f64();
        let gap_max_ms = self.gap_max_ns as f64 / 1e6;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| self.delays.percentile_us(share));
        let max = self.delays.max_us();
        println!(
            "{{\"seconds\":{seconds:.6},\"events\":{events},\"lost\":{lost},\
             \"repeated\":{repeated},\"malformed\":{malformed},\"closed\":{closed},\
             \"reads\":{reads},\"gap_max_ms\":{gap_max_ms:.3},\"delay_us\":{{\"p50\":{p50:.1},\
             \"p99\":{p99:.1},\"p999\":{p999:.1},\"max\":{max:.1}}}}}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(seqs: &[u64]) -> Tally {
        let (mut tally, mut last) = (Tally::new(), None);
        for &seq in seqs {
            let mut bytes = Vec::new();
            Event { stream: 1, seq, sent_ns: 1_000 }.put(&mut bytes);
            tally.judge(&bytes, &mut last, 2_000 + seq);
        }
        tally
    }

    #[test]
    fn a_stream_in_order_loses_nothing() {
        let tally = judge(&[4, 5, 6]);
        assert_eq!((tally.events, tally.lost, tally.repeated), (3, 0, 0));
    }

    #[test]
    fn a_missing_event_is_lost_and_a_second_one_repeated() {
        let tally = judge(&[0, 3, 3, 4]);
        assert_eq!((tally.lost, tally.repeated, tally.malformed), (2, 1, 0));
    }

    #[test]
    fn an_event_of_another_stream_is_malformed() {
        let (mut tally, mut last) = (Tally::new(), None);
        for stream in [1, 2] {
            let mut bytes = Vec::new();
            Event { stream, seq: stream, sent_ns: 0 }.put(&mut bytes);
            tally.judge(&bytes, &mut last, 0);
        }
        assert_eq!(tally.malformed, 1);
    }
}
