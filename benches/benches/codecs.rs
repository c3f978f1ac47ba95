//! What the codecs cost: heads, chunks, events.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; to panic is to report")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::h1::{ChunkedDecoder, parse_request, parse_response};
use wire::{HeadLimits, Method, RequestHead, ResponseHead};

const SMALL: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: wrk\r\nAccept: */*\r\nX-A: b\r\n\r\n";
const CHAT: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: OpenAI/Python 1.0\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\nContent-Type: application/json\r\n\
    X-Stainless-Lang: python\r\nX-Stainless-Arch: x64\r\nX-Stainless-OS: Linux\r\n\
    Content-Length: 2048\r\nConnection: keep-alive\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 256\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: origin\r\n\r\n";

fn heads(c: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = c.benchmark_group("h1_head");
    for (name, bytes) in [("request_small", SMALL), ("request_chat", CHAT)] {
        let mut head = RequestHead::default();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| parse_request(black_box(bytes), &limits, &mut head).unwrap());
        });
    }
    let mut head = ResponseHead::default();
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    group.bench_function("response", |b| {
        b.iter(|| parse_response(black_box(RESPONSE), &limits, Method::Get, &mut head).unwrap());
    });
    group.finish();
}

fn chunks(c: &mut Criterion) {
    let mut event = b"b4\r\n".to_vec();
    event.extend_from_slice(&[b'x'; 0xb4]);
    event.extend_from_slice(b"\r\n");
    let mut group = c.benchmark_group("h1_chunked");
    group.throughput(Throughput::Bytes(event.len() as u64));
    group.bench_function("event_of_180_bytes", |b| {
        let mut decoder = ChunkedDecoder::default();
        b.iter(|| decoder.decode(black_box(&event)).unwrap());
    });
    group.finish();
}

fn events(c: &mut Criterion) {
    let mut bytes = Vec::new();
    for _ in 0..50 {
        wire::sse::put_event(&mut bytes, b"", br#"{"choices":[{"delta":{"content":"word"}}]}"#);
    }
    let mut group = c.benchmark_group("sse");
    group.throughput(Throughput::Elements(50));
    group.bench_function("fifty_events", |b| {
        b.iter(|| {
            let mut parser = wire::sse::EventParser::default();
            let mut rest = black_box(&bytes[..]);
            while !rest.is_empty() {
                let (consumed, event) = parser.feed(rest).unwrap();
                black_box(event);
                rest = &rest[consumed..];
            }
        });
    });
    group.finish();
}

criterion_group!(benches, heads, chunks, events);
criterion_main!(benches);
