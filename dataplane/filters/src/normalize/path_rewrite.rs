//! # path_rewrite
//!
//! **What**: changes the path that the upstream sees; the query stays.
//! **Stage**: normalize. **Asks**: nothing. **Limits**: none.
//!
//! ```yaml
//! - { filter: path_rewrite, prefix: / }                        # /v1/chat on a route for /v1 -> /chat
//! - { filter: path_rewrite, regex: { pattern: "^/u/([0-9]+)", substitution: "/users/$1" } }
//! - { filter: path_rewrite, full: /health }
//! ```

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};

use crate::chain::{Filter, FilterError, Stage};
use crate::{Edits, RequestView};

/// The name in the configuration.
pub const NAME: &str = "path_rewrite";

/// Bytes of a compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// How the path changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// The prefix that the route matches gives way.
    Prefix {
        /// The prefix that the route matches.
        matched: String,
        /// What stands in its place.
        replacement: String,
    },
    /// What the expression matches is replaced; `$1` and `${name}` stand for groups.
    Regex {
        /// The expression; not anchored.
        pattern: String,
        /// What stands in its place.
        substitution: String,
    },
    /// The whole path is replaced.
    Full(String),
}

/// The compiled filter.
#[derive(Debug)]
pub struct PathRewrite {
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    /// Both without a trailing slash.
    Prefix {
        matched: String,
        replacement: String,
    },
    Regex {
        regex: Regex,
        substitution: String,
    },
    Full(String),
}

impl PathRewrite {
    /// Compiles the rule.
    ///
    /// # Errors
    /// [`FilterError`] for a bad path or expression.
    pub fn compile(config: &Config) -> Result<PathRewrite, FilterError> {
        let rule = match config {
            Config::Prefix { matched, replacement } => Rule::Prefix {
                matched: without_slash(rooted(matched)?).to_owned(),
                replacement: without_slash(rooted(replacement)?).to_owned(),
            },
            Config::Regex { pattern, substitution } => Rule::Regex {
                regex: RegexBuilder::new(pattern)
                    .unicode(false)
                    .size_limit(REGEX_BYTES_MAX)
                    .build()
                    .map_err(|error| FilterError::Regex {
                        pattern: pattern.clone(),
                        problem: error.to_string().lines().last().unwrap_or_default().to_owned(),
                    })?,
                substitution: substitution.clone(),
            },
            Config::Full(path) => Rule::Full(rooted(path)?.to_owned()),
        };
        Ok(PathRewrite { rule })
    }

    /// The new path; `None` if it stays or would not be one.
    fn rewrite<'a>(&'a self, path: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &self.rule {
            Rule::Prefix { matched, replacement } => {
                let rest = path.strip_prefix(matched.as_bytes())?;
                let mut new = [replacement.as_bytes(), rest].concat();
                if !new.starts_with(b"/") {
                    new.insert(0, b'/');
                }
                Some(Cow::Owned(new))
            }
            Rule::Regex { regex, substitution } => {
                match regex.replace(path, substitution.as_bytes()) {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(new) => is_path(&new).then_some(Cow::Owned(new)),
                }
            }
            Rule::Full(path) => Some(Cow::Borrowed(path.as_bytes())),
        }
    }
}

impl Filter for PathRewrite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stage(&self) -> Stage {
        Stage::Normalize
    }

    fn on_request(&self, request: &RequestView<'_>, edits: &mut Edits) {
        // An earlier rewrite is what this one sees; its query is cut off and put back.
        let earlier = edits.path().map(<[u8]>::to_vec);
        let (path, query) = match &earlier {
            Some(earlier) => {
                let end = earlier.iter().position(|&b| b == b'?').unwrap_or(earlier.len());
                let (path, query) = earlier.split_at(end);
                (path, query.strip_prefix(b"?"))
            }
            None => {
                let query = request.head.query.map(|query| query.of(request.bytes));
                (request.head.path.of(request.bytes), query)
            }
        };
        let Some(new) = self.rewrite(path) else { return };
        match query {
            None => edits.rewrite_path(&new),
            Some(query) => edits.rewrite_path(&[&new, &b"?"[..], query].concat()),
        }
    }
}

/// A rewritten path must not end the request line.
fn is_path(path: &[u8]) -> bool {
    path.starts_with(b"/") && path.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
}

fn rooted(path: &str) -> Result<&str, FilterError> {
    match is_path(path.as_bytes()) {
        true => Ok(path),
        false => Err(FilterError::Path(path.to_owned())),
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use wire::{HeadLimits, RequestHead, h1};

    use super::*;

    fn rewritten(config: &Config, target: &str) -> Option<String> {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
        let mut head = RequestHead::default();
        h1::parse_request(&bytes, &HeadLimits::default(), &mut head).unwrap();
        let view = RequestView { head: &head, bytes: &bytes, client_ip: None, request_id: b"" };
        let mut edits = Edits::default();
        PathRewrite::compile(config).unwrap().on_request(&view, &mut edits);
        edits.path().map(|path| String::from_utf8(path.to_vec()).unwrap())
    }

    fn prefix(matched: &str, replacement: &str) -> Config {
        Config::Prefix { matched: matched.into(), replacement: replacement.into() }
    }

    #[test]
    fn replaces_prefixes_by_whole_segments_and_keeps_the_query() {
        let root = prefix("/v1/", "/");
        for (target, expected) in
            [("/v1/chat?x=1", "/chat?x=1"), ("/v1", "/"), ("/v1/", "/"), ("/v1?q", "/?q")]
        {
            assert_eq!(rewritten(&root, target).as_deref(), Some(expected));
        }
        let deep = prefix("/v1", "/api/v2/");
        assert_eq!(rewritten(&deep, "/v1/x").as_deref(), Some("/api/v2/x"));
        assert_eq!(rewritten(&prefix("/", "/api"), "/x").as_deref(), Some("/api/x"));
    }

    #[test]
    fn substitutes_groups_and_leaves_other_paths_alone() {
        let regex = |pattern: &str, substitution: &str| Config::Regex {
            pattern: pattern.into(),
            substitution: substitution.into(),
        };
        let users = regex("^/u/([0-9]+)", "/users/$1");
        assert_eq!(rewritten(&users, "/u/7/x?y").as_deref(), Some("/users/7/x?y"));
        assert_eq!(rewritten(&users, "/v/7"), None);
        assert_eq!(rewritten(&regex("^/", "x y"), "/a"), None, "no request line is broken");
        assert_eq!(rewritten(&Config::Full("/h".into()), "/a?b").as_deref(), Some("/h?b"));
    }

    #[test]
    fn refuses_what_cannot_be_a_path() {
        for path in ["", "x", "/a b", "/a#b", "/é"] {
            assert!(PathRewrite::compile(&Config::Full(path.into())).is_err(), "{path}");
        }
    }
}
