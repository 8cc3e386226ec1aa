//! Reads what is there: the stream and its tags in AWS, and in Kubernetes, only where it matters, who else is concerned.

use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{Selector, SelectorExt},
};

use super::{
    desired::Desired,
    known::{Known, Listed},
    merge,
    need::{Need, Unread},
    plan::{Beside, Observed},
};
use crate::{
    api::{ArchivePolicy, DeletionPolicy, ManagementPolicy, Recording, VideoStream, condition},
    aws::Streams,
    owner::{Claim, Owner},
    runtime::{Context, Error, Result},
};

/// What there most likely is, without a call for this object: what the region's listing says, and for the rest what its own
/// status says. `None`: that is not known well enough.
pub async fn assume(
    context: &Context,
    known: &Known,
    object: &VideoStream,
    desired: &Desired,
) -> Result<Option<Observed>> {
    let key = desired.key();
    let now = context.clock.node().now();
    let settled = well(object);
    let new = object.status.is_none() && known.is_new(&key) && desired.management == ManagementPolicy::Manage;
    if desired.deleting || desired.suspend || !(new || settled && !known.due(&key, now, context.chance())) {
        return Ok(None);
    }
    let streams = context.ports(&desired.place).streams;
    Ok(
        match known
            .lookup(&*streams, &desired.place, &desired.name, now)
            .await?
        {
            Listed::There(stream) if settled && desired.known_arn.as_ref() == Some(&stream.arn) => {
                Some(Observed {
                    stream: Some((stream, desired.all_tags())),
                    beside: Beside {
                        tier: desired.tier,
                        images: desired
                            .images
                            .as_ref()
                            .and_then(|images| merge::images(images, None)),
                        notification: desired
                            .notification
                            .as_ref()
                            .and_then(|n| merge::notification(n, None)),
                    },
                    ..Observed::default()
                })
            }
            Listed::Absent if new => Some(Observed::default()),
            _ => None,
        },
    )
}

/// Whether the object's status says of this very spec that all is well.
fn well(object: &VideoStream) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation == object.metadata.generation
            && condition::is_true(&status.conditions, condition::READY)
            && !condition::is_true(&status.conditions, condition::RECONCILING)
    })
}

/// Everything that the plan looks at, as it is now.
pub async fn look(
    context: &Context,
    known: &Known,
    object: &VideoStream,
    desired: &Desired,
) -> Result<Observed> {
    let mut observed = Observed {
        terminating: desired.deleting && context.is_terminating(&desired.owner.namespace).await?,
        ..Observed::default()
    };
    if desired.suspend {
        return Ok(observed);
    }
    let streams = context.ports(&desired.place).streams;
    let (key, now) = (desired.key(), context.clock.node().now());
    let described = streams.describe(&desired.name).await?;
    known.saw(&desired.place, &desired.name, described.as_ref(), now);
    let Some(stream) = described else {
        return Ok(observed);
    };
    // A stream that is going may have lost its tags before itself.
    let tags = match known.made_with(&key, &stream.arn, now) {
        Some(tags) => tags,
        None => streams.tags(&stream.arn).await?.unwrap_or_default(),
    };
    if let Claim::Another(owner) = desired.owner.claim(&tags)
        && owner.cluster == desired.owner.cluster
    {
        observed.rival_lives = lives(context, &owner, desired, &stream.arn).await?;
    }
    let manages = desired.management == ManagementPolicy::Manage;
    let drops = desired.deleting && desired.deletion == DeletionPolicy::Delete
        || desired
            .retention
            .is_some_and(|hours| hours < stream.data_retention_in_hours);
    if manages && drops {
        observed.needs = needs(context, &stream.arn).await?;
        observed.unread = unread(context, object).await?;
    }
    if manages && !desired.deleting {
        observed.beside = beside(&*streams, &stream.arn, desired).await?;
    }
    observed.stream = Some((stream, tags));
    known.looked(&key, now, context.chance());
    Ok(observed)
}

/// Only what the spec manages costs a call, and needs the right to it.
async fn beside(streams: &dyn Streams, arn: &str, desired: &Desired) -> Result<Beside> {
    let mut beside = Beside::default();
    if desired.tier.is_some() {
        beside.tier = Some(streams.tier(arn).await?);
    }
    if desired.images.is_some() {
        beside.images = streams.images(arn).await?;
    }
    if desired.notification.is_some() {
        beside.notification = streams.notification(arn).await?;
    }
    Ok(beside)
}

/// Whether the VideoStream that tags name lives, and is still for this stream.
async fn lives(context: &Context, owner: &Owner, desired: &Desired, arn: &str) -> Result<bool> {
    let other = Api::<VideoStream>::namespaced(context.client.clone(), &owner.namespace)
        .get_opt(&owner.name)
        .await
        .map_err(Error::kube(format!(
            "reading the VideoStream {}/{}",
            owner.namespace, owner.name
        )))?;
    let Some(other) = other else { return Ok(false) };
    let account = arn.split(':').nth(4);
    // One that contradicts itself lives all the same; so does one by which nobody knows in which account it is.
    Ok(
        Desired::of(&other, &context.cluster_id, &context.region).map_or(true, |other| {
            (&other.name, &other.place.region) == (&desired.name, &desired.place.region)
                && other
                    .place
                    .role
                    .is_none_or(|role| Some(role.account()) == account)
        }),
    )
}

/// Recordings of all namespaces: one that observes the same stream elsewhere needs its footage as much.
async fn needs(context: &Context, arn: &str) -> Result<Vec<Need>> {
    let recordings = Api::<Recording>::all(context.client.clone())
        .list(&ListParams::default())
        .await
        .map_err(Error::kube("listing Recordings"))?;
    Ok(recordings
        .iter()
        .filter_map(|recording| Need::of(recording, arn))
        .collect())
}

async fn unread(context: &Context, object: &VideoStream) -> Result<Vec<Unread>> {
    let namespace = object.namespace().unwrap_or_default();
    let policies = Api::<ArchivePolicy>::namespaced(context.client.clone(), &namespace)
        .list(&ListParams::default())
        .await
        .map_err(Error::kube(format!("listing ArchivePolicies of {namespace}")))?;
    let now = context.stamp();
    let matching = policies.iter().filter(|policy| {
        // A selector that cannot be read might match: then the footage is safer than the change.
        Selector::try_from(policy.spec.stream_selector.clone()).map_or(true, |s| s.matches(object.labels()))
    });
    Ok(matching.filter_map(|policy| Unread::of(policy, now)).collect())
}
