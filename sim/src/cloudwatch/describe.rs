//! Alarms as clients find and read them.

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    alarms::{at_most_100, state_value},
    model::{Alarm, AlarmKind, MetricAlarm, MetricName},
    validate,
};
use crate::wire::{Fault, int, page, tree, typed};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Describe {
    alarm_names: Vec<String>,
    alarm_name_prefix: Option<String>,
    alarm_types: Option<Vec<String>>,
    state_value: Option<String>,
    action_prefix: Option<String>,
    #[serde(deserialize_with = "int")]
    max_records: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ForMetric {
    statistic: Option<String>,
    extended_statistic: Option<String>,
    #[serde(deserialize_with = "int")]
    period: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    metric_alarms: Vec<Value>,
    composite_alarms: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl CloudWatch {
    /// DescribeAlarms.
    pub(super) fn describe_alarms(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        validate::simulated(
            "DescribeAlarms",
            input,
            &["ChildrenOfAlarmName", "ParentsOfAlarmName"],
        )?;
        let input: Describe = typed(input)?;
        at_most_100(&input.alarm_names)?;
        if !input.alarm_names.is_empty() && input.alarm_name_prefix.is_some() {
            return Err(Fault::combination(
                "AlarmNames and AlarmNamePrefix must not be given together.",
            ));
        }
        let state = input.state_value.as_deref().map(state_value).transpose()?;
        let max = max_records(input.max_records, 50)?;
        let after = input.next_token.as_deref().map(name_of).transpose()?;
        let prefix = input.alarm_name_prefix.as_deref().unwrap_or_default();
        let book = self.book();
        let found: Vec<&Alarm> = book
            .alarms(region)
            .filter(|alarm| {
                let name = &alarm.id.name;
                alarm.kind().asked(input.alarm_types.as_deref())
                    && (input.alarm_names.is_empty() || input.alarm_names.contains(name))
                    && name.starts_with(prefix)
                    && state.is_none_or(|state| alarm.state.value == state)
                    && input
                        .action_prefix
                        .as_ref()
                        .is_none_or(|prefix| alarm.acts(prefix))
                    && after.as_ref().is_none_or(|after| name > after)
            })
            .take(max + 1)
            .collect();
        let next_token = (found.len() > max).then(|| page::token(&found[max - 1].id.name));
        let (mut metric_alarms, mut composite_alarms) = (vec![], vec![]);
        for alarm in found.into_iter().take(max) {
            match alarm.kind() {
                AlarmKind::MetricAlarm => metric_alarms.push(self.shown(alarm)?),
                AlarmKind::CompositeAlarm => composite_alarms.push(alarm.describe()?),
            }
        }
        tree(&Described {
            metric_alarms,
            composite_alarms,
            next_token,
        })
    }

    /// DescribeAlarmsForMetric.
    pub(super) fn describe_alarms_for_metric(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let metric: MetricName = typed(input)?;
        let input: ForMetric = typed(input)?;
        let metric = metric.in_region(region);
        let book = self.book();
        let watches = |alarm: &&Alarm| {
            let single = alarm.metric().filter(|metric| metric.metric_name.is_some());
            single.and_then(MetricAlarm::stat).is_some_and(|stat| {
                stat.metric.in_region(region) == metric
                    && input
                        .statistic
                        .as_ref()
                        .or(input.extended_statistic.as_ref())
                        .is_none_or(|s| *s == stat.stat)
                    && input.period.is_none_or(|p| Some(p) == stat.period)
            })
        };
        let metric_alarms = book
            .alarms(region)
            .filter(watches)
            .map(|alarm| self.shown(alarm))
            .collect::<Result<_, _>>()?;
        tree(&Described {
            metric_alarms,
            composite_alarms: vec![],
            next_token: None,
        })
    }
}

impl CloudWatch {
    /// A metric alarm as answers show it.
    fn shown(&self, alarm: &Alarm) -> Result<Value, Fault> {
        let omits = self.world.behaviour().datapoints_to_alarm_omitted;
        let all = |metric: &&MetricAlarm| omits && metric.datapoints_to_alarm == metric.evaluation_periods;
        match (alarm.metric().filter(all), alarm.describe()?) {
            (Some(_), Value::Map(mut members)) => {
                members.retain(|(name, _)| name.as_text() != Some("DatapointsToAlarm"));
                Ok(Value::Map(members))
            }
            (_, tree) => Ok(tree),
        }
    }
}

impl Alarm {
    fn acts(&self, prefix: &str) -> bool {
        let actions = &self.actions;
        [
            &actions.ok_actions,
            &actions.alarm_actions,
            &actions.insufficient_data_actions,
        ]
        .into_iter()
        .flatten()
        .any(|arn| arn.starts_with(prefix))
    }
}

/// A page's size, within AWS's limits.
pub(super) fn max_records(asked: Option<i64>, default: usize) -> Result<usize, Fault> {
    match asked {
        None => Ok(default),
        Some(max @ 1..=100) => Ok(max as usize),
        Some(max) => Err(Fault::validation(format!(
            "MaxRecords is {max}, which is not within 1 and 100."
        ))),
    }
}

fn name_of(token: &str) -> Result<String, Fault> {
    page::text(token).ok_or_else(Fault::next_token)
}
