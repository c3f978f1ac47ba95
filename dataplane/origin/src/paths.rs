//! Which path is answered by what.

use net::Net;

use crate::connection::{Connection, Handled, Request};
use crate::{broken, model, plain, stream, websocket};

/// One line per path: the path and what it answers, for help texts.
pub const PATHS: &[(&str, &str)] = &[
    ("/", "a short page about this origin"),
    ("/hello", "a line of text"),
    ("/bytes/N", "N bytes of a repeating pattern, up to 1 GiB"),
    (
        "/chunked/N?size=K",
        "N chunks of K bytes; ?trailers=1 or TE: trailers adds X-Checksum (SHA-1)",
    ),
    ("/sse?events=N&interval=MS", "N server-sent events; 0: without end"),
    ("/echo", "the request as JSON"),
    ("/echo/body", "the request's body as it arrives"),
    ("/status/NNN", "that status, 200 to 599"),
    ("/slow?ms=MS", "waits before the head"),
    ("/slow/body?ms=MS&bytes=N", "the head at once, then pauses between pieces"),
    ("/drip?bytes=N&ms=MS", "one byte at a time"),
    ("/ws", "a WebSocket that echoes"),
    ("/close", "a body that ends with the connection"),
    ("/early", "answers before reading the request's body, and closes"),
    ("/hints", "103 Early Hints, then 200"),
    ("/headers?count=N&bytes=K", "N fields of K bytes"),
    ("/redirect?to=URL", "302 to that place"),
    ("/date", "the time"),
    ("/health", "ok"),
    ("/reset", "drops the connection without an answer"),
    ("/reset/body", "drops it in the middle of a body with a length"),
    ("/reset/chunked", "drops it in the middle of a chunked body"),
    ("/garbage", "bytes that are no HTTP"),
    ("/garbage/both", "a length and chunks at once"),
    ("/garbage/head", "a head of more than 128 KiB"),
    ("/v1/models", "the models, OpenAI-shaped"),
    ("/v1/chat/completions", "POST: a deterministic answer, streamed on demand"),
    ("/v1/completions", "POST: the same for a prompt"),
    ("/v1/embeddings", "POST: deterministic unit vectors"),
];

/// Answers one request.
pub(crate) async fn handle<N: Net>(cx: &mut Connection<N>, request: &Request) -> Handled {
    let path = request.path();
    // These read the body themselves, or leave it unread on purpose.
    match path {
        b"/echo" => return plain::echo(cx, request).await,
        b"/echo/body" => return stream::echo_body(cx).await,
        b"/early" => return broken::early(cx).await,
        b"/ws" => return websocket::echo(cx, request).await,
        _ if path.starts_with(b"/v1/") => return model::handle(cx, request).await,
        _ => {}
    }
    cx.discard_body().await?;
    let query = request.query();
    match path {
        b"/" => plain::index(cx).await,
        b"/hello" => plain::hello(cx).await,
        b"/health" => plain::line(cx, b"ok\n").await,
        b"/date" => plain::date(cx).await,
        b"/slow" => plain::slow(cx, query).await,
        b"/headers" => plain::headers(cx, query).await,
        b"/redirect" => plain::redirect(cx, query).await,
        b"/hints" => plain::hints(cx).await,
        b"/sse" => stream::events(cx, query).await,
        b"/slow/body" => stream::slow_body(cx, query).await,
        b"/drip" => stream::drip(cx, query).await,
        b"/close" => stream::until_close(cx).await,
        b"/reset" => broken::reset(cx).await,
        b"/reset/body" => broken::reset_body(cx).await,
        b"/reset/chunked" => broken::reset_chunked(cx).await,
        b"/garbage" => broken::garbage(cx).await,
        b"/garbage/both" => broken::both_lengths(cx).await,
        b"/garbage/head" => broken::large_head(cx).await,
        _ => with_number(cx, request).await,
    }
}

/// Paths that end in a number.
async fn with_number<N: Net>(cx: &mut Connection<N>, request: &Request) -> Handled {
    let path = request.path();
    let number = |prefix: &[u8]| path.strip_prefix(prefix).and_then(crate::query::number);
    if let Some(bytes) = number(b"/bytes/") {
        plain::bytes(cx, bytes).await
    } else if let Some(count) = number(b"/chunked/") {
        stream::chunked(cx, request, count).await
    } else if let Some(status) = number(b"/status/") {
        plain::status(cx, status).await
    } else {
        plain::failure(cx, 404, "no such path").await
    }
}
