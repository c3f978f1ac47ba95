//! Checks a tree against the tables, and types it. Every problem is reported, none ends the check.

use crate::diagnostic::{Diagnostics, Place};
use crate::environment;
use crate::quantity::{self, show_duration, show_size};
use crate::schema::{Field, Kind, Object, Presence, alternatives, field_names};
use crate::suggest::nearest;
use crate::tree::{Key, Node, NodeKind, shorten};
use crate::value::{Item, Record, Value};

/// Checks one document.
pub(crate) struct Checker<'c> {
    pub(crate) problems: &'c mut Diagnostics,
    pub(crate) env: &'c dyn Fn(&str) -> Option<String>,
}

impl Checker<'_> {
    /// The value of a node, or [`Value::Absent`] after a report. `name` is how messages call it.
    pub(crate) fn check(&mut self, node: &Node, kind: &'static Kind, name: &str) -> Item {
        Item { place: node.place, extent: node.extent, value: self.value(node, kind, name) }
    }

    fn value(&mut self, node: &Node, kind: &'static Kind, name: &str) -> Value {
        match (kind, &node.kind) {
            (Kind::Either(kinds), _) => self.either(node, kinds, kind, name),
            (Kind::List { of, min, max }, NodeKind::List(items)) => {
                if items.len() < *min || items.len() > *max {
                    let what = match items.len() {
                        0 => format!("`{name}` is empty"),
                        n => format!("`{name}` has {n} entries"),
                    };
                    let expected = match items.len() < *min {
                        true => format!("at least {min}"),
                        false => format!("at most {max}"),
                    };
                    self.problems.report(node.place, what, expected);
                }
                let items = items.iter().enumerate();
                Value::List(
                    items
                        .map(|(at, item)| self.check(item, of, &format!("{name}[{at}]")))
                        .collect(),
                )
            }
            (Kind::Map { key, of }, NodeKind::Map(fields)) => {
                let mut out = Vec::with_capacity(fields.len());
                for (field, node) in fields {
                    if let Err(wrong) = (key.check)(&field.text) {
                        let (map, field_name) = (shorten(name), shorten(&field.text));
                        let what = match wrong.as_str() {
                            "" => format!("`{map}` has the key `{field_name}`"),
                            _ => format!("`{map}` has the key `{field_name}`, which {wrong}"),
                        };
                        self.problems.report(field.place, what, key.expected);
                    }
                    let item = self.check(node, of, &field.text);
                    out.push((field.text.clone(), field.place, item));
                }
                Value::Map(out)
            }
            (Kind::Record(object), NodeKind::Map(fields)) => {
                Value::Record(self.record(node, fields, object, None))
            }
            (Kind::Tagged { tag, of }, NodeKind::Map(fields)) => {
                self.tagged(node, fields, (tag, of), kind)
            }
            (Kind::Later, _) => Value::Absent,
            (_, NodeKind::Scalar { text, plain }) if !node.is_null() && is_scalar(kind) => {
                self.scalar(node.place, (text, *plain), kind, name)
            }
            _ => {
                let what = match node.is_null() {
                    true => format!("`{}` has no value", shorten(name)),
                    false => format!("`{}` is {}", shorten(name), node.shape()),
                };
                self.problems.report(node.place, what, kind.expected());
                Value::Absent
            }
        }
    }

    /// Takes the first kind that fits, or else reports by the first that has the node's shape.
    fn either(&mut self, node: &Node, kinds: &'static [Kind], all: &Kind, name: &str) -> Value {
        let mut alike = kinds.iter().filter(|kind| has_shape(kind, node));
        let (Some(first), others) = (alike.next(), alike.next()) else {
            let what = format!("`{}` is {}", shorten(name), node.shape());
            self.problems.report(node.place, what, all.expected());
            return Value::Absent;
        };
        let NodeKind::Scalar { text, plain } = &node.kind else {
            return self.value(node, first, name);
        };
        if others.is_none() {
            return self.value(node, first, name);
        }
        let Some(value) = self.expand(node.place, text) else { return Value::Absent };
        let is_plain = *plain || text.contains("${");
        let fitting = kinds.iter().find_map(|kind| scalar(&value, is_plain, kind).ok());
        fitting.unwrap_or_else(|| {
            self.wrong(node.place, name, text, "", &all.expected());
            Value::Absent
        })
    }

    fn scalar(
        &mut self,
        place: Place,
        (text, plain): (&str, bool),
        kind: &Kind,
        name: &str,
    ) -> Value {
        let Some(value) = self.expand(place, text) else { return Value::Absent };
        // A variable inside flow brackets must be quoted, and yet may stand for a number.
        scalar(&value, plain || text.contains("${"), kind).unwrap_or_else(|wrong| {
            self.wrong(place, name, text, &wrong, &kind.expected());
            Value::Absent
        })
    }

    fn expand(&mut self, place: Place, text: &str) -> Option<String> {
        match environment::expand(text, self.env) {
            Ok(text) => Some(text.into_owned()),
            Err(variable) => {
                self.problems.report(
                    place,
                    format!("the environment variable `{}` is not set", shorten(variable)),
                    "it to be set, or `$${` for a literal `${`",
                );
                None
            }
        }
    }

    /// `text` is as written: what a variable stood for may be a secret.
    fn wrong(&mut self, place: Place, name: &str, text: &str, wrong: &str, expected: &str) {
        let (name, text) = (shorten(name), shorten(text));
        let what = match wrong {
            "" => format!("`{name}` is `{text}`"),
            _ => format!("`{name}`: `{text}` {wrong}"),
        };
        self.problems.report(place, what, expected);
    }

    fn tagged(
        &mut self,
        node: &Node,
        fields: &[(Key, Node)],
        (tag, of): (&'static str, &'static [&'static Object]),
        kind: &Kind,
    ) -> Value {
        let Some((_, given)) = fields.iter().find(|(key, _)| key.text == tag) else {
            self.problems.report(node.place, format!("`{tag}` is missing"), kind.expected());
            return Value::Absent;
        };
        let NodeKind::Scalar { text, .. } = &given.kind else {
            let what = format!("`{tag}` is {}", given.shape());
            self.problems.report(given.place, what, kind.expected());
            return Value::Absent;
        };
        let Some(object) = of.iter().copied().find(|object| object.title == text) else {
            let titles: Vec<&str> = of.iter().map(|object| object.title).collect();
            let expected = known_or_nearest(text, &titles);
            self.wrong(given.place, tag, text, "is not known", &expected);
            return Value::Absent;
        };
        Value::Tagged(object.title, self.record(node, fields, object, Some(tag)))
    }

    fn record(
        &mut self,
        node: &Node,
        given: &[(Key, Node)],
        object: &'static Object,
        tag: Option<&str>,
    ) -> Record {
        for (key, _) in given {
            match object.fields.iter().find(|field| field.name == key.text) {
                Some(Field { kind: Kind::Later, .. }) => self.problems.report(
                    key.place,
                    format!("`{}` is not supported by this build", key.text),
                    "",
                ),
                Some(_) => {}
                None if tag == Some(key.text.as_str()) => {}
                None => self.unknown(key, object),
            }
        }
        let fields = object
            .fields
            .iter()
            .map(|field| match given.iter().find(|(key, _)| key.text == field.name) {
                Some((_, value)) => self.check(value, &field.kind, field.name),
                None => self.absent(node, field, object),
            })
            .collect();
        self.exactly_one(node, given, object);
        Record { object, fields }
    }

    fn unknown(&mut self, key: &Key, object: &Object) {
        let what = format!("unknown field `{}` in {}", shorten(&key.text), object.title);
        let names: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
        let expected = match nearest(&key.text, names) {
            Some(name) => format!("`{name}` (did you mean it?)"),
            None => format!("one of {}", field_names(object.fields)),
        };
        self.problems.report(key.place, what, expected);
    }

    fn absent(&mut self, node: &Node, field: &'static Field, object: &Object) -> Item {
        let value = match field.presence {
            Presence::Required => {
                let what = format!("{} has no `{}`", object.title, field.name);
                self.problems.report(node.place, what, field.kind.expected());
                Value::Absent
            }
            Presence::Optional => Value::Absent,
            Presence::Default(text) => default(text, &field.kind, node.place),
        };
        Item { place: node.place, extent: (0, 0), value }
    }

    fn exactly_one(&mut self, node: &Node, given: &[(Key, Node)], object: &Object) {
        if object.exactly_one.is_empty() {
            return;
        }
        let mut of_them =
            given.iter().filter(|(k, _)| object.exactly_one.contains(&k.text.as_str()));
        let expected = format!("exactly {}", alternatives(object.exactly_one));
        match (of_them.next(), of_them.next()) {
            (None, _) => {
                let what = format!("{} has none of its alternatives", object.title);
                self.problems.report(node.place, what, expected);
            }
            (Some((first, _)), Some((second, _))) => {
                let what = format!(
                    "{} has `{}` beside `{}` of {}",
                    object.title, second.text, first.text, first.place
                );
                self.problems.report(second.place, what, expected);
            }
            (Some(_), None) => {}
        }
    }
}

/// "`x` (did you mean it?)", or all that are known.
pub(crate) fn known_or_nearest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(one) => format!("`{one}` (did you mean it?)"),
        None => alternatives(known),
    }
}

