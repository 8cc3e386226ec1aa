//! What a pass is to do: Recordings to make and to change, alarms to put, tag and delete.
//!
//! Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{
    action::Action,
    checkpoint,
    desired::{Desired, Matched, problem},
    mark::Mark,
    recording,
    trigger::Whose,
    windows::{self, Change, Ended, Input, Known, Since, Stop, windows},
};
use crate::{
    alarms::{Level, Transition, episodes, history},
    api::{ArchivePolicy, Problem, Recording},
    aws::{
        Place,
        alarms::{Actions, Alarm, AlarmDefinition, NewAlarm},
    },
    owner::{self, Claim},
    runtime::Error,
};

/// Where an alarm is, and its name.
pub type AlarmKey = (Place, String);

/// What is there.
#[derive(Clone, Debug)]
pub struct Observed {
    /// AWS's clock.
    pub now: Timestamp,
    /// As of when the alarms are known.
    pub alarms_read: Timestamp,
    /// As of when the changes of state are known.
    pub transitions_read: Timestamp,
    /// All alarms whose names begin as this policy's do.
    pub alarms: BTreeMap<AlarmKey, Alarm>,
    /// The tags of those alarms that it was necessary to ask for.
    pub tags: BTreeMap<AlarmKey, BTreeMap<String, String>>,
    /// Those of which they were necessary and are not known freshly: they must not be changed yet.
    pub unsure: BTreeSet<AlarmKey>,
    /// The changes of state since the checkpoint, where there may be some.
    pub transitions: BTreeMap<AlarmKey, Vec<Transition>>,
    /// Places of other accounts that could not be read, and why.
    pub unread: BTreeMap<Place, Unread>,
    /// The Recordings that this policy made.
    pub recordings: Vec<Arc<Recording>>,
    /// The VideoStreams of the namespace, by name.
    pub video_streams: BTreeSet<String>,
    /// Whether the namespace is being deleted.
    pub namespace_terminating: bool,
}

/// Why a place could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// One word of a closed set.
    pub reason: &'static str,
    /// What failed and what to do.
    pub message: String,
}

impl Unread {
    /// What an error says.
    pub fn of(error: Error) -> Self {
        Self {
            reason: error.reason(),
            message: error.explain(),
        }
    }
}

/// What the status remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Before this, every transition is in a Recording. `None`: nothing is yet.
    pub checkpoint: Option<Timestamp>,
    /// Since when alarms start recordings. `None`: they do not, the policy is suspended.
    pub watching_since: Option<Timestamp>,
}

/// What the status remembers, and where it remembers nothing, what follows from the objects.
pub fn remember(policy: &ArchivePolicy, recordings: &[Arc<Recording>], now: Timestamp) -> Memory {
    let status = policy.status.clone().unwrap_or_default();
    let begun = policy
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |t| t.0)
        .min(now);
    let checkpoint = status.history_through.map(|t| t.0);
    // A status that was lost: what is in the newest Recording was read.
    let lost = checkpoint
        .is_none()
        .then(|| recordings.iter().map(|r| checkpoint::entry(r)).max())
        .flatten();
    let since = match (status.watching_since, checkpoint) {
        (Some(since), _) => since.0,
        (None, Some(_)) => now,
        (None, None) => lost.map_or(begun, |lost| lost.min(begun)),
    };
    Memory {
        checkpoint: checkpoint.or(lost),
        watching_since: (!policy.spec.suspend).then_some(since),
    }
}

/// Actions in order: where one fails, those after it are not done.
pub type Group = Vec<Action>;

/// What a pass is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// By stream: first Recordings to make, then those to change, then the alarm.
    pub groups: Vec<Group>,
    /// The first moment that has to wait: the checkpoint stays before it.
    pub waiting: Option<Timestamp>,
    /// What stands in the way of streams.
    pub problems: Vec<Problem>,
    /// How many of the policy's alarms are in ALARM.
    pub in_alarm: usize,
    /// A deleted policy: nothing needs it any more.
    pub release: bool,
}

