//! What filters want changed in a head. One per worker, cleared for each head: no allocation after
//! warm-up.

/// Changes to one head, applied when it is encoded.
#[derive(Debug, Default)]
pub struct Edits {
    bytes: Vec<u8>,
    changes: Vec<Change>,
    path: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    kind: Kind,
    name: (usize, usize),
    value: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Add,
    Remove,
}

impl Edits {
    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
        self.path = None;
    }

    /// Whether no field is changed; the path may be.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Replaces every field of this name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.undo(name);
        self.push(Kind::Set, name, value);
    }

    /// Adds a field.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.push(Kind::Add, name, value);
    }

    /// Removes every field of this name, those that earlier filters set or added, too.
    pub fn remove(&mut self, name: &[u8]) {
        self.undo(name);
        self.push(Kind::Remove, name, b"");
    }

    /// Replaces path and query of the request.
    pub fn rewrite_path(&mut self, path_and_query: &[u8]) {
        self.path = Some(self.store(path_and_query));
    }

    /// Whether the fields of this name that came are left out.
    pub fn drops(&self, name: &[u8]) -> bool {
        self.changes
            .iter()
            .any(|c| c.kind != Kind::Add && self.slice(c.name).eq_ignore_ascii_case(name))
    }

    /// Fields to append, in order.
    pub fn appended(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.changes
            .iter()
            .filter(|change| change.kind != Kind::Remove)
            .map(|change| (self.slice(change.name), self.slice(change.value)))
    }

    /// The new path and query.
    pub fn path(&self) -> Option<&[u8]> {
        self.path.map(|path| self.slice(path))
    }

    fn undo(&mut self, name: &[u8]) {
        let bytes = &self.bytes;
        self.changes.retain(|change| {
            let known = bytes.get(change.name.0..change.name.1).unwrap_or_default();
            !known.eq_ignore_ascii_case(name)
        });
    }

    fn push(&mut self, kind: Kind, name: &[u8], value: &[u8]) {
        let (name, value) = (self.store(name), self.store(value));
        self.changes.push(Change { kind, name, value });
    }

    fn store(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len())
    }

    fn slice(&self, (start, end): (usize, usize)) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_changes_win_and_names_are_case_insensitive() {
        let mut edits = Edits::default();
        edits.add(b"X-A", b"1");
        edits.set(b"x-a", b"2");
        edits.add(b"x-a", b"3");
        edits.set(b"x-b", b"4");
        edits.remove(b"X-B");
        let appended: Vec<_> = edits.appended().collect();
        assert_eq!(appended, [(&b"x-a"[..], &b"2"[..]), (b"x-a", b"3")]);
        assert!(edits.drops(b"X-A") && edits.drops(b"x-b") && !edits.drops(b"x-c"));
        edits.rewrite_path(b"/new?q");
        assert_eq!(edits.path(), Some(&b"/new?q"[..]));
        edits.clear();
        assert!(edits.is_empty() && edits.path().is_none());
    }
}
