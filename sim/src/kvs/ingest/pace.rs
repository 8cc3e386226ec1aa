//! How fast a PutMedia is read where quotas hold. AWS has no acknowledgement for too much: it takes no more than its quota, and
//! the producer's buffer fills.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second of a stream: 100 Mbit/s.
const BYTES: f64 = 12_500_000.0;

/// Fragments a second of a stream.
const FRAGMENTS: f64 = 5.0;

/// What a connection was ahead of its quotas.
#[derive(Debug)]
pub struct Pace {
    bytes: Budget,
    fragments: Budget,
}

#[derive(Debug)]
struct Budget {
    rate: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn new(rate: f64, now: Instant) -> Self {
        Self {
            rate,
            left: rate,
            at: now,
        }
    }

    /// How long to wait after taking so much.
    fn wait(&mut self, cost: f64, now: Instant) -> Duration {
        let refill = now.duration_since(self.at).as_secs_f64() * self.rate;
        self.left = (self.left + refill).min(self.rate) - cost;
        self.at = now;
        Duration::from_secs_f64((-self.left / self.rate).max(0.0))
    }
}

impl Pace {
    /// For a connection that begins now.
    pub fn new(now: Instant) -> Self {
        Self {
            bytes: Budget::new(BYTES, now),
            fragments: Budget::new(FRAGMENTS, now),
        }
    }

    /// How long to wait before more is read, after so many bytes came.
    pub fn bytes(&mut self, bytes: usize, now: Instant) -> Duration {
        self.bytes.wait(bytes as f64, now)
    }

    /// How long to wait before more is read, after a fragment was complete.
    pub fn fragment(&mut self, now: Instant) -> Duration {
        self.fragments.wait(1.0, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fragments_and_twelve_and_a_half_megabytes_a_second() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        let waits: Vec<u128> = (0..7).map(|_| pace.fragment(began).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 200, 400]);
        let later = began + Duration::from_secs(1);
        assert_eq!(pace.fragment(later), Duration::ZERO);
        assert_eq!(pace.bytes(12_500_000, began), Duration::ZERO);
        assert_eq!(pace.bytes(12_500_000, began), Duration::from_secs(1));
    }
}
