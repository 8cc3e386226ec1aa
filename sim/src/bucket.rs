//! Token buckets: what a quota leaves of a second's worth.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// After so long (ms) every bucket is full again, also one that owed some seconds' worth.
const FULL_AFTER: u64 = 10_000;

/// Buckets by what they limit, and whose. Each refills at its rate, up to one second's worth, and is full at first.
#[derive(Debug)]
pub struct Buckets<K> {
    left: Mutex<HashMap<K, Left>>,
}

#[derive(Debug)]
struct Left {
    tokens: f64,
    at: i64,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self {
            left: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Takes what something costs, of so much a second, at a time in ms; or nothing, where that is not left. What costs more
    /// than a second's worth passes where nothing else was taken.
    pub fn take(&self, key: K, rate: f64, cost: f64, now: i64) -> bool {
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        // A full bucket is one that nobody knows.
        all.retain(|_, left| now.abs_diff(left.at) < FULL_AFTER);
        let left = all.entry(key).or_insert(Left {
            tokens: rate,
            at: now,
        });
        let refill = now.saturating_sub(left.at).max(0) as f64 / 1000.0 * rate;
        left.tokens = (left.tokens + refill).min(rate);
        left.at = now;
        if left.tokens < cost.min(rate) {
            return false;
        }
        left.tokens -= cost;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_a_second_for_each() {
        let buckets = Buckets::default();
        let take = |key: &'static str, now| buckets.take(key, 3.0, 1.0, now);
        assert_eq!([0, 1, 2, 3].map(|now| take("a", now)), [true, true, true, false]);
        assert!(take("b", 3));
        assert_eq!(
            [400, 401, 800, 60_000].map(|now| take("a", now)),
            [true, false, true, true]
        );
        assert!(buckets.take("c", 3.0, 9.0, 0), "nothing else was taken");
        assert!(
            !buckets.take("c", 3.0, 1.0, 2000),
            "it is paid off before the next"
        );
        assert!(buckets.take("c", 3.0, 1.0, 2500));
    }
}
