//! What tests of the whole share: a gateway's worker on a thread of its own with plain blocking
//! peers before and behind it, and the same session on the simulated network.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: to panic is to report")]

pub mod peers;
pub mod sim;
pub mod worker;
