//! A document that was read and found right.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::check::Checker;
use crate::declared::DOCUMENT;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::lower;
use crate::schema::Kind;
use crate::snapshot::{
    AccessLog, Action, Admin, GlobalLimits, Listener, RouteTimeouts, RuntimeChoice, Upstream,
    WorkerCount,
};
use crate::tree;
use crate::value::Value;
use filters::FilterConfig;
use policy::route::RouteMatch;
use std::path::PathBuf;
use std::time::Duration;

/// A configuration without problems, ready to be compiled as often as need be.
pub struct Document {
    pub(crate) file: String,
    pub(crate) hash: String,
    pub(crate) masked: String,
    pub(crate) plan: Plan,
}

/// What a snapshot is made of, before names have slots and matches are a table.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) routes: Vec<RouteSpec>,
}

/// Settings of the whole process.
pub(crate) struct Settings {
    pub(crate) runtime: RuntimeChoice,
    pub(crate) workers: WorkerCount,
    /// And where its address stands.
    pub(crate) admin: Option<(Admin, Place)>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) limits: GlobalLimits,
    pub(crate) timeouts_drain: Duration,
}

pub(crate) struct RouteSpec {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) matching: RouteMatch,
    pub(crate) action: Action,
    pub(crate) filters: Vec<FilterSpec>,
    pub(crate) timeouts: RouteTimeouts,
    pub(crate) retries: u8,
    pub(crate) body_bytes: Option<u64>,
    pub(crate) upgrade: bool,
    pub(crate) host_rewrite: Option<String>,
}

/// A filter of a route, and where it stands.
pub(crate) struct FilterSpec {
    pub(crate) place: Place,
    pub(crate) config: FilterConfig,
}

/// Reads and checks a document. `env` gives the value of an environment variable, `base_dir` is what
/// relative paths are counted from; no file and no variable is read here.
///
/// # Errors
/// Every problem at once, in the order of the document; only a text that is not YAML gives just the
/// first. See [`tree::DOCUMENT_BYTES_MAX`], [`tree::DEPTH_MAX`] and [`tree::NODES_MAX`] for the bounds.
pub fn load(
    text: &str,
    file_name: &str,
    env: &dyn Fn(&str) -> Option<String>,
    base_dir: &Path,
) -> Result<Document, Vec<Diagnostic>> {
    static ROOT: Kind = Kind::Record(&DOCUMENT);
    let mut problems = Diagnostics::new(file_name);
    let text = tree::json_as_yaml(text);
    let Some(root) = tree::read(&text, &mut problems) else {
        return Err(problems.into_sorted());
    };
    let checked = Checker { problems: &mut problems, env }.check(&root, &ROOT, "the document");
    let Value::Record(record) = checked.value else {
        return Err(problems.into_sorted());
    };
    let (plan, masked) = lower::document(&record, base_dir, &mut problems);
    if !problems.is_empty() {
        return Err(problems.into_sorted());
    }
    Ok(Document {
        file: file_name.to_owned(),
        hash: Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
        masked: mask(&text, masked),
        plan,
    })
}

impl Document {
    /// The document as read, credentials masked, variables as written.
    pub fn text(&self) -> &str {
        &self.masked
    }

    /// SHA-256 of the document as read, in lower-case hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// The text with `"***"` in place of each extent, which are in characters and do not overlap.
fn mask(text: &str, mut extents: Vec<(usize, usize)>) -> String {
    extents.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut at = 0;
    for (from, until) in extents {
        let (before, after) = split_chars(rest, from.saturating_sub(at));
        let (hidden, after) = split_chars(after, until.saturating_sub(from));
        // The parser counts the blanks behind a quoted value to it.
        let blanks = hidden.get(hidden.trim_end().len()..).unwrap_or("");
        out.extend([before, "\"***\"", blanks]);
        (rest, at) = (after, until);
    }
    out + rest
}

/// The first characters of a text, and the others.
fn split_chars(text: &str, chars: usize) -> (&str, &str) {
    let at = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

#[cfg(test)]
mod tests;
