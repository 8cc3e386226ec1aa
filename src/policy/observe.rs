//! Reads what a plan is made from. Only reads.
//!
//! Recordings are read live, not from a watch's cache: a pass that follows on its own last write must see it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    desired::Desired,
    plan::{self, AlarmKey, Memory, Observed},
    recording,
};
use crate::{
    alarms::{Transition, history},
    api::{ArchivePolicy, Recording, VideoStream, labels},
    aws::alarms::Alarm,
    runtime::{Context, Error, Result},
};

/// How many AWS calls a pass makes at once; the token buckets say how many a second.
const CALLS: usize = 8;

/// The VideoStreams of the policy's namespace.
pub async fn video_streams(context: &Context, policy: &ArchivePolicy) -> Result<Vec<VideoStream>> {
    let api = Api::<VideoStream>::namespaced(context.client.clone(), &policy.namespace().unwrap_or_default());
    Ok(api
        .list(&ListParams::default())
        .await
        .map_err(Error::kube("listing VideoStreams"))?
        .items)
}

/// The Recordings that the policy made.
pub async fn recordings(context: &Context, policy: &ArchivePolicy) -> Result<Vec<Recording>> {
    let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
    let api = Api::<Recording>::namespaced(context.client.clone(), &namespace);
    let of_policy = ListParams::default().labels(&format!("{}={name}", labels::POLICY));
    let all = api
        .list(&of_policy)
        .await
        .map_err(Error::kube("listing the policy's Recordings"))?
        .items;
    Ok(all
        .into_iter()
        .filter(|r| recording::known(r, &name).is_some())
        .collect())
}

/// The world around a policy, and what its status remembers.
pub async fn observe(
    context: &Context,
    policy: &ArchivePolicy,
    desired: &Desired,
    video_streams: &[VideoStream],
) -> Result<(Observed, Memory)> {
    let recordings = recordings(context, policy).await?;
    let namespace_terminating =
        policy.metadata.deletion_timestamp.is_some() && is_terminating(context, policy).await?;

    // Where a stream was moved away from, its alarm is still to be found.
    let of_streams = video_streams
        .iter()
        .filter_map(|v| v.status.as_ref()?.region.clone());
    let of_recordings = recordings.iter().map(|r| r.spec.region.clone());
    let regions: BTreeSet<String> = of_streams
        .chain(of_recordings)
        .chain([context.region.to_string()])
        .collect();
    let alarms = alarms(context, &desired.prefix, regions).await?;
    let Some(now) = context.clock.now() else {
        return Err(Error::Spec("no answer of AWS has told the time yet".into()));
    };
    let memory = plan::remember(policy, &recordings, now);
    // After the alarms: what the history says is at least as new.
    let transitions = transitions(context, desired, &memory, &alarms).await?;
    let mut observed = Observed {
        now,
        alarms,
        tags: BTreeMap::new(),
        transitions,
        recordings,
        video_streams: video_streams.iter().map(ResourceExt::name_any).collect(),
        namespace_terminating,
    };
    observed.tags = tags(context, &observed, plan::to_examine(policy, desired, &observed)).await?;
    Ok((observed, memory))
}

async fn alarms(
    context: &Context,
    prefix: &str,
    regions: BTreeSet<String>,
) -> Result<BTreeMap<AlarmKey, Alarm>> {
    let mut alarms = BTreeMap::new();
    for region in regions {
        let found = context.ports(&region)?.alarms.describe(prefix).await?;
        alarms.extend(
            found
                .into_iter()
                .map(|alarm| ((region.clone(), alarm.name.clone()), alarm)),
        );
    }
    Ok(alarms)
}

async fn transitions(
    context: &Context,
    desired: &Desired,
    memory: &Memory,
    alarms: &BTreeMap<AlarmKey, Alarm>,
) -> Result<BTreeMap<AlarmKey, Vec<Transition>>> {
    let needed = |matched| {
        let key = plan::key(matched);
        let from = plan::history_from(desired, matched, alarms.get(&key), memory)?;
        Some((key, from))
    };
    let needed: Vec<_> = desired.streams.iter().filter_map(needed).collect();
    stream::iter(needed)
        .map(|(key, from)| async move {
            let entries = context.ports(&key.0)?.alarms.history(&key.1, from).await?;
            let read = entries.iter().filter_map(|entry| {
                let transition = history::transition(entry.at, &entry.summary, &entry.data);
                if transition.is_none() {
                    tracing::warn!(alarm = key.1, at = %entry.at, summary = entry.summary, "an entry of an alarm's history cannot be read; its state stands in");
                }
                transition
            });
            let read = read.collect();
            Ok((key, read))
        })
        .buffer_unordered(CALLS)
        .try_collect()
        .await
}

async fn tags(
    context: &Context,
    observed: &Observed,
    keys: Vec<AlarmKey>,
) -> Result<BTreeMap<AlarmKey, BTreeMap<String, String>>> {
    let of_alarms: Vec<_> = keys
        .into_iter()
        .filter_map(|key| Some((observed.alarms.get(&key)?.arn.clone(), key)))
        .collect();
    stream::iter(of_alarms)
        .map(|(arn, key)| async move {
            let tags = context.ports(&key.0)?.alarms.tags(&arn).await?;
            // An alarm that has gone meanwhile has no owner.
            Ok((key, tags.unwrap_or_default()))
        })
        .buffer_unordered(CALLS)
        .try_collect()
        .await
}

async fn is_terminating(context: &Context, policy: &ArchivePolicy) -> Result<bool> {
    let name = policy.namespace().unwrap_or_default();
    let found = Api::<Namespace>::all(context.client.clone()).get_opt(&name).await;
    let found = found.map_err(Error::kube(format!("reading namespace {name}")))?;
    Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
}
