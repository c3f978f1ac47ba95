//! # header_edit
//!
//! **What**: sets, adds and removes fields of requests and answers.
//! **Stage**: normalize. **Asks**: nothing. **Limits**: fields that frame the message or concern one
//! connection cannot be edited. **Spec**: RFC 9110 §5.
//!
//! ```yaml
//! - { filter: header_edit, request: { set: { x-env: prod }, remove: [ x-debug ] } }
//! ```

use wire::FieldId;

use crate::chain::{Filter, FilterError, Stage};
use crate::{Edits, RequestView, ResponseView};

/// The name in the configuration.
pub const NAME: &str = "header_edit";

/// Changes to one head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Fields that replace all others of their name.
    pub set: Vec<(String, String)>,
    /// Fields added to those there are.
    pub add: Vec<(String, String)>,
    /// Names of fields to remove.
    pub remove: Vec<String>,
}

/// What is edited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Changes to the request.
    pub request: Changes,
    /// Changes to the answer.
    pub response: Changes,
}

/// The compiled filter.
#[derive(Debug)]
pub struct HeaderEdit {
    config: Config,
}

impl HeaderEdit {
    /// Checks names and values.
    ///
    /// # Errors
    /// [`FilterError`] for the first one that cannot be.
    pub fn compile(config: &Config) -> Result<HeaderEdit, FilterError> {
        for changes in [&config.request, &config.response] {
            changes.remove.iter().try_for_each(|name| check_name(name))?;
            for (name, value) in changes.set.iter().chain(&changes.add) {
                check_name(name)?;
                let is_value = value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..));
                if !is_value || value.trim_ascii() != value {
                    return Err(FilterError::Value(name.clone()));
                }
            }
        }
        Ok(HeaderEdit { config: config.clone() })
    }
}

impl Filter for HeaderEdit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stage(&self) -> Stage {
        Stage::Normalize
    }

    fn on_request(&self, _: &RequestView<'_>, edits: &mut Edits) {
        self.config.request.apply(edits);
    }

    fn on_response(&self, _: &ResponseView<'_>, edits: &mut Edits) {
        self.config.response.apply(edits);
    }
}

impl Changes {
    fn apply(&self, edits: &mut Edits) {
        for name in &self.remove {
            edits.remove(name.as_bytes());
        }
        for (name, value) in &self.set {
            edits.set(name.as_bytes(), value.as_bytes());
        }
        for (name, value) in &self.add {
            edits.add(name.as_bytes(), value.as_bytes());
        }
    }
}

fn check_name(name: &str) -> Result<(), FilterError> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(FilterError::Name(name.to_owned()));
    }
    let id = FieldId::from_name(name.as_bytes());
    if id.is_hop_by_hop() || matches!(id, FieldId::ContentLength | FieldId::Expect) {
        return Err(FilterError::Managed(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Config {
        let request =
            Changes { set: vec![(name.to_owned(), value.to_owned())], ..Changes::default() };
        Config { request, ..Config::default() }
    }

    #[test]
    fn edits_what_it_is_told_to() {
        let head = wire::RequestHead::default();
        let view = RequestView { head: &head, bytes: b"", client_ip: None, request_id: b"" };
        let mut edits = Edits::default();
        HeaderEdit::compile(&set("X-Env", "prod")).unwrap().on_request(&view, &mut edits);
        assert_eq!(edits.appended().collect::<Vec<_>>(), [(&b"X-Env"[..], &b"prod"[..])]);
    }

    #[test]
    fn refuses_names_and_values_that_would_break_the_message() {
        for name in ["Content-Length", "transfer-encoding", "Connection", "Upgrade", "TE"] {
            let refused = HeaderEdit::compile(&set(name, "x")).unwrap_err();
            assert_eq!(refused, FilterError::Managed(name.to_owned()));
        }
        for name in ["", "a b", "a:b", "a\r\n", "é"] {
            assert!(matches!(HeaderEdit::compile(&set(name, "x")), Err(FilterError::Name(_))));
        }
        for value in ["a\r\nb: c", "\0", "\x7f", " a", "a\t"] {
            assert!(matches!(HeaderEdit::compile(&set("a", value)), Err(FilterError::Value(_))));
        }
    }
}
