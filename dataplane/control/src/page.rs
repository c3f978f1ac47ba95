//! The metrics page: what workers count, what their runtimes count, what the process knows.

use telemetry::{ExtraMetric, WorkerMetrics, WorkerStatus};

use crate::agent::Agent;

/// What the workers run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLabel {
    /// `ring` or `portable`.
    pub name: &'static str,
    /// Details, or why it is not the ring.
    pub why: String,
}

/// Counters of a runtime that go down as well.
const GAUGES: [&str; 3] = ["streams_open", "buffers_leased", "tasks_alive"];

/// The page in Prometheus' text format.
pub(crate) fn metrics(agent: &Agent) -> String {
    let publisher = agent.publisher.borrow();
    let workers: Vec<(&WorkerMetrics, &WorkerStatus)> =
        publisher.workers().map(|worker| (&*worker.metrics, &*worker.status)).collect();
    let mut extra: Vec<ExtraMetric> = Vec::new();
    for worker in publisher.workers() {
        for (place, (name, help, value)) in worker.counters.iter().enumerate() {
            match extra.get_mut(place) {
                Some(metric) => metric.values.push(value),
                None => extra.push(ExtraMetric {
                    name: match GAUGES.contains(&name) {
                        true => format!("ringgate_net_{name}"),
                        false => format!("ringgate_net_{name}_total"),
                    },
                    help: help.trim().to_owned(),
                    values: vec![value],
                }),
            }
        }
    }
    let mut out = String::new();
    telemetry::expose(&workers, &publisher.slot_names(), &extra, &mut out);
    let version = env!("CARGO_PKG_VERSION");
    let runtime = agent.runtime.name;
    let mut one = |name: &str, kind: &str, help: &str, labels: &str, value: u64| {
        out.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n"
        ));
    };
    one(
        "ringgate_build_info",
        "gauge",
        "Always 1; which version runs on which runtime.",
        &format!("{{version=\"{version}\",runtime=\"{runtime}\"}}"),
        1,
    );
    one(
        "ringgate_config_generation",
        "gauge",
        "The generation published last.",
        "",
        publisher.current().generation,
    );
    one(
        "ringgate_config_rejected",
        "gauge",
        "1 while the last document offered was refused.",
        "",
        u64::from(publisher.last_rejected().is_some()),
    );
    one(
        "ringgate_config_snapshots_freed_total",
        "counter",
        "Snapshots that nobody used any more.",
        "",
        publisher.freed(),
    );
    one(
        "ringgate_access_log_dropped_total",
        "counter",
        "Lines of the access log that were lost to a slow or full disk.",
        "",
        agent.access_log.as_ref().map_or(0, |log| log.dropped()),
    );
    out
}
