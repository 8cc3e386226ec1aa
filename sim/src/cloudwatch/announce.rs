//! What the rest of AWS hears of alarms: EventBridge of every change, SNS of changes of state that an action is for.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    CloudWatch,
    history::{Configured, Item},
    model::{Alarm, MetricDataQuery, State, StateValue, Watches},
    reason::date,
};
use crate::{delivery, events::model::Event, id, sns::Notice, world::Place};

impl CloudWatch {
    /// Tells of a change of state; returns what history has of the actions.
    pub(super) fn announce_state(&self, alarm: &Alarm, old: &State, at: Timestamp) -> Vec<Item> {
        let detail = json!({
            "alarmName": alarm.id.name,
            "configuration": configuration(alarm),
            "previousState": state(old),
            "state": state(&alarm.state),
        });
        self.events.put(&Event {
            alarm: Some(alarm.id.name.clone()),
            ..event(alarm, "CloudWatch Alarm State Change", detail, at)
        });
        if alarm.actions.actions_enabled == Some(false) {
            return vec![];
        }
        let actions = match alarm.state.value {
            StateValue::Ok => &alarm.actions.ok_actions,
            StateValue::Alarm => &alarm.actions.alarm_actions,
            StateValue::InsufficientData => &alarm.actions.insufficient_data_actions,
        };
        let topics = actions.iter().filter(|arn| arn.starts_with("arn:aws:sns:"));
        topics.map(|arn| self.act(alarm, old, arn, at)).collect()
    }

    /// Runs one action.
    fn act(&self, alarm: &Alarm, old: &State, topic: &str, at: Timestamp) -> Item {
        let region = region_name(Place::of(&alarm.id.region).region);
        let notice = Notice {
            subject: Some(format!(
                "{}: \"{}\" in {region}",
                alarm.state.value.as_str(),
                alarm.id.name
            )),
            message: message(alarm, old, region).to_string(),
            ..Notice::default()
        };
        let mut failed = None;
        for arrives in delivery::copies(&self.world, Some(&alarm.id.name)) {
            if let Err(fault) = self.sns.publish(topic, notice.clone(), arrives) {
                failed = Some(fault.message);
            }
        }
        Item::action(alarm, topic, failed.as_deref(), at)
    }

    /// Tells of a change of definition.
    pub(super) fn announce_configuration(&self, alarm: &Alarm, what: Configured, at: Timestamp) {
        let mut configuration = configuration(alarm);
        let actions = &alarm.actions;
        configuration["alarmName"] = alarm.id.name.as_str().into();
        configuration["actionsEnabled"] = actions.actions_enabled.unwrap_or(true).into();
        configuration["timestamp"] = date(alarm.configured).into();
        configuration["okActions"] = json!(actions.ok_actions);
        configuration["alarmActions"] = json!(actions.alarm_actions);
        configuration["insufficientDataActions"] = json!(actions.insufficient_data_actions);
        if let Watches::Metric(metric) = &alarm.watches {
            configuration["evaluationPeriods"] = json!(metric.evaluation_periods);
            configuration["threshold"] = json!(metric.threshold);
            configuration["comparisonOperator"] = json!(metric.comparison_operator);
            configuration["treatMissingData"] = json!(metric.treat_missing_data);
            if let Some(least) = metric.datapoints_to_alarm {
                configuration["datapointsToAlarm"] = least.into();
            }
        }
        let operation = match what {
            Configured::Create => "create",
            Configured::Update => "update",
            Configured::Delete => "delete",
        };
        let detail = json!({
            "alarmName": alarm.id.name,
            "operation": operation,
            "state": { "value": alarm.state.value.as_str(), "timestamp": date(alarm.state.updated) },
            "configuration": configuration,
        });
        self.events
            .put(&event(alarm, "CloudWatch Alarm Configuration Change", detail, at));
    }
}

fn event(alarm: &Alarm, detail_type: &str, detail: Value, at: Timestamp) -> Event {
    Event {
        region: alarm.id.region.clone(),
        detail_type: detail_type.to_owned(),
        source: "aws.cloudwatch".into(),
        time: at,
        resources: vec![alarm.id.arn()],
        detail,
        alarm: None,
    }
}

fn state(state: &State) -> Value {
    let mut shown = json!({
        "value": state.value.as_str(),
        "reason": state.reason,
        "timestamp": date(state.updated),
    });
    if let Some(data) = &state.data {
        shown["reasonData"] = data.as_str().into();
    }
    shown
}

