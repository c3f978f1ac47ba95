//! The metrics page, in Prometheus' text format (version 0.0.4).

use std::fmt::Write as _;

use wire::reason::Reason;

use crate::worker::CLASSES;
use crate::{Counter, Histogram, WorkerMetrics, WorkerStatus};

/// Names by slot; an empty name is a slot that is not in use.
#[derive(Clone, Debug, Default)]
pub struct SlotNames {
    /// Listeners.
    pub listeners: Vec<String>,
    /// Routes.
    pub routes: Vec<String>,
    /// Upstreams.
    pub upstreams: Vec<String>,
}

/// A number that somebody else counts, one per worker.
#[derive(Clone, Debug)]
pub struct ExtraMetric {
    /// The full name; those that end in `_total` are counters, others gauges.
    pub name: String,
    /// What it counts.
    pub help: String,
    /// The value of each worker.
    pub values: Vec<u64>,
}

/// Appends every metric of all workers to `out`.
pub fn expose(
    workers: &[(&WorkerMetrics, &WorkerStatus)],
    names: &SlotNames,
    extra: &[ExtraMetric],
    out: &mut String,
) {
    let page = Page { workers, names };
    // Writing to a String cannot fail.
    let _ = page.write(extra, out);
}

struct Page<'a> {
    workers: &'a [(&'a WorkerMetrics, &'a WorkerStatus)],
    names: &'a SlotNames,
}

type Written = std::fmt::Result;

