//! One run: a gateway's worker between clients and origins, and what must hold when it is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use config::order::Order;
use config::snapshot::Snapshot;
use net::sim::{Bounds, Faults, Network, Runtime, SimNet};
use net::{Address, BoundSocket, Net, NetCounters, Options, Stream};
use telemetry::access_log::{AccessLog, Target};
use telemetry::{SlotNames, WorkerMetrics, WorkerStatus, expose};

use super::client::{self, Client};
use super::ledger::Ledger;
use super::origin::{self, Origin};
use super::wire::Reader;

/// A defect put in on purpose, which the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// None.
    Nothing,
    /// One byte of a body with a length is another.
    FlippedByte,
    /// A chunked body ends one byte early, properly.
    LostTail,
    /// A stream of the gateway's host is never let go of.
    LeakedStream,
    /// An outcome is counted that never was.
    ExtraOutcome,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// The hash of its trace.
    pub trace_hash: u64,
    /// Everything that is wrong; empty if all is well.
    pub violations: Vec<String>,
    /// The last events, if something is wrong.
    pub trace_tail: String,
    /// Outcomes seen by clients, by kind.
    pub tally: BTreeMap<String, u64>,
    /// Polls of all tasks.
    pub polls: u64,
}

const GATEWAY: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);
const ORIGINS: [([u8; 4], u16); 2] = [([10, 0, 1, 1], 80), ([10, 0, 1, 2], 80)];
const CLIENTS: u64 = 16;
/// Longest that a drain may take: more than every timeout of the configuration.
const DRAIN: Duration = Duration::from_secs(120);

/// Runs `seed` to its end.
///
/// # Panics
/// If the run does not come to rest, or a task of the simulation's own fails.
pub fn run(seed: u64, plant: Plant) -> Report {
    let log_path = log_path(seed);
    let log = AccessLog::open(Target::File(log_path.clone())).expect("a log in the temp folder");
    let writer = log.writer();
    let network = Network::default();
    let bounds = Bounds {
        busy_polls_max: 50_000,
        polls_max: 3_000_000,
        time_max: Duration::from_secs(1200),
    };
    let runtime = Runtime::new(&network, seed, small(), Faults::none()).bounded(bounds);
    let ledger = Rc::new(Ledger::default());
    let books = Rc::clone(&ledger);
    let (mut report, gateway) = runtime.run(async move |net: SimNet| {
        let mut scene = Scene::new(&net, seed, books);
        scene.play(&net, plant, writer).await;
        let report = Report {
            trace_hash: net.trace_hash(),
            violations: Vec::new(),
            trace_tail: net.trace_tail(),
            tally: scene.ledger.tally(),
            polls: net.polls(),
        };
        (report, Arc::clone(scene.gateway.counters()))
    });
    log.close();
    let text = std::fs::read_to_string(&log_path).unwrap_or_default();
    let _ = std::fs::remove_file(&log_path);
    ledger.audit(&text, ledger.outcomes.get(), is_tame(seed) && !is_short_of_buffers(seed));
    check_nothing_left(&ledger, &gateway);
    report.violations = ledger.violations();
    report
}

/// After the runtime's end nothing is in use, whatever was cut off.
fn check_nothing_left(ledger: &Ledger, gateway: &NetCounters) {
    let left = [&gateway.streams_open, &gateway.buffers_leased, &gateway.tasks_alive];
    let left = left.map(net::Count::value);
    if left != [0; 3] {
        ledger.violation(format!("streams, buffers, tasks left at the end: {left:?}"));
    }
}

/// In every third run no peer does anything wrong, and the network fails nobody.
fn is_tame(seed: u64) -> bool {
    seed.is_multiple_of(3)
}

/// In every fourth run the gateway has too few buffers for everybody at once.
fn is_short_of_buffers(seed: u64) -> bool {
    seed % 4 == 3
}

fn log_path(seed: u64) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("ringgate-sim-{}-{seed}-{number}.log", std::process::id());
    std::env::temp_dir().join(name)
}

fn small() -> Options {
    Options {
        streams_max: 1024,
        recv_buffers: 512,
        bulk_buffers: 16,
        send_bytes_max: 16 * 1024 * 1024,
        ..Options::default()
    }
}

