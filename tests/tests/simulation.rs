//! The whole session on the simulated network, seed by seed.
//!
//! `RINGGATE_SIM_SEEDS=n` runs seeds 0 to n - 1 (256 by default), `RINGGATE_SIM_SEED=n` that one alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is how a test reports")]

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tests::sim::{Plant, run};

const SEEDS: u64 = 256;
/// Failing seeds shown in full.
const SHOWN: usize = 3;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// What is wrong with a seed, and the tally of its outcomes.
fn judge(seed: u64) -> Result<BTreeMap<String, u64>, String> {
    match catch_unwind(|| run(seed, Plant::Nothing)) {
        Ok(report) if report.violations.is_empty() => Ok(report.tally),
        Ok(report) => {
            let tail = match number("RINGGATE_SIM_SEED") {
                Some(_) => format!("\n{}", report.trace_tail),
                None => String::new(),
            };
            Err(report.violations.join("\n  ") + &tail)
        }
        Err(panic) => Err(match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(_) => "a panic".to_owned(),
        }),
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    let seeds: Vec<u64> = match number("RINGGATE_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("RINGGATE_SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let next = AtomicU64::new(0);
    let failed = Mutex::new(BTreeMap::new());
    let tally = Mutex::new(BTreeMap::<String, u64>::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    match judge(seed) {
                        Ok(seen) => {
                            let mut tally = tally.lock().unwrap();
                            for (kind, count) in seen {
                                *tally.entry(kind).or_default() += count;
                            }
                        }
                        Err(what) => {
                            failed.lock().unwrap().insert(seed, what);
                        }
                    }
                }
            });
        }
    });
    let (failed, tally) = (failed.into_inner().unwrap(), tally.into_inner().unwrap());
    println!("{} seeds: {tally:?}", seeds.len());
    for (seed, what) in failed.iter().take(SHOWN) {
        eprintln!(
            "seed {seed}:\n  {what}\nreplay: RINGGATE_SIM_SEED={seed} cargo test -p tests --test \
             simulation every_seed\n"
        );
    }
    let seeds: Vec<&u64> = failed.keys().collect();
    assert!(failed.is_empty(), "{} seeds fail: {seeds:?}", failed.len());
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let hashes: Vec<[u64; 2]> =
        (0..6).map(|seed| [(); 2].map(|()| run(seed, Plant::Nothing).trace_hash)).collect();
    for (seed, [first, second]) in hashes.iter().enumerate() {
        assert_eq!(first, second, "seed {seed}");
    }
    let mut firsts: Vec<u64> = hashes.iter().map(|[first, _]| *first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), hashes.len(), "seeds share a trace");
}

/// The harness must not be silent: each planted defect is found, in the words of its own check.
#[test]
fn planted_defects_are_found() {
    for (plant, words) in [
        (Plant::FlippedByte, "wrong bytes"),
        (Plant::LostTail, "complete with"),
        (Plant::LeakedStream, "streams left after the drain"),
        (Plant::ExtraOutcome, "outcomes counted"),
    ] {
        let found = (0..6).any(|seed| {
            run(seed, plant).violations.iter().any(|violation| violation.contains(words))
        });
        assert!(found, "{plant:?} goes unnoticed");
    }
}
