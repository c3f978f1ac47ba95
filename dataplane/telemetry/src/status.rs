//! A worker's state, for the control thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Gauge;

/// Written by the worker, read by anybody.
#[derive(Debug, Default)]
pub struct WorkerStatus {
    generation: AtomicU64,
    connections: Gauge,
    exchanges: Gauge,
    draining: AtomicBool,
    drained: AtomicBool,
}

impl WorkerStatus {
    /// New exchanges are served by this generation from now on.
    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Client connections open now.
    pub fn set_connections(&self, open: u64) {
        self.connections.set(open);
    }

    /// Client connections open now.
    pub fn connections(&self) -> u64 {
        self.connections.value()
    }

    /// An exchange has begun.
    pub fn exchange_begun(&self) {
        self.exchanges.increment();
    }

    /// An exchange has ended.
    pub fn exchange_ended(&self) {
        self.exchanges.decrement();
    }

    /// Exchanges under way.
    pub fn exchanges(&self) -> u64 {
        self.exchanges.value()
    }

    /// Draining has begun.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Nothing is open any more, or the drain's time is over.
    pub fn set_drained(&self) {
        self.drained.store(true, Ordering::Release);
    }

    /// Whether the drain is over.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }
}
