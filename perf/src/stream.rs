//! Reading an event stream as a client does: head, transfer coding, events.
//!
//! Proxies cut the chunks anew, so nothing is taken from where they begin and end.

use std::ops::ControlFlow;

use memchr::memmem;

/// The state of one response with an event stream as its body.
#[derive(Debug)]
pub(crate) struct StreamReader {
    state: State,
    /// A head or an event that has not ended yet.
    partial: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Head,
    /// Until the connection closes.
    Plain,
    ChunkSize(u64),
    /// Bytes of the chunk that are left.
    ChunkData(u64),
    ChunkEnd,
    Done,
}

/// Why a response is not a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The head is not that of a 200.
    Status,
    /// The chunk framing is broken.
    Framing,
    /// The stream came to an end.
    Ended,
}

/// Longest head, and longest event, that is kept.
const PARTIAL_BYTES_MAX: usize = 16 * 1024;

impl StreamReader {
    pub(crate) fn new() -> StreamReader {
        StreamReader { state: State::Head, partial: Vec::new() }
    }

    /// Takes what was received and hands every event that ended in it to `event`, with its empty
    /// line.
    pub(crate) fn read(&mut self, input: &[u8], mut event: impl FnMut(&[u8])) -> Result<(), Fault> {
        let mut rest = input;
        while !rest.is_empty() {
            rest = match self.state {
                State::Head => match self.read_head(rest)? {
                    ControlFlow::Break(body) => body,
                    ControlFlow::Continue(()) => return Ok(()),
                },
                State::Plain => {
                    self.read_body(rest, &mut event)?;
                    return Ok(());
                }
                State::ChunkSize(size) => self.read_size(size, rest)?,
                State::ChunkData(left) => {
                    let count = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (data, after) = rest.split_at(count);
                    self.read_body(data, &mut event)?;
                    let left = left - count as u64;
                    self.state = if left > 0 { State::ChunkData(left) } else { State::ChunkEnd };
                    after
                }
                State::ChunkEnd => match rest {
                    [b'\r', after @ ..] => after,
                    [b'\n', after @ ..] => {
                        self.state = State::ChunkSize(0);
                        after
                    }
                    _ => return Err(Fault::Framing),
                },
                State::Done => return Err(Fault::Ended),
            };
        }
        Ok(())
    }

    fn read_head<'a>(&mut self, input: &'a [u8]) -> Result<ControlFlow<&'a [u8]>, Fault> {
        let before = self.partial.len();
        self.partial.extend_from_slice(input);
        let Some(end) = memmem::find(&self.partial, b"\r\n\r\n") else {
            return if self.partial.len() > PARTIAL_BYTES_MAX {
                Err(Fault::Status)
            } else {
                Ok(ControlFlow::Continue(()))
            };
        };
        let head = self.partial[..end].to_ascii_lowercase();
        if !head.starts_with(b"http/1.1 200") {
            return Err(Fault::Status);
        }
        let chunked = memmem::find(&head, b"\r\ntransfer-encoding: chunked").is_some();
        self.state = if chunked { State::ChunkSize(0) } else { State::Plain };
        self.partial.clear();
        Ok(ControlFlow::Break(input.get(end + 4 - before..).unwrap_or_default()))
    }

    fn read_size<'a>(&mut self, size: u64, input: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (mut size, mut rest) = (size, input);
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            size = match (byte, char::from(byte).to_digit(16)) {
                (b'\r', _) => continue,
                (b'\n', _) => {
                    self.state = if size == 0 { State::Done } else { State::ChunkData(size) };
                    return Ok(rest);
                }
                (_, Some(digit)) if size < 1 << 32 => size * 16 + u64::from(digit),
                _ => return Err(Fault::Framing),
            };
        }
        self.state = State::ChunkSize(size);
        Ok(rest)
    }

    fn read_body(&mut self, data: &[u8], event: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        let mut rest = data;
        if !self.partial.is_empty() {
            let before = self.partial.len();
            self.partial.extend_from_slice(data);
            // The empty line may straddle the cut.
            let Some(end) = find_event(&self.partial, before.saturating_sub(1)) else {
                let fits = self.partial.len() <= PARTIAL_BYTES_MAX;
                return if fits { Ok(()) } else { Err(Fault::Framing) };
            };
            event(&self.partial[..end]);
            self.partial.clear();
            rest = &data[end - before..];
        }
        while let Some(end) = find_event(rest, 0) {
            let (whole, after) = rest.split_at(end);
            event(whole);
            rest = after;
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }
}

/// The end of the first event, its empty line included.
fn find_event(bytes: &[u8], from: usize) -> Option<usize> {
    memmem::find(bytes.get(from..)?, b"\n\n").map(|position| from + position + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        9\r\ndata: a\n\n\r\n4\r\ndata\r\nE\r\n: b\n\ndata: c\n\n\r\n";
    const EVENTS: &[&[u8]] = &[b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"];

    fn events(parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, Fault> {
        let (mut reader, mut events) = (StreamReader::new(), Vec::new());
        for part in parts {
            reader.read(part, |event| events.push(event.to_vec()))?;
        }
        Ok(events)
    }

    #[test]
    fn reads_the_same_events_at_every_split_point() {
        for split in 0..=CHUNKED.len() {
            let (first, second) = CHUNKED.split_at(split);
            assert_eq!(events(&[first, second]).unwrap(), EVENTS, "split at {split}");
        }
        let bytes: Vec<&[u8]> = CHUNKED.chunks(1).collect();
        assert_eq!(events(&bytes).unwrap(), EVENTS);
    }

    #[test]
    fn reads_a_body_that_lasts_until_close() {
        let plain = b"HTTP/1.1 200 OK\r\n\r\ndata: a\n\ndata: b\n\n";
        assert_eq!(events(&[plain]).unwrap(), &EVENTS[..2]);
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(events(&[b"HTTP/1.1 503 No\r\n\r\n"]), Err(Fault::Status));
        let head = &CHUNKED[..47];
        assert_eq!(events(&[head, b"x\r\n"]), Err(Fault::Framing));
        assert_eq!(events(&[head, b"1\r\nab"]), Err(Fault::Framing));
        assert_eq!(events(&[head, b"0\r\n", b"\r\n"]), Err(Fault::Ended));
    }
}
