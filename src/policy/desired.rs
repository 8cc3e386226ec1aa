//! What a policy asks for: which streams it is for, and the alarm that each of them is to have.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
};

use super::trigger::{self, Trigger, Whose};
use crate::{
    api::{ArchivePolicy, Problem, VideoStream, condition},
    aws::{Place, Role, StreamArn},
    grants::{Grants, Missing},
    names,
    owner::Owner,
    runtime::Error,
};

/// The longest name of an alarm (PutMetricAlarm, API reference).
const ALARM_NAME: usize = 255;
/// The tag by which AWS's sample tells alarms that start recordings again and again while they are in ALARM.
const REPEATED_ALARM: &str = "RepeatedAlarm";

/// A policy's streams and alarms.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Whom the alarms belong to.
    pub owner: Owner,
    /// The tags that each alarm has at least.
    pub tags: BTreeMap<String, String>,
    /// What the names of this policy's alarms begin with, and of no other's.
    pub prefix: String,
    /// The streams that can be recorded.
    pub streams: Vec<Matched>,
    /// The VideoStreams that the selector matches.
    pub selected: BTreeSet<String>,
    /// Alarms, by place and name, of streams that match but cannot be recorded at the moment: they stay.
    pub keep: BTreeSet<(Place, String)>,
    /// VideoStreams that match and whose stream is not there yet.
    pub pending: Vec<String>,
    /// What stands in the way of others.
    pub problems: Vec<Problem>,
}

/// A stream that the policy is for.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The VideoStream's name.
    pub video_stream: String,
    /// Where the stream is.
    pub place: Place,
    /// The stream.
    pub arn: StreamArn,
    /// Hours for which footage is kept.
    pub retention_hours: i32,
    /// When the VideoStream was deleted, if it is going.
    pub deleted_at: Option<Timestamp>,
    /// The name of its alarm.
    pub alarm: String,
    /// Whose it is.
    pub whose: Whose,
}

impl Desired {
    /// What the policy asks for, given the VideoStreams of its namespace.
    ///
    /// # Errors
    /// `Spec`: what no schema can check is wrong. `NotGranted`: the namespace may not write into the bucket.
    pub fn of<'a>(
        policy: &ArchivePolicy,
        video_streams: impl IntoIterator<Item = &'a VideoStream>,
        cluster_id: &str,
        alarm_prefix: &str,
        grants: &Grants,
    ) -> Result<Self, Error> {
        let s3 = &policy.spec.destination.s3;
        grants.bucket(&policy.namespace().unwrap_or_default(), &s3.bucket, &s3.prefix)?;
        let mut desired = Self::nothing(policy, cluster_id, alarm_prefix);
        let trigger = Trigger::of(policy)?;
        let selector = selector(&policy.spec.stream_selector)?;
        let mut selected: Vec<_> = video_streams
            .into_iter()
            .filter(|v| v.namespace() == policy.namespace() && selector.matches(v.labels()))
            .collect();
        selected.sort_by_key(|v| v.name_any());
        desired.selected = selected.iter().map(|v| v.name_any()).collect();
        let mut taken = BTreeSet::new();
        for video_stream in selected {
            let matched = match granted(video_stream, grants) {
                Ok(()) => desired.matched(video_stream, trigger),
                Err(missing) => Err(Some(problem(
                    &video_stream.name_any(),
                    "NotGranted",
                    missing.to_string(),
                ))),
            };
            match matched {
                Ok(matched) if taken.insert(matched.arn.to_string()) => desired.streams.push(matched),
                Ok(matched) => desired.problems.push(problem(
                    &matched.video_stream,
                    "SameStream",
                    format!(
                        "another VideoStream of this namespace is for {} too; the policy records it once",
                        matched.arn
                    ),
                )),
                Err(problem) => {
                    desired.keep.extend(desired.alarm_of(video_stream));
                    match problem {
                        Some(problem) => desired.problems.push(problem),
                        None => desired.pending.push(video_stream.name_any()),
                    }
                }
            }
        }
        for stream in desired.streams.iter().filter(|s| s.retention_hours == 0) {
            desired.problems.push(problem(
                &stream.video_stream,
                "NoDataRetention",
                "the stream keeps no footage, so none can be archived: set spec.dataRetentionInHours of the VideoStream to 24 or more".into(),
            ));
        }
        Ok(desired)
    }

    /// No streams: all that a policy whose spec cannot be followed asks for, and enough to clear up after it.
    pub fn nothing(policy: &ArchivePolicy, cluster_id: &str, alarm_prefix: &str) -> Self {
        let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
        let prefix = format!("{alarm_prefix}/{namespace}/{name}/");
        let owner = Owner {
            cluster: cluster_id.into(),
            namespace,
            name,
        };
        let mut tags = owner.tags(&policy.uid().unwrap_or_default());
        tags.insert(REPEATED_ALARM.into(), "true".into());
        Self {
            owner,
            tags,
            prefix,
            streams: vec![],
            selected: BTreeSet::new(),
            keep: BTreeSet::new(),
            pending: vec![],
            problems: vec![],
        }
    }

    /// The alarm of a VideoStream whose stream is not there at the moment.
    fn alarm_of(&self, video_stream: &VideoStream) -> Option<(Place, String)> {
        let place = place_of(video_stream)?;
        let name = video_stream.status.as_ref()?.stream_name.as_ref()?;
        let alarm = alarm_name(&self.prefix, &self.owner, &place, name);
        Some((place, alarm))
    }

    /// What a VideoStream's stream is to have, or what stands in the way; nothing does where it is only a matter of time.
    fn matched(&self, video_stream: &VideoStream, trigger: Trigger<'_>) -> Result<Matched, Option<Problem>> {
        let name = video_stream.name_any();
        let status = video_stream.status.as_ref();
        if status.is_some_and(|s| condition::is_true(&s.conditions, condition::OWNED_BY_ANOTHER)) {
            let message = "its stream belongs to another owner, so it feeds no recording: see the VideoStream's conditions";
            return Err(Some(problem(&name, "StreamOwnedByAnother", message.into())));
        }
        let not_ready = |message| problem(&name, "StreamNotReady", message);
        let Some(arn) = status.and_then(|s| s.stream_arn.as_ref()) else {
            let stalled = status.and_then(|s| condition::find(&s.conditions, condition::STALLED));
            return Err(stalled.map(|c| not_ready(format!("it has no stream: {}", c.message))));
        };
        let arn: StreamArn = arn
            .parse()
            .map_err(|e| Some(not_ready(format!("its status is odd: {e}"))))?;
        let place = Place {
            region: arn.region().to_owned(),
            role: role_of(video_stream),
        };
        let (alarm, whose) = match trigger {
            Trigger::Alarm(alarm, threshold) => (
                alarm_name(&self.prefix, &self.owner, &place, arn.name()),
                Whose::Ours(trigger::definition(alarm, threshold, &arn)),
            ),
            Trigger::Existing(existing) => {
                let alarm = trigger::existing_name(&existing.name, video_stream, arn.name());
                let unknown = |why| Some(problem(&name, "AlarmNameUnknown", why));
                (
                    alarm.map_err(unknown)?,
                    Whose::Theirs(existing.require_tags.clone()),
                )
            }
        };
        Ok(Matched {
            alarm,
            place,
            whose,
            retention_hours: status.and_then(|s| s.data_retention_in_hours).unwrap_or(0),
            deleted_at: video_stream.metadata.deletion_timestamp.as_ref().map(|t| t.0),
            video_stream: name,
            arn,
        })
    }
}

