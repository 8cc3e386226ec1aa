//! CloudWatch: alarms, their states, history and tags.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use aws_sdk_cloudwatch::{
    Client,
    types::{
        AlarmType, ComparisonOperator, Dimension, HistoryItemType, MetricAlarm, ScanBy, StateValue,
        Statistic, Tag,
    },
};
use jiff::Timestamp;

use super::{AwsError, Connection, Kind, Result};

/// The most records that one answer of DescribeAlarms or DescribeAlarmHistory holds, and the most names that one DeleteAlarms
/// takes (API reference, November 2026).
const PAGE: usize = 100;

/// What an alarm watches and when it goes to ALARM, in CloudWatch's own words. Only what we write: an alarm that is more than
/// this (metric math, a unit, a percentile) has no definition here.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmDefinition {
    /// The metric's namespace.
    pub namespace: String,
    /// The metric.
    pub metric_name: String,
    /// Its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// How the values of a period become one.
    pub statistic: String,
    /// Seconds.
    pub period: i32,
    /// How many periods are looked at.
    pub evaluation_periods: i32,
    /// How many of them must breach.
    pub datapoints_to_alarm: i32,
    /// What the value is compared with.
    pub threshold: f64,
    /// How it is compared.
    pub comparison_operator: String,
    /// What a period without a value counts as.
    pub treat_missing_data: String,
}

/// What an alarm does when its state changes: ARNs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    /// Whether any of it is done.
    pub enabled: bool,
    /// At ALARM.
    pub alarm: Vec<String>,
    /// At OK.
    pub ok: Vec<String>,
    /// At INSUFFICIENT_DATA.
    pub insufficient_data: Vec<String>,
}

impl Default for Actions {
    fn default() -> Self {
        Self {
            enabled: true,
            alarm: vec![],
            ok: vec![],
            insufficient_data: vec![],
        }
    }
}

/// An alarm, as DescribeAlarms says.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its description.
    pub description: String,
    /// What it watches. `None`: something that we do not write.
    pub definition: Option<AlarmDefinition>,
    /// What it does.
    pub actions: Actions,
    /// Whether its state is ALARM.
    pub in_alarm: bool,
    /// Since when its state is what it is.
    pub since: Timestamp,
    /// Why, for people.
    pub reason: Option<String>,
    /// Why, as JSON.
    pub reason_data: Option<String>,
}

/// An alarm to make or to overwrite.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAlarm {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// What it watches.
    pub definition: AlarmDefinition,
    /// What it does.
    pub actions: Actions,
    /// Its tags. CloudWatch takes them only where there is no alarm of that name yet.
    pub tags: BTreeMap<String, String>,
}

/// A StateUpdate entry of an alarm's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The alarm's name.
    pub alarm: String,
    /// When it happened.
    pub at: Timestamp,
    /// HistorySummary: a sentence.
    pub summary: String,
    /// HistoryData: JSON, possibly cut.
    pub data: String,
}

/// CloudWatch's alarms.
#[async_trait]
pub trait Alarms: Send + Sync + fmt::Debug {
    /// The metric alarms whose names begin with `prefix`.
    async fn describe(&self, prefix: &str) -> Result<Vec<Alarm>>;
    /// The metric alarms of these names, as far as there are such.
    async fn describe_named(&self, names: &[String]) -> Result<Vec<Alarm>>;
    /// An alarm's changes of state from `since` on. CloudWatch keeps them for 30 days, also of an alarm that is deleted.
    async fn history(&self, alarm: &str, since: Timestamp) -> Result<Vec<HistoryEntry>>;
    /// The changes of state of all metric alarms of the account and region from `since` on, in at most so many pages.
    /// `None`: there are more.
    async fn history_of_all(&self, since: Timestamp, pages: usize) -> Result<Option<Vec<HistoryEntry>>>;
    /// The tags of the alarm with that ARN. `None`: it is gone.
    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>>;
    /// Makes an alarm, or overwrites the one of that name wholly but for its state and tags.
    async fn put(&self, alarm: &NewAlarm) -> Result<()>;
    /// Sets tags; those with other keys stay.
    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<()>;
    /// Deletes the alarm of that name; one that is not there is no error.
    async fn delete(&self, alarm: &str) -> Result<()>;
}

/// The port that calls AWS.
#[derive(Debug)]
pub struct Sdk {
    client: Client,
    connection: Connection,
}

