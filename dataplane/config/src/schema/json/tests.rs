use super::*;
use crate::check;
use crate::diagnostic::{Diagnostics, Place};
use crate::tree::{self, Node, NodeKind};
use crate::value::Value as Checked;

const COMPLETE: &str = include_str!("../../../examples/complete.yaml");

/// A document as a validator sees it: plain scalars typed by YAML's core schema.
fn typed_tree(node: &Node) -> Value {
    match &node.kind {
        _ if node.is_null() => Value::Null,
        NodeKind::Scalar { text, plain: true } => typed(text)[0].clone(),
        NodeKind::Scalar { text, .. } => json!(text),
        NodeKind::List(items) => items.iter().map(typed_tree).collect(),
        NodeKind::Map(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.text.clone(), typed_tree(value))).collect(),
        ),
    }
}

fn parsed(text: &str) -> Value {
    let mut problems = Diagnostics::new("test.yaml");
    typed_tree(&tree::read(text, &mut problems).unwrap())
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        _ => panic!("the schema uses the type {name}, unknown to this test"),
    }
}

/// The keywords that the schema uses, and no other; an unknown one fails the test.
fn fits(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if schema == &json!(true) { Ok(()) } else { Err(format!("{value}: {schema}")) };
    };
    let list = |rule: &Value| rule.as_array().unwrap().clone();
    let matches = |text: &str, pattern: &Value| {
        regex::Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text)
    };
    let fitting =
        |rule: &Value| list(rule).iter().filter(|one| fits(value, one, root).is_ok()).count();
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "examples" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                fits(value, root.pointer(pointer).expect("a definition"), root)?;
                true
            }
            "type" if rule.is_array() => {
                list(rule).iter().any(|name| is_of_type(value, name.as_str().unwrap()))
            }
            "type" => is_of_type(value, rule.as_str().unwrap()),
            "const" => value == rule,
            "enum" => list(rule).contains(value),
            "anyOf" => fitting(rule) >= 1,
            "oneOf" => fitting(rule) == 1,
            "pattern" => value.as_str().is_none_or(|text| matches(text, rule)),
            "minimum" => value.as_u64().is_none_or(|n| n >= rule.as_u64().unwrap()),
            "maximum" => value.as_u64().is_none_or(|n| n <= rule.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|l| l.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|l| l.len() as u64 <= rule.as_u64().unwrap()),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(item, rule, root)?;
                }
                true
            }
            "required" => value.as_object().is_none_or(|map| {
                list(rule).iter().all(|name| map.contains_key(name.as_str().unwrap()))
            }),
            "propertyNames" => value
                .as_object()
                .is_none_or(|map| map.keys().all(|name| fits(&json!(name), rule, root).is_ok())),
            "properties" | "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (name, one) in value.as_object().into_iter().flatten() {
                    match known.and_then(|known| known.get(name)) {
                        Some(schema) => fits(one, schema, root)?,
                        None => fits(one, keywords.get("additionalProperties").unwrap(), root)
                            .map_err(|_| format!("{name} is not known"))?,
                    }
                }
                true
            }
            _ => panic!("the schema uses {keyword}, unknown to this test"),
        };
        if !holds {
            return Err(format!("{value} does not fit {keyword}: {rule}"));
        }
    }
    Ok(())
}

fn accepted(text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    fits(&parsed(text), &schema, &schema)
}

#[test]
fn the_schema_accepts_the_complete_example() {
    assert_eq!(accepted(COMPLETE), Ok(()));
}

#[test]
fn the_schema_refuses_what_the_check_refuses_for_its_shape() {
    for text in [
        include_str!("../../../broken/01_unknown_fields.yaml"),
        include_str!("../../../broken/02_wrong_types.yaml"),
        include_str!("../../../broken/03_quantities.yaml"),
        include_str!("../../../broken/06_route_actions.yaml"),
        include_str!("../../../broken/08_matches.yaml"),
        include_str!("../../../broken/09_filters.yaml"),
        include_str!("../../../broken/11_later_sections.yaml"),
        include_str!("../../../broken/16_empty.yaml"),
        include_str!("../../../broken/17_list.yaml"),
    ] {
        assert!(accepted(text).is_err(), "{text}");
    }
}

#[test]
fn each_line_taken_from_the_example_is_judged_alike() {
    let lines: Vec<&str> = COMPLETE.lines().collect();
    for left_out in 0..lines.len() {
        let text: String = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != left_out)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        let env = |name: &str| Some(if name == "PORT" { "80" } else { "x" }.to_owned());
        if crate::load(&text, "test.yaml", &env, std::path::Path::new("/")).is_ok() {
            assert_eq!(accepted(&text), Ok(()), "without line {}", left_out + 1);
        }
    }
}

/// Every object that a document may hold, each once.
fn objects() -> Vec<&'static Object> {
    fn visit(kind: &'static Kind, out: &mut Vec<&'static Object>) {
        match kind {
            Kind::Record(object) => add(object, out),
            Kind::Tagged { of, .. } => of.iter().for_each(|object| add(object, out)),
            Kind::List { of, .. } | Kind::Map { of, .. } => visit(of, out),
            Kind::Either(kinds) => kinds.iter().for_each(|kind| visit(kind, out)),
            _ => {}
        }
    }
    fn add(object: &'static Object, out: &mut Vec<&'static Object>) {
        if !out.iter().any(|known| std::ptr::eq(*known, object)) {
            out.push(object);
            object.fields.iter().for_each(|field| visit(&field.kind, out));
        }
    }
    let mut out = Vec::new();
    add(&DOCUMENT, &mut out);
    out
}

#[test]
fn every_default_is_a_value_of_its_field() {
    for object in objects() {
        for field in object.fields {
            if let Presence::Default(text) = field.presence {
                let value = check::default(text, &field.kind, Place::default());
                let is_value = !matches!(value, Checked::Absent);
                assert!(is_value, "{} of {} defaults to {text}", field.name, object.title);
            }
        }
    }
}

#[test]
fn every_object_has_a_name_of_its_own_and_every_field_a_doc() {
    let objects = objects();
    for object in &objects {
        let name = identifier(object.title);
        let alike = objects.iter().filter(|other| identifier(other.title) == name).count();
        assert_eq!(alike, 1, "{name}");
        assert!(!object.doc.is_empty());
        for field in object.fields {
            assert!(field.doc.ends_with('.'), "{} of {}", field.name, object.title);
        }
        for name in object.exactly_one {
            assert!(object.fields.iter().any(|field| field.name == *name), "{name}");
        }
    }
}

#[test]
fn the_example_uses_every_field() {
    let text = COMPLETE;
    for object in objects() {
        for field in object.fields.iter().filter(|field| !matches!(field.kind, Kind::Later)) {
            assert!(text.contains(&format!("{}:", field.name)), "{}", field.name);
        }
    }
}
