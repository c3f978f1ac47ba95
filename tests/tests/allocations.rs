//! A keep-alive request allocates nothing on the data path once everything is warm.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is how a test reports")]

use net::Options;
use tests::peers::{Client, fixed_origin};
use tests::worker::{Runtime, snapshot, start};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello";
const REQUEST: &[u8] = b"GET /path?query HTTP/1.1\r\nHost: a.example\r\nUser-Agent: test\r\n\r\n";

/// Allocations of a worker's thread while it serves `requests` on one connection.
fn allocations(runtime: Runtime, requests: u64) -> u64 {
    let origin = fixed_origin(ANSWER);
    let options = Options { streams_max: 256, seed: Some(1), ..Options::default() };
    let worker = start(runtime, options, snapshot(origin, ""), |run| {
        allocation_counter::measure(run).count_total
    });
    let mut client = Client::connect(worker.address);
    for _ in 0..requests {
        client.send(REQUEST);
        let (head, body) = client.answer().expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == b"hello", "{head}");
    }
    drop(client);
    worker.drain().0
}

#[test]
fn a_keep_alive_request_allocates_nothing() {
    for runtime in [Runtime::Native, Runtime::Portable] {
        let few = allocations(runtime, 200);
        let many = allocations(runtime, 4200);
        // Timers of the worker's housekeeping are few and do not grow with requests.
        let per_request = many.saturating_sub(few) as f64 / 4000.0;
        assert!(per_request < 0.01, "{runtime:?}: {few} for 200 requests, {many} for 4200");
    }
}
