//! What is told of an exchange when it ends: exactly once, on every way out.

use std::rc::Rc;

use net::{Instant, Net};
use telemetry::Outcome;
use wire::reason::Reason;

use crate::half::Request;
use crate::session::SessionContext;
use crate::worker::Worker;

/// The growing record of one exchange. Dropping it records it, also when the exchange is cancelled
/// or panics.
pub(crate) struct Record<N: Net> {
    worker: Rc<Worker<N>>,
    cx: Rc<SessionContext>,
    begun: Instant,
    begun_unix_us: u64,
    first_byte: Option<Instant>,
    pub(crate) route: Option<u32>,
    pub(crate) upstream: Option<u32>,
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) attempts: u8,
    pub(crate) is_upgraded: bool,
    is_complete: bool,
    /// Only while an access log is written.
    log: Option<Box<LogFields>>,
}

/// What the access log wants to know and the exchange itself can forget.
#[derive(Default)]
struct LogFields {
    method: Vec<u8>,
    host: Vec<u8>,
    target: Vec<u8>,
    request_id: Vec<u8>,
    endpoint: Option<String>,
}

/// Bytes of a target that the access log shows at most.
const LOGGED_TARGET_MAX: usize = 2048;

impl<N: Net> Record<N> {
    pub(crate) fn begin(
        worker: &Rc<Worker<N>>,
        cx: &Rc<SessionContext>,
        request: &Request,
    ) -> Self {
        let log = worker.logs_access().then(|| {
            let (head, bytes) = (&request.head, request.bytes());
            let target = head.target.of(bytes);
            Box::new(LogFields {
                method: head.method_text.of(bytes).to_vec(),
                host: head.authority.of(bytes).to_vec(),
                target: target.get(..LOGGED_TARGET_MAX).unwrap_or(target).to_vec(),
                ..LogFields::default()
            })
        });
        worker.status.exchange_begun();
        Record {
            worker: Rc::clone(worker),
            cx: Rc::clone(cx),
            begun: worker.net.now(),
            begun_unix_us: worker.net.unix_us(),
            first_byte: None,
            route: None,
            upstream: None,
            status: 0,
            reason: None,
            request_bytes: request.bytes().len() as u64,
            response_bytes: 0,
            attempts: 0,
            is_upgraded: false,
            is_complete: false,
            log,
        }
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The head of an answer is on its way.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
        self.first_byte = Some(self.worker.net.now());
    }

    /// The exchange came to its end; without this it was cancelled by a defect of ours.
    pub(crate) fn complete(&mut self, reason: Option<Reason>) {
        self.reason = reason;
        self.is_complete = true;
    }

    pub(crate) fn set_request_id(&mut self, id: &[u8]) {
        if let Some(log) = &mut self.log {
            log.request_id = id.to_vec();
        }
    }

    pub(crate) fn set_endpoint(&mut self, label: &str) {
        if let Some(log) = &mut self.log {
            log.endpoint = Some(label.to_owned());
        }
    }
}

impl<N: Net> Drop for Record<N> {
    fn drop(&mut self) {
        let now = self.worker.net.now();
        let micros = |until: Instant| until.since(self.begun).as_micros();
        let log = self.log.as_deref();
        let text = |field: fn(&LogFields) -> &[u8]| log.map_or(&[][..], field);
        let reason = self.reason.or((!self.is_complete).then_some(Reason::Internal));
        let outcome = Outcome {
            listener: self.cx.listener_slot,
            route: self.route,
            upstream: self.upstream,
            method: text(|log| &log.method),
            host: text(|log| &log.host),
            path: text(|log| &log.target),
            client: self.cx.peer.get(),
            endpoint: log.and_then(|log| log.endpoint.as_deref()),
            request_id: text(|log| &log.request_id),
            status: self.status,
            reason,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            started_unix_us: self.begun_unix_us,
            first_byte_us: self.first_byte.map(|at| u32::try_from(micros(at)).unwrap_or(u32::MAX)),
            duration_us: u64::try_from(micros(now)).unwrap_or(u64::MAX),
            attempts: self.attempts,
            upgraded: self.is_upgraded,
        };
        self.worker.record(&outcome);
        self.worker.status.exchange_ended();
    }
}
