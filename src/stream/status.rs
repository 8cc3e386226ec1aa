//! Pure: what a pass tells the user: observed values and conditions. It is written also when the pass failed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    act::Outcome,
    desired::{ALLOW_LOSS, Desired},
    plan::{Blocked, Observed, Plan, Step, Waiting},
};
use crate::{
    api::{
        DefaultStorageTier, ManagementPolicy, VideoStreamStatus,
        condition::{self, OWNED_BY_ANOTHER, READY, RECONCILING, STALLED, Say},
    },
    aws::streams::Stream,
    runtime::{Class, Error},
};

/// How far a pass came.
#[derive(Debug, Default)]
pub struct Pass {
    /// What was wanted, where the spec could be followed.
    pub desired: Option<Desired>,
    /// What was there, where it could be read.
    pub observed: Option<Observed>,
    /// What was to be done.
    pub plan: Option<Plan>,
    /// What was done.
    pub outcome: Outcome,
    /// What stopped it.
    pub failed: Option<Error>,
}

/// The status after a pass.
pub fn status(
    old: &VideoStreamStatus,
    pass: &Pass,
    generation: Option<i64>,
    now: Timestamp,
) -> VideoStreamStatus {
    let mut status = old.clone();
    status.observed_generation = generation;
    if let Some(desired) = &pass.desired {
        status.stream_name = Some(desired.name.clone());
        status.region = Some(desired.place.region.clone());
    }
    if let (Some(desired), Some(plan)) = (&pass.desired, &pass.plan) {
        values(&mut status, pass, desired, plan);
    }
    status.conditions = condition::set(
        &old.conditions,
        &conditions(old, pass, notice(&status), generation),
        generation,
        now,
    );
    status
}

/// What is known of the stream; nothing, where it is not this object's.
fn values(status: &mut VideoStreamStatus, pass: &Pass, desired: &Desired, plan: &Plan) {
    let seen = pass
        .observed
        .as_ref()
        .and_then(|observed| observed.stream.as_ref())
        .map(|(stream, _)| stream);
    match (&plan.step, seen) {
        (Step::Suspended | Step::LetGo(_), _) => return,
        // A stream that we made, and that AWS does not show yet.
        (Step::Wait(_), None) => {
            status.stream_arn = desired.known_arn.clone();
            status.stream_status = Some("CREATING".into());
            return;
        }
        (Step::Blocked(_), _) | (_, None) => forget(status),
        (_, Some(stream)) => know(status, stream),
    }
    status.default_storage_tier = pass.observed.as_ref().and_then(|observed| observed.beside.tier);
    if let Some(arn) = &pass.outcome.created {
        status.stream_arn = Some(arn.clone());
        status.stream_status = Some("CREATING".into());
    }
    if pass.failed.is_none() && desired.management == ManagementPolicy::Manage {
        status.tag_keys = desired.tags.keys().cloned().collect();
    }
}

/// Hours that AWS charges for at least in the WARM tier: 30 days (AWS's announcement of the tier, January 2026).
const WARM_PAYS_FROM: i32 = 720;

/// What a person should know of a stream that is as the spec says.
pub fn notice(status: &VideoStreamStatus) -> Option<String> {
    let hours = status.data_retention_in_hours?;
    let warm = status.default_storage_tier == Some(DefaultStorageTier::Warm);
    (warm && hours < WARM_PAYS_FROM).then(|| {
        format!(
            "the WARM tier is charged for at least {WARM_PAYS_FROM} h and the stream keeps footage for {hours} h: HOT most likely costs less"
        )
    })
}

fn know(status: &mut VideoStreamStatus, stream: &Stream) {
    status.stream_arn = Some(stream.arn.clone());
    status.stream_status = Some(stream.status.name().into());
    status.version = Some(stream.version.clone());
    status.creation_time = stream.creation_time.map(Time);
    status.data_retention_in_hours = Some(stream.data_retention_in_hours);
    status.media_type = stream.media_type.clone();
    status.device_name = stream.device_name.clone();
    status.kms_key_id = stream.kms_key_id.clone();
}

fn forget(status: &mut VideoStreamStatus) {
    *status = VideoStreamStatus {
        observed_generation: status.observed_generation,
        stream_name: status.stream_name.take(),
        region: status.region.take(),
        conditions: std::mem::take(&mut status.conditions),
        ..VideoStreamStatus::default()
    };
}

fn say(type_: &'static str, status: bool, reason: &'static str, message: &str) -> Say {
    Say {
        type_,
        status,
        reason,
        message: message.into(),
    }
}

