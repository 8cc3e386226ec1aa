//! How fast the controllers call AWS: one token bucket for each operation, at half of the account's quota, so that cameras
//! and people keep the other half. And how often they did: a counter for each operation and result.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock as _,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::clock::Clock;

/// Which call, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Call {
    /// The operation, as IAM writes it.
    pub operation: &'static str,
    /// `ok`, or the failure's kind.
    pub result: &'static str,
}

/// How many calls were made.
pub type Calls = Family<Call, Counter>;

/// Our clock, for the buckets: what they wait for must be what they measure.
#[derive(Clone, Debug)]
struct Elapsed(Arc<dyn Clock>);

impl governor::clock::Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, Elapsed, NoOpMiddleware<Duration>>;

/// The token buckets of one account and region.
#[derive(Debug)]
pub(super) struct Budget {
    clock: Arc<dyn Clock>,
    factor: u32,
    buckets: Mutex<HashMap<&'static str, Arc<Bucket>>>,
}

impl Budget {
    /// Of an account that has so many times AWS's default quotas.
    pub(super) fn new(clock: Arc<dyn Clock>, factor: u32) -> Self {
        Self {
            clock,
            factor,
            buckets: Mutex::default(),
        }
    }

    /// Waits for this operation's turn.
    pub(super) async fn turn(&self, operation: &'static str) {
        let Some(quota) = quota(operation, self.factor) else {
            return;
        };
        let bucket = self
            .buckets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(operation)
            .or_insert_with(|| Arc::new(RateLimiter::direct_with_clock(quota, Elapsed(self.clock.clone()))))
            .clone();
        while let Err(not_until) = bucket.check() {
            // A clock that counts milliseconds would stand still over less than one.
            let wait = not_until.wait_time_from(bucket.clock().now());
            self.clock.sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

/// Half of the account's calls a second. `None`: the data plane's operations, which have quotas for each stream that the
/// archiver keeps itself.
fn quota(operation: &'static str, factor: u32) -> Option<Quota> {
    // Calls a second for each account and region (docs.aws.amazon.com/kinesisvideostreams/latest/dg/limits.html and
    // docs.aws.amazon.com/general/latest/gr/cw_region.html, November 2026).
    let account = match operation {
        "kinesisvideo:DescribeStream" | "kinesisvideo:GetDataEndpoint" => 300,
        "kinesisvideo:CreateStream"
        | "kinesisvideo:UpdateStream"
        | "kinesisvideo:UpdateDataRetention"
        | "kinesisvideo:DeleteStream"
        | "kinesisvideo:ListStreams"
        | "kinesisvideo:TagStream"
        | "kinesisvideo:UntagStream"
        | "kinesisvideo:ListTagsForStream"
        | "kinesisvideo:DescribeStreamStorageConfiguration"
        | "kinesisvideo:UpdateStreamStorageConfiguration"
        | "kinesisvideo:DescribeImageGenerationConfiguration"
        | "kinesisvideo:UpdateImageGenerationConfiguration"
        | "kinesisvideo:DescribeNotificationConfiguration"
        | "kinesisvideo:UpdateNotificationConfiguration" => 50,
        "cloudwatch:PutMetricAlarm" | "cloudwatch:DeleteAlarms" => 3,
        "cloudwatch:DescribeAlarms" => 9,
        "cloudwatch:ListTagsForResource" => 10,
        "cloudwatch:DescribeAlarmHistory" | "cloudwatch:TagResource" | "cloudwatch:UntagResource" => 20,
        _ => return None,
    };
    let account = factor.saturating_mul(account);
    // The bucket holds half a second's quota and refills at half the quota: no second ever sees more than the whole quota.
    let burst = NonZeroU32::new(account / 2)?;
    Some(Quota::with_period(Duration::from_secs(2) / account)?.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// Its time goes by only while somebody waits.
    #[derive(Debug, Default)]
    struct Patient(Mutex<Duration>);

    #[async_trait::async_trait]
    impl Clock for Patient {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn elapsed(&self) -> Duration {
            *self.0.lock().unwrap()
        }
        async fn sleep(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
        fn chance(&self) -> f64 {
            0.5
        }
    }

    #[tokio::test]
    async fn a_burst_is_half_a_seconds_quota_and_the_next_call_waits() {
        let clock = Arc::new(Patient::default());
        let budget = Budget::new(clock.clone(), 1);
        budget.turn("cloudwatch:PutMetricAlarm").await;
        assert_eq!(clock.elapsed(), Duration::ZERO);
        for _ in 0..3 {
            budget.turn("cloudwatch:PutMetricAlarm").await;
        }
        // A period is cut to whole nanoseconds.
        let short = Duration::from_secs(2) - clock.elapsed();
        assert!(
            short < Duration::from_micros(1),
            "three calls at one and a half a second, not {short:?} less"
        );
    }

    #[tokio::test]
    async fn operations_have_buckets_of_their_own() {
        let clock = Arc::new(Patient::default());
        let budget = Budget::new(clock.clone(), 1);
        for operation in [
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:DescribeAlarms",
            "s3:PutObject",
        ] {
            budget.turn(operation).await;
        }
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }
}
