//! Bounds: each refuses what exceeds it, and gives way when there is room again.

use super::{Host, check, dial, pair, pause, recv_exact, small_options};
use crate::{BindOptions, Net, NetError, Options, Stream, StreamExt};

/// The table of streams is shared by both kinds and refuses the one too many.
pub fn streams_beyond_the_maximum_are_refused<H: Host>(host: &'static H) {
    let options = Options { streams_max: 3, ..small_options() };
    check(host, options, async move |net: H::Net| {
        let socket = host.bind(&BindOptions::default());
        let address = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let first = dial(&net, &address).await.unwrap();
        let (incoming, _) = net.accept(&listener).await.unwrap();
        let first_peer = net.open(incoming).unwrap();
        let second = dial(&net, &address).await.unwrap();
        let (incoming, _) = net.accept(&listener).await.unwrap();
        assert_eq!(net.open(incoming).err(), Some(NetError::Exhausted));
        assert_eq!(dial(&net, &address).await.err(), Some(NetError::Exhausted));
        assert_eq!(net.counters().streams_open.value(), 3);
        drop((first, second));
        pause(&net, 20).await;
        let third = dial(&net, &address).await.unwrap();
        let (incoming, _) = net.accept(&listener).await.unwrap();
        let third_peer = net.open(incoming).unwrap();
        third.send_copy(b"x");
        assert_eq!(recv_exact(&third_peer, 1).await.unwrap(), b"x");
        drop(first_peer);
    });
}

/// More copied bytes than the budget fail their stream, and no other.
pub fn copies_beyond_the_send_budget_fail_the_stream<H: Host>(host: &'static H) {
    let options = Options { send_bytes_max: 64 * 1024, ..small_options() };
    check(host, options, async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let (other, other_peer) = pair(host, &net).await;
        client.send_copy(&vec![0; 1024 * 1024]);
        assert_eq!(client.drained(1).await, Err(NetError::BuffersExhausted));
        assert_eq!(client.recv().await.err(), Some(NetError::BuffersExhausted));
        assert!(!client.is_idle());
        assert_eq!(client.queued_bytes(), 0);
        pause(&net, 20).await;
        other.send_copy(b"x");
        assert_eq!(recv_exact(&other_peer, 1).await.unwrap(), b"x");
        drop((client, server));
    });
}

/// Chunks made beyond the budget are refused until one is dropped.
pub fn chunks_beyond_the_send_budget_are_refused<H: Host>(host: &'static H) {
    let options = Options { send_bytes_max: 64 * 1024, ..small_options() };
    check(host, options, async move |net: H::Net| {
        let mut chunks = Vec::new();
        let refused = loop {
            match net.chunk_from(b"held") {
                Ok(chunk) => chunks.push(chunk),
                Err(error) => break error,
            }
            assert!(chunks.len() <= 64, "the budget does not bound");
        };
        assert_eq!(refused, NetError::BuffersExhausted);
        chunks.pop();
        assert_eq!(&*net.chunk_from(b"again").unwrap(), b"again");
    });
}

/// With every buffer held, a stream waits; it goes on when one comes back.
pub fn receiving_without_a_free_buffer_waits_for_one<H: Host>(host: &'static H) {
    let options = Options { recv_buffers: 2, bulk_buffers: 1, ..small_options() };
    check(host, options, async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let (other, other_peer) = pair(host, &net).await;
        let mut held = Vec::new();
        for round in 0..2u8 {
            client.send_copy(&[round]);
            held.push(server.recv().await.unwrap());
        }
        other.send_copy(b"waits");
        net.spawn({
            let net = net.clone();
            async move {
                pause(&net, 60).await;
                drop(held);
            }
        });
        let begun = net.now();
        assert_eq!(recv_exact(&other_peer, 5).await.unwrap(), b"waits");
        assert!(net.now().since(begun).as_millis() >= 50);
        assert!(net.counters().recv_starved.value() > 0);
    });
}
