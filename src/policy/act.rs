//! Does what a plan says. Only writes, and decides nothing.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{Shared, action::Action, plan::Group};
use crate::{
    api::{ArchivePolicy, Recording, labels},
    aws::Place,
    runtime::{Context, Error, Result, cache::version},
};

/// How many streams are worked on at once.
const GROUPS: usize = 8;
/// How many alarms one pass writes: PutMetricAlarm has a small quota, and what is left is done in the next pass, after new
/// recordings.
const ALARM_WRITES: usize = 10;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done.
    pub done: Vec<Action>,
    /// The first thing that failed for each stream; what came after it was not tried.
    pub failed: Vec<Error>,
    /// The first moment of footage whose Recording could not be made: the checkpoint stays before it.
    pub missing: Option<Timestamp>,
    /// Whether alarms are left for the next pass.
    pub postponed: bool,
}

/// Does it: first all Recordings, then alarms.
pub async fn act(context: &Context, shared: &Shared, policy: &ArchivePolicy, groups: Vec<Group>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut writes_left = ALARM_WRITES;
    let (mut recordings, mut alarms): (Vec<Group>, Vec<Group>) = (vec![], vec![]);
    for group in groups {
        let (later, now): (Group, Group) = group.into_iter().partition(Action::is_alarm_write);
        recordings.push(now);
        if later.len() <= writes_left {
            writes_left -= later.len();
            alarms.push(later);
        } else {
            outcome.postponed = true;
        }
    }
    for groups in [recordings, alarms] {
        let results: Vec<_> = stream::iter(groups)
            .map(|group| one_after_the_other(context, shared, policy, group))
            .buffer_unordered(GROUPS)
            .collect()
            .await;
        for (done, failed) in results {
            outcome.done.extend(done);
            if let Some((error, entry)) = failed {
                outcome.failed.push(error);
                outcome.missing = outcome.missing.into_iter().chain(entry).min();
            }
        }
    }
    outcome
}

async fn one_after_the_other(
    context: &Context,
    shared: &Shared,
    policy: &ArchivePolicy,
    group: Group,
) -> (Vec<Action>, Option<(Error, Option<Timestamp>)>) {
    let mut done = vec![];
    let mut actions = group.into_iter();
    while let Some(action) = actions.next() {
        if let Err(error) = perform(context, shared, policy, &action).await {
            let entries = [action]
                .into_iter()
                .chain(actions)
                .filter_map(|action| match action {
                    Action::Begin(_, entry) => Some(entry),
                    _ => None,
                });
            return (done, Some((error, entries.min())));
        }
        done.push(action);
    }
    (done, None)
}

/// Does it. What is known of an alarm is in doubt from before the call, and a Recording's version is noted at once: a pass may be
/// cut off at its deadline.
async fn perform(context: &Context, shared: &Shared, policy: &ArchivePolicy, action: &Action) -> Result<()> {
    let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
    let recordings = || Api::<Recording>::namespaced(context.client.clone(), &namespace);
    let wrote = |recording: &Recording| shared.wrote(&namespace, &name, version(recording));
    let doubt = |place: &Place, alarm: &String| shared.watch.doubt(place, alarm);
    match action {
        Action::Begin(recording, _) => match recordings().create(&PostParams::default(), recording).await {
            // The name derives from what it is for: it is there already.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let there = recordings().get_opt(&recording.name_any()).await;
                let there =
                    there.map_err(Error::kube(format!("reading Recording {}", recording.name_any())))?;
                there.iter().for_each(wrote);
            }
            made => {
                wrote(&made.map_err(Error::kube(format!("making Recording {}", recording.name_any())))?);
            }
        },
        Action::Change {
            change,
            version: over,
        } => {
            let body = json!({
                "metadata": {
                    // Only over the version that the change follows from.
                    "resourceVersion": over,
                    "annotations": { labels::ENDED: change.ended.map(|ended| ended.name()) },
                },
                "spec": {
                    "holdAt": change.hold_at.map(MicroTime),
                    "end": change.end.map(MicroTime),
                },
            });
            let patched = recordings()
                .patch(&change.name, &PatchParams::default(), &Patch::Merge(&body))
                .await;
            wrote(&patched.map_err(Error::kube(format!("changing Recording {}", change.name)))?);
        }
        Action::PutAlarm { place, alarm, .. } => {
            doubt(place, &alarm.name);
            context.ports(place).alarms.put(alarm).await?;
        }
        Action::TagAlarm {
            place,
            name,
            arn,
            tags,
        } => {
            doubt(place, name);
            context.ports(place).alarms.tag(arn, tags).await?;
        }
        Action::DeleteAlarm { place, name } => {
            doubt(place, name);
            context.ports(place).alarms.delete(name).await?;
        }
    }
    Ok(())
}
