//! The configuration in force, as a worker holds it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use config::snapshot::Snapshot;

/// A worker's own, uncounted handle on a shared snapshot. An exchange keeps the handle it began
/// with; when the last one goes, the snapshot travels back to the control thread, which frees it.
#[derive(Clone)]
pub(crate) struct SnapshotHandle {
    held: Rc<Held>,
}

struct Held {
    snapshot: Option<Arc<Snapshot>>,
    retire: Sender<Arc<Snapshot>>,
}

impl SnapshotHandle {
    pub(crate) fn new(snapshot: Arc<Snapshot>, retire: Sender<Arc<Snapshot>>) -> SnapshotHandle {
        SnapshotHandle { held: Rc::new(Held { snapshot: Some(snapshot), retire }) }
    }

    /// The snapshot; always there until the handle is dropped.
    pub(crate) fn get(&self) -> Option<&Snapshot> {
        self.held.snapshot.as_deref()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            // Nobody listens any more while the process ends; then it is freed here.
            let _ = self.retire.send(snapshot);
        }
    }
}
