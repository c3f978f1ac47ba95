//! The JSON Schema of a document, written from the tables.

use serde_json::{Map, Value, json};

use crate::declared::DOCUMENT;
use crate::schema::{Field, Kind, Object, Presence};

/// The JSON Schema (draft 2020-12) of the configuration, for editors.
///
/// It accepts every document that [`crate::load`] accepts; what it cannot express, such as names that
/// must exist elsewhere in the document, only `load` checks.
pub fn schema() -> String {
    let mut definitions = Map::new();
    let root = definition(&DOCUMENT, None, &mut definitions);
    let mut out = Map::new();
    out.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    out.insert("title".into(), json!("Ringgate configuration"));
    if let Value::Object(root) = root {
        out.extend(root);
    }
    out.insert("$defs".into(), Value::Object(definitions));
    format!("{:#}\n", Value::Object(out))
}

fn definition(object: &Object, tag: Option<&str>, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    if let Some(tag) = tag {
        properties.insert(tag.into(), json!({ "const": object.title }));
        required.push(json!(tag));
    }
    for field in object.fields.iter().filter(|field| !matches!(field.kind, Kind::Later)) {
        properties.insert(field.name.into(), property(field, definitions));
        if matches!(field.presence, Presence::Required) {
            required.push(json!(field.name));
        }
    }
    let mut out = Map::new();
    out.insert("description".into(), json!(object.doc));
    out.insert("type".into(), json!("object"));
    out.insert("properties".into(), Value::Object(properties));
    out.insert("additionalProperties".into(), json!(false));
    if !required.is_empty() {
        out.insert("required".into(), Value::Array(required));
    }
    if !object.exactly_one.is_empty() {
        let one = object.exactly_one.iter().map(|name| json!({ "required": [name] }));
        out.insert("oneOf".into(), one.collect());
    }
    Value::Object(out)
}

fn property(field: &Field, definitions: &mut Map<String, Value>) -> Value {
    let mut out = match value(&field.kind, definitions) {
        Value::Object(out) => out,
        _ => Map::new(),
    };
    out.insert("description".into(), json!(field.doc));
    if let Presence::Default(text) = field.presence {
        out.insert("default".into(), default(text, &field.kind));
    }
    Value::Object(out)
}

/// A variable may stand for any single value.
fn variable() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" })
}

fn value(kind: &Kind, definitions: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Flag => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        Kind::Count { min, max } => json!({
            "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, variable()]
        }),
        Kind::Duration { .. } => json!({
            "type": "string",
            "pattern": "^[0-9]+ *(ms|s|m|h|d)$|\\$\\{",
            "examples": ["250ms", "5s", "1m"]
        }),
        Kind::Size { .. } => json!({
            "type": "string",
            "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB|KB|kB|MB|GB|TB)$|\\$\\{",
            "examples": ["512B", "64KiB", "10MB"]
        }),
        Kind::Text(format) => {
            let mut out = Map::new();
            // YAML's plain `1` is a number to a validator, and text to us where text is asked for.
            let of = match (format.check)("1") {
                Ok(()) => json!(["string", "number", "boolean"]),
                Err(_) => json!("string"),
            };
            out.insert("type".into(), of);
            if !format.pattern.is_empty() {
                out.insert("pattern".into(), json!(format!("{}|\\$\\{{", format.pattern)));
            }
            Value::Object(out)
        }
        Kind::Word(words) => {
            json!({ "anyOf": [{ "enum": words.iter().flat_map(|w| typed(w)).collect::<Vec<_>>() }, variable()] })
        }
        Kind::List { of, min, max } => {
            json!({ "type": "array", "items": value(of, definitions), "minItems": min, "maxItems": max })
        }
        Kind::Map { key, of } => json!({
            "type": "object",
            "propertyNames": { "pattern": key.pattern },
            "additionalProperties": value(of, definitions)
        }),
        Kind::Record(object) => reference(object, None, definitions),
        Kind::Tagged { tag, of } => {
            let kinds: Vec<Value> =
                of.iter().map(|object| reference(object, Some(tag), definitions)).collect();
            json!({ "type": "object", "required": [tag], "oneOf": kinds })
        }
        Kind::Either(kinds) => {
            let kinds: Vec<Value> = kinds.iter().map(|kind| value(kind, definitions)).collect();
            json!({ "anyOf": kinds })
        }
        Kind::Later => json!(false),
    }
}

/// A word as YAML's core schema types it when it is not quoted, and as text.
fn typed(word: &str) -> Vec<Value> {
    let plain = word.parse::<u64>().map(Value::from).or(word.parse::<bool>().map(Value::from));
    plain.into_iter().chain([json!(word)]).collect()
}

fn reference(object: &Object, tag: Option<&str>, definitions: &mut Map<String, Value>) -> Value {
    let name = identifier(object.title);
    if !definitions.contains_key(&name) {
        definitions.insert(name.clone(), Value::Null);
        let described = definition(object, tag, definitions);
        definitions.insert(name.clone(), described);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A title as the name of a definition: "`limits` of a route" is `limits_of_a_route`.
fn identifier(title: &str) -> String {
    let title = title.strip_prefix("an ").or(title.strip_prefix("a ")).unwrap_or(title);
    title.replace('`', "").replace(' ', "_")
}

fn default(text: &str, kind: &Kind) -> Value {
    match kind {
        Kind::Flag | Kind::Count { .. } => typed(text).into_iter().next().unwrap_or(Value::Null),
        Kind::List { .. } => json!([]),
        Kind::Map { .. } | Kind::Record(_) | Kind::Tagged { .. } => json!({}),
        Kind::Word(_) => typed(text).into_iter().next().unwrap_or(Value::Null),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests;
