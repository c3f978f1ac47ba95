//! HTTP/1.1 as a simulated peer reads it: strictly, and on its own, so that a defect of the gateway's
//! codecs cannot hide behind itself.

use std::time::Duration;

use net::sim::{SimNet, SimStream};
use net::{Net, NetError, StreamExt};

/// How a message or a part of it came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its framing says.
    Whole,
    /// The peer ended the stream before.
    Ended,
    /// The stream failed before.
    Failed(NetError),
    /// The reader was told to leave after so many bytes.
    Left,
    /// The bytes are not HTTP.
    Malformed(String),
}

/// How the body of a message is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Nothing,
    /// By its length.
    Fixed(usize),
    /// By chunks.
    Chunked,
    /// By the end of the stream.
    UntilClose,
}

/// A head: its start line and its fields, names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The only value of a field; `None` if it is not there or more than once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() { None } else { value }
    }

    /// The status of an answer; zero if it has none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// How the body that follows is delimited, for heads that may have one.
    pub fn framing(&self, otherwise: Framing) -> Framing {
        match (self.field("transfer-encoding"), self.field("content-length")) {
            (Some("chunked"), None) => Framing::Chunked,
            (None, Some(length)) => length.parse().map_or(otherwise, Framing::Fixed),
            _ => otherwise,
        }
    }

    /// Whether the sender says that it is the last on its connection.
    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A stream with what was read from it and not yet used.
#[derive(Debug)]
pub struct Reader {
    /// The stream.
    pub stream: SimStream,
    net: SimNet,
    buffer: Vec<u8>,
    /// Pause before each receive.
    pub pace: Duration,
    /// Bytes after which to leave; `None`: stay.
    pub leave_after: Option<usize>,
}

impl Reader {
    /// Reads as fast as it can.
    pub fn new(net: &SimNet, stream: SimStream) -> Reader {
        let (net, buffer) = (net.clone(), Vec::new());
        Reader { stream, net, buffer, pace: Duration::ZERO, leave_after: None }
    }

    /// Takes what has come.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Waits for more bytes.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fill(&mut self) -> Result<(), Ending> {
        if !self.pace.is_zero() {
            self.net.sleep_until(self.net.now() + self.pace).await;
        }
        let chunk = self.stream.recv().await.map_err(Ending::Failed)?;
        if chunk.is_empty() {
            return Err(Ending::Ended);
        }
        self.buffer.extend_from_slice(&chunk);
        if let Some(left) = &mut self.leave_after {
            *left = left.checked_sub(chunk.len()).ok_or(Ending::Left)?;
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Ending> {
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                let text = line.strip_suffix(b"\r\n").map(<[u8]>::to_vec);
                let text = text.and_then(|text| String::from_utf8(text).ok());
                return text.ok_or_else(|| Ending::Malformed(format!("a line is {line:?}")));
            }
            if self.buffer.len() > 64 * 1024 {
                return Err(Ending::Malformed("a line has no end".into()));
            }
            self.fill().await?;
        }
    }

    /// The next head. An end before its first byte is [`Ending::Ended`] with `None` in front.
    ///
    /// # Errors
    /// Why there is none, and whether any of it came.
    pub async fn head(&mut self) -> Result<Head, (bool, Ending)> {
        let start = match self.line().await {
            Ok(start) => start,
            Err(ending) => return Err((!self.buffer.is_empty(), ending)),
        };
        let mut head = Head { start, fields: Vec::new() };
        loop {
            let line = self.line().await.map_err(|ending| (true, ending))?;
            if line.is_empty() {
                return Ok(head);
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err((true, Ending::Malformed(format!("a field is {line:?}"))));
            };
            head.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A body, as far as it came.
    pub async fn body(&mut self, framing: Framing) -> (Vec<u8>, Ending) {
        let mut body = Vec::new();
        let ending = match framing {
            Framing::Nothing => Ending::Whole,
            Framing::Fixed(length) => self.exactly(length, &mut body).await,
            Framing::UntilClose => self.until_close(&mut body).await,
            Framing::Chunked => match self.chunks(&mut body).await {
                Ok(()) => Ending::Whole,
                Err(ending) => ending,
            },
        };
        (body, ending)
    }

    async fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> Ending {
        let wanted = body.len() + length;
        loop {
            let n = (wanted - body.len()).min(self.buffer.len());
            body.extend(self.buffer.drain(..n));
            if body.len() == wanted {
                return Ending::Whole;
            }
            if let Err(ending) = self.fill().await {
                let n = (wanted - body.len()).min(self.buffer.len());
                body.extend(self.buffer.drain(..n));
                return ending;
            }
        }
    }

    async fn until_close(&mut self, body: &mut Vec<u8>) -> Ending {
        loop {
            body.append(&mut self.buffer);
            match self.fill().await {
                Ok(()) => {}
                Err(Ending::Ended) => return Ending::Whole,
                Err(ending) => return ending,
            }
        }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Ending> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(&line, 16)
                .map_err(|_| Ending::Malformed(format!("a chunk begins with {line:?}")))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            match self.exactly(size, body).await {
                Ending::Whole => {}
                ending => return Err(ending),
            }
            let line = self.line().await?;
            if !line.is_empty() {
                return Err(Ending::Malformed(format!("a chunk ends with {line:?}")));
            }
        }
    }
}
