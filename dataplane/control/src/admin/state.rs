//! What is going on: readiness, workers, upstreams, who would serve a request.

use config::explain::Request;
use config::snapshot::EndpointAddress;
use serde_json::{Map, Value, json};

use super::query;
use crate::agent::Agent;
use crate::server::Reply;

/// 200 when every worker serves the configuration and none is draining.
pub(super) fn ready(agent: &Agent) -> Reply {
    if agent.is_draining.get() {
        return Reply::text(503, "draining\n");
    }
    match agent.publisher.borrow().generation_served() {
        0 => Reply::text(503, "starting\n"),
        _ => Reply::text(200, "ready\n"),
    }
}

pub(super) fn workers(agent: &Agent) -> Reply {
    let publisher = agent.publisher.borrow();
    let workers: Vec<Value> = publisher
        .workers()
        .enumerate()
        .map(|(index, worker)| {
            let counters: Map<String, Value> = worker
                .counters
                .iter()
                .map(|(name, _, value)| (name.to_owned(), Value::from(value)))
                .collect();
            json!({
                "worker": index,
                "cpu": worker.cpu,
                "generation": worker.status.generation(),
                "connections": worker.status.connections(),
                "exchanges": worker.status.exchanges(),
                "draining": worker.status.is_draining(),
                "net": counters,
            })
        })
        .collect();
    Reply::json(
        200,
        &json!({
            "runtime": agent.runtime.name,
            "runtime_why": agent.runtime.why,
            "workers": workers,
        }),
    )
}

pub(super) fn upstreams(agent: &Agent) -> Reply {
    let publisher = agent.publisher.borrow();
    let names = publisher.names();
    let upstreams: Vec<Value> = publisher
        .current()
        .upstreams
        .iter()
        .map(|upstream| {
            let endpoints: Vec<Value> = upstream
                .endpoints
                .iter()
                .map(|endpoint| {
                    let resolved = match &endpoint.address {
                        EndpointAddress::Name { host, .. } => names
                            .names
                            .get(host)
                            .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
                            .unwrap_or_default(),
                        _ => Vec::new(),
                    };
                    json!({
                        "address": endpoint.address.to_string(),
                        "weight": endpoint.weight,
                        "zone": endpoint.zone,
                        "resolved": resolved,
                    })
                })
                .collect();
            json!({
                "name": upstream.name,
                "balance": format!("{:?}", upstream.balance.kind).to_lowercase(),
                "endpoints": endpoints,
            })
        })
        .collect();
    Reply::json(200, &Value::Array(upstreams))
}

/// `request` is a method and a URL; each `header` is `name: value`.
pub(super) fn explain(agent: &Agent, asked: &str) -> Reply {
    let mut line = None;
    let mut headers = Vec::new();
    for (name, value) in query::pairs(asked) {
        match (name.as_str(), value.split_once(':')) {
            ("request", _) => line = Some(value),
            ("header", Some((name, value))) => {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            _ => return Reply::problem(400, "only request=METHOD URL and header=NAME: VALUE"),
        }
    }
    let Some(line) = line else {
        return Reply::problem(400, "add ?request=GET%20http://host/path");
    };
    let Some((method, url)) = line.split_once(' ') else {
        return Reply::problem(400, "the request is a method, a space and a URL");
    };
    let request = Request { method, url: url.trim(), headers: &headers };
    let publisher = agent.publisher.borrow();
    match config::explain(publisher.current(), &request) {
        Ok(text) => Reply::text(200, text),
        Err(error) => Reply::problem(400, &error.to_string()),
    }
}