/// What holds for a field that is not given. The defaults of the tables are right, which a test shows.
pub(crate) fn default(text: &'static str, kind: &'static Kind, place: Place) -> Value {
    match kind {
        Kind::List { .. } => Value::List(Vec::new()),
        Kind::Map { .. } => Value::Map(Vec::new()),
        Kind::Record(object) => {
            let fields = object.fields.iter().map(|field| {
                let value = match field.presence {
                    Presence::Default(text) => default(text, &field.kind, place),
                    Presence::Required | Presence::Optional => Value::Absent,
                };
                Item { place, extent: (0, 0), value }
            });
            Value::Record(Record { object, fields: fields.collect() })
        }
        Kind::Either(kinds) => {
            kinds.iter().find_map(|kind| scalar(text, true, kind).ok()).unwrap_or(Value::Absent)
        }
        _ => scalar(text, true, kind).unwrap_or(Value::Absent),
    }
}

fn is_scalar(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::List { .. }
            | Kind::Map { .. }
            | Kind::Record(_)
            | Kind::Tagged { .. }
            | Kind::Either(_)
            | Kind::Later
    )
}

fn has_shape(kind: &Kind, node: &Node) -> bool {
    match &node.kind {
        NodeKind::Scalar { .. } => !node.is_null() && is_scalar(kind),
        NodeKind::List(_) => matches!(kind, Kind::List { .. }),
        NodeKind::Map(_) => {
            matches!(kind, Kind::Map { .. } | Kind::Record(_) | Kind::Tagged { .. })
        }
    }
}

