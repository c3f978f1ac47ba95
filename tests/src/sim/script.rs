//! What is asked, what an origin does about it, and what must come of it. A request carries its
//! script in its path, so an origin needs no memory and a retried request is the same again.

use net::Net;
use net::sim::SimNet;

/// What the origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A body with its length.
    Fixed,
    /// A body in chunks.
    Chunked,
    /// Chunks with pauses between them, as server-sent events come.
    Events,
    /// A body that ends with the connection.
    UntilClose,
    /// Interim answers first.
    Interim,
    /// 204.
    NoContent,
    /// 304 with the length of what it does not send.
    NotModified,
    /// A whole answer, and then the connection is closed without a word.
    CloseAfter,
    /// An answer before the request's body was read.
    Early,
    /// 101 and an echo, if an upgrade was asked for.
    Upgrade,
    /// 101 although nobody asked.
    UpgradeUnasked,
    /// A part of the body, then the end.
    Cut,
    /// A part of a chunked body, then the end.
    CutChunked,
    /// A part of the body, then nothing for long.
    Stall,
    /// No answer for long.
    Silence,
    /// Bytes that are no answer.
    Garbage,
    /// A chunk size that is none.
    BadChunk,
    /// The end instead of an answer.
    Hangup,
}

const ACTS: [Act; 18] = [
    Act::Fixed,
    Act::Chunked,
    Act::Events,
    Act::UntilClose,
    Act::Interim,
    Act::NoContent,
    Act::NotModified,
    Act::CloseAfter,
    Act::Early,
    Act::Upgrade,
    Act::UpgradeUnasked,
    Act::Cut,
    Act::CutChunked,
    Act::Stall,
    Act::Silence,
    Act::Garbage,
    Act::BadChunk,
    Act::Hangup,
];

impl Act {
    /// Whether an origin that does this answers whole.
    pub fn is_good(self) -> bool {
        (self as usize) <= Act::Upgrade as usize
    }
}

/// How the request's own body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// It has none.
    Nothing,
    /// With its length.
    Fixed(usize),
    /// In chunks.
    Chunked(usize),
}

/// One request and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Unique within a run; never zero.
    pub id: u64,
    /// What the origin does.
    pub act: Act,
    /// Bytes of the answer's body.
    pub bytes: usize,
    /// The request's own body.
    pub upload: Upload,
    /// HEAD instead of GET.
    pub is_head: bool,
    /// HTTP/1.0 instead of HTTP/1.1.
    pub is_old: bool,
}

/// A size that finds the edges of buffers.
fn size(net: &SimNet) -> usize {
    let random = net.random() as usize;
    match random % 16 {
        0 => 0,
        1 => 1,
        2..8 => random / 16 % 300,
        8..11 => 4096 - 300 + random / 16 % 600,
        11..15 => random / 16 % 30_000,
        _ => 60_000 + random / 16 % 200_000,
    }
}

impl Ask {
    /// A random request. With `is_tame` the origin does nothing wrong.
    pub fn draw(net: &SimNet, id: u64, is_tame: bool) -> Ask {
        let random = net.random() as usize;
        let good = Act::Upgrade as usize + 1;
        let act = match (is_tame, random % 3) {
            (true, _) | (false, 0 | 1) => ACTS[random / 3 % good],
            _ => ACTS[random / 3 % ACTS.len()],
        };
        let upload = match random / 64 % 8 {
            _ if act == Act::Upgrade => Upload::Nothing,
            0 | 1 => Upload::Fixed(size(net)),
            2 => Upload::Chunked(size(net)),
            _ => Upload::Nothing,
        };
        let is_plain = upload == Upload::Nothing && act != Act::Upgrade;
        Ask {
            id,
            act,
            bytes: size(net),
            upload,
            is_head: is_plain && act.is_good() && (random / 512).is_multiple_of(8),
            is_old: is_plain && (random / 4096).is_multiple_of(12),
        }
    }

    /// Reads the script of a request's target.
    pub fn parse(method: &str, target: &str) -> Option<Ask> {
        let mut parts = target.strip_prefix("/e/")?.split('/').map(str::parse::<usize>);
        let mut next = || parts.next()?.ok();
        let (id, act, bytes) = (next()? as u64, next()?, next()?);
        let act = *ACTS.get(act)?;
        let is_head = method == "HEAD";
        Some(Ask { id, act, bytes, upload: Upload::Nothing, is_head, is_old: false })
    }

    /// The request's target.
    pub fn target(&self) -> String {
        format!("/e/{}/{}/{}", self.id, self.act as usize, self.bytes)
    }

    /// The request's head and body as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let method = match (self.upload, self.is_head) {
            (Upload::Nothing, true) => "HEAD",
            (Upload::Nothing, false) => "GET",
            _ => "POST",
        };
        let version = if self.is_old { "1.0" } else { "1.1" };
        let mut out = format!("{method} {} HTTP/{version}\r\nHost: sim\r\n", self.target());
        match self.upload {
            Upload::Nothing if self.act == Act::Upgrade => {
                out.push_str("Connection: Upgrade\r\nUpgrade: echo\r\n\r\n");
                out.into_bytes()
            }
            Upload::Nothing => {
                out.push_str("\r\n");
                out.into_bytes()
            }
            Upload::Fixed(bytes) => {
                out.push_str(&format!("Content-Length: {bytes}\r\n\r\n"));
                [out.into_bytes(), content(!self.id, bytes)].concat()
            }
            Upload::Chunked(bytes) => {
                out.push_str("Transfer-Encoding: chunked\r\n\r\n");
                [out.into_bytes(), chunked(&content(!self.id, bytes), 1000)].concat()
            }
        }
    }

    /// The request's body as the origin must get it.
    pub fn uploaded(id: u64, bytes: usize) -> Vec<u8> {
        content(!id, bytes)
    }

    /// The answer's body as the client must get it, if all goes well.
    pub fn expected(&self) -> Vec<u8> {
        let has_none = self.is_head || matches!(self.act, Act::NoContent | Act::NotModified);
        content(self.id, if has_none { 0 } else { self.bytes })
    }
}

/// Bytes that are different for each id and at each place.
pub fn content(id: u64, bytes: usize) -> Vec<u8> {
    let seed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (0..bytes as u64).map(|at| ((seed + at * 7 + at / 251) % 253) as u8).collect()
}

/// The bytes in chunks of at most `most`, with the last one.
pub fn chunked(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(most.max(1)) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
