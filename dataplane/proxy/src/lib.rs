//! The session: accept, read, route, filter, dial, relay, record.
//!
//! - [`worker`] is what one core owns; [`run`] is its life.
//! - `acceptor` takes connections, `session` serves one of them, request by request.
//! - `exchange` is one request and its answer. It knows neither the protocol's version nor TLS: it
//!   speaks to a [`half::ClientHalf`] and a [`half::UpstreamHalf`].
//! - `h1` has these halves for HTTP/1.1.
//! - `dial` finds a connection to an endpoint, `upstream` keeps endpoints and their idle
//!   connections, `relay` moves bodies both ways, `tunnel` what follows an upgrade.
//! - `answer` is what the gateway says itself, `outcome` what is told of an exchange when it ends.

mod acceptor;
mod answer;
mod dial;
mod drain;
mod exchange;
mod forward;
mod h1;
mod half;
mod outcome;
mod relay;
mod session;
mod snapshot;
mod tunnel;
mod upstream;
mod worker;

pub use acceptor::Handed;
pub use worker::{Balance, Orders, WorkerSetup, run};
