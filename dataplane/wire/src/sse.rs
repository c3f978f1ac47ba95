//! Server-sent events (WHATWG HTML §9.2), incremental: bytes in, events out, whatever the pieces.

use crate::limits::EVENT_BYTES_MAX;

/// One event as it is dispatched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The type; empty means `message`.
    pub event: Vec<u8>,
    /// The data lines, joined by line feeds.
    pub data: Vec<u8>,
    /// The last id set so far on this stream.
    pub id: Vec<u8>,
    /// A new reconnection time in milliseconds.
    pub retry_ms: Option<u64>,
}

/// An event larger than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {EVENT_BYTES_MAX} bytes")]
pub struct EventTooLarge;

/// Cuts a stream into events. Holds at most one event.
#[derive(Clone, Debug, Default)]
pub struct EventParser {
    line: Vec<u8>,
    pending: Event,
    has_data: bool,
    follows_cr: bool,
    has_begun: bool,
    size: usize,
}

impl EventParser {
    /// Consumes bytes up to the end of the next event, or all of them. Returns how many and the
    /// event, if one is complete.
    ///
    /// # Errors
    /// [`EventTooLarge`]; the stream cannot be read on.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), EventTooLarge> {
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            if std::mem::take(&mut self.follows_cr) && rest.first() == Some(&b'\n') {
                at += 1;
                continue;
            }
            match memchr::memchr2(b'\n', b'\r', rest) {
                None => {
                    self.grow(rest)?;
                    return Ok((input.len(), None));
                }
                Some(end) => {
                    self.grow(rest.get(..end).unwrap_or_default())?;
                    self.follows_cr = rest.get(end) == Some(&b'\r');
                    at += end + 1;
                    if let Some(event) = self.end_line() {
                        return Ok((at, Some(event)));
                    }
                }
            }
        }
        Ok((input.len(), None))
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        self.size += bytes.len();
        if self.size > EVENT_BYTES_MAX {
            return Err(EventTooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let mut text: &[u8] = &line;
        if !std::mem::replace(&mut self.has_begun, true) {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if text.is_empty() {
            return self.dispatch();
        }
        let (name, value) = match memchr::memchr(b':', text) {
            Some(0) => return None,
            Some(colon) => {
                let value = text.get(colon + 1..).unwrap_or_default();
                (text.get(..colon).unwrap_or_default(), value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (text, &[][..]),
        };
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.pending.data.push(b'\n');
                }
                self.pending.data.extend_from_slice(value);
            }
            b"event" => self.pending.event = value.to_vec(),
            b"id" if !value.contains(&0) => self.pending.id = value.to_vec(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                self.pending.retry_ms = text.parse().ok();
            }
            _ => {}
        }
        None
    }

    /// An event without data is not dispatched, and its type is forgotten.
    fn dispatch(&mut self) -> Option<Event> {
        self.size = 0;
        let id = self.pending.id.clone();
        let event = std::mem::replace(&mut self.pending, Event { id, ..Event::default() });
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

/// Appends an event with its data, one `data` line per line.
pub fn put_event(out: &mut Vec<u8>, event: &[u8], data: &[u8]) {
    if !event.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event);
        out.push(b'\n');
    }
    for line in data.split(|&byte| byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = EventParser::default();
        let mut events = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (consumed, event) = parser.feed(rest).unwrap();
                events.extend(event);
                rest = &rest[consumed..];
            }
        }
        events
    }

    #[test]
    fn every_split_point_gives_the_same_events_for_every_line_end() {
        let text = "\u{feff}: comment\nid: 7\nevent: add\ndata: one\ndata:two\ndata\n\n\
                    data: x\n\nevent: forgotten\n\nretry: 250\nid\ndata: last\n\n";
        for ending in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', ending).into_bytes();
            let whole = all(&[&bytes]);
            assert_eq!(whole.len(), 3, "{ending:?}");
            assert_eq!(whole[0].data, b"one\ntwo\n");
            assert_eq!((&whole[0].event[..], &whole[1].id[..]), (&b"add"[..], &b"7"[..]));
            assert_eq!(whole[2].retry_ms, Some(250));
            assert_eq!(whole[2].id, b"");
            for split in 0..bytes.len() {
                assert_eq!(all(&[&bytes[..split], &bytes[split..]]), whole, "split at {split}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(all(&single), whole);
        }
    }

    #[test]
    fn what_is_put_is_read() {
        let mut bytes = Vec::new();
        put_event(&mut bytes, b"note", b"a\nb");
        let events = all(&[&bytes]);
        assert_eq!((&events[0].event[..], &events[0].data[..]), (&b"note"[..], &b"a\nb"[..]));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = EventParser::default();
        let block = [b'x'; 65_536];
        let refused = (0..17).find_map(|_| parser.feed(&block).err());
        assert_eq!(refused, Some(EventTooLarge));
    }
}
