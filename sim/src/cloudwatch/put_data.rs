//! Metric values in: PutMetricData.

use ciborium::Value;
use jiff::SignedDuration;
use serde::Deserialize;

use super::{
    CloudWatch,
    model::{Dimension, MetricName},
    validate,
};
use crate::{
    metrics::Datapoint,
    wire::{Fault, Time, empty, float, floats, int, typed},
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Put {
    namespace: Option<String>,
    metric_data: Vec<Datum>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Datum {
    metric_name: String,
    dimensions: Vec<Dimension>,
    timestamp: Option<Time>,
    #[serde(deserialize_with = "float")]
    value: Option<f64>,
    statistic_values: Option<Statistics>,
    #[serde(deserialize_with = "floats")]
    values: Vec<f64>,
    #[serde(deserialize_with = "floats")]
    counts: Vec<f64>,
    #[serde(deserialize_with = "int")]
    storage_resolution: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Statistics {
    #[serde(deserialize_with = "float")]
    sample_count: Option<f64>,
    #[serde(deserialize_with = "float")]
    sum: Option<f64>,
    #[serde(deserialize_with = "float")]
    minimum: Option<f64>,
    #[serde(deserialize_with = "float")]
    maximum: Option<f64>,
}

impl Datum {
    /// What it adds to its minute.
    fn points(&self) -> Result<Vec<Datapoint>, Fault> {
        let one = Datapoint::of;
        let points = match (self.value, &self.statistic_values, self.values.is_empty()) {
            (Some(value), None, true) => vec![one(value, 1.0)],
            (None, Some(set), true) => match (set.sample_count, set.sum, set.minimum, set.maximum) {
                (Some(count), Some(sum), Some(minimum), Some(maximum)) => {
                    vec![Datapoint {
                        count,
                        sum,
                        minimum,
                        maximum,
                        histogram: None,
                    }]
                }
                _ => {
                    return Err(Fault::missing(
                        "StatisticValues' SampleCount, Sum, Minimum and Maximum",
                    ));
                }
            },
            (None, None, false) if self.counts.is_empty() => {
                self.values.iter().map(|value| one(*value, 1.0)).collect()
            }
            (None, None, false) if self.counts.len() == self.values.len() => self
                .values
                .iter()
                .zip(&self.counts)
                .map(|(value, count)| one(*value, *count))
                .collect(),
            (None, None, false) => {
                return Err(Fault::value("Values and Counts must have the same length."));
            }
            _ => {
                return Err(Fault::combination(
                    "A datum must have exactly one of Value, StatisticValues and Values.",
                ));
            }
        };
        let finite = |p: &Datapoint| {
            [p.count, p.sum, p.minimum, p.maximum]
                .iter()
                .all(|v| v.is_finite())
        };
        if !points.iter().all(|point| finite(point) && point.count > 0.0) {
            return Err(Fault::value("Values must be finite, and counts more than 0."));
        }
        Ok(points)
    }
}

impl CloudWatch {
    /// PutMetricData.
    pub(super) fn put_metric_data(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Put = typed(input)?;
        let namespace = input
            .namespace
            .filter(|n| !n.is_empty())
            .ok_or_else(|| Fault::missing("Namespace"))?;
        if namespace.starts_with("AWS/") {
            return Err(Fault::value("The value AWS/ for parameter Namespace is invalid."));
        }
        if input.metric_data.len() > 1000 {
            return Err(Fault::value("At most 1000 metrics in one call."));
        }
        let now = self.world.clock.now();
        let mut adds = vec![];
        for datum in &input.metric_data {
            if datum.metric_name.is_empty() {
                return Err(Fault::missing("MetricName"));
            }
            match datum.storage_resolution {
                None | Some(60) => {}
                Some(1) => return Err(Fault::not_simulated("metrics with a resolution of a second")),
                Some(_) => return Err(Fault::value("StorageResolution must be 1 or 60.")),
            }
            validate::dimensions(
                datum
                    .dimensions
                    .iter()
                    .map(|d| (d.name.as_str(), d.value.as_str())),
            )?;
            let at = datum.timestamp.map_or(now, |t| t.0);
            if at < now - SignedDuration::from_hours(14 * 24) || at > now + SignedDuration::from_hours(2) {
                return Err(Fault::value(
                    "Timestamp must lie within two weeks before and two hours after now.",
                ));
            }
            let name = MetricName {
                namespace: namespace.clone(),
                metric_name: datum.metric_name.clone(),
                dimensions: datum.dimensions.clone(),
            };
            adds.extend(
                datum
                    .points()?
                    .into_iter()
                    .map(|point| (name.in_region(region), at, point)),
            );
        }
        for (metric, at, point) in adds {
            self.world.metrics.add_point(metric, at, point);
        }
        Ok(empty())
    }
}
