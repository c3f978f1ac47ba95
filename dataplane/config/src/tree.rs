//! The document as a tree whose nodes know their place. YAML 1.2; JSON is accepted.
//!
//! A subset on purpose: one document, no anchors, aliases or tags, keys are scalars. So a small text
//! cannot stand for a large tree, and what is read is what is written.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::diagnostic::{Diagnostics, Place};

/// Most bytes of a document.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Deepest nesting of a document; the schema itself needs less than ten.
pub const DEPTH_MAX: usize = 32;
/// Most nodes of a document: 100,000 routes of ordinary size take about two million.
pub const NODES_MAX: usize = 4 << 20;

/// A value of the document.
pub(crate) struct Node {
    pub(crate) place: Place,
    /// Where it stands in the text, in characters: what a mask covers.
    pub(crate) extent: (usize, usize),
    pub(crate) kind: NodeKind,
}

pub(crate) enum NodeKind {
    /// Text, not yet given a type. Plain means neither quoted nor a block.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Node {
    /// Nothing was written, or one of the words for nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, in words.
    pub(crate) fn shape(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            NodeKind::Scalar { .. } => "a single value",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }
}

/// Reads a document that [`json_as_yaml`] has gone over. What keeps the tree from being built is reported, and gives `None`; a key that is
/// given twice is reported and ignored.
pub(crate) fn read(text: &str, problems: &mut Diagnostics) -> Option<Node> {
    let start = Place { line: 1, column: 1 };
    if text.len() > DOCUMENT_BYTES_MAX {
        problems.report(
            start,
            format!("the document has {} bytes", text.len()),
            format!("at most {DOCUMENT_BYTES_MAX}"),
        );
        return None;
    }
    let mut builder = Builder { open: Vec::new(), root: None, nodes: 0, documents: 0 };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span, problems).ok()?,
            Err(error) => {
                let place = syntax_place(text, &error);
                problems.report(place, format!("not valid YAML: {}", error.info()), "");
                return None;
            }
        }
    }
    Some(builder.root.unwrap_or(Node {
        place: start,
        extent: (0, 0),
        kind: NodeKind::Map(Vec::new()),
    }))
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

/// A list or mapping that is not closed yet.
enum Open {
    List { place: Place, from: usize, items: Vec<Node> },
    Map { place: Place, from: usize, fields: Vec<(Key, Node)>, key: Option<Key> },
}

/// The problem has been reported; there is no tree.
struct Refused;

impl Builder {
    fn take(
        &mut self,
        event: Event<'_>,
        span: Span,
        problems: &mut Diagnostics,
    ) -> Result<(), Refused> {
        let place = place(&span);
        let from = span.start.index();
        let mut refuse = |what: &str, expected: &str| {
            problems.report(place, what, expected);
            Err(Refused)
        };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return refuse("a second document begins here", "one document in a file");
                }
            }
            Event::Alias(_) => {
                return refuse("an alias (`*name`) stands here", "the value itself, written out");
            }
            Event::Scalar(_, _, 1.., _)
            | Event::SequenceStart(1.., _)
            | Event::MappingStart(1.., _) => {
                return refuse("an anchor (`&name`) stands here", "the value itself");
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return refuse("a tag (`!name`) stands here", "the value itself");
            }
            Event::Scalar(text, style, _, None) => {
                self.count(place, problems)?;
                let text = text.into_owned();
                if let Some(Open::Map { key: key @ None, .. }) = self.open.last_mut() {
                    *key = Some(Key { text, place });
                } else {
                    let plain = style == ScalarStyle::Plain;
                    let extent = (from, span.end.index());
                    self.put(Node { place, extent, kind: NodeKind::Scalar { text, plain } });
                }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                self.count(place, problems)?;
                if let Some(Open::Map { key: None, .. }) = self.open.last() {
                    problems.report(place, "a key is a list or a mapping", "a name");
                    return Err(Refused);
                }
                if self.open.len() >= DEPTH_MAX {
                    problems.report(
                        place,
                        "the document is nested too deeply",
                        format!("at most {DEPTH_MAX} levels"),
                    );
                    return Err(Refused);
                }
                self.open.push(match event {
                    Event::SequenceStart(..) => Open::List { place, from, items: Vec::new() },
                    _ => Open::Map { place, from, fields: Vec::new(), key: None },
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let until = span.end.index();
                match self.open.pop() {
                    Some(Open::List { place, from, items }) => {
                        let kind = NodeKind::List(items);
                        self.put(Node { place, extent: (from, until), kind });
                    }
                    Some(Open::Map { place, from, mut fields, .. }) => {
                        drop_repeated(&mut fields, problems);
                        let kind = NodeKind::Map(fields);
                        self.put(Node { place, extent: (from, until), kind });
                    }
                    None => {}
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn count(&mut self, place: Place, problems: &mut Diagnostics) -> Result<(), Refused> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let expected = format!("at most {NODES_MAX} values");
            problems.report(place, "the document has too many values", expected);
            return Err(Refused);
        }
        Ok(())
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { fields, key, .. }) => {
                if let Some(key) = key.take() {
                    fields.push((key, node));
                }
            }
            None => self.root = Some(node),
        }
    }
}

