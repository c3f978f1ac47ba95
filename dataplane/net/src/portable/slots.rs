//! A table whose keys are never confused: each use of a slot has a generation of its own.

/// Slot in the low half, generation in the high half.
pub(super) type Key = u64;

#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new() }
    }

    /// Values in the table.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds the value made for its key.
    pub(super) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        let key = Key::from(index) | Key::from(slot.generation) << 32;
        slot.value = Some(make(key));
        key
    }

    pub(super) fn find(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(index_of(key))?;
        if slot.generation != generation_of(key) {
            return None;
        }
        slot.value.as_ref()
    }

    pub(super) fn find_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(index_of(key))?;
        if slot.generation != generation_of(key) {
            return None;
        }
        slot.value.as_mut()
    }

    /// Takes the value out; its key is of no more use.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(index_of(key))?;
        if slot.generation != generation_of(key) {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index_of(key) as u32);
        Some(value)
    }

    /// Every value left.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.slots.into_iter().filter_map(|slot| slot.value)
    }
}

fn index_of(key: Key) -> usize {
    (key & Key::from(u32::MAX)) as usize
}

fn generation_of(key: Key) -> u32 {
    (key >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_earlier_use_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert_with(|_| "first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert_with(|_| "second");
        assert_eq!(index_of(first), index_of(second));
        assert_eq!(slots.find(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!((slots.find(second), slots.len()), (Some(&"second"), 1));
        assert_eq!(slots.into_values().collect::<Vec<_>>(), ["second"]);
    }
}
