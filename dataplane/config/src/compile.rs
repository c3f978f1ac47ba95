//! From a document to a snapshot: names get slots, matches become a table, filters a chain.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, RouteSpec};
use crate::slots::Slots;
use crate::snapshot::{Listener, Route, Snapshot, Upstream};
use filters::normalize::header_edit::{self, Changes};
use filters::normalize::path_rewrite::Config as PathRewrite;
use filters::{Chain, FilterConfig};
use policy::route::RouteTableBuilder;

/// Compiles a document into the snapshot of a generation.
///
/// Names that are new get slots; those of names that are gone stay taken until [`Slots`] is told that
/// nothing of them is left. When it fails, slots may have been given out, which does no harm.
///
/// # Errors
/// What only compiling finds, such as expressions that are too large together.
pub fn compile(
    doc: &Document,
    generation: u64,
    slots: &mut Slots,
) -> Result<Snapshot, Vec<Diagnostic>> {
    let mut problems = Diagnostics::new(&doc.file);
    let plan = &doc.plan;
    let listeners = plan.listeners.iter().map(|listener| {
        Arc::new(Listener { slot: slots.listeners.assign(&listener.name), ..listener.clone() })
    });
    let listeners = listeners.collect();
    let upstreams = plan.upstreams.iter().map(|upstream| {
        Arc::new(Upstream { slot: slots.upstreams.assign(&upstream.name), ..upstream.clone() })
    });
    let upstreams = upstreams.collect();
    let mut routes = Vec::with_capacity(plan.routes.len());
    let mut table = RouteTableBuilder::new();
    for (index, spec) in (0..).zip(&plan.routes) {
        if let Err(error) = table.add(index, &spec.matching) {
            let what = format!("the match of route `{}`: {error}", spec.name);
            problems.report(spec.place, what, "");
        }
        let slot = slots.routes.assign(&spec.name);
        routes.extend(route(spec, slot, &mut problems).map(Arc::new));
    }
    let table = table.build().map_err(|error| {
        let mut problems = Diagnostics::new(&doc.file);
        problems.report(Place { line: 1, column: 1 }, format!("the routes: {error}"), "");
        problems.into_sorted()
    })?;
    if !problems.is_empty() {
        return Err(problems.into_sorted());
    }
    let settings = &plan.settings;
    Ok(Snapshot {
        generation,
        source: doc.file.clone(),
        hash: doc.hash.clone(),
        document: doc.masked.clone(),
        runtime: settings.runtime,
        workers: settings.workers,
        admin: settings.admin.as_ref().map(|(admin, _)| admin.clone()),
        state_dir: settings.state_dir.clone(),
        access_log: settings.access_log.clone(),
        limits: settings.limits,
        timeouts_drain: settings.timeouts_drain,
        listeners,
        upstreams,
        table,
        routes,
    })
}

/// The route of a spec; `None` after a report.
fn route(spec: &RouteSpec, slot: u32, problems: &mut Diagnostics) -> Option<Route> {
    let configs: Vec<FilterConfig> = spec.filters.iter().map(|one| one.config.clone()).collect();
    let chain = match Chain::compile(&configs) {
        Ok(chain) => chain,
        Err((at, error)) => {
            let place = spec.filters.get(at).map_or(spec.place, |filter| filter.place);
            problems.report(place, format!("the filters of `{}`: {error}", spec.name), "");
            return None;
        }
    };
    Some(Route {
        name: spec.name.clone(),
        slot,
        action: spec.action.clone(),
        chain,
        filters: configs.iter().map(describe).collect(),
        timeouts: spec.timeouts,
        retries: spec.retries,
        body_bytes: spec.body_bytes,
        upgrade: spec.upgrade,
        host_rewrite: spec.host_rewrite.clone(),
    })
}

/// What a filter does, in one line. Values of fields are left out: they may be credentials.
fn describe(config: &FilterConfig) -> String {
    match config {
        FilterConfig::HeaderEdit(header_edit::Config { request, response }) => {
            let sides = [("request", request), ("response", response)];
            let sides: Vec<String> =
                sides.into_iter().filter_map(|(side, edits)| describe_edits(side, edits)).collect();
            format!("header_edit: {}", sides.join("; "))
        }
        FilterConfig::PathRewrite(PathRewrite::Prefix { matched, replacement }) => {
            format!("path_rewrite: prefix {matched} becomes {replacement}")
        }
        FilterConfig::PathRewrite(PathRewrite::Regex { pattern, substitution }) => {
            format!("path_rewrite: what matches {pattern} becomes {substitution}")
        }
        FilterConfig::PathRewrite(PathRewrite::Full(path)) => {
            format!("path_rewrite: the path becomes {path}")
        }
        _ => "a filter without a description".to_owned(),
    }
}

fn describe_edits(side: &str, edits: &Changes) -> Option<String> {
    let names = |fields: &[(String, String)]| -> Vec<String> {
        fields.iter().map(|(name, _)| name.clone()).collect()
    };
    let parts =
        [("set", names(&edits.set)), ("add", names(&edits.add)), ("remove", edits.remove.clone())];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| format!("{verb} {}", names.join(", ")))
        .collect();
    if parts.is_empty() { None } else { Some(format!("{side} {}", parts.join(", "))) }
}
