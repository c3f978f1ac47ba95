//! One request, from its head to its one outcome. Read downwards: this is the gateway.
//!
//! Nothing here knows the protocol's version or TLS; see [`crate::half`].

use std::rc::Rc;

use config::snapshot::{
    Action, BalanceKey, Listener, Redirect, RedirectPath, RedirectQuery, RedirectScheme, Respond,
    Route, Snapshot,
};
use net::{Instant, Net};
use policy::balance::stable_hash;
use policy::route::RouteQuery;
use wire::reason::Reason;
use wire::{BodyLength, FieldId, Method};

use crate::answer::{Answer, refusal_body};
use crate::dial::{dial, enter};
use crate::forward::RequestForwarding;
use crate::half::{ClientHalf, Request, RequestStart};
use crate::outcome::Record;
use crate::relay::{Attempt, attempt};
use crate::session::SessionContext;
use crate::snapshot::SnapshotHandle;
use crate::upstream::UpstreamState;
use crate::worker::Worker;

/// What forwarding needs of a request once its head was routed, filtered and encoded.
pub(crate) struct Plan<N: Net> {
    pub(crate) snapshot: SnapshotHandle,
    pub(crate) route: usize,
    pub(crate) upstream: Rc<UpstreamState<N>>,
    /// The request's head as any endpoint gets it.
    pub(crate) encoded: Vec<u8>,
    pub(crate) start: RequestStart,
    /// The protocols offered in Upgrade, if the route passes them on.
    pub(crate) offered: Option<Box<[u8]>>,
    pub(crate) total: Option<Instant>,
    pub(crate) body_bytes_max: u64,
    key: Option<u64>,
}

/// Serves one request.
pub(crate) async fn serve<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    cx: &Rc<SessionContext>,
    client: &mut C,
    request: Box<Request>,
) {
    let mut record = Record::begin(worker, cx, &request);
    let begun = begin(worker, cx, client, &request, &mut record);
    worker.return_request(request);
    if let Some(mut plan) = begun {
        let ended = forward(worker, cx, client, &mut plan, &mut record).await;
        worker.return_buffer(std::mem::take(&mut plan.encoded));
        if let Err(reason) = ended {
            refuse(worker, client, &mut record, reason);
        }
    }
}

/// Routes and filters the request; answers it if no upstream is to be asked.
fn begin<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    cx: &Rc<SessionContext>,
    client: &mut C,
    request: &Request,
    record: &mut Record<N>,
) -> Option<Plan<N>> {
    let handle = worker.snapshot();
    let Some(snapshot) = handle.get() else {
        refuse(worker, client, record, Reason::Internal);
        return None;
    };
    let query = Query { request };
    let Some(index) = snapshot.table.find(&query).map(|index| index as usize) else {
        refuse(worker, client, record, Reason::NoRoute);
        return None;
    };
    let Some(route) = snapshot.routes.get(index) else {
        refuse(worker, client, record, Reason::Internal);
        return None;
    };
    record.route = Some(route.slot);
    let body_bytes_max = route.body_bytes.unwrap_or(cx.limits.body_bytes);
    if matches!(request.head.body, BodyLength::Fixed(bytes) if bytes > body_bytes_max) {
        refuse(worker, client, record, Reason::BodyTooLarge);
        return None;
    }
    match &route.action {
        Action::Respond(respond) => {
            answer_fixed(worker, client, record, respond);
            None
        }
        Action::Redirect(redirect) => {
            answer_redirect(worker, client, record, request, redirect);
            None
        }
        Action::Forward { backends, weight_total } => {
            let mut ticket = worker.net.random() % u64::from((*weight_total).max(1));
            let chosen = backends.iter().find(|backend| {
                let hit = ticket < u64::from(backend.weight);
                ticket = ticket.wrapping_sub(u64::from(backend.weight));
                hit
            });
            let upstream = chosen
                .and_then(|backend| snapshot.upstreams.get(backend.upstream as usize))
                .and_then(|plan| worker.upstream(plan.slot));
            let Some(upstream) = upstream else {
                refuse(worker, client, record, Reason::NoEndpoint);
                return None;
            };
            record.upstream = Some(upstream.slot());
            let total = route.timeouts.request.map(|timeout| record.begun() + timeout);
            let key = balance_key(&upstream, request, cx);
            let offered = offered_upgrade(route, request);
            let start = RequestStart { body: request.head.body, method: request.head.method };
            let encoded = encode(worker, cx, snapshot, route, request, offered.is_some(), record);
            Some(Plan {
                snapshot: handle.clone(),
                route: index,
                upstream,
                encoded,
                start,
                offered,
                total,
                body_bytes_max,
                key,
            })
        }
    }
}

