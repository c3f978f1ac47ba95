//! A WebSocket that echoes.

use net::{Chunk, Net, NetError, StreamExt};
use wire::websocket::{Message, MessageReader, Opcode, Sender, accept_key, put_close, put_frame};

use crate::answer::Answer;
use crate::connection::{Connection, Cut, Handled, Request};
use crate::{limits, plain};

/// Opens a WebSocket and sends each message back; pings get their pong, a close its close.
pub(crate) async fn echo<N: Net>(cx: &mut Connection<N>, request: &Request) -> Handled {
    cx.discard_body().await?;
    let upgrade = request.head.upgrade.map_or(&b""[..], |upgrade| upgrade.of(&request.bytes));
    let mut offered = upgrade.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let is_offered = offered.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    let is_version = request.field("sec-websocket-version") == Some(b"13");
    if request.head.method != wire::Method::Get || !is_offered || !is_version {
        let answer =
            Answer::json(426).field("upgrade", b"websocket").field("sec-websocket-version", b"13");
        return cx.answer(answer, b"{\"error\":\"a WebSocket handshake is expected\"}\n").await;
    }
    let Some(accept) = request.field("sec-websocket-key").and_then(accept_key) else {
        return plain::failure(cx, 400, "Sec-WebSocket-Key is missing or invalid").await;
    };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\nx-origin: {}\r\n\r\n",
        cx.settings.name
    );
    cx.raw(head.as_bytes()).await?;
    converse(cx).await
}

async fn converse<N: Net>(cx: &mut Connection<N>) -> Handled {
    let mut reader = MessageReader::new(Sender::Client, limits::MESSAGE_BYTES_MAX);
    let mut out = Vec::new();
    loop {
        if cx.pending.is_empty() {
            cx.set_deadline(limits::WEBSOCKET_IDLE);
            cx.pending = match cx.stream.recv().await {
                Ok(chunk) if chunk.is_empty() => return Ok(()),
                Ok(chunk) => chunk,
                Err(NetError::TimedOut) => {
                    put_close(&mut out, 1001, "idle for too long");
                    return cx.raw(&out).await;
                }
                Err(_) => return Err(Cut::Net),
            };
        }
        let fed = reader.feed(&cx.pending);
        let is_over = match fed {
            Ok((consumed, message)) => {
                cx.pending.advance(consumed);
                message.is_some_and(|message| answer(message, &mut out))
            }
            Err(error) => {
                put_close(&mut out, error.close_code(), &error.to_string());
                true
            }
        };
        cx.raw(&out).await?;
        out.clear();
        if is_over {
            cx.pending = Chunk::EMPTY;
            return Ok(());
        }
    }
}

/// Appends what a message is answered with; true if the conversation is over.
fn answer(message: Message, out: &mut Vec<u8>) -> bool {
    match message {
        Message::Text(text) => put_frame(out, true, Opcode::Text, None, text.as_bytes()),
        Message::Binary(bytes) => put_frame(out, true, Opcode::Binary, None, &bytes),
        Message::Ping(payload) => put_frame(out, true, Opcode::Pong, None, &payload),
        Message::Pong(_) => {}
        Message::Close(reason) => {
            match reason {
                Some((code, reason)) => put_close(out, code, &reason),
                None => put_frame(out, true, Opcode::Close, None, b""),
            }
            return true;
        }
    }
    false
}
