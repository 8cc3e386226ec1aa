//! What happened to alarms: the items, and DescribeAlarmHistory.

use ciborium::Value;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    book::Place,
    model::{Alarm, AlarmId, AlarmKind, State},
    reason::date,
};
use crate::wire::{Fault, Time, int, page, tree, typed};

/// As long (ms) as history is kept: what comes later never comes.
const KEPT_MILLIS: i64 = 30 * 24 * 3_600_000;

/// One item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The alarm, which may be gone by now.
    pub alarm: AlarmId,
    /// Its type.
    pub alarm_kind: AlarmKind,
    /// When the item was written: a little after what it tells of.
    pub at: Timestamp,
    /// Its kind.
    pub kind: ItemKind,
    /// For people.
    pub summary: String,
    /// For programs: JSON.
    pub data: String,
    /// How much later (ms) it is listed.
    #[serde(default)]
    pub late_millis: u64,
}

/// What an item tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemKind {
    /// The alarm was created, changed or deleted.
    ConfigurationUpdate,
    /// Its state changed.
    StateUpdate,
    /// An action was run.
    Action,
}

/// What was done to an alarm's definition.
#[derive(Clone, Copy, Debug)]
pub enum Configured {
    /// Created.
    Create,
    /// Changed.
    Update,
    /// Deleted.
    Delete,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateData<'a> {
    state_value: &'static str,
    state_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_data: Option<serde_json::Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateUpdate<'a> {
    version: &'static str,
    old_state: StateData<'a>,
    new_state: StateData<'a>,
}

impl Item {
    /// A change of state.
    pub fn state_update(alarm: &Alarm, old: &State, at: Timestamp) -> serde_json::Result<Self> {
        let new = &alarm.state;
        let data = StateUpdate {
            version: "1.0",
            old_state: state_data(old)?,
            new_state: state_data(new)?,
        };
        Ok(Self {
            alarm: alarm.id.clone(),
            alarm_kind: alarm.kind(),
            at,
            kind: ItemKind::StateUpdate,
            summary: format!(
                "Alarm updated from {} to {}",
                old.value.as_str(),
                new.value.as_str()
            ),
            data: serde_json::to_string(&data)?,
            late_millis: 0,
        })
    }

    /// A change of definition.
    pub fn configuration_update(alarm: &Alarm, what: Configured, at: Timestamp) -> Result<Self, Fault> {
        let (kind, done) = match what {
            Configured::Create => ("Create", "created"),
            Configured::Update => ("Update", "updated"),
            Configured::Delete => ("Delete", "deleted"),
        };
        let definition = camel_case(&alarm.describe()?);
        let data = serde_json::json!({ "version": "1.0", "type": kind, format!("{done}Alarm"): definition });
        Ok(Self {
            alarm: alarm.id.clone(),
            alarm_kind: alarm.kind(),
            at,
            kind: ItemKind::ConfigurationUpdate,
            summary: format!("Alarm \"{}\" {done}", alarm.id.name),
            data: data.to_string(),
            late_millis: 0,
        })
    }

    /// An action that was run, or failed.
    pub fn action(alarm: &Alarm, arn: &str, failed: Option<&str>, at: Timestamp) -> Self {
        let data = serde_json::json!({
            "version": "1.0",
            "actionState": if failed.is_some() { "Failed" } else { "Succeeded" },
            "stateUpdateTimestamp": alarm.state.updated.as_millisecond(),
            "notificationResource": arn,
            "error": failed,
        });
        let done = if failed.is_some() {
            "Failed to execute"
        } else {
            "Successfully executed"
        };
        Self {
            alarm: alarm.id.clone(),
            alarm_kind: alarm.kind(),
            at,
            kind: ItemKind::Action,
            summary: format!("{done} action {arn}"),
            data: data.to_string(),
            late_millis: 0,
        }
    }
}

fn state_data(state: &State) -> serde_json::Result<StateData<'_>> {
    let data = state.data.as_deref().map(serde_json::from_str).transpose()?;
    Ok(StateData {
        state_value: state.value.as_str(),
        state_reason: &state.reason,
        state_reason_data: data,
    })
}

/// As AWS does to what is too long, whatever becomes of the JSON.
fn cut(data: &str, characters: usize) -> String {
    data.chars().take(characters).collect()
}

