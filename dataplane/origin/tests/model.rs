//! The model server's answers in OpenAI's shapes, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use support::{Received, ask, get, post};

const CHAT: &str = "/v1/chat/completions";

fn said(text: &str, more: Value) -> Value {
    let mut body = json!({
        "model": "echo",
        "messages": [{ "role": "system", "content": "be kind" }, { "role": "user", "content": text }],
    });
    let object = body.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    body
}

/// The chunks of a stream, which must end with `[DONE]`.
fn chunks(answer: &Received) -> Vec<Value> {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = answer.text().strip_suffix("data: [DONE]\n\n").expect("a stream that ends");
    let events = events.split_terminator("\n\n");
    events
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

#[test]
fn models_are_listed_and_found() {
    let list = get("/v1/models").json();
    assert_eq!(list["object"], "list");
    assert!(list["data"].as_array().unwrap().iter().any(|model| model["id"] == "echo"));
    assert_eq!(get("/v1/models/echo").json()["object"], "model");
    let missing = get("/v1/models/none");
    assert_eq!(
        (missing.status, &missing.json()["error"]["code"]),
        (404, &"model_not_found".into())
    );
}

#[test]
fn a_chat_repeats_what_the_user_said() {
    let answer = post(CHAT, &said("good day", json!({}))).json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "echo");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "Thank you for asking. You said: good day");
    assert_eq!(choice["finish_reason"], "stop");
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18 });
    assert_eq!(answer["usage"], usage);
}

#[test]
fn tokens_stops_and_choices_are_honoured() {
    let answer = post(CHAT, &said("a b c", json!({ "max_tokens": 2, "n": 3 }))).json();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    for (index, choice) in answer["choices"].as_array().unwrap().iter().enumerate() {
        assert_eq!(choice["index"], index);
        assert_eq!(choice["message"]["content"], "Thank you ");
        assert_eq!(choice["finish_reason"], "length");
    }
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    let answer = post(CHAT, &said("a b c", json!({ "stop": ["b", "asking"] }))).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Thank you for ");
    let parts = json!([{ "type": "text", "text": "in parts" }, { "type": "image_url" }]);
    let body = json!({ "model": "any", "messages": [{ "role": "user", "content": parts }] });
    let answer = post(CHAT, &body).json();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "Thank you for asking. You said: in parts"
    );
}

#[test]
fn a_stream_has_role_words_reason_and_usage_in_order() {
    let more = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let chunks = chunks(&post(CHAT, &said("good day", more)));
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    let first = &chunks[0]["choices"][0];
    assert_eq!(
        (&first["delta"]["role"], &first["finish_reason"]),
        (&"assistant".into(), &Value::Null)
    );
    let deltas = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(deltas.collect::<String>(), "Thank you for asking. You said: good day");
    // A role, eight words, a reason, the usage.
    assert_eq!(chunks.len(), 11);
    assert_eq!(chunks[9]["choices"][0]["finish_reason"], "stop");
    assert_eq!((&chunks[9]["usage"], &chunks[10]["choices"]), (&Value::Null, &json!([])));
    assert_eq!(chunks[10]["usage"]["total_tokens"], 18);
}

#[test]
fn a_stream_without_options_has_no_usage_and_all_choices() {
    let chunks =
        chunks(&post(CHAT, &said("x", json!({ "stream": true, "n": 2, "max_tokens": 1 }))));
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    let indexes: Vec<u64> =
        chunks.iter().map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1, 0, 1, 0, 1]);
    assert_eq!(chunks[5]["choices"][0]["finish_reason"], "length");
}

#[test]
fn prompts_are_completed() {
    let body = json!({ "model": "echo", "prompt": "once upon", "max_tokens": 4 });
    let answer = post("/v1/completions", &body).json();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][0]["text"], "And so on: once ");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let body = json!({ "model": "echo", "prompt": ["once upon"], "stream": true });
    let chunks = chunks(&post("/v1/completions", &body));
    let text: String =
        chunks.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(text, "And so on: once upon");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn embeddings_come_as_numbers_or_base64() {
    let body = json!({ "model": "echo", "input": ["one", "two"], "dimensions": 4 });
    let answer = post("/v1/embeddings", &body).json();
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
    let vector = answer["data"][1]["embedding"].as_array().unwrap();
    assert_eq!((vector.len(), &answer["data"][1]["index"]), (4, &1.into()));
    let body =
        json!({ "model": "echo", "input": "two", "dimensions": 4, "encoding_format": "base64" });
    let answer = post("/v1/embeddings", &body).json();
    // Sixteen bytes.
    assert_eq!(answer["data"][0]["embedding"].as_str().unwrap().len(), 24);
    let body = json!({ "model": "echo", "input": [1, 2, 3] });
    let answer = post("/v1/embeddings", &body).json();
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    for input in [json!(null), json!([]), json!(""), json!([{}]), json!([[]]), json!(5)] {
        assert_eq!(post("/v1/embeddings", &json!({ "model": "e", "input": input })).status, 400);
    }
}

#[test]
fn refusals_are_in_openais_dialect() {
    let messages = json!([{ "role": "user", "content": "x" }]);
    let of = |model: &str| json!({ "model": model, "messages": messages });
    for (body, status, code) in [
        (json!({}), 400, json!("missing_required_parameter")),
        (json!([]), 400, Value::Null),
        (json!({ "model": 1 }), 400, Value::Null),
        (json!({ "model": "echo" }), 400, json!("missing_required_parameter")),
        (json!({ "model": "echo", "messages": [] }), 400, Value::Null),
        (json!({ "model": "echo", "messages": [1] }), 400, json!("missing_required_parameter")),
        (said("x", json!({ "n": 0 })), 400, Value::Null),
        (said("x", json!({ "max_tokens": -1 })), 400, Value::Null),
        (said("x", json!({ "stream": "yes" })), 400, Value::Null),
        (said(&"x".repeat(1 << 20), json!({ "n": 128 })), 400, Value::Null),
        (of("missing-model"), 404, json!("model_not_found")),
        (of("error-429"), 429, json!("rate_limit_exceeded")),
        (of("error-500"), 500, Value::Null),
    ] {
        let answer = post(CHAT, &body);
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["code"]), (status, &code));
        assert!(error["message"].is_string() && error["type"].is_string());
        assert!(error.as_object().unwrap().contains_key("param"));
    }
    let malformed = ask(&format!("POST {CHAT}"), "", "{\"model\":");
    assert_eq!(
        (malformed.status, &malformed.json()["error"]["type"]),
        (400, &"invalid_request_error".into())
    );
    let deep = ask(&format!("POST {CHAT}"), "", "[".repeat(100_000));
    assert_eq!(deep.status, 400);
    assert_eq!(get(CHAT).status, 405);
    assert_eq!(get("/v1/nothing").json()["error"]["code"], "unknown_url");
}

#[test]
fn a_cut_stream_never_ends() {
    let answer = post(CHAT, &said("x", json!({ "model": "cut", "stream": true })));
    assert!(!answer.is_whole);
    assert!(answer.text().contains("Thank ") && !answer.text().contains("[DONE]"));
}
