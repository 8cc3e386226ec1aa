//! Composite alarms: PutCompositeAlarm, and what a child's change of state means for its parents.
//!
//! As AWS says, a composite alarm is evaluated when it is made or changed, and when one of its children changes its state,
//! at no other time: so a state that SetAlarmState gave it may stay.

use std::collections::BTreeSet;

use ciborium::Value;
use serde::Deserialize;
use serde_json::json;

use super::{
    CloudWatch,
    alarms::no_alarm,
    book::{Book, Change},
    model::{Actions, Alarm, AlarmId, Composite, StateValue, Watches},
    reason::date,
    rule::Rule,
    tags, validate,
};
use crate::wire::{Fault, Tag, empty, typed};

/// Members that AWS has and the simulator does not.
const NOT_SIMULATED: [&str; 4] = [
    "ActionsSuppressor",
    "ActionsSuppressorWaitPeriod",
    "ActionsSuppressorExtensionPeriod",
    "ActionConfiguration",
];

/// The most children of one alarm.
const MOST_CHILDREN: usize = 100;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    alarm_name: Option<String>,
    alarm_rule: Option<String>,
    tags: Vec<Tag>,
}

impl CloudWatch {
    /// PutCompositeAlarm.
    pub(super) fn put_composite_alarm(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        validate::simulated("PutCompositeAlarm", input, &NOT_SIMULATED)?;
        let actions: Actions = typed(input)?;
        let input: Input = typed(input)?;
        let name = input.alarm_name.ok_or_else(|| Fault::missing("AlarmName"))?;
        let alarm_rule = input.alarm_rule.ok_or_else(|| Fault::missing("AlarmRule"))?;
        validate::name(&name)?;
        validate::actions(&actions)?;
        if alarm_rule.chars().count() > 10_240 {
            return Err(Fault::validation("AlarmRule must have at most 10240 characters."));
        }
        let rule = Rule::parse(&alarm_rule).map_err(|e| Fault::validation(format!("AlarmRule: {e}.")))?;
        let id = AlarmId {
            region: region.to_owned(),
            name,
        };
        let mut book = self.book();
        let children = rule.children();
        if children.len() > MOST_CHILDREN {
            return Err(Fault::validation(format!(
                "AlarmRule names more than {MOST_CHILDREN} alarms."
            )));
        }
        for child in children {
            book.alarm(&id.child(child)).ok_or_else(|| no_alarm(child))?;
        }
        let watches = Watches::Composite(Composite { alarm_rule });
        self.configure(&mut book, id, actions, watches, tags::checked(input.tags)?)?;
        Ok(empty())
    }

    /// Evaluates the composite alarms that were made or changed since their last evaluation.
    pub(super) fn evaluate_new_composites(&self, book: &mut Book) -> Result<(), Fault> {
        let new: Vec<Alarm> = book
            .all()
            .filter(|alarm| alarm.rule().is_some() && !alarm.evaluated)
            .cloned()
            .collect();
        for alarm in new {
            let Some(rule) = alarm.rule() else { continue };
            let value = judge(book, &alarm.id, &rule);
            let reason = format!(
                "{} was created and its alarm rule evaluates to {}",
                alarm.id.arn(),
                value.as_str()
            );
            let children: Vec<_> = rule
                .children()
                .iter()
                .filter_map(|child| triggering(book.alarm(&alarm.id.child(child))?))
                .collect();
            let data = json!({ "triggeringAlarms": children }).to_string();
            let alarm = Alarm {
                evaluated: true,
                ..alarm
            };
            if value == alarm.state.value {
                book.commit(vec![Change::Alarm(Box::new(alarm))])?;
            } else {
                self.transition(book, alarm, value, reason, Some(data))?;
            }
        }
        Ok(())
    }

    /// Evaluates the composite alarms that name a child, and those that name them, and so on.
    pub(super) fn evaluate_parents(&self, book: &mut Book, child: &AlarmId) -> Result<(), Fault> {
        // AWS lets rules go round in a circle; each alarm is judged once a change.
        let mut seen = BTreeSet::new();
        let mut changed = vec![child.clone()];
        while let Some(child) = changed.pop() {
            let names = |alarm: &&Alarm| {
                alarm
                    .rule()
                    .is_some_and(|rule| rule.children().iter().any(|name| alarm.id.child(name) == child))
            };
            let parents: Vec<Alarm> = book.alarms(&child.region).filter(names).cloned().collect();
            for parent in parents {
                let Some(rule) = parent.rule().filter(|_| seen.insert(parent.id.clone())) else {
                    continue;
                };
                let value = judge(book, &parent.id, &rule);
                let Some(cause) = book.alarm(&child).filter(|_| value != parent.state.value) else {
                    continue;
                };
                let reason = format!(
                    "{} transitioned to {} at {}",
                    child.arn(),
                    cause.state.value.as_str(),
                    cause.state.transitioned.strftime("%A %d %B, %Y %H:%M:%S UTC")
                );
                let data = json!({ "triggeringAlarms": [triggering(cause)] }).to_string();
                changed.push(parent.id.clone());
                let parent = Alarm {
                    evaluated: true,
                    ..parent
                };
                self.commit_state(book, parent, value, reason, Some(data))?;
            }
        }
        Ok(())
    }
}

fn judge(book: &Book, id: &AlarmId, rule: &Rule) -> StateValue {
    let state = |child: &str| book.alarm(&id.child(child)).map(|alarm| alarm.state.value);
    if rule.holds(&state) {
        StateValue::Alarm
    } else {
        StateValue::Ok
    }
}

fn triggering(alarm: &Alarm) -> Option<serde_json::Value> {
    let state = json!({ "value": alarm.state.value.as_str(), "timestamp": date(alarm.state.transitioned) });
    Some(json!({ "arn": alarm.id.arn(), "state": state }))
}
