//! The contract on both drivers, over TCP and unix sockets, and what is portable's own.

use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Driver, PortableIncoming, PortableNet, Runtime};
use crate::contract::Host;
use crate::{Address, BindOptions, BoundSocket, Net, Options, Stream, StreamExt};

#[derive(Clone, Copy)]
enum Family {
    Tcp,
    Unix,
}

struct Loopback {
    driver: Driver,
    family: Family,
}

impl Host for Loopback {
    type Net = PortableNet;

    fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        options: Options,
        main: impl FnOnce(PortableNet) -> F + 'static,
    ) -> T {
        let result = Runtime::new(options, self.driver).unwrap().run(main);
        for path in PATHS.take() {
            let _ = std::fs::remove_file(path);
        }
        result
    }

    fn bind(&self, options: &BindOptions) -> BoundSocket {
        let address = match self.family {
            Family::Tcp => Address::Tcp(([127, 0, 0, 1], 0).into()),
            Family::Unix => Address::Unix(fresh_path().into()),
        };
        BoundSocket::bind(&address, options).unwrap()
    }

    fn nobody(&self) -> Address {
        // Bound and closed again: nobody else is given it so soon.
        let address = self.bind(&BindOptions::default()).address().clone();
        if let Address::Unix(path) = &address {
            assert!(path.exists());
        }
        address
    }
}

fn fresh_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("net-{}-{number}.sock", std::process::id()));
    PATHS.with_borrow_mut(|paths| paths.push(path.clone()));
    path
}

thread_local! {
    /// Socket files of this thread's test, to be removed after it.
    static PATHS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

mod legacy_tcp {
    crate::net_contract!(super::Loopback {
        driver: super::Driver::Legacy,
        family: super::Family::Tcp
    });
    crate::net_contract!(super::Loopback {
        driver: super::Driver::Legacy,
        family: super::Family::Tcp
    }; each a_stream_told_to_resets_its_peer);
}

mod legacy_unix {
    crate::net_contract!(super::Loopback {
        driver: super::Driver::Legacy,
        family: super::Family::Unix
    });
}

mod uring_tcp {
    crate::net_contract!(super::Loopback {
        driver: super::Driver::Uring,
        family: super::Family::Tcp
    });
    crate::net_contract!(super::Loopback {
        driver: super::Driver::Uring,
        family: super::Family::Tcp
    }; each a_stream_told_to_resets_its_peer);
}

mod uring_unix {
    crate::net_contract!(super::Loopback {
        driver: super::Driver::Uring,
        family: super::Family::Unix
    });
}

const LEGACY_TCP: Loopback = Loopback { driver: Driver::Legacy, family: Family::Tcp };

#[test]
fn a_socket_takes_little_memory() {
    // Of the 2 KiB that an idle stream may cost in all.
    assert!(size_of::<super::socket::Socket>() <= 320);
}

#[test]
fn a_runtime_that_never_runs_is_dropped_cleanly() {
    for driver in [Driver::Legacy, Driver::Uring, Driver::Auto] {
        drop(Runtime::new(Options::default(), driver).unwrap());
    }
}

#[test]
fn a_panic_of_main_passes_through_after_everything_is_dropped() {
    let runtime = Runtime::new(Options::default(), Driver::Legacy).unwrap();
    let counters = std::sync::Arc::clone(runtime.counters());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.run(|net| async move {
            net.spawn(std::future::pending());
            assert_eq!(net.counters().tasks_alive.value(), 1);
            panic!("a panic on purpose");
        })
    }));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "a panic on purpose");
    assert_eq!(counters.tasks_alive.value(), 0);
}

#[test]
fn an_accepted_connection_may_be_opened_by_another_worker() {
    let (post, mut mailbox) = crate::mailbox::<PortableIncoming>(1);
    let other = std::thread::spawn(move || {
        LEGACY_TCP.run(Options::default(), async move |net: PortableNet| {
            let stream = net.open(mailbox.take().await).unwrap();
            let chunk = stream.recv().await.unwrap();
            stream.send(chunk);
            stream.drained(1).await.unwrap();
        });
    });
    LEGACY_TCP.run(Options::default(), async move |net: PortableNet| {
        let socket = LEGACY_TCP.bind(&BindOptions::default());
        let to = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let deadline = net.now() + std::time::Duration::from_secs(5);
        let client = net.connect(&to, Default::default(), deadline).await.unwrap();
        let (incoming, peer) = net.accept(&listener).await.unwrap();
        assert!(peer.is_some_and(|peer| peer.ip().is_loopback()));
        post.post(incoming).unwrap();
        client.set_deadline(Some(deadline));
        client.send_copy(b"moved");
        assert_eq!(&*client.recv().await.unwrap(), b"moved");
    });
    other.join().unwrap();
}

#[test]
fn an_idle_stream_holds_no_buffer_and_a_request_costs_no_vain_receive() {
    LEGACY_TCP.run(Options::default(), async move |net: PortableNet| {
        let socket = LEGACY_TCP.bind(&BindOptions::default());
        let to = socket.address().clone();
        let listener = net.listen(socket).unwrap();
        let deadline = net.now() + std::time::Duration::from_secs(5);
        let client = net.connect(&to, Default::default(), deadline).await.unwrap();
        let server = net.open(net.accept(&listener).await.unwrap().0).unwrap();
        for _ in 0..10 {
            client.send_copy(b"head ");
            client.send_copy(b"and body");
            let chunk = server.recv().await.unwrap();
            assert_eq!(&*chunk, b"head and body");
            assert!(!server.socket_is_readable(), "a short receive empties the socket");
            drop(chunk);
        }
        assert_eq!(net.counters().sends.value(), 10, "one send for the pieces of one poll");
        net.sleep_until(net.now()).await;
        assert_eq!(net.counters().buffers_leased.value(), 0);
    });
}

#[test]
fn a_waker_kept_by_another_thread_does_not_keep_the_worker() {
    let (keep, kept) = std::sync::mpsc::channel();
    let runtime = Runtime::new(Options::default(), Driver::Legacy).unwrap();
    let worker = std::rc::Rc::downgrade(&runtime.worker);
    runtime.run(|net| async move {
        net.spawn(std::future::poll_fn(move |cx| {
            keep.send(cx.waker().clone()).unwrap();
            std::task::Poll::Pending
        }));
        net.sleep_until(net.now() + std::time::Duration::from_millis(10)).await;
    });
    assert_eq!(worker.strong_count(), 0);
    std::thread::spawn(move || {
        for waker in kept {
            waker.wake();
        }
    })
    .join()
    .unwrap();
}
