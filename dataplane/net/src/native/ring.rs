//! The real ring.

use std::io;

use io_uring::types::{Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::kernel::{Completion, Group, Kernel, Op, Tally, Wait};
use super::probe::{Features, SetupError, set_up};
use super::provided::ProvidedRing;
use super::token::Token;
use crate::Options;

/// Largest single receive of a bulk operation is the buffer's size; zero asks for just that.
const WHOLE_BUFFER: u32 = 0;
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// One io_uring instance with its tables. Field order matters: the instance closes before the
/// memory of its buffer rings is freed.
pub(super) struct Ring {
    io: IoUring,
    small: ProvidedRing,
    bulk: ProvidedRing,
    features: Features,
    tally: Tally,
}

impl Ring {
    /// Sets up the ring on the thread that will use it, with a table of `slots` direct descriptors.
    pub(super) fn new(options: &Options, slots: u32) -> Result<Ring, SetupError> {
        let (mut io, mut features) = set_up(options)?;
        let submitter = io.submitter();
        submitter.register_enable_rings().map_err(SetupError::from_io)?;
        submitter.register_files_sparse(slots).map_err(SetupError::from_io)?;
        // Operations that cannot complete at once are polled, not handed to kernel threads; two of
        // each kind are enough for the rest. A refusal costs nothing.
        let _ = submitter.register_iowq_max_workers(&mut [2, 2]);
        let small =
            ProvidedRing::register(&submitter, group_id(Group::Small), options.recv_buffers)
                .map_err(SetupError::from_io)?;
        let bulk = ProvidedRing::register(&submitter, group_id(Group::Bulk), options.bulk_buffers)
            .map_err(SetupError::from_io)?;
        features.registered_ring = io.submitter().register_ring_fd().is_ok();
        let _ = &mut io;
        Ok(Ring { io, small, bulk, features, tally: Tally::default() })
    }

    pub(super) fn features(&self) -> Features {
        self.features
    }

    fn submit(&mut self, want: usize, args: &SubmitArgs<'_, '_>) {
        self.tally.enters += 1;
        match self.io.submitter().submit_with_args(want, args) {
            Ok(submitted) => self.tally.submissions += submitted as u64,
            Err(error) => match error.raw_os_error() {
                // The time is over, a signal came, or the completion queue wants draining first.
                // What was not submitted stays queued.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => {}
                _ => debug_assert!(false, "io_uring_enter: {error}"),
            },
        }
    }
}

impl Kernel for Ring {
    fn push(&mut self, op: Op, token: Token) {
        let entry = entry_for(op).user_data(token.bits());
        for _ in 0..4 {
            // SAFETY: the pointers in the entry obey the contract of `Op`: the reactor keeps what
            // they point to in place until the operation's last completion (or the next enter).
            let pushed = unsafe { self.io.submission().push(&entry) };
            if pushed.is_ok() {
                return;
            }
            self.tally.submissions_full += 1;
            self.submit(0, &SubmitArgs::new());
        }
        debug_assert!(false, "the submission queue stays full");
    }

    fn lend(&mut self, group: Group, id: u16, address: *mut u8, bytes: u32) {
        match group {
            Group::Small => self.small.lend(id, address, bytes),
            Group::Bulk => self.bulk.lend(id, address, bytes),
        }
    }

    fn enter(&mut self, wait: Wait) {
        self.small.publish();
        self.bulk.publish();
        if self.io.submission().cq_overflow() {
            self.tally.overflows += 1;
        }
        match wait {
            Wait::No => self.submit(0, &SubmitArgs::new()),
            Wait::One { timeout: None } => self.submit(1, &SubmitArgs::new()),
            Wait::One { timeout: Some(timeout) } => {
                let timeout = Timespec::from(timeout);
                self.submit(1, &SubmitArgs::new().timespec(&timeout));
            }
            Wait::Batch { batch, min_us, timeout } => {
                let timeout = Timespec::from(timeout);
                let args = SubmitArgs::new().min_wait_usec(min_us);
                self.submit(batch as usize, &args.timespec(&timeout));
            }
        }
    }

    fn completion(&mut self) -> Option<Completion> {
        let entry = self.io.completion().next()?;
        Some(Completion {
            token: Token::from_bits(entry.user_data()),
            result: entry.result(),
            buffer: cqueue::buffer_select(entry.flags()),
            more: cqueue::more(entry.flags()),
        })
    }

    fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Nothing of the ring's memory is freed before the kernel has let go of it: the reactor
        // has cancelled and collected what was in flight.
        let _: io::Result<()> = self.io.submitter().unregister_ring_fd();
    }
}

fn group_id(group: Group) -> u16 {
    match group {
        Group::Small => 0,
        Group::Bulk => 1,
    }
}

fn entry_for(op: Op) -> squeue::Entry {
    let silent = squeue::Flags::SKIP_SUCCESS;
    match op {
        Op::RecvMulti { slot, group } => {
            opcode::RecvMulti::new(Fixed(slot), group_id(group)).build()
        }
        Op::RecvOnce { slot, group } => {
            opcode::Recv::new(Fixed(slot), std::ptr::null_mut(), WHOLE_BUFFER)
                .buf_group(group_id(group))
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        }
        Op::Send { slot, ptr, len } => {
            opcode::Send::new(Fixed(slot), ptr, len).flags(SEND_FLAGS).build()
        }
        Op::SendGather { slot, message } => {
            opcode::SendMsg::new(Fixed(slot), message).flags(SEND_FLAGS as u32).build()
        }
        Op::Connect { slot, address, len } => {
            opcode::Connect::new(Fixed(slot), address, len).build()
        }
        Op::Install { slot, fd } => {
            opcode::FilesUpdate::new(fd, 1).offset(slot as i32).build().flags(silent)
        }
        Op::DelayAcks { slot } => {
            static OFF: libc::c_int = 0;
            let (level, name) = (libc::IPPROTO_TCP as u32, libc::TCP_QUICKACK as u32);
            let bytes = size_of::<libc::c_int>() as u32;
            opcode::SetSockOpt::new(Fixed(slot), level, name, (&raw const OFF).cast(), bytes)
                .build()
                .flags(silent)
        }
        Op::ResetOnClose { slot } => {
            static AT_ONCE: libc::linger = libc::linger { l_onoff: 1, l_linger: 0 };
            let (level, name) = (libc::SOL_SOCKET as u32, libc::SO_LINGER as u32);
            let bytes = size_of::<libc::linger>() as u32;
            opcode::SetSockOpt::new(Fixed(slot), level, name, (&raw const AT_ONCE).cast(), bytes)
                .build()
                .flags(silent)
        }
        Op::ShutdownWrite { slot } => opcode::Shutdown::new(Fixed(slot), libc::SHUT_WR).build(),
        Op::CloseSlot { slot } => opcode::Close::new(Fixed(slot)).build().flags(silent),
        Op::CloseFd { fd } => opcode::Close::new(Fd(fd)).build().flags(silent),
        Op::Cancel { target } => opcode::AsyncCancel::new(target.bits()).build().flags(silent),
        Op::AcceptMulti { fd } => {
            opcode::AcceptMulti::new(Fd(fd)).flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).build()
        }
        Op::ReadBell { fd, into } => opcode::Read::new(Fd(fd), into.cast(), 8).build(),
    }
}
