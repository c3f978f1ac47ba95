//! Routes: one action each, upstreams that exist, and no two that want the same requests.

use std::collections::HashMap;

use crate::check::known_or_nearest;
use crate::diagnostic::Place;
use crate::document::{FilterSpec, RouteSpec};
use crate::lower::{Lowering, filter, named};
use crate::snapshot::{
    Action, Backend, Redirect, RedirectPath, RedirectQuery, RedirectScheme, Respond, RouteTimeouts,
};
use crate::suggest::nearest;
use crate::tree::shorten;
use crate::value::{Item, Record, Value};
use policy::route::{HostPattern, PathPattern, RouteMatch, ValuePattern};

pub(super) fn routes(root: &Record, lowering: &mut Lowering<'_>) -> Vec<RouteSpec> {
    let list = root.item("routes");
    let mut first: HashMap<String, (String, Place)> = HashMap::new();
    let mut out = Vec::with_capacity(list.list().len());
    let records = named(list, "route", lowering.problems);
    let items = list.list().iter().filter(|item| item.record().is_some());
    for (item, record) in items.zip(records) {
        let matching = matching(record.record("match"), lowering);
        let name = record.text("name").unwrap_or_default().to_owned();
        if record.record("match").is_some_and(is_whole) {
            refuse_same_match(&matching, (&name, item.place), &mut first, lowering);
        }
        let prefix = match &matching.path {
            PathPattern::Prefix(prefix) => Some(prefix.as_str()),
            _ => None,
        };
        let filters = filter::filters(record.item("filters"), prefix, lowering);
        let Some(action) = action(record, prefix, lowering) else { continue };
        out.push(route(record, (name, item.place), matching, action, filters));
    }
    out
}

fn route(
    record: &Record,
    (name, place): (String, Place),
    matching: RouteMatch,
    action: Action,
    filters: Vec<FilterSpec>,
) -> RouteSpec {
    let timeouts = record.record("timeouts");
    RouteSpec {
        name,
        place,
        matching,
        action,
        filters,
        timeouts: RouteTimeouts {
            request: timeouts.and_then(|t| t.item("request").duration()),
            first_byte: timeouts.map(|t| t.duration("first_byte")).unwrap_or_default(),
            idle: timeouts.map(|t| t.duration("idle")).unwrap_or_default(),
        },
        retries: record.number("retries"),
        body_bytes: record.record("limits").and_then(|limits| limits.item("body_bytes").count()),
        upgrade: record.flag("upgrade"),
        host_rewrite: record.text("host_rewrite").map(str::to_owned),
    }
}

fn matching(record: Option<&Record>, lowering: &mut Lowering<'_>) -> RouteMatch {
    let Some(record) = record else { return any() };
    let path = record.record("path");
    let path = |name| path.and_then(|path| path.text(name)).map(str::to_owned);
    let usual = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let hosts = distinct(record.item("hosts"), usual, lowering);
    let hosts = match hosts.iter().any(|host| host == "*") {
        true => Vec::new(),
        false => hosts.into_iter().map(host_pattern).collect(),
    };
    RouteMatch {
        hosts,
        path: match (path("exact"), path("prefix"), path("regex")) {
            (Some(exact), ..) => PathPattern::Exact(exact),
            (_, Some(prefix), _) => PathPattern::Prefix(prefix),
            (.., Some(regex)) => PathPattern::Regex(regex),
            _ => PathPattern::Any,
        },
        methods: distinct(record.item("methods"), str::to_owned, lowering),
        headers: conditions(record.item("headers"), str::to_ascii_lowercase, lowering),
        query: conditions(record.item("query"), str::to_owned, lowering),
    }
}

