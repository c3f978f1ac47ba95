//! What the control thread tells a worker.

use std::sync::Arc;

use crate::snapshot::{NameTable, Snapshot};

/// One message in a worker's mailbox. Taken between turns; orders apply in the order they were posted.
pub enum Order<Socket> {
    /// Serve new exchanges by this generation; those under way keep theirs.
    Serve(Arc<Snapshot>),
    /// Connect by these addresses from now on.
    Names(Arc<NameTable>),
    /// Accept on this socket for the listener with this slot, which the last generation served has.
    Listen(u32, Socket),
    /// Stop accepting for the listener with this slot; its open connections go on.
    Unlisten(u32),
    /// Stop accepting, finish what is open, then end.
    Drain,
}
