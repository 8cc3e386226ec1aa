//! Pure: from what is wanted and what is there, what to do now.
//!
//! The order of the arms is the order of the rules: leave what is another's, wait while AWS is busy, keep footage that is
//! needed, at most one versioned change.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    action::Action,
    desired::{DEFAULT_RETENTION, Desired},
    merge,
    need::{Held, Need, Unread},
};
use crate::{
    api::{
        AdoptionPolicy, DefaultStorageTier, DeletionPolicy, ImageGenerationConfiguration, ManagementPolicy,
        NotificationConfiguration,
    },
    aws::{
        StreamArn,
        streams::{NewStream, Stream, StreamStatus, StreamUpdate},
    },
    owner::{Claim, Owner},
};

/// For how long a stream that AWS has just made may not show yet.
const APPEARS_WITHIN: SignedDuration = SignedDuration::from_mins(2);

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The stream of that name, and its tags.
    pub stream: Option<(Stream, BTreeMap<String, String>)>,
    /// What is beside it, as far as the spec manages it.
    pub beside: Beside,
    /// Whether the owner that the tags name is a VideoStream of this cluster that lives and still names this stream.
    pub rival_lives: bool,
    /// Recordings that are not finished, of this stream; read only where footage is at stake.
    pub needs: Vec<Need>,
    /// Policies that match the stream and have not yet read the alarm history; read only where footage is at stake.
    pub unread: Vec<Unread>,
    /// Whether the object's namespace is being deleted.
    pub terminating: bool,
}

/// What a stream has beside its description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The storage tier. `None`: not read.
    pub tier: Option<DefaultStorageTier>,
    /// The image generation. `None`: there is none.
    pub images: Option<ImageGenerationConfiguration>,
    /// The notification. `None`: there is none.
    pub notification: Option<NotificationConfiguration>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Do these, then look again.
    Act(Vec<Action>),
    /// AWS is busy with the stream.
    Wait(Waiting),
    /// Only a person can get further.
    Blocked(Blocked),
    /// Nothing to do.
    Settled,
    /// The object is to do nothing.
    Suspended,
    /// Being deleted: nothing (more) is to be done in AWS, the object may go.
    LetGo(Farewell),
}

/// What AWS is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The stream is being made.
    Creating,
    /// It is being changed.
    Updating,
    /// It is being deleted.
    Deleting,
}

/// Why only a person can get further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The stream is another's.
    OwnedByAnother {
        /// Whose.
        owner: Owner,
        /// Whether that is a living VideoStream of this cluster.
        lives: bool,
    },
    /// The stream is nobody's, and may not be adopted.
    NotAdopted,
    /// The stream is to be observed, and there is none.
    NothingToObserve,
}

/// How an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The stream stays.
    Retained,
    /// The stream is gone.
    Gone,
    /// The stream was to be deleted, but its footage is needed and the namespace does not wait: it stays.
    RetainedForNeeds,
    /// The namespace may not use the stream (any more): it stays, unasked.
    NotGranted,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to do now.
    pub step: Step,
    /// Whether there is something that the object must not go without.
    pub finalizer: bool,
    /// A change that waits for recordings, and which.
    pub held: Option<Held>,
    /// The key that the stream has, where the spec names another: AWS cannot change it.
    pub other_key: Option<String>,
    /// The ARN that this object stood for so far, where the stream is another one now, or none.
    pub replaced: Option<String>,
}

impl Plan {
    /// Nothing is to be done, and the object may go.
    pub fn let_go(farewell: Farewell) -> Self {
        Self {
            step: Step::LetGo(farewell),
            finalizer: false,
            held: None,
            other_key: None,
            replaced: None,
        }
    }

    /// Whether this may be decided by assumptions alone: nothing is to be done, or a stream is to be made, which AWS refuses
    /// where there is one.
    pub fn rests_on_assumptions(&self) -> bool {
        let harmless = match &self.step {
            Step::Settled => true,
            Step::Act(actions) => actions.iter().all(Action::creates),
            _ => false,
        };
        harmless && self.held.is_none() && self.replaced.is_none() && self.other_key.is_none()
    }
}

