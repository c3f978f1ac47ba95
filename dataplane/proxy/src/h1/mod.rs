//! The halves of an exchange on HTTP/1.1.

mod body;
mod client;
mod upstream;

pub(crate) use client::{H1Client, HeadRead, head_reason};
pub(crate) use upstream::H1Upstream;