/// Tries endpoints until one has answered, or there is no use in going on.
async fn forward<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    cx: &Rc<SessionContext>,
    client: &mut C,
    plan: &mut Plan<N>,
    record: &mut Record<N>,
) -> Result<(), Reason> {
    let (retries, patience) = match plan.snapshot.get().and_then(|s| s.routes.get(plan.route)) {
        Some(route) => (route.retries, route.timeouts.first_byte),
        None => return Err(Reason::Internal),
    };
    let mut tried = 0;
    let mut reuse = true;
    let mut failures = 0;
    let mut last = match plan.upstream.has_endpoints() {
        true => Reason::NoEndpoint,
        false => unresolved_or_empty(&plan.upstream),
    };
    while failures <= retries {
        if !plan.upstream.has_endpoints() {
            return Err(last);
        }
        // The endpoint is chosen after the wait, among those that are there by then.
        let entry = enter(&worker.net, &plan.upstream, client, patience, plan.total).await?;
        let now = worker.net.now();
        let Some(endpoint) = plan.upstream.pick(now, worker.net.random(), plan.key, tried) else {
            return Err(last);
        };
        record.attempts = record.attempts.saturating_add(1);
        record.set_endpoint(&endpoint.label);
        let bit = UpstreamState::bit(&endpoint);
        let mut dialed = match dial(&worker.net, entry, endpoint, reuse, plan.total).await {
            Ok(dialed) => dialed,
            Err(reason) if is_worth_another(reason) => {
                worker.metrics.upstream_connect_failed(plan.upstream.slot());
                last = reason;
                tried |= bit;
                failures += 1;
                continue;
            }
            Err(reason) => return Err(reason),
        };
        match attempt(worker, cx, client, plan, record, &mut dialed).await {
            Attempt::Done => {
                dialed.finish();
                return Ok(());
            }
            Attempt::Cut => return Ok(()),
            // The peer had closed the idle connection: the request never reached anybody. Other
            // idle connections may be as dead, so a new one is made.
            Attempt::Stale => {
                worker.metrics.upstream_retry(plan.upstream.slot());
                reuse = false;
            }
            Attempt::Failed(reason) => return Err(reason),
        }
    }
    Err(last)
}

/// Failures after which another endpoint is tried: nothing was sent yet.
fn is_worth_another(reason: Reason) -> bool {
    matches!(reason, Reason::ConnectFailed | Reason::ConnectTimeout)
}

fn unresolved_or_empty<N: Net>(upstream: &UpstreamState<N>) -> Reason {
    let plan = upstream.plan();
    let has_names = plan
        .endpoints
        .iter()
        .any(|e| matches!(e.address, config::snapshot::EndpointAddress::Name { .. }));
    if has_names { Reason::NameUnresolved } else { Reason::NoEndpoint }
}

/// Runs the filters on the request and encodes its head as the upstream gets it.
fn encode<N: Net>(
    worker: &Rc<Worker<N>>,
    cx: &Rc<SessionContext>,
    snapshot: &Snapshot,
    route: &Route,
    request: &Request,
    upgrades: bool,
    record: &mut Record<N>,
) -> Vec<u8> {
    let listener: &Listener = match cx.listener(snapshot) {
        Some(listener) => listener,
        None => &cx.listener,
    };
    let (head, bytes) = (&request.head, request.bytes());
    let mut id_buffer = [0; 32];
    let request_id: &[u8] = match listener.request_id {
        false => b"",
        true => match head.find(FieldId::XRequestId).map(|field| field.value.of(bytes)) {
            Some(id) if is_acceptable_id(id) => id,
            _ => {
                put_hex(worker.net.random(), worker.net.random(), &mut id_buffer);
                &id_buffer
            }
        },
    };
    record.set_request_id(request_id);
    let client_ip = cx.peer.get().map(|peer| peer.ip());
    let mut edits = worker.edits.borrow_mut();
    edits.clear();
    if !route.chain.is_empty() {
        let view = filters::RequestView { head, bytes, client_ip, request_id };
        route.chain.on_request(&view, &mut edits);
    }
    let forwarding = RequestForwarding {
        request,
        edits: &edits,
        host: route.host_rewrite.as_deref(),
        client_ip,
        scheme: cx.scheme,
        forwarded: &listener.forwarded,
        via: listener.via,
        request_id,
        upgrades,
    };
    let mut encoded = worker.take_buffer();
    forwarding.put(&mut encoded);
    encoded
}

