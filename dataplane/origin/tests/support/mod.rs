//! An origin on a thread of its own, and a client made of a plain socket.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use net::portable::{Driver, Runtime};
use net::{Address, BindOptions, BoundSocket, Options};

/// Longest that any test waits for a byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where this program's origin listens; started with the first call.
pub(crate) fn origin() -> SocketAddr {
    static STARTED: OnceLock<SocketAddr> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let any = Address::Tcp(([127, 0, 0, 1], 0).into());
        let socket = BoundSocket::bind(&any, &BindOptions::default()).unwrap();
        let Address::Tcp(address) = *socket.address() else { panic!("bound to TCP") };
        let settings =
            origin::Settings { name: "test".to_owned(), token_interval: Duration::from_millis(1) };
        std::thread::spawn(move || {
            let runtime = Runtime::new(Options::default(), Driver::Legacy).unwrap();
            runtime.run(|net| origin::serve(net, vec![socket], settings));
        });
        address
    })
}

/// A connection that has sent these bytes.
pub(crate) fn connect(sent: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(origin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent.as_ref()).unwrap();
    stream
}

/// An answer, as far as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The content, without the framing of chunks.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
    /// Whether the body came to the end that its framing announced.
    pub(crate) is_whole: bool,
}

impl Received {
    /// The value of a field, which is given in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Reads one head, its empty line included.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "a head: {:?}", head.escape_ascii());
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).unwrap()
}

/// Reads one answer to a request other than HEAD.
pub(crate) fn read_answer(stream: &mut impl Read) -> Received {
    let head = read_head(stream);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut received =
        Received { status, head, body: Vec::new(), trailers: String::new(), is_whole: false };
    if let Some(length) = received.field("content-length") {
        let length: usize = length.parse().unwrap();
        received.is_whole = read_exactly(stream, length, &mut received.body);
    } else if received.field("transfer-encoding") == Some("chunked") {
        read_chunks(stream, &mut received);
    } else if matches!(status, 204 | 304 | 100..=199) {
        received.is_whole = true;
    } else {
        received.is_whole = stream.read_to_end(&mut received.body).is_ok();
    }
    received
}

fn read_exactly(stream: &mut impl Read, length: usize, body: &mut Vec<u8>) -> bool {
    let _ = stream.take(length as u64).read_to_end(body);
    body.len() == length
}

fn read_chunks(stream: &mut impl Read, received: &mut Received) {
    let mut decoder = wire::h1::ChunkedDecoder::default();
    let mut byte = [0];
    while !decoder.is_done() {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        let step = decoder.decode(&byte).unwrap();
        received.body.extend_from_slice(&byte[step.data]);
    }
    received.trailers = String::from_utf8(decoder.trailers().to_vec()).unwrap();
    received.is_whole = true;
}

/// One exchange: `start` is method and target, `fields` whole lines.
pub(crate) fn ask(start: &str, fields: &str, body: impl AsRef<[u8]>) -> Received {
    let body = body.as_ref();
    let mut sent = format!("{start} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{fields}");
    if !body.is_empty() {
        sent.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    sent.push_str("\r\n");
    read_answer(&mut std::io::BufReader::new(connect([sent.as_bytes(), body].concat())))
}

/// A GET.
pub(crate) fn get(target: &str) -> Received {
    ask(&format!("GET {target}"), "", "")
}

/// A POST of JSON.
pub(crate) fn post(target: &str, body: &serde_json::Value) -> Received {
    ask(&format!("POST {target}"), "content-type: application/json\r\n", body.to_string())
}
