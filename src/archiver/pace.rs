//! How fast fragments are asked for: a stream gives 500 media points a second to all its readers together, and people who
//! watch it live come first.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// A limit of so many fragments a second.
#[derive(Debug)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    per_second: u32,
    next: Timestamp,
}

impl Pace {
    /// A limit of `per_second` fragments (at least one).
    pub fn new(clock: Arc<dyn Clock>, per_second: u32) -> Self {
        Self {
            next: clock.now(),
            clock,
            per_second: per_second.max(1),
        }
    }

    /// The most fragments that may be asked for at once.
    pub fn burst(&self) -> usize {
        self.per_second as usize
    }

    /// Waits until `fragments` more may be asked for.
    pub async fn wait(&mut self, fragments: usize) {
        let now = self.clock.now();
        // A clock that was set back must not stop the work: no wait is longer than one burst.
        let wait = self.next.duration_since(now).min(SignedDuration::from_secs(1));
        if let Ok(wait) = Duration::try_from(wait)
            && !wait.is_zero()
        {
            self.clock.sleep(wait).await;
        }
        let cost = SignedDuration::from_secs_f64(fragments as f64 / f64::from(self.per_second));
        self.next = self.next.max(now).checked_add(cost).unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::fake::FakeClock;

    #[tokio::test]
    async fn no_more_than_the_share_is_asked_for() {
        let begin: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let clock = FakeClock::at(begin);
        let mut pace = Pace::new(clock.clone(), 100);
        let mut asked = 0;
        // Calls of any size, and work in between that takes its time: never ahead of the share.
        for (fragments, busy_millis) in [
            (100, 0),
            (1, 0),
            (60, 400),
            (40, 0),
            (100, 5000),
            (100, 0),
            (100, 0),
        ] {
            pace.wait(fragments).await;
            let gone_by = clock.now().duration_since(begin).as_millis() as usize;
            assert!(asked <= gone_by / 10, "{asked} in {gone_by} ms");
            asked += fragments;
            clock.set(clock.now() + SignedDuration::from_millis(busy_millis));
        }
        // Time that went by unused buys nothing: what was asked for last is still paid for first.
        let before = clock.now();
        pace.wait(1).await;
        assert_eq!(clock.now().duration_since(before), SignedDuration::from_secs(1));
        // A clock that was set back stops nothing for longer than a burst takes.
        clock.set(begin);
        pace.wait(1).await;
        assert_eq!(clock.now().duration_since(begin), SignedDuration::from_secs(1));
    }
}
