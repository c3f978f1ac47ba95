//! A document after its check: values with their types, defaults filled in.
//!
//! Whoever reads these names only fields that the tables declare, with the type they declare; a test
//! lowers a document with every field, so a slip shows. What was reported as wrong reads as absent.

use std::time::Duration;

use crate::diagnostic::Place;
use crate::schema::Object;

/// A value and where it stands. One that comes from a default stands where its object does.
pub(crate) struct Item {
    pub(crate) place: Place,
    /// Where it stands in the text, in characters.
    pub(crate) extent: (usize, usize),
    pub(crate) value: Value,
}

pub(crate) enum Value {
    /// Not given, and without default; or wrong, and reported.
    Absent,
    Flag(bool),
    Count(u64),
    Duration(Duration),
    Size(u64),
    Text(String),
    Word(&'static str),
    List(Vec<Item>),
    Map(Vec<(String, Place, Item)>),
    Record(Record),
    Tagged(&'static str, Record),
}

/// The fields of an object, in the order of its declaration.
pub(crate) struct Record {
    pub(crate) object: &'static Object,
    pub(crate) fields: Vec<Item>,
}

impl Item {
    pub(crate) fn is_given(&self) -> bool {
        !matches!(self.value, Value::Absent)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn word(&self) -> Option<&'static str> {
        match self.value {
            Value::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn count(&self) -> Option<u64> {
        match self.value {
            Value::Count(count) | Value::Size(count) => Some(count),
            _ => None,
        }
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        match self.value {
            Value::Duration(duration) => Some(duration),
            _ => None,
        }
    }

    pub(crate) fn record(&self) -> Option<&Record> {
        match &self.value {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> &[Item] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn map(&self) -> &[(String, Place, Item)] {
        match &self.value {
            Value::Map(fields) => fields,
            _ => &[],
        }
    }
}

impl Record {
    /// A field by the name it is declared with.
    pub(crate) fn item(&self, name: &str) -> &Item {
        static NOTHING: Item =
            Item { place: Place { line: 1, column: 1 }, extent: (0, 0), value: Value::Absent };
        let at = self.object.fields.iter().position(|field| field.name == name);
        debug_assert!(at.is_some(), "{} has no field {name}", self.object.title);
        at.and_then(|at| self.fields.get(at)).unwrap_or(&NOTHING)
    }

    pub(crate) fn record(&self, name: &str) -> Option<&Record> {
        self.item(name).record()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.item(name).text()
    }

    pub(crate) fn word(&self, name: &str) -> &'static str {
        self.item(name).word().unwrap_or("")
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.item(name).value, Value::Flag(true))
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        self.item(name).duration().unwrap_or_default()
    }

    /// A number or a size. The table's bounds fit the type asked for, so nothing is lost.
    pub(crate) fn number<N: TryFrom<u64> + Default>(&self, name: &str) -> N {
        self.item(name).count().and_then(|count| N::try_from(count).ok()).unwrap_or_default()
    }
}
