//! Who would serve a request, and why: the text of `ringgate explain`.

use std::fmt::Write as _;

use crate::quantity::{show_duration, show_size};
use crate::snapshot::{
    Action, BalanceKey, Redirect, RedirectPath, RedirectQuery, RedirectScheme, Respond, Route,
    Snapshot, Upstream,
};
use policy::BalanceKind;
use policy::route::RouteQuery;

/// A request to explain.
pub struct Request<'a> {
    /// The method, as on the request line.
    pub method: &'a str,
    /// `http://host[:port]/path[?query]`; `https` too, and a path alone where a `host` header is given.
    pub url: &'a str,
    /// Header fields, names in any case.
    pub headers: &'a [(String, String)],
}

/// Why a request cannot be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Neither an absolute URL nor a path.
    #[error("the URL is neither `http://host/path` nor a path; give one of the two")]
    UrlInvalid,
    /// No host in the URL, and no `host` header.
    #[error("the request names no host; write `http://host/path` or add a `host` header")]
    HostMissing,
}

/// The most routes listed that were considered and lost.
const CONSIDERED_MAX: usize = 10;

/// Tells which route would serve a request and why it won, through which filters, to which upstream and
/// endpoints, with which timeouts. Listeners play no part: each of them serves every route.
///
/// # Errors
/// [`ExplainError`] if the URL does not make a request.
pub fn explain(snapshot: &Snapshot, request: &Request<'_>) -> Result<String, ExplainError> {
    let query = Query::new(request)?;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, snapshot, request, &query);
    Ok(out)
}

fn write_all(
    out: &mut String,
    snapshot: &Snapshot,
    request: &Request<'_>,
    query: &Query<'_>,
) -> std::fmt::Result {
    writeln!(out, "request   {} http://{}{}", request.method, query.authority, query.target)?;
    let found = snapshot.table.find(query);
    let considered = snapshot.table.explain(query);
    let route = found.and_then(|index| snapshot.routes.get(index as usize));
    let why = considered.iter().find(|one| Some(one.index) == found).map(|one| one.why.as_str());
    match route {
        Some(route) => writeln!(out, "route     {}: {}", route.name, why.unwrap_or("it matches"))?,
        None => writeln!(out, "route     none matches: 404, reason no_route")?,
    }
    let mut others = considered.iter().filter(|one| Some(one.index) != found);
    for other in others.by_ref().take(CONSIDERED_MAX) {
        if let Some(route) = snapshot.routes.get(other.index as usize) {
            let why = if other.matches { "matches, but is less specific" } else { &other.why };
            writeln!(out, "  not     {}: {why}", route.name)?;
        }
    }
    let further = others.count();
    if further > 0 {
        writeln!(out, "  not     {further} further routes")?;
    }
    match route {
        Some(route) => write_route(out, snapshot, route),
        None => Ok(()),
    }
}

fn write_route(out: &mut String, snapshot: &Snapshot, route: &Route) -> std::fmt::Result {
    for filter in &route.filters {
        writeln!(out, "filter    {filter}")?;
    }
    match &route.action {
        Action::Redirect(redirect) => writeln!(out, "redirect  {}", show_redirect(redirect)),
        Action::Respond(Respond { status, body, headers }) => {
            writeln!(out, "respond   {status}, {} bytes of body", body.len())?;
            headers.iter().try_for_each(|(name, _)| writeln!(out, "  field   {name}"))
        }
        Action::Forward { backends, weight_total } => {
            for backend in backends {
                if let Some(upstream) = snapshot.upstreams.get(backend.upstream as usize) {
                    let share = (backend.weight, *weight_total);
                    write_upstream(out, upstream, share)?;
                }
            }
            write_terms(out, route)
        }
    }
}

fn write_upstream(
    out: &mut String,
    upstream: &Upstream,
    (weight, total): (u32, u32),
) -> std::fmt::Result {
    let balance = show_balance(upstream);
    writeln!(out, "upstream  {} for {weight} of {total} requests, {balance}", upstream.name)?;
    for endpoint in &upstream.endpoints {
        write!(out, "  endpoint {} weight {}", endpoint.address, endpoint.weight)?;
        match &endpoint.zone {
            Some(zone) => writeln!(out, " zone {zone}")?,
            None => writeln!(out)?,
        }
    }
    let connect = show_duration(upstream.timeouts.connect);
    let idle = show_duration(upstream.keepalive.idle_timeout);
    let kept = upstream.keepalive.idle_per_worker;
    writeln!(out, "  connect within {connect}; {kept} idle connections a worker kept for {idle}")
}