/// What to do now. `now` is AWS's time.
pub fn plan(desired: &Desired, observed: &Observed, now: Timestamp) -> Plan {
    let arn = observed.stream.as_ref().map(|(stream, _)| stream.arn.as_str());
    let replaced = desired
        .known_arn
        .clone()
        .filter(|known| Some(known.as_str()) != arn && !appears(known, now));
    let mut plan = Plan {
        step: Step::Settled,
        finalizer: false,
        held: None,
        other_key: None,
        replaced,
    };
    if desired.suspend {
        // Nothing is read for it, so nothing is known; what it has to keep it from going, it keeps.
        plan.finalizer =
            may_delete(desired) && (!desired.deleting || desired.finalizer && !observed.terminating);
        plan.step = if plan.finalizer || !desired.deleting {
            Step::Suspended
        } else {
            Step::LetGo(Farewell::Retained)
        };
        plan.replaced = None;
        return plan;
    }
    if desired.deleting {
        return farewell(desired, observed, now, plan);
    }
    let Some((stream, tags)) = &observed.stream else {
        plan.finalizer = may_delete(desired);
        plan.step = if desired.management == ManagementPolicy::Observe {
            Step::Blocked(Blocked::NothingToObserve)
        } else if desired
            .known_arn
            .as_ref()
            .is_some_and(|known| appears(known, now))
        {
            Step::Wait(Waiting::Creating)
        } else {
            Step::Act(vec![Action::Create(new_stream(desired))])
        };
        return plan;
    };
    let adopts = match whose(desired, tags, observed.rival_lives) {
        Ok(adopts) => adopts,
        Err(blocked) => {
            plan.step = Step::Blocked(blocked);
            plan.replaced = None;
            return plan;
        }
    };
    plan.other_key = other_key(desired.kms_key_id.as_deref(), stream.kms_key_id.as_deref());
    if let Some(waiting) = busy(stream.status) {
        plan.finalizer = may_delete(desired) && adopts.is_none();
        plan.step = Step::Wait(waiting);
        return plan;
    }
    if desired.management == ManagementPolicy::Observe {
        return plan;
    }
    plan.finalizer = may_delete(desired);
    let mut actions = retag(desired, tags, adopts);
    // AWS makes nothing of footage that it does not keep, and refuses to be told to.
    if stream.data_retention_in_hours > 0 {
        actions.extend(configure(desired, &observed.beside));
    }
    let (change, held) = change(desired, observed, stream, now);
    actions.extend(change);
    plan.held = held;
    if !actions.is_empty() {
        plan.step = Step::Act(actions);
    }
    plan
}

/// Whether the stream is to be deleted with the object: only then is there a finalizer.
fn may_delete(desired: &Desired) -> bool {
    desired.deletion == DeletionPolicy::Delete && desired.management == ManagementPolicy::Manage
}

/// Whether the stream with this ARN was made so recently that it may not show yet.
fn appears(arn: &str, now: Timestamp) -> bool {
    let created = arn
        .parse::<StreamArn>()
        .ok()
        .and_then(|arn| i64::try_from(arn.creation_millis()).ok())
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    created.is_some_and(|created| now.duration_since(created) < APPEARS_WITHIN)
}

const fn busy(status: StreamStatus) -> Option<Waiting> {
    match status {
        StreamStatus::Active => None,
        StreamStatus::Creating => Some(Waiting::Creating),
        StreamStatus::Updating => Some(Waiting::Updating),
        StreamStatus::Deleting => Some(Waiting::Deleting),
    }
}

/// Whether the stream may be ours. `Ok(Some)`: by adoption, and whose it was.
fn whose(
    desired: &Desired,
    tags: &BTreeMap<String, String>,
    rival_lives: bool,
) -> Result<Option<String>, Blocked> {
    let observes = desired.management == ManagementPolicy::Observe;
    match desired.owner.claim(tags) {
        Claim::Ours => Ok(None),
        Claim::Nobody if observes => Ok(None),
        Claim::Nobody if desired.adoption == AdoptionPolicy::Never => Err(Blocked::NotAdopted),
        Claim::Nobody => Ok(Some("which had no owner".into())),
        Claim::Another(owner) => {
            let lives = rival_lives && owner.cluster == desired.owner.cluster;
            if desired.adoption == AdoptionPolicy::Adopt && !lives && !observes {
                Ok(Some(format!("which was {owner}'s")))
            } else {
                Err(Blocked::OwnedByAnother { owner, lives })
            }
        }
    }
}

fn new_stream(desired: &Desired) -> NewStream {
    NewStream {
        name: desired.name.clone(),
        data_retention_in_hours: desired.retention.unwrap_or(DEFAULT_RETENTION),
        media_type: desired.media_type.clone(),
        device_name: desired.device_name.clone(),
        kms_key_id: desired.kms_key_id.clone(),
        tier: desired.tier,
        tags: desired.all_tags(),
    }
}

/// Tags that are missing or differ are set; tags that we had set and that the spec no longer has are removed; all others stay.
fn retag(desired: &Desired, tags: &BTreeMap<String, String>, adopts: Option<String>) -> Vec<Action> {
    let mut wanted = desired.all_tags();
    let stale: Vec<String> = desired
        .tags_before
        .iter()
        .filter(|key| tags.contains_key(*key) && !wanted.contains_key(*key))
        .cloned()
        .collect();
    wanted.retain(|key, value| tags.get(key) != Some(value));
    let mut actions = vec![];
    // First what goes, then what comes: a stream has room for 50.
    if !stale.is_empty() {
        actions.push(Action::Untag(stale));
    }
    if !wanted.is_empty() {
        actions.push(Action::Tag { tags: wanted, adopts });
    }
    actions
}

