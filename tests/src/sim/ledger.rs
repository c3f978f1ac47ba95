//! What every peer saw, and whether it adds up.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::script::{Ask, Upload};

/// What a client saw of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The request was sent, at least in part; nothing came.
    Nothing,
    /// The origin's answer, whole.
    Whole(u16),
    /// A refusal of the gateway's own: its reason.
    Refused(String),
    /// The origin's answer, cut by the end of the stream.
    CutByEnd,
    /// The origin's answer, cut by a failure of the stream, or by the client itself.
    CutByFailure,
}

/// One exchange from the client's side.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The request.
    pub ask: Ask,
    /// Whether the client does everything as it should.
    pub is_patient: bool,
    /// What came of it.
    pub seen: Seen,
}

/// The books of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: RefCell<BTreeMap<u64, Entry>>,
    violations: RefCell<Vec<String>>,
    served: RefCell<BTreeSet<u64>>,
    ended_early: RefCell<BTreeSet<u64>>,
    next: Cell<u64>,
    /// Requests that were malformed on purpose.
    pub malformed: Cell<u64>,
    /// Outcomes that the gateway has counted.
    pub outcomes: Cell<u64>,
}

/// One line of the gateway's access log.
#[derive(Clone, Debug)]
struct Line {
    id: u64,
    status: u16,
    reason: String,
}

impl Ledger {
    /// An id for the next request.
    pub fn next_id(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Opens an entry.
    pub fn open(&self, ask: Ask, is_patient: bool) {
        let entry = Entry { ask, is_patient, seen: Seen::Nothing };
        self.entries.borrow_mut().insert(ask.id, entry);
    }

    /// Writes down what came of a request.
    pub fn close(&self, id: u64, seen: Seen) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
            entry.seen = seen;
        }
    }

    /// An origin has read the head of a request.
    pub fn serve(&self, id: u64) {
        self.served.borrow_mut().insert(id);
    }

    /// An origin has read the whole body of a request.
    pub fn uploaded(&self, id: u64, bytes: usize) {
        let entries = self.entries.borrow();
        let sent = entries.get(&id).map(|entry| match entry.ask.upload {
            Upload::Nothing => 0,
            Upload::Fixed(bytes) | Upload::Chunked(bytes) => bytes,
        });
        if sent != Some(bytes) {
            self.violation(format!(
                "an origin read {bytes} bytes as the body of {id}, not {sent:?}"
            ));
        }
    }

    /// An origin had to end a body before its end, in a framing that cannot tell.
    pub fn ended_early(&self, id: u64) {
        self.ended_early.borrow_mut().insert(id);
    }

    /// Whether an origin did that.
    pub fn has_ended_early(&self, id: u64) -> bool {
        self.ended_early.borrow().contains(&id)
    }

    /// Something is wrong.
    pub fn violation(&self, what: impl Into<String>) {
        self.violations.borrow_mut().push(what.into());
    }

    /// Everything that is wrong.
    pub fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }

    /// How often each kind of outcome was seen by clients.
    pub fn tally(&self) -> BTreeMap<String, u64> {
        let mut tally = BTreeMap::new();
        for entry in self.entries.borrow().values() {
            let kind = match &entry.seen {
                Seen::Refused(reason) => format!("refused:{reason}"),
                Seen::Whole(status) => format!("whole:{status}"),
                other => format!("{other:?}"),
            };
            *tally.entry(kind).or_default() += 1;
        }
        tally
    }

    /// Compares what clients saw with the gateway's access log and its counter of outcomes.
    /// `is_strict`: nothing on the gateway's side of the network failed.
    pub fn audit(&self, log: &str, outcomes: u64, is_strict: bool) {
        let lines: Vec<Line> = log.lines().map(parse).collect();
        if lines.len() as u64 != outcomes {
            let count = lines.len();
            self.violation(format!("{count} lines in the log, {outcomes} outcomes counted"));
        }
        let entries = self.entries.borrow();
        let asked = entries.len() as u64 + self.malformed.get();
        if outcomes > asked {
            self.violation(format!("{outcomes} outcomes of {asked} requests"));
        }
        let mut by_id: BTreeMap<u64, Line> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.id != 0) {
            if !entries.contains_key(&line.id) {
                self.violation(format!("an outcome of a request never sent: {line:?}"));
            }
            if by_id.insert(line.id, line.clone()).is_some() {
                self.violation(format!("two outcomes of one request: {line:?}"));
            }
            if line.reason == "internal" {
                self.violation(format!("a defect of the gateway: {line:?}"));
            }
        }
        for id in self.served.borrow().iter().filter(|id| !by_id.contains_key(id)) {
            self.violation(format!("an origin read request {id}, which has no outcome"));
        }
        // A refused head has an outcome without a target.
        let is_unnamed = |entry: &&Entry| {
            matches!(entry.seen, Seen::Refused(_)) && !by_id.contains_key(&entry.ask.id)
        };
        let refused = entries.values().filter(is_unnamed).count();
        let unnamed = lines.iter().filter(|line| line.id == 0).count();
        if refused > unnamed {
            self.violation(format!("{refused} refusals of heads, {unnamed} outcomes of such"));
        }
        for (id, entry) in entries.iter() {
            self.compare(entry, by_id.get(id), is_strict);
        }
    }

    fn compare(&self, entry: &Entry, line: Option<&Line>, is_strict: bool) {
        let text = || format!("{entry:?}, but the log says {line:?}");
        if let Some(line) = line
            && is_strict
            && entry.is_patient
            && !MAY_BE_REFUSED.contains(&line.reason.as_str())
            // An idle connection may close under a request that cannot be repeated.
            && !(line.reason == "upstream_reset" && entry.ask.upload != Upload::Nothing)
        {
            self.violation(format!("nothing went wrong: {}", text()));
        }
        let must_agree = entry.is_patient && is_strict;
        let what = match (&entry.seen, line) {
            (Seen::Whole(status), Some(line))
                if !line.reason.is_empty() || line.status != *status =>
            {
                "whole for the client only"
            }
            (Seen::Whole(_) | Seen::CutByEnd, None) => "no outcome",
            (Seen::CutByEnd, Some(line)) if line.reason.is_empty() && must_agree => {
                "cut, yet recorded as whole"
            }
            (Seen::Nothing, Some(line)) if line.reason.is_empty() && must_agree => {
                "answered, yet nothing came"
            }
            (Seen::Refused(reason), Some(line)) if *reason != line.reason => {
                "refused for another reason"
            }
            _ => return,
        };
        self.violation(format!("{what}: {}", text()));
    }
}

/// What may come of a request although every peer behaves: too many may ask at once.
const MAY_BE_REFUSED: [&str; 4] = ["", "pending_over_limit", "pending_timeout", "request_timeout"];

fn parse(line: &str) -> Line {
    let value = |name: &str| {
        let after = line.split(&format!("\"{name}\":")).nth(1).unwrap_or_default();
        after.split([',', '}']).next().unwrap_or_default().trim_matches('"').to_owned()
    };
    let id = value("target").strip_prefix("/e/").and_then(|rest| {
        let id = rest.split('/').next()?;
        id.parse().ok()
    });
    Line {
        id: id.unwrap_or(0),
        status: value("status").parse().unwrap_or(0),
        reason: value("reason"),
    }
}
