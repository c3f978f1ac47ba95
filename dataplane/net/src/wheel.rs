//! A hashed timing wheel with lazy deadlines.
//!
//! Ticks of 8 ms, 8,192 slots: 65 s around. An entry further away is parked in the last slot and
//! looked at again when its turn comes. Putting off a deadline, which every read and write of a
//! stream may do, is the caller's store into its own field: the entry stays where it is, and when
//! its slot comes up the caller says that it is not due yet and puts it back.

use crate::Instant;

/// Length of a tick.
const TICK_NANOS: u64 = 8_000_000;
const SLOTS: usize = 8192;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;

/// Names an entry of the wheel.
pub(crate) type TimerId = u32;

/// The wheel of one worker; `T` is what is due.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    heads: Box<[u32]>,
    /// One bit per slot that holds entries.
    occupied: [u64; WORDS],
    entries: Vec<Entry<T>>,
    free: u32,
    armed: usize,
    /// The tick up to which slots were emptied.
    tick: u64,
}

#[derive(Debug)]
struct Entry<T> {
    next: u32,
    previous: u32,
    slot: u32,
    due_tick: u64,
    owner: T,
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn new(now: Instant) -> Wheel<T> {
        Wheel {
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            occupied: [0; WORDS],
            entries: Vec::new(),
            free: NONE,
            armed: 0,
            tick: now.as_nanos() / TICK_NANOS,
        }
    }

    /// Adds an entry. It comes due at the end of the tick in which `deadline` lies: never early.
    pub(crate) fn insert(&mut self, deadline: Instant, owner: T) -> TimerId {
        let due_tick = (deadline.as_nanos() / TICK_NANOS).saturating_add(1).max(self.tick + 1);
        let slot = slot_for(self.tick, due_tick);
        let entry = Entry { next: NONE, previous: NONE, slot, due_tick, owner };
        let id = if self.free == NONE {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        } else {
            let id = self.free;
            self.free = self.entries[id as usize].next;
            self.entries[id as usize] = entry;
            id
        };
        self.link(id, slot);
        self.armed += 1;
        id
    }

    /// Removes an entry that has not come due.
    pub(crate) fn remove(&mut self, id: TimerId) {
        self.unlink(id);
        self.recycle(id);
    }

    /// Takes every entry due at `now` out of the wheel.
    pub(crate) fn expire(&mut self, now: Instant, mut due: impl FnMut(TimerId, T)) {
        let target = now.as_nanos() / TICK_NANOS;
        while self.tick < target {
            if self.armed == 0 {
                self.tick = target;
                return;
            }
            let Some(distance) = self.distance_to_occupied() else {
                return;
            };
            if self.tick + distance > target {
                self.tick = target;
                return;
            }
            self.tick += distance;
            self.empty_slot(&mut due);
        }
    }

    /// When the wheel next wants to be looked at; `None` if it is empty.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        if self.armed == 0 {
            return None;
        }
        let distance = self.distance_to_occupied()?;
        Some(Instant::from_nanos((self.tick + distance).saturating_mul(TICK_NANOS)))
    }

    /// Entries in the wheel.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    fn empty_slot(&mut self, due: &mut impl FnMut(TimerId, T)) {
        let slot = (self.tick % SLOTS as u64) as u32;
        let mut id = self.heads[slot as usize];
        while id != NONE {
            let Entry { next, due_tick, owner, .. } = self.entries[id as usize];
            self.unlink(id);
            if due_tick <= self.tick {
                self.recycle(id);
                due(id, owner);
            } else {
                let slot = slot_for(self.tick, due_tick);
                self.entries[id as usize].slot = slot;
                self.link(id, slot);
            }
            id = next;
        }
    }

    /// Ticks from `self.tick` (exclusive) to the next slot that holds entries.
    fn distance_to_occupied(&self) -> Option<u64> {
        let start = (self.tick as usize + 1) % SLOTS;
        let (first_word, first_bit) = (start / 64, start % 64);
        for step in 0..=WORDS {
            let word = (first_word + step) % WORDS;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << first_bit;
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                return Some(((slot + SLOTS - start) % SLOTS) as u64 + 1);
            }
        }
        None
    }

    fn link(&mut self, id: u32, slot: u32) {
        let head = self.heads[slot as usize];
        self.entries[id as usize].next = head;
        self.entries[id as usize].previous = NONE;
        if head != NONE {
            self.entries[head as usize].previous = id;
        }
        self.heads[slot as usize] = id;
        self.occupied[slot as usize / 64] |= 1 << (slot % 64);
    }

    fn unlink(&mut self, id: u32) {
        let Entry { next, previous, slot, .. } = self.entries[id as usize];
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous == NONE {
            self.heads[slot as usize] = next;
            if next == NONE {
                self.occupied[slot as usize / 64] &= !(1 << (slot % 64));
            }
        } else {
            self.entries[previous as usize].next = next;
        }
    }

    fn recycle(&mut self, id: u32) {
        self.entries[id as usize].next = self.free;
        self.free = id;
        self.armed -= 1;
    }
}

/// The slot for an entry due at `due_tick`; the last one ahead if it is further away.
fn slot_for(tick: u64, due_tick: u64) -> u32 {
    let due_tick = due_tick.clamp(tick + 1, tick + SLOTS as u64 - 1);
    (due_tick % SLOTS as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn expired(wheel: &mut Wheel<u32>, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, |_, owner| due.push(owner));
        due.sort_unstable();
        due
    }

    #[test]
    fn nothing_comes_early_and_nothing_late_by_more_than_two_ticks() {
        let deadlines: Vec<u64> = (0..200).map(|i| i * i * 7 + i).collect();
        let mut wheel = Wheel::new(at_ms(3));
        for (index, &ms) in deadlines.iter().enumerate() {
            wheel.insert(at_ms(ms), index as u32);
        }
        let mut seen = 0;
        for now_ms in (0..300_000).step_by(4) {
            for owner in expired(&mut wheel, at_ms(now_ms)) {
                let due_ms = deadlines[owner as usize].max(3);
                assert!(now_ms >= due_ms, "{due_ms} came at {now_ms}");
                assert!(now_ms <= due_ms + 20, "{due_ms} came at {now_ms}");
                seen += 1;
            }
        }
        assert_eq!((seen, wheel.len()), (200, 0));
    }

    #[test]
    fn next_expiry_reaches_every_entry_by_leaps() {
        let mut wheel = Wheel::new(at_ms(0));
        wheel.insert(at_ms(500_000), 1);
        wheel.insert(at_ms(70), 2);
        let removed = wheel.insert(at_ms(50), 3);
        wheel.remove(removed);
        let mut leaps = 0;
        let mut order = Vec::new();
        while let Some(next) = wheel.next_expiry() {
            order.extend(expired(&mut wheel, next));
            leaps += 1;
            assert!(leaps < 20, "a leap must make progress");
        }
        assert_eq!(order, [2, 1]);
    }

    #[test]
    fn a_long_sleep_past_several_rounds_expires_everything() {
        let mut wheel = Wheel::new(at_ms(0));
        for i in 0..100 {
            wheel.insert(at_ms(i * 1000), i as u32);
        }
        assert_eq!(expired(&mut wheel, at_ms(10_000_000)).len(), 100);
    }
}
