//! How long to wait after failures: for each object on its own, growing, with jitter, forgotten at the first success.
//!
//! kube's controller knows no failure count of an object, and status must not carry one: it would write at every failure.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Class;

/// How often each object has failed in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    objects: Mutex<HashMap<String, Record>>,
}

#[derive(Debug, Default)]
struct Record {
    failures: u32,
    acted: Option<u64>,
}

impl Backoff {
    /// The object failed once more: how long to wait. `chance` is in [0, 1).
    pub fn failed(&self, object: &str, class: Class, chance: f64) -> Duration {
        let mut objects = self.objects();
        let record = objects.entry(object.to_owned()).or_default();
        record.failures = record.failures.saturating_add(1);
        delay(class, record.failures, chance)
    }

    /// Something was done to the object, for which `what` stands: how long to wait if it was the same as the last time.
    pub fn acted(&self, object: &str, what: u64, chance: f64) -> Option<Duration> {
        let mut objects = self.objects();
        let record = objects.entry(object.to_owned()).or_default();
        if record.acted.replace(what) != Some(what) {
            record.failures = 0;
            return None;
        }
        record.failures = record.failures.saturating_add(1);
        Some(delay(Class::Transient, record.failures, chance))
    }

    /// The object succeeded, or is gone.
    pub fn forget(&self, object: &str) {
        self.objects().remove(object);
    }

    /// How many objects fail, or are being changed, at the moment.
    pub fn restless(&self) -> usize {
        self.objects().len()
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait after so many failures in a row (at least 1): doubling from the class's first wait up to its longest, of
/// which chance takes up to half.
fn delay(class: Class, failures: u32, chance: f64) -> Duration {
    let (first, longest) = match class {
        Class::Soon => (1.0, 30.0),
        Class::Transient => (2.0, 300.0),
        Class::Person => (30.0, 900.0),
    };
    let doublings = failures.saturating_sub(1).min(16);
    let seconds = f64::min(first * f64::from(1u32 << doublings), longest);
    Duration::from_secs_f64(seconds * (1.0 - chance / 2.0))
}

/// A period within a tenth of itself, so that what began together does not go on together.
pub fn jitter(period: Duration, chance: f64) -> Duration {
    period.mul_f64(0.9 + chance / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_bound_and_forgets() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..12)
            .map(|_| backoff.failed("a", Class::Transient, 0.0).as_secs())
            .collect();
        assert_eq!(waits[..5], [2, 4, 8, 16, 32]);
        assert_eq!(waits[11], 300);
        assert_eq!(
            backoff.failed("b", Class::Transient, 0.0).as_secs(),
            2,
            "each object on its own"
        );
        backoff.forget("a");
        assert_eq!(backoff.failed("a", Class::Transient, 0.0).as_secs(), 2);
        assert_eq!(backoff.restless(), 2);
    }

    #[test]
    fn doing_the_same_again_waits_longer() {
        let backoff = Backoff::default();
        assert_eq!(backoff.acted("a", 1, 0.0), None);
        assert_eq!(backoff.acted("a", 1, 0.0), Some(Duration::from_secs(2)));
        assert_eq!(backoff.acted("a", 1, 0.0), Some(Duration::from_secs(4)));
        assert_eq!(backoff.acted("a", 2, 0.0), None, "something else");
        backoff.forget("a");
        assert_eq!(backoff.acted("a", 2, 0.0), None, "settled in between");
    }

    #[test]
    fn jitter_stays_in_bounds_and_nothing_overflows() {
        assert_eq!(delay(Class::Person, u32::MAX, 0.0), Duration::from_secs(900));
        assert_eq!(delay(Class::Soon, 0, 0.0), Duration::from_secs(1));
        assert!(delay(Class::Soon, 1, 0.999) >= Duration::from_millis(500));
        assert_eq!(jitter(Duration::from_secs(100), 0.5), Duration::from_secs(100));
        assert!(jitter(Duration::from_secs(100), 0.0) >= Duration::from_secs(90));
    }
}
