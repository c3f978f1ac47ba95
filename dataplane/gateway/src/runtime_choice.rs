//! Which runtime moves the bytes, and with which bounds.

use config::Snapshot;
use config::snapshot::RuntimeChoice;
use control::RuntimeLabel;
use net::Options;

use crate::failure::Failure;

/// A runtime that can be started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Ring,
    Portable,
}

/// Decides by what the configuration asks for and what the host allows.
///
/// # Errors
/// The ring is asked for, and the host refuses it.
pub(crate) fn choose(
    asked: RuntimeChoice,
    options: &Options,
) -> Result<(Runtime, RuntimeLabel), Failure> {
    if asked == RuntimeChoice::Portable {
        return Ok((Runtime::Portable, portable("the configuration asks for it")));
    }
    match net::native::probe(options) {
        Ok(features) => {
            let with = |is: bool, name: &str| if is { format!(", {name}") } else { String::new() };
            let why = format!(
                "io_uring{}{}",
                with(features.no_sqarray, "no sqarray"),
                with(features.min_wait, "min-wait"),
            );
            Ok((Runtime::Ring, RuntimeLabel { name: "ring", why }))
        }
        Err(refused) if asked == RuntimeChoice::Ring => Err(Failure::Host(format!(
            "the native ring cannot start: {refused}; `runtime: auto` would use the portable one"
        ))),
        Err(refused) => Ok((Runtime::Portable, portable(&refused.to_string()))),
    }
}

/// The label of the portable runtime, with the reason for it.
pub(crate) fn portable(why: &str) -> RuntimeLabel {
    RuntimeLabel { name: "portable", why: format!("epoll, because {why}") }
}

/// The bounds of one worker out of `workers`.
pub(crate) fn options(snapshot: &Snapshot, workers: usize) -> Options {
    let share = snapshot.limits.buffered_bytes / workers.max(1) as u64;
    Options { send_bytes_max: share.max(SEND_BYTES_MIN), ..Options::default() }
}

/// Send buffers that a worker has at least, whatever its share.
const SEND_BYTES_MIN: u64 = 1 << 20;

/// The bounds of a runtime that serves people, not traffic.
pub(crate) fn small_options() -> Options {
    Options {
        streams_max: 256,
        recv_buffers: 64,
        bulk_buffers: 4,
        send_bytes_max: 64 << 20,
        ..Options::default()
    }
}
