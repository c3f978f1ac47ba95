//! The table against a plain search through all routes, and the rules one by one.

use proptest::prelude::*;

use super::matcher::Entry;
use super::*;

#[derive(Clone, Debug, Default)]
struct Request {
    host: String,
    path: String,
    method: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
}

impl RouteQuery for Request {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }
    fn header(&self, lower_name: &[u8]) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(name, _)| name.as_bytes() == lower_name)?;
        Some(found.1.as_bytes())
    }
}

fn get(host: &str, path: &str) -> Request {
    Request { host: host.into(), path: path.into(), method: "GET".into(), ..Request::default() }
}

fn table(matches: &[RouteMatch]) -> RouteTable {
    let mut builder = RouteTableBuilder::new();
    for (index, wanted) in matches.iter().enumerate() {
        builder.add(index as u32, wanted).unwrap();
    }
    builder.build().unwrap()
}

fn on(host: &str, path: PathPattern) -> RouteMatch {
    let hosts = match host {
        "" => vec![],
        host => vec![HostPattern::parse(host).unwrap()],
    };
    RouteMatch { hosts, path, ..RouteMatch::default() }
}

/// What the module's documentation says, without any table.
fn oracle(matches: &[RouteMatch], request: &Request) -> Option<u32> {
    let host = request.host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let host_rank = |wanted: &RouteMatch| match wanted.hosts.is_empty() {
        true => Some((2, 0)),
        false => wanted
            .hosts
            .iter()
            .filter_map(|pattern| match pattern {
                HostPattern::Exact(name) => (name == host).then_some((0, 0)),
                HostPattern::Suffix(suffix) => (host.len() > suffix.len()
                    && host.ends_with(suffix.as_str()))
                .then(|| (1, usize::MAX - suffix.len())),
            })
            .min(),
    };
    let ranked = matches.iter().enumerate().filter_map(|(index, wanted)| {
        let entry = Entry::compile(index as u32, wanted).unwrap();
        let rank = host_rank(wanted)?;
        entry.matches(request).then(|| (rank, entry.rank()))
    });
    ranked.min().map(|(_, rank)| rank.5)
}

#[test]
fn the_more_specific_wins_whatever_the_order() {
    let prefix = |p: &str| PathPattern::Prefix(p.into());
    let mut matches = vec![
        on("", PathPattern::Any),
        on("*.example", prefix("/")),
        on("*.b.example", PathPattern::Any),
        on("a.b.example", prefix("/v1/")),
        on("a.b.example", prefix("/v1/chat")),
        on("a.b.example", PathPattern::Exact("/v1/chat".into())),
        on("a.b.example", PathPattern::Regex("/v[0-9]+/chat/.*".into())),
    ];
    let expected = [
        ("A.B.Example.", "/v1/chat", 5),
        ("a.b.example", "/v1/chat/x", 6),
        ("a.b.example", "/v1/chat-x", 3),
        ("a.b.example", "/v1", 3),
        ("a.b.example", "/v10", 2),
        ("x.b.example", "/v1/chat", 2),
        ("b.example", "/", 1),
        ("example", "/", 0),
        ("", "*", 0),
    ];
    for (host, path, index) in expected {
        assert_eq!(table(&matches).find(&get(host, path)), Some(index), "{host}{path}");
    }
    matches.reverse();
    for (host, path, index) in expected {
        assert_eq!(table(&matches).find(&get(host, path)), Some(6 - index), "{host}{path}");
    }
}

#[test]
fn predicates_narrow_and_the_explanation_names_what_failed() {
    let plain = on("", PathPattern::Any);
    let mut narrow = plain.clone();
    narrow.methods = vec!["POST".into()];
    narrow.headers = vec![("x-canary".into(), ValuePattern::Exact("1".into()))];
    narrow.query = vec![("debug".into(), ValuePattern::Present)];
    let table = table(&[plain, narrow]);
    let mut request = get("h", "/");
    assert_eq!(table.find(&request), Some(0));
    assert!(table.explain(&request)[0].why.contains("method"));
    request.method = "POST".into();
    assert!(table.explain(&request)[0].why.contains("x-canary"));
    request.headers = vec![("x-canary".into(), "1".into())];
    request.query = Some("debugging=1".into());
    assert!(table.explain(&request)[0].why.contains("debug"));
    request.query = Some("a=b&debug".into());
    assert_eq!(table.find(&request), Some(1));
}

#[test]
fn refuses_what_cannot_be_matched() {
    let refused = |path| RouteTableBuilder::new().add(0, &on("", path)).unwrap_err();
    assert!(matches!(refused(PathPattern::Exact("x".into())), RouteError::Path(_)));
    assert!(matches!(refused(PathPattern::Regex("(".into())), RouteError::Regex { .. }));
    let huge = PathPattern::Regex("(a{1000}){1000}".into());
    assert!(matches!(refused(huge), RouteError::Regex { .. }));
    for host in ["", "*", "*x.example", "a b", "a/b", "*.", "a*b"] {
        assert!(HostPattern::parse(host).is_err(), "{host}");
    }
}

fn any_match() -> impl Strategy<Value = RouteMatch> {
    let host = prop::sample::select(vec!["", "a.x", "b.a.x", "*.x", "*.a.x", "c"]);
    let path = prop_oneof![
        Just(PathPattern::Any),
        "(/[ab]){0,3}/?".prop_map(|p| PathPattern::Exact(format!("/{p}").replace("//", "/"))),
        "(/[ab]){0,3}/?".prop_map(|p| PathPattern::Prefix(format!("/{p}").replace("//", "/"))),
        prop::sample::select(vec!["/a.*", "/[ab]/b", ".*b"])
            .prop_map(|p| PathPattern::Regex(p.into())),
    ];
    let methods = prop::sample::subsequence(vec!["GET".to_owned(), "POST".to_owned()], 0..2);
    let canary = prop::option::of(Just(("k".to_owned(), ValuePattern::Exact("1".into()))));
    (host, path, methods, canary).prop_map(|(host, path, methods, canary)| RouteMatch {
        methods,
        headers: canary.into_iter().collect(),
        ..on(host, path)
    })
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_plain_search(
        matches in prop::collection::vec(any_match(), 0..60),
        host in prop::sample::select(vec!["a.x", "b.a.x", "z.a.x", "q.x", "c", "d", ""]),
        path in "(/[abc]){0,4}/?",
        method in prop::sample::select(vec!["GET", "POST", "PUT"]),
        canary in any::<bool>(),
    ) {
        let mut request = get(host, &path);
        request.method = method.into();
        if canary {
            request.headers.push(("k".into(), "1".into()));
        }
        let table = table(&matches);
        prop_assert_eq!(table.find(&request), oracle(&matches, &request));
        let explained = table.explain(&request).into_iter().find(|c| c.matches).map(|c| c.index);
        prop_assert_eq!(explained, oracle(&matches, &request));
    }
}