/// `Ready` does not hold, and these do, for the same reason.
fn not_ready(with: &[&'static str], reason: &'static str, message: &str) -> Vec<Say> {
    let mut all = vec![say(READY, false, reason, message)];
    all.extend(with.iter().map(|type_| say(type_, true, reason, message)));
    all
}

/// `Ready` always; the others, which are bad news, only where they hold.
fn conditions(
    old: &VideoStreamStatus,
    pass: &Pass,
    notice: Option<String>,
    generation: Option<i64>,
) -> Vec<Say> {
    if let Some(error) = &pass.failed {
        let (reason, message) = (error.reason(), error.explain());
        return match error.class() {
            Class::Person => not_ready(&[STALLED], reason, &message),
            // What was as it should be a moment ago most likely still is.
            Class::Soon | Class::Transient => match was_ready(old, generation) {
                Some((ready, text)) => {
                    vec![
                        say(READY, true, ready, &text),
                        say(RECONCILING, true, reason, &message),
                    ]
                }
                None => not_ready(&[RECONCILING], reason, &message),
            },
        };
    }
    let (Some(desired), Some(plan)) = (&pass.desired, &pass.plan) else {
        return vec![];
    };
    match &plan.step {
        Step::Act(actions) => {
            let first = actions.first();
            let reason = first.map_or(
                "Updating",
                |action| if action.creates() { "Creating" } else { "Updating" },
            );
            let doing: Vec<_> = actions.iter().map(ToString::to_string).collect();
            not_ready(&[RECONCILING], reason, &doing.join("; "))
        }
        Step::Wait(waiting) => {
            let (reason, text) = match waiting {
                Waiting::Creating => ("Creating", "AWS is making the stream"),
                Waiting::Updating => ("Updating", "AWS is changing the stream"),
                Waiting::Deleting => ("Deleting", "AWS is deleting the stream"),
            };
            not_ready(&[RECONCILING], reason, text)
        }
        Step::Blocked(Blocked::OwnedByAnother { owner, lives }) => {
            let advice = match (lives, owner.cluster == desired.owner.cluster) {
                (true, _) => "that VideoStream lives: only one of the two can have the stream",
                (false, true) => {
                    "that VideoStream is gone: to take the stream over, set spec.adoptionPolicy to Adopt"
                }
                (false, false) => "to take the stream over, set spec.adoptionPolicy to Adopt",
            };
            let text = format!(
                "the stream {} belongs to {owner} and is left alone; {advice}",
                desired.name
            );
            not_ready(&[OWNED_BY_ANOTHER, STALLED], "OwnedByAnother", &text)
        }
        Step::Blocked(Blocked::NotAdopted) => {
            let text = format!(
                "the stream {} exists and its tags do not say that this operator made it; to take it over, set spec.adoptionPolicy to AdoptIfUnowned",
                desired.name
            );
            not_ready(&[STALLED], "NotAdopted", &text)
        }
        Step::Blocked(Blocked::NothingToObserve) => {
            let text = format!(
                "there is no stream {} in {}, and spec.managementPolicy is Observe: make the stream, or set Manage",
                desired.name, desired.place.region
            );
            not_ready(&[STALLED], "StreamNotFound", &text)
        }
        Step::Settled if plan.held.is_some() => held(desired, plan),
        Step::Settled => match &plan.other_key {
            Some(key) => {
                let text = format!(
                    "the stream is encrypted with {key}, and AWS cannot change a stream's key; correct spec.kmsKeyId by making the VideoStream anew"
                );
                not_ready(&[STALLED], "KmsKeyDiffers", &text)
            }
            None if desired.management == ManagementPolicy::Observe => {
                vec![say(
                    READY,
                    true,
                    "Observed",
                    "the stream is there; it is only observed",
                )]
            }
            None => {
                let notice = notice.map(|notice| format!("; {notice}")).unwrap_or_default();
                let text = format!("the stream is as the spec says{notice}");
                vec![say(READY, true, "InSync", &text)]
            }
        },
        Step::Suspended => not_ready(
            &[],
            "Suspended",
            "spec.suspend is true: the stream is neither read nor changed",
        ),
        Step::LetGo(_) => vec![],
    }
}

fn held(desired: &Desired, plan: &Plan) -> Vec<Say> {
    let why = plan
        .held
        .as_ref()
        .map(super::need::Held::explain)
        .unwrap_or_default();
    let insist = format!("to insist, annotate the VideoStream with {ALLOW_LOSS}=TIME, until when that holds");
    if desired.deleting {
        let text = format!(
            "the stream is not deleted yet: its footage is {why}; {insist}; or keep the stream with spec.deletionPolicy: Retain"
        );
        return not_ready(&[RECONCILING], "DeletionHeld", &text);
    }
    let hours = desired.retention.unwrap_or_default();
    let text =
        format!("dataRetentionInHours is not lowered to {hours} yet: older footage is {why}; {insist}");
    not_ready(&[RECONCILING], "RetentionDecreaseHeld", &text)
}

/// Reason and message of a `Ready` that held for this very spec.
fn was_ready(old: &VideoStreamStatus, generation: Option<i64>) -> Option<(&'static str, String)> {
    let ready = old
        .conditions
        .iter()
        .find(|c| c.type_ == READY && c.status == "True" && c.observed_generation == generation)?;
    let reason = ["InSync", "Observed"]
        .into_iter()
        .find(|reason| *reason == ready.reason)?;
    Some((reason, ready.message.clone()))
}
