//! The operator's signals, as events for the control thread.

use std::io;

use net::Post;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Event;

/// Starts a thread that turns signals into events: SIGTERM and SIGINT into [`Event::Terminate`],
/// SIGHUP into [`Event::Reload`]. The thread lives as long as the process.
///
/// # Errors
/// The host refuses a handler or a thread.
pub fn watch(events: Post<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGHUP { Event::Reload } else { Event::Terminate };
            // A full mailbox holds earlier signals that ask for the same; a closed one means that
            // the process is ending.
            let _ = events.post(event);
        }
    })?;
    Ok(())
}
