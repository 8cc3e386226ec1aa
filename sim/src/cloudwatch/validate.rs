//! What AWS refuses in PutMetricAlarm: pure.

use std::collections::BTreeSet;

use ciborium::Value;

use super::{
    evaluate::{Comparison, Missing},
    math,
    model::{Actions, MetricAlarm, MetricDataQuery, MetricStat},
    statistics,
};
use crate::wire::Fault;

/// Refuses members that would otherwise be ignored without a word.
pub fn simulated(operation: &str, input: &Value, not_simulated: &[&str]) -> Result<(), Fault> {
    let members = input
        .as_map()
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.as_text());
    match members.into_iter().find(|name| not_simulated.contains(name)) {
        Some(name) => Err(Fault::not_simulated(&format!("{operation}'s {name}"))),
        None => Ok(()),
    }
}

/// An alarm's name.
pub fn name(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.chars().count() > 255 {
        return Err(Fault::validation("AlarmName must have 1 to 255 characters."));
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return Err(Fault::validation(
            "AlarmName must not contain ASCII control characters.",
        ));
    }
    Ok(())
}

/// Description and actions.
pub fn actions(actions: &Actions) -> Result<(), Fault> {
    if actions
        .alarm_description
        .as_ref()
        .is_some_and(|d| d.chars().count() > 1024)
    {
        return Err(Fault::validation(
            "AlarmDescription must have at most 1024 characters.",
        ));
    }
    for list in [
        &actions.ok_actions,
        &actions.alarm_actions,
        &actions.insufficient_data_actions,
    ] {
        if list.len() > 5 {
            return Err(Fault::validation(
                "An alarm has at most 5 actions for each state.",
            ));
        }
        if let Some(bad) = list
            .iter()
            .find(|arn| !arn.starts_with("arn:") || arn.chars().count() > 1024)
        {
            return Err(Fault::validation(format!("Invalid arn syntax: {bad}")));
        }
    }
    Ok(())
}

/// What a metric alarm watches.
pub fn watches(alarm: &MetricAlarm) -> Result<(), Fault> {
    match (&alarm.metric_name, alarm.metrics.is_empty()) {
        (None, true) => return Err(Fault::missing("MetricName or Metrics")),
        (Some(_), false) => {
            return Err(Fault::combination(
                "MetricName and Metrics must not be given together.",
            ));
        }
        (Some(_), true) => one_metric(alarm)?,
        (None, false) => {
            if alarm.namespace.is_some()
                || alarm.statistic.is_some()
                || alarm.extended_statistic.is_some()
                || alarm.period.is_some()
                || !alarm.dimensions.is_empty()
            {
                return Err(Fault::combination(
                    "With Metrics, Namespace, Dimensions, Period and Statistic must not be given.",
                ));
            }
            watched(&alarm.metrics)?;
        }
    }
    let periods = alarm
        .evaluation_periods
        .ok_or_else(|| Fault::missing("EvaluationPeriods"))?;
    let operator = alarm
        .comparison_operator
        .as_deref()
        .ok_or_else(|| Fault::missing("ComparisonOperator"))?;
    if Comparison::parse(operator).is_none() {
        return Err(match operator {
            "LessThanLowerOrGreaterThanUpperThreshold"
            | "LessThanLowerThreshold"
            | "GreaterThanUpperThreshold" => Fault::not_simulated("alarms on anomaly detection"),
            _ => Fault::validation(format!("ComparisonOperator {operator} is not known.")),
        });
    }
    match alarm.threshold {
        None => return Err(Fault::missing("Threshold")),
        Some(threshold) if !threshold.is_finite() => {
            return Err(Fault::value("Threshold must be a finite number."));
        }
        Some(_) => {}
    }
    if periods < 1 {
        return Err(Fault::validation("EvaluationPeriods must be at least 1."));
    }
    if alarm.datapoints_to_alarm.is_some_and(|m| m < 1 || m > periods) {
        return Err(Fault::validation(
            "DatapointsToAlarm must lie between 1 and EvaluationPeriods.",
        ));
    }
    if let Some(missing) = alarm.treat_missing_data.as_deref()
        && Missing::parse(missing).is_none()
    {
        return Err(Fault::validation(format!(
            "TreatMissingData {missing} is not one of breaching, notBreaching, ignore and missing."
        )));
    }
    match (
        alarm.evaluate_low_sample_count_percentile.as_deref(),
        &alarm.extended_statistic,
    ) {
        (None, _) | (Some("evaluate" | "ignore"), Some(_)) => {}
        _ => {
            return Err(Fault::validation(
                "EvaluateLowSampleCountPercentile is evaluate or ignore, and only for a percentile.",
            ));
        }
    }
    let period = alarm.period();
    if period < 60 {
        return Err(Fault::not_simulated(
            "alarms on periods below a minute: metrics have a minute's resolution here, as Kinesis Video's own do",
        ));
    }
    let longest = if period < 3600 { 86_400 } else { 604_800 };
    if period.saturating_mul(periods) > longest {
        return Err(Fault::validation(format!(
            "Metrics cannot be checked across more than {longest} seconds: EvaluationPeriods times Period is too long."
        )));
    }
    Ok(())
}

