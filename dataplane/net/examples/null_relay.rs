//! The null relay: the floor under every figure that `scripts/bench` prints.
//!
//! The least a relay on io_uring can do for its bytes: receive, find the end of the head (mode
//! `http` only), send what was received. No executor, no routing, no pool, no limits, no log: one
//! upstream connection for each client connection, written straight on the `io-uring` crate. What
//! the gateway costs above this program is what its features cost.
//!
//! It is a yardstick and so as fast as we can honestly make it:
//! - sockets live in the ring's file table only, so no operation touches a file reference count;
//! - receives are multishot from a provided-buffer ring, sends go out of the received buffer;
//! - the buffers are few and huge-page backed, so the cache holds all that is in use;
//! - one enter per turn, at light load too. A first send carries MSG_DONTWAIT and therefore always
//!   completes within the enter that submits it; the enter waits for that many completions *and
//!   one more*, where a plain wait for one would come back at once with the sends' own results and
//!   need a second enter to sleep. Only where a send has something queued behind it, its own result
//!   is what is waited for.
//!
//! Out of scope: everything a gateway must do to be trusted with strangers.
//!
//! Usage: `null_relay --listen ADDRESS --upstream ADDRESS [--mode http|sse] [--delayed-ack]
//! [--min-wait MICROSECONDS] [--batch COUNT] [--connections COUNT] [--buffers COUNT]`.
//! SIGTERM ends it with a line of counters on stderr.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};

/// Ends the loop; set by SIGTERM and SIGINT.
static STOP: AtomicBool = AtomicBool::new(false);

const BUFFER_BYTES: usize = 4096;
const BUFFER_GROUP: u16 = 0;
const RING_ENTRIES: u32 = 4096;
/// Heads with more fields count as unparsed; no workload here has so many.
const FIELDS_MAX: usize = 32;

// Kinds of operation, in the upper half of user_data; the lower half is a slot of the file table.
const ACCEPT: u64 = 0;
const RECV: u64 = 1;
const SEND: u64 = 2;
const SHUTDOWN: u64 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let handler = stop as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler stores to an atomic, which is async-signal-safe. std has no signals.
        unsafe { libc::signal(signal, handler) };
    }
    raise_descriptor_limit();
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_no_sqarray()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(8 * RING_ENTRIES)
        .build(RING_ENTRIES)?;
    let listener = listen(options.listen)?;
    let (mut submitter, queue, completions) = ring.split();
    submitter.register_ring_fd()?;
    submitter.register_files_sparse(2 * options.connections)?;
    let buffers = Buffers::register(&submitter, options.buffers)?;
    let mut relay = Relay {
        submitter,
        queue,
        buffers,
        listener: listener.as_raw_fd(),
        pairs: Vec::new(),
        free: Vec::new(),
        starved: Vec::new(),
        inline_sends: 0,
        follow_up: false,
        counters: Counters::default(),
        options,
    };
    let outcome = relay.run(completions);
    eprintln!("{:?}", relay.counters);
    outcome
}

extern "C" fn stop(_signal: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

struct Relay<'ring> {
    submitter: Submitter<'ring>,
    queue: SubmissionQueue<'ring>,
    buffers: Buffers,
    listener: RawFd,
    /// Pair `n` owns the slots `2n` (client) and `2n + 1` (upstream).
    pairs: Vec<Pair>,
    free: Vec<u32>,
    /// Slots whose receive ended for want of buffers, to be armed again.
    starved: Vec<u32>,
    /// Sends pushed since the last wait that are sure to complete within the next enter.
    inline_sends: usize,
    /// More is to be done as soon as those sends have completed.
    follow_up: bool,
    counters: Counters,
    options: Options,
}

/// Two connected sockets. Direction 0 carries what the client sends, 1 what the upstream sends.
#[derive(Default)]
struct Pair {
    directions: [Direction; 2],
    /// Operations the kernel still holds; the slots are free at zero only.
    operations: u32,
}

#[derive(Default)]
struct Direction {
    sending: Option<Chunk>,
    /// What arrived while a send was under way, in order.
    queued: VecDeque<Chunk>,
    /// The source has no more to give.
    ended: bool,
}

impl Direction {
    /// Whether the end of the send under way is waited for.
    fn has_more(&self) -> bool {
        !self.queued.is_empty() || self.ended
    }
}

/// Bytes of a leased receive buffer that are still to be sent.
#[derive(Clone, Copy)]
struct Chunk {
    buffer: u16,
    start: u16,
    end: u16,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: u64,
    enters: u64,
    completions: u64,
    receives: u64,
    heads: u64,
    unparsed: u64,
    sends_short: u64,
    starved: u64,
}

