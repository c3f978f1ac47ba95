//! Answers with a length.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use net::Net;
use serde_json::{Value, json};

use crate::answer::{Answer, Length, http_date};
use crate::connection::{Connection, Handled, Request};
use crate::limits;
use crate::paths::PATHS;
use crate::query::Query;

/// The page about this origin.
pub(crate) async fn index<N: Net>(cx: &mut Connection<N>) -> Handled {
    let name = escaped(&cx.settings.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title>\
         </head>\n<body><h1>{name}</h1>\n<p>The built-in origin of Ringgate.</p>\n<dl>\n"
    );
    for (path, answers) in PATHS {
        page.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escaped(path), escaped(answers)));
    }
    page.push_str("</dl></body></html>\n");
    let answer = Answer::new(200).field("content-type", b"text/html; charset=utf-8");
    cx.answer(answer, page.as_bytes()).await
}

pub(crate) async fn hello<N: Net>(cx: &mut Connection<N>) -> Handled {
    let text = format!("Hello from {}.\n", cx.settings.name);
    line(cx, text.as_bytes()).await
}

/// A text as it is.
pub(crate) async fn line<N: Net>(cx: &mut Connection<N>, text: &[u8]) -> Handled {
    cx.answer(Answer::text(), text).await
}

pub(crate) async fn date<N: Net>(cx: &mut Connection<N>) -> Handled {
    let text = format!("{}\n", http_date(cx.net.unix_us()));
    line(cx, text.as_bytes()).await
}

/// An error as JSON.
pub(crate) async fn failure<N: Net>(cx: &mut Connection<N>, status: u16, why: &str) -> Handled {
    let body = format!("{}\n", json!({ "error": why, "status": status }));
    cx.answer(Answer::json(status), body.as_bytes()).await
}

pub(crate) async fn slow<N: Net>(cx: &mut Connection<N>, query: Query<'_>) -> Handled {
    let ms = query.number("ms", 1000, limits::DELAY_MS_MAX);
    cx.pause(Duration::from_millis(ms)).await?;
    line(cx, format!("waited {ms} ms\n").as_bytes()).await
}

/// Many or large fields.
pub(crate) async fn headers<N: Net>(cx: &mut Connection<N>, query: Query<'_>) -> Handled {
    let count = query.number("count", 10, limits::FIELDS_MAX);
    let bytes = query.number("bytes", 32, limits::FIELD_BYTES_MAX);
    if count.saturating_mul(bytes) > limits::ANSWER_HEAD_BYTES_MAX {
        return failure(cx, 400, "count times bytes is more than 1 MiB").await;
    }
    let value = vec![b'v'; bytes as usize];
    let mut answer = Answer::text();
    for index in 0..count {
        answer = answer.field(&format!("x-field-{index}"), &value);
    }
    cx.answer(answer, format!("{count} fields of {bytes} bytes\n").as_bytes()).await
}

pub(crate) async fn redirect<N: Net>(cx: &mut Connection<N>, query: Query<'_>) -> Handled {
    let to = query.decoded("to").unwrap_or_else(|| b"/".to_vec());
    if to.is_empty() || !to.iter().all(u8::is_ascii_graphic) {
        return failure(cx, 400, "`to` is no place to go to").await;
    }
    let answer = Answer::new(302).field("location", &to).field("content-type", b"text/plain");
    cx.answer(answer, b"elsewhere\n").await
}

/// 103 (Early Hints, RFC 8297), then the answer.
pub(crate) async fn hints<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.interim(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n");
    // The pause makes the two heads arrive apart.
    cx.pause(Duration::from_millis(20)).await?;
    let answer = Answer::text().field("link", b"</style.css>; rel=preload; as=style");
    cx.answer(answer, b"hinted\n").await
}

/// Generated as the client takes it, never held.
pub(crate) async fn bytes<N: Net>(cx: &mut Connection<N>, bytes: u64) -> Handled {
    if bytes > limits::GENERATED_BYTES_MAX {
        return failure(cx, 400, "more than 1 GiB").await;
    }
    cx.start(&Answer::bytes(), Length::Fixed(bytes));
    cx.pattern(0, bytes).await
}

/// Any final status. 204 and 304 have no body, 205 an empty one (RFC 9110 §15.3.6).
pub(crate) async fn status<N: Net>(cx: &mut Connection<N>, status: u64) -> Handled {
    let Some(status) = u16::try_from(status).ok().filter(|status| (200..=599).contains(status))
    else {
        return failure(cx, 400, "a status from 200 to 599 is expected").await;
    };
    let mut answer = Answer::new(status);
    match status {
        204 | 304 => {
            cx.start(&answer, Length::Nothing);
            return Ok(());
        }
        205 => return cx.answer(answer, b"").await,
        300..=399 => answer = answer.field("location", b"/hello"),
        401 => answer = answer.field("www-authenticate", b"Basic realm=\"origin\""),
        407 => answer = answer.field("proxy-authenticate", b"Basic realm=\"origin\""),
        429 | 503 => answer = answer.field("retry-after", b"1"),
        _ => {}
    }
    let text = format!("{status} {}\n", wire::status::phrase(status));
    cx.answer(answer.field("content-type", b"text/plain; charset=utf-8"), text.as_bytes()).await
}

/// The request as JSON.
pub(crate) async fn echo<N: Net>(cx: &mut Connection<N>, request: &Request) -> Handled {
    let Some(body) = cx.whole_body().await? else {
        return failure(cx, 413, "the body is larger than 8 MiB").await;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = request.head.fields.iter();
    let headers: Vec<Value> = fields
        .map(|field| {
            json!([text(field.name.of(&request.bytes)), text(field.value.of(&request.bytes))])
        })
        .collect();
    let bytes = body.len();
    let (body, is_base64) = match String::from_utf8(body) {
        Ok(body) => (body, false),
        Err(error) => (STANDARD.encode(error.as_bytes()), true),
    };
    let echoed = json!({
        "method": text(request.head.method_text.of(&request.bytes)),
        "target": text(request.head.target.of(&request.bytes)),
        "headers": headers,
        "body": body,
        "base64": is_base64,
        "bytes": bytes,
    });
    cx.answer(Answer::json(200), format!("{echoed}\n").as_bytes()).await
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
