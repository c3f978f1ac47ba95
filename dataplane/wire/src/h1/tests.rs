//! Heads and chunks: what is accepted, what is refused and why, at every split point.

use proptest::prelude::*;

use super::*;
use crate::reason::Reason;
use crate::{
    BodyLength, FieldId, HeadError, HeadLimits, Method, Parsed, RequestHead, ResponseHead,
    TargetForm, Version,
};

fn request(bytes: &[u8]) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::default();
    match parse_request(bytes, &HeadLimits::default(), &mut head)? {
        Parsed::Complete { .. } => Ok(head),
        Parsed::Partial => panic!("{} is partial", bytes.escape_ascii()),
    }
}

fn response(bytes: &[u8], method: Method) -> Result<ResponseHead, HeadError> {
    let mut head = ResponseHead::default();
    match parse_response(bytes, &HeadLimits::default(), method, &mut head)? {
        Parsed::Complete { .. } => Ok(head),
        Parsed::Partial => panic!("{} is partial", bytes.escape_ascii()),
    }
}

#[test]
fn reads_a_request_and_all_that_matters_of_it() {
    let bytes = b"POST /a/b?c=d HTTP/1.1\r\nHost: h.example:8080\r\nContent-Length:  12 \r\n\
        Connection: keep-alive, x-mine\r\nX-Mine: 1\r\nX-Empty:\r\nExpect: 100-Continue\r\n\r\n";
    let head = request(bytes).unwrap();
    assert_eq!((head.method, head.version), (Method::Post, Version::Http11));
    assert_eq!(head.path.of(bytes), b"/a/b");
    assert_eq!(head.query.unwrap().of(bytes), b"c=d");
    assert_eq!(head.authority.of(bytes), b"h.example:8080");
    assert_eq!(head.body, BodyLength::Fixed(12));
    assert!(head.persistent && head.expects_continue && head.upgrade.is_none());
    assert_eq!(head.find_name(bytes, b"x-empty"), Some(&b""[..]));
    let listed = head.fields.iter().find(|f| f.name.of(bytes) == b"X-Mine").unwrap();
    assert!(listed.hop_by_hop);
    let lines: Vec<u8> = head.fields.iter().flat_map(|f| f.line.of(bytes).to_vec()).collect();
    assert_eq!(lines, &bytes[24..bytes.len() - 2], "lines are contiguous");
}

