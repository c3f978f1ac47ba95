//! What each path answers, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is how a test reports")]

mod support;

use std::io::{BufReader, Read, Write};
use std::time::{Duration, Instant};

use support::{ask, connect, get, read_answer, read_head};

#[test]
fn plain_paths_answer() {
    let index = get("/");
    assert_eq!(
        (index.status, index.field("content-type").unwrap()),
        (200, "text/html; charset=utf-8")
    );
    assert_eq!(index.field("x-origin"), Some("test"));
    assert!(index.text().contains("/v1/chat/completions"));
    assert_eq!(get("/hello").text(), "Hello from test.\n");
    assert_eq!(get("/health").text(), "ok\n");
    assert!(get("/date").text().ends_with(" GMT\n"));
    let missing = get("/nothing?here");
    assert_eq!((missing.status, &missing.json()["status"]), (404, &404.into()));
    let moved = get("/redirect?to=%2Fhello");
    assert_eq!((moved.status, moved.field("location")), (302, Some("/hello")));
    assert_eq!(get("/redirect?to=%0d%0ax:y").status, 400);
    let many = get("/headers?count=20&bytes=1000");
    assert_eq!(many.field("x-field-19").unwrap().len(), 1000);
    assert_eq!(get("/headers?count=1024&bytes=65536").status, 400);
}

#[test]
fn bytes_are_as_many_as_asked_for_and_arrive_at_the_readers_pace() {
    assert_eq!(get("/bytes/0").body, b"");
    assert_eq!(get("/bytes/70").text(), format!("{ALPHABET}ABCDEF"));
    let large = get("/bytes/3000000");
    assert!(large.is_whole);
    let alphabet = ALPHABET.as_bytes();
    assert!(large.body.iter().enumerate().all(|(at, byte)| *byte == alphabet[at % 64]));
    assert_eq!(get("/bytes/1073741825").status, 400);
    assert_eq!(get("/bytes/-1").status, 404);
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[test]
fn chunks_come_with_a_trailer_where_it_is_wanted() {
    let plain = get("/chunked/3?size=64");
    assert!(plain.is_whole && plain.trailers.is_empty());
    assert_eq!(plain.text(), ALPHABET.repeat(3));
    for (target, fields) in
        [("/chunked/1?size=3&trailers=1", ""), ("/chunked/1?size=3", "te: trailers\r\n")]
    {
        let answer = ask(&format!("GET {target}"), fields, "");
        assert_eq!(answer.text(), "ABC");
        // The SHA-1 of "ABC".
        assert_eq!(answer.trailers, "X-Checksum: 3c01bdbb26f358bab27f267924aa2c9a03fcfdb8\r\n");
    }
    assert!(get("/chunked/4?size=0").is_whole);
    assert!(get("/chunked/2?size=200000").is_whole);
}

#[test]
fn events_end_or_do_not() {
    let events = get("/sse?events=2&interval=1");
    assert_eq!(events.field("content-type"), Some("text/event-stream"));
    assert!(events.is_whole);
    assert_eq!(
        events.text(),
        "id: 1\nevent: tick\ndata: event 1\n\nid: 2\nevent: tick\ndata: event 2\n\n"
    );
    let mut endless = connect("GET /sse?interval=1 HTTP/1.1\r\nhost: x\r\n\r\n");
    read_head(&mut endless);
    endless.read_exact(&mut [0; 2000]).unwrap();
}

#[test]
fn echo_tells_the_request() {
    let echoed = ask("POST /echo?a=b", "x-one: 1\r\nx-one: 2\r\n", "body").json();
    assert_eq!(echoed["method"], "POST");
    assert_eq!(echoed["target"], "/echo?a=b");
    assert_eq!((&echoed["body"], &echoed["bytes"]), (&"body".into(), &4.into()));
    assert_eq!(echoed["base64"], false);
    let headers = echoed["headers"].as_array().unwrap();
    assert_eq!(headers.iter().filter(|field| field[0] == "x-one").count(), 2);
    let binary = ask("PUT /echo", "", b"\xff\x00").json();
    assert_eq!((&binary["body"], &binary["base64"]), (&"/wA=".into(), &true.into()));
    let chunked = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-t: v\r\n\r\n";
    assert_eq!(read_answer(&mut connect(chunked)).json()["body"], "abcde");
    let large = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n";
    assert_eq!(read_answer(&mut connect(large)).status, 413);
}

#[test]
fn a_body_is_sent_back_as_it_arrives() {
    let body = vec![b'z'; 2_000_000];
    let head =
        format!("POST /echo/body HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = connect(head);
    let mut writer = stream.try_clone().unwrap();
    let sent = body.clone();
    let sending = std::thread::spawn(move || writer.write_all(&sent).unwrap());
    let answer = read_answer(&mut BufReader::new(&mut stream));
    sending.join().unwrap();
    assert!(answer.is_whole && answer.body == body);
    // The connection lasts: the request was read to its end.
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).text(), "ok\n");

    let mut stream = connect(
        "POST /echo/body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
    );
    let head = read_head(&mut stream);
    assert!(head.contains("transfer-encoding: chunked"));
    let mut first = [0; 7];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"2\r\nab\r\n");
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut last = [0; 5];
    stream.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"0\r\n\r\n");
}