impl Sdk {
    /// A client of this connection.
    pub fn new(connection: &Connection) -> Self {
        let config = aws_sdk_cloudwatch::config::Builder::from(connection.sdk())
            .interceptor(connection.date_interceptor())
            .build();
        Self {
            client: Client::from_conf(config),
            connection: connection.clone(),
        }
    }
}

#[async_trait]
impl Alarms for Sdk {
    async fn describe(&self, prefix: &str) -> Result<Vec<Alarm>> {
        const OPERATION: &str = "cloudwatch:DescribeAlarms";
        let (mut alarms, mut token) = (vec![], None);
        loop {
            let call = self
                .client
                .describe_alarms()
                .alarm_name_prefix(prefix)
                .alarm_types(AlarmType::MetricAlarm)
                .max_records(PAGE as i32)
                .set_next_token(token)
                .send();
            let page = self.connection.call(OPERATION, prefix, call).await?;
            for found in page.metric_alarms.unwrap_or_default() {
                alarms.push(alarm(found).map_err(|lacks| AwsError::incomplete(OPERATION, prefix, lacks))?);
            }
            token = page.next_token.filter(|t| !t.is_empty());
            if token.is_none() {
                return Ok(alarms);
            }
        }
    }

    async fn describe_named(&self, names: &[String]) -> Result<Vec<Alarm>> {
        const OPERATION: &str = "cloudwatch:DescribeAlarms";
        let mut alarms = vec![];
        for names in names.chunks(PAGE) {
            let call = self
                .client
                .describe_alarms()
                .set_alarm_names(Some(names.to_vec()))
                .alarm_types(AlarmType::MetricAlarm)
                .max_records(PAGE as i32)
                .send();
            let page = self.connection.call(OPERATION, &names[0], call).await?;
            for found in page.metric_alarms.unwrap_or_default() {
                alarms.push(alarm(found).map_err(|lacks| AwsError::incomplete(OPERATION, &names[0], lacks))?);
            }
        }
        Ok(alarms)
    }

    async fn history(&self, alarm: &str, since: Timestamp) -> Result<Vec<HistoryEntry>> {
        let (mut entries, mut token) = (vec![], None);
        loop {
            let page = match self.history_page(Some(alarm), since, token).await {
                // An alarm that never was has no history.
                Err(AwsError {
                    kind: Kind::NotFound, ..
                }) => return Ok(entries),
                page => page?,
            };
            entries.extend(page.0);
            token = page.1;
            if token.is_none() {
                return Ok(entries);
            }
        }
    }

    async fn history_of_all(&self, since: Timestamp, pages: usize) -> Result<Option<Vec<HistoryEntry>>> {
        let (mut entries, mut token) = (vec![], None);
        for _ in 0..pages {
            let page = self.history_page(None, since, token).await?;
            entries.extend(page.0);
            token = page.1;
            if token.is_none() {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }

    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>> {
        let call = self.client.list_tags_for_resource().resource_arn(arn).send();
        let output = match self
            .connection
            .call("cloudwatch:ListTagsForResource", arn, call)
            .await
        {
            Err(AwsError {
                kind: Kind::NotFound, ..
            }) => return Ok(None),
            output => output?,
        };
        let tags = output.tags.unwrap_or_default().into_iter();
        Ok(Some(
            tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
                .collect(),
        ))
    }

    async fn put(&self, alarm: &NewAlarm) -> Result<()> {
        let (definition, actions) = (&alarm.definition, &alarm.actions);
        let dimension =
            |(name, value): (&String, &String)| Dimension::builder().name(name).value(value).build();
        let call = self
            .client
            .put_metric_alarm()
            .alarm_name(&alarm.name)
            .alarm_description(&alarm.description)
            .namespace(&definition.namespace)
            .metric_name(&definition.metric_name)
            .set_dimensions(Some(definition.dimensions.iter().map(dimension).collect()))
            .statistic(Statistic::from(definition.statistic.as_str()))
            .period(definition.period)
            .evaluation_periods(definition.evaluation_periods)
            .datapoints_to_alarm(definition.datapoints_to_alarm)
            .threshold(definition.threshold)
            .comparison_operator(ComparisonOperator::from(definition.comparison_operator.as_str()))
            .treat_missing_data(&definition.treat_missing_data)
            .actions_enabled(actions.enabled)
            .set_alarm_actions(Some(actions.alarm.clone()))
            .set_ok_actions(Some(actions.ok.clone()))
            .set_insufficient_data_actions(Some(actions.insufficient_data.clone()))
            .set_tags((!alarm.tags.is_empty()).then(|| sdk_tags(&alarm.tags)))
            .send();
        self.connection
            .call("cloudwatch:PutMetricAlarm", &alarm.name, call)
            .await
            .map(drop)
    }

    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        let call = self
            .client
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(sdk_tags(tags)))
            .send();
        self.connection
            .call("cloudwatch:TagResource", arn, call)
            .await
            .map(drop)
    }

