//! What the control thread tells a worker.

use std::sync::Arc;

use crate::snapshot::{NameTable, Snapshot};

/// One message in a worker's mailbox. Taken between turns; orders apply in the order they were posted.
#[derive(Clone)]
pub enum Order {
    /// Serve new exchanges by this generation; those under way keep theirs.
    Serve(Arc<Snapshot>),
    /// Connect by these addresses from now on.
    Names(Arc<NameTable>),
    /// Stop accepting, finish what is open, then end.
    Drain,
}

// Orders cross from the control thread to the workers.
const _: fn() = || {
    fn is_sent<T: Send + Sync>() {}
    is_sent::<Order>();
};
