//! Places in a buffer, as offsets, so that they stay true when the buffer moves.

/// The bytes from `start` to `end` of some buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// No bytes.
    pub const EMPTY: Span = Span { start: 0, end: 0 };

    /// The span's bytes in `buf`; empty if it does not lie within.
    pub fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Bytes in the span.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The span of `part`, which must be a slice of `buf`; empty if it is not.
    pub(crate) fn within(buf: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr().addr()).wrapping_sub(buf.as_ptr().addr());
        if start > buf.len() || part.len() > buf.len() - start {
            return Span::EMPTY;
        }
        Span { start: start as u32, end: (start + part.len()) as u32 }
    }
}