impl Page<'_> {
    fn write(&self, extra: &[ExtraMetric], out: &mut String) -> Written {
        self.listeners(out)?;
        self.routes(out)?;
        self.upstreams(out)?;
        family(
            out,
            "ringgate_responses_total",
            "counter",
            "Requests refused, cut or given up by the gateway, by reason.",
        )?;
        for reason in Reason::ALL {
            let total = self.sum(|w| w.reasons.get(reason.index()).map(Counter::value));
            writeln!(out, "ringgate_responses_total{{reason=\"{}\"}} {total}", reason.as_str())?;
        }
        self.workers(out)?;
        for metric in extra {
            let kind = if metric.name.ends_with("_total") { "counter" } else { "gauge" };
            family(out, &metric.name, kind, &metric.help)?;
            for (worker, value) in metric.values.iter().enumerate() {
                writeln!(out, "{}{{worker=\"{worker}\"}} {value}", metric.name)?;
            }
        }
        Ok(())
    }

    fn sum(&self, value: impl Fn(&WorkerMetrics) -> Option<u64>) -> u64 {
        self.workers.iter().filter_map(|(metrics, _)| value(metrics)).sum()
    }

    /// One line per slot in use that any worker has counted for.
    fn by_slot(
        &self,
        out: &mut String,
        (name, kind, help): (&str, &str, &str),
        (label, slots): (&str, &[String]),
        value: impl Fn(&WorkerMetrics, u32) -> Option<u64>,
    ) -> Written {
        family(out, name, kind, help)?;
        for (slot, text) in in_use(slots) {
            let total = self.sum(|worker| value(worker, slot));
            writeln!(out, "{name}{{{label}=\"{}\"}} {total}", escaped(text))?;
        }
        Ok(())
    }

    fn classes(
        &self,
        out: &mut String,
        (name, help): (&str, &str),
        (label, slots): (&str, &[String]),
        classes: impl Fn(&WorkerMetrics, u32) -> Option<&[Counter; CLASSES]>,
    ) -> Written {
        family(out, name, "counter", help)?;
        for (slot, text) in in_use(slots) {
            for class in 0..CLASSES {
                let total = self.sum(|w| classes(w, slot)?.get(class).map(Counter::value));
                if total > 0 || class == 2 {
                    let class = CLASS_NAMES.get(class).unwrap_or(&"");
                    let text = escaped(text);
                    writeln!(out, "{name}{{{label}=\"{text}\",class=\"{class}\"}} {total}")?;
                }
            }
        }
        Ok(())
    }

    fn histogram(
        &self,
        out: &mut String,
        (name, help): (&str, &str),
        (label, slots): (&str, &[String]),
        histogram: impl Fn(&WorkerMetrics, u32) -> Option<&Histogram>,
    ) -> Written {
        family(out, name, "histogram", help)?;
        for (slot, text) in in_use(slots) {
            let text = escaped(text);
            let each: Vec<&Histogram> =
                self.workers.iter().filter_map(|(w, _)| histogram(w, slot)).collect();
            let empty = Histogram::default();
            let bounds: Vec<Option<f64>> = empty.cumulative().map(|(bound, _)| bound).collect();
            let mut count = 0;
            for (index, bound) in bounds.into_iter().enumerate() {
                count = each.iter().filter_map(|h| h.cumulative().nth(index)).map(|b| b.1).sum();
                let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
                writeln!(out, "{name}_bucket{{{label}=\"{text}\",le=\"{bound}\"}} {count}")?;
            }
            let sum: f64 = each.iter().map(|histogram| histogram.sum_seconds()).sum();
            writeln!(out, "{name}_sum{{{label}=\"{text}\"}} {sum}")?;
            writeln!(out, "{name}_count{{{label}=\"{text}\"}} {count}")?;
        }
        Ok(())
    }

    fn listeners(&self, out: &mut String) -> Written {
        let slots = ("listener", &self.names.listeners[..]);
        let counter = |name, help| (name, "counter", help);
        self.classes(
            out,
            ("ringgate_requests_total", "Exchanges ended, by listener and class of status."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| &l.classes),
        )?;
        self.by_slot(
            out,
            counter("ringgate_connections_accepted_total", "Connections accepted."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| l.accepted.value()),
        )?;
        self.by_slot(
            out,
            counter("ringgate_connections_refused_total", "Connections turned away."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| l.refused.value()),
        )?;
        self.by_slot(
            out,
            ("ringgate_connections_open", "gauge", "Client connections open now."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| l.open.value()),
        )?;
        self.by_slot(
            out,
            counter("ringgate_request_bytes_total", "Bytes of requests, heads and bodies."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| l.request_bytes.value()),
        )?;
        self.by_slot(
            out,
            counter("ringgate_response_bytes_total", "Bytes of the bodies of answers."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| l.response_bytes.value()),
        )?;
        self.by_slot(
            out,
            counter("ringgate_upgrades_total", "Exchanges that became tunnels."),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| l.upgrades.value()),
        )?;
        self.histogram(
            out,
            (
                "ringgate_request_duration_seconds",
                "From the request's head to the end of the answer.",
            ),
            slots,
            |w, slot| w.listeners.get(slot).map(|l| &l.duration),
        )
    }

    fn routes(&self, out: &mut String) -> Written {
        let slots = ("route", &self.names.routes[..]);
        self.classes(
            out,
            ("ringgate_route_requests_total", "Exchanges ended, by route and class of status."),
            slots,
            |w, slot| w.routes.get(slot).map(|r| &r.classes),
        )?;
        self.by_slot(
            out,
            ("ringgate_route_request_bytes_total", "counter", "Bytes of requests, by route."),
            slots,
            |w, slot| w.routes.get(slot).map(|r| r.request_bytes.value()),
        )?;
        self.by_slot(
            out,
            ("ringgate_route_response_bytes_total", "counter", "Bytes of answers, by route."),
            slots,
            |w, slot| w.routes.get(slot).map(|r| r.response_bytes.value()),
        )
    }

    fn upstreams(&self, out: &mut String) -> Written {
        let slots = ("upstream", &self.names.upstreams[..]);
        self.classes(
            out,
            (
                "ringgate_upstream_requests_total",
                "Exchanges ended, by upstream and class of status.",
            ),
            slots,
            |w, slot| w.upstreams.get(slot).map(|u| &u.classes),
        )?;
        self.by_slot(
            out,
            ("ringgate_upstream_connects_failed_total", "counter", "Connects that failed."),
            slots,
            |w, slot| w.upstreams.get(slot).map(|u| u.connects_failed.value()),
        )?;
        self.by_slot(
            out,
            (
                "ringgate_upstream_retries_total",
                "counter",
                "Requests sent again on a new connection.",
            ),
            slots,
            |w, slot| w.upstreams.get(slot).map(|u| u.retries.value()),
        )?;
        self.by_slot(
            out,
            ("ringgate_upstream_idle_connections", "gauge", "Idle connections kept."),
            slots,
            |w, slot| w.upstreams.get(slot).map(|u| u.idle.value()),
        )?;
        self.histogram(
            out,
            (
                "ringgate_upstream_first_byte_seconds",
                "From the request's head to the head of the answer.",
            ),
            slots,
            |w, slot| w.upstreams.get(slot).map(|u| &u.first_byte),
        )
    }

    fn workers(&self, out: &mut String) -> Written {
        type Value = fn(&WorkerStatus) -> u64;
        let gauges: [(&str, &str, Value); 4] = [
            ("ringgate_worker_connections", "Client connections of each worker.", |s| {
                s.connections()
            }),
            ("ringgate_worker_exchanges", "Exchanges under way on each worker.", |s| s.exchanges()),
            (
                "ringgate_worker_generation",
                "Generation of the configuration that each worker serves.",
                |s| s.generation(),
            ),
            ("ringgate_worker_draining", "Whether the worker is draining.", |s| {
                u64::from(s.is_draining())
            }),
        ];
        for (name, help, value) in gauges {
            family(out, name, "gauge", help)?;
            for (index, (_, status)) in self.workers.iter().enumerate() {
                writeln!(out, "{name}{{worker=\"{index}\"}} {}", value(status))?;
            }
        }
        Ok(())
    }
}

