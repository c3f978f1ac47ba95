//! Settings of the whole process.

use crate::document::Settings;
use crate::lower::{Lowering, joined, listener::listen_address};
use crate::snapshot::{AccessLog, Admin, GlobalLimits, LogTarget, RuntimeChoice, WorkerCount};
use crate::value::{Record, Value};

pub(super) fn settings(root: &Record, lowering: &mut Lowering<'_>) -> Settings {
    let limits = root.record("limits");
    Settings {
        runtime: match root.word("runtime") {
            "ring" => RuntimeChoice::Ring,
            "portable" => RuntimeChoice::Portable,
            _ => RuntimeChoice::Auto,
        },
        workers: match root.item("workers").value {
            Value::Count(_) => WorkerCount::Count(root.number("workers")),
            _ => WorkerCount::Auto,
        },
        admin: root.record("admin").and_then(|admin| {
            let address = listen_address(admin.text("address")?, lowering)?;
            Some((Admin { address }, admin.item("address").place))
        }),
        state_dir: root.text("state_dir").map(|path| joined(path, lowering)),
        access_log: root
            .record("telemetry")
            .and_then(|telemetry| telemetry.record("access_log"))
            .map(|log| AccessLog { path: log_target(log.text("path").unwrap_or(""), lowering) }),
        limits: GlobalLimits {
            connections: limits.map(|limits| limits.number("connections")).unwrap_or_default(),
            buffered_bytes: limits
                .map(|limits| limits.number("buffered_bytes"))
                .unwrap_or_default(),
        },
        timeouts_drain: root
            .record("timeouts")
            .map(|timeouts| timeouts.duration("drain"))
            .unwrap_or_default(),
    }
}

fn log_target(path: &str, lowering: &Lowering<'_>) -> LogTarget {
    match path {
        "stdout" => LogTarget::Stdout,
        "stderr" => LogTarget::Stderr,
        _ => LogTarget::File(joined(path, lowering)),
    }
}
