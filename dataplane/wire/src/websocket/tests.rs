use proptest::prelude::*;

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// All messages of `input`, fed in the given pieces.
fn read<'a>(
    sender: Sender,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Message>, FrameError> {
    let mut reader = MessageReader::new(sender, 100_000);
    let mut messages = Vec::new();
    for mut piece in pieces {
        loop {
            let (consumed, message) = reader.feed(piece)?;
            piece = &piece[consumed..];
            match message {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        assert!(piece.is_empty(), "everything is consumed");
    }
    Ok(messages)
}

fn whole(bytes: &[u8]) -> Result<Vec<Message>, FrameError> {
    read(Sender::Client, [bytes])
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, fin, opcode, Some(KEY), payload);
    out
}

#[test]
fn answers_the_key_of_the_rfc() {
    //= rfc6455#section-1.3
    let accepted = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accepted.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for key in [&b""[..], b"dGhlIHNhbXBsZQ==", b"not base64!", b"dGhlIHNhbXBsZSBub25jZQ"] {
        assert_eq!(accept_key(key), None);
    }
}

#[test]
fn reads_the_examples_of_the_rfc() {
    //= rfc6455#section-5.7
    let text = |text: &str| Ok(vec![Message::Text(text.to_owned())]);
    assert_eq!(read(Sender::Server, [&b"\x81\x05Hello"[..]]), text("Hello"));
    assert_eq!(whole(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), text("Hello"));
    assert_eq!(read(Sender::Server, [&b"\x01\x03Hel\x80\x02lo"[..]]), text("Hello"));
    let ping = Ok(vec![Message::Ping(b"Hello".to_vec())]);
    assert_eq!(read(Sender::Server, [&b"\x89\x05Hello"[..]]), ping);
    let pong = Ok(vec![Message::Pong(b"Hello".to_vec())]);
    assert_eq!(whole(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), pong);
    for (head, length) in [(&b"\x82\x7e\x01\x00"[..], 256), (b"\x82\x7f\0\0\0\0\0\x01\0\0", 65536)]
    {
        let bytes = [head, &vec![7; length]].concat();
        let binary = Ok(vec![Message::Binary(vec![7; length])]);
        assert_eq!(read(Sender::Server, [&bytes[..]]), binary);
    }
}

#[test]
fn every_length_form_comes_back() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 99_999] {
        let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
        let bytes = frame(true, Opcode::Binary, &payload);
        assert_eq!(whole(&bytes), Ok(vec![Message::Binary(payload)]), "{length}");
    }
}

