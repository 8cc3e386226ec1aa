//! Metric values: PutMetricData, GetMetricStatistics, GetMetricData, ListMetrics.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ciborium::Value;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    model::{Dimension, MetricDataQuery, MetricName},
    statistics, validate,
};
use crate::metrics::{Datapoint, Metric};
use crate::wire::{Fault, Time, empty, float, floats, int, tree, typed};

/// The most datapoints that GetMetricStatistics answers.
const MOST_STATISTICS: i64 = 1440;
/// The most that GetMetricData answers.
const MOST_DATA: usize = 100_800;
/// The most metrics on a page of ListMetrics.
const PAGE: usize = 500;

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
        let one = |value: f64, count: f64| Datapoint {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
        };
        let points = match (self.value, &self.statistic_values, self.values.is_empty()) {
            (Some(value), None, true) => vec![one(value, 1.0)],
            (None, Some(set), true) => match (set.sample_count, set.sum, set.minimum, set.maximum) {
                (Some(count), Some(sum), Some(minimum), Some(maximum)) => {
                    vec![Datapoint {
                        count,
                        sum,
                        minimum,
                        maximum,
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

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GetStatistics {
    start_time: Option<Time>,
    end_time: Option<Time>,
    #[serde(deserialize_with = "int")]
    period: Option<i64>,
    statistics: Vec<String>,
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GetData {
    metric_data_queries: Vec<MetricDataQuery>,
    start_time: Option<Time>,
    end_time: Option<Time>,
    scan_by: Option<String>,
    #[serde(deserialize_with = "int")]
    max_datapoints: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    metric_data_results: Vec<Series>,
    messages: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    id: String,
    label: String,
    timestamps: Vec<Time>,
    values: Vec<f64>,
    status_code: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct List {
    namespace: Option<String>,
    metric_name: Option<String>,
    dimensions: Vec<DimensionFilter>,
    recently_active: Option<String>,
    next_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    metrics: Vec<MetricName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
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

    /// GetMetricStatistics.
    pub(super) fn get_metric_statistics(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let name: MetricName = typed(input)?;
        let input: GetStatistics = typed(input)?;
        if !input.extended_statistics.is_empty() {
            return Err(Fault::not_simulated("ExtendedStatistics"));
        }
        if input.unit.is_some() {
            return Err(Fault::not_simulated("statistics of one unit"));
        }
        if input.statistics.is_empty() {
            return Err(Fault::missing("Statistics"));
        }
        if let Some(bad) = input.statistics.iter().find(|stat| !statistics::known(stat)) {
            return Err(Fault::value(format!("Statistic {bad} is not known.")));
        }
        let (from, to, period) = span(input.start_time, input.end_time, input.period)?;
        if (to - from + period - 1) / period > MOST_STATISTICS {
            return Err(Fault::combination(format!(
                "More than {MOST_STATISTICS} datapoints were asked for: narrow the time range or widen the period."
            )));
        }
        let datapoints: Vec<Value> = self
            .points(&name.in_region(region), from, to, period)
            .into_iter()
            .map(|(start, point)| {
                let mut members = vec![("Timestamp".into(), tree(&Time(start))?)];
                for stat in &input.statistics {
                    let value = statistics::statistic(stat, &point).unwrap_or_default();
                    members.push((stat.as_str().into(), value.into()));
                }
                members.push(("Unit".into(), "None".into()));
                Ok(Value::Map(members))
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Value::Map(vec![
            ("Label".into(), name.metric_name.into()),
            ("Datapoints".into(), Value::Array(datapoints)),
        ]))
    }

    /// GetMetricData.
    pub(super) fn get_metric_data(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: GetData = typed(input)?;
        if input.next_token.is_some() {
            return Err(Fault::next_token());
        }
        let ascending = match input.scan_by.as_deref() {
            None | Some("TimestampDescending") => false,
            Some("TimestampAscending") => true,
            Some(other) => return Err(Fault::validation(format!("ScanBy {other} is not known."))),
        };
        let most = match input.max_datapoints {
            None => MOST_DATA,
            Some(most) => usize::try_from(most)
                .ok()
                .filter(|most| (1..=MOST_DATA).contains(most))
                .ok_or_else(|| Fault::validation(format!("MaxDatapoints must be 1 to {MOST_DATA}.")))?,
        };
        let mut results = vec![];
        for query in &input.metric_data_queries {
            let stat = match (&query.metric_stat, &query.expression) {
                (Some(stat), None) => stat,
                (None, Some(_)) => return Err(Fault::not_simulated("expressions")),
                _ => {
                    return Err(Fault::combination(
                        "A query must have exactly one of MetricStat and Expression.",
                    ));
                }
            };
            validate::stat(stat)?;
            if query.return_data == Some(false) {
                continue;
            }
            let (from, to, period) = span(input.start_time, input.end_time, stat.period)?;
            let mut points: Vec<(Timestamp, f64)> = self
                .points(&stat.metric.in_region(region), from, to, period)
                .into_iter()
                .filter_map(|(start, point)| Some((start, statistics::statistic(&stat.stat, &point)?)))
                .collect();
            if !ascending {
                points.reverse();
            }
            results.push(Series {
                id: query.id.clone(),
                label: query
                    .label
                    .clone()
                    .unwrap_or_else(|| stat.metric.metric_name.clone()),
                timestamps: points.iter().map(|(start, _)| Time(*start)).collect(),
                values: points.iter().map(|(_, value)| *value).collect(),
                status_code: "Complete",
            });
        }
        if results.iter().map(|series| series.values.len()).sum::<usize>() > most {
            return Err(Fault::not_simulated(&format!(
                "answers of more than {most} datapoints"
            )));
        }
        tree(&Data {
            metric_data_results: results,
            messages: vec![],
        })
    }

    /// What came in, by period, where something did.
    fn points(&self, metric: &Metric, from: i64, to: i64, period: i64) -> Vec<(Timestamp, Datapoint)> {
        let now = self.world.clock.now().as_second();
        // As the evaluation sees it: a minute late, unless early.
        let visible = if self.world.settings.early_evaluation {
            i64::MAX
        } else {
            now.div_euclid(60) * 60 - 60
        };
        let (Ok(first), Ok(last)) = (
            Timestamp::from_second(from),
            Timestamp::from_second(to.min(visible).max(from)),
        ) else {
            return vec![];
        };
        let mut periods: BTreeMap<i64, Datapoint> = BTreeMap::new();
        for (at, point) in self.world.metrics.read(metric, first, last) {
            let start = at.as_second().div_euclid(period) * period;
            periods
                .entry(start)
                .and_modify(|all| *all = all.and(point))
                .or_insert(point);
        }
        periods
            .into_iter()
            .filter_map(|(start, point)| Some((Timestamp::from_second(start).ok()?, point)))
            .collect()
    }

    /// ListMetrics.
    pub(super) fn list_metrics(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: List = typed(input)?;
        if input.recently_active.is_some() {
            return Err(Fault::not_simulated("RecentlyActive"));
        }
        let skip = match &input.next_token {
            None => 0,
            Some(token) => BASE64_URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<usize>().ok())
                .ok_or_else(Fault::next_token)?,
        };
        let wanted = |metric: &Metric| {
            metric.region == region
                && input.namespace.as_ref().is_none_or(|n| *n == metric.namespace)
                && input.metric_name.as_ref().is_none_or(|n| *n == metric.name)
                && input.dimensions.iter().all(|filter| {
                    let value = metric.dimensions.get(&filter.name);
                    value.is_some_and(|value| filter.value.as_ref().is_none_or(|v| v == value))
                })
        };
        let found: Vec<Metric> = self
            .world
            .metrics
            .list()
            .into_iter()
            .filter(wanted)
            .skip(skip)
            .collect();
        let next_token =
            (found.len() > PAGE).then(|| BASE64_URL_SAFE_NO_PAD.encode((skip + PAGE).to_string()));
        let name = |metric: Metric| MetricName {
            namespace: metric.namespace,
            metric_name: metric.name,
            dimensions: metric
                .dimensions
                .into_iter()
                .map(|(name, value)| Dimension { name, value })
                .collect(),
        };
        tree(&Listed {
            metrics: found.into_iter().take(PAGE).map(name).collect(),
            next_token,
        })
    }
}

/// A request's span in whole periods, as epoch seconds, and the period.
fn span(start: Option<Time>, end: Option<Time>, period: Option<i64>) -> Result<(i64, i64, i64), Fault> {
    let start = start.ok_or_else(|| Fault::missing("StartTime"))?.0;
    let end = end.ok_or_else(|| Fault::missing("EndTime"))?.0;
    let period = period.ok_or_else(|| Fault::missing("Period"))?;
    if start >= end {
        return Err(Fault::combination("StartTime must be before EndTime."));
    }
    if period < 1 || ![1, 5, 10, 20, 30].contains(&period) && period % 60 != 0 {
        return Err(Fault::value(
            "Period must be 1, 5, 10, 20, 30 or a multiple of 60.",
        ));
    }
    let last = end.as_second() + i64::from(end.subsec_nanosecond() > 0);
    Ok((start.as_second().div_euclid(period) * period, last, period))
}
