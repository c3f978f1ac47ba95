//! One feature of the exchange per file, by stage; pure.
//!
//! Filters think, the session acts: a filter sees the parsed head and writes what it wants changed
//! into [`Edits`]. Operators choose filters, the stages fix their order.

mod chain;
mod edits;
pub mod normalize;
mod view;

pub use chain::{Chain, Filter, FilterConfig, FilterError, NAMES, Stage};
pub use edits::Edits;
pub use view::{RequestView, ResponseView};
