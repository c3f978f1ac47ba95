//! What the model says, and how it is told: at once or word by word.

use net::Net;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::{TOKENS_MAX, count, flag, name, tokens};
use crate::answer::{Answer, Length};
use crate::connection::{Connection, Handled};
use crate::limits;

/// A completion that was asked for, with everything checked.
#[derive(Debug)]
pub(super) struct Speech {
    pub(super) model: String,
    /// The words of each choice, with the blanks in front of them.
    pub(super) words: Vec<String>,
    pub(super) choices: u64,
    pub(super) finish_reason: &'static str,
    pub(super) is_streamed: bool,
    pub(super) includes_usage: bool,
    pub(super) prompt_tokens: u64,
}

impl Speech {
    /// Reads what all completions have in common. `max_fields` are the names of the bound on
    /// tokens; the first one present counts.
    pub(super) fn new(
        body: &Map<String, Value>,
        text: &str,
        prompt_tokens: u64,
        max_fields: &[&'static str],
    ) -> Result<Speech, ApiError> {
        let model = name(body)?.to_owned();
        let choices = count(body, "n", limits::CHOICES_MAX)?.unwrap_or(1);
        let mut words_max = None;
        for field in max_fields {
            words_max = words_max.or(count(body, field, TOKENS_MAX)?);
        }
        let text = stopped(text, body.get("stop"));
        let mut words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let mut finish_reason = "stop";
        if let Some(max) = words_max.and_then(|max| usize::try_from(max).ok())
            && words.len() > max
        {
            words.truncate(max);
            finish_reason = "length";
        }
        let bytes: usize = words.iter().map(String::len).sum();
        if bytes.saturating_mul(choices as usize) > limits::COMPLETION_BYTES_MAX {
            return Err(ApiError::invalid("all choices together are too large", Some("n")));
        }
        let is_streamed = flag(body, "stream")?;
        let includes_usage = match body.get("stream_options") {
            Some(Value::Object(options)) => flag(options, "include_usage")?,
            _ => false,
        };
        Ok(Speech {
            model,
            words,
            choices,
            finish_reason,
            is_streamed,
            includes_usage,
            prompt_tokens,
        })
    }

    pub(super) fn text(&self) -> String {
        self.words.concat()
    }

    pub(super) fn usage(&self) -> Value {
        let completion = self.words.iter().map(|word| tokens(word)).sum::<u64>() * self.choices;
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        })
    }

    /// Waits as long as this model takes before its first token.
    pub(super) async fn think<N: Net>(&self, cx: &Connection<N>) -> Handled {
        if self.model == "slow" {
            cx.pause(limits::SLOW_FIRST_TOKEN).await?;
        }
        Ok(())
    }

    /// Begins a stream of chunks.
    pub(super) fn start<N: Net>(&self, cx: &mut Connection<N>) {
        let answer = Answer::new(200)
            .field("content-type", b"text/event-stream; charset=utf-8")
            .field("cache-control", b"no-cache");
        cx.start(&answer, Length::Stream);
    }

    /// Streams the words of all choices; `chunk` makes a chunk of a choice's index and a word.
    /// The model `cut` breaks off half-way.
    pub(super) async fn stream<N: Net>(
        &self,
        cx: &mut Connection<N>,
        chunk: impl Fn(u64, &str) -> Value,
    ) -> Handled {
        let interval = cx.settings.token_interval;
        for (index, word) in self.words.iter().enumerate() {
            if self.model == "cut" && index >= self.words.len().div_ceil(2) {
                return Err(cx.break_off().await);
            }
            if index > 0 {
                cx.pause(interval).await?;
            }
            for choice in 0..self.choices {
                put(cx, &chunk(choice, word)).await?;
            }
        }
        Ok(())
    }
}

/// Sends one chunk of a stream.
pub(super) async fn put<N: Net>(cx: &mut Connection<N>, chunk: &Value) -> Handled {
    cx.data(format!("data: {chunk}\n\n").as_bytes()).await
}

/// Ends a stream of chunks.
pub(super) async fn done<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.data(b"data: [DONE]\n\n").await?;
    cx.end(b"");
    Ok(())
}

/// An id in the manner of OpenAI, and the time in seconds.
pub(super) fn stamp<N: Net>(cx: &Connection<N>, prefix: &str) -> (String, u64) {
    (format!("{prefix}-{:016x}", cx.net.random()), cx.net.unix_us() / 1_000_000)
}

/// The text up to the first stop sequence.
fn stopped<'a>(text: &'a str, stop: Option<&Value>) -> &'a str {
    let stops: Vec<&str> = match stop {
        Some(Value::String(stop)) => vec![stop],
        // OpenAI takes four.
        Some(Value::Array(stops)) => stops.iter().take(4).filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let ends = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop));
    ends.min().and_then(|end| text.get(..end)).unwrap_or(text)
}
