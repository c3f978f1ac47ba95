//! A connection to an endpoint: an idle one, or a new one.

use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use net::{ConnectOptions, Instant, Net, NetError};
use wire::reason::Reason;

use crate::h1::H1Upstream;
use crate::half::ClientHalf;
use crate::upstream::{Endpoint, UpstreamState};

/// A connection in use by one exchange. Gives its place and its share of the endpoint's load back
/// when dropped, on whatever way the exchange ends.
pub(crate) struct Dialed<N: Net> {
    half: Option<H1Upstream<N::Stream>>,
    place: Place<N>,
    /// Whether it carried an exchange before; then its peer may have closed it unseen.
    pub(crate) is_reused: bool,
}

/// The right to one connection to an upstream; given back when dropped.
pub(crate) struct Entry<N: Net> {
    upstream: Rc<UpstreamState<N>>,
}

impl<N: Net> Drop for Entry<N> {
    fn drop(&mut self) {
        self.upstream.leave_place();
    }
}

/// A connection's share of its endpoint's load.
struct Place<N: Net> {
    entry: Entry<N>,
    endpoint: Rc<Endpoint<N>>,
    begun: Instant,
    net: N,
}

impl<N: Net> Dialed<N> {
    pub(crate) fn half(&mut self) -> Option<&mut H1Upstream<N::Stream>> {
        self.half.as_mut()
    }

    pub(crate) fn upstream(&self) -> &Rc<UpstreamState<N>> {
        &self.place.entry.upstream
    }

    /// The exchange went through: the connection is kept if it can carry another one.
    pub(crate) fn finish(mut self) {
        if let Some(stream) = self.half.take().and_then(H1Upstream::into_idle) {
            let now = self.place.net.now();
            self.place.entry.upstream.keep_idle(&self.place.endpoint, stream, now);
        }
    }
}

impl<N: Net> Drop for Place<N> {
    fn drop(&mut self) {
        let latency = self.net.now().since(self.begun).as_micros();
        let latency = u32::try_from(latency).unwrap_or(u32::MAX);
        self.entry.upstream.end(&self.endpoint, latency);
    }
}

/// Waits until the upstream may have one connection more: behind those who came earlier, no
/// longer than `patience`, and only as long as the client waits too.
///
/// # Errors
/// The reason to give up.
pub(crate) async fn enter<N: Net, C: ClientHalf>(
    net: &N,
    upstream: &Rc<UpstreamState<N>>,
    client: &mut C,
    patience: Duration,
    limit: Option<Instant>,
) -> Result<Entry<N>, Reason> {
    let mut waiter = upstream.waiter();
    let place = std::future::poll_fn(|cx| {
        let waited = waiter.is_waiting();
        if let Poll::Ready(place) = waiter.poll_place(cx) {
            return Poll::Ready(place.ok_or(Reason::PendingOverLimit));
        }
        if !waited {
            let until = net.now() + patience;
            client.set_deadline(Some(limit.map_or(until, |limit| limit.min(until))));
        }
        client.poll_gone(cx).map(|error| {
            Err(match error {
                NetError::TimedOut if limit.is_some_and(|limit| net.now() >= limit) => {
                    Reason::RequestTimeout
                }
                NetError::TimedOut => Reason::PendingTimeout,
                NetError::BuffersExhausted => Reason::BuffersExhausted,
                _ => Reason::ClientGone,
            })
        })
    });
    place.await?;
    Ok(Entry { upstream: Rc::clone(upstream) })
}

/// Finds a connection to `endpoint`: an idle one if `reuse`, else a new one.
///
/// # Errors
/// The reason to give up or to try another endpoint.
pub(crate) async fn dial<N: Net>(
    net: &N,
    entry: Entry<N>,
    endpoint: Rc<Endpoint<N>>,
    reuse: bool,
    limit: Option<Instant>,
) -> Result<Dialed<N>, Reason> {
    let upstream = Rc::clone(&entry.upstream);
    upstream.begin(&endpoint);
    let place = Place { entry, endpoint, begun: net.now(), net: net.clone() };
    if reuse && let Some(stream) = upstream.take_idle(&place.endpoint) {
        return Ok(Dialed { half: Some(H1Upstream::new(stream)), place, is_reused: true });
    }
    let options = ConnectOptions { delayed_ack: upstream.delayed_ack() };
    let connect_by = net.now() + upstream.plan().timeouts.connect;
    let deadline = limit.map_or(connect_by, |limit| limit.min(connect_by));
    let connected = Box::pin(net.connect(&place.endpoint.address, options, deadline)).await;
    match connected {
        Ok(stream) => {
            upstream.succeed(&place.endpoint);
            Ok(Dialed { half: Some(H1Upstream::new(stream)), place, is_reused: false })
        }
        Err(error) => {
            upstream.fail(&place.endpoint, net.now());
            Err(match error {
                NetError::TimedOut if limit.is_some_and(|limit| net.now() >= limit) => {
                    Reason::RequestTimeout
                }
                NetError::TimedOut => Reason::ConnectTimeout,
                NetError::DescriptorsExhausted | NetError::Exhausted => {
                    Reason::DescriptorsExhausted
                }
                NetError::BuffersExhausted => Reason::BuffersExhausted,
                _ => Reason::ConnectFailed,
            })
        }
    }
}
