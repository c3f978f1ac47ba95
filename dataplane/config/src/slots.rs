//! Dense numbers for names, stable over generations.
//!
//! Workers keep counters, pools and loads in tables indexed by slot. A name keeps its slot while it is
//! in use; the slot of a name that is gone is given to no other name until [`Slots::release`] says that
//! nothing of it is left, so one object's counters never run on under another's name.

use std::collections::HashMap;

/// The slots of all listeners, routes and upstreams, each its own space from 0.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// Slots of listeners.
    pub listeners: SlotSpace,
    /// Slots of routes.
    pub routes: SlotSpace,
    /// Slots of upstreams.
    pub upstreams: SlotSpace,
}

/// Slots of one kind of object.
#[derive(Clone, Debug, Default)]
pub struct SlotSpace {
    by_name: HashMap<String, u32>,
    names: Vec<Option<String>>,
    free: Vec<u32>,
}

impl Slots {
    /// No name has a slot yet.
    pub fn new() -> Slots {
        Slots::default()
    }
}

impl SlotSpace {
    /// The slot of a name: the one it has had before, else a released one, else a new one.
    pub fn assign(&mut self, name: &str) -> u32 {
        if let Some(&slot) = self.by_name.get(name) {
            return slot;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.names.get_mut(slot as usize) {
                    *place = Some(name.to_owned());
                }
                slot
            }
            None => {
                self.names.push(Some(name.to_owned()));
                // A document is at most 16 MiB, so names never come near 2^32.
                u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_name.insert(name.to_owned(), slot);
        slot
    }

    /// The slot of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The name that holds a slot.
    pub fn name(&self, slot: u32) -> Option<&str> {
        self.names.get(slot as usize)?.as_deref()
    }

    /// Names by slot; a released slot has none.
    pub fn names(&self) -> &[Option<String>] {
        &self.names
    }

    /// Gives back the slots of all names for which `in_use` is false. Call it only when no generation
    /// that knows these names is left and their counters have been reset.
    pub fn release(&mut self, in_use: impl Fn(&str) -> bool) {
        let SlotSpace { by_name, names, free } = self;
        by_name.retain(|name, slot| {
            let kept = in_use(name);
            if !kept {
                if let Some(place) = names.get_mut(*slot as usize) {
                    *place = None;
                }
                free.push(*slot);
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_slot_and_new_names_follow_densely() {
        let mut space = SlotSpace::default();
        assert_eq!((space.assign("a"), space.assign("b"), space.assign("a")), (0, 1, 0));
        assert_eq!(space.assign("c"), 2);
        assert_eq!((space.find("b"), space.find("x")), (Some(1), None));
        assert_eq!(space.name(2), Some("c"));
    }

    #[test]
    fn a_released_slot_is_reused_and_the_others_stay() {
        let mut space = SlotSpace::default();
        for name in ["a", "b", "c"] {
            space.assign(name);
        }
        space.release(|name| name != "b");
        assert_eq!(space.name(1), None);
        assert_eq!((space.assign("d"), space.assign("c"), space.assign("e")), (1, 2, 3));
    }
}
