//! Upstreams: distinct endpoints, and a share for at least one of them.

use std::collections::HashMap;
use std::net::SocketAddr;

use policy::BalanceKind;

use crate::diagnostic::Place;
use crate::lower::{Lowering, joined};
use crate::snapshot::{
    Balance, BalanceKey, DelayedAck, Endpoint, EndpointAddress, Keepalive, Upstream,
    UpstreamLimits, UpstreamTimeouts,
};
use crate::value::{Item, Record, Value};

/// One upstream. What was reported wrong in it is left at nothing, so that routes still find its name.
pub(super) fn upstream(record: &Record, lowering: &mut Lowering<'_>) -> Upstream {
    let keepalive = record.record("keepalive");
    let timeouts = record.record("timeouts");
    let limits = record.record("limits");
    Upstream {
        name: record.text("name").unwrap_or_default().to_owned(),
        slot: 0,
        balance: balance(record.item("balance")),
        endpoints: endpoints(record.item("endpoints"), lowering),
        keepalive: Keepalive {
            idle_per_worker: keepalive.map(|k| k.number("idle_per_worker")).unwrap_or_default(),
            idle_timeout: keepalive.map(|k| k.duration("idle_timeout")).unwrap_or_default(),
        },
        timeouts: UpstreamTimeouts {
            connect: timeouts.map(|t| t.duration("connect")).unwrap_or_default(),
        },
        limits: UpstreamLimits {
            connections: limits.map(|l| l.number("connections")).unwrap_or_default(),
            pending: limits.map(|l| l.number("pending")).unwrap_or_default(),
        },
        delayed_ack: match record.word("delayed_ack") {
            "on" => DelayedAck::On,
            "off" => DelayedAck::Off,
            _ => DelayedAck::Auto,
        },
    }
}

fn balance(item: &Item) -> Balance {
    if let Value::Record(balance) = &item.value {
        let key =
            balance.record("maglev").and_then(|maglev| maglev.text("key")).map(|key| {
                match (key, key.strip_prefix("header:")) {
                    (_, Some(name)) => BalanceKey::Header(name.to_ascii_lowercase()),
                    ("path", None) => BalanceKey::Path,
                    (_, None) => BalanceKey::ClientIp,
                }
            });
        return Balance { kind: BalanceKind::Maglev, key };
    }
    let kind = match item.word() {
        Some("round_robin") => BalanceKind::RoundRobin,
        Some("least_request") => BalanceKind::LeastRequest,
        Some("random") => BalanceKind::Random,
        _ => BalanceKind::P2c,
    };
    Balance { kind, key: None }
}

fn endpoints(list: &Item, lowering: &mut Lowering<'_>) -> Vec<Endpoint> {
    let mut first: HashMap<EndpointAddress, Place> = HashMap::new();
    let mut out = Vec::with_capacity(list.list().len());
    for record in list.list().iter().filter_map(Item::record) {
        let Some(address) = record.text("address").and_then(|text| address(text, lowering)) else {
            continue;
        };
        let place = record.item("address").place;
        if let Some(before) = first.get(&address) {
            lowering.problems.report(
                place,
                format!("`{address}` is already an endpoint of this upstream, at {before}"),
                "each address once, with a `weight`",
            );
        }
        first.entry(address.clone()).or_insert(place);
        let zone = record.text("zone").map(str::to_owned);
        out.push(Endpoint { address, weight: record.number("weight"), zone });
    }
    let is_whole = out.len() == list.list().len()
        && list
            .list()
            .iter()
            .all(|item| item.record().is_some_and(|endpoint| endpoint.item("weight").is_given()));
    if is_whole && !out.is_empty() && out.iter().all(|endpoint| endpoint.weight == 0) {
        lowering.problems.report(
            list.place,
            "all endpoints have weight 0",
            "at least one with a share of the requests",
        );
    }
    out
}

/// The format has been checked; `None` does not happen.
fn address(text: &str, lowering: &Lowering<'_>) -> Option<EndpointAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(EndpointAddress::Unix(joined(path, lowering)));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(EndpointAddress::Socket(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Some(EndpointAddress::Name { host, port: port.parse().ok()? })
}
