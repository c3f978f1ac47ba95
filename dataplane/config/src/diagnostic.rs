//! What is wrong with a document, and where.

use std::fmt;

/// A place in the document; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One problem of a document. Shown as `file:line:column: what; expected what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named to [`crate::load`].
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub what: String,
    /// What would be right; empty where `what` says it all.
    pub expected: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { file, line, column, what, expected } = self;
        write!(f, "{file}:{line}:{column}: {what}")?;
        if expected.is_empty() { Ok(()) } else { write!(f, "; expected {expected}") }
    }
}

impl std::error::Error for Diagnostic {}

/// The most problems reported of one document; what is beyond is counted, not listed.
pub(crate) const DIAGNOSTICS_MAX: usize = 1_000;

/// Collects the problems of one document.
pub(crate) struct Diagnostics {
    file: String,
    found: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    pub(crate) fn new(file: &str) -> Diagnostics {
        Diagnostics { file: file.to_owned(), found: Vec::new(), dropped: 0 }
    }

    /// Adds a problem. `expected` completes the sentence "expected …".
    pub(crate) fn report(
        &mut self,
        place: Place,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) {
        if self.found.len() >= DIAGNOSTICS_MAX {
            self.dropped += 1;
            return;
        }
        self.found.push(Diagnostic {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            what: what.into(),
            expected: expected.into(),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems, in the order of the document.
    pub(crate) fn into_sorted(self) -> Vec<Diagnostic> {
        let Diagnostics { file, mut found, dropped } = self;
        found.sort_by_key(|one| (one.line, one.column));
        if dropped > 0 {
            let (line, column) = found.last().map_or((1, 1), |last| (last.line, last.column));
            found.push(Diagnostic {
                file,
                line,
                column,
                what: format!("{dropped} further problems are not listed"),
                expected: String::new(),
            });
        }
        found
    }
}
