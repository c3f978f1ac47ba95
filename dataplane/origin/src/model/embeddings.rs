//! Embeddings: unit vectors that depend on the input and on nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use net::Net;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::{count, name, send, tokens};
use crate::connection::{Connection, Handled};
use crate::limits;

/// Numbers of a vector if the request names no other count.
const DIMENSIONS: u64 = 256;

/// Answers with one vector for each input.
pub(super) async fn embed<N: Net>(cx: &mut Connection<N>, body: &Map<String, Value>) -> Handled {
    match read(body) {
        Ok(answer) => send(cx, &answer).await,
        Err(error) => error.answer(cx).await,
    }
}

fn read(body: &Map<String, Value>) -> Result<Value, ApiError> {
    let dimensions = count(body, "dimensions", limits::DIMENSIONS_MAX)?.unwrap_or(DIMENSIONS);
    let is_base64 = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            let why = "`encoding_format` must be float or base64";
            return Err(ApiError::invalid(why, Some("encoding_format")));
        }
    };
    let inputs = inputs(body.get("input"))?;
    if (inputs.len() as u64).saturating_mul(dimensions) > limits::EMBEDDING_NUMBERS_MAX {
        let why = "the vectors of all inputs together are too large";
        return Err(ApiError::invalid(why, Some("input")));
    }
    let mut prompt_tokens = 0;
    let mut data = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        let text = match input {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        prompt_tokens += match input {
            Value::Array(tokens) => tokens.len() as u64,
            _ => tokens(&text),
        };
        let vector = vector(text.as_bytes(), dimensions as usize);
        let embedding = match is_base64 {
            true => {
                let bytes: Vec<u8> =
                    vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            }
            false => json!(vector),
        };
        data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
    }
    Ok(json!({
        "object": "list",
        "data": data,
        "model": name(body)?,
        "usage": { "prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens },
    }))
}

/// The inputs: a text, some texts, the tokens of one, or those of some.
fn inputs(input: Option<&Value>) -> Result<Vec<&Value>, ApiError> {
    let invalid = |why: &str| Err(ApiError::invalid(why, Some("input")));
    let is_tokens = |value: &Value| value.is_u64();
    let inputs = match input {
        None => return Err(ApiError::missing("input")),
        Some(text @ Value::String(_)) => vec![text],
        Some(all @ Value::Array(tokens)) if !tokens.is_empty() && tokens.iter().all(is_tokens) => {
            vec![all]
        }
        Some(Value::Array(inputs)) => inputs.iter().collect(),
        Some(_) => return invalid("`input` must be a string or an array"),
    };
    let is_input = |input: &&Value| match input {
        Value::String(text) => !text.is_empty(),
        Value::Array(tokens) => !tokens.is_empty() && tokens.iter().all(is_tokens),
        _ => false,
    };
    if inputs.is_empty() || !inputs.iter().all(is_input) {
        return invalid("every input must be a text or an array of tokens, and none empty");
    }
    if inputs.len() > limits::EMBEDDING_INPUTS_MAX {
        return invalid("there are too many inputs");
    }
    Ok(inputs)
}

/// A unit vector drawn from the text's hash (FNV-1a, then SplitMix64).
fn vector(text: &[u8], dimensions: usize) -> Vec<f32> {
    let mut state = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let drawn: Vec<f32> = (0..dimensions)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = state;
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            // The upper 23 bits and a half are exact in an f32: a number from -1 to 1, never 0.
            let upper = ((bits ^ bits >> 31) >> 41) as f32;
            (upper + 0.5) / (1 << 22) as f32 - 1.0
        })
        .collect();
    let length = drawn.iter().map(|number| number * number).sum::<f32>().sqrt();
    drawn.iter().map(|number| number / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_of_length_one_and_depend_on_the_text() {
        for dimensions in [1, 2, 256, 3072] {
            let one = vector(b"one", dimensions);
            assert_eq!(one.len(), dimensions);
            assert!((one.iter().map(|n| n * n).sum::<f32>() - 1.0).abs() < 1e-4);
            assert_eq!(one, vector(b"one", dimensions));
        }
        assert_ne!(vector(b"one", 8), vector(b"two", 8));
    }
}
