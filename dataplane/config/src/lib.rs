//! Configuration text to every diagnostic to an immutable snapshot. Pure.

pub mod order;
pub mod slots;
pub mod snapshot;

mod listener;
mod route;
pub mod standin;
mod upstream;

pub use order::Order;
pub use slots::{SlotSpace, Slots};
pub use snapshot::*;
