//! `ringgate run`: configuration, runtime, sockets, workers, control thread, in this order.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use config::snapshot::{LogTarget, NameTable, RuntimeChoice, WorkerCount};
use config::{Slots, Snapshot};
use control::listening::{Bound, address_of, bind, patiently};
use control::resolve::{Resolver, names_in, resolve_all};
use control::source::Source;
use control::{Ended, Event, RuntimeLabel, Setup, WorkerLink, say, signals};
use net::{BindOptions, BoundSocket, Post};
use telemetry::access_log::{AccessLog, Target};

use crate::failure::Failure;
use crate::runtime_choice::{self, Runtime};
use crate::workers::{self, Started, Work};

/// Events that may wait for the control thread.
const EVENTS_MAX: usize = 4096;

/// Runs the gateway by a file until it is told to end.
pub(crate) fn run_file(file: PathBuf) -> Result<(), Failure> {
    let (post, events) = net::mailbox(EVENTS_MAX);
    run(Source::File(file), post, events, |_| {})
}

/// Runs the gateway; `ready` is called when it serves.
pub(crate) fn run(
    source: Source,
    post: Post<Event>,
    events: net::Mailbox<Event>,
    ready: impl FnOnce(&Snapshot),
) -> Result<(), Failure> {
    let document = source.load().map_err(|problems| Failure::from_problems(&problems))?;
    let mut slots = Slots::new();
    let snapshot = config::compile(&document, 1, &mut slots)
        .map_err(|problems| Failure::from_problems(&problems))?;
    let snapshot = Arc::new(snapshot);
    raise_descriptor_limit();
    signals::watch(post.clone())
        .map_err(|error| Failure::Host(format!("cannot watch signals: {error}")))?;
    let count = worker_count(&snapshot);
    // Made before any client can take the last descriptors.
    let control =
        net::portable::Runtime::new(runtime_choice::small_options(), net::portable::Driver::Legacy)
            .map_err(|error| Failure::Host(error.to_string()))?;
    let access_log = snapshot.access_log.as_ref().map(|log| open_log(&log.path)).transpose()?;
    let (started, runtime) = start_workers(&snapshot, count, &post)?;
    say(&format!("runtime: {} ({}), {count} workers", runtime.name, runtime.why));
    let admin = bind_admin(&snapshot)?;
    let (bound, sockets) = bind_listeners(&snapshot, count)?;
    let wanted = names_in(&snapshot);
    let names = Arc::new(resolve_all(&wanted, &NameTable::default()));
    let (retire, retired) = channel();
    let mut links: Vec<WorkerLink> = Vec::with_capacity(count);
    let mut threads = Vec::with_capacity(count);
    for (started, sockets) in started.into_iter().zip(sockets) {
        let (link, thread) = started.begin(Work {
            snapshot: Arc::clone(&snapshot),
            names: Arc::clone(&names),
            sockets,
            retire: retire.clone(),
            access_log: access_log.as_ref().map(AccessLog::writer),
        });
        links.push(link);
        threads.push(thread);
    }
    drop(retire);
    let resolver = Resolver::start(wanted, Arc::clone(&names), post.clone())
        .map_err(|error| Failure::Host(format!("cannot start the resolver: {error}")))?;
    wait_until_served(&links);
    say(&format!("ready, generation {}", snapshot.generation));
    ready(&snapshot);
    let admin_bound = snapshot.admin.clone();
    let setup = Setup {
        source,
        document,
        snapshot,
        slots,
        bound,
        workers: links,
        names,
        retired,
        access_log,
        events,
        post,
        resolver,
        admin,
        runtime,
    };
    let (ended, access_log) = control.run(|net| control::run(net, setup));
    if let Some(admin) = admin_bound {
        control::listening::unlink(&admin.address);
    }
    end(ended, threads, access_log)
}

