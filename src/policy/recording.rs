//! Recordings as this controller makes and reads them.
//!
//! Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{ResourceExt, api::ObjectMeta};

use super::{
    desired::Matched,
    windows::{Ended, Known, New},
};
use crate::{
    api::{ArchivePolicy, Cause, Phase, Recording, RecordingSpec, labels},
    aws::{Place, Role},
    grants::{Grants, Missing},
    names,
};

/// The longest name of a Recording: its Jobs' names begin with it.
const NAME: usize = 52;
/// The longest reason that a Recording holds.
const REASON: usize = 1024;
/// The value of the annotation `FOUND_BY`.
const LEVEL: &str = "Level";

/// What makes a Recording this one and no other.
struct Identity<'a> {
    namespace: &'a str,
    policy: &'a str,
    video_stream: &'a str,
    arn: &'a str,
    transition: Timestamp,
    /// Its start, where it goes on with an episode.
    goes_on_at: Option<Timestamp>,
}

impl Identity<'_> {
    /// What the name derives from. The VideoStream's name is only for people: another object may stand for the stream later.
    fn parts(&self) -> Vec<String> {
        let mut parts = vec![
            self.namespace.to_owned(),
            self.policy.to_owned(),
            self.arn.to_owned(),
            self.transition.to_string(),
        ];
        parts.extend(self.goes_on_at.map(|start| start.to_string()));
        parts
    }

    fn name(&self) -> String {
        let when = self
            .goes_on_at
            .unwrap_or(self.transition)
            .strftime("%Y%m%d-%H%M%S")
            .to_string();
        let head: String = self.video_stream.chars().take(NAME - 12 - when.len()).collect();
        names::dns(&format!("{head}-{when}"), &self.parts(), NAME)
    }
}

/// The Recording for a new window.
pub fn make(policy: &ArchivePolicy, matched: &Matched, new: &New) -> Recording {
    let (namespace, policy_name) = (policy.namespace().unwrap_or_default(), policy.name_any());
    let arn = matched.arn.to_string();
    let identity = Identity {
        namespace: &namespace,
        policy: &policy_name,
        video_stream: &matched.video_stream,
        arn: &arn,
        transition: new.transition,
        goes_on_at: new.goes_on.then_some(new.start),
    };
    let (name, parts) = (identity.name(), identity.parts());
    let mut annotations = BTreeMap::from([
        (labels::STREAM_ARN.to_owned(), arn.clone()),
        (
            labels::IDENTITY.to_owned(),
            serde_json::Value::from(parts).to_string(),
        ),
        (labels::ENTRY.to_owned(), new.entry.to_string()),
    ]);
    if new.by_level {
        annotations.insert(labels::FOUND_BY.to_owned(), LEVEL.to_owned());
    }
    if let Some((_, ended)) = new.end {
        annotations.insert(labels::ENDED.to_owned(), ended.name().to_owned());
    }
    Recording {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(BTreeMap::from([
                (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned()),
                (labels::POLICY.to_owned(), policy_name.clone()),
                (labels::STREAM.to_owned(), names::digits(&[&arn])),
            ])),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: RecordingSpec {
            stream_name: matched.arn.name().to_owned(),
            stream_arn: arn,
            region: matched.arn.region().to_owned(),
            role_arn: matched.place.role.as_ref().map(|role| role.arn.clone()),
            external_id: matched
                .place
                .role
                .as_ref()
                .and_then(|role| role.external_id.clone()),
            start: MicroTime(new.start),
            end: new.end.map(|(end, _)| MicroTime(end)),
            hold_at: new.hold_at.map(MicroTime),
            cause: Some(Cause {
                policy: Some(policy_name),
                video_stream: Some(matched.video_stream.clone()),
                alarm: Some(matched.alarm.clone()),
                transition: Some(MicroTime(new.transition)),
                reason: new
                    .reason
                    .as_ref()
                    .map(|reason| reason.chars().take(REASON).collect()),
            }),
            archive_every: policy.spec.archive_every,
            late_uploads: policy.spec.recording.late_uploads,
            destination: policy.spec.destination.clone(),
            clip: policy.spec.clip.clone(),
            legal_hold: false,
            job: policy.spec.job.clone(),
        },
        status: None,
    }
}

/// A Recording that this policy made, as far as windows go. `None`: somebody else made it, whatever its labels say.
pub fn known(recording: &Recording, policy: &str) -> Option<Known> {
    let (spec, meta) = (&recording.spec, &recording.metadata);
    let cause = spec
        .cause
        .as_ref()
        .filter(|cause| cause.policy.as_deref() == Some(policy))?;
    let (transition, video_stream) = (cause.transition.as_ref()?.0, cause.video_stream.as_ref()?);
    let (namespace, start) = (recording.namespace().unwrap_or_default(), spec.start.0);
    let derived = |goes_on_at| {
        let identity = Identity {
            namespace: &namespace,
            policy,
            video_stream,
            arn: &spec.stream_arn,
            transition,
            goes_on_at,
        };
        identity.name() == recording.name_any()
    };
    if !derived(None) && !derived(Some(start)) {
        return None;
    }
    let ended = recording.annotations().get(labels::ENDED);
    Some(Known {
        name: recording.name_any(),
        start,
        end: spec.end.as_ref().map(|end| end.0),
        hold_at: spec.hold_at.as_ref().map(|hold_at| hold_at.0),
        transition,
        by_level: recording
            .annotations()
            .get(labels::FOUND_BY)
            .is_some_and(|by| by == LEVEL),
        ended: ended.and_then(|name| Ended::ALL.into_iter().find(|ended| ended.name() == name)),
        reach: reach(recording),
        leaving: meta.deletion_timestamp.as_ref().map(|at| at.0),
    })
}

