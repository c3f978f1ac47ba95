//! Tasks that wait and must hear of an event of the whole worker, such as the beginning of a drain.

use std::cell::RefCell;
use std::task::Waker;

/// Wakers of the tasks that wait.
#[derive(Default)]
pub(crate) struct WaitList {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl WaitList {
    /// A place for one waiter; given back when dropped.
    pub(crate) fn guard(&self) -> WaitGuard<'_> {
        WaitGuard { list: self, place: None }
    }

    /// Wakes everybody who waits.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> =
            self.state.borrow().wakers.iter().filter_map(Clone::clone).collect();
        for waker in wakers {
            waker.wake();
        }
    }
}

/// One waiter's place.
pub(crate) struct WaitGuard<'a> {
    list: &'a WaitList,
    place: Option<u32>,
}

impl WaitGuard<'_> {
    /// From now on an event wakes this task.
    pub(crate) fn register(&mut self, waker: &Waker) {
        let mut state = self.list.state.borrow_mut();
        let place = match self.place {
            Some(place) => place,
            None => {
                let place = state.free.pop().unwrap_or_else(|| {
                    state.wakers.push(None);
                    (state.wakers.len() - 1) as u32
                });
                self.place = Some(place);
                place
            }
        };
        if let Some(entry) = state.wakers.get_mut(place as usize)
            && !entry.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *entry = Some(waker.clone());
        }
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut state = self.list.state.borrow_mut();
            if let Some(entry) = state.wakers.get_mut(place as usize) {
                *entry = None;
            }
            state.free.push(place);
        }
    }
}
