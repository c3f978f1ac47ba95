//! The native runtime against the real kernel; skipped, with a word, where io_uring is refused.

use std::future::{Future, poll_fn};
use std::time::Duration;

use super::Runtime;
use crate::{
    Address, BindOptions, BoundSocket, Chunk, ConnectOptions, Net, NetError, Options, Stream,
    StreamExt,
};

mod contract {
    use super::*;

    /// The contract of all runtimes, over loopback TCP.
    struct Loopback;

    impl crate::contract::Host for Loopback {
        type Net = super::super::RingNet;

        fn run<T: 'static, F: Future<Output = T> + 'static>(
            &self,
            options: Options,
            main: impl FnOnce(Self::Net) -> F + 'static,
        ) -> T {
            Runtime::new(&options).unwrap().run(main)
        }

        fn bind(&self, options: &BindOptions) -> BoundSocket {
            BoundSocket::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), options).unwrap()
        }

        fn nobody(&self) -> Address {
            self.bind(&BindOptions::default()).address().clone()
        }
    }

    crate::net_contract!(Loopback);
    crate::net_contract!(Loopback; each a_stream_told_to_resets_its_peer);
}

fn runtime() -> Option<Runtime> {
    let options = Options { streams_max: 1024, seed: Some(1), ..Options::default() };
    match Runtime::new(&options) {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn any_port() -> BoundSocket {
    let address = Address::Tcp(([127, 0, 0, 1], 0).into());
    BoundSocket::bind(&address, &BindOptions::default()).unwrap()
}

async fn echo<N: Net>(net: N, socket: BoundSocket) {
    let listener = net.listen(socket).unwrap();
    loop {
        let (incoming, _) = net.accept(&listener).await.unwrap();
        let stream = net.open(incoming).unwrap();
        net.spawn(async move {
            loop {
                match stream.recv().await {
                    Ok(chunk) if chunk.is_empty() => {
                        stream.shutdown();
                        let _ = stream.drained(1).await;
                        return;
                    }
                    Ok(chunk) => stream.send(chunk),
                    Err(_) => return,
                }
                if stream.drained(64 * 1024).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[test]
fn echoes_many_megabytes_and_returns_every_buffer() {
    let Some(runtime) = runtime() else { return };
    let counters = runtime.run(|net| async move {
        let socket = any_port();
        let address = socket.address().clone();
        net.spawn(echo(net.clone(), socket));
        let deadline = net.now() + Duration::from_secs(10);
        let stream = net.connect(&address, ConnectOptions::default(), deadline).await.unwrap();
        let sent = 16 << 20;
        let mut queued = 0usize;
        let mut received = 0usize;
        let block: Vec<u8> = (0..4096u32).map(|i| (i % 251) as u8).collect();
        while received < sent {
            while queued < sent && stream.queued_bytes() < 256 * 1024 {
                stream.send_copy(&block);
                queued += block.len();
            }
            let chunk = stream.recv().await.unwrap();
            for (offset, &byte) in chunk.iter().enumerate() {
                assert_eq!(byte, ((received + offset) % 4096 % 251) as u8);
            }
            received += chunk.len();
        }
        stream.shutdown();
        assert!(stream.recv().await.unwrap().is_empty());
        drop(stream);
        net.sleep_until(net.now() + Duration::from_millis(50)).await;
        net.counters().clone()
    });
    drop(runtime);
    assert_eq!(counters.streams_open.value(), 0);
    assert_eq!(counters.buffers_leased.value(), 0);
    assert_eq!(counters.completions_stale.value(), 0);
}

#[test]
fn a_deadline_ends_a_wait_and_a_later_one_lets_it_go_on() {
    let Some(runtime) = runtime() else { return };
    runtime.run(|net| async move {
        let socket = any_port();
        let address = socket.address().clone();
        net.spawn(echo(net.clone(), socket));
        let far = net.now() + Duration::from_secs(10);
        let stream = net.connect(&address, ConnectOptions::default(), far).await.unwrap();
        stream.set_deadline(Some(net.now() + Duration::from_millis(20)));
        assert_eq!(stream.recv().await.unwrap_err(), NetError::TimedOut);
        stream.set_deadline(Some(net.now() + Duration::from_secs(5)));
        stream.send(Chunk::from_bytes(bytes::Bytes::from_static(b"still here")));
        assert_eq!(&*stream.recv().await.unwrap(), b"still here");
        assert!(stream.is_idle());
    });
}

#[test]
fn refused_and_reset_connections_say_so() {
    let Some(runtime) = runtime() else { return };
    runtime.run(|net| async move {
        let closed = any_port().address().clone();
        let far = net.now() + Duration::from_secs(10);
        let refused = net.connect(&closed, ConnectOptions::default(), far).await;
        assert_eq!(refused.err(), Some(NetError::Refused));

        let socket = any_port();
        let address = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let client = net.connect(&address, ConnectOptions::default(), far).await.unwrap();
        let (incoming, peer) = net.accept(&listener).await.unwrap();
        assert!(peer.is_some());
        let server = net.open(incoming).unwrap();
        client.send_copy(b"unread");
        client.drained(1).await.unwrap();
        drop(server);
        assert!(poll_fn(|cx| client.poll_gone(cx)).await != NetError::TimedOut);
        assert!(!client.is_idle());
    });
}

#[test]
fn another_thread_wakes_a_task_through_a_mailbox() {
    let Some(runtime) = runtime() else { return };
    let (post, mut mailbox) = crate::mailbox::<u32>(8);
    let thread = std::thread::spawn(move || {
        for number in 0..5 {
            std::thread::sleep(Duration::from_millis(5));
            post.post(number).unwrap();
        }
    });
    let sum = runtime.run(|_net| async move {
        let mut sum = 0;
        for _ in 0..5 {
            sum += mailbox.take().await;
        }
        sum
    });
    thread.join().unwrap();
    assert_eq!(sum, 10);
}

#[test]
fn a_panicking_task_takes_nobody_with_it() {
    let Some(runtime) = runtime() else { return };
    runtime.run(|net| async move {
        net.spawn(async { panic!("planted") });
        net.sleep_until(net.now() + Duration::from_millis(20)).await;
        assert_eq!(net.counters().tasks_panicked.value(), 1);
    });
}
