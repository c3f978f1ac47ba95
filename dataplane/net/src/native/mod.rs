//! The native ring.
