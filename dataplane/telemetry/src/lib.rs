//! What the gateway tells of itself: per-worker counters and histograms, the access log, and the
//! metrics page made of them. Records, never decides.

pub mod access_log;
mod counter;
mod expose;
mod histogram;
mod outcome;
mod slots;
mod status;
mod worker;

pub use counter::{Counter, Gauge};
pub use expose::{ExtraMetric, SlotNames, expose};
pub use histogram::Histogram;
pub use outcome::Outcome;
pub use status::WorkerStatus;
pub use worker::WorkerMetrics;
