//! The simulated network against the contract of all runtimes, and what only it can promise.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use super::{Bounds, Chance, Faults, Network, Runtime, SimNet};
use crate::contract::Host;
use crate::{Address, BindOptions, BoundSocket, Net, Options, Stream, StreamExt};

struct Simulated {
    network: Network,
    faults: Faults,
    seed: u64,
    nobody: Cell<u16>,
}

impl Simulated {
    fn new(seed: u64, faults: Faults) -> Simulated {
        Simulated { network: Network::default(), faults, seed, nobody: Cell::new(1) }
    }
}

impl Host for Simulated {
    type Net = SimNet;

    fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        options: Options,
        main: impl FnOnce(SimNet) -> F + 'static,
    ) -> T {
        Runtime::new(&self.network, self.seed, options, self.faults.clone()).run(main)
    }

    fn bind(&self, options: &BindOptions) -> BoundSocket {
        self.network.bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), options)
    }

    fn nobody(&self) -> Address {
        self.nobody.set(self.nobody.get() + 1);
        Address::Tcp(([127, 0, 0, 1], self.nobody.get()).into())
    }
}

mod faultless {
    crate::net_contract!(super::Simulated::new(1, super::Faults::none()); without_threads);
    crate::net_contract!(super::Simulated::new(1, super::Faults::none());
        each a_stream_told_to_resets_its_peer);
}

mod mild {
    crate::net_contract!(super::Simulated::new(2, super::Faults::mild()); without_threads);
}

/// An exchange of `rounds` echoes between two hosts; returns what came back and the trace's hash.
fn echoes(seed: u64, faults: Faults, rounds: usize) -> (Vec<u8>, u64) {
    let network = Network::default();
    Runtime::new(&network, seed, Options::default(), Faults::none()).run(async |net: SimNet| {
        let server = net.host(Options::default(), faults);
        let socket = BoundSocket::simulated(Address::Tcp(([10, 0, 0, 1], 80).into()));
        let to = socket.address().clone();
        let listener = server.listen(socket).unwrap();
        net.spawn(async move {
            let (incoming, _) = server.accept(&listener).await.unwrap();
            let stream = server.open(incoming).unwrap();
            while let Ok(chunk) = stream.recv().await {
                if chunk.is_empty() {
                    break;
                }
                stream.send(chunk);
            }
            let _ = stream.drained(1).await;
        });
        net.sleep_until(net.now()).await;
        let deadline = net.now() + Duration::from_secs(5);
        let stream = net.connect(&to, Default::default(), deadline).await.unwrap();
        let mut echoed = Vec::new();
        for round in 0..rounds {
            stream.send_copy(&vec![round as u8; 1000]);
            let wanted = echoed.len() + 1000;
            while echoed.len() < wanted {
                match stream.recv().await {
                    Ok(chunk) if !chunk.is_empty() => echoed.extend_from_slice(&chunk),
                    _ => return (echoed, net.trace_hash()),
                }
            }
        }
        (echoed, net.trace_hash())
    })
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let (bytes, hash) = echoes(1, Faults::mild(), 50);
    assert_eq!(bytes.len(), 50_000);
    assert_eq!(echoes(1, Faults::mild(), 50), (bytes.clone(), hash));
    let (other_bytes, other_hash) = echoes(2, Faults::mild(), 50);
    assert_eq!(other_bytes, bytes);
    assert_ne!(other_hash, hash);
}

#[test]
fn a_broken_connection_delivers_a_prefix() {
    let whole: Vec<u8> = (0..100).flat_map(|round| vec![round as u8; 1000]).collect();
    let faults = Faults { reset: Chance::percent(2), ..Faults::mild() };
    let lengths: Vec<usize> = (0..50)
        .map(|seed| {
            let (bytes, _) = echoes(seed, faults.clone(), 100);
            assert!(whole.starts_with(&bytes));
            bytes.len()
        })
        .collect();
    assert!(lengths.iter().any(|&bytes| bytes < 100_000), "none was cut: {lengths:?}");
}

#[test]
fn short_reads_yield_single_bytes_too() {
    let faults = Faults { short_read: Chance::percent(50), ..Faults::none() };
    let network = Network::default();
    Runtime::new(&network, 3, Options::default(), faults).run(async |net: SimNet| {
        let socket = network.bind(&Address::Tcp(([10, 0, 0, 1], 0).into()), &Default::default());
        let to = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let deadline = net.now() + Duration::from_secs(5);
        let client = net.connect(&to, Default::default(), deadline).await.unwrap();
        let server = net.open(net.accept(&listener).await.unwrap().0).unwrap();
        let mut lengths = Vec::new();
        for _ in 0..100 {
            client.send_copy(b"0123456789");
            let mut received = Vec::new();
            while received.len() < 10 {
                let chunk = server.recv().await.unwrap();
                lengths.push(chunk.len());
                received.extend_from_slice(&chunk);
            }
            assert_eq!(received, b"0123456789");
        }
        for expected in [1, 2, 10] {
            assert!(lengths.contains(&expected), "{lengths:?}");
        }
    });
}

#[test]
fn an_hour_takes_no_time() {
    let begun = std::time::Instant::now();
    let network = Network::default();
    Runtime::new(&network, 1, Options::default(), Faults::none()).run(async |net: SimNet| {
        let before = (net.now(), net.unix_us());
        net.sleep_until(net.now() + Duration::from_secs(3600)).await;
        assert_eq!(net.now().since(before.0).as_secs(), 3600);
        assert_eq!(net.unix_us() - before.1, 3_600_000_000);
        assert!(net.polls() < 10);
    });
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
#[should_panic(expected = "polls without rest")]
fn a_livelock_is_found() {
    let bounds = Bounds { busy_polls_max: 1000, ..Bounds::default() };
    let network = Network::default();
    let runtime = Runtime::new(&network, 1, Options::default(), Faults::none()).bounded(bounds);
    runtime.run(|_| {
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        })
    });
}

#[test]
#[should_panic(expected = "nothing will happen")]
fn waiting_for_ever_is_found() {
    let network = Network::default();
    Runtime::new(&network, 1, Options::default(), Faults::none())
        .run(|_| std::future::pending::<()>());
}

#[test]
fn a_connection_nobody_opens_is_closed() {
    let network = Network::default();
    Runtime::new(&network, 1, Options::default(), Faults::none()).run(async |net: SimNet| {
        let socket = network.bind(&Address::Tcp(([10, 0, 0, 1], 0).into()), &Default::default());
        let to = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let deadline = net.now() + Duration::from_secs(5);
        let client = net.connect(&to, Default::default(), deadline).await.unwrap();
        let queued = net.connect(&to, Default::default(), deadline).await.unwrap();
        drop(net.accept(&listener).await.unwrap());
        assert!(client.recv().await.unwrap().is_empty());
        drop(listener);
        assert_eq!(queued.recv().await.err(), Some(crate::NetError::Reset));
        let refused = net.connect(&to, Default::default(), deadline).await.err();
        assert_eq!(refused, Some(crate::NetError::Refused));
    });
}
