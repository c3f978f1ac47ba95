//! Completions of a prompt, the older interface.

use net::Net;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::speech::{Speech, done, put, stamp};
use super::{send, tokens};
use crate::connection::{Connection, Cut, Handled};

/// Completes a prompt by repeating it.
pub(super) async fn complete<N: Net>(cx: &mut Connection<N>, body: &Map<String, Value>) -> Handled {
    let speech = match read(body) {
        Ok(speech) => speech,
        Err(error) => return error.answer(cx).await,
    };
    let (id, created) = stamp(cx, "cmpl");
    let model = speech.model.as_str();
    let completion = |choices: Value, usage: Option<Value>| {
        let mut completion = json!({
            "id": id, "object": "text_completion", "created": created, "model": model,
            "choices": choices,
        });
        if let (Some(usage), Some(completion)) = (usage, completion.as_object_mut()) {
            completion.insert("usage".to_owned(), usage);
        }
        completion
    };
    let choice = |index: u64, text: &str, finish_reason: Value| json!({ "index": index, "text": text, "logprobs": null, "finish_reason": finish_reason });
    if !speech.is_streamed {
        speech.think(cx).await?;
        if model == "cut" {
            return Err(Cut::Drop);
        }
        let text = speech.text();
        let choices: Vec<Value> = (0..speech.choices)
            .map(|index| choice(index, &text, json!(speech.finish_reason)))
            .collect();
        return send(cx, &completion(Value::Array(choices), Some(speech.usage()))).await;
    }
    let pending = speech.includes_usage.then_some(Value::Null);
    speech.start(cx);
    speech.think(cx).await?;
    let word =
        |index, word: &str| completion(json!([choice(index, word, Value::Null)]), pending.clone());
    speech.stream(cx, word).await?;
    for index in 0..speech.choices {
        let last = choice(index, "", json!(speech.finish_reason));
        put(cx, &completion(json!([last]), pending.clone())).await?;
    }
    if speech.includes_usage {
        put(cx, &completion(json!([]), Some(speech.usage()))).await?;
    }
    done(cx).await
}

fn read(body: &Map<String, Value>) -> Result<Speech, ApiError> {
    let prompt = match body.get("prompt") {
        None => return Err(ApiError::missing("prompt")),
        Some(Value::String(prompt)) => prompt.as_str(),
        Some(Value::Array(prompts)) => match prompts.as_slice() {
            [Value::String(prompt)] => prompt.as_str(),
            _ => return Err(ApiError::invalid("one prompt is served at a time", Some("prompt"))),
        },
        Some(_) => return Err(ApiError::invalid("`prompt` must be a string", Some("prompt"))),
    };
    let text = format!("And so on: {}", prompt.trim());
    Speech::new(body, &text, tokens(prompt), &["max_tokens"])
}