/// The alarms of which the tags must be known before the plan is made: those that it would change, but for their owner.
pub fn to_examine(policy: &ArchivePolicy, desired: &Desired, observed: &Observed) -> Vec<AlarmKey> {
    if policy.metadata.deletion_timestamp.is_some() {
        let last =
            observed.namespace_terminating || observed.recordings.iter().all(|r| recording::is_finished(r));
        return if last {
            let ours = observed
                .alarms
                .keys()
                .filter(|(_, name)| name.starts_with(&desired.prefix));
            ours.cloned().collect()
        } else {
            vec![]
        };
    }
    let wanted: BTreeMap<AlarmKey, &Matched> = desired.streams.iter().map(|m| (key(m), m)).collect();
    let changes = |(key, alarm): (&AlarmKey, &Alarm)| match wanted.get(key) {
        Some(matched) => match &matched.whose {
            Whose::Theirs(required) => !required.is_empty(),
            Whose::Ours(definition) => {
                let mark = Mark::read(&alarm.description, &desired.owner);
                let mark = mark.filter(|mark| mark.created == matched.arn.creation_millis());
                mark.is_none_or(|mark| !is_as_wanted(desired, matched, definition, mark, alarm))
            }
        },
        None => !desired.keep.contains(key),
    };
    observed
        .alarms
        .iter()
        .filter(|entry| changes(*entry))
        .map(|(key, _)| key.clone())
        .collect()
}

/// The alarm of a stream.
pub fn key(matched: &Matched) -> AlarmKey {
    (matched.place.clone(), matched.alarm.clone())
}

/// From when on the history of most alarms is needed.
pub fn history_from(memory: &Memory, now: Timestamp) -> Timestamp {
    checkpoint::read_from(memory.checkpoint.or(memory.watching_since).unwrap_or(now))
}

/// From when on the history of a stream's alarm is needed. `None`: not at all, it cannot have any.
pub fn history_of(
    desired: &Desired,
    matched: &Matched,
    alarm: Option<&Alarm>,
    memory: &Memory,
) -> Option<Timestamp> {
    let since = memory.checkpoint.or(memory.watching_since)?;
    let from = checkpoint::read_from(since);
    match alarm {
        // Deleted by somebody, or not made yet.
        None => memory.checkpoint.map(|_| from),
        // Another stream has the name now: everything since it was made is new.
        Some(alarm) if is_new_stream(desired, matched, alarm) => Some(from.min(created(matched))),
        Some(_) => Some(from),
    }
}

fn is_new_stream(desired: &Desired, matched: &Matched, alarm: &Alarm) -> bool {
    let mark = Mark::read(&alarm.description, &desired.owner);
    mark.is_some_and(|mark| mark.created != matched.arn.creation_millis())
}

fn created(matched: &Matched) -> Timestamp {
    let millis = i64::try_from(matched.arn.creation_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

fn is_as_wanted(
    desired: &Desired,
    matched: &Matched,
    definition: &AlarmDefinition,
    mark: Mark,
    alarm: &Alarm,
) -> bool {
    alarm.definition.as_ref() == Some(definition) && alarm.description == describe(desired, matched, mark)
}

fn describe(desired: &Desired, matched: &Matched, mark: Mark) -> String {
    mark.describe(matched.arn.name(), &desired.owner)
}

/// Makes the plan.
pub fn plan(policy: &ArchivePolicy, desired: &Desired, observed: &Observed, memory: &Memory) -> Plan {
    let deleted = policy
        .metadata
        .deletion_timestamp
        .as_ref()
        .map(|at| at.0.min(observed.now));
    let mut of_stream: BTreeMap<&str, Vec<(Known, &Recording)>> = BTreeMap::new();
    for recording in &observed.recordings {
        if let Some(known) = recording::known(recording, &desired.owner.name) {
            let of = of_stream.entry(&recording.spec.stream_arn).or_default();
            of.push((known, recording));
        }
    }
    let mut planner = Planner {
        of_stream,
        policy,
        desired,
        observed,
        memory,
        deleted,
        in_alarm: BTreeSet::new(),
        plan: Plan::default(),
    };
    planner.plan.problems = desired.problems.clone();
    if !(deleted.is_some() && observed.namespace_terminating) {
        for matched in &desired.streams {
            planner.stream(matched);
        }
        planner.left_over();
    }
    planner.alarms_to_go();
    planner.plan.in_alarm = planner.in_alarm.len();
    planner.plan.groups.retain(|group| !group.is_empty());
    let finished = observed.recordings.iter().all(|r| recording::is_finished(r));
    planner.plan.release = deleted.is_some()
        && (finished || observed.namespace_terminating)
        && planner.plan.groups.is_empty()
        && observed.unsure.is_empty()
        && planner.plan.waiting.is_none();
    planner.plan
}

struct Planner<'a> {
    /// The Recordings of each stream that this policy made.
    of_stream: BTreeMap<&'a str, Vec<(Known, &'a Recording)>>,
    policy: &'a ArchivePolicy,
    desired: &'a Desired,
    observed: &'a Observed,
    memory: &'a Memory,
    /// When the policy was deleted.
    deleted: Option<Timestamp>,
    /// One alarm may be of many streams.
    in_alarm: BTreeSet<AlarmKey>,
    plan: Plan,
}