/// What holds for an exchange that is forwarded.
fn write_terms(out: &mut String, route: &Route) -> std::fmt::Result {
    let timeouts = &route.timeouts;
    let request = timeouts.request.map_or("unbounded".to_owned(), show_duration);
    let (first_byte, idle) = (show_duration(timeouts.first_byte), show_duration(timeouts.idle));
    writeln!(out, "timeouts  request {request}, first_byte {first_byte}, idle {idle}")?;
    let body = route.body_bytes.map_or("the listener's bound".to_owned(), show_size);
    writeln!(out, "body      {body}, streamed: nothing is buffered whole")?;
    let upgrade = if route.upgrade { "relayed" } else { "refused" };
    writeln!(out, "retries   {}; upgrades {upgrade}", route.retries)?;
    match &route.host_rewrite {
        Some(host) => writeln!(out, "host      {host}"),
        None => Ok(()),
    }
}

fn show_balance(upstream: &Upstream) -> String {
    let kind = match upstream.balance.kind {
        BalanceKind::RoundRobin => "round_robin",
        BalanceKind::P2c => "p2c",
        BalanceKind::LeastRequest => "least_request",
        BalanceKind::Random => "random",
        BalanceKind::Maglev => "maglev",
    };
    match &upstream.balance.key {
        None => kind.to_owned(),
        Some(BalanceKey::Header(name)) => format!("{kind} by header:{name}"),
        Some(BalanceKey::ClientIp) => format!("{kind} by client_ip"),
        Some(BalanceKey::Path) => format!("{kind} by path"),
    }
}

fn show_redirect(redirect: &Redirect) -> String {
    let mut out = redirect.status.to_string();
    match redirect.scheme {
        Some(RedirectScheme::Http) => out.push_str(", scheme http"),
        Some(RedirectScheme::Https) => out.push_str(", scheme https"),
        None => {}
    }
    if let Some(host) = &redirect.host {
        out.push_str(&format!(", host {host}"));
    }
    match &redirect.path {
        RedirectPath::Keep => out.push_str(", the same path"),
        RedirectPath::Full(path) => out.push_str(&format!(", path {path}")),
        RedirectPath::Prefix { matched, replacement } => {
            out.push_str(&format!(", prefix {matched}/ becomes {replacement}/"));
        }
    }
    out.push_str(match redirect.query {
        RedirectQuery::Keep => ", query kept",
        RedirectQuery::Drop => ", query dropped",
    });
    out
}

/// A request as the table of routes asks for it.
struct Query<'a> {
    method: &'a str,
    authority: &'a str,
    target: &'a str,
    headers: Vec<(String, &'a str)>,
}

impl<'a> Query<'a> {
    fn new(request: &Request<'a>) -> Result<Query<'a>, ExplainError> {
        let headers: Vec<(String, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
            .collect();
        let url = request.url.split('#').next().unwrap_or("");
        let (authority, target) = match url.split_once("://") {
            Some((scheme, rest)) => {
                let is_http =
                    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
                if !is_http {
                    return Err(ExplainError::UrlInvalid);
                }
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at(end);
                (
                    Some(authority).filter(|a| !a.is_empty()),
                    if target.is_empty() { "/" } else { target },
                )
            }
            None if url.starts_with('/') => (None, url),
            None => return Err(ExplainError::UrlInvalid),
        };
        let host = headers.iter().find(|(name, _)| name == "host").map(|(_, value)| *value);
        let authority = host.or(authority).ok_or(ExplainError::HostMissing)?;
        Ok(Query { method: request.method, authority, target, headers })
    }
}

impl RouteQuery for Query<'_> {
    fn host(&self) -> &[u8] {
        let end = match self.authority.rfind([':', ']']) {
            Some(at) if self.authority.get(at..).is_some_and(|rest| rest.starts_with(':')) => at,
            _ => self.authority.len(),
        };
        self.authority.get(..end).unwrap_or("").as_bytes()
    }

    fn path(&self) -> &[u8] {
        match self.target.split('?').next() {
            None | Some("") => b"/",
            Some(path) => path.as_bytes(),
        }
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.target.split_once('?').map(|(_, query)| query.as_bytes())
    }

    fn header(&self, lower_name: &[u8]) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(name, _)| name.as_bytes() == lower_name);
        found.map(|(_, value)| value.as_bytes())
    }
}

#[cfg(test)]
mod tests;
