//! The shapes of `policy` and `filters` that this crate needs, until those crates carry them.
//!
//! Same names and signatures, the plainest bodies: a route is found by looking at every one. Replacing
//! `crate::standin` by `policy::route`, `policy::balance` and `filters` is all there is to do.

use regex::bytes::Regex;

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceKind {
    /// In turn, by weight.
    RoundRobin,
    /// The better of two.
    P2c,
    /// The one with the fewest requests.
    LeastRequest,
    /// Any, by weight.
    Random,
    /// By consistent hash.
    Maglev,
}

/// What a table asks of a request.
pub trait RouteQuery {
    /// Authority without port, any case.
    fn host(&self) -> &[u8];
    /// Path without query.
    fn path(&self) -> &[u8];
    /// Method.
    fn method(&self) -> &[u8];
    /// Query without `?`.
    fn query(&self) -> Option<&[u8]>;
    /// The value of a field.
    fn header(&self, lower_name: &[u8]) -> Option<&[u8]>;
}

/// A host of a match.
#[derive(Clone, Debug)]
pub enum HostPattern {
    /// This host, in lower case.
    Exact(String),
    /// Every name below this one, in lower case.
    Wildcard(String),
}

/// A path of a match.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// Every path.
    Any,
    /// This path.
    Exact(String),
    /// This path and all below it.
    Prefix(String),
    /// Paths that match as a whole.
    Regex(String),
}

/// A value of a match.
#[derive(Clone, Debug)]
pub enum ValuePattern {
    /// This value.
    Exact(String),
    /// Any value.
    Present,
    /// Values that match as a whole.
    Regex(String),
}

/// Which requests a route wants; empty lists stand for "any".
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// One of these.
    pub hosts: Vec<HostPattern>,
    /// This one.
    pub path: PathPattern,
    /// One of these.
    pub methods: Vec<String>,
    /// Each of these, names in lower case.
    pub headers: Vec<(String, ValuePattern)>,
    /// Each of these.
    pub query: Vec<(String, ValuePattern)>,
}

/// Why a match was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RouteError(String);

/// Takes matches, gives a table.
#[derive(Default)]
pub struct RouteTableBuilder(Vec<(u32, RouteMatch)>);

/// Finds the route of a request.
pub struct RouteTable(Vec<(u32, RouteMatch)>);

/// What became of a route that was considered for a request.
pub struct Considered {
    /// Which route.
    pub index: u32,
    /// What became of it.
    pub why: String,
}

impl RouteTableBuilder {
    /// No routes.
    pub fn new() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// Adds a route.
    ///
    /// # Errors
    /// An expression that is not one.
    pub fn add(&mut self, index: u32, matching: &RouteMatch) -> Result<(), RouteError> {
        if let PathPattern::Regex(regex) = &matching.path {
            Regex::new(regex).map_err(|error| RouteError(error.to_string()))?;
        }
        self.0.push((index, matching.clone()));
        Ok(())
    }

    /// The table.
    ///
    /// # Errors
    /// None.
    pub fn build(self) -> Result<RouteTable, RouteError> {
        Ok(RouteTable(self.0))
    }
}

impl RouteTable {
    /// The most specific route.
    pub fn find(&self, q: &impl RouteQuery) -> Option<u32> {
        let matching = self.0.iter().filter(|(_, one)| refusal(one, q).is_none());
        matching.max_by_key(|(index, one)| (rank(one), u32::MAX - index)).map(|(index, _)| *index)
    }

    /// Every route with what became of it, the one that serves first.
    pub fn explain(&self, q: &impl RouteQuery) -> Vec<Considered> {
        let winner = self.find(q);
        let mut out: Vec<Considered> = self
            .0
            .iter()
            .map(|(index, one)| {
                let why = match refusal(one, q) {
                    _ if winner == Some(*index) => "the most specific match".to_owned(),
                    Some(part) => format!("its {part} does not match"),
                    None => "matches, but is less specific".to_owned(),
                };
                Considered { index: *index, why }
            })
            .collect();
        out.sort_by_key(|one| winner != Some(one.index));
        out
    }
}

