//! Configuration text to every diagnostic to an immutable snapshot. Pure.
//!
//! [`load`] reads a document and reports every problem at its place; [`compile`] makes a [`Snapshot`] of
//! one that has none. What a document may say stands in one set of tables, which also write the JSON
//! [`schema`]. Files, variables and clocks are the caller's.

pub mod explain;
pub mod order;
pub mod quantity;
pub mod slots;
pub mod snapshot;

mod check;
mod compile;
mod declared;
mod diagnostic;
mod document;
mod environment;
mod listener;
mod lower;
mod route;
mod schema;
mod suggest;
mod tree;
mod upstream;
mod value;

pub use compile::compile;
pub use diagnostic::Diagnostic;
pub use document::{Document, load};
pub use explain::explain;
pub use order::Order;
pub use schema::json::schema;
pub use slots::{SlotSpace, Slots};
pub use snapshot::*;
pub use tree::{DEPTH_MAX, DOCUMENT_BYTES_MAX, NODES_MAX};
