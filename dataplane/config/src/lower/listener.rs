//! Listeners, and that no two of them want one address.

use std::collections::HashMap;

use crate::diagnostic::Place;
use crate::lower::{Lowering, joined, named};
use crate::snapshot::{
    Admin, Forwarded, ForwardedMode, ListenAddress, Listener, ListenerLimits, ListenerTimeouts,
    ProxyProtocol,
};
use crate::value::Record;

pub(super) fn listeners(
    root: &Record,
    lowering: &mut Lowering<'_>,
    admin: Option<&(Admin, Place)>,
) -> Vec<Listener> {
    let mut taken: HashMap<ListenAddress, Place> = HashMap::new();
    if let Some((admin, place)) = admin {
        taken.insert(admin.address.clone(), *place);
    }
    named(root.item("listeners"), "listener", lowering.problems)
        .filter_map(|record| {
            let listener = listener(record, lowering)?;
            let place = record.item("address").place;
            let is_any_port =
                matches!(&listener.address, ListenAddress::Tcp(address) if address.port() == 0);
            if is_any_port {
                return Some(listener);
            }
            if let Some(before) = taken.get(&listener.address) {
                lowering.problems.report(
                    place,
                    format!("`{}` is already listened on, at {before}", listener.address),
                    "an address of its own",
                );
            } else {
                taken.insert(listener.address.clone(), place);
            }
            Some(listener)
        })
        .collect()
}

fn listener(record: &Record, lowering: &mut Lowering<'_>) -> Option<Listener> {
    let limits = record.record("limits")?;
    let timeouts = record.record("timeouts")?;
    let forwarded = record.record("forwarded")?;
    Some(Listener {
        name: record.text("name")?.to_owned(),
        slot: 0,
        address: listen_address(record.text("address")?, lowering)?,
        proxy_protocol: match record.word("proxy_protocol") {
            "accept" => ProxyProtocol::Accept,
            "require" => ProxyProtocol::Require,
            _ => ProxyProtocol::Off,
        },
        limits: ListenerLimits {
            connections: limits.number("connections"),
            head_bytes: limits.number("head_bytes"),
            fields: limits.number("fields"),
            body_bytes: limits.number("body_bytes"),
        },
        timeouts: ListenerTimeouts {
            head: timeouts.duration("head"),
            body: timeouts.duration("body"),
            send: timeouts.duration("send"),
            keepalive: timeouts.duration("keepalive"),
        },
        forwarded: Forwarded {
            mode: match forwarded.word("mode") {
                "rfc7239" => ForwardedMode::Rfc7239,
                "both" => ForwardedMode::Both,
                "off" => ForwardedMode::Off,
                _ => ForwardedMode::XForwarded,
            },
            trust: forwarded.flag("trust"),
        },
        via: record.flag("via"),
        request_id: record.flag("request_id"),
        backlog: record.number("backlog"),
    })
}

/// The format has been checked; `None` does not happen.
pub(super) fn listen_address(text: &str, lowering: &Lowering<'_>) -> Option<ListenAddress> {
    match text.strip_prefix("unix:") {
        Some(path) => Some(ListenAddress::Unix(joined(path, lowering))),
        None => text.parse().ok().map(ListenAddress::Tcp),
    }
}