/// Reports each key that was given before, and keeps the first.
fn drop_repeated(fields: &mut Vec<(Key, Node)>, problems: &mut Diagnostics) {
    let mut first: HashMap<String, Place> = HashMap::with_capacity(fields.len());
    fields.retain(|(key, _)| match first.get(key.text.as_str()) {
        Some(before) => {
            problems.report(
                key.place,
                format!("`{}` is given twice, first at {before}", shorten(&key.text)),
                "each key once",
            );
            false
        }
        None => {
            first.insert(key.text.clone(), key.place);
            true
        }
    });
}

/// A text as it can stand in a message: short, and without control characters.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut out: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

fn place(span: &Span) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(span.start.line()), column: number(span.start.col()).saturating_add(1) }
}

/// Where a syntax error stands; one at the end of the text is moved back to its last line.
fn syntax_place(text: &str, error: &ScanError) -> Place {
    let marker = *error.marker();
    let lines = text.lines().count().max(1);
    if marker.line() > lines {
        let columns = text.lines().last().map_or(0, |line| line.chars().count());
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        return Place { line: number(lines), column: number(columns).saturating_add(1) };
    }
    place(&Span::empty(marker))
}

/// Where JSON and YAML differ, JSON's reading is taken for a document that begins with a brace: tabs
/// between tokens are blanks, and a pair of `\u` surrogates is one character. Places stay the same,
/// except behind such a pair on its line. A byte order mark is dropped.
pub(crate) fn json_as_yaml(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = text.trim_start().starts_with(['{', '[']);
    if !is_json || !(text.contains('\t') || text.contains("\\u")) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    let mut in_string = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                in_string = !in_string;
                out.push(c);
            }
            '\t' if !in_string => out.push(' '),
            '\\' if in_string => match surrogates(text.get(at..at + 12)) {
                Some(whole) => {
                    out.push_str(&format!("\\U{:08X}", u32::from(whole)));
                    chars.nth(10);
                }
                None => {
                    out.push(c);
                    out.extend(chars.next().map(|(_, escaped)| escaped));
                }
            },
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The character that `\uD83D\uDE00` stands for.
fn surrogates(escape: Option<&str>) -> Option<char> {
    let (high, low) = escape?.strip_prefix("\\u")?.split_once("\\u")?;
    let unit = |hex: &str| (hex.len() == 4).then(|| u16::from_str_radix(hex, 16).ok())?;
    let (high, low) = (unit(high)?, unit(low)?);
    if !(0xD800..0xDC00).contains(&high) {
        return None;
    }
    char::decode_utf16([high, low]).next()?.ok()
}
