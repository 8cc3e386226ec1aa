//! Metric values out: GetMetricStatistics and GetMetricData.

use std::collections::BTreeMap;

use ciborium::Value;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    math::{self, Inputs},
    model::{MetricDataQuery, MetricName},
    statistics, validate,
};
use crate::{
    metrics::{Datapoint, Metric},
    wire::{Fault, Time, int, map, tree, typed},
};

/// The most datapoints that GetMetricStatistics answers.
const MOST_STATISTICS: i64 = 1440;
/// The most that GetMetricData answers.
const MOST_DATA: usize = 100_800;
/// The most queries of GetMetricData.
const MOST_QUERIES: usize = 500;

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

impl CloudWatch {
    /// GetMetricStatistics.
    pub(super) fn get_metric_statistics(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let name: MetricName = typed(input)?;
        let input: GetStatistics = typed(input)?;
        if input.unit.is_some() {
            return Err(Fault::not_simulated("statistics of one unit"));
        }
        if input.statistics.is_empty() && input.extended_statistics.is_empty() {
            return Err(Fault::missing("Statistics or ExtendedStatistics"));
        }
        let known = |stat: &&String| statistics::plain(stat);
        let percentile = |stat: &&String| statistics::percentile(stat).is_some();
        let bad = input.statistics.iter().find(|stat| !known(stat));
        if let Some(bad) = bad.or(input.extended_statistics.iter().find(|stat| !percentile(stat))) {
            return Err(Fault::value(format!(
                "Statistic {bad} is not known or not simulated."
            )));
        }
        let (from, to, period) = span(input.start_time, input.end_time, input.period)?;
        if (to - from + period - 1) / period > MOST_STATISTICS {
            return Err(Fault::combination(format!(
                "More than {MOST_STATISTICS} datapoints were asked for: narrow the time range or widen the period."
            )));
        }
        let datapoints = self.points(&name.in_region(region), from, to, period);
        let datapoints = datapoints.into_iter().map(|(start, point)| {
            let mut members = vec![("Timestamp".into(), tree(&Time(start))?)];
            let value = |stat: &String| {
                let value = statistics::statistic(stat, &point)?;
                Some((stat.as_str().into(), value.into()))
            };
            members.extend(input.statistics.iter().filter_map(value));
            let extended: Vec<(Value, Value)> = input.extended_statistics.iter().filter_map(value).collect();
            if !extended.is_empty() {
                members.push(("ExtendedStatistics".into(), map(extended)));
            }
            members.push(("Unit".into(), "None".into()));
            Ok(Value::Map(members))
        });
        Ok(Value::Map(vec![
            ("Label".into(), name.metric_name.into()),
            (
                "Datapoints".into(),
                Value::Array(datapoints.collect::<Result<_, Fault>>()?),
            ),
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
        let queries = &input.metric_data_queries;
        if queries.len() > MOST_QUERIES {
            return Err(Fault::validation(format!(
                "At most {MOST_QUERIES} queries in one call."
            )));
        }
        validate::queries(queries)?;
        let parsed = math::expressions(queries).map_err(Fault::validation)?;
        let inputs = self.inputs(region, queries, input.start_time, input.end_time)?;
        let mut results = vec![];
        for query in queries.iter().filter(|query| query.return_data != Some(false)) {
            let series = math::resolve(&query.id, &parsed, &inputs).map_err(Fault::validation)?;
            let at = |(start, value): (i64, f64)| Some((Time(Timestamp::from_second(start).ok()?), value));
            let mut points: Vec<(Time, f64)> = series.into_iter().filter_map(at).collect();
            if !ascending {
                points.reverse();
            }
            let metric = query
                .metric_stat
                .as_ref()
                .map(|stat| stat.metric.metric_name.clone());
            let label = query.label.clone().or(metric).unwrap_or_else(|| query.id.clone());
            let (timestamps, values) = points.into_iter().unzip();
            results.push(Series {
                id: query.id.clone(),
                label,
                timestamps,
                values,
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

    /// The metrics among the queries, for the expressions among them.
    fn inputs(
        &self,
        region: &str,
        queries: &[MetricDataQuery],
        start: Option<Time>,
        end: Option<Time>,
    ) -> Result<Inputs, Fault> {
        let mut inputs = Inputs::default();
        for query in queries {
            let Some(stat) = &query.metric_stat else { continue };
            let (from, to, period) = span(start, end, stat.period)?;
            let points = self.points(&stat.metric.in_region(region), from, to, period);
            let value = |(at, point): &(Timestamp, Datapoint)| {
                Some((at.as_second(), statistics::statistic(&stat.stat, point)?))
            };
            inputs
                .series
                .insert(query.id.clone(), points.iter().filter_map(value).collect());
            inputs.periods.insert(query.id.clone(), period);
            if inputs.range.is_empty() && (to - from) / period <= MOST_DATA as i64 {
                inputs.range = (from..to)
                    .step_by(usize::try_from(period).unwrap_or(60))
                    .collect();
            }
        }
        Ok(inputs)
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
                .and_modify(|all| *all = all.clone().and(point.clone()))
                .or_insert(point);
        }
        periods
            .into_iter()
            .filter_map(|(start, point)| Some((Timestamp::from_second(start).ok()?, point)))
            .collect()
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
