//! Metric values per minute: services add to them, CloudWatch reads them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use jiff::Timestamp;

/// A metric: region, namespace, name, dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// The region.
    pub region: String,
    /// The namespace, such as `AWS/KinesisVideo`.
    pub namespace: String,
    /// The name, such as `PutMedia.IncomingFragments`.
    pub name: String,
    /// The dimensions, sorted.
    pub dimensions: BTreeMap<String, String>,
}

/// What came in during one minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Datapoint {
    /// How many values.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
}

/// All metrics, by minute (epoch seconds of its start).
#[derive(Debug, Default)]
pub struct Metrics {
    series: Mutex<HashMap<Metric, BTreeMap<i64, Datapoint>>>,
}

impl Metrics {
    /// Adds a value at a time.
    pub fn add(&self, metric: Metric, at: Timestamp, value: f64) {
        let minute = at.as_second().div_euclid(60) * 60;
        let mut series = self.series.lock().unwrap_or_else(|e| e.into_inner());
        series
            .entry(metric)
            .or_default()
            .entry(minute)
            .and_modify(|p| {
                p.count += 1.0;
                p.sum += value;
                p.minimum = p.minimum.min(value);
                p.maximum = p.maximum.max(value);
            })
            .or_insert(Datapoint {
                count: 1.0,
                sum: value,
                minimum: value,
                maximum: value,
            });
    }

    /// The minutes of a metric that begin in [from, to).
    pub fn read(&self, metric: &Metric, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Datapoint)> {
        let series = self.series.lock().unwrap_or_else(|e| e.into_inner());
        let Some(points) = series.get(metric) else {
            return vec![];
        };
        points
            .range(from.as_second()..to.as_second())
            .filter_map(|(minute, point)| Some((Timestamp::from_second(*minute).ok()?, *point)))
            .collect()
    }
}
