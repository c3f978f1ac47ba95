//! Codecs, pure: bytes in, protocol events out. Knows RFCs, nothing else.

pub mod reason;
