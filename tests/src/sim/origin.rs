//! Origins that do what the request's script says.

use std::rc::Rc;
use std::time::Duration;

use net::sim::{SimListener, SimNet, SimStream};
use net::{BoundSocket, Net, NetError, Stream, StreamExt};

use super::ledger::Ledger;
use super::run::Plant;
use super::script::{Act, Ask, chunked, content};
use super::wire::{Ending, Framing, Reader};

/// What one origin is told.
#[derive(Clone)]
pub struct Origin {
    /// Its host.
    pub net: SimNet,
    /// The books.
    pub ledger: Rc<Ledger>,
    /// The defect it has on purpose.
    pub plant: Plant,
}

/// Longer than any timeout of the gateway.
const FOR_LONG: Duration = Duration::from_secs(40);

/// Serves an address until the run ends.
pub async fn serve(origin: Origin, socket: BoundSocket) {
    let net = origin.net.clone();
    let Ok(listener) = net.listen(socket) else { return };
    accept(&net, &listener, |stream| {
        net.spawn(connection(origin.clone(), stream));
    })
    .await;
}

async fn accept(net: &SimNet, listener: &SimListener, mut each: impl FnMut(SimStream)) {
    while let Ok((incoming, _)) = net.accept(listener).await {
        // A full table closes the connection.
        if let Ok(stream) = net.open(incoming) {
            each(stream);
        }
    }
}

async fn connection(origin: Origin, stream: SimStream) {
    let mut reader = Reader::new(&origin.net, stream);
    loop {
        let head = match reader.head().await {
            Ok(head) => head,
            Err((_, Ending::Malformed(what))) => {
                origin.ledger.violation(format!("an origin got a malformed head: {what}"));
                return;
            }
            Err(_) => return,
        };
        let mut words = head.start.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let Some(ask) = Ask::parse(method, target) else {
            origin.ledger.violation(format!("an origin got a request never sent: {head:?}"));
            return;
        };
        origin.ledger.serve(ask.id);
        if ask.act == Act::Early {
            answer(&origin, &reader.stream, ask, false).await;
        }
        let (body, ending) = reader.body(head.framing(Framing::Nothing)).await;
        check_upload(&origin.ledger, ask, &body, &ending);
        if ending != Ending::Whole {
            return;
        }
        let asks_upgrade = head.field("upgrade").is_some();
        let goes_on =
            ask.act == Act::Early || answer(&origin, &reader.stream, ask, asks_upgrade).await;
        if ask.act == Act::Upgrade && asks_upgrade {
            return echo(reader).await;
        }
        if !goes_on {
            if reader.stream.drained(1).await == Err(NetError::BuffersExhausted) {
                origin.ledger.ended_early(ask.id);
            }
            return;
        }
    }
}

fn check_upload(ledger: &Ledger, ask: Ask, body: &[u8], ending: &Ending) {
    let expected = Ask::uploaded(ask.id, body.len());
    if body != expected {
        ledger.violation(format!("an origin got wrong bytes of the body of {ask:?}"));
    }
    if let Ending::Malformed(what) = ending {
        ledger.violation(format!("an origin got a malformed body of {ask:?}: {what}"));
    }
    if *ending == Ending::Whole {
        ledger.uploaded(ask.id, body.len());
    }
}