impl Relay<'_> {
    fn run(&mut self, mut completions: CompletionQueue<'_>) -> Result<(), Box<dyn Error>> {
        self.arm_accept()?;
        while !STOP.load(Ordering::Relaxed) {
            completions.sync();
            for completion in completions.by_ref() {
                self.counters.completions += 1;
                self.handle(&completion)?;
            }
            // Publishes the consumed entries, so that the kernel counts its wait from here.
            completions.sync();
            self.rearm_starved()?;
            self.buffers.publish();
            self.enter()?;
        }
        Ok(())
    }

    fn handle(&mut self, completion: &cqueue::Entry) -> Result<(), Box<dyn Error>> {
        let slot = completion.user_data() as u32;
        match completion.user_data() >> 32 {
            RECV => self.handle_received(slot, completion)?,
            SEND => self.handle_sent(slot, completion.result())?,
            SHUTDOWN => self.finish_operation(slot)?,
            _ => self.handle_accepted(completion)?,
        }
        Ok(())
    }

    fn handle_accepted(&mut self, completion: &cqueue::Entry) -> Result<(), Box<dyn Error>> {
        if !cqueue::more(completion.flags()) {
            self.arm_accept()?;
        }
        if completion.result() < 0 {
            return Ok(());
        }
        // SAFETY: the kernel has just given us this descriptor; nothing else owns it. Needed to
        // have it closed on each way out.
        let client = unsafe { OwnedFd::from_raw_fd(completion.result()) };
        // Blocking, on loopback and outside the measured time.
        let Ok(upstream) = TcpStream::connect(self.options.upstream) else {
            return Ok(());
        };
        upstream.set_nodelay(true)?;
        if self.options.delayed_ack {
            socket2::SockRef::from(&upstream).set_tcp_quickack(false)?;
        }
        let pair = match self.free.pop() {
            Some(pair) => pair,
            None if self.pairs.len() < self.options.connections as usize => {
                self.pairs.push(Pair::default());
                self.pairs.len() as u32 - 1
            }
            None => return Ok(()),
        };
        let sockets = [client.as_raw_fd(), upstream.as_raw_fd()];
        self.submitter.register_files_update(2 * pair, &sockets)?;
        self.counters.accepted += 1;
        self.arm_receive(2 * pair)?;
        self.arm_receive(2 * pair + 1)?;
        Ok(())
    }

    fn handle_received(&mut self, slot: u32, completion: &cqueue::Entry) -> io::Result<()> {
        let result = completion.result();
        let goes_on = cqueue::more(completion.flags());
        if let Some(buffer) = cqueue::buffer_select(completion.flags()) {
            if result > 0 {
                self.counters.receives += 1;
                self.inspect(slot, buffer, result as usize);
                self.forward(slot, Chunk { buffer, start: 0, end: result as u16 })?;
            } else {
                self.buffers.give_back(buffer);
            }
        }
        if goes_on {
            return Ok(());
        }
        match result {
            1.. => self.arm_receive(slot)?,
            _ if result == -libc::ENOBUFS => {
                self.counters.starved += 1;
                self.starved.push(slot);
                // Counted as an operation still, so that the pair stays until it is armed again.
                return Ok(());
            }
            0 => self.end_direction(slot)?,
            _ => {
                // Broken off: the other side learns it by a full shutdown.
                self.direction(slot).ended = true;
                self.push_shutdown(slot ^ 1, libc::SHUT_RDWR)?;
            }
        }
        self.finish_operation(slot)
    }

    /// Finds the end of the head, all a relay of HTTP must know to be called one.
    fn inspect(&mut self, slot: u32, buffer: u16, length: usize) {
        if !self.options.heads {
            return;
        }
        let bytes = self.buffers.bytes(buffer, length);
        let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
        let parsed = if slot & 1 == 0 {
            httparse::Request::new(&mut []).parse_with_uninit_headers(bytes, &mut fields)
        } else {
            let config = httparse::ParserConfig::default();
            let mut response = httparse::Response::new(&mut []);
            config.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
        };
        match parsed {
            Ok(httparse::Status::Complete(head)) if head <= length => self.counters.heads += 1,
            _ => self.counters.unparsed += 1,
        }
    }

    fn forward(&mut self, slot: u32, chunk: Chunk) -> io::Result<()> {
        let direction = self.direction(slot);
        if direction.sending.is_some() {
            direction.queued.push_back(chunk);
            self.follow_up = true;
            return Ok(());
        }
        self.push_send(slot, chunk, libc::MSG_DONTWAIT)
    }

    fn handle_sent(&mut self, slot: u32, result: i32) -> io::Result<()> {
        let Some(mut chunk) = self.direction(slot).sending.take() else {
            return self.finish_operation(slot);
        };
        if result == -libc::EAGAIN || result >= 0 {
            chunk.start += result.max(0) as u16;
            if chunk.start < chunk.end {
                // The socket is full: this send waits in the kernel until there is room.
                self.counters.sends_short += 1;
                self.push_send(slot, chunk, libc::MSG_WAITALL)?;
                return self.finish_operation(slot);
            }
            self.buffers.give_back(chunk.buffer);
            if let Some(next) = self.direction(slot).queued.pop_front() {
                self.push_send(slot, next, libc::MSG_DONTWAIT)?;
                self.follow_up |= self.direction(slot).has_more();
            } else if self.direction(slot).ended {
                self.push_shutdown(slot ^ 1, libc::SHUT_WR)?;
            }
        } else {
            self.buffers.give_back(chunk.buffer);
            while let Some(chunk) = self.direction(slot).queued.pop_front() {
                self.buffers.give_back(chunk.buffer);
            }
            self.push_shutdown(slot, libc::SHUT_RDWR)?;
            self.push_shutdown(slot ^ 1, libc::SHUT_RDWR)?;
        }
        self.finish_operation(slot)
    }

    /// Passes an end of stream on, after the bytes before it.
    fn end_direction(&mut self, slot: u32) -> io::Result<()> {
        let direction = self.direction(slot);
        direction.ended = true;
        if direction.sending.is_none() {
            self.push_shutdown(slot ^ 1, libc::SHUT_WR)?;
        } else {
            self.follow_up = true;
        }
        Ok(())
    }

    /// Counts an operation as done; the last one of a pair closes both sockets.
    fn finish_operation(&mut self, slot: u32) -> io::Result<()> {
        let pair = &mut self.pairs[slot as usize / 2];
        pair.operations -= 1;
        if pair.operations == 0 {
            *pair = Pair::default();
            self.submitter.register_files_update(slot & !1, &[-1, -1])?;
            self.free.push(slot / 2);
        }
        Ok(())
    }

    fn arm_accept(&mut self) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(Fd(self.listener)).build();
        self.push(&entry.user_data(ACCEPT << 32))
    }

    fn arm_receive(&mut self, slot: u32) -> io::Result<()> {
        self.pairs[slot as usize / 2].operations += 1;
        self.push_receive(slot)
    }

    fn push_receive(&mut self, slot: u32) -> io::Result<()> {
        let entry = opcode::RecvMulti::new(Fixed(slot), BUFFER_GROUP).build();
        self.push(&entry.user_data(RECV << 32 | u64::from(slot)))
    }

    fn rearm_starved(&mut self) -> io::Result<()> {
        while let Some(slot) = self.starved.pop() {
            self.push_receive(slot)?;
        }
        Ok(())
    }

    /// Sends what `slot` gave to the other socket of its pair.
    fn push_send(&mut self, slot: u32, chunk: Chunk, flags: i32) -> io::Result<()> {
        let (start, bytes) = (self.buffers.address(chunk), u32::from(chunk.end - chunk.start));
        let entry = opcode::Send::new(Fixed(slot ^ 1), start, bytes)
            .flags(flags | libc::MSG_NOSIGNAL)
            .build();
        let pair = &mut self.pairs[slot as usize / 2];
        pair.operations += 1;
        pair.directions[slot as usize % 2].sending = Some(chunk);
        self.inline_sends += usize::from(flags & libc::MSG_DONTWAIT != 0);
        self.push(&entry.user_data(SEND << 32 | u64::from(slot)))
    }

    fn push_shutdown(&mut self, slot: u32, how: i32) -> io::Result<()> {
        self.pairs[slot as usize / 2].operations += 1;
        let entry = opcode::Shutdown::new(Fixed(slot), how).build();
        self.push(&entry.user_data(SHUTDOWN << 32 | u64::from(slot)))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: sockets are in the file table until the pair's last operation has completed, and
        // a send's bytes lie in a buffer that is given back on its completion only; the arena
        // outlives the ring's use. Needed: the crate offers no safe push.
        while unsafe { self.queue.push(entry) }.is_err() {
            self.queue.sync();
            self.submitter.submit()?;
            self.queue.sync();
        }
        Ok(())
    }

    /// Submits everything and waits for the next arrival, or for a batch of them.
    fn enter(&mut self) -> io::Result<()> {
        self.queue.sync();
        self.counters.enters += 1;
        let sends = std::mem::take(&mut self.inline_sends);
        let outcome = if std::mem::take(&mut self.follow_up) {
            self.submitter.submit_and_wait(1)
        } else if self.options.min_wait_us > 0 {
            let patience = Timespec::new().sec(1);
            let wait =
                SubmitArgs::new().min_wait_usec(self.options.min_wait_us).timespec(&patience);
            self.submitter.submit_with_args(sends + self.options.batch, &wait)
        } else {
            self.submitter.submit_and_wait(sends + 1)
        };
        self.queue.sync();
        match outcome.map_err(|error| error.raw_os_error()) {
            // Interrupted, timed out, or the completion queue is to be drained first.
            Ok(_) | Err(Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)) => Ok(()),
            Err(code) => Err(io::Error::from_raw_os_error(code.unwrap_or(libc::EIO))),
        }
    }

    fn direction(&mut self, slot: u32) -> &mut Direction {
        &mut self.pairs[slot as usize / 2].directions[slot as usize % 2]
    }
}

