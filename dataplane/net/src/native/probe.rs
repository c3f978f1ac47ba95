//! What the kernel allows, and the ladder by which the ring is set up.
//!
//! Each refused flag is peeled off and the next rung tried; a refusal of io_uring as such (EPERM
//! from seccomp or the sysctl, ENOSYS) is never retried: the caller takes the portable runtime.

use std::io;

use io_uring::{IoUring, opcode};

use crate::Options;

/// What the ring got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Set up without the index array of the submission queue (kernel 6.6).
    pub no_sqarray: bool,
    /// Batching waits (kernel 6.12).
    pub min_wait: bool,
    /// The ring's own descriptor is registered with the thread.
    pub registered_ring: bool,
    /// Entries of the completion queue.
    pub completions: u32,
}

/// Why the native ring cannot start here.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The kernel or its seccomp filter forbids io_uring.
    #[error(
        "io_uring is forbidden here ({0}): check the seccomp profile of the container and the \
         sysctl kernel.io_uring_disabled"
    )]
    Forbidden(io::Error),
    /// The kernel has no io_uring, or one that is too old.
    #[error("the kernel's io_uring is too old ({0}); 6.1 or later is needed")]
    TooOld(io::Error),
    /// The host is out of something, such as locked memory or descriptors.
    #[error("the host refused the ring ({0})")]
    Host(io::Error),
}

impl SetupError {
    pub(super) fn from_io(error: io::Error) -> SetupError {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => SetupError::Forbidden(error),
            Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP) => SetupError::TooOld(error),
            _ => SetupError::Host(error),
        }
    }
}

/// Finds out whether the native ring can run here, by setting a small one up and down again.
///
/// # Errors
/// [`SetupError`] with the reason.
pub fn probe(options: &Options) -> Result<Features, SetupError> {
    let small = Options { ring_entries: 8, ..options.clone() };
    let (ring, features) = set_up(&small)?;
    drop(ring);
    Ok(features)
}

/// Sets the ring up, disabled; the thread that will use it enables it.
pub(super) fn set_up(options: &Options) -> Result<(IoUring, Features), SetupError> {
    let completions = options.ring_entries.saturating_mul(8).max(16_384);
    let completions = if options.ring_entries < 64 { 64 } else { completions };
    let mut rungs = vec![true, false];
    if options.refuse.no_sqarray {
        rungs.remove(0);
    }
    let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
    for no_sqarray in rungs {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(completions)
            .setup_clamp()
            .setup_r_disabled();
        if no_sqarray {
            builder.setup_no_sqarray();
        }
        match builder.build(options.ring_entries) {
            Ok(ring) => {
                let features = check(&ring, options, no_sqarray)?;
                return Ok((ring, features));
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
            Err(error) => return Err(SetupError::from_io(error)),
        }
    }
    Err(SetupError::from_io(refused))
}

/// What cannot be done without: the operations we use and waiting with a timeout.
fn check(ring: &IoUring, options: &Options, no_sqarray: bool) -> Result<Features, SetupError> {
    let missing = |what: &str| {
        let message = format!("io_uring lacks {what}");
        SetupError::TooOld(io::Error::new(io::ErrorKind::Unsupported, message))
    };
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(SetupError::from_io)?;
    let needed = [
        (opcode::Recv::CODE, "RECV"),
        (opcode::Send::CODE, "SEND"),
        (opcode::SendMsg::CODE, "SENDMSG"),
        (opcode::Accept::CODE, "ACCEPT"),
        (opcode::Connect::CODE, "CONNECT"),
        (opcode::FilesUpdate::CODE, "FILES_UPDATE"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
        (opcode::Shutdown::CODE, "SHUTDOWN"),
        (opcode::Close::CODE, "CLOSE"),
        (opcode::Read::CODE, "READ"),
    ];
    for (code, name) in needed {
        if !probe.is_supported(code) {
            return Err(missing(name));
        }
    }
    let params = ring.params();
    if !params.is_feature_ext_arg() {
        return Err(missing("EXT_ARG"));
    }
    if !params.is_feature_nodrop() {
        return Err(missing("NODROP"));
    }
    Ok(Features {
        no_sqarray,
        min_wait: params.is_feature_min_timeout() && !options.refuse.min_wait,
        registered_ring: false,
        completions: params.cq_entries(),
    })
}