/// Something that stands in the way of one stream.
pub fn problem(stream: &str, reason: &str, message: String) -> Problem {
    Problem {
        stream: stream.into(),
        reason: reason.into(),
        message,
    }
}

/// Where a VideoStream's stream is, once that is resolved.
pub fn place_of(video_stream: &VideoStream) -> Option<Place> {
    Some(Place {
        region: video_stream.status.as_ref()?.region.clone()?,
        role: role_of(video_stream),
    })
}

fn role_of(video_stream: &VideoStream) -> Option<Role> {
    let spec = &video_stream.spec;
    Role::of(spec.role_arn.as_ref(), spec.external_id.as_ref())
}

/// Whether a namespace may use a VideoStream's stream.
pub fn granted(video_stream: &VideoStream, grants: &Grants) -> Result<(), Missing> {
    let (namespace, object) = (
        video_stream.namespace().unwrap_or_default(),
        video_stream.name_any(),
    );
    let name = video_stream.spec.stream_name.as_ref().unwrap_or(&object);
    grants.stream(&namespace, name, video_stream.spec.role_arn.as_deref())
}

/// Whether the policy's selector matches these labels.
///
/// # Errors
/// `Spec`: the selector is wrong.
pub fn selector(selector: &LabelSelector) -> Result<Selector, Error> {
    Selector::try_from(selector.clone()).map_err(|e| Error::Spec(format!("spec.streamSelector: {e}")))
}