    async fn delete(&self, alarm: &str) -> Result<()> {
        let call = self.client.delete_alarms().alarm_names(alarm).send();
        match self.connection.call("cloudwatch:DeleteAlarms", alarm, call).await {
            Err(AwsError {
                kind: Kind::NotFound, ..
            }) => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

impl Sdk {
    /// A page of changes of state, of one alarm or of all, and the token of the next.
    async fn history_page(
        &self,
        alarm: Option<&str>,
        since: Timestamp,
        token: Option<String>,
    ) -> Result<(Vec<HistoryEntry>, Option<String>)> {
        let call = self
            .client
            .describe_alarm_history()
            .set_alarm_name(alarm.map(str::to_owned))
            .alarm_types(AlarmType::MetricAlarm)
            .history_item_type(HistoryItemType::StateUpdate)
            .start_date(aws_smithy_types::DateTime::from_millis(since.as_millisecond()))
            .scan_by(ScanBy::TimestampAscending)
            .max_records(PAGE as i32)
            .set_next_token(token)
            .send();
        let on = alarm.unwrap_or("*");
        let page = self
            .connection
            .call("cloudwatch:DescribeAlarmHistory", on, call)
            .await?;
        let entries = page.alarm_history_items.unwrap_or_default();
        let entries = entries.into_iter().filter_map(|item| {
            Some(HistoryEntry {
                alarm: item.alarm_name?,
                at: time(item.timestamp.as_ref())?,
                summary: item.history_summary.unwrap_or_default(),
                data: item.history_data.unwrap_or_default(),
            })
        });
        Ok((entries.collect(), page.next_token.filter(|t| !t.is_empty())))
    }
}

fn sdk_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn time(time: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    Timestamp::from_nanosecond(time?.as_nanos()).ok()
}

/// An alarm in our words, or what the answer lacks.
fn alarm(found: MetricAlarm) -> std::result::Result<Alarm, &'static str> {
    // The time of the last change of the state's value; the other one moves also without such a change.
    let since =
        time(found.state_transitioned_timestamp.as_ref()).or(time(found.state_updated_timestamp.as_ref()));
    Ok(Alarm {
        definition: definition(&found),
        name: found.alarm_name.ok_or("AlarmName")?,
        arn: found.alarm_arn.ok_or("AlarmArn")?,
        description: found.alarm_description.unwrap_or_default(),
        actions: Actions {
            enabled: found.actions_enabled.unwrap_or(true),
            alarm: found.alarm_actions.unwrap_or_default(),
            ok: found.ok_actions.unwrap_or_default(),
            insufficient_data: found.insufficient_data_actions.unwrap_or_default(),
        },
        in_alarm: match found.state_value {
            Some(StateValue::Alarm) => true,
            Some(StateValue::Ok | StateValue::InsufficientData) => false,
            _ => return Err("a known StateValue"),
        },
        since: since.ok_or("StateTransitionedTimestamp")?,
        reason: found.state_reason,
        reason_data: found.state_reason_data,
    })
}

fn definition(found: &MetricAlarm) -> Option<AlarmDefinition> {
    let simple = found.unit.is_none() && found.extended_statistic.is_none() && found.metrics().is_empty();
    let dimensions = found.dimensions().iter();
    let definition = AlarmDefinition {
        namespace: found.namespace.clone()?,
        metric_name: found.metric_name.clone()?,
        dimensions: dimensions
            .filter_map(|d| Some((d.name.clone()?, d.value.clone()?)))
            .collect(),
        statistic: found.statistic.as_ref()?.as_str().to_owned(),
        period: found.period?,
        evaluation_periods: found.evaluation_periods?,
        // CloudWatch may leave out what is its default.
        datapoints_to_alarm: found.datapoints_to_alarm.or(found.evaluation_periods)?,
        threshold: found.threshold?,
        comparison_operator: found.comparison_operator.as_ref()?.as_str().to_owned(),
        treat_missing_data: found
            .treat_missing_data
            .clone()
            .unwrap_or_else(|| "missing".into()),
    };
    simple.then_some(definition)
}
