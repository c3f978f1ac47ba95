//! Time: deadlines of streams, connects and sleeps.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::{
    Host, before, check, dial, fill_until_stalled, gone, pair, pause, recv_exact, small_options,
};
use crate::{BindOptions, ConnectOptions, Net, NetError, Stream, StreamExt};

/// How late a timer may be: the wheel's ticks, and a busy machine.
const LATE_MAX: Duration = Duration::from_secs(3);

/// Nobody listens: refused, not timed out.
pub fn connecting_to_nobody_is_refused<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let refused = dial(&net, &host.nobody()).await.err();
        assert_eq!(refused, Some(NetError::Refused));
    });
}

/// A listener whose queue is full answers nothing: the deadline ends the wait.
pub fn connecting_to_a_full_listener_times_out<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let socket = host.bind(&BindOptions { backlog: 0, ..BindOptions::default() });
        let mut waiting = Vec::new();
        for _ in 0..16 {
            let (begun, options) = (net.now(), ConnectOptions::default());
            let deadline = begun + Duration::from_millis(150);
            match net.connect(socket.address(), options, deadline).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => {
                    assert_eq!(error, NetError::TimedOut);
                    assert!(net.now() >= deadline);
                    assert!(net.now().since(deadline) < LATE_MAX);
                    return;
                }
            }
        }
        panic!("a queue of no length took {} connections", waiting.len());
    });
}

/// A connect that is given up gives its place in the table back.
pub fn a_dropped_connect_leaves_nothing_behind<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let socket = host.bind(&BindOptions { backlog: 0, ..BindOptions::default() });
        let deadline = net.now() + Duration::from_secs(20);
        for _ in 0..8 {
            let options = ConnectOptions::default();
            let mut connect = std::pin::pin!(net.connect(socket.address(), options, deadline));
            let _ = connect.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        pause(&net, 50).await;
        assert_eq!(net.counters().streams_open.value(), 0);
    });
}

/// A deadline passes, a later one lets the stream go on, and nothing is lost in between.
pub fn a_deadline_ends_receiving_and_a_later_one_revives_it<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let deadline = net.now() + Duration::from_millis(60);
        server.set_deadline(Some(deadline));
        assert_eq!(server.recv().await.err(), Some(NetError::TimedOut));
        assert!(net.now() >= deadline);
        assert!(net.now().since(deadline) < LATE_MAX);
        assert_eq!(server.recv().await.err(), Some(NetError::TimedOut), "it stays passed");
        client.send_copy(b"late");
        client.drained(1).await.unwrap();
        server.set_deadline(Some(net.now() + Duration::from_secs(20)));
        assert_eq!(recv_exact(&server, 4).await.unwrap(), b"late");
        assert!(server.is_idle());
        server.set_deadline(Some(net.now()));
        assert_eq!(server.recv().await.err(), Some(NetError::TimedOut), "one already passed");
        server.set_deadline(None);
        let soon = net.now() + Duration::from_millis(60);
        assert!(before(&net, soon, server.recv()).await.is_none(), "none is set");
    });
}

/// A deadline that is put off again and again never fires.
pub fn a_deadline_put_off_does_not_fire<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        for _ in 0..8 {
            server.set_deadline(Some(net.now() + Duration::from_secs(2)));
            pause(&net, 40).await;
            client.send_copy(b"x");
            assert_eq!(recv_exact(&server, 1).await.unwrap(), b"x");
        }
        server.set_deadline(Some(net.now() + Duration::from_millis(40)));
        server.set_deadline(Some(net.now() + Duration::from_secs(20)));
        let soon = net.now() + Duration::from_millis(150);
        assert!(before(&net, soon, server.recv()).await.is_none());
    });
}

/// A nearer deadline replaces a farther one.
pub fn a_deadline_brought_forward_fires<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (_client, server) = pair(host, &net).await;
        server.set_deadline(Some(net.now() + Duration::from_secs(1000)));
        let near = net.now() + Duration::from_millis(60);
        server.set_deadline(Some(near));
        assert_eq!(server.recv().await.err(), Some(NetError::TimedOut));
        assert!(net.now() >= near);
        assert!(net.now().since(near) < LATE_MAX);
    });
}

/// A peer that does not read is waited for no longer than the deadline.
pub fn a_deadline_ends_draining<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, _server) = pair(host, &net).await;
        fill_until_stalled(&net, &client).await;
        let deadline = net.now() + Duration::from_millis(60);
        client.set_deadline(Some(deadline));
        assert_eq!(client.drained(1).await, Err(NetError::TimedOut));
        assert!(net.now() >= deadline);
        assert_eq!(client.drained(usize::MAX).await, Ok(()), "this one need not wait");
    });
}

/// Waiting for the peer to be gone is bounded too.
pub fn a_deadline_shows_in_gone<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        client.send_copy(b"unread");
        server.set_deadline(Some(net.now() + Duration::from_millis(60)));
        assert_eq!(gone(&server).await, NetError::TimedOut);
        assert_eq!(recv_exact(&server, 6).await.unwrap(), b"unread", "this need not wait");
    });
}

/// Many sleeps end in the order of their deadlines, none before its own.
pub fn sleeps_end_in_order_and_never_early<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let ended = Rc::new(RefCell::new(Vec::new()));
        for ms in [250u64, 50, 150, 0, 100, 200] {
            let (net, ended) = (net.clone(), Rc::clone(&ended));
            net.clone().spawn(async move {
                let deadline = net.now() + Duration::from_millis(ms);
                net.sleep_until(deadline).await;
                assert!(net.now() >= deadline);
                ended.borrow_mut().push(ms);
            });
        }
        let before_all = net.unix_us();
        for _ in 0..20 {
            let mut sleep = std::pin::pin!(net.sleep_until(net.now() + Duration::from_secs(3600)));
            let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        pause(&net, 400).await;
        assert_eq!(*ended.borrow(), [0, 50, 100, 150, 200, 250]);
        assert!(net.unix_us() - before_all >= 390_000);
    });
}
