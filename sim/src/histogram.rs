//! How many values lie where, in buckets that are 2 % wide: enough for percentiles, and small however many values there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much wider than its lower bound a bucket reaches.
const GROWTH: f64 = 1.02;
/// Added to the number of a bucket, so that the sign of the number can be that of its values.
const OFFSET: i32 = 1_000_000;

/// The counts, by the number of the bucket: 0 for zero, negative for negative values, in the order of the values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram(BTreeMap<i32, f64>);

impl Histogram {
    /// One value, so many times.
    pub fn of(value: f64, count: f64) -> Self {
        let number = match (value.abs().ln() / GROWTH.ln()).floor() {
            _ if value == 0.0 => 0,
            power if value > 0.0 => OFFSET + power as i32,
            power => -(OFFSET + power as i32),
        };
        Self(BTreeMap::from([(number, count)]))
    }

    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        for (number, count) in other.0 {
            *self.0.entry(number).or_default() += count;
        }
        self
    }

    /// The middle of the bucket that a share (0 to 1) of the values does not exceed.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.0.values().sum::<f64>();
        let mut seen = 0.0;
        let reached = |(_, count): &(&i32, &f64)| {
            seen += **count;
            seen >= wanted
        };
        let (number, _) = self
            .0
            .iter()
            .find(reached)
            .or_else(|| self.0.iter().next_back())?;
        let middle = |power: i32| GROWTH.powi(power) * GROWTH.sqrt();
        Some(match *number {
            0 => 0.0,
            number if number > 0 => middle(number - OFFSET),
            number => -middle(-number - OFFSET),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_within_one_percent(mut values in proptest::collection::vec(-1e6f64..1e6, 1..50), share in 0.01f64..1.0) {
            let all = values.iter().map(|v| Histogram::of(*v, 1.0)).reduce(Histogram::and).unwrap();
            values.sort_by(f64::total_cmp);
            let rank = (share * values.len() as f64).ceil() as usize;
            let exact = values[rank.clamp(1, values.len()) - 1];
            let found = all.percentile(share).unwrap();
            prop_assert!((found - exact).abs() <= exact.abs() * 0.0101, "{found} for {exact}");
        }
    }
}
