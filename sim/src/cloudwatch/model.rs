//! An alarm: what a client asked for, its state and its tags. Plain data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::{
    metrics::Metric,
    wire::{flag, float, int},
    world::Place,
};

/// A metric's dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateValue {
    /// Within the threshold.
    #[serde(rename = "OK")]
    Ok,
    /// Outside the threshold.
    #[serde(rename = "ALARM")]
    Alarm,
    /// Not known.
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl StateValue {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// A statistic of one metric in a `Metrics` list or a GetMetricData query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricStat {
    /// The metric.
    pub metric: MetricName,
    /// Seconds.
    #[serde(deserialize_with = "int", default)]
    pub period: Option<i64>,
    /// The statistic, such as `Sum`.
    pub stat: String,
    /// The unit that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
}

/// A metric as requests name it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MetricName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub metric_name: String,
    /// The dimensions, in the order in which they came.
    pub dimensions: Vec<Dimension>,
}

impl MetricName {
    /// The metric in a region.
    pub fn in_region(&self, region: &str) -> Metric {
        Metric {
            region: region.to_owned(),
            namespace: self.namespace.clone(),
            name: self.metric_name.clone(),
            dimensions: self
                .dimensions
                .iter()
                .map(|d| (d.name.clone(), d.value.clone()))
                .collect(),
        }
    }
}

/// One entry of a `Metrics` list or of GetMetricData's queries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MetricDataQuery {
    /// The name by which expressions refer to it.
    pub id: String,
    /// A metric's statistic…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<MetricStat>,
    /// … or an expression over others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is answered; in an alarm exactly one is, and that one is compared.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag")]
    pub return_data: Option<bool>,
    /// Seconds, of an expression without metrics.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub period: Option<i64>,
    /// The account of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// What all kinds of alarms have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Actions {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm_description: Option<String>,
    /// Whether actions are run at all; absent means true.
    #[serde(deserialize_with = "flag")]
    pub actions_enabled: Option<bool>,
    /// ARNs that are told of OK.
    #[serde(rename = "OKActions")]
    pub ok_actions: Vec<String>,
    /// ARNs that are told of ALARM.
    pub alarm_actions: Vec<String>,
    /// ARNs that are told of INSUFFICIENT_DATA.
    pub insufficient_data_actions: Vec<String>,
}

/// What a metric alarm watches, and when it fires: the members of PutMetricAlarm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MetricAlarm {
    /// The metric's name; absent where `metrics` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_name: Option<String>,
    /// The metric's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `SampleCount`, `Average`, `Sum`, `Minimum` or `Maximum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistic: Option<String>,
    /// A percentile, such as `p99.9`, in place of the statistic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_statistic: Option<String>,
    /// Whether a percentile of few samples is judged: `evaluate` or `ignore`; absent means `evaluate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_low_sample_count_percentile: Option<String>,
    /// The metric's dimensions.
    pub dimensions: Vec<Dimension>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub period: Option<i64>,
    /// N of "M out of N".
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub evaluation_periods: Option<i64>,
    /// M of "M out of N"; absent means N.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub datapoints_to_alarm: Option<i64>,
    /// What values are compared with.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "float")]
    pub threshold: Option<f64>,
    /// How they are compared, such as `GreaterThanOrEqualToThreshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison_operator: Option<String>,
    /// `breaching`, `notBreaching`, `ignore` or `missing`; absent means `missing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treat_missing_data: Option<String>,
    /// What is watched, where it is not one metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricDataQuery>,
}

impl MetricAlarm {
    /// What is watched, where it is one metric by itself.
    pub fn stat(&self) -> Option<MetricStat> {
        let metric = MetricName {
            namespace: self.namespace.clone().unwrap_or_default(),
            metric_name: self.metric_name.clone()?,
            dimensions: self.dimensions.clone(),
        };
        let stat = self
            .statistic
            .as_ref()
            .or(self.extended_statistic.as_ref())?
            .clone();
        Some(MetricStat {
            metric,
            period: self.period,
            stat,
            unit: None,
        })
    }

