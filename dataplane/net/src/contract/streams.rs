//! Bytes: they arrive whole, in order, and end as they should.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{
    Host, check, dial, fill_until_stalled, gone, pair, pattern, pause, recv_all, recv_exact,
    small_options,
};
use crate::{BindOptions, Chunk, Net, NetError, Stream, StreamExt};

/// An echo, then the end of the stream from both sides, the latter for ever.
pub fn echoes_and_ends<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        net.spawn(async move {
            loop {
                let chunk = server.recv().await.unwrap();
                if chunk.is_empty() {
                    break;
                }
                server.send(chunk);
            }
            server.shutdown();
            server.drained(1).await.unwrap();
        });
        for round in 0..100 {
            let message = format!("message {round}");
            client.send_copy(message.as_bytes());
            let echo = recv_exact(&client, message.len()).await.unwrap();
            assert_eq!(echo, message.as_bytes());
        }
        client.shutdown();
        for _ in 0..3 {
            assert!(client.recv().await.unwrap().is_empty());
        }
    });
}

/// Copies, pooled chunks, shared chunks and empty ones keep their order.
pub fn mixed_pieces_arrive_whole_and_in_order<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let mut expected = Vec::new();
        for round in 0..400 {
            let len = (net.random() % 9000) as usize % (1 << (round % 14));
            let bytes: Vec<u8> = (0..len).map(|i| pattern(i + round)).collect();
            match net.random() % 4 {
                0 => client.send_copy(&bytes),
                1 if len <= 4096 => client.send(net.chunk_from(&bytes).unwrap()),
                2 => {
                    let mut chunk = Chunk::from_bytes(Bytes::from(bytes.clone()));
                    client.send(chunk.split_to(len / 3));
                    client.send(Chunk::EMPTY);
                    client.send(chunk);
                }
                _ => client.send(Chunk::from_bytes(Bytes::from(bytes.clone()))),
            }
            expected.extend_from_slice(&bytes);
            if round % 7 == 0 {
                let queued = client.queued_bytes();
                assert!(queued <= expected.len());
                assert_eq!(recv_exact(&server, expected.len()).await.unwrap(), expected);
                assert_eq!(client.queued_bytes(), 0);
                expected.clear();
            }
        }
    });
}

/// Eight megabytes each way at once, through small arenas, every byte checked; the senders' queues
/// stay within their bound.
pub fn large_transfers_go_both_ways_at_once<H: Host>(host: &'static H) {
    const BYTES: usize = 8 * 1024 * 1024;
    const HIGH: usize = 64 * 1024;

    async fn send_pattern(stream: &impl Stream) {
        let page = Bytes::from((0..251 * 64).map(pattern).collect::<Vec<u8>>());
        let mut sent = 0;
        while sent < BYTES {
            let mut chunk = Chunk::from_bytes(page.clone());
            chunk.truncate(BYTES - sent);
            sent += chunk.len();
            stream.send(chunk);
            stream.drained(HIGH).await.unwrap();
            assert!(stream.queued_bytes() < HIGH);
        }
        stream.shutdown();
    }

    async fn check_pattern(stream: &impl Stream) {
        let mut received = 0;
        loop {
            let chunk = stream.recv().await.unwrap();
            if chunk.is_empty() {
                break;
            }
            let is_right = chunk.iter().enumerate().all(|(i, &b)| b == pattern(received + i));
            assert!(is_right, "wrong bytes after {received}");
            received += chunk.len();
        }
        assert_eq!(received, BYTES);
    }

    async fn both(stream: impl Stream) {
        let mut sending = std::pin::pin!(send_pattern(&stream));
        let mut receiving = std::pin::pin!(check_pattern(&stream));
        let (mut sent, mut received) = (false, false);
        std::future::poll_fn(|cx| {
            sent = sent || sending.as_mut().poll(cx).is_ready();
            received = received || receiving.as_mut().poll(cx).is_ready();
            if sent && received { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        stream.drained(1).await.unwrap();
    }

    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let (post, mut finished) = crate::mailbox::<()>(1);
        net.spawn(async move {
            both(server).await;
            post.post(()).unwrap();
        });
        both(client).await;
        finished.take().await;
    });
}

/// Backpressure reaches the sender, and every byte arrives once the peer reads.
pub fn a_peer_that_does_not_read_holds_the_sender_back<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let queued = fill_until_stalled(&net, &client).await;
        assert!(client.queued_bytes() >= 64 * 1024);
        client.shutdown();
        let received = recv_all(&server).await.unwrap();
        assert_eq!(received.len(), queued);
        client.drained(1).await.unwrap();
    });
}

