//! One worker of the gateway, in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, mpsc::Receiver};
use std::thread::JoinHandle;

use config::order::Order;
use config::snapshot::Snapshot;
use net::{BindOptions, BoundSocket, NetCounters, Options, Post};
use telemetry::{WorkerMetrics, WorkerStatus};

/// Which runtime the worker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// io_uring.
    Native,
    /// monoio on epoll.
    Portable,
}

/// A running worker.
pub struct Running<T> {
    /// Where its one listener is.
    pub address: SocketAddr,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// Its state.
    pub status: Arc<WorkerStatus>,
    /// Its runtime's counters.
    pub counters: Arc<NetCounters>,
    orders: Post<Order<BoundSocket>>,
    thread: JoinHandle<T>,
    _retired: Receiver<Arc<Snapshot>>,
}

/// A snapshot of a configuration whose upstream `origin` is at `origin`; further routes and
/// settings come from `more`, as YAML at top level.
///
/// # Panics
/// With every problem if the configuration is not valid.
pub fn snapshot(origin: SocketAddr, more: &str) -> Arc<Snapshot> {
    let routes = match more.contains("routes:") {
        true => String::new(),
        false => "routes: [ { name: all, match: { path: { prefix: / } }, \
                  backends: [ { upstream: origin } ] } ]\n"
            .to_owned(),
    };
    let text = format!(
        "listeners: [ {{ name: web, address: \"127.0.0.1:0\" }} ]\n\
         upstreams: [ {{ name: origin, endpoints: [ {{ address: \"{origin}\" }} ] }} ]\n{routes}{more}\n"
    );
    let document = config::load(&text, "test.yaml", &|_| None, Path::new("."))
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let snapshot = config::compile(&document, 1, &mut config::Slots::default())
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    Arc::new(snapshot)
}

/// Starts a worker on a thread of its own. `around` is called there with the run as its argument,
/// so that a test can measure it.
///
/// # Panics
/// If the runtime cannot start.
pub fn start<T: Send + 'static>(
    runtime: Runtime,
    options: Options,
    snapshot: Arc<Snapshot>,
    around: impl FnOnce(&mut dyn FnMut()) -> T + Send + 'static,
) -> Running<T> {
    let any = net::Address::Tcp(([127, 0, 0, 1], 0).into());
    let socket = BoundSocket::bind(&any, &BindOptions::default()).unwrap();
    let address = match socket.address() {
        net::Address::Tcp(address) => *address,
        net::Address::Unix(_) => unreachable!("bound to TCP"),
    };
    let (orders, inbox) = net::mailbox(64);
    let (retire, retired) = mpsc::channel();
    let metrics = Arc::new(WorkerMetrics::new());
    let status = Arc::new(WorkerStatus::default());
    let (theirs, also) = (Arc::clone(&metrics), Arc::clone(&status));
    let (tell, told) = mpsc::channel();
    let slot = snapshot.listeners[0].slot;
    let thread = std::thread::spawn(move || {
        macro_rules! run_on {
            ($runtime:expr, $counters:expr) => {{
                let (post, handed) = net::mailbox(64);
                tell.send($counters).unwrap();
                let setup = proxy::WorkerSetup {
                    index: 0,
                    snapshot,
                    names: Arc::default(),
                    sockets: vec![(slot, socket)],
                    orders: inbox,
                    handed,
                    balance: proxy::Balance::new(vec![post]),
                    retire,
                    metrics: theirs,
                    status: also,
                    access_log: None,
                };
                let (mut runtime, mut setup) = (Some($runtime), Some(setup));
                around(&mut || {
                    let (runtime, setup) = (runtime.take().unwrap(), setup.take().unwrap());
                    runtime.run(|net| proxy::run(net, setup));
                })
            }};
        }
        match runtime {
            Runtime::Native => {
                let runtime = net::native::Runtime::new(&options).unwrap();
                let counters = runtime.counters();
                run_on!(runtime, counters)
            }
            Runtime::Portable => {
                let driver = net::portable::Driver::Legacy;
                let runtime = net::portable::Runtime::new(options, driver).unwrap();
                let counters = Arc::clone(runtime.counters());
                run_on!(runtime, counters)
            }
        }
    });
    let counters = told.recv().expect("the runtime starts");
    Running { address, metrics, status, counters, orders, thread, _retired: retired }
}

impl<T> Running<T> {
    /// Drains the worker and waits for its end.
    ///
    /// # Panics
    /// If the worker panicked.
    pub fn drain(self) -> (T, Arc<NetCounters>) {
        assert!(self.orders.post(Order::Drain).is_ok(), "the worker takes orders");
        (self.thread.join().expect("the worker does not panic"), self.counters)
    }
}
