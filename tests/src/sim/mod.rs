//! The whole session in simulation: clients, one worker of the gateway and origins on the simulated
//! network, everything drawn from one seed, and the books that must balance afterwards.
//!
//! - [`run`](mod@run) sets the scene and says what must hold at the end,
//! - [`script`] is what is asked and what must come of it, carried in the request's path,
//! - [`client`] and [`origin`] play it, each in several manners,
//! - [`wire`] reads HTTP independently of the gateway's codecs,
//! - [`ledger`] compares what clients saw, what origins did and what the gateway says.

pub mod client;
pub mod ledger;
pub mod origin;
pub mod run;
pub mod script;
pub mod wire;

pub use run::{Plant, Report, run};
