//! The OpenAI-shaped model server: deterministic answers in the shapes that clients know.
//!
//! The model's name chooses the behaviour: `slow` waits before its first token, `cut` breaks off
//! in the middle of a stream, `error-NNN` fails with that status, `missing-model` does not exist.
//! Every other name answers.

mod chat;
mod completions;
mod embeddings;
mod error;
mod speech;

use net::Net;
use serde_json::{Map, Value, json};
use wire::Method;

use self::error::ApiError;
use crate::answer::Answer;
use crate::connection::{Connection, Cut, Handled, Request};
use crate::limits;

/// The models that are listed.
const MODELS: &[&str] = &["echo", "slow", "cut", "error-429", "error-500"];

/// Answers a request below `/v1/`.
pub(crate) async fn handle<N: Net>(cx: &mut Connection<N>, request: &Request) -> Handled {
    let path = request.path();
    let asks = matches!(request.head.method, Method::Get | Method::Head);
    let posts = request.head.method == Method::Post;
    match path {
        b"/v1/chat/completions" if posts => match question(cx).await? {
            Ok(body) => chat::complete(cx, &body).await,
            Err(error) => error.answer(cx).await,
        },
        b"/v1/completions" if posts => match question(cx).await? {
            Ok(body) => completions::complete(cx, &body).await,
            Err(error) => error.answer(cx).await,
        },
        b"/v1/embeddings" if posts => match question(cx).await? {
            Ok(body) => embeddings::embed(cx, &body).await,
            Err(error) => error.answer(cx).await,
        },
        b"/v1/chat/completions" | b"/v1/completions" | b"/v1/embeddings" => {
            cx.discard_body().await?;
            ApiError::method().answer(cx).await
        }
        _ => {
            cx.discard_body().await?;
            match path.strip_prefix(b"/v1/models") {
                Some(b"") if asks => {
                    let data: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
                    send(cx, &json!({ "object": "list", "data": data })).await
                }
                Some([b'/', id @ ..]) if asks => {
                    let id = String::from_utf8_lossy(id);
                    match MODELS.iter().find(|model| **model == id) {
                        Some(id) => send(cx, &model(id)).await,
                        None => ApiError::no_model(&id).answer(cx).await,
                    }
                }
                _ => ApiError::no_path().answer(cx).await,
            }
        }
    }
}

fn model(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 1_700_000_000, "owned_by": "ringgate" })
}

/// The request's JSON object; the refusal if it is none, or if its model's name asks for one.
async fn question<N: Net>(
    cx: &mut Connection<N>,
) -> Result<Result<Map<String, Value>, ApiError>, Cut> {
    let Some(body) = cx.whole_body().await? else { return Ok(Err(ApiError::too_large())) };
    Ok(parse(&body))
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let body = serde_json::from_slice(body).map_err(|error| ApiError::not_json(&error))?;
    let Value::Object(body) = body else {
        return Err(ApiError::invalid("the body must be a JSON object", None));
    };
    let model = name(&body)?;
    if model == "missing-model" {
        return Err(ApiError::no_model(model));
    }
    match model.strip_prefix("error-").and_then(|status| status.parse().ok()) {
        Some(status @ 400..=599) => Err(ApiError::of_status(status)),
        _ => Ok(body),
    }
}

/// The model's name.
fn name(body: &Map<String, Value>) -> Result<&str, ApiError> {
    match body.get("model") {
        None => Err(ApiError::missing("model")),
        Some(Value::String(model)) if !model.is_empty() => Ok(model),
        Some(_) => Err(ApiError::invalid("`model` must be a string", Some("model"))),
    }
}

/// A whole number from 1 to `max`; `None` if the field is missing or null.
fn count(
    body: &Map<String, Value>,
    field: &'static str,
    max: u64,
) -> Result<Option<u64>, ApiError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(count) if (1..=max).contains(&count) => Ok(Some(count)),
            _ => {
                let why = format!("`{field}` must be a whole number from 1 to {max}");
                Err(ApiError::invalid(&why, Some(field)))
            }
        },
    }
}

/// A yes or no; `false` if the field is missing or null.
fn flag(body: &Map<String, Value>, field: &'static str) -> Result<bool, ApiError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(ApiError::invalid(&format!("`{field}` must be true or false"), Some(field))),
    }
}

/// Tokens of a text, as this model counts: words.
fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

async fn send<N: Net>(cx: &mut Connection<N>, body: &Value) -> Handled {
    let id = format!("req_{:016x}", cx.net.random());
    let answer = Answer::json(200).field("x-request-id", id.as_bytes());
    cx.answer(answer, body.to_string().as_bytes()).await
}

/// Largest number that a token count may be.
const TOKENS_MAX: u64 = limits::COMPLETION_BYTES_MAX as u64;
