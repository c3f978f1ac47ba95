//! What a route asks of a request, declared and compiled.

use std::cmp::Reverse;

use regex::bytes::{Regex, RegexBuilder};

use super::RouteQuery;

/// Bytes of a compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A host, or all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host that ends in this suffix, which begins with a dot.
    Suffix(String),
}

impl HostPattern {
    /// From `a.example` or `*.example`, in any case.
    ///
    /// # Errors
    /// [`RouteError::Host`] for anything else.
    pub fn parse(text: &str) -> Result<HostPattern, RouteError> {
        let lower = text.to_ascii_lowercase();
        let (name, is_suffix) = match lower.strip_prefix('*') {
            Some(suffix) if suffix.len() > 1 && suffix.starts_with('.') => (suffix, true),
            Some(_) => return Err(RouteError::Host(text.to_owned())),
            None => (lower.as_str(), false),
        };
        let is_bracketed = name.starts_with('[') && name.ends_with(']');
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || name.len() > 253 || !(is_bracketed || name.chars().all(is_name)) {
            return Err(RouteError::Host(text.to_owned()));
        }
        Ok(match is_suffix {
            true => HostPattern::Suffix(name.to_owned()),
            false => HostPattern::Exact(name.to_owned()),
        })
    }
}

/// Which paths a route serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// All.
    #[default]
    Any,
    /// This one.
    Exact(String),
    /// This one and those below it, by whole segments: `/v1` and `/v1/` match `/v1` and `/v1/x`,
    /// not `/v10`.
    Prefix(String),
    /// Those that the expression matches from beginning to end.
    Regex(String),
}

/// What the value of a header or query parameter must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValuePattern {
    /// Exactly this.
    Exact(String),
    /// Anything, as long as it is there.
    Present,
    /// What the expression matches from beginning to end.
    Regex(String),
}

/// Everything a route asks of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// Any of these; none means every host.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Any of these; none means every method.
    pub methods: Vec<String>,
    /// All of these; names in lower case.
    pub headers: Vec<(String, ValuePattern)>,
    /// All of these; names as they stand in the query, undecoded.
    pub query: Vec<(String, ValuePattern)>,
}

/// Why a match cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Not a host.
    #[error("`{0}` is not a host name or `*.` and a host name")]
    Host(String),
    /// A path that does not begin with a slash.
    #[error("the path `{0}` does not begin with `/`")]
    Path(String),
    /// Not a regular expression, or one too large.
    #[error("the regular expression `{pattern}` is invalid: {problem}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// One compiled route of one host.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) index: u32,
    pub(super) path: PathMatcher,
    pub(super) predicates: Option<Box<Predicates>>,
}

#[derive(Clone, Debug)]
pub(super) enum PathMatcher {
    Exact(Box<[u8]>),
    Regex(Box<Regex>),
    /// Without trailing slash; empty for the root.
    Prefix(Box<[u8]>),
    Any,
}

#[derive(Clone, Debug)]
pub(super) struct Predicates {
    methods: Box<[Box<[u8]>]>,
    headers: Box<[(Box<[u8]>, ValueMatcher)]>,
    query: Box<[(Box<[u8]>, ValueMatcher)]>,
}

#[derive(Clone, Debug)]
enum ValueMatcher {
    Exact(Box<[u8]>),
    Present,
    Regex(Box<Regex>),
}

/// Orders entries: the more specific first.
pub(super) type Rank = (u8, Reverse<usize>, bool, Reverse<usize>, Reverse<usize>, u32);

impl Entry {
    pub(super) fn compile(index: u32, wanted: &RouteMatch) -> Result<Entry, RouteError> {
        let path = match &wanted.path {
            PathPattern::Any => PathMatcher::Any,
            PathPattern::Exact(path) => PathMatcher::Exact(rooted(path)?.into()),
            PathPattern::Prefix(path) => {
                let path = rooted(path)?;
                PathMatcher::Prefix(path.strip_suffix(b"/").unwrap_or(path).into())
            }
            PathPattern::Regex(pattern) => PathMatcher::Regex(Box::new(whole(pattern)?)),
        };
        let has_predicates =
            !wanted.methods.is_empty() || !wanted.headers.is_empty() || !wanted.query.is_empty();
        let predicates = match has_predicates {
            false => None,
            true => Some(Box::new(Predicates {
                methods: wanted.methods.iter().map(|m| m.as_bytes().into()).collect(),
                headers: values(&wanted.headers)?,
                query: values(&wanted.query)?,
            })),
        };
        Ok(Entry { index, path, predicates })
    }