/// The peer's end does not end our own direction.
pub fn a_half_closed_stream_still_answers<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        client.send_copy(b"request");
        client.shutdown();
        assert_eq!(recv_all(&server).await.unwrap(), b"request");
        assert!(!server.is_idle());
        pause(&net, 20).await;
        server.send_copy(b"answer");
        server.drained(1).await.unwrap();
        drop(server);
        assert_eq!(recv_all(&client).await.unwrap(), b"answer");
    });
}

/// A peer that drops unread bytes resets us while we wait to receive.
pub fn a_reset_shows_in_recv<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        fill_until_stalled(&net, &client).await;
        net.spawn({
            let net = net.clone();
            async move {
                pause(&net, 30).await;
                drop(server);
            }
        });
        assert_eq!(recv_all(&client).await, Err(NetError::Reset));
        assert_eq!(client.drained(1).await, Err(NetError::Reset));
        assert!(!client.is_idle());
        client.send_copy(b"dropped");
        assert_eq!(client.queued_bytes(), 0);
    });
}

/// The same while we wait for the peer to be gone.
pub fn a_reset_shows_in_gone<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        fill_until_stalled(&net, &client).await;
        net.spawn({
            let net = net.clone();
            async move {
                pause(&net, 30).await;
                drop(server);
            }
        });
        assert_eq!(gone(&client).await, NetError::Reset);
        assert_eq!(recv_all(&client).await, Err(NetError::Reset));
    });
}

/// The peer's end is noticed behind bytes nobody has read; those are still delivered.
pub fn gone_shows_while_bytes_are_unread<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        client.send_copy(b"unread");
        client.drained(1).await.unwrap();
        let soon = net.now() + std::time::Duration::from_millis(50);
        assert_eq!(super::before(&net, soon, gone(&server)).await, None);
        net.spawn({
            let net = net.clone();
            async move {
                pause(&net, 20).await;
                drop(client);
            }
        });
        assert_eq!(gone(&server).await, NetError::Closed);
        assert!(!server.is_idle());
        assert_eq!(recv_all(&server).await.unwrap(), b"unread");
    });
}

/// A few bytes that nobody has read are enough, wherever they wait.
pub fn a_stream_dropped_unread_resets_its_peer<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        for reads_first in [false, true] {
            let (client, server) = pair(host, &net).await;
            client.send_copy(b"first");
            client.drained(1).await.unwrap();
            pause(&net, 20).await;
            if reads_first {
                assert_eq!(recv_exact(&server, 5).await.unwrap(), b"first");
                client.send_copy(b"second");
                client.drained(1).await.unwrap();
                pause(&net, 20).await;
            }
            drop(server);
            assert_eq!(client.recv().await.err(), Some(NetError::Reset));
        }
    });
}

/// A stream told to reset does so when it is dropped, with nothing unread. Of TCP only.
pub fn a_stream_told_to_resets_its_peer<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        server.send_copy(b"a part");
        server.drained(1).await.unwrap();
        assert_eq!(recv_exact(&client, 6).await.unwrap(), b"a part");
        server.reset_on_drop();
        let soon = net.now() + std::time::Duration::from_millis(50);
        assert_eq!(super::before(&net, soon, gone(&client)).await, None, "not before");
        drop(server);
        assert_eq!(client.recv().await.err(), Some(NetError::Reset));
    });
}

