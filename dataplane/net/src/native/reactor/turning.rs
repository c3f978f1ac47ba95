//! What happens once a turn: completions in, buffers out, counters published.

use super::*;

impl<K: Kernel> Reactor<K> {
    /// Watches the bell by which other threads wake tasks.
    pub(in crate::native) fn watch_bell(&mut self, fd: RawFd) {
        let mut into = Box::new(0);
        let op = Op::ReadBell { fd, into: &raw mut *into };
        self.bell = Some((fd, into));
        self.operations += 1;
        self.kernel.push(op, Token::new(Kind::Bell, 0, 0));
    }

    /// Whether the bell rang since the last call.
    pub(in crate::native) fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.bell_rang)
    }

    /// Takes at most `budget` completions from the kernel; returns how many there were.
    pub(in crate::native) fn reap(&mut self, budget: usize) -> usize {
        let mut taken = 0;
        while taken < budget {
            let Some(completion) = self.kernel.completion() else {
                break;
            };
            taken += 1;
            self.dispatch(completion);
        }
        self.counters.completions.add(taken as u64);
        taken
    }

    pub(super) fn dispatch(&mut self, completion: Completion) {
        let token = completion.token;
        let id = StreamId { slot: token.slot(), generation: token.generation() };
        match token.kind() {
            Kind::Silent => {}
            Kind::Accept => self.on_accept(id, completion),
            Kind::Bell => {
                self.operations -= 1;
                self.bell_rang = true;
                if let Some((fd, _)) = self.bell.take()
                    && completion.result > 0
                {
                    self.watch_bell(fd);
                }
            }
            Kind::Recv | Kind::Send | Kind::Connect | Kind::Shutdown => {
                let is_current = self
                    .connections
                    .get(id.slot as usize)
                    .is_some_and(|c| c.generation == id.generation && c.phase != Phase::Free);
                if !is_current {
                    self.counters.completions_stale.add(1);
                    debug_assert!(false, "a slot was reused before its last completion");
                    return;
                }
                match token.kind() {
                    Kind::Recv => self.on_recv(id, completion),
                    Kind::Send => self.on_send(id, completion.result),
                    Kind::Shutdown => self.on_shutdown(id),
                    _ => self.on_connect(id, completion.result),
                }
            }
        }
    }

    pub(super) fn on_connect(&mut self, id: StreamId, result: i32) {
        let connection = &mut self.connections[id.slot as usize];
        connection.operations -= 1;
        self.operations -= 1;
        connection.connecting = None;
        if connection.phase == Phase::Closing {
            self.release_if_done(id.slot);
            return;
        }
        connection.wake_writer();
        if result < 0 {
            connection.failure = Some(NetError::from_errno(-result));
            return;
        }
        connection.phase = Phase::Open;
        connection.deadline = None;
        if connection.delays_acks {
            self.kernel.push(Op::DelayAcks { slot: id.slot }, Token::SILENT);
        }
        self.arm_recv(id.slot);
    }

    /// Lends buffers to the kernel up to the target, and arms those again that found none.
    pub(in crate::native) fn lend_buffers(&mut self) {
        let groups = [
            (Group::Small, &self.small, &mut self.lent),
            (Group::Bulk, &self.bulk, &mut self.lent_bulk),
        ];
        for (group, arena, lent) in groups {
            while lent.now < lent.target {
                let Some(id) = arena.take() else { break };
                let address = arena.address(id).as_ptr();
                self.kernel.lend(group, id as u16, address, arena.buffer_bytes() as u32);
                lent.now += 1;
            }
        }
        if !self.starved.is_empty() {
            self.feed_starved();
        }
    }

    /// Arms starved streams again, no more than there are buffers, and only once an eighth of the
    /// target is there, so that they do not starve one by one.
    pub(super) fn feed_starved(&mut self) {
        for _ in 0..self.starved.len() {
            let Some(id) = self.starved.pop_front() else {
                return;
            };
            let Some(connection) = self.connection(id) else {
                continue;
            };
            if connection.receiving != Receiving::Starved {
                continue;
            }
            let group = connection.group;
            let lent = match group {
                Group::Small => &self.lent,
                Group::Bulk => &self.lent_bulk,
            };
            if lent.now < (lent.target / 8).max(1) {
                // Small buffers may be free while no bulk buffer is.
                if group == Group::Bulk && self.lent.now >= self.lent.target / 8 {
                    self.connections[id.slot as usize].group = Group::Small;
                    self.arm_recv(id.slot);
                } else {
                    self.starved.push_back(id);
                }
                continue;
            }
            self.arm_recv(id.slot);
        }
    }

    /// Whether streams wait for receive buffers, which come back without any completion.
    pub(in crate::native) fn is_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Puts the ring's own numbers and the gauges where other threads can read them.
    pub(in crate::native) fn publish_counters(&mut self) {
        let tally = self.kernel.take_tally();
        let counters = &self.counters;
        counters.enters.add(tally.enters);
        counters.submissions.add(tally.submissions);
        counters.submissions_full.add(tally.submissions_full);
        counters.completions_overflowed.add(tally.overflows);
        let leased = self.small.in_use() - self.lent.now + self.bulk.in_use() - self.lent_bulk.now
            + self.pages.in_use();
        counters.buffers_leased.set(u64::from(leased));
    }

    /// Closes everything; returns whether the kernel still holds operations.
    pub(in crate::native) fn close_all(&mut self) {
        for index in 0..self.listeners.len() {
            self.close_listener(index as u32);
        }
        for slot in 0..self.connections.len() {
            let generation = self.connections[slot].generation;
            self.close(StreamId { slot: slot as u32, generation });
        }
        if self.bell.is_some() {
            let target = Token::new(Kind::Bell, 0, 0);
            self.kernel.push(Op::Cancel { target }, Token::SILENT);
        }
    }

    /// Operations whose last completion is outstanding.
    pub(in crate::native) fn operations(&self) -> u64 {
        self.operations
    }
}
