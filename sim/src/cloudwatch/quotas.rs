//! CloudWatch's quotas: calls a second for an account and region ("CloudWatch endpoints and quotas").

use jiff::Timestamp;

use crate::{bucket::Buckets, wire::Fault};

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
    left: Buckets<(String, String)>,
}

impl Quotas {
    /// Takes one call, or refuses it.
    pub fn take(&self, region: &str, operation: &str, now: Timestamp) -> Result<(), Fault> {
        let key = (region.to_owned(), operation.to_owned());
        if self.left.take(key, rate(operation), 1.0, now.as_millisecond()) {
            Ok(())
        } else {
            Err(Fault::throttled())
        }
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