#[test]
fn reads_every_form_of_target() {
    let head = request(b"GET http://H.example?x HTTP/1.1\r\nHost: h.example\r\n\r\n").unwrap();
    assert_eq!((head.target_form, head.path.is_empty()), (TargetForm::Absolute, true));
    let head = request(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").unwrap();
    assert_eq!(head.target_form, TargetForm::Authority);
    let head = request(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(head.target_form, TargetForm::Asterisk);
    let head = request(b"\r\nGET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(!head.persistent && head.authority.is_empty());
}

#[test]
fn connection_cannot_remove_what_others_rely_on() {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close, host, authorization, \
        x-forwarded-for, content-length\r\nAuthorization: b\r\nX-Forwarded-For: c\r\n\r\n";
    let head = request(bytes).unwrap();
    let hops = head.fields.iter().filter(|field| field.hop_by_hop);
    assert_eq!(hops.map(|field| field.id).collect::<Vec<_>>(), [FieldId::Connection]);
    assert!(!head.persistent);
}

#[test]
fn every_entry_of_the_corpus_is_refused_for_its_reason() {
    let corpus = include_str!("../../corpus/malformed.tsv");
    let (mut count, mut wrong) = (0, Vec::new());
    for line in corpus.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut columns = line.split('\t');
        let (name, reason, text) =
            (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        let got = refusal(&unescape(text)).map_or("accepted", Reason::as_str);
        if got != reason {
            wrong.push(format!("{name}: {got}, not {reason}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 200, "the corpus has {count} entries");
}

/// Why a request is refused, by its head or by its chunks; `None` if it is not.
fn refusal(bytes: &[u8]) -> Option<Reason> {
    let mut head = RequestHead::default();
    match parse_request(bytes, &HeadLimits::default(), &mut head) {
        Err(error) => Some(error.reason()),
        Ok(Parsed::Partial) => None,
        Ok(Parsed::Complete { head_bytes }) if head.body == BodyLength::Chunked => {
            let mut decoder = ChunkedDecoder::default();
            let mut rest = &bytes[head_bytes..];
            loop {
                match decoder.decode(rest) {
                    Err(error) => break Some(error.reason()),
                    Ok(step) if step.done || step.consumed == 0 => break None,
                    Ok(step) => rest = &rest[step.consumed..],
                }
            }
        }
        Ok(Parsed::Complete { .. }) => None,
    }
}

/// `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`, and `{N*x}` for x repeated N times.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'{' && tail.first().is_some_and(u8::is_ascii_digit) {
            let star = tail.iter().position(|&b| b == b'*').unwrap();
            let close = tail.iter().position(|&b| b == b'}').unwrap();
            let count: usize = std::str::from_utf8(&tail[..star]).unwrap().parse().unwrap();
            let unit = unescape(std::str::from_utf8(&tail[star + 1..close]).unwrap());
            out.extend(unit.repeat(count));
            rest = &tail[close + 1..];
        } else if byte == b'\\' {
            let (&kind, tail) = rest.split_first().unwrap();
            rest = tail;
            match kind {
                b'r' => out.push(b'\r'),
                b'n' => out.push(b'\n'),
                b't' => out.push(b'\t'),
                b'0' => out.push(0),
                b'x' => {
                    let hex = std::str::from_utf8(&rest[..2]).unwrap();
                    out.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &rest[2..];
                }
                other => out.push(other),
            }
        } else {
            out.push(byte);
        }
    }
    out
}

#[test]
fn a_head_is_partial_until_its_last_byte() {
    let bytes = b"GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    for split in 0..bytes.len() {
        let mut head = RequestHead::default();
        let parsed = parse_request(&bytes[..split], &HeadLimits::default(), &mut head);
        assert_eq!(parsed, Ok(Parsed::Partial), "after {split} bytes");
    }
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    for split in 0..bytes.len() {
        let mut head = ResponseHead::default();
        let limits = HeadLimits::default();
        let parsed = parse_response(&bytes[..split], &limits, Method::Get, &mut head);
        assert_eq!(parsed, Ok(Parsed::Partial), "after {split} bytes");
    }
}

#[test]
fn limits_hold_while_the_head_is_still_partial() {
    let limits = HeadLimits { head_bytes_max: 64, fields_max: 2 };
    let mut head = RequestHead::default();
    let long = [b"GET /".as_slice(), &[b'a'; 64]].concat();
    assert_eq!(parse_request(&long, &limits, &mut head), Err(HeadError::TooLarge));
    let many = b"GET / HTTP/1.1\r\na: b\r\nc: d\r\ne: f\r\n\r\n";
    assert_eq!(parse_request(many, &limits, &mut head), Err(HeadError::FieldsTooMany));
}

#[test]
fn responses_end_as_the_rfc_says() {
    let body = |text: &str, method| response(text.as_bytes(), method).map(|head| head.body);
    let get = Method::Get;
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n", get), Ok(BodyLength::UntilClose));
    assert_eq!(body("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", get), Ok(BodyLength::Fixed(0)));
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(body(length, get), Ok(BodyLength::Fixed(5)));
    assert_eq!(body(length, Method::Head), Ok(BodyLength::Empty));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
    assert_eq!(body(chunked, get), Ok(BodyLength::Chunked));
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(body(not_modified, get), Ok(BodyLength::Empty));
    assert_eq!(body("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", get), Ok(BodyLength::Empty));
    for refused in [
        "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 600 No\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ] {
        let error = body(refused, get).unwrap_err();
        assert_eq!(error.upstream_reason(), Reason::UpstreamMalformed, "{refused:?}");
    }
    let same = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(body(same, get), Ok(BodyLength::Fixed(5)));
}

fn decode_all(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, usize), ChunkError> {
    let mut decoder = ChunkedDecoder::default();
    let (mut content, mut consumed) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            let step = decoder.decode(rest)?;
            content.extend_from_slice(&rest[step.data]);
            consumed += step.consumed;
            rest = &rest[step.consumed..];
        }
    }
    assert!(decoder.is_done(), "the body is incomplete");
    Ok((content, decoder.trailers().to_vec(), consumed))
}

#[test]
fn chunks_are_read_at_every_split_point() {
    let bytes = b"4;a=\"b;\\\"\r\nWiki\r\n".to_vec();
    assert!(decode_all(&[&bytes]).is_err(), "a quoted string must end before its line");
    let bytes = b"4;a=\"b;\\\"\"\r\nWiki\r\n005\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\n\
        X-Sum: 1\r\nX-Other: 2\r\n\r\nrest";
    let content = b"Wikipedia in\r\n\r\nchunks.";
    for split in 0..bytes.len() {
        let (got, trailers, consumed) = decode_all(&[&bytes[..split], &bytes[split..]]).unwrap();
        assert_eq!((&got[..], consumed), (&content[..], bytes.len() - 4), "split at {split}");
        assert_eq!(trailers, b"X-Sum: 1\r\nX-Other: 2\r\n");
    }
}

#[test]
fn chunk_errors_are_told_apart() {
    let error = |bytes: &[u8]| decode_all(&[bytes]).unwrap_err();
    assert_eq!(error(b"g\r\n"), ChunkError::SizeNotHex);
    assert_eq!(error(b"\r\n"), ChunkError::SizeNotHex);
    assert_eq!(error(b" 1\r\n"), ChunkError::SizeNotHex);
    assert_eq!(error(b"1 \r\n"), ChunkError::SizeNotHex);
    assert_eq!(error(b"0x1\r\n"), ChunkError::SizeNotHex);
    assert_eq!(error(b"1\nx"), ChunkError::SizeNotHex);
    assert_eq!(error(b"1111111111111111\r\n"), ChunkError::SizeTooLarge);
    assert_eq!(error(b"1;a\nx\r\n"), ChunkError::Extension);
    assert_eq!(error(&[b"1;".as_slice(), &[b'a'; 300]].concat()), ChunkError::Extension);
    assert_eq!(error(b"1\r\nxy"), ChunkError::LineEnd);
    assert_eq!(error(b"1\r\nx\n"), ChunkError::LineEnd);
    assert_eq!(error(b"0\r\nContent-Length: 1\r\n\r\n"), ChunkError::Trailer);
    assert_eq!(error(b"0\r\nHost: x\r\n\r\n"), ChunkError::Trailer);
    assert_eq!(error(b"0\r\nno colon\r\n\r\n"), ChunkError::Trailer);
    assert_eq!(error(b"0\r\na b: c\r\n\r\n"), ChunkError::Trailer);
    let long = [b"0\r\nx: ".as_slice(), &[b'a'; 9000]].concat();
    assert_eq!(error(&long), ChunkError::TrailersTooLarge);
    assert!(size_of::<ChunkedDecoder>() <= 32);
}

proptest! {
    #[test]
    fn heads_never_panic_and_reparse_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = [b"GET / HTTP/1.1\r\nHost: h\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat();
        for candidate in [&bytes, &text] {
            let (mut first, mut second) = (RequestHead::default(), RequestHead::default());
            let limits = HeadLimits::default();
            let parsed = parse_request(candidate, &limits, &mut first);
            if let Ok(Parsed::Complete { head_bytes }) = parsed {
                let again = parse_request(&candidate[..head_bytes], &limits, &mut second);
                prop_assert_eq!(again, parsed);
                prop_assert_eq!(&first, &second);
            }
            let mut head = ResponseHead::default();
            let _ = parse_response(candidate, &limits, Method::Get, &mut head);
        }
    }

    #[test]
    fn chunks_survive_any_pieces(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
        cut in 1usize..20,
    ) {
        let mut bytes = Vec::new();
        for part in &parts {
            bytes.extend_from_slice(chunk_head(part.len(), &mut [0; 18]));
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
        let (content, _, consumed) = decode_all(&pieces).unwrap();
        prop_assert_eq!(content, parts.concat());
        prop_assert_eq!(consumed, bytes.len());
    }

    #[test]
    fn hostile_chunks_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut decoder = ChunkedDecoder::default();
        let mut rest = &bytes[..];
        while let Ok(step) = decoder.decode(rest) {
            rest = &rest[step.consumed..];
            if rest.is_empty() || step.done { break; }
        }
    }
}
