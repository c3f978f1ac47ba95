//! How a document is described: one table of names, types, bounds, defaults and docs.
//!
//! The tables in [`crate::declared`] are read twice, by the checker and by the writer of the JSON
//! Schema, so what an editor offers and what the gateway accepts cannot drift apart.

pub(crate) mod format;
pub(crate) mod json;

use crate::quantity::{show_duration, show_size};
use std::time::Duration;

/// A mapping with named fields.
pub(crate) struct Object {
    /// What it is, in messages: "unknown field `x` in {title}". Also its name in the JSON Schema.
    pub(crate) title: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
    /// Of these fields, exactly one is given; no rule where empty.
    pub(crate) exactly_one: &'static [&'static str],
}

/// A field of an object.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
}

/// What holds when a field is not given.
pub(crate) enum Presence {
    /// It must be.
    Required,
    /// Then there is nothing.
    Optional,
    /// Then this holds, written as in a document; `{}` and `[]` for objects and lists.
    Default(&'static str),
}

/// What a value may be.
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A duration, bounds in milliseconds.
    Duration { min_ms: u64, max_ms: u64 },
    /// A size, bounds in bytes.
    Size { min: u64, max: u64 },
    /// Text of some format.
    Text(&'static format::Format),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list.
    List { of: &'static Kind, min: usize, max: usize },
    /// A mapping with keys of some format.
    Map { key: &'static format::Format, of: &'static Kind },
    /// A mapping with named fields.
    Record(&'static Object),
    /// A mapping whose field `tag` says which object it is; an object's title is its tag.
    Tagged { tag: &'static str, of: &'static [&'static Object] },
    /// Any of these. The first that has the shape of what is written decides.
    Either(&'static [Kind]),
    /// A section that a later release accepts.
    Later,
}

impl Kind {
    /// What would be right, to complete the sentence "expected …".
    pub(crate) fn expected(&self) -> String {
        match self {
            Kind::Flag => "`true` or `false`".into(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Duration { min_ms, max_ms } => format!(
                "a duration such as `250ms`, `5s` or `1m`, from {} to {}",
                show_duration(Duration::from_millis(*min_ms)),
                show_duration(Duration::from_millis(*max_ms))
            ),
            Kind::Size { min, max } => format!(
                "a size such as `512B`, `64KiB` or `10MB`, from {} to {}",
                show_size(*min),
                show_size(*max)
            ),
            Kind::Text(format) => format.expected.into(),
            Kind::Word(words) => alternatives(words),
            Kind::List { of, .. } => format!("a list, each {}", of.expected()),
            Kind::Map { key, of } => {
                format!("a mapping from {} to {}", key.expected, of.expected())
            }
            Kind::Record(object) => format!("a mapping with {}", field_names(object.fields)),
            Kind::Tagged { tag, of } => {
                let tags: Vec<&str> = of.iter().map(|object| object.title).collect();
                format!("a mapping in which `{tag}` is {}", alternatives(&tags))
            }
            Kind::Either(kinds) => {
                kinds.iter().map(Kind::expected).collect::<Vec<_>>().join(", or ")
            }
            Kind::Later => "nothing".into(),
        }
    }
}

/// "`a`", "`a` or `b`", "one of `a`, `b`, `c`".
pub(crate) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => "nothing".into(),
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        _ => {
            let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}", quoted.join(", "))
        }
    }
}

/// The fields that may be written, leaving out those of later releases.
pub(crate) fn field_names(fields: &[Field]) -> String {
    let names: Vec<String> = fields
        .iter()
        .filter(|field| !matches!(field.kind, Kind::Later))
        .map(|field| format!("`{}`", field.name))
        .collect();
    names.join(", ")
}
