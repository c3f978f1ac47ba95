//! Connecting.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::stream::PortableStream;
use super::timers::Sleep;
use super::worker::Worker;
use crate::socket::{kernel_address, new_for_connect};
use crate::{Address, ConnectOptions, Instant, NetError, Stream};

/// Pause before a unix socket whose queue is full is tried again: the kernel announces nothing.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(8);

pub(super) async fn connect(
    worker: &Rc<Worker>,
    to: &Address,
    options: ConnectOptions,
    deadline: Instant,
) -> Result<PortableStream, NetError> {
    let address = kernel_address(to).map_err(|error| NetError::from_io(&error))?;
    loop {
        // Before the peer hears of us.
        if !worker.has_room() {
            return Err(NetError::Exhausted);
        }
        worker.counters.connects.add(1);
        let socket = new_for_connect(to).map_err(|error| NetError::from_io(&error))?;
        let connected = match socket.connect(&address) {
            Ok(()) => true,
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(socket);
                if deadline <= worker.now() {
                    return Err(NetError::TimedOut);
                }
                let again = deadline.min(worker.now() + QUEUE_FULL_PAUSE);
                Sleep::new(Rc::clone(worker), again).await;
                continue;
            }
            Err(error) => return Err(NetError::from_io(&error)),
        };
        // Watched only now: before connect(2) a socket counts as hung up.
        let stream = PortableStream::open(worker, OwnedFd::from(socket), connected)?;
        if !connected {
            stream.set_deadline(Some(deadline));
            std::future::poll_fn(|cx| stream.poll_connected(cx)).await?;
            stream.set_deadline(None);
        }
        if options.delayed_ack {
            stream.delay_acks();
        }
        return Ok(stream);
    }
}
