//! The WebSocket echo, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is how a test reports")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::{connect, get, read_answer, read_head};
use wire::websocket::{Message, MessageReader, Opcode, Sender, put_frame};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn open() -> TcpStream {
    let mut stream = connect(HANDSHAKE);
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    stream
}

fn say(stream: &mut TcpStream, fin: bool, opcode: Opcode, payload: &[u8]) {
    let mut frame = Vec::new();
    put_frame(&mut frame, fin, opcode, Some([1, 2, 3, 4]), payload);
    stream.write_all(&frame).unwrap();
}

fn hear(stream: &mut TcpStream) -> Message {
    let mut reader = MessageReader::new(Sender::Server, 1 << 20);
    loop {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "a message");
        if let (_, Some(message)) = reader.feed(&byte).unwrap() {
            return message;
        }
    }
}

#[test]
fn echoes_answers_pings_and_closes() {
    let mut stream = open();
    say(&mut stream, true, Opcode::Text, "grüße".as_bytes());
    assert_eq!(hear(&mut stream), Message::Text("grüße".to_owned()));
    say(&mut stream, false, Opcode::Binary, &[7; 70_000]);
    say(&mut stream, true, Opcode::Ping, b"there?");
    say(&mut stream, true, Opcode::Continuation, &[8]);
    assert_eq!(hear(&mut stream), Message::Pong(b"there?".to_vec()));
    assert_eq!(hear(&mut stream), Message::Binary([vec![7; 70_000], vec![8]].concat()));
    say(&mut stream, true, Opcode::Close, b"\x03\xe8bye");
    assert_eq!(hear(&mut stream), Message::Close(Some((1000, "bye".to_owned()))));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn errors_close_with_their_code() {
    for (frame, code) in [(&b"\x81\x01x"[..], 1002), (b"\x81\x81\0\0\0\0\xff", 1007)] {
        let mut stream = open();
        stream.write_all(frame).unwrap();
        assert!(matches!(hear(&mut stream), Message::Close(Some((found, _))) if found == code));
    }
    let mut stream = open();
    stream.write_all(b"\x82\xff\0\0\0\0\x7f\0\0\0\0\0\0\0").unwrap();
    assert!(matches!(hear(&mut stream), Message::Close(Some((1009, _)))));
}

#[test]
fn other_requests_are_told_what_is_expected() {
    let plain = get("/ws");
    assert_eq!((plain.status, plain.field("upgrade")), (426, Some("websocket")));
    let bad_key = HANDSHAKE.replace("dGhl", "!!!!");
    assert_eq!(read_answer(&mut connect(bad_key)).status, 400);
}
