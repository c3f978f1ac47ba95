//! What may go wrong on a simulated host, how often, and the dice that decide when.

use std::cell::Cell;
use std::time::Duration;

/// A probability, in parts of a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance(u32);

impl Chance {
    /// It does not happen.
    pub const NEVER: Chance = Chance(0);

    /// So many times in a million; a million and more is always.
    pub const fn per_million(times: u32) -> Chance {
        Chance(times)
    }

    /// So many times in a hundred.
    pub const fn percent(times: u32) -> Chance {
        Chance(times.saturating_mul(10_000))
    }
}

/// What goes wrong on one host. A connection suffers what its two ends suffer.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A receive yields fewer bytes than have come, often one; the rest comes with a later
    /// completion.
    pub short_read: Chance,
    /// A send is taken in part; the rest is taken later.
    pub partial_send: Chance,
    /// Bytes sent at once arrive in pieces, each with a latency of its own.
    pub split: Chance,
    /// Longest way of a piece, an end or a reset to the peer; each draws its own, so completions
    /// of different streams come in any order.
    pub latency_max: Duration,
    /// A piece is held up for a time up to [`Faults::stall_max`].
    pub stall: Chance,
    /// Longest time that a piece is held up.
    pub stall_max: Duration,
    /// The connection breaks for both ends instead of taking a send.
    pub reset: Chance,
    /// A connect is refused.
    pub refuse: Chance,
    /// A connect is answered by nobody, until its deadline.
    pub unanswered: Chance,
    /// The table of streams is full for a connect or an accepted connection.
    pub table_full: Chance,
    /// An accept finds no descriptor, and waits.
    pub no_descriptor: Chance,
    /// A receive finds no buffer for some milliseconds.
    pub no_recv_buffer: Chance,
    /// A copy for sending finds no buffer: the stream fails.
    pub no_send_buffer: Chance,
    /// Latest that a timer fires after its time.
    pub timer_slack_max: Duration,
}

impl Faults {
    /// Nothing goes wrong, and nothing takes time.
    pub fn none() -> Faults {
        Faults::default()
    }

    /// What a correct peer on a busy network looks like: no failure, but bytes in any pieces at any
    /// time. Whatever holds without faults must hold with these.
    pub fn mild() -> Faults {
        Faults {
            short_read: Chance::percent(10),
            partial_send: Chance::percent(10),
            split: Chance::percent(20),
            latency_max: Duration::from_micros(400),
            timer_slack_max: Duration::from_millis(8),
            ..Faults::default()
        }
    }

    /// Everything goes wrong now and then.
    pub fn harsh() -> Faults {
        Faults {
            short_read: Chance::percent(20),
            partial_send: Chance::percent(15),
            split: Chance::percent(25),
            latency_max: Duration::from_millis(3),
            stall: Chance::per_million(3_000),
            stall_max: Duration::from_secs(8),
            reset: Chance::per_million(2_000),
            refuse: Chance::percent(2),
            unanswered: Chance::percent(1),
            table_full: Chance::per_million(5_000),
            no_descriptor: Chance::percent(2),
            no_recv_buffer: Chance::percent(1),
            no_send_buffer: Chance::per_million(500),
            timer_slack_max: Duration::from_millis(8),
        }
    }
}

/// The one source of chance: the same seed gives the same throws.
#[derive(Debug)]
pub(super) struct Dice {
    state: Cell<u64>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice { state: Cell::new(seed) }
    }

    /// SplitMix64: every state is good, and neighbouring seeds share nothing.
    pub(super) fn draw(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero if that is zero.
    pub(super) fn below(&self, bound: usize) -> usize {
        if bound < 2 { 0 } else { (self.draw() % bound as u64) as usize }
    }

    pub(super) fn hits(&self, chance: Chance) -> bool {
        chance.0 > 0 && self.draw() % 1_000_000 < u64::from(chance.0)
    }

    /// Up to `longest`, the short ones more often.
    pub(super) fn duration(&self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return Duration::ZERO;
        }
        let shorter = nanos >> (self.draw() % 5);
        Duration::from_nanos(self.draw() % (shorter + 1))
    }

    /// How many bytes of `whole`, which is not zero, a short operation moves: at least one.
    pub(super) fn part(&self, whole: usize) -> usize {
        match self.draw() % 3 {
            0 => 1,
            1 => 1 + self.below(whole.min(16)),
            _ => 1 + self.below(whole),
        }
    }
}
