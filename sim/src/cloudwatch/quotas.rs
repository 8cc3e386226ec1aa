//! CloudWatch's quotas: calls a second for an account and region ("CloudWatch endpoints and quotas").

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::wire::Fault;

/// Calls a second.
fn rate(operation: &str) -> f64 {
    match operation {
        "PutMetricAlarm" | "PutCompositeAlarm" | "DeleteAlarms" | "SetAlarmState" => 3.0,
        "EnableAlarmActions" | "DisableAlarmActions" => 3.0,
        "DescribeAlarms" | "DescribeAlarmsForMetric" => 9.0,
        "DescribeAlarmHistory" | "TagResource" | "UntagResource" => 20.0,
        "ListTagsForResource" => 10.0,
        "ListMetrics" => 25.0,
        "GetMetricStatistics" => 400.0,
        _ => 500.0,
    }
}

/// What is left of this second's calls, by region and operation.
#[derive(Debug, Default)]
pub struct Quotas {
    left: Mutex<HashMap<(String, String), (f64, Timestamp)>>,
}

impl Quotas {
    /// Takes one call, or refuses it.
    pub fn take(&self, region: &str, operation: &str, now: Timestamp) -> Result<(), Fault> {
        let rate = rate(operation);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, at) = left
            .entry((region.to_owned(), operation.to_owned()))
            .or_insert((rate, now));
        let seconds = now.duration_since(*at).as_secs_f64().max(0.0);
        *calls = (*calls + seconds * rate).min(rate);
        *at = now;
        if *calls < 1.0 {
            return Err(Fault::throttled());
        }
        *calls -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_in_each_region() {
        let quotas = Quotas::default();
        let put = |region: &str, millis| {
            quotas
                .take(
                    region,
                    "PutMetricAlarm",
                    Timestamp::from_millisecond(millis).unwrap(),
                )
                .is_ok()
        };
        assert_eq!(
            [0, 1, 2, 3].map(|millis| put("a", millis)),
            [true, true, true, false]
        );
        assert!(put("b", 3));
        assert_eq!(
            [400, 401, 800, 60_000].map(|millis| put("a", millis)),
            [true, false, true, true]
        );
    }
}
