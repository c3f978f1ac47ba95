//! All that a filter may see.

use std::net::IpAddr;

use wire::{RequestHead, ResponseHead};

/// A request as filters see it.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// The parsed head.
    pub head: &'a RequestHead,
    /// The bytes that its spans point into.
    pub bytes: &'a [u8],
    /// The client's address, if it has one.
    pub client_ip: Option<IpAddr>,
    /// The request's id; empty if it has none.
    pub request_id: &'a [u8],
}

/// An answer as filters see it.
#[derive(Clone, Copy)]
pub struct ResponseView<'a> {
    /// The parsed head.
    pub head: &'a ResponseHead,
    /// The bytes that its spans point into.
    pub bytes: &'a [u8],
}