/// An answer's tree as history data has it: other names, other dates, and of the state only its value.
fn camel_case(tree: &Value) -> serde_json::Value {
    match tree {
        Value::Map(members) => members
            .iter()
            .filter_map(|(name, value)| Some((name.as_text()?, value)))
            .filter(|(name, _)| {
                !["StateReason", "StateReasonData", "StateTransitionedTimestamp"].contains(name)
            })
            .map(|(name, value)| {
                let name = match name {
                    "OKActions" => "okactions".to_owned(),
                    name => name[..1].to_lowercase() + &name[1..],
                };
                (name, camel_case(value))
            })
            .collect(),
        Value::Array(items) => items.iter().map(camel_case).collect(),
        Value::Tag(_, seconds) => seconds
            .as_float()
            .and_then(|s| Timestamp::from_millisecond((s * 1000.0).round() as i64).ok())
            .map(date)
            .into(),
        Value::Text(text) => text.clone().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Integer(number) => i64::try_from(i128::from(*number)).ok().into(),
        Value::Float(number) => (*number).into(),
        _ => serde_json::Value::Null,
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    alarm_name: Option<String>,
    alarm_types: Option<Vec<String>>,
    history_item_type: Option<String>,
    start_date: Option<Time>,
    end_date: Option<Time>,
    #[serde(deserialize_with = "int")]
    max_records: Option<i64>,
    scan_by: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    alarm_history_items: Vec<OutputItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OutputItem {
    alarm_name: String,
    alarm_type: AlarmKind,
    timestamp: Time,
    history_item_type: ItemKind,
    history_summary: String,
    history_data: String,
}

impl CloudWatch {
    /// DescribeAlarmHistory.
    pub(super) fn describe_alarm_history(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let max = super::describe::max_records(input.max_records, 100)?;
        let descending = match input.scan_by.as_deref() {
            None | Some("TimestampDescending") => true,
            Some("TimestampAscending") => false,
            Some(other) => return Err(Fault::validation(format!("ScanBy {other} is not known."))),
        };
        let kind = input.history_item_type.as_deref();
        let known = ["ConfigurationUpdate", "StateUpdate", "Action"];
        if let Some(kind) = kind
            && !known.contains(&kind)
            && !kind.starts_with("AlarmContributor")
        {
            return Err(Fault::validation(format!("HistoryItemType {kind} is not known.")));
        }
        let after = input.next_token.as_deref().map(place).transpose()?;
        let now = self.world.clock.now();
        let behaviour = self.world.behaviour();
        let listed = now - SignedDuration::from_millis(behaviour.history_late_millis);
        let mut book = self.book();
        book.forget(now);
        let wanted = |(place, item): &(&Place, &Item)| {
            item.at + late(item) <= listed
                && input.alarm_name.as_ref().is_none_or(|name| *name == item.alarm.name)
                && item.alarm_kind.asked(input.alarm_types.as_deref())
                && kind.is_none_or(|kind| kind == item.kind.as_str())
                && input.start_date.is_none_or(|start| item.at >= start.0)
                // The wire has whole milliseconds, an item's time may have more.
                && input.end_date.is_none_or(|end| item.at - SignedDuration::from_millis(1) < end.0)
                && after.is_none_or(|after| if descending { **place < after } else { **place > after })
        };
        let found: Vec<_> = if descending {
            book.history(region).rev().filter(wanted).take(max + 1).collect()
        } else {
            book.history(region).filter(wanted).take(max + 1).collect()
        };
        let next_token = (found.len() > max).then(|| token(found[max - 1].0));
        let alarm_history_items = found
            .into_iter()
            .take(max)
            .map(|(_, item)| OutputItem {
                alarm_name: item.alarm.name.clone(),
                alarm_type: item.alarm_kind,
                timestamp: Time(item.at),
                history_item_type: item.kind,
                history_summary: item.summary.clone(),
                history_data: cut(&item.data, behaviour.history_data_characters),
            })
            .collect();
        tree(&Output {
            alarm_history_items,
            next_token,
        })
    }
}

impl ItemKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::ConfigurationUpdate => "ConfigurationUpdate",
            Self::StateUpdate => "StateUpdate",
            Self::Action => "Action",
        }
    }
}

fn late(item: &Item) -> SignedDuration {
    SignedDuration::from_millis(
        i64::try_from(item.late_millis)
            .unwrap_or(i64::MAX)
            .min(KEPT_MILLIS),
    )
}

fn token(place: &Place) -> String {
    page::token(&format!("{}/{}", place.0, place.1))
}

fn place(token: &str) -> Result<Place, Fault> {
    page::text(token)
        .as_deref()
        .and_then(|text| text.split_once('/'))
        .and_then(|(millis, number)| Some((millis.parse().ok()?, number.parse().ok()?)))
        .ok_or_else(Fault::next_token)
}
