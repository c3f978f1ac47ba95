//! Lines on standard input: each asks for a report, the end of the input ends the program.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// What the caller wants of a running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// One line of counters, which then start again from zero.
    Report,
    /// The end.
    Leave,
}

/// The caller's lines, read by a thread of its own because standard input may be a pipe, a file or
/// a terminal.
pub(crate) struct Commands {
    lines: Receiver<()>,
    /// Kept here because a waker that is dropped right after its last call takes the wake-up with
    /// it: epoll forgets a closed descriptor.
    _wake: Arc<dyn Fn() + Send + Sync>,
}

impl Commands {
    /// Starts reading; `wake` is called after each line and at the end.
    pub(crate) fn listen(wake: impl Fn() + Send + Sync + 'static) -> Commands {
        let (lines, commands) = channel();
        let kept: Arc<dyn Fn() + Send + Sync> = Arc::new(wake);
        let wake = Arc::clone(&kept);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                if line.is_err() || lines.send(()).is_err() {
                    break;
                }
                wake();
            }
            drop(lines);
            wake();
        });
        Commands { lines: commands, _wake: kept }
    }

    /// The next wish, if there is one.
    pub(crate) fn poll(&self) -> Option<Wish> {
        match self.lines.try_recv() {
            Ok(()) => Some(Wish::Report),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Wish::Leave),
        }
    }

    /// Waits for the next wish.
    pub(crate) fn wait(&self) -> Wish {
        match self.lines.recv() {
            Ok(()) => Wish::Report,
            Err(_) => Wish::Leave,
        }
    }
}
