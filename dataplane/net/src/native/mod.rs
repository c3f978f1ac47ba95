//! The native runtime: one io_uring ring per worker thread, an executor whose turn is
//! "take completions, run tasks, flush sends, enter once".
//!
//! - `probe` finds out what the kernel allows and sets the ring up.
//! - `kernel` is the little we ask of a ring; `ring` asks the real one, tests ask a fake.
//! - `reactor` is the state machine of all connections; it owns everything the kernel may touch.
//! - `executor` holds the tasks; `runtime` turns the wheel.
//! - `stream` is the face towards sessions.

mod connection;
mod executor;
mod kernel;
mod outbox;
mod probe;
mod provided;
mod reactor;
mod ring;
mod runtime;
mod stream;
#[cfg(test)]
mod tests;
mod token;

pub use probe::{Features, SetupError, probe};
pub use runtime::{RingNet, Runtime};
pub use stream::{RingIncoming, RingListener, RingStream};
