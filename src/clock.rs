//! The one place that wall time and randomness come from; a simulation replaces it.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};

/// Wall time, waiting and chance.
#[async_trait::async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The node's wall time.
    fn now(&self) -> Timestamp;
    /// How much time has gone by since some moment: it never steps, unlike wall time. For rates and ages, never for footage.
    fn elapsed(&self) -> std::time::Duration;
    /// Waits.
    async fn sleep(&self, duration: std::time::Duration);
    /// A number in [0, 1): for jitter only.
    fn chance(&self) -> f64;
}

/// The real clock.
#[derive(Debug, Default)]
pub struct System;

#[async_trait::async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> std::time::Duration {
        static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }

    async fn sleep(&self, duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }

    fn chance(&self) -> f64 {
        // A fresh RandomState is seeded by the operating system; that is chance enough for jitter.
        use std::hash::{BuildHasher, RandomState};
        (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// AWS's clock, as the Date headers of its answers tell it: every decision about footage is made in this time, never in the
/// node's (DESIGN.md section 3).
#[derive(Clone, Debug)]
pub struct AwsClock {
    node: Arc<dyn Clock>,
    /// AWS's time minus the node's, in ms; `UNKNOWN` before the first answer.
    offset: Arc<AtomicI64>,
}

const UNKNOWN: i64 = i64::MIN;

impl AwsClock {
    /// A clock that knows nothing yet.
    pub fn new(node: Arc<dyn Clock>) -> Self {
        Self {
            node,
            offset: Arc::new(AtomicI64::new(UNKNOWN)),
        }
    }

    /// An answer with this Date header has just come. The header has whole seconds and is from when the answer was sent, so
    /// the time is at most a second and the way back behind: behind is the safe side, since footage counts as settled later.
    pub fn saw(&self, date: Timestamp) {
        let offset = date.as_millisecond() - self.node.now().as_millisecond();
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// AWS's time, once an answer has come.
    pub fn now(&self) -> Option<Timestamp> {
        let offset = self.offset.load(Ordering::Relaxed);
        (offset != UNKNOWN).then(|| self.node.now() + SignedDuration::from_millis(offset))
    }

    /// The node's clock under it.
    pub fn node(&self) -> &Arc<dyn Clock> {
        &self.node
    }
}
