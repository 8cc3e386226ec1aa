//! From what came in per minute to one value a period: pure.

use jiff::Timestamp;

use super::evaluate::{Slot, Value};
use crate::metrics::Datapoint;

/// Whether a statistic is one of CloudWatch's five plain ones.
pub fn plain(stat: &str) -> bool {
    ["SampleCount", "Average", "Sum", "Minimum", "Maximum"].contains(&stat)
}

/// Which share (0 to 1) a percentile such as `p99.9` is of.
pub fn percentile(stat: &str) -> Option<f64> {
    let number = stat
        .strip_prefix('p')
        .filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))?;
    number
        .parse::<f64>()
        .ok()
        .filter(|p| (0.0..=100.0).contains(p))
        .map(|p| p / 100.0)
}

/// How many samples make a percentile mean something, as AWS says for EvaluateLowSampleCountPercentile.
pub fn enough(share: f64) -> f64 {
    10.0 / share.min(1.0 - share).max(f64::EPSILON)
}

/// Whether a statistic is one that the simulator computes.
pub fn known(stat: &str) -> bool {
    plain(stat) || percentile(stat).is_some()
}

/// A statistic of what came in.
pub fn statistic(stat: &str, point: &Datapoint) -> Option<f64> {
    Some(match stat {
        "SampleCount" => point.count,
        "Average" => point.sum / point.count,
        "Sum" => point.sum,
        "Minimum" => point.minimum,
        "Maximum" => point.maximum,
        percentile_name => return point.percentile(percentile(percentile_name)?),
    })
}

/// Minutes in periods: `count` of `period` seconds each, the first beginning at `from` (epoch seconds).
pub fn periods(
    points: &[(Timestamp, Datapoint)],
    from: i64,
    period: i64,
    count: usize,
) -> Vec<(Timestamp, Option<Datapoint>)> {
    (0..count as i64)
        .filter_map(|i| {
            let start = from + i * period;
            let within = |at: &Timestamp| (start..start + period).contains(&at.as_second());
            let all = points
                .iter()
                .filter(|(at, _)| within(at))
                .map(|(_, point)| point.clone());
            Some((Timestamp::from_second(start).ok()?, all.reduce(Datapoint::and)))
        })
        .collect()
}

/// A statistic over an evaluation range.
pub fn slots(periods: Vec<(Timestamp, Option<Datapoint>)>, stat: &str) -> Vec<Slot> {
    let slot = |(start, point): (Timestamp, Option<Datapoint>)| Slot {
        start,
        value: point.and_then(|point| {
            Some(Value {
                value: statistic(stat, &point)?,
                samples: Some(point.count),
            })
        }),
    };
    periods.into_iter().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_become_periods() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let point = |v: f64| Datapoint::of(v, 1.0);
        let points = [(at(60), point(1.0)), (at(120), point(4.0)), (at(300), point(7.0))];
        let periods = periods(&points, 60, 120, 3);
        assert_eq!(periods[1], (at(180), None));
        assert_eq!(periods[2], (at(300), Some(point(7.0))));
        let first = periods[0].1.clone().unwrap();
        let cases = [
            ("SampleCount", 2.0),
            ("Average", 2.5),
            ("Sum", 5.0),
            ("Minimum", 1.0),
            ("Maximum", 4.0),
        ];
        for (stat, expected) in cases {
            assert_eq!(statistic(stat, &first), Some(expected), "{stat}");
        }
        let p90 = statistic("p90", &first).unwrap();
        assert!((p90 - 4.0).abs() < 0.05, "{p90}");
        for unknown in ["p", "p101", "px", "tm90", "IQM", "P90"] {
            assert_eq!(statistic(unknown, &first), None, "{unknown}");
        }
        assert_eq!(
            slots(periods, "Sum")[0].value,
            Some(Value {
                value: 5.0,
                samples: Some(2.0)
            })
        );
    }
}
