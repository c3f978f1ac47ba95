//! Deadlines of streams and sleeping tasks.

use super::*;

impl<K: Kernel> Reactor<K> {
    pub(in crate::native) fn set_deadline(&mut self, id: StreamId, deadline: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        if connection.generation != id.generation || connection.phase == Phase::Free {
            return;
        }
        connection.deadline = deadline;
        let Some(deadline) = deadline else { return };
        match connection.timer {
            Some(_) if connection.timer_due <= deadline => return,
            Some(timer) => self.wheel.remove(timer),
            None => {}
        }
        connection.timer_due = deadline;
        connection.timer = Some(self.wheel.insert(deadline, Due::Stream(id)));
    }

    /// Wakes what is due.
    pub(in crate::native) fn expire(&mut self) {
        let now = self.now;
        let mut due_now = std::mem::take(&mut self.due);
        self.wheel.expire(now, |_, due| due_now.push(due));
        for due in due_now.drain(..) {
            match due {
                Due::Stream(id) => self.on_stream_due(id),
                Due::Sleeper(index) => {
                    if let Some(sleeper) = self.sleepers.get_mut(index as usize) {
                        sleeper.is_due = true;
                        if let Some(waker) = sleeper.waker.take() {
                            waker.wake();
                        }
                    }
                }
                Due::Listener(index) => self.on_listener_rested(index),
            }
        }
        self.due = due_now;
    }

    pub(super) fn on_stream_due(&mut self, id: StreamId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        if connection.generation != id.generation {
            return;
        }
        connection.timer = None;
        match connection.deadline {
            Some(deadline) if deadline > now => {
                connection.timer_due = deadline;
                connection.timer = Some(self.wheel.insert(deadline, Due::Stream(id)));
            }
            Some(_) => {
                connection.wake_reader();
                connection.wake_writer();
            }
            None => {}
        }
    }

    pub(in crate::native) fn new_sleeper(&mut self, deadline: Instant) -> (u32, u32) {
        let index = self.free_sleepers.pop().unwrap_or_else(|| {
            self.sleepers.push(Sleeper::default());
            (self.sleepers.len() - 1) as u32
        });
        (index, self.wheel.insert(deadline, Due::Sleeper(index)))
    }

    pub(in crate::native) fn poll_sleeper(&mut self, index: u32, cx: &Context<'_>) -> Poll<()> {
        match self.sleepers.get_mut(index as usize) {
            Some(sleeper) if !sleeper.is_due => {
                remember(&mut sleeper.waker, cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    pub(in crate::native) fn drop_sleeper(&mut self, index: u32, timer: u32) {
        if let Some(sleeper) = self.sleepers.get_mut(index as usize) {
            if !std::mem::take(&mut sleeper.is_due) {
                self.wheel.remove(timer);
            }
            sleeper.waker = None;
            self.free_sleepers.push(index);
        }
    }
}
