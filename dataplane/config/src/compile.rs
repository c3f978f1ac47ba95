//! From a document to a snapshot: names get slots, matches become a table, filters a chain.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Document;
use crate::slots::Slots;
use crate::snapshot::{Listener, Route, Snapshot, Upstream};
use crate::standin::{Chain, RouteTable};

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
    let problems = Diagnostics::new(&doc.file);
    let plan = &doc.plan;
    let listeners = plan.listeners.iter().map(|listener| {
        Arc::new(Listener { slot: slots.listeners.assign(&listener.name), ..listener.clone() })
    });
    let listeners = listeners.collect();
    let upstreams = plan.upstreams.iter().map(|upstream| {
        Arc::new(Upstream { slot: slots.upstreams.assign(&upstream.name), ..upstream.clone() })
    });
    let upstreams = upstreams.collect();
    let routes = plan.routes.iter().map(|spec| {
        Arc::new(Route {
            name: spec.name.clone(),
            slot: slots.routes.assign(&spec.name),
            action: spec.action.clone(),
            chain: Chain,
            timeouts: spec.timeouts,
            retries: spec.retries,
            body_bytes: spec.body_bytes,
            upgrade: spec.upgrade,
            host_rewrite: spec.host_rewrite.clone(),
        })
    });
    let routes = routes.collect();
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
        table: RouteTable,
        routes,
    })
}
