//! The configuration: shown, checked, replaced, taken back.

use std::rc::Rc;

use config::{Diagnostic, Document};
use net::Net;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::publish::{Published, Rejected};
use crate::server::Reply;

/// What changes of this interface are called in the history.
const ORIGIN: &str = "admin interface";

/// The document in force, secrets masked.
pub(super) fn show(agent: &Agent) -> Reply {
    let publisher = agent.publisher.borrow();
    let current = publisher.current();
    let rejected = publisher
        .last_rejected()
        .map(|last| json!({ "unix_ms": last.unix_us / 1000, "problems": last.lines }));
    Reply::json(
        200,
        &json!({
            "generation": current.generation,
            "generation_served": publisher.generation_served(),
            "source": current.source,
            "hash": current.hash,
            "needs_restart": publisher.needs_restart(),
            "last_rejected": rejected,
            "document": current.document,
        }),
    )
}

/// The generations that can be gone back to, the newest last.
pub(super) fn history(agent: &Agent) -> Reply {
    let publisher = agent.publisher.borrow();
    let entries: Vec<Value> = publisher
        .history()
        .map(|entry| {
            json!({
                "generation": entry.generation,
                "hash": entry.hash,
                "origin": entry.origin,
                "unix_ms": entry.unix_us / 1000,
            })
        })
        .collect();
    Reply::json(200, &Value::Array(entries))
}

/// Says what is wrong with a document, and changes nothing.
pub(super) fn check(agent: &Agent, body: &[u8]) -> Reply {
    let checked = load(agent, body).and_then(|document| {
        config::compile(&document, 0, &mut config::Slots::new()).map_err(Rejected::Problems)
    });
    match checked {
        Ok(snapshot) => Reply::json(
            200,
            &json!({
                "valid": true,
                "hash": snapshot.hash,
                "listeners": snapshot.listeners.len(),
                "upstreams": snapshot.upstreams.len(),
                "routes": snapshot.routes.len(),
            }),
        ),
        Err(rejected) => refusal(&rejected),
    }
}

/// Replaces the whole document. The answer comes when every worker serves it.
pub(super) async fn put<N: Net>(net: &N, agent: &Rc<Agent>, body: &[u8]) -> Reply {
    let published = load(agent, body).and_then(|document| agent.publish(document, ORIGIN, net));
    answer(net, agent, published).await
}

/// Goes back to the generation before.
pub(super) async fn roll_back<N: Net>(net: &N, agent: &Rc<Agent>) -> Reply {
    let published = agent.roll_back(net);
    answer(net, agent, published).await
}

async fn answer<N: Net>(
    net: &N,
    agent: &Rc<Agent>,
    published: Result<Published, Rejected>,
) -> Reply {
    let (generation, is_changed) = match published {
        Ok(Published::New(generation)) => (generation, true),
        Ok(Published::Unchanged(generation)) => (generation, false),
        Err(rejected) => {
            agent.publisher.borrow_mut().note_rejected(&rejected, net.unix_us());
            return refusal(&rejected);
        }
    };
    if !agent.served(net, generation).await {
        let what = format!("generation {generation} is published, but not every worker serves it");
        return Reply::problem(504, &what);
    }
    let needs_restart = agent.publisher.borrow().needs_restart();
    Reply::json(
        200,
        &json!({
            "generation": generation,
            "changed": is_changed,
            "needs_restart": needs_restart,
        }),
    )
}

fn load(agent: &Agent, body: &[u8]) -> Result<Document, Rejected> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Rejected::Problems(vec![Diagnostic {
            file: agent.source.name(),
            line: 1,
            column: 1,
            what: format!("byte {} is not UTF-8", error.valid_up_to()),
            expected: "a YAML or JSON document".to_owned(),
        }])
    })?;
    agent.source.check(text).map_err(Rejected::Problems)
}

fn refusal(rejected: &Rejected) -> Reply {
    let status = match rejected {
        Rejected::Problems(_) => 422,
        Rejected::NoHistory => 409,
        Rejected::Host(_) => 409,
        Rejected::Busy(_) => 503,
    };
    let problems: Vec<Value> = match rejected {
        Rejected::Problems(problems) => problems
            .iter()
            .map(|one| {
                json!({
                    "line": one.line,
                    "column": one.column,
                    "what": one.what,
                    "expected": one.expected,
                })
            })
            .collect(),
        other => other.lines().into_iter().map(|line| json!({ "what": line })).collect(),
    };
    Reply::json(status, &json!({ "error": "refused; nothing has changed", "problems": problems }))
}