fn refusal(one: &RouteMatch, q: &impl RouteQuery) -> Option<&'static str> {
    let host = String::from_utf8_lossy(q.host()).to_ascii_lowercase();
    let path = String::from_utf8_lossy(q.path()).into_owned();
    let whole = |regex: &str, text: &str| {
        Regex::new(&format!("^(?:{regex})$")).is_ok_and(|regex| regex.is_match(text.as_bytes()))
    };
    let value = |pattern: &ValuePattern, value: Option<&[u8]>| match (pattern, value) {
        (_, None) => false,
        (ValuePattern::Present, _) => true,
        (ValuePattern::Exact(text), Some(value)) => text.as_bytes() == value,
        (ValuePattern::Regex(regex), Some(value)) => whole(regex, &String::from_utf8_lossy(value)),
    };
    let parameter = |name: &str| {
        let parts = q.query()?.split(|b| *b == b'&');
        parts.filter_map(|part| part.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()
    };
    let has_host = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => *name == host,
        HostPattern::Wildcard(name) => host.strip_suffix(name).is_some_and(|h| h.ends_with('.')),
    };
    let has_path = match &one.path {
        PathPattern::Any => true,
        PathPattern::Exact(exact) => *exact == path,
        PathPattern::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathPattern::Regex(regex) => whole(regex, &path),
    };
    let parts = [
        ("host", one.hosts.is_empty() || one.hosts.iter().any(has_host)),
        ("path", has_path),
        (
            "method",
            one.methods.is_empty() || one.methods.iter().any(|m| m.as_bytes() == q.method()),
        ),
        ("header", one.headers.iter().all(|(name, v)| value(v, q.header(name.as_bytes())))),
        ("query", one.query.iter().all(|(name, v)| value(v, parameter(name)))),
    ];
    parts.into_iter().find(|(_, holds)| !holds).map(|(part, _)| part)
}

fn rank(one: &RouteMatch) -> (usize, usize, bool, usize, usize) {
    let host = one.hosts.iter().map(|host| match host {
        HostPattern::Exact(_) => usize::MAX,
        HostPattern::Wildcard(name) => 1 + name.len(),
    });
    let path = match &one.path {
        PathPattern::Exact(_) => usize::MAX,
        PathPattern::Regex(_) => usize::MAX - 1,
        PathPattern::Prefix(prefix) => 1 + prefix.trim_end_matches('/').len(),
        PathPattern::Any => 0,
    };
    let host = host.max().unwrap_or(0);
    (host, path, !one.methods.is_empty(), one.headers.len(), one.query.len())
}

/// Fields to set, add and remove.
#[derive(Clone, Debug, Default)]
pub struct FieldEdits {
    /// Replaced, or added.
    pub set: Vec<(String, String)>,
    /// Added.
    pub add: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
}

/// How the path is changed.
#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// The matched prefix gives way.
    Prefix {
        /// The prefix.
        matched: String,
        /// What stands in its place.
        replacement: String,
    },
    /// What matches gives way.
    Regex {
        /// What is replaced.
        pattern: String,
        /// What stands in its place.
        substitution: String,
    },
    /// This one, whatever was asked for.
    Full(String),
}

/// A filter with what it was told.
#[derive(Clone, Debug)]
pub enum FilterConfig {
    /// Sets, adds and removes fields.
    HeaderEdit {
        /// Of the request.
        request: FieldEdits,
        /// Of the response.
        response: FieldEdits,
    },
    /// Changes the path.
    PathRewrite(PathRewrite),
}

/// Why a filter was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

/// What edits a request and its response.
#[derive(Debug)]
pub struct Chain(Vec<FilterConfig>);

impl Chain {
    /// Compiles filters.
    ///
    /// # Errors
    /// An expression that is not one.
    pub fn compile(configs: &[FilterConfig]) -> Result<Chain, FilterError> {
        for config in configs {
            if let FilterConfig::PathRewrite(PathRewrite::Regex { pattern, .. }) = config {
                Regex::new(pattern).map_err(|error| FilterError(error.to_string()))?;
            }
        }
        Ok(Chain(configs.to_vec()))
    }

    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