/// What no slice of the Recording reaches past, once its status answers to a spec that bounds them.
fn reach(recording: &Recording) -> Option<Timestamp> {
    let (spec, status) = (&recording.spec, recording.status.as_ref()?);
    let bounded = spec.end.is_some() || spec.hold_at.is_some();
    let answered =
        status.observed_generation.is_some() && status.observed_generation == recording.metadata.generation;
    let archived = status
        .archived_through
        .as_ref()
        .map_or(spec.start.0, |through| through.0);
    let slice = match &status.job {
        None => archived,
        Some(job) => job.to.as_ref()?.0,
    };
    (bounded && answered).then_some(archived.max(slice))
}

/// Where a Recording's stream is.
pub fn place(recording: &Recording) -> Place {
    let spec = &recording.spec;
    Place {
        region: spec.region.clone(),
        role: Role::of(spec.role_arn.as_ref(), spec.external_id.as_ref()),
    }
}

/// Whether a Recording's namespace may read its stream and write where it goes. Names are taken from the ARN: it is what is
/// archived.
pub fn granted(recording: &Recording, grants: &Grants) -> Result<(), Missing> {
    let (namespace, spec) = (recording.namespace().unwrap_or_default(), &recording.spec);
    let name = spec.stream_arn.split('/').nth(1).unwrap_or_default();
    grants.stream(&namespace, name, spec.role_arn.as_deref())?;
    // Two names for one stream would be two answers.
    grants.stream(&namespace, &spec.stream_name, spec.role_arn.as_deref())?;
    grants.bucket(
        &namespace,
        &spec.destination.s3.bucket,
        &spec.destination.s3.prefix,
    )
}

/// Whether everything that can be done for a Recording is done.
pub fn is_finished(recording: &Recording) -> bool {
    let phase = recording.status.as_ref().and_then(|status| status.phase);
    matches!(phase, Some(Phase::Complete | Phase::Incomplete))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::trigger::Whose, *};
    use crate::api::{JobStatus, RecordingStatus};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn made(goes_on: bool) -> Recording {
        let policy: ArchivePolicy = serde_json::from_value(json!({
            "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
            "metadata": {"name": "all", "namespace": "cameras"},
            "spec": {"streamSelector": {}, "trigger": {"alarm": {}}, "destination": {"s3": {"bucket": "bucket"}}},
        }))
        .unwrap();
        let matched = Matched {
            video_stream: "front-door-of-the-warehouse-at-the-harbour".into(),
            place: Place::own("eu-west-1"),
            arn: "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/door/1551924009774"
                .parse()
                .unwrap(),
            retention_hours: 24,
            deleted_at: None,
            alarm: "kvs-operator/cameras/all/door-0123456789".into(),
            whose: Whose::Theirs([].into()),
        };
        let new = New {
            transition: at("2026-11-23T17:15:02.123Z"),
            goes_on,
            by_level: false,
            reason: Some("Threshold Crossed".into()),
            start: at("2026-11-23T17:12:00Z"),
            end: None,
            hold_at: None,
            entry: at("2026-11-23T17:15:02.123Z"),
        };
        make(&policy, &matched, &new)
    }

    #[test]
    fn names_are_derived_and_tell_what_they_are() {
        let (first, next) = (made(false).name_any(), made(true).name_any());
        assert!(
            first.starts_with("front-door-of-the-warehou-20261123-171502-"),
            "{first}"
        );
        assert_eq!(first.len(), NAME);
        assert!(next.contains("-20261123-171200-"), "{next}");
        assert_ne!(first.rsplit('-').next(), next.rsplit('-').next());
        assert_eq!(first, made(false).name_any());
    }

    #[test]
    fn what_was_made_is_known_again_and_a_copy_is_not() {
        for goes_on in [false, true] {
            let recording = made(goes_on);
            let read = known(&recording, "all").unwrap();
            assert_eq!(
                (read.start, read.transition),
                (at("2026-11-23T17:12:00Z"), at("2026-11-23T17:15:02.123Z"))
            );
            assert_eq!(super::super::checkpoint::entry(&recording), read.transition);
            assert_eq!(known(&recording, "another"), None);
            let mut copy = recording;
            copy.metadata.name = Some("mine".into());
            assert_eq!(known(&copy, "all"), None);
        }
    }

    #[test]
    fn the_reach_is_known_once_the_status_answers_to_a_bounded_spec() {
        let (hold, slice) = (at("2026-11-23T17:30:00Z"), at("2026-11-23T17:29:00Z"));
        let mut recording = made(false);
        recording.metadata.generation = Some(2);
        recording.status = Some(RecordingStatus {
            observed_generation: Some(2),
            ..RecordingStatus::default()
        });
        assert_eq!(
            known(&recording, "all").unwrap().reach,
            None,
            "nothing bounds its slices"
        );
        recording.spec.hold_at = Some(MicroTime(hold));
        assert_eq!(
            known(&recording, "all").unwrap().reach,
            Some(recording.spec.start.0)
        );
        let status = recording.status.as_mut().unwrap();
        status.job = Some(JobStatus {
            to: Some(MicroTime(slice)),
            ..JobStatus::default()
        });
        assert_eq!(known(&recording, "all").unwrap().reach, Some(slice));
        recording.status.as_mut().unwrap().job.as_mut().unwrap().to = None;
        assert_eq!(known(&recording, "all").unwrap().reach, None);
        recording.status.as_mut().unwrap().job = None;
        recording.metadata.generation = Some(3);
        assert_eq!(
            known(&recording, "all").unwrap().reach,
            None,
            "the status answers to an older spec"
        );
    }
}
