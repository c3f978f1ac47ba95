//! The control thread: takes configuration from its source, resolves names, publishes snapshots to
//! the workers, frees them when nobody uses them any more, and serves the admin interface.
//!
//! It is never on the path of a request. It speaks to workers by mailbox only; while it stalls,
//! they serve on.
//!
//! - [`run`] is its life; [`Event`] is all that can happen to it.
//! - `source` reads the file, `publish` makes generations of it, `listening` binds sockets,
//!   [`resolve`] keeps addresses of names, `admin` answers people and tools, [`signals`] brings the
//!   operator's signals.

mod admin;
mod agent;
pub mod listening;
mod page;
mod publish;
pub mod resolve;
mod server;
pub mod signals;
pub mod source;

pub use agent::{Ended, Event, Setup, WorkerLink, run};
pub use page::RuntimeLabel;

/// Writes one line to the log of the process, which is standard error.
pub fn say(line: &str) {
    use std::io::Write as _;
    // A log that cannot be written must not stop the gateway.
    let _ = writeln!(std::io::stderr().lock(), "ringgate: {line}");
}