fn any() -> RouteMatch {
    RouteMatch {
        hosts: Vec::new(),
        path: PathPattern::Any,
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn host_pattern(host: String) -> HostPattern {
    match host.strip_prefix('*') {
        Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
        None => HostPattern::Exact(host),
    }
}

/// Whether nothing of a match was reported as wrong, so that it can be compared with others.
fn is_whole(record: &Record) -> bool {
    let has_one = |item: &Item| match item.record() {
        Some(pattern) => pattern.fields.iter().any(Item::is_given),
        None => item.is_given(),
    };
    let path = record.item("path");
    record.item("hosts").list().iter().all(Item::is_given)
        && record.item("methods").list().iter().all(Item::is_given)
        && (!path.is_given() || has_one(path))
        && ["headers", "query"]
            .iter()
            .all(|name| record.item(name).map().iter().all(|(_, _, item)| has_one(item)))
}

/// The texts of a list in their usual form, after a report of each that is given twice.
fn distinct(
    list: &Item,
    usual: impl Fn(&str) -> String,
    lowering: &mut Lowering<'_>,
) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(list.list().len());
    for item in list.list() {
        let Some(text) = item.text().map(&usual) else { continue };
        if out.contains(&text) {
            let what = format!("`{}` is given twice", shorten(&text));
            lowering.problems.report(item.place, what, "each once");
        } else {
            out.push(text);
        }
    }
    out
}

/// Conditions by name, in the order of their names, so that two that say the same are equal.
fn conditions(
    map: &Item,
    usual: impl Fn(&str) -> String,
    lowering: &mut Lowering<'_>,
) -> Vec<(String, ValuePattern)> {
    let mut out: Vec<(String, ValuePattern)> = Vec::with_capacity(map.map().len());
    for (name, place, item) in map.map() {
        let name = usual(name);
        if out.iter().any(|(before, _)| *before == name) {
            let what = format!("`{}` is given twice, in other capitals", shorten(&name));
            lowering.problems.report(*place, what, "each name once");
        }
        let pattern = match &item.value {
            Value::Text(text) => ValuePattern::Exact(text.clone()),
            Value::Record(record) => match (record.text("exact"), record.text("regex")) {
                (Some(exact), _) => ValuePattern::Exact(exact.to_owned()),
                (_, Some(regex)) => ValuePattern::Regex(regex.to_owned()),
                _ => ValuePattern::Present,
            },
            _ => continue,
        };
        out.push((name, pattern));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// Two routes that match the same requests: only the order of the file would decide between them.
fn refuse_same_match(
    matching: &RouteMatch,
    (name, place): (&str, Place),
    first: &mut HashMap<String, (String, Place)>,
    lowering: &mut Lowering<'_>,
) {
    let hosts = matching.hosts.iter().map(|host| match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Suffix(suffix) => format!("*{suffix}"),
    });
    let methods = matching.methods.iter().cloned();
    let (hosts, methods) = (or_any(hosts.collect()), or_any(methods.collect()));
    let path = match &matching.path {
        PathPattern::Any => String::from("any"),
        PathPattern::Exact(path) => format!("exact {path}"),
        PathPattern::Prefix(path) => format!("prefix {}/", path.trim_end_matches('/')),
        PathPattern::Regex(regex) => format!("regex {regex:?}"),
    };
    let conditions = format!("{:?} {:?}", matching.headers, matching.query);
    let mut is_reported = false;
    for host in &hosts {
        for method in &methods {
            // Lines cannot occur inside any of these, so equal keys are equal matches.
            let key = format!("{host}\n{method}\n{path}\n{conditions}");
            if let Some((other, before)) = first.get(&key) {
                if !is_reported {
                    let what = format!(
                        "route `{}` matches the same requests as route `{}` at {before}{}",
                        shorten(name),
                        shorten(other),
                        overlap(host, method)
                    );
                    lowering.problems.report(place, what, "matches that differ");
                    is_reported = true;
                }
            } else {
                first.insert(key, (name.to_owned(), place));
            }
        }
    }
}

/// The entries of a list, or one that stands for all.
fn or_any(list: Vec<String>) -> Vec<String> {
    if list.is_empty() { vec![String::new()] } else { list }
}

fn overlap(host: &str, method: &str) -> String {
    match (host, method) {
        ("", "") => String::new(),
        (host, "") => format!(" (host `{host}`)"),
        ("", method) => format!(" (method `{method}`)"),
        (host, method) => format!(" (host `{host}`, method `{method}`)"),
    }
}

/// The action of a route; `None` after a report.
fn action(record: &Record, prefix: Option<&str>, lowering: &mut Lowering<'_>) -> Option<Action> {
    let backends = record.item("backends");
    if backends.is_given() {
        return forward(backends, lowering);
    }
    if let Some(item) = Some(record.item("redirect")).filter(|item| item.is_given()) {
        return redirect(item, prefix, lowering).map(Action::Redirect);
    }
    record.record("respond").map(|respond| Action::Respond(self::respond(respond, lowering)))
}

fn forward(list: &Item, lowering: &mut Lowering<'_>) -> Option<Action> {
    let mut backends: Vec<Backend> = Vec::with_capacity(list.list().len());
    let mut total: u64 = 0;
    for record in list.list().iter().filter_map(Item::record) {
        let item = record.item("upstream");
        let Some(name) = item.text() else { continue };
        let Some(&upstream) = lowering.upstreams.get(name) else {
            let expected = match nearest(name, lowering.upstreams.keys().map(String::as_str)) {
                Some(near) => format!("`{near}` (did you mean it?)"),
                None if lowering.upstreams.is_empty() => "an entry in `upstreams`".into(),
                None if lowering.upstreams.len() > 8 => "the name of an upstream".into(),
                None => {
                    let mut names: Vec<&str> =
                        lowering.upstreams.keys().map(String::as_str).collect();
                    names.sort_unstable();
                    known_or_nearest("", &names)
                }
            };
            let what = format!("no upstream is called `{}`", shorten(name));
            lowering.problems.report(item.place, what, expected);
            continue;
        };
        if backends.iter().any(|backend| backend.upstream == upstream) {
            let what = format!("`{}` is already a backend of this route", shorten(name));
            lowering.problems.report(item.place, what, "each upstream once, with a `weight`");
        }
        let weight = record.number("weight");
        total += u64::from(weight);
        backends.push(Backend { upstream, weight });
    }
    let is_whole = backends.len() == list.list().len();
    if is_whole && !backends.is_empty() && total == 0 {
        let expected = "at least one with a share of the requests";
        lowering.problems.report(list.place, "all backends have weight 0", expected);
    }
    // 256 backends of at most 1,000,000 each: the sum fits.
    Some(Action::Forward { backends, weight_total: u32::try_from(total).ok()? })
}

fn redirect(item: &Item, prefix: Option<&str>, lowering: &mut Lowering<'_>) -> Option<Redirect> {
    let record = item.record()?;
    let path = match (record.text("path"), record.text("prefix")) {
        (Some(_), Some(_)) => {
            let expected = "either the whole new path or the new prefix";
            let place = record.item("prefix").place;
            lowering.problems.report(place, "`redirect` has `prefix` beside `path`", expected);
            return None;
        }
        (Some(path), None) => RedirectPath::Full(path.to_owned()),
        (None, Some(replacement)) => {
            let Some(matched) = prefix else {
                lowering.problems.report(
                    record.item("prefix").place,
                    "`prefix` replaces the matched prefix, and this route matches none",
                    "`path: { prefix: … }` in `match`",
                );
                return None;
            };
            let bare = |path: &str| path.trim_end_matches('/').to_owned();
            RedirectPath::Prefix { matched: bare(matched), replacement: bare(replacement) }
        }
        (None, None) => RedirectPath::Keep,
    };
    let is_given = |name| record.item(name).is_given();
    // A part that was reported reads as not given, so the report may be one too many, never one too few.
    if path == RedirectPath::Keep && !is_given("scheme") && !is_given("host") {
        let what = "`redirect` leads back to the same place";
        lowering.problems.report(item.place, what, "`scheme`, `host`, `path` or `prefix`");
        return None;
    }
    Some(Redirect {
        status: record.word("status").parse().ok()?,
        scheme: match record.word("scheme") {
            "http" => Some(RedirectScheme::Http),
            "https" => Some(RedirectScheme::Https),
            _ => None,
        },
        host: record.text("host").map(str::to_owned),
        path,
        query: match record.word("query") {
            "drop" => RedirectQuery::Drop,
            _ => RedirectQuery::Keep,
        },
    })
}

fn respond(record: &Record, lowering: &mut Lowering<'_>) -> Respond {
    let status = record.number("status");
    let body = record.text("body").unwrap_or_default().as_bytes().to_vec();
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        let what = format!("`body` is given, but an answer with status {status} has none");
        lowering.problems.report(record.item("body").place, what, "no `body`, or another status");
    }
    let mut headers = filter::fields(record.item("headers"), lowering);
    if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".into(), "text/plain; charset=utf-8".into()));
    }
    Respond { status, body, headers }
}