impl Planner<'_> {
    /// A stream that the policy is for.
    fn stream(&mut self, matched: &Matched) {
        let (observed, key) = (self.observed, key(matched));
        if let Some(unread) = observed.unread.get(&matched.place) {
            let message = format!("its alarm cannot be read: {}", unread.message);
            let of_stream = problem(&matched.video_stream, unread.reason, message);
            self.plan.problems.push(of_stream);
            return self.wait_for_history();
        }
        let alarm = observed.alarms.get(&key);
        // Nothing says whose it is before its tags are known.
        let unmarked = |alarm: &Alarm| Mark::read(&alarm.description, &self.desired.owner).is_none();
        if alarm.is_some_and(unmarked) && observed.unsure.contains(&key) && !observed.tags.contains_key(&key)
        {
            return self.wait_for_history();
        }
        if alarm.is_none() && matches!(matched.whose, Whose::Theirs(_)) {
            let message = format!(
                "there is no metric alarm {} in the stream's account and region, so nothing starts recordings of the stream",
                key.1
            );
            let of_stream = problem(&matched.video_stream, "AlarmNotFound", message);
            self.plan.problems.push(of_stream);
        }
        if let Some((reason, message)) = self.refused(matched, &key) {
            let of_stream = problem(&matched.video_stream, reason, message);
            self.plan.problems.push(of_stream);
            let stop = Stop {
                at: observed.now,
                why: Ended::TriggerChanged,
                catch_up: false,
            };
            let group = self.stop(matched.arn.as_str(), |_| true, stop);
            return self.plan.groups.push(group);
        }
        let mark = self.mark(matched, alarm);
        let new_stream = alarm.is_some_and(|alarm| is_new_stream(self.desired, matched, alarm));
        let transitions = observed.transitions.get(&key).map_or(&[][..], Vec::as_slice);
        let level = alarm.map(|alarm| level(alarm, observed.alarms_read).up_to_date(transitions));
        if level.as_ref().is_some_and(|level| level.alarm) {
            self.in_alarm.insert(key.clone());
        }
        let episodes = episodes(
            transitions,
            level.as_ref(),
            observed.transitions_read,
            observed.now,
        );
        let of_alarm = |r: &Recording| r.spec.cause.as_ref().and_then(|c| c.alarm.as_ref()) == Some(&key.1);
        let known = self.known(matched.arn.as_str(), of_alarm);
        let windows = windows(&Input {
            rules: &self.policy.spec.recording,
            since: self.since(matched, mark),
            stop: self.why_stop(matched),
            checkpoint: self.memory.checkpoint.filter(|_| !new_stream),
            episodes: &episodes,
            level: level.as_ref(),
            recordings: &known,
            now: observed.now,
        });
        self.plan.waiting = self.plan.waiting.into_iter().chain(windows.waiting).min();
        let mut group: Group = windows
            .new
            .iter()
            .map(|new| Action::Begin(Box::new(recording::make(self.policy, matched, new)), new.entry))
            .collect();
        group.extend(windows.changes.into_iter().map(|change| self.change(change)));
        let stop = Stop {
            at: observed.now,
            why: Ended::TriggerChanged,
            catch_up: false,
        };
        group.extend(self.stop(matched.arn.as_str(), |r| !of_alarm(r), stop));
        if self.deleted.is_none() && !observed.unsure.contains(&key) {
            group.extend(self.alarm(matched, alarm, mark));
        }
        self.plan.groups.push(group);
    }

    /// What happens meanwhile is found in the history afterwards.
    fn wait_for_history(&mut self) {
        let read = self.memory.checkpoint.or(self.memory.watching_since);
        self.plan.waiting = self.plan.waiting.into_iter().chain(read).min();
    }

    /// What the alarm's description is to remember.
    fn mark(&self, matched: &Matched, alarm: Option<&Alarm>) -> Mark {
        let created = matched.arn.creation_millis();
        if let Whose::Theirs(_) = matched.whose {
            return Mark { created, from: None };
        }
        let read = alarm.and_then(|alarm| Mark::read(&alarm.description, &self.desired.owner));
        let from = match (alarm, read) {
            (_, Some(mark)) if mark.created == created => mark.from,
            // It comes to match now, unless it matched already when the policy began, or its alarm was deleted by somebody.
            (None, _) => {
                let matched_before = self
                    .observed
                    .transitions
                    .get(&key(matched))
                    .is_some_and(|t| !t.is_empty());
                (self.memory.checkpoint.is_some() && !matched_before).then_some(self.observed.now)
            }
            _ => None,
        };
        Mark { created, from }
    }

    fn since(&self, matched: &Matched, mark: Mark) -> Since {
        let created = created(matched);
        let begun = self
            .policy
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(self.observed.now, |t| t.0);
        let watching = self.memory.watching_since.unwrap_or(self.observed.now);
        // What had expired before the policy began was never promised.
        let kept = SignedDuration::from_hours(matched.retention_hours.max(24).into());
        let resumed = (watching > begun).then_some(watching);
        let floor = resumed.unwrap_or(watching - kept);
        Since {
            at: watching.max(mark.from.unwrap_or(watching)).max(created),
            floor: floor.max(mark.from.unwrap_or(floor)).max(created),
        }
    }

    /// Why open recordings of a matched stream end now, if they do.
    fn why_stop(&self, matched: &Matched) -> Option<Stop> {
        let now = self.observed.now;
        if let Some(at) = self.deleted {
            return Some(Stop {
                at,
                why: Ended::PolicyDeleted,
                catch_up: !self.policy.spec.suspend,
            });
        }
        if self.policy.spec.suspend {
            return Some(Stop {
                at: now,
                why: Ended::Suspended,
                catch_up: false,
            });
        }
        matched.deleted_at.map(|at| Stop {
            at: at.min(now),
            why: Ended::StreamDeleted,
            catch_up: true,
        })
    }

    /// The recordings of a stream that this policy made, as far as windows go.
    fn known(&self, arn: &str, which: impl Fn(&Recording) -> bool) -> Vec<Known> {
        let of = self.of_stream.get(arn).map_or(&[][..], Vec::as_slice);
        let which = of.iter().filter(|(_, recording)| which(recording));
        which.map(|(known, _)| known.clone()).collect()
    }

    fn change(&self, change: Change) -> Action {
        let of_name = self
            .observed
            .recordings
            .iter()
            .find(|r| r.name_any() == change.name);
        Action::Change {
            version: of_name.and_then(|recording| recording.resource_version()),
            change,
        }
    }

    /// Ends the open recordings of a stream.
    fn stop(&self, arn: &str, which: impl Fn(&Recording) -> bool, stop: Stop) -> Group {
        let known = self.known(arn, which);
        if known.is_empty() {
            return vec![];
        }
        let changes = windows::windows(&Input {
            rules: &self.policy.spec.recording,
            since: Since {
                at: stop.at,
                floor: stop.at,
            },
            stop: Some(stop),
            checkpoint: self.memory.checkpoint,
            episodes: &[],
            level: None,
            recordings: &known,
            now: self.observed.now,
        })
        .changes;
        changes.into_iter().map(|change| self.change(change)).collect()
    }

    /// Recordings of streams that the policy is not for any more.
    fn left_over(&mut self) {
        let matched: BTreeSet<&str> = self.desired.streams.iter().map(|m| m.arn.as_str()).collect();
        let left: BTreeMap<&str, Option<&String>> = self
            .observed
            .recordings
            .iter()
            .filter(|r| r.spec.end.is_none() && !matched.contains(&*r.spec.stream_arn))
            .map(|r| {
                (
                    &*r.spec.stream_arn,
                    r.spec.cause.as_ref().and_then(|c| c.video_stream.as_ref()),
                )
            })
            .collect();
        for (arn, video_stream) in left {
            let why = match video_stream {
                _ if self.deleted.is_some() => Ended::PolicyDeleted,
                Some(name) if self.desired.selected.contains(name) => Ended::StreamChanged,
                Some(name) if self.observed.video_streams.contains(name) => Ended::NotMatched,
                _ => Ended::StreamDeleted,
            };
            let stop = Stop {
                at: self.observed.now,
                why,
                catch_up: false,
            };
            let group = self.stop(arn, |_| true, stop);
            self.plan.groups.push(group);
        }
    }

    /// Makes the alarm, or puts it right. What others added to it stays.
    fn alarm(&self, matched: &Matched, alarm: Option<&Alarm>, mark: Mark) -> Group {
        let Whose::Ours(definition) = &matched.whose else {
            return vec![];
        };
        let (place, name) = key(matched);
        let put = |actions, tags, new| Action::PutAlarm {
            place: place.clone(),
            alarm: Box::new(NewAlarm {
                name: name.clone(),
                description: describe(self.desired, matched, mark),
                definition: definition.clone(),
                actions,
                tags,
            }),
            new,
        };
        let Some(alarm) = alarm else {
            return vec![put(Actions::default(), self.desired.tags.clone(), true)];
        };
        let mut group = vec![];
        if !is_as_wanted(self.desired, matched, definition, mark, alarm) {
            group.push(put(alarm.actions.clone(), BTreeMap::new(), false));
        }
        if let Some(has) = self.observed.tags.get(&key(matched)) {
            let lacks = self
                .desired
                .tags
                .iter()
                .filter(|(key, value)| has.get(*key) != Some(value));
            let tags: BTreeMap<String, String> =
                lacks.map(|(key, value)| (key.clone(), value.clone())).collect();
            if !tags.is_empty() {
                group.push(Action::TagAlarm {
                    place,
                    name,
                    arn: alarm.arn.clone(),
                    tags,
                });
            }
        }
        group
    }

    /// Alarms that no stream needs any more: of streams that do not match, and all of a deleted policy once its recordings are
    /// finished.
    fn alarms_to_go(&mut self) {
        let finished =
            self.observed.recordings.iter().all(|r| recording::is_finished(r)) && self.plan.waiting.is_none();
        let nothing_to_do = self.plan.groups.iter().all(Vec::is_empty);
        let all =
            self.deleted.is_some() && (finished && nothing_to_do || self.observed.namespace_terminating);
        let needed: BTreeSet<AlarmKey> = self
            .desired
            .streams
            .iter()
            .map(key)
            .chain(self.desired.keep.clone())
            .collect();
        let of_policy = |key: &&AlarmKey| key.1.starts_with(&self.desired.prefix);
        for key in self.observed.alarms.keys().filter(of_policy) {
            let ours = self
                .observed
                .tags
                .get(key)
                .is_some_and(|tags| self.desired.owner.claim(tags) == Claim::Ours)
                && !self.observed.unsure.contains(key);
            if ours && (all || self.deleted.is_none() && !needed.contains(key)) {
                let (place, name) = key.clone();
                self.plan.groups.push(vec![Action::DeleteAlarm { place, name }]);
            }
        }
    }

    /// Why an alarm's tags keep it from starting recordings, if they do.
    fn refused(&self, matched: &Matched, key: &AlarmKey) -> Option<(&'static str, String)> {
        let has = self.observed.tags.get(key)?;
        match &matched.whose {
            Whose::Ours(_) => match self.desired.owner.claim(has) {
                Claim::Another(other) => Some((
                    "AlarmOwnedByAnother",
                    format!(
                        "the alarm {} belongs to {other} and is left alone, so nothing starts recordings of the stream: delete that alarm, or its tags {}*",
                        key.1,
                        owner::PREFIX
                    ),
                )),
                Claim::Ours | Claim::Nobody => None,
            },
            Whose::Theirs(required) => {
                let (tag, value) = required
                    .iter()
                    .find(|(tag, value)| has.get(*tag) != Some(value))?;
                Some((
                    "AlarmLacksTag",
                    format!(
                        "the alarm {} lacks the tag {tag}={value} of trigger.existingAlarm.requireTags, so it starts no recordings",
                        key.1
                    ),
                ))
            }
        }
    }
}

fn level(alarm: &Alarm, read: Timestamp) -> Level {
    let reason_data = alarm
        .reason_data
        .clone()
        .map_or(serde_json::Value::Null, serde_json::Value::String);
    Level {
        alarm: alarm.in_alarm,
        since: alarm.since,
        start: history::start_date(&reason_data),
        reason: alarm.reason.clone(),
        read,
    }
}

#[cfg(test)]
mod tests;