/// Answers; false if the connection is to be closed.
async fn answer(origin: &Origin, stream: &SimStream, ask: Ask, asks_upgrade: bool) -> bool {
    let mut body = content(ask.id, ask.bytes);
    let mut length = ask.bytes;
    match origin.plant {
        Plant::FlippedByte if ask.act == Act::Fixed && length > 0 => body[length / 2] ^= 1,
        Plant::LostTail if ask.act == Act::Chunked && length > 0 => length -= 1,
        _ => {}
    }
    body.truncate(length);
    let send_head = |status: &str, fields: &str| {
        let head = format!("HTTP/1.1 {status}\r\nX-Sim-Id: {}\r\n{fields}\r\n", ask.id);
        stream.send_copy(head.as_bytes());
    };
    let with_length = format!("Content-Length: {length}\r\n");
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    if ask.is_head && ask.act.is_good() && ask.act != Act::UntilClose {
        send_head("200 OK", &with_length);
        return ask.act != Act::CloseAfter;
    }
    match ask.act {
        Act::Fixed | Act::Early => {
            send_head("200 OK", &with_length);
            send(stream, &body).await.is_ok()
        }
        Act::CloseAfter => {
            send_head("200 OK", &with_length);
            let _ = send(stream, &body).await;
            false
        }
        Act::Chunked => {
            send_head("200 OK", &format!("{CHUNKED}Trailer: x-sum\r\n"));
            let mut bytes = chunked(&body, 3000);
            bytes.truncate(bytes.len() - 2);
            bytes.extend_from_slice(b"X-Sum: 1\r\n\r\n");
            send(stream, &bytes).await.is_ok()
        }
        Act::Events => {
            send_head("200 OK", &format!("{CHUNKED}Content-Type: text/event-stream\r\n"));
            let most = (length / 8).max(40);
            for event in body.chunks(most) {
                let mut bytes = chunked(event, most);
                bytes.truncate(bytes.len() - 5);
                if send(stream, &bytes).await.is_err() {
                    return false;
                }
                let pause = Duration::from_millis(origin.net.random() % 400);
                origin.net.sleep_until(origin.net.now() + pause).await;
            }
            send(stream, b"0\r\n\r\n").await.is_ok()
        }
        Act::UntilClose => {
            send_head("200 OK", "Connection: close\r\n");
            if !ask.is_head && send(stream, &body).await == Err(NetError::BuffersExhausted) {
                origin.ledger.ended_early(ask.id);
            }
            false
        }
        Act::Interim => {
            stream.send_copy(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            let pause = Duration::from_millis(origin.net.random() % 50);
            origin.net.sleep_until(origin.net.now() + pause).await;
            stream.send_copy(b"HTTP/1.1 103 Early Hints\r\n\r\n");
            send_head("200 OK", &with_length);
            send(stream, &body).await.is_ok()
        }
        Act::NoContent => {
            send_head("204 No Content", "");
            true
        }
        Act::NotModified => {
            send_head("304 Not Modified", &with_length);
            true
        }
        Act::Upgrade if asks_upgrade => {
            send_head("101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: echo\r\n");
            true
        }
        Act::Upgrade => {
            send_head("200 OK", &with_length);
            send(stream, &body).await.is_ok()
        }
        Act::UpgradeUnasked => {
            send_head("101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: echo\r\n");
            false
        }
        Act::Cut | Act::Stall => {
            send_head("200 OK", &format!("Content-Length: {}\r\n", length + 1));
            let _ = send(stream, &body).await;
            if ask.act == Act::Stall {
                origin.net.sleep_until(origin.net.now() + FOR_LONG).await;
            }
            false
        }
        Act::CutChunked => {
            send_head("200 OK", CHUNKED);
            let bytes = chunked(&body, 500);
            let _ = send(stream, &bytes[..bytes.len() - 3]).await;
            false
        }
        Act::BadChunk => {
            send_head("200 OK", CHUNKED);
            let mut bytes = chunked(&body, 500);
            bytes.truncate(bytes.len() - 5);
            bytes.extend_from_slice(b"-1\r\n");
            let _ = send(stream, &bytes).await;
            false
        }
        Act::Silence => {
            origin.net.sleep_until(origin.net.now() + FOR_LONG).await;
            false
        }
        Act::Garbage => {
            let _ = send(stream, &content(ask.id, 200)).await;
            stream.send_copy(b"\r\n\r\n");
            false
        }
        Act::Hangup => false,
    }
}

/// Sends at the reader's pace, in pieces of any size.
async fn send(stream: &SimStream, bytes: &[u8]) -> Result<(), NetError> {
    for piece in bytes.chunks(7000) {
        stream.send_copy(piece);
        stream.drained(32 * 1024).await?;
    }
    Ok(())
}

/// Sends back what comes until the peer ends.
async fn echo(mut reader: Reader) {
    loop {
        let bytes = reader.take();
        if !bytes.is_empty() && send(&reader.stream, &bytes).await.is_err() {
            return;
        }
        if reader.fill().await.is_err() {
            reader.stream.shutdown();
            let _ = reader.stream.drained(1).await;
            return;
        }
    }
}
