//! What tests of the whole share: a gateway's worker on a thread of its own, and plain blocking
//! peers to put before and behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: to panic is to report")]

pub mod peers;
pub mod worker;