struct Scene {
    seed: u64,
    gateway: SimNet,
    clients: SimNet,
    origins: SimNet,
    ledger: Rc<Ledger>,
    slots: config::Slots,
    generation: u64,
    metrics: Arc<WorkerMetrics>,
    status: Arc<WorkerStatus>,
}

impl Scene {
    fn new(net: &SimNet, seed: u64, ledger: Rc<Ledger>) -> Scene {
        let [gateway, peers] = match seed % 3 {
            0 => [Faults::mild(), Faults::mild()],
            1 => [Faults::mild(), Faults::harsh()],
            _ => [Faults::harsh(), Faults::harsh()],
        };
        let options = match is_short_of_buffers(seed) {
            true => Options { recv_buffers: 8, bulk_buffers: 1, streams_max: 24, ..small() },
            false => small(),
        };
        Scene {
            seed,
            gateway: net.host(options, gateway),
            clients: net.host(small(), peers.clone()),
            origins: net.host(small(), peers),
            ledger,
            slots: config::Slots::default(),
            generation: 0,
            metrics: Arc::default(),
            status: Arc::default(),
        }
    }

    async fn play(
        &mut self,
        net: &SimNet,
        plant: Plant,
        writer: telemetry::access_log::AccessLogWriter,
    ) {
        for at in ORIGINS {
            let (net, ledger) = (self.origins.clone(), Rc::clone(&self.ledger));
            let origin = Origin { net: net.clone(), ledger, plant };
            net.spawn(origin::serve(origin, BoundSocket::simulated(Address::Tcp(at.into()))));
        }
        let (orders, inbox) = net::mailbox(64);
        let (post, handed) = net::mailbox(64);
        let (retire, retired) = mpsc::channel();
        let snapshot = self.next_snapshot(net);
        let setup = proxy::WorkerSetup {
            index: 0,
            sockets: vec![(
                snapshot.listeners[0].slot,
                BoundSocket::simulated(Address::Tcp(GATEWAY.into())),
            )],
            snapshot,
            names: Arc::default(),
            orders: inbox,
            handed,
            balance: proxy::Balance::new(vec![post]),
            retire,
            metrics: Arc::clone(&self.metrics),
            status: Arc::clone(&self.status),
            access_log: Some(writer),
        };
        let (done, mut finished) = net::mailbox::<()>(1);
        self.gateway.spawn({
            let gateway = self.gateway.clone();
            async move {
                proxy::run(gateway, setup).await;
                let _ = done.post(());
            }
        });
        net.sleep_until(net.now() + Duration::from_millis(50)).await;
        for _ in 0..CLIENTS {
            self.clients.spawn(client::live(Client {
                net: self.clients.clone(),
                gateway: Address::Tcp(GATEWAY.into()),
                ledger: Rc::clone(&self.ledger),
                is_tame: is_tame(self.seed),
            }));
        }
        for _ in 0..4 + net.random() % 4 {
            let pause = Duration::from_millis(net.random() % 3000);
            net.sleep_until(net.now() + pause).await;
            let _ = orders.post(Order::Serve(self.next_snapshot(net)));
        }
        if net.random().is_multiple_of(2) {
            // Everybody has gone before the drain.
            net.sleep_until(net.now() + Duration::from_secs(60)).await;
            self.probe(net).await;
        }
        if plant == Plant::LeakedStream {
            self.leak(net).await;
        }
        let _ = orders.post(Order::Drain);
        finished.take().await;
        self.check_end(net, plant, &retired).await;
    }

    /// After everything that went wrong, the gateway still answers: at one of a few attempts, since
    /// things go on going wrong.
    async fn probe(&self, net: &SimNet) {
        for _ in 0..8 {
            let deadline = net.now() + Duration::from_secs(30);
            let to = Address::Tcp(GATEWAY.into());
            if let Ok(stream) = net.connect(&to, Default::default(), deadline).await {
                stream.set_deadline(Some(deadline));
                stream.send_copy(b"GET / HTTP/9.9\r\nHost: probe\r\n\r\n");
                self.ledger.malformed.set(self.ledger.malformed.get() + 1);
                if Reader::new(net, stream).head().await.is_ok() {
                    return;
                }
            }
        }
        self.ledger.violation("the gateway does not answer any more");
    }

    async fn leak(&self, net: &SimNet) {
        let to = Address::Tcp(ORIGINS[0].into());
        let deadline = net.now() + Duration::from_secs(5);
        let leaked = self.gateway.connect(&to, Default::default(), deadline).await;
        std::mem::forget(leaked);
    }

