//! Decisions, pure: which route, which endpoint. Numbers and bytes in, decisions out; `now` and
//! randomness come as arguments.

pub mod balance;
pub mod route;

pub use balance::BalanceKind;