fn one_metric(alarm: &MetricAlarm) -> Result<(), Fault> {
    if alarm.namespace.is_none() {
        return Err(Fault::missing("Namespace"));
    }
    match (&alarm.statistic, &alarm.extended_statistic) {
        (None, None) => return Err(Fault::missing("Statistic")),
        (Some(_), Some(_)) => {
            return Err(Fault::combination(
                "Statistic and ExtendedStatistic must not be given together.",
            ));
        }
        (Some(stat), None) if !statistics::plain(stat) => {
            return Err(Fault::validation(format!("Statistic {stat} is not known.")));
        }
        (None, Some(stat)) if statistics::percentile(stat).is_none() => {
            return Err(Fault::validation(format!(
                "ExtendedStatistic {stat} is not known or not simulated."
            )));
        }
        _ => {}
    }
    alarm.stat().as_ref().map_or(Ok(()), stat)
}

/// One statistic of one metric.
pub fn stat(stat: &MetricStat) -> Result<(), Fault> {
    let metric = &stat.metric;
    for (what, text) in [
        ("Namespace", &metric.namespace),
        ("MetricName", &metric.metric_name),
    ] {
        if text.is_empty() || text.chars().count() > 255 {
            return Err(Fault::validation(format!(
                "{what} must have 1 to 255 characters."
            )));
        }
    }
    dimensions(
        metric
            .dimensions
            .iter()
            .map(|d| (d.name.as_str(), d.value.as_str())),
    )?;
    if !statistics::known(&stat.stat) {
        return Err(Fault::validation(format!(
            "Statistic {} is not known or not simulated.",
            stat.stat
        )));
    }
    if stat.unit.is_some() {
        return Err(Fault::not_simulated(
            "statistics of one unit; AWS too advises to leave Unit out",
        ));
    }
    let period = stat.period.ok_or_else(|| Fault::missing("Period"))?;
    if period < 1 || ![10, 20, 30].contains(&period) && period % 60 != 0 {
        return Err(Fault::validation(
            "Period must be 10, 20, 30 or a multiple of 60.",
        ));
    }
    Ok(())
}

/// The dimensions of a metric.
pub fn dimensions<'a>(dimensions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), Fault> {
    let mut names = BTreeSet::new();
    for (name, value) in dimensions {
        if name.is_empty() || name.chars().count() > 255 || value.is_empty() || value.chars().count() > 1024 {
            return Err(Fault::validation(
                "A dimension's name must have 1 to 255 characters, its value 1 to 1024.",
            ));
        }
        if !names.insert(name) {
            return Err(Fault::value(format!("Dimension {name} is given twice.")));
        }
    }
    if names.len() > 30 {
        return Err(Fault::validation("A metric has at most 30 dimensions."));
    }
    Ok(())
}