/// The provided-buffer ring and its arena; both live as long as the process.
struct Buffers {
    entries: *mut BufRingEntry,
    arena: *mut u8,
    mask: u16,
    tail: u16,
}

impl Buffers {
    /// Registers `count` buffers, a power of two up to 32,768.
    fn register(submitter: &Submitter<'_>, count: u16) -> io::Result<Buffers> {
        let entries = map(usize::from(count) * size_of::<BufRingEntry>())?.cast();
        let arena = map(usize::from(count) * BUFFER_BYTES)?;
        // SAFETY: the mapping has `count` entries, is page-aligned and is never unmapped.
        unsafe {
            submitter.register_buf_ring_with_flags(entries as u64, count, BUFFER_GROUP, 0)?;
        }
        let mut buffers = Buffers { entries, arena, mask: count - 1, tail: 0 };
        (0..count).for_each(|buffer| buffers.give_back(buffer));
        buffers.publish();
        Ok(buffers)
    }

    /// Queues a buffer for the kernel, visible to it from the next [`Buffers::publish`] on.
    fn give_back(&mut self, buffer: u16) {
        let address = self.address(Chunk { buffer, start: 0, end: 0 }) as u64;
        let index = usize::from(self.tail & self.mask);
        // SAFETY: the index is masked to the ring's length.
        let entry = unsafe { self.entries.add(index) };
        // SAFETY: aligned, inside the mapping, and unread by the kernel until the tail passes it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: `entries` is the address of the first entry of a live ring.
        let tail = unsafe { BufRingEntry::tail(self.entries) };
        // SAFETY: the tail is an aligned u16 in that ring, shared with the kernel as an atomic.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn address(&self, chunk: Chunk) -> *const u8 {
        let offset = usize::from(chunk.buffer) * BUFFER_BYTES + usize::from(chunk.start);
        // SAFETY: buffer identifiers come from the kernel, which only names those we gave it.
        unsafe { self.arena.add(offset) }
    }

