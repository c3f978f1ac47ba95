//! The access log: one JSON object per line and exchange.
//!
//! Workers format lines into buffers of their own and hand whole buffers to a writer thread over a
//! bounded queue. A full queue drops the buffer and counts its lines: a slow disk never slows a
//! request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::Outcome;

/// Bytes after which a worker hands its buffer over.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers that may wait for the writer thread.
const QUEUE_BUFFERS: usize = 256;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// The log of the process: its writer thread and what is known of it.
#[derive(Debug)]
pub struct AccessLog {
    sender: Option<SyncSender<Vec<u8>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    reopen: AtomicBool,
}

impl AccessLog {
    /// Opens the target and starts the writer thread.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be started.
    pub fn open(target: Target) -> io::Result<AccessLog> {
        let mut sink = Sink::open(target)?;
        let (sender, receiver) = sync_channel(QUEUE_BUFFERS);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || sink.write_all(&receiver, &theirs))?;
        Ok(AccessLog { sender: Some(sender), shared, thread: Some(thread) })
    }

    /// A writer for one worker.
    pub fn writer(&self) -> AccessLogWriter {
        AccessLogWriter {
            sender: self.sender.clone(),
            shared: Arc::clone(&self.shared),
            buffer: Vec::with_capacity(BUFFER_BYTES + 4096),
            lines: 0,
        }
    }

    /// Opens the file anew before the next write, for log rotation.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
    }

    /// Lines lost because the writer thread did not keep up or the disk was full.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Ends the writer thread once all writers are gone and their lines are written.
    pub fn close(mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A writer thread that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

/// One worker's end of the log.
#[derive(Debug)]
pub struct AccessLogWriter {
    sender: Option<SyncSender<Vec<u8>>>,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    lines: u64,
}

impl AccessLogWriter {
    /// Appends a line.
    pub fn write(&mut self, outcome: &Outcome<'_>) {
        put_line(&mut self.buffer, outcome);
        self.lines += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    /// Hands over what was written so far.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        let buffer = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER_BYTES + 4096));
        let sent = self.sender.as_ref().map(|sender| sender.try_send(buffer));
        if let Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = sent {
            self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

struct Sink {
    target: Target,
    file: Option<File>,
}

impl Sink {
    fn open(target: Target) -> io::Result<Sink> {
        let file = match &target {
            Target::File(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
            _ => None,
        };
        Ok(Sink { target, file })
    }

    fn write_all(&mut self, receiver: &Receiver<Vec<u8>>, shared: &Shared) {
        while let Ok(buffer) = receiver.recv() {
            if shared.reopen.swap(false, Ordering::AcqRel)
                && let Ok(anew) = Sink::open(self.target.clone())
            {
                *self = anew;
            }
            let written = match (&self.target, &mut self.file) {
                (Target::Stdout, _) => io::stdout().lock().write_all(&buffer),
                (Target::Stderr, _) => io::stderr().lock().write_all(&buffer),
                (Target::File(_), Some(file)) => file.write_all(&buffer),
                (Target::File(_), None) => Ok(()),
            };
            if written.is_err() {
                let lines = buffer.iter().filter(|&&byte| byte == b'\n').count() as u64;
                shared.dropped.fetch_add(lines, Ordering::Relaxed);
            }
        }
    }
}

fn put_line(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    put_time(out, outcome.started_unix_us);
    out.push(b'"');
    put_text(out, "method", outcome.method);
    put_text(out, "host", outcome.host);
    put_text(out, "target", outcome.path);
    put_number(out, "status", u64::from(outcome.status));
    put_text(out, "reason", outcome.reason.map_or("", |r| r.as_str()).as_bytes());
    // Writing to a Vec cannot fail.
    let _ = match outcome.client {
        Some(client) => write!(out, ",\"client\":\"{client}\""),
        None => write!(out, ",\"client\":\"\""),
    };
    put_text(out, "endpoint", outcome.endpoint.unwrap_or_default().as_bytes());
    put_text(out, "request_id", outcome.request_id);
    put_number(out, "request_bytes", outcome.request_bytes);
    put_number(out, "response_bytes", outcome.response_bytes);
    if let Some(first_byte) = outcome.first_byte_us {
        put_number(out, "first_byte_us", u64::from(first_byte));
    }
    put_number(out, "duration_us", outcome.duration_us);
    put_number(out, "attempts", u64::from(outcome.attempts));
    let flag: &[u8] = if outcome.upgraded { b",\"upgraded\":true" } else { b"" };
    out.extend_from_slice(flag);
    out.extend_from_slice(b"}\n");
}

fn put_number(out: &mut Vec<u8>, name: &str, value: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, ",\"{name}\":{value}");
}

/// A JSON string of any bytes: what is not ASCII is shown as if it were Latin-1 (`\u00XX`), so that
/// every byte can be told from every other.
fn put_text(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
    out.push(b'"');
}

/// RFC 3339 in UTC with microseconds.
fn put_time(out: &mut Vec<u8>, unix_us: u64) {
    let (seconds, micros) = (unix_us / 1_000_000, unix_us % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Writing to a Vec cannot fail.
    let _ =
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
}

#[cfg(test)]
mod tests {
    use wire::reason::Reason;

    use super::*;

    fn outcome(path: &[u8]) -> Outcome<'_> {
        Outcome {
            listener: 0,
            route: None,
            upstream: None,
            method: b"GET",
            host: b"h",
            path,
            client: "192.0.2.1:7".parse().ok(),
            endpoint: Some("127.0.0.1:80"),
            request_id: b"id",
            status: 502,
            reason: Some(Reason::UpstreamReset),
            request_bytes: 1,
            response_bytes: 2,
            started_unix_us: 951_782_400_000_042,
            first_byte_us: None,
            duration_us: 3,
            attempts: 2,
            upgraded: true,
        }
    }

    #[test]
    fn a_line_is_json_whatever_the_bytes() {
        let mut out = Vec::new();
        let every: Vec<u8> = (0..=255).collect();
        put_line(&mut out, &outcome(&every));
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("{\"time\":\"2000-02-29T00:00:00.000042Z\",\"method\":\"GET\""));
        assert!(line.contains("\\u0000\\u0001") && line.contains("\\u00ff\",\"status\":502"));
        assert!(line.contains("\\\"#") && line.contains("[\\\\]"));
        assert!(line.ends_with(",\"attempts\":2,\"upgraded\":true}\n"));
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn lines_reach_the_file_and_a_reopened_one() {
        let directory = std::env::temp_dir().join(format!("ringgate-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("access.log");
        let log = AccessLog::open(Target::File(path.clone())).unwrap();
        let mut writer = log.writer();
        writer.write(&outcome(b"/one"));
        writer.flush();
        for _ in 0..500 {
            if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("/one")) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        std::fs::rename(&path, directory.join("old.log")).unwrap();
        log.reopen();
        writer.write(&outcome(b"/two"));
        writer.flush();
        drop(writer);
        assert_eq!(log.dropped(), 0);
        log.close();
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        assert!(read("old.log").contains("/one") && !read("old.log").contains("/two"));
        assert!(read("access.log").contains("/two"));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
