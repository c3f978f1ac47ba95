//! Accepting connections.

use super::*;

impl<K: Kernel> Reactor<K> {
    pub(in crate::native) fn listen(&mut self, fd: OwnedFd) -> u32 {
        let state = ListenerState {
            fd: Some(fd),
            generation: 0,
            is_armed: false,
            is_resting: false,
            is_closing: false,
            accepted: VecDeque::new(),
            waiter: None,
            failure: None,
        };
        let vacant = self.listeners.iter().position(|listener| listener.fd.is_none());
        let index = match vacant {
            Some(index) => {
                let generation = self.listeners[index].generation;
                self.listeners[index] = ListenerState { generation: generation + 1, ..state };
                index
            }
            None => {
                self.listeners.push(state);
                self.listeners.len() - 1
            }
        };
        self.arm_accept(index as u32);
        index as u32
    }

    pub(super) fn arm_accept(&mut self, index: u32) {
        let Some(listener) = self.listeners.get_mut(index as usize) else {
            return;
        };
        let Some(fd) = &listener.fd else { return };
        if listener.is_armed || listener.is_resting || listener.is_closing {
            return;
        }
        listener.is_armed = true;
        let fd = fd.as_raw_fd();
        let id = StreamId { slot: index, generation: listener.generation };
        self.operations += 1;
        self.kernel.push(Op::AcceptMulti { fd }, token(Kind::Accept, id));
    }

    pub(in crate::native) fn poll_accept(
        &mut self,
        index: u32,
        cx: &Context<'_>,
    ) -> Poll<Result<OwnedFd, NetError>> {
        let Some(listener) = self.listeners.get_mut(index as usize) else {
            return Poll::Ready(Err(NetError::Closed));
        };
        if let Some(fd) = listener.accepted.pop_front() {
            return Poll::Ready(Ok(fd));
        }
        if let Some(failure) = listener.failure {
            return Poll::Ready(Err(failure));
        }
        remember(&mut listener.waiter, cx.waker());
        if !listener.is_armed {
            self.arm_accept(index);
        }
        Poll::Pending
    }

    pub(super) fn on_accept(&mut self, id: StreamId, completion: Completion) {
        let fd = (completion.result >= 0).then(|| {
            // SAFETY: a non-negative result of an accept without a direct slot is a new
            // descriptor that belongs to us alone.
            unsafe { OwnedFd::from_raw_fd(completion.result) }
        });
        let Some(listener) = self.listeners.get_mut(id.slot as usize) else {
            return;
        };
        if !completion.more {
            listener.is_armed = false;
            self.operations -= 1;
        }
        if listener.is_closing {
            if !listener.is_armed {
                listener.fd = None;
                listener.accepted.clear();
            }
            return;
        }
        match (fd, -completion.result) {
            (Some(fd), _) => {
                self.counters.accepts.add(1);
                listener.accepted.push_back(fd);
                if let Some(waiter) = listener.waiter.take() {
                    waiter.wake();
                }
                let is_over = listener.accepted.len() >= ACCEPTED_MAX;
                if is_over && listener.is_armed {
                    self.kernel.push(Op::Cancel { target: token(Kind::Accept, id) }, Token::SILENT);
                } else if !is_over {
                    self.arm_accept(id.slot);
                }
            }
            (None, libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ECONNABORTED) => {
                if listener.accepted.len() < ACCEPTED_MAX {
                    self.arm_accept(id.slot);
                }
            }
            (None, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                self.counters.accept_paused.add(1);
                listener.is_resting = true;
                self.wheel.insert(self.now + ACCEPT_REST, Due::Listener(id.slot));
            }
            (None, errno) => {
                listener.failure = Some(NetError::from_errno(errno));
                if let Some(waiter) = listener.waiter.take() {
                    waiter.wake();
                }
            }
        }
    }

    pub(super) fn on_listener_rested(&mut self, index: u32) {
        if let Some(listener) = self.listeners.get_mut(index as usize) {
            listener.is_resting = false;
            if listener.is_closing && !listener.is_armed {
                // Dropped while it rested: nothing else will close it.
                listener.fd = None;
                listener.accepted.clear();
            }
        }
        self.arm_accept(index);
    }

    pub(in crate::native) fn close_listener(&mut self, index: u32) {
        let Some(listener) = self.listeners.get_mut(index as usize) else {
            return;
        };
        listener.is_closing = true;
        listener.waiter = None;
        if listener.is_armed {
            let id = StreamId { slot: index, generation: listener.generation };
            self.kernel.push(Op::Cancel { target: token(Kind::Accept, id) }, Token::SILENT);
        } else if !listener.is_resting {
            listener.fd = None;
            listener.accepted.clear();
        }
    }
}