/// The alarm's name: the same for every stream that ever has the name, so that an alarm lives on with the camera.
fn alarm_name(prefix: &str, owner: &Owner, place: &Place, stream: &str) -> String {
    let mut identity = vec![&*owner.namespace, &owner.name, &place.region, stream];
    // Two accounts may have streams of one name.
    identity.extend(place.role.as_ref().map(Role::account));
    let head = ALARM_NAME.saturating_sub(prefix.len() + 11);
    let head: String = stream.chars().take(head).collect();
    format!("{prefix}{head}-{}", names::digits(&identity))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(spec: serde_json::Value) -> ArchivePolicy {
        let mut whole = json!({"streamSelector": {}, "trigger": {"alarm": {}}, "destination": {"s3": {"bucket": "bucket"}}});
        whole
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
            "metadata": {"name": "all", "namespace": "cameras", "uid": "u-1"}, "spec": whole,
        }))
        .unwrap()
    }

    fn stream(name: &str, site: &str, arn: Option<&str>, retention: i32) -> VideoStream {
        let arn = arn
            .map(|name| format!("arn:aws:kinesisvideo:eu-west-1:123456789012:stream/{name}/1551924009774"));
        serde_json::from_value(json!({
            "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
            "metadata": {"name": name, "namespace": "cameras", "labels": {"site": site}}, "spec": {},
            "status": {"streamARN": arn, "dataRetentionInHours": retention},
        }))
        .unwrap()
    }

    fn of(policy: &ArchivePolicy, streams: &[VideoStream]) -> Desired {
        Desired::of(policy, streams, "c-1", "kvs-operator", &Grants::default()).unwrap()
    }

    #[test]
    fn one_alarm_for_each_stream_that_matches() {
        let policy = policy(json!({"streamSelector": {"matchLabels": {"site": "north"}}}));
        let mut elsewhere = stream("e", "north", Some("e"), 24);
        elsewhere.metadata.namespace = Some("other".into());
        let streams = [
            stream("b", "north", Some("cam.b"), 24),
            stream("a", "north", Some("a"), 24),
            stream("c", "south", Some("c"), 24),
            elsewhere,
        ];
        let desired = of(&policy, &streams);
        assert_eq!(desired.selected.len(), 2);
        assert!(desired.problems.is_empty());
        let alarms: Vec<_> = desired.streams.iter().map(|s| s.alarm.as_str()).collect();
        assert!(alarms[0].starts_with("kvs-operator/cameras/all/a-"), "{alarms:?}");
        assert!(
            alarms[1].starts_with("kvs-operator/cameras/all/cam.b-"),
            "{alarms:?}"
        );
        let Whose::Ours(definition) = &desired.streams[1].whose else {
            panic!("the operator's own alarm")
        };
        assert_eq!(definition.metric_name, "PutMedia.IncomingFragments");
        assert_eq!(definition.dimensions["StreamName"], "cam.b");
        assert_eq!(
            (definition.statistic.as_str(), definition.threshold),
            ("Sum", 1.0)
        );
        assert_eq!(definition.comparison_operator, "GreaterThanOrEqualToThreshold");
        assert_eq!(definition.treat_missing_data, "notBreaching");
        assert_eq!(desired.tags["RepeatedAlarm"], "true");
        assert_eq!(desired.tags["kvs-operator.io/name"], "all");
    }

    #[test]
    fn says_what_stands_in_the_way() {
        let mut owned = stream("owned", "x", None, 24);
        owned.status.as_mut().unwrap().conditions = condition::set(
            &[],
            &[condition::Say {
                type_: condition::OWNED_BY_ANOTHER,
                status: true,
                reason: "R",
                message: String::new(),
            }],
            None,
            Timestamp::UNIX_EPOCH,
        );
        let streams = [
            stream("a", "x", Some("a"), 0),
            stream("b", "x", None, 24),
            stream("c", "x", Some("d"), 24),
            stream("d", "x", Some("d"), 24),
            owned,
        ];
        let desired = of(&policy(json!({})), &streams);
        assert_eq!(desired.selected.len(), 5);
        let problems: Vec<_> = desired
            .problems
            .iter()
            .map(|p| (p.stream.as_str(), p.reason.as_str()))
            .collect();
        assert_eq!(
            problems,
            [
                ("d", "SameStream"),
                ("owned", "StreamOwnedByAnother"),
                ("a", "NoDataRetention")
            ]
        );
        assert_eq!(desired.pending, ["b"]);
        assert_eq!(
            desired.streams.len(),
            2,
            "a stream without retention is recorded too: its recordings say so"
        );
    }

    #[test]
    fn a_selector_or_threshold_that_makes_no_sense_is_said() {
        let odd = json!({"streamSelector": {"matchExpressions": [{"key": "site", "operator": "Near", "values": ["x"]}]}});
        assert!(Desired::of(&policy(odd), &[], "c", "p", &Grants::default()).is_err());
        let odd = json!({"trigger": {"alarm": {"threshold": "many"}}});
        let error = Desired::of(&policy(odd), &[], "c", "p", &Grants::default()).unwrap_err();
        assert!(error.to_string().contains("threshold"), "{error}");
    }

    #[test]
    fn somebody_elses_alarm_is_found_by_each_streams_own_name() {
        let trigger = json!({"trigger": {"existingAlarm": {"name": "motion-{labels.site}-{streamName}"}}});
        let mut bare = stream("b", "x", Some("b"), 24);
        bare.metadata.labels = None;
        let desired = of(&policy(trigger), &[stream("a", "north", Some("cam"), 24), bare]);
        assert_eq!(desired.streams.len(), 1);
        assert_eq!(desired.streams[0].alarm, "motion-north-cam");
        assert_eq!(desired.streams[0].whose, Whose::Theirs([].into()));
        assert_eq!(desired.problems[0].reason, "AlarmNameUnknown");
        assert!(
            desired.problems[0].message.contains("label site"),
            "{:?}",
            desired.problems
        );
    }

    #[test]
    fn alarm_names_fit() {
        let mut policy = policy(json!({}));
        policy.metadata.name = Some("p".repeat(63));
        let long = "s".repeat(256);
        let desired = of(&policy, &[stream("a", "x", Some(&long), 24)]);
        assert_eq!(desired.streams[0].alarm.len(), 255);
    }
}