    /// What is watched, as a list in either case.
    pub fn queries(&self) -> Vec<MetricDataQuery> {
        match self.stat() {
            Some(stat) => vec![MetricDataQuery {
                id: "m".into(),
                metric_stat: Some(stat),
                ..Default::default()
            }],
            None => self.metrics.clone(),
        }
    }

    /// Seconds of one period.
    pub fn period(&self) -> i64 {
        let of_metrics = || {
            self.metrics
                .iter()
                .find_map(|query| query.metric_stat.as_ref()?.period)
        };
        self.period.or_else(of_metrics).unwrap_or(60)
    }
}

/// What a composite alarm watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Composite {
    /// The rule over the states of other alarms, as text.
    pub alarm_rule: String,
}

/// What an alarm watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Watches {
    /// Metrics.
    Metric(Box<MetricAlarm>),
    /// Other alarms.
    Composite(Composite),
}

/// An alarm's state, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The state.
    pub value: StateValue,
    /// For people.
    pub reason: String,
    /// For programs: a JSON object as text.
    pub data: Option<String>,
    /// When state or reason last changed.
    pub updated: Timestamp,
    /// When the state last changed.
    pub transitioned: Timestamp,
}

/// Where an alarm is: names are unique within a region of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlarmId {
    /// The region and account (`Place::key`).
    pub region: String,
    /// The name.
    pub name: String,
}

impl AlarmId {
    /// The alarm's ARN.
    pub fn arn(&self) -> String {
        let Place { region, account } = Place::of(&self.region);
        format!("arn:aws:cloudwatch:{region}:{account}:alarm:{}", self.name)
    }

    /// The alarm that this one's rule calls by name or ARN.
    pub fn child(&self, name: &str) -> Self {
        Self::from_arn(name).unwrap_or_else(|| Self {
            region: self.region.clone(),
            name: name.to_owned(),
        })
    }

    /// The alarm that an ARN names.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let (region, rest) = arn.strip_prefix("arn:aws:cloudwatch:")?.split_once(':')?;
        let (account, name) = rest.split_once(":alarm:")?;
        Some(Self {
            region: Place::key(account, region),
            name: name.to_owned(),
        })
    }
}

/// One alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Where it is.
    pub id: AlarmId,
    /// Description and actions.
    pub actions: Actions,
    /// What it watches.
    pub watches: Watches,
    /// When it was created or last changed.
    pub configured: Timestamp,
    /// Whether a composite alarm was evaluated since.
    pub evaluated: bool,
    /// Its state.
    pub state: State,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Alarm {
    /// What it watches, if that is metrics.
    pub fn metric(&self) -> Option<&MetricAlarm> {
        match &self.watches {
            Watches::Metric(metric) => Some(metric),
            Watches::Composite(_) => None,
        }
    }

    /// Its rule, if it watches other alarms.
    pub fn rule(&self) -> Option<Rule> {
        match &self.watches {
            Watches::Metric(_) => None,
            Watches::Composite(composite) => Rule::parse(&composite.alarm_rule).ok(),
        }
    }

    /// Its type, as requests and answers name it.
    pub fn kind(&self) -> AlarmKind {
        match &self.watches {
            Watches::Metric(_) => AlarmKind::MetricAlarm,
            Watches::Composite(_) => AlarmKind::CompositeAlarm,
        }
    }
}

/// The types of alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmKind {
    /// On metrics.
    MetricAlarm,
    /// On other alarms.
    CompositeAlarm,
}

impl AlarmKind {
    /// Whether a request for some types, or for none in particular, is about this one: then AWS means metric alarms.
    pub fn asked(self, types: Option<&[String]>) -> bool {
        match types {
            None | Some([]) => self == Self::MetricAlarm,
            Some(types) => types.iter().any(|name| *name == format!("{self:?}")),
        }
    }
}