#[test]
fn refuses_what_breaks_the_rules() {
    let close = |payload: &[u8]| frame(true, Opcode::Close, payload);
    let cases: Vec<(Vec<u8>, FrameError)> = vec![
        (b"\xc1\x80".to_vec(), FrameError::ReservedBit),
        (b"\x83\x80".to_vec(), FrameError::Opcode),
        (b"\x8b\x80".to_vec(), FrameError::Opcode),
        (b"\x81\x05Hello".to_vec(), FrameError::Masking),
        (b"\x82\xfe\x00\x7d".to_vec(), FrameError::Length),
        (b"\x82\xff\0\0\0\0\0\0\xff\xff".to_vec(), FrameError::Length),
        (b"\x82\xff\x80\0\0\0\0\0\0\0".to_vec(), FrameError::Length),
        (b"\x09\x80".to_vec(), FrameError::Control),
        (b"\x89\xfe\x00\x7e".to_vec(), FrameError::Control),
        (frame(true, Opcode::Continuation, b"x"), FrameError::Fragmentation),
        (
            [frame(false, Opcode::Text, b"a"), frame(true, Opcode::Text, b"b")].concat(),
            FrameError::Fragmentation,
        ),
        (close(b"\x03"), FrameError::CloseCode),
        (close(&1005_u16.to_be_bytes()), FrameError::CloseCode),
        (close(&999_u16.to_be_bytes()), FrameError::CloseCode),
        (close(b"\x03\xe8\xff"), FrameError::Utf8),
        (frame(true, Opcode::Text, b"\xce\xba\xff"), FrameError::Utf8),
        (frame(true, Opcode::Text, b"cut \xce"), FrameError::Utf8),
        // Refused at the bad byte, although the message goes on.
        (frame(false, Opcode::Text, b"\xed\xa0\x80"), FrameError::Utf8),
        (b"\x82\xff\0\0\0\0\0\x01\x86\xa1\0\0\0\0".to_vec(), FrameError::TooLarge),
        (
            [frame(false, Opcode::Binary, &[0; 99_999]), frame(true, Opcode::Continuation, b"ab")]
                .concat(),
            FrameError::TooLarge,
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(whole(&bytes), Err(error), "{:?}", &bytes[..bytes.len().min(16)]);
    }
    let masked = frame(true, Opcode::Text, b"x");
    assert_eq!(read(Sender::Server, [&masked[..]]), Err(FrameError::Masking));
}

#[test]
fn errors_name_their_close_code() {
    assert_eq!(FrameError::Utf8.close_code(), 1007);
    assert_eq!(FrameError::TooLarge.close_code(), 1009);
    assert_eq!(FrameError::Masking.close_code(), 1002);
}

#[test]
fn control_frames_come_between_fragments() {
    let bytes = [
        frame(false, Opcode::Text, "κό".as_bytes()),
        frame(true, Opcode::Ping, b"p"),
        frame(false, Opcode::Continuation, b""),
        frame(true, Opcode::Continuation, "σμε".as_bytes()),
        frame(true, Opcode::Close, b"\x03\xe8bye"),
    ]
    .concat();
    let expected = vec![
        Message::Ping(b"p".to_vec()),
        Message::Text("κόσμε".to_owned()),
        Message::Close(Some((1000, "bye".to_owned()))),
    ];
    assert_eq!(whole(&bytes), Ok(expected.clone()));
    for split in 0..=bytes.len() {
        let (first, second) = bytes.split_at(split);
        assert_eq!(read(Sender::Client, [first, second]), Ok(expected.clone()), "{split}");
    }
    assert_eq!(read(Sender::Client, bytes.chunks(1)), Ok(expected));
}

#[test]
fn a_character_may_be_cut_by_frames() {
    let euro = "€".as_bytes();
    let bytes =
        [frame(false, Opcode::Text, &euro[..1]), frame(true, Opcode::Continuation, &euro[1..])];
    assert_eq!(whole(&bytes.concat()), Ok(vec![Message::Text("€".to_owned())]));
}

#[test]
fn long_close_reasons_are_cut_at_a_character() {
    let mut out = Vec::new();
    put_close(&mut out, 1000, &"€".repeat(100));
    let expected = Message::Close(Some((1000, "€".repeat(41))));
    assert_eq!(read(Sender::Server, [&out[..]]), Ok(vec![expected]));
}

proptest! {
    #[test]
    fn what_is_put_is_read(
        messages in proptest::collection::vec(
            (any::<bool>(), "\\PC{0,60}", 1usize..20, any::<[u8; 4]>()),
            0..6,
        ),
        piece in 1usize..64,
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (is_text, text, fragment, key) in &messages {
            let opcode = if *is_text { Opcode::Text } else { Opcode::Binary };
            let parts: Vec<&[u8]> = text.as_bytes().chunks(*fragment).collect();
            for (index, part) in parts.iter().enumerate() {
                let opcode = if index == 0 { opcode } else { Opcode::Continuation };
                put_frame(&mut bytes, index + 1 == parts.len(), opcode, Some(*key), part);
            }
            if parts.is_empty() {
                put_frame(&mut bytes, true, opcode, Some(*key), b"");
            }
            expected.push(match is_text {
                true => Message::Text(text.clone()),
                false => Message::Binary(text.clone().into_bytes()),
            });
        }
        prop_assert_eq!(read(Sender::Client, bytes.chunks(piece)), Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_the_same_in_any_pieces(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        piece in 1usize..16,
    ) {
        let in_one = whole(&bytes);
        prop_assert_eq!(read(Sender::Client, bytes.chunks(piece)), in_one);
    }
}