/// Image generation and notification have no version of their own: they may ride along.
fn configure(desired: &Desired, beside: &Beside) -> Vec<Action> {
    let mut actions = vec![];
    if let Some(images) = &desired.images {
        let to = merge::images(images, beside.images.as_ref());
        if to != beside.images {
            actions.push(Action::Images {
                from: beside.images.clone(),
                to,
            });
        }
    }
    if let Some(notification) = &desired.notification {
        let to = merge::notification(notification, beside.notification.as_ref());
        if to != beside.notification {
            actions.push(Action::Notification {
                from: beside.notification.clone(),
                to,
            });
        }
    }
    actions
}

/// The one versioned change of this pass, and what is held. What keeps more footage comes first, what drops some comes last.
fn change(
    desired: &Desired,
    observed: &Observed,
    stream: &Stream,
    now: Timestamp,
) -> (Option<Action>, Option<Held>) {
    let from = stream.data_retention_in_hours;
    let to = desired.retention.unwrap_or(from);
    let held = (to < from)
        .then(|| held_decrease(desired, observed, to, now))
        .flatten();
    if to > from {
        return (Some(Action::Retention { from, to }), None);
    }
    let differs =
        |wanted: &Option<String>, there: &Option<String>| wanted.clone().filter(|_| wanted != there);
    let update = StreamUpdate {
        media_type: differs(&desired.media_type, &stream.media_type),
        device_name: differs(&desired.device_name, &stream.device_name),
    };
    if update != StreamUpdate::default() {
        let from = StreamUpdate {
            media_type: stream.media_type.clone(),
            device_name: stream.device_name.clone(),
        };
        return (Some(Action::Update { update, from }), held);
    }
    if let (Some(from), Some(to)) = (observed.beside.tier, desired.tier)
        && from != to
    {
        return (Some(Action::Tier { from, to }), held);
    }
    if to < from && held.is_none() {
        return (Some(Action::Retention { from, to }), None);
    }
    (None, held)
}

fn allowed(desired: &Desired, now: Timestamp) -> bool {
    desired.allow_loss_until.is_some_and(|until| now < until)
}

fn held_decrease(desired: &Desired, observed: &Observed, hours: i32, now: Timestamp) -> Option<Held> {
    if allowed(desired, now) {
        return None;
    }
    let horizon = now - SignedDuration::from_hours(i64::from(hours));
    Held::of(
        observed.needs.iter().filter(|need| need.older_than(horizon)),
        &observed.unread,
    )
}

/// What happens to the stream of an object that is being deleted.
fn farewell(desired: &Desired, observed: &Observed, now: Timestamp, mut plan: Plan) -> Plan {
    let done = |mut plan: Plan, farewell| {
        plan.step = Step::LetGo(farewell);
        plan
    };
    plan.replaced = None;
    // Without the finalizer the object goes by itself, and a finalizer cannot be added any more.
    if !may_delete(desired) || !desired.finalizer {
        return done(plan, Farewell::Retained);
    }
    let Some((stream, tags)) = &observed.stream else {
        return done(plan, Farewell::Gone);
    };
    if desired.owner.claim(tags) != Claim::Ours {
        return done(plan, Farewell::Retained);
    }
    if !allowed(desired, now) {
        plan.held = Held::of(&observed.needs, &observed.unread);
    }
    if plan.held.is_some() && observed.terminating {
        plan.held = None;
        return done(plan, Farewell::RetainedForNeeds);
    }
    plan.finalizer = true;
    plan.step = match (busy(stream.status), &plan.held) {
        (Some(waiting), _) => Step::Wait(waiting),
        (None, Some(_)) => Step::Settled,
        (None, None) => Step::Act(vec![Action::Delete]),
    };
    plan
}

/// The stream's key, where it certainly is another than the spec's. An alias and a key cannot be compared without asking KMS.
fn other_key(wanted: Option<&str>, there: Option<&str>) -> Option<String> {
    let (wanted, there) = (wanted?, there?);
    let bare = |key: &str| key.rsplit_once(":key/").map_or(key, |(_, id)| id).to_owned();
    let alias = |key: &str| key.split_once("alias/").map(|(_, name)| name.to_owned());
    let same = match (alias(wanted), alias(there)) {
        (Some(wanted), Some(there)) => wanted == there,
        (None, None) => bare(wanted) == bare(there),
        // The default key shows as its alias; a key of one's own never does.
        (None, Some(there)) => there != "aws/kinesisvideo",
        (Some(_), None) => true,
    };
    (!same).then(|| there.to_owned())
}

#[cfg(test)]
mod tests;
