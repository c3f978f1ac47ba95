//! The counters of one worker.

use wire::reason::Reason;

use crate::slots::SlotTable;
use crate::{Counter, Gauge, Histogram, Outcome};

/// Classes of status: none sent, 1xx to 5xx.
pub(crate) const CLASSES: usize = 6;

/// One worker's counters: written by it alone, read by anybody.
#[derive(Debug)]
pub struct WorkerMetrics {
    pub(crate) listeners: SlotTable<ListenerCounters>,
    pub(crate) routes: SlotTable<RouteCounters>,
    pub(crate) upstreams: SlotTable<UpstreamCounters>,
    pub(crate) reasons: Box<[Counter]>,
}

#[derive(Debug, Default)]
pub(crate) struct ListenerCounters {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) open: Gauge,
    pub(crate) classes: [Counter; CLASSES],
    pub(crate) request_bytes: Counter,
    pub(crate) response_bytes: Counter,
    pub(crate) upgrades: Counter,
    pub(crate) duration: Histogram,
}

#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    pub(crate) classes: [Counter; CLASSES],
    pub(crate) request_bytes: Counter,
    pub(crate) response_bytes: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct UpstreamCounters {
    pub(crate) classes: [Counter; CLASSES],
    pub(crate) connects_failed: Counter,
    pub(crate) retries: Counter,
    pub(crate) idle: Gauge,
    pub(crate) first_byte: Histogram,
}

impl Default for WorkerMetrics {
    fn default() -> WorkerMetrics {
        WorkerMetrics::new()
    }
}

impl WorkerMetrics {
    /// All zero.
    pub fn new() -> WorkerMetrics {
        WorkerMetrics {
            listeners: SlotTable::new(),
            routes: SlotTable::new(),
            upstreams: SlotTable::new(),
            reasons: Reason::ALL.iter().map(|_| Counter::default()).collect(),
        }
    }

    /// A connection was accepted and is served.
    pub fn connection_opened(&self, listener: u32) {
        if let Some(listener) = self.listeners.at(listener) {
            listener.accepted.add(1);
            listener.open.increment();
        }
    }

    /// A served connection has ended.
    pub fn connection_closed(&self, listener: u32) {
        if let Some(listener) = self.listeners.at(listener) {
            listener.open.decrement();
        }
    }

    /// A connection was turned away.
    pub fn connection_refused(&self, listener: u32, reason: Reason) {
        if let Some(listener) = self.listeners.at(listener) {
            listener.refused.add(1);
        }
        self.count_reason(reason);
    }

    /// A connect to an endpoint failed.
    pub fn upstream_connect_failed(&self, upstream: u32) {
        if let Some(upstream) = self.upstreams.at(upstream) {
            upstream.connects_failed.add(1);
        }
    }

    /// A request was sent again because an idle connection had been closed.
    pub fn upstream_retry(&self, upstream: u32) {
        if let Some(upstream) = self.upstreams.at(upstream) {
            upstream.retries.add(1);
        }
    }

    /// Idle connections kept now.
    pub fn upstream_idle(&self, upstream: u32, idle: u64) {
        if let Some(upstream) = self.upstreams.at(upstream) {
            upstream.idle.set(idle);
        }
    }

    /// An exchange has ended.
    pub fn record(&self, outcome: &Outcome<'_>) {
        let class = usize::from(outcome.status / 100).min(CLASSES - 1);
        if let Some(listener) = self.listeners.at(outcome.listener) {
            count(&listener.classes, class);
            listener.request_bytes.add(outcome.request_bytes);
            listener.response_bytes.add(outcome.response_bytes);
            listener.upgrades.add(u64::from(outcome.upgraded));
            listener.duration.record(outcome.duration_us);
        }
        if let Some(route) = outcome.route.and_then(|slot| self.routes.at(slot)) {
            count(&route.classes, class);
            route.request_bytes.add(outcome.request_bytes);
            route.response_bytes.add(outcome.response_bytes);
        }
        if let Some(upstream) = outcome.upstream.and_then(|slot| self.upstreams.at(slot)) {
            count(&upstream.classes, class);
            if let Some(first_byte) = outcome.first_byte_us {
                upstream.first_byte.record(u64::from(first_byte));
            }
        }
        if let Some(reason) = outcome.reason {
            self.count_reason(reason);
        }
    }

    fn count_reason(&self, reason: Reason) {
        if let Some(counter) = self.reasons.get(reason.index()) {
            counter.add(1);
        }
    }
}

fn count(classes: &[Counter; CLASSES], class: usize) {
    if let Some(counter) = classes.get(class) {
        counter.add(1);
    }
}
