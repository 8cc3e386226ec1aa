//! Alarms as clients make, change and delete them.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    book::{Book, Change},
    history::{Configured, Item},
    model::{Actions, Alarm, AlarmId, AlarmKind, MetricAlarm, State, StateValue, Watches},
    tags, validate,
};
use crate::wire::{Fault, Tag, Time, empty, join, tree, typed};

/// Members of PutMetricAlarm that AWS has and the simulator does not.
const NOT_SIMULATED: [&str; 7] = [
    "Unit",
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
];

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    alarm_name: Option<String>,
    tags: Vec<Tag>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Names {
    alarm_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Head<'a> {
    alarm_name: &'a str,
    alarm_arn: String,
    alarm_configuration_updated_timestamp: Time,
    state_value: StateValue,
    state_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_data: Option<&'a str>,
    state_updated_timestamp: Time,
    state_transitioned_timestamp: Time,
}

impl Alarm {
    /// The alarm as DescribeAlarms shows it.
    pub fn describe(&self) -> Result<Value, Fault> {
        let head = tree(&Head {
            alarm_name: &self.id.name,
            alarm_arn: self.id.arn(),
            alarm_configuration_updated_timestamp: Time(self.configured),
            state_value: self.state.value,
            state_reason: &self.state.reason,
            state_reason_data: self.state.data.as_deref(),
            state_updated_timestamp: Time(self.state.updated),
            state_transitioned_timestamp: Time(self.state.transitioned),
        })?;
        let watches = match &self.watches {
            Watches::Metric(metric) => tree(metric.as_ref())?,
            Watches::Composite(composite) => tree(composite)?,
        };
        Ok(join(join(head, tree(&self.actions)?), watches))
    }
}

impl CloudWatch {
    /// PutMetricAlarm.
    pub(super) fn put_metric_alarm(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        validate::simulated("PutMetricAlarm", input, &NOT_SIMULATED)?;
        let named: Named = typed(input)?;
        let actions: Actions = typed(input)?;
        let mut metric: MetricAlarm = typed(input)?;
        let name = named.alarm_name.ok_or_else(|| Fault::missing("AlarmName"))?;
        validate::name(&name)?;
        validate::actions(&actions)?;
        validate::watches(&metric)?;
        for query in &mut metric.metrics {
            query.return_data.get_or_insert(true);
        }
        let id = AlarmId {
            region: region.to_owned(),
            name,
        };
        let tags = tags::checked(named.tags)?;
        self.configure(
            &mut self.book(),
            id,
            actions,
            Watches::Metric(Box::new(metric)),
            tags,
        )?;
        Ok(empty())
    }

    /// Makes an alarm, or gives one another definition: then its state stays, and tags are ignored, as on AWS.
    pub(super) fn configure(
        &self,
        book: &mut Book,
        id: AlarmId,
        mut actions: Actions,
        watches: Watches,
        tags: BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        actions.actions_enabled.get_or_insert(true);
        let now = self.world.clock.now();
        let old = book.alarm(&id).cloned();
        let what = if old.is_some() {
            Configured::Update
        } else {
            Configured::Create
        };
        let mut alarm = old.unwrap_or_else(|| Alarm {
            id,
            actions: Actions::default(),
            watches: watches.clone(),
            configured: now,
            evaluated: false,
            state: State {
                value: StateValue::InsufficientData,
                reason: "Unchecked: Initial alarm creation".into(),
                data: None,
                updated: now,
                transitioned: now,
            },
            tags,
        });
        if std::mem::discriminant(&alarm.watches) != std::mem::discriminant(&watches) {
            return Err(Fault::validation(format!(
                "{} is the name of an alarm of another type.",
                alarm.id.name
            )));
        }
        alarm = Alarm {
            actions,
            watches,
            configured: now,
            evaluated: false,
            ..alarm
        };
        let item = Item::configuration_update(&alarm, what, now)?;
        book.commit(vec![
            Change::Alarm(Box::new(alarm.clone())),
            Change::Happened(item),
        ])?;
        self.announce_configuration(&alarm, what, now);
        Ok(())
    }

    /// DeleteAlarms.
    pub(super) fn delete_alarms(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let names: Names = typed(input)?;
        at_most_100(&names.alarm_names)?;
        if names.alarm_names.is_empty() {
            return Err(Fault::missing("AlarmNames"));
        }
        let now = self.world.clock.now();
        let mut book = self.book();
        let alarms = found(&book, region, &names.alarm_names)?;
        deletable(&book, region, &alarms)?;
        let mut changes = vec![];
        for alarm in &alarms {
            changes.push(Change::Gone(alarm.id.clone()));
            changes.push(Change::Happened(Item::configuration_update(
                alarm,
                Configured::Delete,
                now,
            )?));
        }
        book.commit(changes)?;
        for alarm in &alarms {
            self.announce_configuration(alarm, Configured::Delete, now);
        }
        Ok(empty())
    }

    /// EnableAlarmActions and DisableAlarmActions.
    pub(super) fn enable_actions(&self, region: &str, input: &Value, on: bool) -> Result<Value, Fault> {
        let names: Names = typed(input)?;
        at_most_100(&names.alarm_names)?;
        let now = self.world.clock.now();
        let mut book = self.book();
        let mut changes = vec![];
        for mut alarm in found(&book, region, &names.alarm_names)? {
            if alarm.actions.actions_enabled != Some(on) {
                alarm.actions.actions_enabled = Some(on);
                alarm.configured = now;
                changes.push(Change::Happened(Item::configuration_update(
                    &alarm,
                    Configured::Update,
                    now,
                )?));
                changes.push(Change::Alarm(Box::new(alarm)));
            }
        }
        book.commit(changes)?;
        Ok(empty())
    }
}

pub(super) fn at_most_100(names: &[String]) -> Result<(), Fault> {
    if names.len() > 100 {
        return Err(Fault::validation("At most 100 alarm names in one call."));
    }
    Ok(())
}

fn found(book: &Book, region: &str, names: &[String]) -> Result<Vec<Alarm>, Fault> {
    names
        .iter()
        .map(|name| book.named(region, name).cloned().ok_or_else(|| no_alarm(name)))
        .collect()
}

pub(super) fn no_alarm(name: &str) -> Fault {
    Fault::no_alarm(format!("Alarm {name} does not exist."))
}

pub(super) fn state_value(text: &str) -> Result<StateValue, Fault> {
    [StateValue::Ok, StateValue::Alarm, StateValue::InsufficientData]
        .into_iter()
        .find(|value| value.as_str() == text)
        .ok_or_else(|| Fault::validation(format!("StateValue {text} is not known.")))
}

/// What AWS does not let go: more than one composite alarm at a time, and what a composite alarm names.
fn deletable(book: &Book, region: &str, alarms: &[Alarm]) -> Result<(), Fault> {
    if alarms
        .iter()
        .filter(|alarm| alarm.kind() == AlarmKind::CompositeAlarm)
        .count()
        > 1
    {
        return Err(Fault::validation(
            "At most one composite alarm can be deleted in one call.",
        ));
    }
    let stays = |parent: &&Alarm| !alarms.iter().any(|alarm| alarm.id == parent.id);
    for parent in book.alarms(region).filter(stays) {
        let Some(rule) = parent.rule() else { continue };
        let children: Vec<AlarmId> = rule.children().iter().map(|name| parent.id.child(name)).collect();
        if let Some(alarm) = alarms.iter().find(|alarm| children.contains(&alarm.id)) {
            return Err(Fault::validation(format!(
                "Cannot delete {} as there are composite alarm(s) depending on it.",
                alarm.id.name
            )));
        }
    }
    Ok(())
}
