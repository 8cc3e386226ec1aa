//! Reads what a plan is made from. Only reads.
//!
//! VideoStreams and Recordings come from the watches' caches. A pass that follows on its own last write waits until the cache
//! has it: it would decide the same again, and with newer facts perhaps something else under another name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    Shared,
    desired::{self, Desired},
    plan::{self, AlarmKey, Memory, Observed, Unread},
    recording,
    trigger::Whose,
};
use crate::{
    alarms::{Need, Transition},
    api::{ArchivePolicy, Recording, VideoStream, labels},
    aws::{Alarms, AwsError, Place, alarms::Alarm},
    runtime::{Context, Error, Result},
};

/// The VideoStreams of the policy's namespace.
pub fn video_streams(shared: &Shared, policy: &ArchivePolicy) -> Vec<Arc<VideoStream>> {
    let mut all = shared.caches.video_streams.all();
    all.retain(|video_stream| video_stream.metadata.namespace == policy.metadata.namespace);
    all
}

/// The Recordings that the policy made, those of its last pass included.
async fn recordings(shared: &Shared, policy: &ArchivePolicy) -> Result<Vec<Arc<Recording>>> {
    let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
    let written = shared.written(&namespace, &name);
    shared.caches.recordings.caught_up(written).await?;
    let mut all = shared.caches.recordings.all();
    all.retain(|r| {
        r.metadata.namespace.as_ref() == Some(&namespace)
            && r.labels().get(labels::POLICY) == Some(&name)
            && recording::known(r, &name).is_some()
    });
    Ok(all)
}

/// The world around a policy, and what its status remembers.
pub async fn observe(
    context: &Context,
    shared: &Shared,
    policy: &ArchivePolicy,
    desired: &Desired,
    video_streams: &[Arc<VideoStream>],
) -> Result<(Observed, Memory)> {
    let recordings = recordings(shared, policy).await?;
    let namespace = policy.namespace().unwrap_or_default();
    let namespace_terminating =
        policy.metadata.deletion_timestamp.is_some() && context.is_terminating(&namespace).await?;

    // Where a stream was moved away from, its alarm is still to be found.
    let grants = &context.config.grants;
    let of_streams = video_streams
        .iter()
        .filter(|v| desired::granted(v, grants).is_ok())
        .filter_map(|v| desired::place_of(v));
    let of_recordings = recordings
        .iter()
        .filter(|r| recording::granted(r, grants).is_ok())
        .map(|r| recording::place(r));
    let places: BTreeSet<Place> = of_streams
        .chain(of_recordings)
        .chain([Place::own(&*context.region)])
        .collect();
    // A role that does not work must not stop what is recorded elsewhere; a policy that goes needs all of its places.
    let stays = policy.metadata.deletion_timestamp.is_none() || namespace_terminating;
    let spared = |place: &Place| stays && place.role.is_some();
    let (mut alarms, mut alarms_read, mut unread) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for place in places {
        let port = context.ports(&place).alarms;
        let (found, read) = match levels(shared, &*port, &place, desired).await {
            Err(error) if spared(&place) => {
                unread.insert(place, Unread::of(error.into()));
                continue;
            }
            levels => levels?,
        };
        let keyed = found
            .into_iter()
            .map(|alarm| ((place.clone(), alarm.name.clone()), alarm));
        alarms.extend(keyed);
        alarms_read.insert(place, read);
    }
    let Some(now) = context.clock.now() else {
        return Err(Error::NoTime);
    };
    let memory = plan::remember(policy, &recordings, now);
    // After the alarms: what the history says is at least as new.
    let (mut transitions, mut transitions_read) = (BTreeMap::new(), None);
    for (place, read) in &alarms_read {
        match transitions_of(context, shared, desired, &memory, &alarms, place, *read).await {
            Ok(Some((of_place, as_of))) => {
                transitions.extend(of_place);
                transitions_read = transitions_read.into_iter().chain([as_of]).min();
            }
            Ok(None) => {}
            Err(error) if spared(place) => {
                unread.insert(place.clone(), Unread::of(error));
            }
            Err(error) => return Err(error),
        }
    }
    let mut observed = Observed {
        now,
        alarms_read: alarms_read.values().copied().min().unwrap_or(now),
        transitions_read: transitions_read.unwrap_or(now),
        alarms,
        tags: BTreeMap::new(),
        unsure: BTreeSet::new(),
        transitions,
        unread,
        recordings,
        video_streams: video_streams.iter().map(|v| v.name_any()).collect(),
        namespace_terminating,
    };
    let mut needed: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for (place, name) in plan::to_examine(policy, desired, &observed) {
        needed.entry(place).or_default().push(name);
    }
    for place in alarms_read.keys() {
        let port = context.ports(place).alarms;
        let names = needed.remove(place).unwrap_or_default();
        let tagged = match shared.watch.tags(&*port, place, &desired.prefix, names).await {
            Err(error) if spared(place) => {
                observed.unread.insert(place.clone(), Unread::of(error.into()));
                continue;
            }
            tagged => tagged?,
        };
        let at = |name| (place.clone(), name);
        observed
            .tags
            .extend(tagged.of.into_iter().map(|(name, tags)| (at(name), tags)));
        observed.unsure.extend(tagged.unsure.into_iter().map(at));
    }
    Ok((observed, memory))
}

/// The alarms in one place that the policy has made or asks for, and as of when they are known.
async fn levels(
    shared: &Shared,
    port: &dyn Alarms,
    place: &Place,
    desired: &Desired,
) -> std::result::Result<(Vec<Alarm>, Timestamp), AwsError> {
    let (mut found, read) = shared.watch.levels(port, place, &desired.prefix).await?;
    let theirs = desired.streams.iter().filter(|m| m.place == *place);
    let theirs = theirs.filter(|m| matches!(m.whose, Whose::Theirs(_)));
    let theirs: BTreeSet<&str> = theirs.map(|m| m.alarm.as_str()).collect();
    let Some((others, others_read)) = shared.watch.named(port, place, &theirs).await? else {
        return Ok((found, read));
    };
    found.extend(others);
    Ok((found, read.min(others_read)))
}

/// The changes of state in one place, and as of when they are known; nothing, where nobody needs them.
async fn transitions_of(
    context: &Context,
    shared: &Shared,
    desired: &Desired,
    memory: &Memory,
    alarms: &BTreeMap<AlarmKey, Alarm>,
    place: &Place,
    read: Timestamp,
) -> Result<Option<(BTreeMap<AlarmKey, Vec<Transition>>, Timestamp)>> {
    let of_place = desired.streams.iter().filter(|m| m.place == *place);
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    for matched in of_place {
        let key = plan::key(matched);
        let alarm = alarms.get(&key);
        let Some(from) = plan::history_of(desired, matched, alarm, memory) else {
            continue;
        };
        let since = alarm.map(|alarm| alarm.since);
        let need = needs.entry(key.1.clone()).or_insert(Need {
            alarm: key.1,
            from,
            since,
        });
        need.from = need.from.min(from);
    }
    let needs: Vec<Need> = needs.into_values().collect();
    if needs.is_empty() {
        return Ok(None);
    }
    let port = context.ports(place).alarms;
    let from = plan::history_from(memory, read);
    let changes = shared
        .watch
        .changes(&*port, place, &desired.prefix, from, &needs, read)
        .await?;
    let keyed = changes.of.into_iter();
    let keyed = keyed.map(|(alarm, of)| ((place.clone(), alarm), of));
    Ok(Some((keyed.collect(), changes.read)))
}