const CLASS_NAMES: [&str; CLASSES] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> Written {
    writeln!(out, "# HELP {name} {}", help.trim().replace('\\', "\\\\").replace('\n', "\\n"))?;
    writeln!(out, "# TYPE {name} {kind}")
}

fn in_use(slots: &[String]) -> impl Iterator<Item = (u32, &String)> {
    slots.iter().enumerate().filter(|(_, name)| !name.is_empty()).map(|(slot, n)| (slot as u32, n))
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::Outcome;

    fn outcome(status: u16, reason: Option<Reason>) -> Outcome<'static> {
        Outcome {
            listener: 0,
            route: Some(300),
            upstream: Some(1),
            method: b"",
            host: b"",
            path: b"",
            client: None,
            endpoint: None,
            request_id: b"",
            status,
            reason,
            request_bytes: 10,
            response_bytes: 100,
            started_unix_us: 0,
            first_byte_us: Some(40),
            duration_us: 50,
            attempts: 1,
            upgraded: false,
        }
    }

    fn page() -> String {
        let (first, second) = (WorkerMetrics::new(), WorkerMetrics::new());
        let status = WorkerStatus::default();
        first.connection_opened(0);
        first.record(&outcome(200, None));
        second.record(&outcome(200, None));
        second.record(&outcome(502, Some(Reason::UpstreamReset)));
        let mut names = SlotNames {
            listeners: vec!["we\"b\\".into()],
            upstreams: vec![String::new(), "u".into()],
            ..SlotNames::default()
        };
        names.routes.resize(301, String::new());
        names.routes[300] = "r".into();
        let extra = [ExtraMetric {
            name: "ringgate_net_enters_total".into(),
            help: "Enters.".into(),
            values: vec![3, 4],
        }];
        let mut out = String::new();
        expose(&[(&first, &status), (&second, &status)], &names, &extra, &mut out);
        out
    }

    #[test]
    fn sums_workers_and_names_slots() {
        let page = page();
        for line in [
            "ringgate_requests_total{listener=\"we\\\"b\\\\\",class=\"2xx\"} 2",
            "ringgate_route_requests_total{route=\"r\",class=\"5xx\"} 1",
            "ringgate_responses_total{reason=\"upstream_reset\"} 1",
            "ringgate_responses_total{reason=\"no_route\"} 0",
            "ringgate_upstream_first_byte_seconds_bucket{upstream=\"u\",le=\"0.000064\"} 3",
            "ringgate_upstream_first_byte_seconds_bucket{upstream=\"u\",le=\"0.000032\"} 0",
            "ringgate_upstream_first_byte_seconds_count{upstream=\"u\"} 3",
            "ringgate_net_enters_total{worker=\"1\"} 4",
            "ringgate_connections_open{listener=\"we\\\"b\\\\\"} 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
    }

    /// Each family is announced once, its samples follow, no sample twice, values are numbers.
    #[test]
    fn the_page_is_valid_and_every_family_is_documented() {
        let page = page();
        let documented = include_str!("../METRICS.md");
        let (mut family, mut families, mut samples) = ("", HashMap::new(), HashSet::new());
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(!text.is_empty() && families.insert(name, 0).is_none(), "{name} twice");
                family = name;
                let is_net = name.starts_with("ringgate_net_");
                assert!(is_net || documented.contains(&format!("`{name}`")), "{name}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                assert_eq!(kind.split_once(' ').unwrap().0, family);
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(family), "{line} under {family}");
                assert!(value.parse::<f64>().is_ok() && samples.insert(sample), "{line}");
                let label_end = sample.ends_with('}');
                assert!(label_end && sample.contains('{'));
            }
        }
        // What the process adds is exposed by the control thread, and held to the page there.
        let ours = documented.split("## Of the process").next().unwrap();
        for name in ours.split('`').filter(|word| word.starts_with("ringgate_")) {
            let is_net = name.starts_with("ringgate_net_");
            assert!(is_net || families.contains_key(name), "{name} is documented, not exposed");
        }
    }
}