/// Ids of callers are kept if they are short and printable.
fn is_acceptable_id(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn put_hex(high: u64, low: u64, out: &mut [u8; 32]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = u128::from(high) << 64 | u128::from(low);
    for (index, digit) in out.iter_mut().enumerate() {
        *digit = DIGITS[(bits >> (124 - 4 * index)) as usize & 15];
    }
}

fn balance_key<N: Net>(
    upstream: &UpstreamState<N>,
    request: &Request,
    cx: &SessionContext,
) -> Option<u64> {
    let plan = upstream.plan();
    let bytes = request.bytes();
    match plan.balance.key.as_ref()? {
        BalanceKey::Header(name) => request.head.find_name(bytes, name.as_bytes()).map(stable_hash),
        BalanceKey::ClientIp => match cx.peer.get()?.ip() {
            std::net::IpAddr::V4(ip) => Some(stable_hash(&ip.octets())),
            std::net::IpAddr::V6(ip) => Some(stable_hash(&ip.octets())),
        },
        BalanceKey::Path => Some(stable_hash(request.head.path.of(bytes))),
    }
}

fn offered_upgrade(route: &Route, request: &Request) -> Option<Box<[u8]>> {
    if !route.upgrade {
        return None;
    }
    if request.head.method == Method::Connect {
        return Some(Box::default());
    }
    request.head.upgrade.map(|upgrade| upgrade.of(request.bytes()).into())
}

// --- answers of our own ---

fn refuse<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    client: &mut C,
    record: &mut Record<N>,
    reason: Reason,
) {
    if reason == Reason::ClientGone {
        client.abort();
        record.complete(Some(reason));
        return;
    }
    let body = refusal_body(reason);
    let answer = Answer::refusal(reason, &body, worker.net.unix_us());
    send(worker, client, record, &answer);
    record.complete(Some(reason));
}

fn answer_fixed<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    client: &mut C,
    record: &mut Record<N>,
    respond: &Respond,
) {
    let answer = Answer {
        status: respond.status,
        reason: None,
        fields: &respond.headers,
        location: None,
        content_type: "text/plain; charset=utf-8",
        body: &respond.body,
        unix_us: worker.net.unix_us(),
    };
    send(worker, client, record, &answer);
    record.complete(None);
}

fn answer_redirect<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    client: &mut C,
    record: &mut Record<N>,
    request: &Request,
    redirect: &Redirect,
) {
    let mut location = worker.take_buffer();
    let (head, bytes) = (&request.head, request.bytes());
    let authority = head.authority.of(bytes);
    if redirect.scheme.is_some() || redirect.host.is_some() {
        location.extend_from_slice(match redirect.scheme {
            Some(RedirectScheme::Http) => b"http://",
            Some(RedirectScheme::Https) => b"https://",
            // The request's own.
            None => b"//",
        });
        location.extend_from_slice(redirect.host.as_deref().map_or(authority, str::as_bytes));
    }
    let path = head.path.of(bytes);
    match &redirect.path {
        RedirectPath::Keep => location.extend_from_slice(path),
        RedirectPath::Full(path) => location.extend_from_slice(path.as_bytes()),
        RedirectPath::Prefix { matched, replacement } => {
            let rest = path.strip_prefix(matched.as_bytes()).unwrap_or(path);
            location.extend_from_slice(replacement.as_bytes());
            location.extend_from_slice(rest);
            if !location.ends_with(b"/") && rest.is_empty() && replacement.is_empty() {
                location.push(b'/');
            }
        }
    }
    if redirect.query == RedirectQuery::Keep
        && let Some(query) = head.query
    {
        location.push(b'?');
        location.extend_from_slice(query.of(bytes));
    }
    let answer = Answer {
        status: redirect.status,
        reason: None,
        fields: &[],
        location: Some(&location),
        content_type: "text/plain",
        body: b"",
        unix_us: worker.net.unix_us(),
    };
    send(worker, client, record, &answer);
    record.complete(None);
    worker.return_buffer(location);
}

fn send<N: Net, C: ClientHalf>(
    worker: &Rc<Worker<N>>,
    client: &mut C,
    record: &mut Record<N>,
    answer: &Answer<'_>,
) {
    client.send_answer(answer, &mut worker.scratch.borrow_mut());
    record.answered(answer.status);
    record.response_bytes = answer.body.len() as u64;
}

/// A request as the route table asks about it.
struct Query<'a> {
    request: &'a Request,
}

impl RouteQuery for Query<'_> {
    fn host(&self) -> &[u8] {
        without_port(self.request.head.authority.of(self.request.bytes()))
    }

    fn path(&self) -> &[u8] {
        self.request.head.path.of(self.request.bytes())
    }

    fn method(&self) -> &[u8] {
        self.request.head.method_text.of(self.request.bytes())
    }

    fn query(&self) -> Option<&[u8]> {
        self.request.head.query.map(|query| query.of(self.request.bytes()))
    }

    fn header(&self, lower_name: &[u8]) -> Option<&[u8]> {
        self.request.head.find_name(self.request.bytes(), lower_name)
    }
}

/// The host of an authority (RFC 3986 §3.2).
fn without_port(authority: &[u8]) -> &[u8] {
    let end = match authority.first() {
        Some(b'[') => authority.iter().position(|&b| b == b']').map(|at| at + 1),
        _ => authority.iter().position(|&b| b == b':'),
    };
    authority.get(..end.unwrap_or(authority.len())).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port_and_nothing_else() {
        for (authority, host) in [
            ("a.example:80", "a.example"),
            ("a.example", "a.example"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(without_port(authority.as_bytes()), host.as_bytes());
        }
    }

    #[test]
    fn request_ids_are_32_hexadecimal_digits() {
        let mut out = [0; 32];
        put_hex(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, &mut out);
        assert_eq!(&out, b"0123456789abcdeffedcba9876543210");
    }
}