    fn bytes(&self, buffer: u16, length: usize) -> &[u8] {
        let start = self.address(Chunk { buffer, start: 0, end: 0 });
        // SAFETY: the kernel has written `length` bytes there, and writes again only after the
        // buffer is given back, which takes `&mut self`.
        unsafe { std::slice::from_raw_parts(start, length) }
    }
}

/// Zeroed pages, huge ones where the host has them.
fn map(bytes: usize) -> io::Result<*mut u8> {
    const HUGE_PAGE: usize = 2 << 20;
    let bytes = bytes.next_multiple_of(HUGE_PAGE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh anonymous mapping touches no memory of ours. std offers no page-aligned one.
    let pages = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
    if pages == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_POPULATE_WRITE] {
        // SAFETY: advice on the mapping made above; a refusal costs speed only.
        unsafe { libc::madvise(pages, bytes, advice) };
    }
    Ok(pages.cast())
}

fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// The file table may not be larger than the limit of open files.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit into a local.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: reads one rlimit from a local.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

struct Options {
    listen: SocketAddr,
    upstream: SocketAddr,
    heads: bool,
    delayed_ack: bool,
    min_wait_us: u32,
    /// Arrivals that end a min-wait early.
    batch: usize,
    connections: u32,
    buffers: u16,
}

impl Options {
    fn from_args() -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            upstream: SocketAddr::from(([127, 0, 0, 1], 9000)),
            heads: true,
            delayed_ack: false,
            min_wait_us: 0,
            batch: 16,
            connections: 4096,
            buffers: 1024,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} takes a value"));
            match name.as_str() {
                "--listen" => options.listen = value()?.parse()?,
                "--upstream" => options.upstream = value()?.parse()?,
                "--mode" => options.heads = value()? == "http",
                "--delayed-ack" => options.delayed_ack = true,
                "--min-wait" => options.min_wait_us = value()?.parse()?,
                "--batch" => options.batch = value()?.parse()?,
                "--connections" => options.connections = value()?.parse()?,
                "--buffers" => options.buffers = value()?.parse()?,
                _ => return Err(format!("unknown option {name}; see the top of the file").into()),
            }
        }
        Ok(options)
    }
}