fn end(
    ended: Ended,
    threads: Vec<JoinHandle<()>>,
    access_log: Option<AccessLog>,
) -> Result<(), Failure> {
    match ended {
        Ended::Drained => {
            for thread in threads {
                // A worker that panicked at its end has said so.
                let _ = thread.join();
            }
            if let Some(log) = access_log {
                log.close();
            }
            say("drained");
            Ok(())
        }
        Ended::Forced => {
            say("ended without waiting for open exchanges");
            Ok(())
        }
        Ended::WorkerLost(index) => {
            Err(Failure::Host(format!("worker {index} has died; its message stands above")))
        }
    }
}

fn worker_count(snapshot: &Snapshot) -> usize {
    match snapshot.workers {
        WorkerCount::Count(count) => count as usize,
        WorkerCount::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Starts all workers on one kind of runtime. A ring that passed its probe and then fails on a
/// worker, for instance for lack of memory, is given up for all, if the choice is ours.
fn start_workers(
    snapshot: &Snapshot,
    count: usize,
    post: &Post<Event>,
) -> Result<(Vec<Started>, RuntimeLabel), Failure> {
    let options = runtime_choice::options(snapshot, count);
    let (runtime, label) = runtime_choice::choose(snapshot.runtime, &options)?;
    match workers::start(runtime, &options, count, post) {
        Ok(started) => Ok((started, label)),
        Err(Failure::Host(why))
            if runtime == Runtime::Ring && snapshot.runtime == RuntimeChoice::Auto =>
        {
            let label = runtime_choice::portable(&why);
            Ok((workers::start(Runtime::Portable, &options, count, post)?, label))
        }
        Err(failure) => Err(failure),
    }
}

type SocketsByWorker = Vec<Vec<(u32, BoundSocket)>>;

fn bind_listeners(snapshot: &Snapshot, count: usize) -> Result<(Bound, SocketsByWorker), Failure> {
    let mut bound = Bound::default();
    let mut by_worker: SocketsByWorker = (0..count).map(|_| Vec::new()).collect();
    for listener in &snapshot.listeners {
        let sockets = patiently(|| bind(listener, count, false)).map_err(|error| {
            Failure::Host(format!(
                "listener {} cannot listen on {}: {error}",
                listener.name, listener.address
            ))
        })?;
        if let Some(first) = sockets.first() {
            say(&format!("listener {} on {}", listener.name, first.address()));
        }
        bound.insert(listener);
        for (sockets_of_worker, socket) in by_worker.iter_mut().zip(sockets) {
            sockets_of_worker.push((listener.slot, socket));
        }
    }
    Ok((bound, by_worker))
}

fn bind_admin(snapshot: &Snapshot) -> Result<Vec<BoundSocket>, Failure> {
    let Some(admin) = &snapshot.admin else { return Ok(Vec::new()) };
    let options = BindOptions { backlog: 128, reuse_port: false };
    let address = address_of(&admin.address);
    let socket = patiently(|| BoundSocket::bind(&address, &options)).map_err(|error| {
        let address = &admin.address;
        Failure::Host(format!("the admin interface cannot listen on {address}: {error}"))
    })?;
    say(&format!("admin on {}", socket.address()));
    Ok(vec![socket])
}

fn open_log(target: &LogTarget) -> Result<AccessLog, Failure> {
    let target = match target {
        LogTarget::Stdout => Target::Stdout,
        LogTarget::Stderr => Target::Stderr,
        LogTarget::File(path) => Target::File(path.clone()),
    };
    AccessLog::open(target.clone()).map_err(|error| {
        Failure::Host(format!("the access log {target:?} cannot be opened: {error}"))
    })
}

/// As many descriptors as the host grants; a refusal leaves the limit where it was.
fn raise_descriptor_limit() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// Returns when every worker has taken its first snapshot, or has died on the way.
fn wait_until_served(links: &[WorkerLink]) {
    for _ in 0..5000 {
        if links.iter().all(|link| link.status.generation() > 0) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
