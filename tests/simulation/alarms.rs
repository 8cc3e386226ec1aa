//! CloudWatch in memory: alarms over what the cameras send, their states and history, told as AWS tells them: late, at times
//! twice, with reason data that may be missing or cut.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kvs_operator::{
    aws::{
        Alarms, Result,
        alarms::{Alarm, HistoryEntry, NewAlarm},
    },
    clock::AwsClock,
};
use serde_json::json;

use super::{
    video::ACCOUNT,
    world::{World, lock},
};

/// All alarms.
#[derive(Debug, Default)]
pub struct CloudWatch {
    alarms: BTreeMap<String, Kept>,
    /// By alarm; kept when the alarm goes.
    history: BTreeMap<String, Vec<Entry>>,
    /// Fragments by stream name and minute.
    minutes: BTreeMap<(String, i64), u32>,
    /// Every change to or from ALARM, for the judge.
    pub changes: Vec<StateChange>,
}

/// An alarm went to ALARM, or left it.
#[derive(Clone, Debug)]
pub struct StateChange {
    pub name: String,
    pub stream: String,
    pub at: Timestamp,
    pub alarm: bool,
}

#[derive(Debug)]
struct Kept {
    alarm: NewAlarm,
    state: State,
    since: Timestamp,
    data: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Alarm,
    Insufficient,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::Insufficient => "INSUFFICIENT_DATA",
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    entry: HistoryEntry,
    told_from: Timestamp,
}

fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

fn arn(name: &str) -> String {
    format!(
        "arn:aws:cloudwatch:{}:{ACCOUNT}:alarm:{name}",
        super::site::REGION
    )
}

impl CloudWatch {
    /// A fragment of a stream is complete.
    pub fn fragment(&mut self, stream: &str, now: Timestamp) {
        *self.minutes.entry((stream.into(), minute(now))).or_default() += 1;
    }

    /// The names of the alarms that there are.
    pub fn names(&self) -> Vec<String> {
        self.alarms.keys().cloned().collect()
    }

    /// Somebody deletes an alarm.
    pub fn vanish(&mut self, name: &str, now: Timestamp) {
        let Some(kept) = self.alarms.remove(name) else {
            return;
        };
        if kept.state == State::Alarm {
            self.changes.push(StateChange {
                name: name.into(),
                stream: kept.alarm.definition.dimensions["StreamName"].clone(),
                at: now,
                alarm: false,
            });
        }
    }

    /// Somebody sets an alarm's state by hand: there is no reason data.
    pub fn set_state(&mut self, world: &World, name: &str, in_alarm: bool) {
        let state = if in_alarm { State::Alarm } else { State::Ok };
        self.change(world, name, state, None);
    }

    /// Evaluates all alarms as CloudWatch does once a minute, over the minute that lies `behind` minutes back.
    pub fn evaluate(&mut self, world: &World, behind: i64) {
        let now = world.now();
        let over = minute(now) - behind;
        for name in self.names() {
            let definition = &self.alarms[&name].alarm.definition;
            let stream = definition.dimensions["StreamName"].clone();
            let sum = self.minutes.get(&(stream, over)).copied().unwrap_or(0);
            let state = if f64::from(sum) >= definition.threshold {
                State::Alarm
            } else {
                State::Ok
            };
            let data = json!({ "version": "1.0", "queryDate": date(now),
                "startDate": date(Timestamp::from_second(over * 60).unwrap()), "statistic": "Sum", "period": 60,
                "recentDatapoints": [f64::from(sum)], "threshold": definition.threshold });
            self.change(world, &name, state, Some(data));
        }
    }

    fn change(&mut self, world: &World, name: &str, state: State, data: Option<serde_json::Value>) {
        let now = world.now();
        let Some(kept) = self.alarms.get_mut(name).filter(|kept| kept.state != state) else {
            return;
        };
        let told = json!({ "version": "1.0",
            "oldState": { "stateValue": kept.state.name(), "stateReason": "as it was" },
            "newState": { "stateValue": state.name(), "stateReason": "Threshold Crossed", "stateReasonData": data } });
        let mut text = told.to_string();
        if world.bad_luck(30) {
            world.count("history data cut");
            text.truncate(usize::try_from(world.within(0..i64::try_from(text.len()).unwrap())).unwrap());
        }
        let entry = HistoryEntry {
            alarm: name.into(),
            at: now + SignedDuration::from_millis(world.within(-40..40)),
            summary: format!("Alarm updated from {} to {}", kept.state.name(), state.name()),
            data: text,
        };
        if kept.state == State::Alarm || state == State::Alarm {
            self.changes.push(StateChange {
                name: name.into(),
                stream: kept.alarm.definition.dimensions["StreamName"].clone(),
                at: now,
                alarm: state == State::Alarm,
            });
        }
        (kept.state, kept.since) = (state, now);
        kept.data = data.map(|data| data.to_string());
        world.tell(format!("alarm {name} is {}", state.name()));
        let late = if world.bad_luck(10) { 200_000 } else { 4_000 };
        let entries = self.history.entry(name.into()).or_default();
        let times = if world.bad_luck(10) { 2 } else { 1 };
        for _ in 0..times {
            entries.push(Entry {
                entry: entry.clone(),
                told_from: now + SignedDuration::from_millis(world.within(0..late)),
            });
        }
    }
}