    /// The worker has ended by itself; what it leaves idle goes within its time.
    async fn check_end(&self, net: &SimNet, plant: Plant, retired: &Receiver<Arc<Snapshot>>) {
        let violation = |what: String| self.ledger.violation(what);
        if self.status.connections() > 0 {
            violation(format!("{} connections when drained", self.status.connections()));
        }
        net.sleep_until(net.now() + Duration::from_secs(15)).await;
        let counters = self.gateway.counters();
        let left = [
            ("exchanges", self.status.exchanges()),
            ("streams", counters.streams_open.value()),
            ("buffers", counters.buffers_leased.value()),
            // The housekeeping and the mailbox for handed connections live on.
            ("tasks", counters.tasks_alive.value().saturating_sub(2)),
            ("panics of the gateway", counters.tasks_panicked.value()),
            ("panics of clients", self.clients.counters().tasks_panicked.value()),
            ("panics of origins", self.origins.counters().tasks_panicked.value()),
            ("open connections counted", self.metric("ringgate_connections_open")),
        ];
        for (what, count) in left.into_iter().filter(|(_, count)| *count > 0) {
            violation(format!("{count} {what} left after the drain"));
        }
        let generations: Vec<u64> = retired.try_iter().map(|old| old.generation).collect();
        let mut sorted = generations.clone();
        sorted.sort_unstable();
        if sorted != (1..self.generation).collect::<Vec<_>>() {
            violation(format!("retired {generations:?}, in force is {}", self.generation));
        }
        let extra = u64::from(plant == Plant::ExtraOutcome);
        self.ledger.outcomes.set(self.metric("ringgate_requests_total") + extra);
    }

    /// The sum of a metric over all its labels.
    fn metric(&self, name: &str) -> u64 {
        let names = SlotNames { listeners: vec!["web".into()], ..SlotNames::default() };
        let mut page = String::new();
        expose(&[(&self.metrics, &self.status)], &names, &[], &mut page);
        let lines = page.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .filter(|rest| rest.starts_with('{'))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// The next generation of the configuration; everything that may change does.
    fn next_snapshot(&mut self, net: &SimNet) -> Arc<Snapshot> {
        self.generation += 1;
        let random = net.random();
        let pick = |shift: u64, of: &[&str]| {
            let index = (random >> shift) as usize % of.len();
            of[index].to_owned()
        };
        let endpoints = pick(
            0,
            &[
                "{ address: \"10.0.1.1:80\" }",
                "{ address: \"10.0.1.1:80\" }, { address: \"10.0.1.2:80\" }",
                "{ address: \"10.0.1.1:80\" }, { address: \"10.0.1.9:80\" }",
            ],
        );
        let text = format!(
            "timeouts: {{ drain: {drain}s }}\n\
             listeners:\n\
             - name: web\n  address: \"10.0.0.1:8080\"\n\
             \x20 timeouts: {{ head: 4s, body: 5s, send: 30s, keepalive: 5s }}\n\
             upstreams:\n\
             - name: origin\n  endpoints: [ {endpoints} ]\n\
             \x20 balance: {balance}\n\
             \x20 limits: {{ connections: {connections}, pending: {pending} }}\n\
             \x20 keepalive: {{ idle_per_worker: {idle}, idle_timeout: 4s }}\n\
             \x20 timeouts: {{ connect: 1s }}\n\
             routes:\n\
             - name: all\n  match: {{ path: {{ prefix: / }} }}\n\
             \x20 backends: [ {{ upstream: origin }} ]\n\
             \x20 timeouts: {{ first_byte: 3s, idle: 6s{request} }}\n",
            drain = DRAIN.as_secs(),
            balance = pick(8, &["p2c", "round_robin", "least_request"]),
            connections = pick(16, &["1", "3", "1000"]),
            pending = pick(24, &["0", "6", "1000", "1000"]),
            idle = pick(32, &["0", "1", "64"]),
            request = pick(40, &["", "", ", request: 10s"]),
        );
        let document = config::load(&text, "sim.yaml", &|_| None, Path::new("."))
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let snapshot = config::compile(&document, self.generation, &mut self.slots)
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        Arc::new(snapshot)
    }
}
