//! Clients: polite ones, slow ones, ones that vanish and ones that do not speak HTTP.

use std::rc::Rc;
use std::time::Duration;

use net::sim::{SimNet, SimStream};
use net::{Address, ConnectOptions, Net, Stream, StreamExt};

use super::ledger::{Ledger, Seen};
use super::script::{Act, Ask, content};
use super::wire::{Ending, Framing, Head, Reader};

/// What all clients of a run share.
#[derive(Clone)]
pub struct Client {
    /// Their host.
    pub net: SimNet,
    /// Where the gateway is.
    pub gateway: Address,
    /// The books.
    pub ledger: Rc<Ledger>,
    /// Origins do nothing wrong.
    pub is_tame: bool,
}

/// Requests in flight on one connection.
const PIPELINED_MAX: u64 = 4;

/// Connects and asks, a few times over.
pub async fn live(client: Client) {
    let net = &client.net;
    pause(net, 4000).await;
    for _ in 0..1 + net.random() % 3 {
        let deadline = net.now() + Duration::from_secs(3);
        let options = ConnectOptions::default();
        if let Ok(stream) = net.connect(&client.gateway, options, deadline).await {
            // Longer than everything the gateway waits for: it has to act first.
            stream.set_deadline(Some(net.now() + Duration::from_secs(200)));
            converse(&client, stream).await;
        }
        pause(net, 1500).await;
    }
}

async fn pause(net: &SimNet, ms_max: u64) {
    let pause = Duration::from_millis(net.random() % (ms_max + 1));
    net.sleep_until(net.now() + pause).await;
}

async fn converse(client: &Client, stream: SimStream) {
    let net = &client.net;
    let mut reader = Reader::new(net, stream);
    let manner = net.random() % 16;
    match manner {
        0 => reader.leave_after = Some(net.random() as usize % 20_000),
        1 | 2 => reader.pace = Duration::from_millis(1 + net.random() % 200),
        3 => return misspeak(client, &mut reader).await,
        _ => {}
    }
    for _ in 0..1 + net.random() % 4 {
        let depth =
            if net.random().is_multiple_of(3) { 1 + net.random() % PIPELINED_MAX } else { 1 };
        let mut asks = Vec::new();
        for _ in 0..depth {
            let ask = Ask::draw(net, client.ledger.next_id(), client.is_tame);
            asks.push(ask);
            // What follows an upgrade is no request, and 1.0 does not pipeline.
            if ask.act == Act::Upgrade || ask.is_old {
                break;
            }
        }
        let bytes: Vec<u8> = asks.iter().flat_map(Ask::encode).collect();
        // A client that pipelines more than fits on the way reads nothing for too long.
        let is_patient = manner > 4 && (asks.len() == 1 || bytes.len() < 16 * 1024);
        for ask in &asks {
            client.ledger.open(*ask, is_patient);
        }
        send(net, &reader.stream, &bytes).await;
        if manner == 4 && net.random().is_multiple_of(4) {
            return;
        }
        for ask in asks {
            if !read_answer(client, &mut reader, ask).await {
                return;
            }
        }
        // Sometimes longer than the gateway keeps the connection.
        let longest = if net.random().is_multiple_of(8) { 8000 } else { 300 };
        pause(net, longest).await;
    }
}

async fn send(net: &SimNet, stream: &SimStream, bytes: &[u8]) {
    let piece = 1 + net.random() as usize % 9000;
    for piece in bytes.chunks(piece) {
        stream.send_copy(piece);
        if stream.drained(16 * 1024).await.is_err() {
            return;
        }
        if net.random().is_multiple_of(16) {
            pause(net, 100).await;
        }
    }
}

/// Sends what no server may serve; the answer must be a refusal, and the last.
async fn misspeak(client: &Client, reader: &mut Reader) {
    const WRONG: [&[u8]; 6] = [
        b"GET /e/x HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
    ];
    let net = &client.net;
    client.ledger.malformed.set(client.ledger.malformed.get() + 1);
    send(net, &reader.stream, WRONG[net.random() as usize % WRONG.len()]).await;
    let Ok(head) = reader.head().await else { return };
    if !(400..600).contains(&head.status()) || head.field("x-ringgate-error").is_none() {
        client.ledger.violation(format!("no request, but the answer is {head:?}"));
    }
    let (_, ending) = reader.body(head.framing(Framing::UntilClose)).await;
    if ending == Ending::Whole {
        reader.stream.shutdown();
        if let Ok(more) = reader.head().await {
            client.ledger.violation(format!("an answer after a refusal: {more:?}"));
        }
    }
}

