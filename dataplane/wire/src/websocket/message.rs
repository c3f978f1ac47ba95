//! Messages from frames, whatever the pieces they arrive in.

use super::{FrameError, FrameHead, Opcode, Sender, apply_mask, is_close_code, parse_frame_head};
use crate::limits::{CONTROL_FRAME_BYTES_MAX, FRAME_HEAD_BYTES_MAX};

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, all fragments joined.
    Text(String),
    /// Bytes, all fragments joined.
    Binary(Vec<u8>),
    /// To be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// The answer to a ping, or unasked.
    Pong(Vec<u8>),
    /// The end: the code and the reason, if there is any.
    Close(Option<(u16, String)>),
}

/// Reads messages. Holds at most one message, one control frame and one frame's head.
#[derive(Debug)]
pub struct MessageReader {
    sender: Sender,
    message_bytes_max: usize,
    head_bytes: Vec<u8>,
    frame: Option<Frame>,
    /// The data message being joined, and whether it is text.
    message: Option<bool>,
    joined: Vec<u8>,
    /// Bytes of `joined` that are known to be UTF-8.
    valid: usize,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    head: FrameHead,
    taken: u64,
}

impl MessageReader {
    /// A reader of what `sender` says, in messages of at most `message_bytes_max` bytes.
    pub fn new(sender: Sender, message_bytes_max: usize) -> MessageReader {
        MessageReader {
            sender,
            message_bytes_max,
            head_bytes: Vec::new(),
            frame: None,
            message: None,
            joined: Vec::new(),
            valid: 0,
            control: Vec::new(),
        }
    }

    /// Consumes bytes up to the end of the next message, or all of them. Returns how many, and the
    /// message if one is complete. Call again with what is left.
    ///
    /// # Errors
    /// [`FrameError`]; nothing after it can be trusted.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Message>), FrameError> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let mut frame = match self.frame {
                Some(frame) => frame,
                None => {
                    let (consumed, head) = self.read_head(rest)?;
                    at += consumed;
                    let Some(head) = head else { return Ok((at, None)) };
                    Frame { head, taken: 0 }
                }
            };
            let rest = input.get(at..).unwrap_or_default();
            let left = usize::try_from(frame.head.length - frame.taken).unwrap_or(usize::MAX);
            let payload = rest.get(..left.min(rest.len())).unwrap_or_default();
            self.take_payload(&frame, payload)?;
            at += payload.len();
            frame.taken += payload.len() as u64;
            if frame.taken < frame.head.length {
                self.frame = Some(frame);
                return Ok((at, None));
            }
            self.frame = None;
            if let Some(message) = self.end_frame(&frame.head)? {
                return Ok((at, Some(message)));
            }
        }
    }

    /// Collects a head that may come in pieces. Yields how many bytes of the input belong to it.
    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<FrameHead>), FrameError> {
        let held = self.head_bytes.len();
        let take = input.len().min(FRAME_HEAD_BYTES_MAX - held);
        self.head_bytes.extend_from_slice(input.get(..take).unwrap_or_default());
        let Some((head, bytes)) = parse_frame_head(&self.head_bytes, self.sender)? else {
            return Ok((take, None));
        };
        self.head_bytes.clear();
        self.accept(&head)?;
        Ok((bytes - held, Some(head)))
    }

    fn accept(&mut self, head: &FrameHead) -> Result<(), FrameError> {
        match (head.opcode, self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, Some(_)) => {}
            (Opcode::Text | Opcode::Binary, None) => {
                self.message = Some(head.opcode == Opcode::Text);
            }
            _ => return Err(FrameError::Fragmentation),
        }
        // Refused by the announced length, before the bytes are there.
        let room = self.message_bytes_max - self.joined.len();
        if head.length > room as u64 { Err(FrameError::TooLarge) } else { Ok(()) }
    }

    fn take_payload(&mut self, frame: &Frame, payload: &[u8]) -> Result<(), FrameError> {
        let is_control = frame.head.opcode.is_control();
        let into = if is_control { &mut self.control } else { &mut self.joined };
        let start = into.len();
        into.extend_from_slice(payload);
        if let (Some(key), Some(copied)) = (frame.head.mask, into.get_mut(start..)) {
            apply_mask(copied, key, (frame.taken % 4) as usize);
        }
        debug_assert!(self.control.len() <= CONTROL_FRAME_BYTES_MAX, "checked with the head");
        if !is_control && self.message == Some(true) {
            self.check_text()?;
        }
        Ok(())
    }

    /// Fails at the first byte that cannot be text, without waiting for the message's end.
    fn check_text(&mut self) -> Result<(), FrameError> {
        let unchecked = self.joined.get(self.valid..).unwrap_or_default();
        match std::str::from_utf8(unchecked) {
            Ok(text) => self.valid += text.len(),
            Err(error) if error.error_len().is_some() => return Err(FrameError::Utf8),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }

    fn end_frame(&mut self, head: &FrameHead) -> Result<Option<Message>, FrameError> {
        if head.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match head.opcode {
                Opcode::Ping => Message::Ping(payload),
                Opcode::Pong => Message::Pong(payload),
                _ => Message::Close(close_payload(payload)?),
            }));
        }
        if !head.fin {
            return Ok(None);
        }
        self.valid = 0;
        let joined = std::mem::take(&mut self.joined);
        Ok(Some(match self.message.take() {
            Some(true) => Message::Text(String::from_utf8(joined).map_err(|_| FrameError::Utf8)?),
            _ => Message::Binary(joined),
        }))
    }
}

fn close_payload(payload: Vec<u8>) -> Result<Option<(u16, String)>, FrameError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(FrameError::CloseCode);
    };
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(FrameError::CloseCode);
    }
    let reason = String::from_utf8(reason.to_vec()).map_err(|_| FrameError::Utf8)?;
    Ok(Some((code, reason)))
}
