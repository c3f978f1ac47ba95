//! Messages from other threads to a worker: a bounded queue and the waker of the one task that
//! reads it. Taken between turns, never on the path of a request.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes a mailbox of at most `capacity` messages.
pub fn mailbox<T: Send>(capacity: usize) -> (Post<T>, Mailbox<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { queue: VecDeque::new(), waiter: None }),
        capacity,
        closed: AtomicBool::new(false),
    });
    (Post { shared: Arc::clone(&shared) }, Mailbox { shared })
}

/// The sending end; any thread may hold one.
#[derive(Debug)]
pub struct Post<T> {
    shared: Arc<Shared<T>>,
}

/// The receiving end, owned by one task.
#[derive(Debug)]
pub struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

/// Why a message was not taken; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum PostError<T> {
    /// The mailbox holds as many messages as it may.
    Full(T),
    /// The worker is gone.
    Closed(T),
}

impl<T: Send> Post<T> {
    /// Leaves a message and wakes the reader.
    ///
    /// # Errors
    /// The message comes back if the mailbox is full or its reader is gone.
    pub fn post(&self, message: T) -> Result<(), PostError<T>> {
        let waiter = {
            let mut state = self.shared.lock();
            if self.shared.closed.load(Ordering::Acquire) {
                return Err(PostError::Closed(message));
            }
            if state.queue.len() >= self.shared.capacity {
                return Err(PostError::Full(message));
            }
            state.queue.push_back(message);
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        Ok(())
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Post<T> {
        Post { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send> Mailbox<T> {
    /// The next message.
    pub fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.shared.lock();
        match state.queue.pop_front() {
            Some(message) => Poll::Ready(message),
            None => {
                state.waiter = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits for the next message.
    pub async fn take(&mut self) -> T {
        std::future::poll_fn(|cx| self.poll_take(cx)).await
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        let undelivered = {
            let mut state = self.shared.lock();
            state.waiter = None;
            std::mem::take(&mut state.queue)
        };
        drop(undelivered);
    }
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    closed: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    waiter: Option<Waker>,
}

impl<T> Shared<T> {
    /// No code that can panic runs under this lock, so poison carries no news.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_more_than_its_capacity_and_gives_the_message_back() {
        let (post, mut mailbox) = mailbox::<u32>(1);
        assert_eq!(post.post(1), Ok(()));
        assert_eq!(post.post(2), Err(PostError::Full(2)));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.poll_take(&mut cx), Poll::Ready(1));
        assert!(mailbox.poll_take(&mut cx).is_pending());
        drop(mailbox);
        assert_eq!(post.post(3), Err(PostError::Closed(3)));
    }
}