/// Reads the answer to `ask` and checks it; false if the connection is of no more use.
async fn read_answer(client: &Client, reader: &mut Reader, ask: Ask) -> bool {
    let wrong = |what: String| client.ledger.violation(format!("{ask:?}: {what}"));
    let head = loop {
        match reader.head().await {
            Ok(head) if (100..200).contains(&head.status()) && head.status() != 101 => {}
            Ok(head) => break head,
            Err((_, Ending::Malformed(what))) => {
                wrong(format!("a malformed head: {what}"));
                return false;
            }
            Err((has_begun, ending)) => {
                let seen = match (has_begun, ending) {
                    (false, Ending::Ended) => Seen::Nothing,
                    (true, Ending::Ended) => Seen::CutByEnd,
                    _ => Seen::CutByFailure,
                };
                client.ledger.close(ask.id, seen);
                return false;
            }
        }
    };
    if let Some(reason) = head.field("x-ringgate-error") {
        client.ledger.close(ask.id, Seen::Refused(reason.to_owned()));
        let framing = if ask.is_head { Framing::Nothing } else { head.framing(Framing::Nothing) };
        let (_, ending) = reader.body(framing).await;
        return ending == Ending::Whole && !head.closes();
    }
    if head.field("x-sim-id") != Some(ask.id.to_string().as_str()) {
        wrong(format!("the answer to another request: {head:?}"));
        return false;
    }
    if head.status() == 101 {
        return tunnel(client, reader, ask).await;
    }
    let framing = match head.status() {
        _ if ask.is_head => Framing::Nothing,
        204 | 304 => Framing::Nothing,
        _ => head.framing(Framing::UntilClose),
    };
    let (body, ending) = reader.body(framing).await;
    let seen = check_body(client, ask, &head, &body, &ending);
    let is_whole = seen == Seen::Whole(head.status());
    client.ledger.close(ask.id, seen);
    is_whole && !head.closes() && framing != Framing::UntilClose
}

fn check_body(client: &Client, ask: Ask, head: &Head, body: &[u8], ending: &Ending) -> Seen {
    let wrong = |what: String| client.ledger.violation(format!("{ask:?}: {what}"));
    let expected = ask.expected();
    if !expected.starts_with(body) {
        wrong(format!("wrong bytes among {} of {}", body.len(), expected.len()));
    }
    match ending {
        Ending::Whole => {
            if body.len() < expected.len() && !client.ledger.has_ended_early(ask.id) {
                wrong(format!("complete with {} of {} bytes", body.len(), expected.len()));
            }
            if !ask.act.is_good() {
                wrong("complete, although the origin's answer was not".into());
            }
            Seen::Whole(head.status())
        }
        Ending::Ended => Seen::CutByEnd,
        Ending::Malformed(what) => {
            wrong(format!("a malformed body: {what}"));
            Seen::CutByEnd
        }
        Ending::Failed(_) | Ending::Left => Seen::CutByFailure,
    }
}

/// Sends bytes through the tunnel and expects them back, then ends it; never goes on after it.
async fn tunnel(client: &Client, reader: &mut Reader, ask: Ask) -> bool {
    let sent = content(ask.id, ask.bytes % 20_000);
    for round in sent.chunks(3000) {
        reader.stream.send_copy(round);
        let (echoed, ending) = reader.body(Framing::Fixed(round.len())).await;
        if !round.starts_with(&echoed) {
            client.ledger.violation(format!("{ask:?}: a tunnel changed bytes"));
        }
        if ending != Ending::Whole {
            let is_end = ending == Ending::Ended;
            client.ledger.close(ask.id, if is_end { Seen::CutByEnd } else { Seen::CutByFailure });
            return false;
        }
        pause(&client.net, 200).await;
    }
    reader.stream.shutdown();
    let (rest, ending) = reader.body(Framing::UntilClose).await;
    if !rest.is_empty() {
        client.ledger.violation(format!("{ask:?}: {} bytes too many in a tunnel", rest.len()));
    }
    let is_whole = ending == Ending::Whole;
    client.ledger.close(ask.id, if is_whole { Seen::Whole(101) } else { Seen::CutByFailure });
    false
}