/// A stream that ends its direction and is dropped at once does not end the one that comes after
/// it, whatever they share inside the runtime.
pub fn the_end_of_one_stream_leaves_the_next_alone<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        for _ in 0..400 {
            let (first, ended) = pair(host, &net).await;
            ended.shutdown();
            // The end leaves with this turn, the stream goes with the next.
            assert!(first.recv().await.unwrap().is_empty());
            drop(ended);
            drop(first);
            let (client, server) = pair(host, &net).await;
            server.shutdown();
            pause(&net, 0).await;
            drop(server);
            drop(client);
            let (client, server) = pair(host, &net).await;
            server.send_copy(b"alive");
            assert_eq!(recv_exact(&client, 5).await.unwrap(), b"alive");
            client.send_copy(b"both ways");
            assert_eq!(recv_exact(&server, 9).await.unwrap(), b"both ways");
        }
    });
}

/// Idle before and after an exchange, not during one and not after the peer's end.
pub fn an_idle_stream_says_so<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        pause(&net, 20).await;
        assert!(client.is_idle() && server.is_idle());
        server.send_copy(b"1");
        assert!(!server.is_idle());
        pause(&net, 20).await;
        assert!(server.is_idle());
        assert!(!client.is_idle(), "a byte is unread");
        assert_eq!(&*client.recv().await.unwrap(), b"1");
        assert!(client.is_idle());
        drop(server);
        gone(&client).await;
        assert!(!client.is_idle());
    });
}

/// An end asked for waits for what was queued before it.
pub fn queued_bytes_leave_before_the_end<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let queued = fill_until_stalled(&net, &client).await;
        client.shutdown();
        client.send_copy(b"after the end");
        assert_eq!(recv_all(&server).await.unwrap().len(), queued);
    });
}

/// Receives that are polled once and dropped take no bytes with them.
pub fn a_dropped_receive_loses_nothing<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        net.spawn({
            let net = net.clone();
            async move {
                for round in 0..200 {
                    client.send_copy(&[pattern(round); 10]);
                    if round % 10 == 0 {
                        pause(&net, 5).await;
                    }
                }
                client.drained(1).await.unwrap();
            }
        });
        let mut received = Vec::new();
        loop {
            for _ in 0..3 {
                let polled = server.poll_recv(&mut Context::from_waker(Waker::noop()));
                if let Poll::Ready(chunk) = polled {
                    received.extend_from_slice(&chunk.unwrap());
                }
                let mut cx = Context::from_waker(Waker::noop());
                let _ = server.poll_gone(&mut cx);
                let _ = server.poll_drained(&mut cx, 1);
            }
            let soon = net.now() + std::time::Duration::from_millis(1);
            match super::before(&net, soon, server.recv()).await {
                Some(chunk) if chunk.as_ref().unwrap().is_empty() => break,
                Some(chunk) => received.extend_from_slice(&chunk.unwrap()),
                None => {}
            }
        }
        let expected: Vec<u8> = (0..200).flat_map(|round| [pattern(round); 10]).collect();
        assert_eq!(received, expected);
    });
}

/// An accept that is given up leaves the connection for the next one.
pub fn a_dropped_accept_loses_no_connection<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let socket = host.bind(&BindOptions::default());
        let address = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let soon = net.now() + std::time::Duration::from_millis(20);
        assert!(super::before(&net, soon, net.accept(&listener)).await.is_none());
        for round in 0..10u8 {
            let client = dial(&net, &address).await.unwrap();
            client.send_copy(&[round]);
            {
                let mut accept = std::pin::pin!(net.accept(&listener));
                let mut cx = Context::from_waker(Waker::noop());
                if let Poll::Ready(accepted) = accept.as_mut().poll(&mut cx) {
                    let server = net.open(accepted.unwrap().0).unwrap();
                    assert_eq!(recv_exact(&server, 1).await.unwrap(), [round]);
                    continue;
                }
            }
            let server = net.open(net.accept(&listener).await.unwrap().0).unwrap();
            assert_eq!(recv_exact(&server, 1).await.unwrap(), [round]);
        }
    });
}