/// A single value of some kind; the error says what is wrong, and may be empty.
fn scalar(text: &str, plain: bool, kind: &Kind) -> Result<Value, String> {
    let within = |value: u64, min: u64, max: u64, show: &dyn Fn(u64) -> String| {
        if value < min {
            Err(format!("is less than {}", show(min)))
        } else if value > max {
            Err(format!("is more than {}", show(max)))
        } else {
            Ok(value)
        }
    };
    match kind {
        Kind::Flag => match text {
            "true" if plain => Ok(Value::Flag(true)),
            "false" if plain => Ok(Value::Flag(false)),
            _ => Err(String::new()),
        },
        Kind::Count { min, max } => {
            if !plain {
                return Err("is text, being quoted".into());
            }
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err("is not a whole number".into());
            }
            let value = text.parse().map_err(|_| format!("is more than {max}"))?;
            within(value, *min, *max, &|n| n.to_string()).map(Value::Count)
        }
        Kind::Duration { min_ms, max_ms } => {
            let value = quantity::duration(text).map_err(|error| error.to_string())?;
            let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
            let show = |ms| show_duration(std::time::Duration::from_millis(ms));
            within(ms, *min_ms, *max_ms, &show).map(|_| Value::Duration(value))
        }
        Kind::Size { min, max } => {
            let value = quantity::size(text).map_err(|error| error.to_string())?;
            within(value, *min, *max, &show_size).map(Value::Size)
        }
        Kind::Text(format) => (format.check)(text).map(|()| Value::Text(text.to_owned())),
        Kind::Word(words) => match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Value::Word(word)),
            None => Err(String::new()),
        },
        _ => Err(String::new()),
    }
}
