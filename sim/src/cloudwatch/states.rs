//! Changes of an alarm's state: by hand or by evaluation, they all come through here.

use std::sync::atomic::Ordering;

use ciborium::Value;
use jiff::SignedDuration;
use serde::Deserialize;

use super::{
    CloudWatch,
    alarms::{no_alarm, state_value},
    book::{Book, Change},
    history::Item,
    model::{Alarm, State, StateValue},
};
use crate::{
    faults::{self, Inside},
    wire::{Fault, empty, typed},
};

/// How much older the time in an alarm's state is than its history item's: AWS's two clocks never agree.
const STATE_BEFORE_HISTORY: SignedDuration = SignedDuration::from_millis(15);

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct SetState {
    alarm_name: Option<String>,
    state_value: Option<String>,
    state_reason: Option<String>,
    state_reason_data: Option<String>,
}

impl CloudWatch {
    /// SetAlarmState: until the next evaluation.
    pub(super) fn set_alarm_state(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: SetState = typed(input)?;
        let name = input.alarm_name.ok_or_else(|| Fault::missing("AlarmName"))?;
        let value = state_value(&input.state_value.ok_or_else(|| Fault::missing("StateValue"))?)?;
        let reason = input.state_reason.ok_or_else(|| Fault::missing("StateReason"))?;
        if reason.chars().count() > 1023 {
            return Err(Fault::validation(
                "StateReason must have at most 1023 characters.",
            ));
        }
        if let Some(data) = &input.state_reason_data
            && (data.chars().count() > 4000 || serde_json::from_str::<serde_json::Value>(data).is_err())
        {
            return Err(Fault::format(
                "StateReasonData must be JSON of at most 4000 characters.",
            ));
        }
        let mut book = self.book();
        let alarm = book
            .named(region, &name)
            .cloned()
            .ok_or_else(|| no_alarm(&name))?;
        self.transition(&mut book, alarm, value, reason, input.state_reason_data)?;
        Ok(empty())
    }

    /// Brings an alarm into a state, and the composite alarms that name it into theirs.
    pub(super) fn transition(
        &self,
        book: &mut Book,
        alarm: Alarm,
        value: StateValue,
        reason: String,
        data: Option<String>,
    ) -> Result<(), Fault> {
        let id = alarm.id.clone();
        let changed = alarm.state.value != value;
        self.commit_state(book, alarm, value, reason, data)?;
        if changed {
            self.evaluate_parents(book, &id)
        } else {
            Ok(())
        }
    }

    /// Brings one alarm into a state: history has an item if the value is another.
    pub(super) fn commit_state(
        &self,
        book: &mut Book,
        mut alarm: Alarm,
        value: StateValue,
        reason: String,
        data: Option<String>,
    ) -> Result<(), Fault> {
        let now = self.world.clock.now();
        let updated = now - STATE_BEFORE_HISTORY;
        let old = alarm.state.clone();
        let changed = old.value != value;
        let transitioned = if changed { updated } else { old.transitioned };
        alarm.state = State {
            value,
            reason,
            data,
            updated,
            transitioned,
        };
        if !changed {
            return book.commit(vec![Change::Alarm(Box::new(alarm))]);
        }
        let item = Item::state_update(&alarm, &old, now).map_err(|e| Fault::internal(e.to_string()))?;
        let (times, late_millis) = self.listed(&alarm.id.name);
        let item = Item { late_millis, ..item };
        let mut changes = vec![Change::Happened(item); times];
        changes.push(Change::Alarm(Box::new(alarm.clone())));
        book.commit(changes)?;
        let actions = self.announce_state(&alarm, &old, now);
        book.commit(actions.into_iter().map(Change::Happened).collect())
    }

    /// How often history lists the next change of state, and how much later (ms): once and at once, unless a rule or a switch
    /// says otherwise.
    fn listed(&self, alarm: &str) -> (usize, u64) {
        let behaviour = self.world.behaviour();
        let number = self.transitions.fetch_add(1, Ordering::Relaxed) + 1;
        let strikes = |one_in: u64| number.is_multiple_of(one_in);
        match self.world.faults.strike_inside(Inside::AlarmHistory, alarm) {
            Some(faults::Fault::Missing {}) => (0, 0),
            Some(faults::Fault::Twice {}) => (2, 0),
            Some(faults::Fault::Delay { millis }) => (1, millis),
            _ if strikes(behaviour.history_missing_one_in) => (0, 0),
            _ if strikes(behaviour.history_twice_one_in) => (2, 0),
            _ => (1, 0),
        }
    }
}
