//! Filters of a route.

use crate::document::FilterSpec;
use crate::lower::Lowering;
use crate::tree::shorten;
use crate::value::{Item, Record, Value};
use filters::FilterConfig;
use filters::normalize::header_edit::{self, Changes};
use filters::normalize::path_rewrite::Config as PathRewrite;

/// The filters of a route that matches the path prefix `prefix`, if it does.
pub(super) fn filters(
    list: &Item,
    prefix: Option<&str>,
    lowering: &mut Lowering<'_>,
) -> Vec<FilterSpec> {
    let mut out = Vec::with_capacity(list.list().len());
    let mut rewritten = None;
    for item in list.list() {
        let Value::Tagged(name, record) = &item.value else { continue };
        let config = match *name {
            "header_edit" => Some(FilterConfig::HeaderEdit(header_edit::Config {
                request: edits(record.record("request"), lowering),
                response: edits(record.record("response"), lowering),
            })),
            _ => {
                if let Some(before) = rewritten {
                    let what = format!("the path is already rewritten, at {before}");
                    lowering.problems.report(item.place, what, "one `path_rewrite` in a route");
                }
                rewritten = rewritten.or(Some(item.place));
                path_rewrite(record, prefix, lowering).map(FilterConfig::PathRewrite)
            }
        };
        out.extend(config.map(|config| FilterSpec { place: item.place, config }));
    }
    out
}

fn path_rewrite(
    record: &Record,
    prefix: Option<&str>,
    lowering: &mut Lowering<'_>,
) -> Option<PathRewrite> {
    if let Some(replacement) = record.text("prefix") {
        let Some(matched) = prefix else {
            lowering.problems.report(
                record.item("prefix").place,
                "`prefix` replaces the matched prefix, and this route matches none",
                "`path: { prefix: … }` in `match`",
            );
            return None;
        };
        let (matched, replacement) = (matched.to_owned(), replacement.to_owned());
        return Some(PathRewrite::Prefix { matched, replacement });
    }
    if let Some(regex) = record.record("regex") {
        let pattern = regex.text("pattern")?.to_owned();
        let substitution = regex.text("substitution")?.to_owned();
        return Some(PathRewrite::Regex { pattern, substitution });
    }
    Some(PathRewrite::Full(record.text("full")?.to_owned()))
}

fn edits(record: Option<&Record>, lowering: &mut Lowering<'_>) -> Changes {
    let Some(record) = record else { return Changes::default() };
    let set = fields(record.item("set"), lowering);
    let add = fields(record.item("add"), lowering);
    let mut remove = Vec::new();
    for item in record.item("remove").list() {
        let Some(name) = item.text().map(str::to_ascii_lowercase) else { continue };
        if set.iter().any(|(other, _)| *other == name) {
            let what = format!("`{}` is both set and removed", shorten(&name));
            lowering.problems.report(item.place, what, "one of the two");
        }
        remove.push(name);
    }
    Changes { set, add, remove }
}

/// Fields by name in lower case, after a report of each that is given twice; credentials are masked.
pub(super) fn fields(map: &Item, lowering: &mut Lowering<'_>) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::with_capacity(map.map().len());
    for (name, place, item) in map.map() {
        let name = name.to_ascii_lowercase();
        if out.iter().any(|(before, _)| *before == name) {
            let what = format!("`{}` is given twice, in other capitals", shorten(&name));
            lowering.problems.report(*place, what, "each name once");
        }
        if CREDENTIAL_NAMES.contains(&name.as_str()) {
            lowering.masked.push(item.extent);
        }
        let Some(value) = item.text() else { continue };
        out.push((name, value.to_owned()));
    }
    out
}

/// Fields whose value lets someone in: never shown.
const CREDENTIAL_NAMES: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
];