    pub(super) fn rank(&self) -> Rank {
        let (class, length) = match &self.path {
            PathMatcher::Exact(_) => (0, 0),
            PathMatcher::Regex(regex) => (1, regex.as_str().len()),
            PathMatcher::Prefix(prefix) => (2, prefix.len()),
            PathMatcher::Any => (3, 0),
        };
        let (named, headers, query) = match &self.predicates {
            None => (false, 0, 0),
            Some(p) => (!p.methods.is_empty(), p.headers.len(), p.query.len()),
        };
        (class, Reverse(length), !named, Reverse(headers), Reverse(query), self.index)
    }

    pub(super) fn matches(&self, query: &impl RouteQuery) -> bool {
        self.path.matches(query.path()) && self.allows(query)
    }

    /// Whether everything but host and path matches.
    pub(super) fn allows(&self, query: &impl RouteQuery) -> bool {
        self.predicates.as_ref().is_none_or(|predicates| predicates.refusal(query).is_none())
    }

    /// Why the entry does not match, for people.
    pub(super) fn refusal(&self, query: &impl RouteQuery) -> Option<String> {
        if !self.path.matches(query.path()) {
            return Some("the path does not match".to_owned());
        }
        self.predicates.as_ref().and_then(|predicates| predicates.refusal(query)).map(|what| {
            match what {
                Refusal::Method => "the method is not among those named".to_owned(),
                Refusal::Header(name) => {
                    format!("the header `{}` does not match", name.escape_ascii())
                }
                Refusal::Query(name) => {
                    format!("the query parameter `{}` does not match", name.escape_ascii())
                }
            }
        })
    }
}

impl PathMatcher {
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            PathMatcher::Exact(wanted) => path == &wanted[..],
            PathMatcher::Regex(regex) => regex.is_match(path),
            PathMatcher::Prefix(prefix) => path
                .strip_prefix(&prefix[..])
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
            PathMatcher::Any => true,
        }
    }
}

enum Refusal<'a> {
    Method,
    Header(&'a [u8]),
    Query(&'a [u8]),
}

impl Predicates {
    fn refusal(&self, query: &impl RouteQuery) -> Option<Refusal<'_>> {
        if !self.methods.is_empty() && !self.methods.iter().any(|m| &m[..] == query.method()) {
            return Some(Refusal::Method);
        }
        for (name, wanted) in &self.headers {
            if !query.header(name).is_some_and(|value| wanted.matches(value)) {
                return Some(Refusal::Header(name));
            }
        }
        for (name, wanted) in &self.query {
            if !parameters(query.query(), name).any(|value| wanted.matches(value)) {
                return Some(Refusal::Query(name));
            }
        }
        None
    }
}

impl ValueMatcher {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            ValueMatcher::Exact(wanted) => value == &wanted[..],
            ValueMatcher::Present => true,
            ValueMatcher::Regex(regex) => regex.is_match(value),
        }
    }
}

/// The values of a parameter in a query.
fn parameters<'a>(query: Option<&'a [u8]>, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    query.unwrap_or_default().split(|&byte| byte == b'&').filter_map(move |pair| {
        let rest = pair.strip_prefix(name)?;
        match rest {
            [] => Some(rest),
            [b'=', value @ ..] => Some(value),
            _ => None,
        }
    })
}

fn rooted(path: &str) -> Result<&[u8], RouteError> {
    match path.starts_with('/') {
        true => Ok(path.as_bytes()),
        false => Err(RouteError::Path(path.to_owned())),
    }
}

fn whole(pattern: &str) -> Result<Regex, RouteError> {
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .unicode(false)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| RouteError::Regex {
            pattern: pattern.to_owned(),
            problem: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
}

type Values = Box<[(Box<[u8]>, ValueMatcher)]>;

fn values(wanted: &[(String, ValuePattern)]) -> Result<Values, RouteError> {
    wanted
        .iter()
        .map(|(name, value)| {
            let matcher = match value {
                ValuePattern::Exact(value) => ValueMatcher::Exact(value.as_bytes().into()),
                ValuePattern::Present => ValueMatcher::Present,
                ValuePattern::Regex(pattern) => ValueMatcher::Regex(Box::new(whole(pattern)?)),
            };
            Ok((name.as_bytes().into(), matcher))
        })
        .collect()
}
