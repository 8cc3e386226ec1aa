//! Metric values per minute: services add to them, CloudWatch reads them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard},
};

use jiff::Timestamp;

use crate::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// A metric: region, namespace, name, dimensions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Datapoint {
    /// How many values.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
    /// How many lie where, for percentiles; `None` where only a statistic set came in.
    pub histogram: Option<Histogram>,
}

impl Datapoint {
    /// One value, so many times.
    pub fn of(value: f64, count: f64) -> Self {
        Self {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
            histogram: Some(Histogram::of(value, count)),
        }
    }

    /// What came in during two times together.
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
            histogram: self.histogram.zip(other.histogram).map(|(a, b)| a.and(b)),
        }
    }

    /// The value that a share (0 to 1) of the values does not exceed, to within 1 %.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        // As on AWS, a statistic set is good for percentiles where it can only mean one value.
        if self.minimum == self.maximum {
            return Some(self.minimum);
        }
        let value = self.histogram.as_ref()?.percentile(share)?;
        Some(value.clamp(self.minimum, self.maximum))
    }
}

/// What came in for one metric in one minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The metric.
    pub metric: Metric,
    /// The minute, as epoch seconds of its start.
    pub minute: i64,
    /// What came in.
    pub point: Datapoint,
}

/// All metrics, by minute (epoch seconds of its start).
#[derive(Debug, Default)]
pub struct Metrics {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    series: HashMap<Metric, BTreeMap<i64, Datapoint>>,
    changed: HashSet<(Metric, i64)>,
}

impl Metrics {
    /// Adds a value at a time.
    pub fn add(&self, metric: Metric, at: Timestamp, value: f64) {
        self.add_point(metric, at, Datapoint::of(value, 1.0));
    }

    /// Adds values that are already taken together.
    pub fn add_point(&self, metric: Metric, at: Timestamp, point: Datapoint) {
        let minute = at.as_second().div_euclid(60) * 60;
        let mut inner = self.inner();
        inner.changed.insert((metric.clone(), minute));
        let minutes = inner.series.entry(metric).or_default();
        minutes
            .entry(minute)
            .and_modify(|all| *all = all.clone().and(point.clone()))
            .or_insert(point);
    }

    /// Sets what an earlier life of the simulator had.
    pub fn restore(&self, sample: Sample) {
        let mut inner = self.inner();
        inner.changed.insert((sample.metric.clone(), sample.minute));
        inner
            .series
            .entry(sample.metric)
            .or_default()
            .insert(sample.minute, sample.point);
    }

    /// What has changed since the last call.
    pub fn changed(&self) -> Vec<Sample> {
        let mut inner = self.inner();
        let changed = std::mem::take(&mut inner.changed);
        let sample = |(metric, minute): (Metric, i64)| {
            let point = inner.series.get(&metric)?.get(&minute)?.clone();
            Some(Sample {
                metric,
                minute,
                point,
            })
        };
        changed.into_iter().filter_map(sample).collect()
    }

    /// All metrics, sorted.
    pub fn list(&self) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = self.inner().series.keys().cloned().collect();
        metrics.sort();
        metrics
    }

    /// The minutes of a metric that begin in [from, to).
    pub fn read(&self, metric: &Metric, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Datapoint)> {
        let inner = self.inner();
        let Some(points) = inner.series.get(metric).filter(|_| from < to) else {
            return vec![];
        };
        points
            .range(from.as_second()..to.as_second())
            .filter_map(|(minute, point)| Some((Timestamp::from_second(*minute).ok()?, point.clone())))
            .collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }
}
