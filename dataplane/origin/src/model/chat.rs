//! Chat completions.

use net::Net;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::speech::{Speech, done, put, stamp};
use super::{send, tokens};
use crate::connection::{Connection, Cut, Handled};

/// Answers a conversation: politely repeats the last thing the user said.
pub(super) async fn complete<N: Net>(cx: &mut Connection<N>, body: &Map<String, Value>) -> Handled {
    let speech = match read(body) {
        Ok(speech) => speech,
        Err(error) => return error.answer(cx).await,
    };
    let (id, created) = stamp(cx, "chatcmpl");
    let model = speech.model.as_str();
    if !speech.is_streamed {
        speech.think(cx).await?;
        if model == "cut" {
            return Err(Cut::Drop);
        }
        let text = speech.text();
        let choices: Vec<Value> = (0..speech.choices)
            .map(|index| {
                json!({
                    "index": index,
                    "message": { "role": "assistant", "content": text, "refusal": null },
                    "logprobs": null,
                    "finish_reason": speech.finish_reason,
                })
            })
            .collect();
        let answer = json!({
            "id": id, "object": "chat.completion", "created": created, "model": model,
            "choices": choices, "usage": speech.usage(), "system_fingerprint": "fp_ringgate",
        });
        return send(cx, &answer).await;
    }
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
            "system_fingerprint": "fp_ringgate", "choices": choices,
        });
        if speech.includes_usage
            && let Some(chunk) = chunk.as_object_mut()
        {
            chunk.insert("usage".to_owned(), usage);
        }
        chunk
    };
    let choice = |index: u64, delta: Value, finish_reason: Value| {
        json!([{
            "index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        }])
    };
    speech.start(cx);
    speech.think(cx).await?;
    for index in 0..speech.choices {
        let role = json!({ "role": "assistant", "content": "", "refusal": null });
        put(cx, &chunk(choice(index, role, Value::Null), Value::Null)).await?;
    }
    let word = |index, word: &str| {
        chunk(choice(index, json!({ "content": word }), Value::Null), Value::Null)
    };
    speech.stream(cx, word).await?;
    for index in 0..speech.choices {
        let last = choice(index, json!({}), json!(speech.finish_reason));
        put(cx, &chunk(last, Value::Null)).await?;
    }
    if speech.includes_usage {
        put(cx, &chunk(json!([]), speech.usage())).await?;
    }
    done(cx).await
}

fn read(body: &Map<String, Value>) -> Result<Speech, ApiError> {
    let messages = match body.get("messages") {
        None => return Err(ApiError::missing("messages")),
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(_) => {
            let why = "`messages` must be an array with at least one message";
            return Err(ApiError::invalid(why, Some("messages")));
        }
    };
    let mut prompt_tokens = 0;
    let mut last = String::new();
    for message in messages {
        let Some(role) = message.get("role").and_then(Value::as_str) else {
            return Err(ApiError::missing("messages[].role"));
        };
        let text = content(message.get("content"))?;
        // Three more for the message itself, as OpenAI counts them.
        prompt_tokens += tokens(&text) + 3;
        if role == "user" {
            last = text;
        }
    }
    let text = match last.trim() {
        "" => "Thank you for asking. You said nothing, so there is nothing to repeat.".to_owned(),
        said => format!("Thank you for asking. You said: {said}"),
    };
    Speech::new(body, &text, prompt_tokens, &["max_completion_tokens", "max_tokens"])
}

/// A message's text; parts that are no text count for nothing.
fn content(content: Option<&Value>) -> Result<String, ApiError> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            Ok(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect())
        }
        Some(_) => {
            let why = "`content` must be a string or an array of parts";
            Err(ApiError::invalid(why, Some("messages")))
        }
    }
}
