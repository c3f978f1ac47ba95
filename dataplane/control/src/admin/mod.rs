//! The admin interface: one function per thing that can be asked.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /healthz` | 200 while the process lives |
//! | `GET /readyz` | 200 when every worker serves; 503 while draining |
//! | `GET /metrics` | Prometheus text |
//! | `GET /config` | generation, source, hash, document in force with secrets masked |
//! | `PUT /config` | a whole document: published to all workers, or 422 and nothing changed |
//! | `POST /config/check` | the same without publishing |
//! | `POST /config/rollback` | to the generation before |
//! | `GET /config/history` | the generations that can be gone back to |
//! | `GET /upstreams`, `GET /workers` | state |
//! | `GET /explain?request=…&header=…` | who would serve a request |
//! | `POST /drain` | finish what is open, then end |

mod configuration;
mod query;
mod state;

use std::rc::Rc;

use net::Net;

use crate::Event;
use crate::agent::Agent;
use crate::page;
use crate::server::{Asked, Reply};

/// Methods by path; what is not here is not there.
const PATHS: [(&str, &[&str]); 11] = [
    ("/healthz", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
    ("/metrics", &["GET", "HEAD"]),
    ("/config", &["GET", "HEAD", "PUT"]),
    ("/config/check", &["POST"]),
    ("/config/rollback", &["POST"]),
    ("/config/history", &["GET", "HEAD"]),
    ("/upstreams", &["GET", "HEAD"]),
    ("/workers", &["GET", "HEAD"]),
    ("/explain", &["GET", "HEAD"]),
    ("/drain", &["POST"]),
];

/// Answers one request.
pub(crate) async fn answer<N: Net>(net: &N, agent: &Rc<Agent>, asked: Asked) -> Reply {
    let Some((_, methods)) = PATHS.iter().find(|(path, _)| *path == asked.path) else {
        let paths: Vec<&str> = PATHS.iter().map(|(path, _)| *path).collect();
        return Reply::json(404, &serde_json::json!({ "error": "no such page", "pages": paths }));
    };
    if !methods.contains(&asked.method.as_str()) {
        let mut reply = Reply::problem(405, "this page does not take that method");
        reply.fields.push(("Allow", methods.join(", ")));
        return reply;
    }
    // A page open in the operator's browser must not change anything on the operator's behalf.
    if asked.has_origin && !matches!(asked.method.as_str(), "GET" | "HEAD") {
        return Reply::problem(403, "changes are not taken from web pages");
    }
    match (asked.method.as_str(), asked.path.as_str()) {
        (_, "/healthz") => Reply::text(200, "ok\n"),
        (_, "/readyz") => state::ready(agent),
        (_, "/metrics") => {
            let mut reply = Reply::text(200, page::metrics(agent));
            reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
            reply
        }
        ("PUT", "/config") => configuration::put(net, agent, &asked.body).await,
        (_, "/config") => configuration::show(agent),
        (_, "/config/check") => configuration::check(agent, &asked.body),
        (_, "/config/rollback") => configuration::roll_back(net, agent).await,
        (_, "/config/history") => configuration::history(agent),
        (_, "/upstreams") => state::upstreams(agent),
        (_, "/workers") => state::workers(agent),
        (_, "/explain") => state::explain(agent, &asked.query),
        (_, "/drain") => match agent.post.post(Event::Drain) {
            Ok(()) => Reply::json(202, &serde_json::json!({ "draining": true })),
            Err(_) => Reply::problem(503, "the control thread is busy; ask again"),
        },
        _ => Reply::problem(404, "no such page"),
    }
}
