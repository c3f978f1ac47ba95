//! A connection to an endpoint: an idle one, or a new one.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use net::{ConnectOptions, Instant, Net, NetError};
use wire::reason::Reason;

use crate::h1::H1Upstream;
use crate::upstream::{Endpoint, PlaceWait, UpstreamState};

/// A connection in use by one exchange. Gives its place and its share of the endpoint's load back
/// when dropped, on whatever way the exchange ends.
pub(crate) struct Dialed<N: Net> {
    half: Option<H1Upstream<N::Stream>>,
    place: Place<N>,
    /// Whether it carried an exchange before; then its peer may have closed it unseen.
    pub(crate) is_reused: bool,
}

/// A place among an upstream's connections.
struct Place<N: Net> {
    upstream: Rc<UpstreamState<N>>,
    endpoint: Rc<Endpoint<N>>,
    begun: Instant,
    net: N,
}

impl<N: Net> Dialed<N> {
    pub(crate) fn half(&mut self) -> Option<&mut H1Upstream<N::Stream>> {
        self.half.as_mut()
    }

    pub(crate) fn upstream(&self) -> &Rc<UpstreamState<N>> {
        &self.place.upstream
    }

    /// The exchange went through: the connection is kept if it can carry another one.
    pub(crate) fn finish(mut self) {
        if let Some(stream) = self.half.take().and_then(H1Upstream::into_idle) {
            let now = self.place.net.now();
            self.place.upstream.keep_idle(&self.place.endpoint, stream, now);
        }
    }
}

impl<N: Net> Drop for Place<N> {
    fn drop(&mut self) {
        let latency = self.net.now().since(self.begun).as_micros();
        self.upstream.end(&self.endpoint, u32::try_from(latency).unwrap_or(u32::MAX));
        self.upstream.leave_place();
    }
}

/// Finds a connection to `endpoint`: an idle one if `reuse`, else a new one.
///
/// # Errors
/// The reason to give up or to try another endpoint.
pub(crate) async fn dial<N: Net>(
    net: &N,
    upstream: &Rc<UpstreamState<N>>,
    endpoint: Rc<Endpoint<N>>,
    reuse: bool,
    limit: Option<Instant>,
) -> Result<Dialed<N>, Reason> {
    let mut wait = upstream.place();
    match std::future::poll_fn(|cx| Poll::Ready(wait.poll(cx))).await {
        Poll::Ready(placed) => placed.ok_or(Reason::PendingOverLimit)?,
        Poll::Pending => Box::pin(wait_for_place(net, wait, limit)).await?,
    }
    upstream.begin(&endpoint);
    let place =
        Place { upstream: Rc::clone(upstream), endpoint, begun: net.now(), net: net.clone() };
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

/// Waits for a place until `limit`.
async fn wait_for_place<N: Net>(
    net: &N,
    mut wait: PlaceWait<'_, N>,
    limit: Option<Instant>,
) -> Result<(), Reason> {
    let mut expiry = pin!(async {
        match limit {
            Some(limit) => net.sleep_until(limit).await,
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|cx| {
        if let Poll::Ready(placed) = wait.poll(cx) {
            return Poll::Ready(placed.ok_or(Reason::PendingOverLimit));
        }
        expiry.as_mut().poll(cx).map(|()| Err(Reason::RequestTimeout))
    })
    .await
}