/// What an alarm watches, where it is a list: at most 10 metrics of one period, and one that is compared.
fn watched(list: &[MetricDataQuery]) -> Result<(), Fault> {
    queries(list)?;
    math::expressions(list).map_err(Fault::validation)?;
    if list
        .iter()
        .filter(|query| query.return_data != Some(false))
        .count()
        != 1
    {
        return Err(Fault::combination(
            "Exactly one element of the metrics list should return data.",
        ));
    }
    let stats: Vec<&MetricStat> = list
        .iter()
        .filter_map(|query| query.metric_stat.as_ref())
        .collect();
    if stats.is_empty() || stats.len() > 10 {
        return Err(Fault::validation("The metrics list must have 1 to 10 metrics."));
    }
    if stats.iter().any(|stat| stat.period != stats[0].period) {
        return Err(Fault::validation(
            "All metrics of an alarm must have the same period.",
        ));
    }
    Ok(())
}

/// A list of metrics and expressions, each by itself.
pub fn queries(queries: &[MetricDataQuery]) -> Result<(), Fault> {
    let mut ids = BTreeSet::new();
    for query in queries {
        let id = &query.id;
        if !id.starts_with(|c: char| c.is_ascii_lowercase())
            || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err(Fault::validation(format!(
                "Id \"{id}\" must begin with a lower-case letter and have only letters, digits and _."
            )));
        }
        if !ids.insert(id) {
            return Err(Fault::validation(format!("Id {id} is given twice.")));
        }
        match (&query.metric_stat, &query.expression) {
            (Some(metric), None) => stat(metric)?,
            (None, Some(expression)) if expression.chars().count() <= 2048 => {}
            (None, Some(_)) => return Err(Fault::validation(format!("The expression of {id} is too long."))),
            _ => {
                return Err(Fault::combination(format!(
                    "{id} must have exactly one of MetricStat and Expression."
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> MetricAlarm {
        MetricAlarm {
            metric_name: Some("PutMedia.IncomingFragments".into()),
            namespace: Some("AWS/KinesisVideo".into()),
            statistic: Some("Sum".into()),
            period: Some(60),
            evaluation_periods: Some(1),
            threshold: Some(1.0),
            comparison_operator: Some("GreaterThanOrEqualToThreshold".into()),
            ..Default::default()
        }
    }

    #[test]
    fn what_aws_requires_together() {
        watches(&good()).unwrap();
        type Spoil = fn(&mut MetricAlarm);
        let cases: &[(&str, Spoil)] = &[
            ("MissingParameter", |a| a.metric_name = None),
            ("MissingParameter", |a| a.namespace = None),
            ("MissingParameter", |a| a.statistic = None),
            ("MissingParameter", |a| a.period = None),
            ("MissingParameter", |a| a.evaluation_periods = None),
            ("MissingParameter", |a| a.threshold = None),
            ("MissingParameter", |a| a.comparison_operator = None),
            ("ValidationError", |a| a.period = Some(7)),
            ("ValidationError", |a| a.period = Some(0)),
            // AWS takes it; here it would be judged by another resolution.
            ("InvalidParameterValue", |a| a.period = Some(10)),
            ("ValidationError", |a| a.comparison_operator = Some("Foo".into())),
            ("InvalidParameterValue", |a| {
                a.comparison_operator = Some("LessThanLowerThreshold".into())
            }),
            ("ValidationError", |a| a.statistic = Some("Foo".into())),
            ("ValidationError", |a| a.datapoints_to_alarm = Some(2)),
            ("ValidationError", |a| a.datapoints_to_alarm = Some(0)),
            ("ValidationError", |a| a.evaluation_periods = Some(0)),
            ("ValidationError", |a| a.evaluation_periods = Some(1441)),
            ("ValidationError", |a| a.evaluation_periods = Some(i64::MAX)),
            ("ValidationError", |a| {
                a.treat_missing_data = Some("sometimes".into())
            }),
            ("InvalidParameterValue", |a| a.threshold = Some(f64::NAN)),
            ("InvalidParameterCombination", |a| {
                a.metrics = vec![MetricDataQuery::default()]
            }),
        ];
        for (i, (code, spoil)) in cases.iter().enumerate() {
            let mut alarm = good();
            spoil(&mut alarm);
            assert_eq!(watches(&alarm).unwrap_err().code, *code, "case {i}");
        }
    }

    #[test]
    fn names_of_alarms() {
        name("Kamera 7 · Tür").unwrap();
        assert!(name("").is_err() && name(&"x".repeat(256)).is_err() && name("a\nb").is_err());
    }
}
