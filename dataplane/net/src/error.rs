//! What can go wrong between us and a peer or the kernel.

/// A failure of one connection, or of the attempt to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The peer refused the connection, or nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No route to the peer, or its network is down.
    #[error("peer unreachable")]
    Unreachable,
    /// The peer reset the connection or broke it off.
    #[error("connection reset by peer")]
    Reset,
    /// The peer ended the stream.
    #[error("connection closed by peer")]
    Closed,
    /// The deadline passed.
    #[error("deadline passed")]
    TimedOut,
    /// The worker's budget of buffered bytes is used up.
    #[error("budget of buffered bytes used up")]
    BuffersExhausted,
    /// The worker's connection table is full.
    #[error("connection table full")]
    Exhausted,
    /// The process or the host is out of descriptors.
    #[error("out of descriptors")]
    DescriptorsExhausted,
    /// Anything else the kernel said.
    #[error("system error {0}")]
    Os(i32),
}

impl NetError {
    /// The error for a positive errno value.
    pub fn from_errno(errno: i32) -> NetError {
        match errno {
            libc::ECONNREFUSED | libc::ENOENT => NetError::Refused,
            libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL => {
                NetError::Unreachable
            }
            libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED | libc::ENOTCONN => NetError::Reset,
            libc::ETIMEDOUT | libc::ETIME => NetError::TimedOut,
            libc::EMFILE | libc::ENFILE => NetError::DescriptorsExhausted,
            libc::ENOBUFS | libc::ENOMEM => NetError::BuffersExhausted,
            other => NetError::Os(other),
        }
    }

    /// The error for what std says.
    pub fn from_io(error: &std::io::Error) -> NetError {
        match error.raw_os_error() {
            Some(errno) => NetError::from_errno(errno),
            None => NetError::Os(0),
        }
    }
}
