//! Parameters of a request's query.

/// The query's text; empty if there is none.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) &'a [u8]);

impl<'a> Query<'a> {
    /// The value of the first parameter with this name, as it came.
    pub(crate) fn find(self, name: &str) -> Option<&'a [u8]> {
        self.0.split(|&byte| byte == b'&').find_map(|pair| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let is_it = parts.next() == Some(name.as_bytes());
            is_it.then(|| parts.next().unwrap_or_default())
        })
    }

    /// A number; `default` if it is missing or none, `max` if it is larger.
    pub(crate) fn number(self, name: &str, default: u64, max: u64) -> u64 {
        self.find(name).and_then(number).unwrap_or(default).min(max)
    }

    /// The value with its percent-encoding removed.
    pub(crate) fn decoded(self, name: &str) -> Option<Vec<u8>> {
        self.find(name).map(percent_decoded)
    }
}

/// A decimal number and nothing else.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_numbers_and_bounds_them() {
        let query = Query(b"a=1&ms=250&big=99999999999999999999&empty=&flag");
        assert_eq!(query.number("ms", 7, 1000), 250);
        assert_eq!(query.number("ms", 7, 100), 100);
        assert_eq!(query.number("big", 7, 1000), 7);
        assert_eq!(query.number("none", 7, 1000), 7);
        assert_eq!(query.find("empty"), Some(&b""[..]));
        assert_eq!(query.find("flag"), Some(&b""[..]));
        assert_eq!(number(b"+5"), None);
    }

    #[test]
    fn decodes_percent_and_leaves_broken_ones() {
        assert_eq!(Query(b"to=%2fa%20b%zz%4").decoded("to").unwrap(), b"/a b%zz%4");
    }
}