/// What an event says of an alarm's definition.
fn configuration(alarm: &Alarm) -> Value {
    let mut shown = match &alarm.watches {
        Watches::Composite(composite) => json!({ "alarmRule": composite.alarm_rule }),
        Watches::Metric(metric) => {
            let one = metric.metric_name.is_some();
            json!({ "metrics": metric.queries().iter().map(|query| metric_of(query, one)).collect::<Vec<_>>() })
        }
    };
    if let Some(description) = &alarm.actions.alarm_description {
        shown["description"] = description.as_str().into();
    }
    shown
}

fn metric_of(query: &MetricDataQuery, one: bool) -> Value {
    // An alarm on one metric has no id of the user's; AWS makes one up.
    let id = if one { id::uuid() } else { query.id.clone() };
    let mut shown = json!({ "id": id, "returnData": query.return_data != Some(false) });
    if let Some(stat) = &query.metric_stat {
        let dimensions = stat.metric.dimensions.iter();
        let dimensions: serde_json::Map<String, Value> = dimensions
            .map(|d| (d.name.clone(), d.value.as_str().into()))
            .collect();
        shown["metricStat"] = json!({
            "metric": {
                "dimensions": dimensions,
                "name": stat.metric.metric_name,
                "namespace": stat.metric.namespace,
            },
            "period": stat.period,
            "stat": stat.stat,
        });
    }
    if let Some(expression) = &query.expression {
        shown["expression"] = expression.as_str().into();
    }
    if let Some(label) = &query.label {
        shown["label"] = label.as_str().into();
    }
    shown
}

/// The document that an alarm's topic gets.
fn message(alarm: &Alarm, old: &State, region: &str) -> Value {
    let actions = &alarm.actions;
    let account = Place::of(&alarm.id.region).account;
    let mut message = json!({
        "AlarmName": alarm.id.name,
        "AlarmDescription": actions.alarm_description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": date(alarm.configured),
        "NewStateValue": alarm.state.value.as_str(),
        "NewStateReason": alarm.state.reason,
        "StateChangeTime": date(alarm.state.transitioned),
        "Region": region,
        "AlarmArn": alarm.id.arn(),
        "OldStateValue": old.value.as_str(),
        "OKActions": actions.ok_actions,
        "AlarmActions": actions.alarm_actions,
        "InsufficientDataActions": actions.insufficient_data_actions,
    });
    match &alarm.watches {
        Watches::Composite(composite) => message["AlarmRule"] = composite.alarm_rule.as_str().into(),
        Watches::Metric(metric) => {
            let mut trigger = json!({
                "Period": metric.period(),
                "EvaluationPeriods": metric.evaluation_periods,
                "DatapointsToAlarm": metric.datapoints_to_alarm,
                "ComparisonOperator": metric.comparison_operator,
                "Threshold": metric.threshold,
                "TreatMissingData": metric.treat_missing_data.as_deref().unwrap_or("missing"),
                "EvaluateLowSampleCountPercentile": metric.evaluate_low_sample_count_percentile.as_deref().unwrap_or_default(),
            });
            let more = match metric.stat() {
                Some(stat) => {
                    let dimensions = stat.metric.dimensions.iter();
                    let dimension = |(name, value): (&str, &str)| json!({ "value": value, "name": name });
                    let dimensions = dimensions.map(|d| dimension((&d.name, &d.value)));
                    let extended = metric.extended_statistic.is_some();
                    json!({
                        "MetricName": stat.metric.metric_name,
                        "Namespace": stat.metric.namespace,
                        "StatisticType": if extended { "ExtendedStatistic" } else { "Statistic" },
                        "Statistic": statistic(&stat.stat),
                        "Unit": null,
                        "Dimensions": dimensions.collect::<Vec<_>>(),
                    })
                }
                None => {
                    json!({ "Metrics": metric.metrics.iter().map(|q| metric_of(q, false)).collect::<Vec<_>>() })
                }
            };
            if let (Some(trigger), Value::Object(more)) = (trigger.as_object_mut(), more) {
                trigger.extend(more);
            }
            message["Trigger"] = trigger;
        }
    }
    message
}

/// As this one document spells it.
fn statistic(name: &str) -> String {
    match name {
        "SampleCount" => "SAMPLE_COUNT".into(),
        "Average" | "Sum" | "Minimum" | "Maximum" => name.to_uppercase(),
        other => other.to_owned(),
    }
}

fn region_name(region: &str) -> &str {
    match region {
        "us-east-1" => "US East (N. Virginia)",
        "us-east-2" => "US East (Ohio)",
        "us-west-2" => "US West (Oregon)",
        "eu-central-1" => "EU (Frankfurt)",
        "eu-west-1" => "EU (Ireland)",
        "ap-northeast-1" => "Asia Pacific (Tokyo)",
        "ap-southeast-2" => "Asia Pacific (Sydney)",
        other => other,
    }
}
