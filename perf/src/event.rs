//! The events that are streamed: of one length, with everything a reader needs to judge them.
//!
//!     data: {"stream":000017,"seq":0000000042,"sent":1764000000000000000,"text":"uvwxyz…"}
//!
//! `sent` is the wall clock in nanoseconds when the event was written: both ends run on one host.

use std::time::SystemTime;

/// Bytes of an event with its empty line: that of a short token delta of a chat completion.
pub(crate) const EVENT_BYTES: usize = 180;
/// Digits of a sequence number; a stream of 100 events a second lasts three years.
const SEQ_DIGITS: usize = 10;

const STREAM: &[u8] = b"data: {\"stream\":";
const SEQ: &[u8] = b",\"seq\":";
const SENT: &[u8] = b",\"sent\":";
const TEXT: &[u8] = b",\"text\":\"";
const END: &[u8] = b"\"}\n\n";
const STREAM_DIGITS: usize = 6;
const SENT_DIGITS: usize = 19;
const TEXT_BYTES: usize = EVENT_BYTES
    - (STREAM.len() + STREAM_DIGITS + SEQ.len() + SEQ_DIGITS)
    - (SENT.len() + SENT_DIGITS + TEXT.len() + END.len());

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) stream: u64,
    pub(crate) seq: u64,
    pub(crate) sent_ns: u64,
}

impl Event {
    /// Appends the event to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(STREAM);
        put_digits(out, self.stream, STREAM_DIGITS);
        out.extend_from_slice(SEQ);
        put_digits(out, self.seq, SEQ_DIGITS);
        out.extend_from_slice(SENT);
        put_digits(out, self.sent_ns, SENT_DIGITS);
        out.extend_from_slice(TEXT);
        out.extend_from_slice(text(self.seq));
        out.extend_from_slice(END);
    }

    /// Reads one event with its empty line; `None` if a byte of it is not as it was sent.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Event> {
        let rest = bytes.strip_prefix(STREAM)?;
        let (stream, rest) = take_digits(rest, STREAM_DIGITS)?;
        let (seq, rest) = take_digits(rest.strip_prefix(SEQ)?, SEQ_DIGITS)?;
        let (sent_ns, rest) = take_digits(rest.strip_prefix(SENT)?, SENT_DIGITS)?;
        let rest = rest.strip_prefix(TEXT)?.strip_prefix(text(seq))?;
        (rest == END).then_some(Event { stream, seq, sent_ns })
    }
}

/// The wall clock, nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// The filler of event `seq`: the alphabet from another letter on, so that a mix-up shows.
fn text(seq: u64) -> &'static [u8] {
    const LETTERS: [u8; TEXT_BYTES + 26] = {
        let mut letters = [0; TEXT_BYTES + 26];
        let mut index = 0;
        while index < letters.len() {
            letters[index] = b'a' + (index % 26) as u8;
            index += 1;
        }
        letters
    };
    let start = (seq % 26) as usize;
    &LETTERS[start..start + TEXT_BYTES]
}

fn put_digits(out: &mut Vec<u8>, mut value: u64, digits: usize) {
    let start = out.len();
    out.resize(start + digits, b'0');
    for digit in out.iter_mut().skip(start).rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn take_digits(bytes: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_at_checked(digits)?;
    let mut value = 0u64;
    for digit in number {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
    }
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: Event = Event { stream: 17, seq: 1234, sent_ns: 1_764_000_000_123_456_789 };

    #[test]
    fn reads_what_it_wrote_and_keeps_the_length() {
        let mut bytes = Vec::new();
        EVENT.put(&mut bytes);
        assert_eq!(bytes.len(), EVENT_BYTES);
        assert_eq!(Event::parse(&bytes), Some(EVENT));
    }

    #[test]
    fn a_change_of_any_byte_shows() {
        let mut bytes = Vec::new();
        EVENT.put(&mut bytes);
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert_ne!(Event::parse(&bytes), Some(EVENT), "byte {index}");
            bytes[index] ^= 1;
        }
        assert_eq!(Event::parse(&bytes[1..]), None);
        assert_eq!(Event::parse(&bytes[..EVENT_BYTES - 1]), None);
    }
}