#[test]
fn every_status_is_framed_by_its_rules() {
    for status in [200, 201, 205, 301, 400, 418, 429, 500, 599] {
        let answer = get(&format!("/status/{status}"));
        assert_eq!((answer.status, answer.is_whole), (status, true));
    }
    for status in [204, 304] {
        let answer = get(&format!("/status/{status}"));
        assert_eq!((answer.status, answer.field("content-length")), (status, None));
    }
    for wrong in ["/status/199", "/status/600", "/status/99999999999999999999999"] {
        assert!([400, 404].contains(&get(wrong).status), "{wrong}");
    }
}

#[test]
fn slow_paths_take_their_time() {
    let begun = Instant::now();
    assert_eq!(get("/slow?ms=100").text(), "waited 100 ms\n");
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let begun = Instant::now();
    assert_eq!(get("/slow/body?ms=10&bytes=100").body.len(), 100);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(get("/drip?bytes=5&ms=1").text(), "ABCDE");
}

#[test]
fn hints_come_before_the_answer() {
    let mut stream = connect("GET /hints HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 103 Early Hints\r\nlink: "));
    assert_eq!(read_answer(&mut stream).text(), "hinted\n");
}

#[test]
fn connections_carry_many_requests_and_pipelines() {
    let one = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    let posted = "POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    let mut stream = connect([one, posted, one].concat());
    for _ in 0..3 {
        assert_eq!(read_answer(&mut stream).text(), "Hello from test.\n");
    }
    for part in one.as_bytes().chunks(7) {
        stream.write_all(part).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(read_answer(&mut stream).status, 200);
}

#[test]
fn old_clients_are_served_their_way() {
    let closed = read_answer(&mut connect("GET /chunked/2?size=4 HTTP/1.0\r\n\r\n"));
    assert_eq!((closed.field("transfer-encoding"), closed.text()), (None, "ABCDEFGH"));
    let kept = read_answer(&mut connect("GET /hello HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"));
    assert_eq!(kept.field("connection"), Some("keep-alive"));
    let close = get("/close");
    assert_eq!((close.field("content-length"), close.is_whole), (None, true));
}

#[test]
fn head_is_answered_without_a_body_everywhere() {
    for (path, _) in origin::PATHS {
        let path = path.replace("/N", "/10").replace("NNN", "200");
        let path = path.split('?').next().unwrap();
        if path.starts_with("/reset") || path.starts_with("/garbage") || path == "/slow" {
            continue;
        }
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut stream = connect(request);
        let mut head = read_head(&mut stream);
        if head.starts_with("HTTP/1.1 103") {
            head = read_head(&mut stream);
        }
        assert!(head.starts_with("HTTP/1.1 "), "{path}: {head}");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{path}: {}", rest.escape_ascii());
    }
}

#[test]
fn continue_is_sent_when_the_body_is_wanted() {
    let head =
        "POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let mut stream = connect(head);
    assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    assert_eq!(read_answer(&mut stream).json()["body"], "ok");
    let unwanted = read_answer(&mut connect(head.replace("/echo", "/hello")));
    assert_eq!((unwanted.status, unwanted.field("connection")), (200, Some("close")));
}

#[test]
fn early_answers_do_not_wait_for_the_body() {
    let mut stream =
        connect("POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc");
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
}

#[test]
fn broken_paths_break_as_promised() {
    let all = |target: &str| {
        let mut stream = connect(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        all
    };
    assert!(all("/reset").is_empty());
    let cut = get("/reset/body");
    assert_eq!((cut.field("content-length"), cut.body.len()), (Some("1000"), 500));
    let cut = get("/reset/chunked");
    assert!(!cut.is_whole && cut.text().ends_with("half of a chunk"));
    assert!(!all("/garbage").starts_with(b"HTTP"));
    let both = String::from_utf8(all("/garbage/both")).unwrap();
    assert!(both.contains("content-length") && both.contains("transfer-encoding"));
    assert!(all("/garbage/head").len() > 128 * 1024);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "v".repeat(70_000));
    for (request, status) in [
        ("GARBAGE\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/3.1\r\nhost: x\r\n\r\n", 505),
        ("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (&large, 431),
    ] {
        let answer = read_answer(&mut connect(request));
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")));
        assert!(answer.json()["error"].is_string());
    }
}

#[test]
fn a_client_that_stops_reading_holds_nobody_else_up() {
    let mut idle = connect("GET /bytes/1073741824 HTTP/1.1\r\nhost: x\r\n\r\n");
    read_head(&mut idle);
    for _ in 0..20 {
        assert_eq!(get("/health").status, 200);
    }
    // What was sent meanwhile is the beginning of the pattern, and the rest follows on demand.
    let mut read = vec![0; 8 << 20];
    idle.read_exact(&mut read).unwrap();
    assert!(read.chunks(64).all(|line| line == ALPHABET.as_bytes()));
}

#[test]
fn a_client_that_ended_its_direction_still_gets_a_slow_answer() {
    let mut stream = connect("GET /slow?ms=100 HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut stream).text(), "waited 100 ms\n");
}
