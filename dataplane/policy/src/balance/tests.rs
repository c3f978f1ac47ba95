//! Balancers keep their promises: weights, loads, tried endpoints, stability.

use proptest::prelude::*;

use super::*;

const KINDS: [BalanceKind; 5] = [
    BalanceKind::RoundRobin,
    BalanceKind::P2c,
    BalanceKind::LeastRequest,
    BalanceKind::Random,
    BalanceKind::Maglev,
];

fn loads(weights: &[u32]) -> Vec<EndpointLoad> {
    weights.iter().map(|&weight| EndpointLoad { weight, ..EndpointLoad::default() }).collect()
}

fn identities(count: usize) -> Vec<u64> {
    (0..count).map(|i| stable_hash(format!("10.0.0.{i}:80").as_bytes())).collect()
}

fn balancer(kind: BalanceKind, weights: &[u32]) -> Balancer {
    Balancer::new(kind, weights, &identities(weights.len()))
}

#[test]
fn weights_are_honoured() {
    let weights = [1, 2, 5, 0];
    for kind in [BalanceKind::RoundRobin, BalanceKind::Random, BalanceKind::Maglev] {
        let mut balancer = balancer(kind, &weights);
        let mut counts = [0u32; 4];
        for draw in 0..80_000u64 {
            let key = Some(stable_hash(&draw.to_le_bytes()));
            let picked = balancer.pick(&loads(&weights), 0, mix(draw), key, 0);
            counts[picked.unwrap()] += 1;
        }
        for (count, expected) in counts.iter().zip([10_000, 20_000, 50_000, 0]) {
            assert!(count.abs_diff(expected) <= 1000, "{kind:?}: {counts:?}");
        }
    }
}

#[test]
fn round_robin_interleaves() {
    let mut balancer = balancer(BalanceKind::RoundRobin, &[3, 1]);
    let loads = loads(&[3, 1]);
    let order: Vec<usize> = (0..8).map(|_| balancer.pick(&loads, 0, 0, None, 0).unwrap()).collect();
    assert_eq!(order, [0, 0, 1, 0, 0, 0, 1, 0]);
}

#[test]
fn the_less_loaded_is_preferred() {
    let mut loads = loads(&[1, 1]);
    loads[0].in_flight = 10;
    for kind in [BalanceKind::P2c, BalanceKind::LeastRequest] {
        let mut balancer = balancer(kind, &[1, 1]);
        for draw in 0..100 {
            assert_eq!(balancer.pick(&loads, 0, mix(draw), None, 0), Some(1), "{kind:?}");
        }
    }
    loads[0].in_flight = 1;
    loads[1].in_flight = 1;
    loads[1].ewma_us = 50_000;
    loads[0].ewma_us = 1_000;
    let mut balancer = balancer(BalanceKind::P2c, &[1, 1]);
    assert!((0..100).all(|draw| balancer.pick(&loads, 0, mix(draw), None, 0) == Some(0)));
}

#[test]
fn failures_eject_for_longer_and_longer_but_never_everybody() {
    let mut loads = loads(&[1, 1]);
    loads[0].fail(1000);
    assert_eq!(loads[0].ejected_until_ms, 1100);
    loads[0].fail(1000);
    assert_eq!(loads[0].ejected_until_ms, 1200);
    for _ in 0..40 {
        loads[0].fail(1000);
    }
    assert_eq!(loads[0].ejected_until_ms, 11_000);
    for kind in KINDS {
        let mut balancer = balancer(kind, &[1, 1]);
        assert!((0..50).all(|d| balancer.pick(&loads, 1000, mix(d), Some(mix(d)), 0) == Some(1)));
        assert_eq!(balancer.pick(&loads, 1000, 7, Some(7), 0b10), Some(0), "all others tried");
    }
    loads[0].succeed();
    assert_eq!(loads[0].ejected_until_ms, 0);
}

#[test]
fn maglev_moves_few_keys_and_is_the_same_in_every_release() {
    let before = balancer(BalanceKind::Maglev, &[1; 10]);
    let after = balancer(BalanceKind::Maglev, &[1; 9]);
    let place = |mut balancer: Balancer, count: usize, key: u64| {
        balancer.pick(&loads(&vec![1; count]), 0, 0, Some(stable_hash(&key.to_le_bytes())), 0)
    };
    let moved = (0..2000u64)
        .filter(|&key| {
            let old = place(before.clone(), 10, key);
            old != Some(9) && old != place(after.clone(), 9, key)
        })
        .count();
    assert!(moved < 120, "{moved} of 2000 keys moved");
    let golden: Vec<usize> = (0..8).filter_map(|key| place(before.clone(), 10, key)).collect();
    assert_eq!(golden, GOLDEN);
    assert_eq!(stable_hash(b"ringgate"), GOLDEN_HASH);
}

const GOLDEN: [usize; 8] = [7, 7, 3, 3, 8, 3, 8, 4];
const GOLDEN_HASH: u64 = 1283042317705094977;

proptest! {
    #[test]
    fn a_pick_is_valid_and_untried_or_nothing_is_left(
        weights in prop::collection::vec(0u32..4, 0..70),
        tried in any::<u64>(),
        random in any::<u64>(),
        ejected in any::<u64>(),
        key in prop::option::of(any::<u64>()),
    ) {
        let mut loads = loads(&weights);
        for (index, load) in loads.iter_mut().enumerate() {
            load.ejected_until_ms = if index < 64 { ejected >> index & 1 } else { 0 };
        }
        let is_open = |index: usize| weights[index] > 0 && (index >= 64 || tried >> index & 1 == 0);
        for kind in KINDS {
            match balancer(kind, &weights).pick(&loads, 0, random, key, tried) {
                Some(index) => prop_assert!(is_open(index)),
                None => prop_assert!(!(0..weights.len()).any(is_open)),
            }
        }
    }
}
