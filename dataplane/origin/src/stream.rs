//! Answers that arrive piece by piece.

use std::fmt::Write;
use std::time::Duration;

use net::Net;
use sha1::{Digest, Sha1};

use crate::answer::{Answer, Length};
use crate::connection::{Connection, Handled, Request, pattern_piece};
use crate::limits;
use crate::plain::failure;
use crate::query::Query;

/// `count` chunks of the pattern, with a checksum as trailer where it is wanted.
pub(crate) async fn chunked<N: Net>(
    cx: &mut Connection<N>,
    request: &Request,
    count: u64,
) -> Handled {
    let query = request.query();
    let size = query.number("size", 1024, limits::CHUNK_BYTES_MAX);
    let bytes = count.saturating_mul(size);
    if bytes > limits::GENERATED_BYTES_MAX || count > limits::GENERATED_BYTES_MAX {
        return failure(cx, 400, "more than 1 GiB").await;
    }
    let te = request.field("te").unwrap_or_default();
    let accepts = te
        .split(|&byte| byte == b',')
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    let has_trailers = accepts || query.find("trailers") == Some(b"1");
    let mut answer = Answer::bytes();
    if has_trailers {
        answer = answer.field("trailer", b"X-Checksum");
    }
    cx.start(&answer, Length::Stream);
    if !cx.has_body() {
        return Ok(());
    }
    let mut sum = Sha1::new();
    // Chunks of no bytes are none: an empty chunk would end the body.
    let count = if size == 0 { 0 } else { count };
    for index in 0..count {
        let from = index * size;
        let mut summed = if has_trailers { 0 } else { size };
        while summed < size {
            let piece = pattern_piece(from + summed, size - summed);
            sum.update(piece);
            summed += piece.len() as u64;
        }
        cx.pattern(from, size).await?;
    }
    let mut trailers = String::new();
    if has_trailers {
        trailers.push_str("X-Checksum: ");
        for byte in sum.finalize() {
            let _ = write!(trailers, "{byte:02x}");
        }
        trailers.push_str("\r\n");
    }
    cx.end(trailers.as_bytes());
    Ok(())
}

/// Server-sent events with id, type and data.
pub(crate) async fn events<N: Net>(cx: &mut Connection<N>, query: Query<'_>) -> Handled {
    let count = query.number("events", 0, limits::EVENTS_MAX);
    let interval_ms = query.number("interval", 100, limits::DELAY_MS_MAX);
    let answer = Answer::new(200)
        .field("content-type", b"text/event-stream")
        .field("cache-control", b"no-cache");
    cx.start(&answer, Length::Stream);
    if !cx.has_body() {
        return Ok(());
    }
    let count = if count == 0 { limits::EVENTS_MAX } else { count };
    let mut event = Vec::new();
    for index in 1..=count {
        if index > 1 {
            cx.pause(Duration::from_millis(interval_ms)).await?;
        }
        event.clear();
        event.extend_from_slice(format!("id: {index}\n").as_bytes());
        wire::sse::put_event(&mut event, b"tick", format!("event {index}").as_bytes());
        cx.data(&event).await?;
    }
    cx.end(b"");
    Ok(())
}

/// The head at once, then the body in sixteen pieces with pauses before each.
pub(crate) async fn slow_body<N: Net>(cx: &mut Connection<N>, query: Query<'_>) -> Handled {
    const PIECES: u64 = 16;
    let bytes = query.number("bytes", 1024, limits::GENERATED_BYTES_MAX);
    let pause = Duration::from_millis(query.number("ms", 100, limits::DELAY_MS_MAX));
    in_pieces(cx, bytes, bytes.div_ceil(PIECES).max(1), pause).await
}

/// One byte at a time.
pub(crate) async fn drip<N: Net>(cx: &mut Connection<N>, query: Query<'_>) -> Handled {
    let bytes = query.number("bytes", 16, limits::DRIP_BYTES_MAX);
    let pause = Duration::from_millis(query.number("ms", 100, limits::DELAY_MS_MAX));
    in_pieces(cx, bytes, 1, pause).await
}

async fn in_pieces<N: Net>(
    cx: &mut Connection<N>,
    bytes: u64,
    piece_bytes: u64,
    pause: Duration,
) -> Handled {
    cx.start(&Answer::bytes(), Length::Fixed(bytes));
    let mut sent = 0;
    while cx.has_body() && sent < bytes {
        cx.pause(pause).await?;
        let piece = piece_bytes.min(bytes - sent);
        cx.pattern(sent, piece).await?;
        sent += piece;
    }
    Ok(())
}

/// A body that ends with the connection, as HTTP/1.0 had it.
pub(crate) async fn until_close<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.start(&Answer::text(), Length::UntilClose);
    cx.data(b"this body ends with the connection\n").await
}

/// The request's body as it arrives, framed as it came.
pub(crate) async fn echo_body<N: Net>(cx: &mut Connection<N>) -> Handled {
    let length = cx.body_left().map_or(Length::Stream, Length::Fixed);
    // 100 (Continue) must go before the answer's head, so the first piece is read before it.
    let mut piece = cx.next_piece().await?;
    cx.start_while_reading(&Answer::bytes(), length);
    while let Some(data) = piece {
        cx.data_shared(data).await?;
        piece = cx.next_piece().await?;
    }
    cx.end(b"");
    Ok(())
}
