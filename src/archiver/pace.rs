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