/// Evaluates once a minute for ever; metrics are a minute or more late.
pub async fn evaluate(world: Arc<World>, cloudwatch: Arc<Mutex<CloudWatch>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let behind = if world.bad_luck(10) { 3 } else { 1 };
        lock(&cloudwatch).evaluate(&world, behind);
    }
}

fn told(entries: &[Entry], since: Timestamp, now: Timestamp) -> Vec<HistoryEntry> {
    let told = entries
        .iter()
        .filter(|e| e.entry.at >= since && e.told_from <= now);
    told.map(|e| e.entry.clone()).collect()
}

/// CloudWatch as one process sees it.
#[derive(Clone, Debug)]
pub struct Watch {
    pub world: Arc<World>,
    pub cloudwatch: Arc<Mutex<CloudWatch>>,
    pub clock: AwsClock,
}

impl Watch {
    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut CloudWatch, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let effect = || effect(&mut lock(&self.cloudwatch), self.world.now());
        self.world.call(operation, &self.clock, effect).await
    }

    async fn describe_where(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Alarm>> {
        self.call("cloudwatch:DescribeAlarms", |all, _| {
            let found = all.alarms.iter().filter(|(name, _)| wanted(name));
            Ok(found
                .map(|(name, kept)| Alarm {
                    name: name.clone(),
                    arn: arn(name),
                    description: kept.alarm.description.clone(),
                    definition: Some(kept.alarm.definition.clone()),
                    actions: kept.alarm.actions.clone(),
                    in_alarm: kept.state == State::Alarm,
                    since: kept.since,
                    reason: None,
                    reason_data: kept.data.clone(),
                })
                .collect())
        })
        .await
    }
}

#[async_trait::async_trait]
impl Alarms for Watch {
    async fn describe(&self, prefix: &str) -> Result<Vec<Alarm>> {
        self.describe_where(|name| name.starts_with(prefix)).await
    }

    async fn describe_named(&self, names: &[String]) -> Result<Vec<Alarm>> {
        self.describe_where(|name| names.iter().any(|wanted| wanted == name))
            .await
    }

    async fn history(&self, alarm: &str, since: Timestamp) -> Result<Vec<HistoryEntry>> {
        self.call("cloudwatch:DescribeAlarmHistory", |all, now| {
            let entries = all.history.get(alarm).map(Vec::as_slice).unwrap_or_default();
            Ok(told(entries, since, now))
        })
        .await
    }

    async fn history_of_all(&self, since: Timestamp, _: usize) -> Result<Option<Vec<HistoryEntry>>> {
        self.call("cloudwatch:DescribeAlarmHistory", |all, now| {
            let mut entries = all
                .history
                .values()
                .flat_map(|entries| told(entries, since, now))
                .collect::<Vec<_>>();
            entries.sort_by_key(|entry| entry.at);
            Ok((!self.world.bad_luck(20)).then_some(entries))
        })
        .await
    }

    async fn tags(&self, of: &str) -> Result<Option<BTreeMap<String, String>>> {
        self.call("cloudwatch:ListTagsForResource", |all, _| {
            let found = all.alarms.iter().find(|(name, _)| arn(name) == of);
            Ok(found.map(|(_, kept)| kept.alarm.tags.clone()))
        })
        .await
    }

    async fn put(&self, alarm: &NewAlarm) -> Result<()> {
        self.call("cloudwatch:PutMetricAlarm", |all, now| {
            self.world.wrote("PutMetricAlarm", &alarm.name);
            match all.alarms.get_mut(&alarm.name) {
                Some(kept) => {
                    let tags = std::mem::take(&mut kept.alarm.tags);
                    kept.alarm = NewAlarm {
                        tags,
                        ..alarm.clone()
                    };
                }
                None => {
                    let kept = Kept {
                        alarm: alarm.clone(),
                        state: State::Insufficient,
                        since: now,
                        data: None,
                    };
                    all.alarms.insert(alarm.name.clone(), kept);
                }
            }
            Ok(())
        })
        .await
    }

    async fn tag(&self, of: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        self.call("cloudwatch:TagResource", |all, _| {
            self.world.wrote("TagResource", of);
            for (_, kept) in all.alarms.iter_mut().filter(|(name, _)| arn(name) == of) {
                kept.alarm.tags.extend(tags.clone());
            }
            Ok(())
        })
        .await
    }

    async fn delete(&self, alarm: &str) -> Result<()> {
        self.call("cloudwatch:DeleteAlarms", |all, now| {
            self.world.wrote("DeleteAlarms", alarm);
            all.vanish(alarm, now);
            Ok(())
        })
        .await
    }
}
