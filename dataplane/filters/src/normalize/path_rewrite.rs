//! # path_rewrite
//!
//! **What**: changes the path that the upstream sees; the query stays.
//! **Stage**: normalize. **Asks**: nothing. **Limits**: none.
//!
//! ```yaml
//! - { filter: path_rewrite, prefix: / }                        # /v1/chat on a route for /v1 -> /chat
//! - { filter: path_rewrite, regex: "^/u/([0-9]+)", with: "/users/$1" }
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
    /// The prefix that the route matches is replaced by this one.
    Prefix(String),
    /// What the expression matches is replaced; `$1` and `${name}` stand for groups.
    Regex {
        /// The expression; not anchored.
        pattern: String,
        /// What stands in its place.
        with: String,
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
        with: String,
    },
    Full(String),
}

impl PathRewrite {
    /// Compiles the rule for a route that matches `prefix`, if it matches one.
    ///
    /// # Errors
    /// [`FilterError`] for a bad path or expression, or a prefix rule on a route without prefix.
    pub fn compile(config: &Config, prefix: Option<&str>) -> Result<PathRewrite, FilterError> {
        let rule = match config {
            Config::Prefix(replacement) => Rule::Prefix {
                matched: without_slash(prefix.ok_or(FilterError::NoPrefix)?).to_owned(),
                replacement: without_slash(rooted(replacement)?).to_owned(),
            },
            Config::Regex { pattern, with } => Rule::Regex {
                regex: RegexBuilder::new(pattern)
                    .unicode(false)
                    .size_limit(REGEX_BYTES_MAX)
                    .build()
                    .map_err(|error| FilterError::Regex {
                        pattern: pattern.clone(),
                        problem: error.to_string().lines().last().unwrap_or_default().to_owned(),
                    })?,
                with: with.clone(),
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
            Rule::Regex { regex, with } => match regex.replace(path, with.as_bytes()) {
                Cow::Borrowed(_) => None,
                Cow::Owned(new) => is_path(&new).then_some(Cow::Owned(new)),
            },
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

    fn rewritten(config: &Config, prefix: Option<&str>, target: &str) -> Option<String> {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
        let mut head = RequestHead::default();
        h1::parse_request(&bytes, &HeadLimits::default(), &mut head).unwrap();
        let view = RequestView { head: &head, bytes: &bytes, client_ip: None, request_id: b"" };
        let mut edits = Edits::default();
        PathRewrite::compile(config, prefix).unwrap().on_request(&view, &mut edits);
        edits.path().map(|path| String::from_utf8(path.to_vec()).unwrap())
    }

    #[test]
    fn replaces_prefixes_by_whole_segments_and_keeps_the_query() {
        let root = Config::Prefix("/".into());
        for (target, expected) in
            [("/v1/chat?x=1", "/chat?x=1"), ("/v1", "/"), ("/v1/", "/"), ("/v1?q", "/?q")]
        {
            assert_eq!(rewritten(&root, Some("/v1/"), target).as_deref(), Some(expected));
        }
        let deep = Config::Prefix("/api/v2/".into());
        assert_eq!(rewritten(&deep, Some("/v1"), "/v1/x").as_deref(), Some("/api/v2/x"));
        assert_eq!(rewritten(&deep, Some("/"), "/x").as_deref(), Some("/api/v2/x"));
    }

    #[test]
    fn substitutes_groups_and_leaves_other_paths_alone() {
        let users = Config::Regex { pattern: "^/u/([0-9]+)".into(), with: "/users/$1".into() };
        assert_eq!(rewritten(&users, None, "/u/7/x?y").as_deref(), Some("/users/7/x?y"));
        assert_eq!(rewritten(&users, None, "/v/7"), None);
        let broken = Config::Regex { pattern: "^/".into(), with: "x y".into() };
        assert_eq!(rewritten(&broken, None, "/a"), None, "no request line is broken");
        assert_eq!(rewritten(&Config::Full("/h".into()), None, "/a?b").as_deref(), Some("/h?b"));
    }

    #[test]
    fn refuses_what_cannot_be_a_path() {
        assert_eq!(
            PathRewrite::compile(&Config::Prefix("/".into()), None).unwrap_err(),
            FilterError::NoPrefix
        );
        for path in ["", "x", "/a b", "/a#b", "/é"] {
            assert!(PathRewrite::compile(&Config::Full(path.into()), None).is_err(), "{path}");
        }
    }
}
