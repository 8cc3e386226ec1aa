use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde_json::json;

use super::*;
use crate::api::{Phase, RecordingStatus, VideoStream};
use crate::owner::Owner;

const REGION: &str = "eu-west-1";
const CREATED: u64 = 1_700_000_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_100_000 + seconds).unwrap()
}

fn policy() -> ArchivePolicy {
    let mut policy: ArchivePolicy = serde_json::from_value(json!({
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
        "metadata": {"name": "all", "namespace": "cameras", "uid": "u-1"},
        "spec": {
            "streamSelector": {"matchLabels": {"record": "yes"}},
            "trigger": {"alarm": {}},
            "destination": {"s3": {"bucket": "bucket"}},
        },
    }))
    .unwrap();
    policy.metadata.creation_timestamp = Some(Time(at(0)));
    policy
}

fn video_stream(name: &str, created: u64) -> VideoStream {
    serde_json::from_value(json!({
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
        "metadata": {"name": name, "namespace": "cameras", "labels": {"record": "yes"}}, "spec": {},
        "status": {
            "streamARN": format!("arn:aws:kinesisvideo:{REGION}:123456789012:stream/{name}/{created}"),
            "streamName": name, "region": REGION, "dataRetentionInHours": 24,
        },
    }))
    .unwrap()
}

/// A policy, its streams, and what is there: enough of the world for whole stories.
struct World {
    policy: ArchivePolicy,
    streams: Vec<VideoStream>,
    observed: Observed,
    checkpoint: Option<Timestamp>,
    /// The tags of all alarms; a plan sees those that it asks for.
    tags: BTreeMap<AlarmKey, BTreeMap<String, String>>,
    /// Whether no tags could be read yet.
    no_tags: bool,
}

impl World {
    fn new() -> Self {
        let observed = Observed {
            now: at(10),
            alarms_read: at(10),
            transitions_read: at(10),
            alarms: BTreeMap::new(),
            tags: BTreeMap::new(),
            unsure: BTreeSet::new(),
            transitions: BTreeMap::new(),
            unread: BTreeMap::new(),
            recordings: vec![],
            video_streams: BTreeSet::new(),
            namespace_terminating: false,
        };
        Self {
            policy: policy(),
            streams: vec![video_stream("door", CREATED)],
            observed,
            checkpoint: None,
            tags: BTreeMap::new(),
            no_tags: false,
        }
    }

    fn desired(&self) -> Desired {
        Desired::of(
            &self.policy,
            &self.streams,
            "c-1",
            "kvs-operator",
            &crate::grants::Grants::default(),
        )
        .unwrap()
    }

    fn key(&self) -> AlarmKey {
        key(&self.desired().streams[0])
    }

    fn plan(&mut self) -> Plan {
        let desired = self.desired();
        (self.observed.alarms_read, self.observed.transitions_read) = (self.observed.now, self.observed.now);
        self.observed.video_streams = self.streams.iter().map(|s| s.name_any()).collect();
        self.policy.status.get_or_insert_default().history_through = self.checkpoint.map(Time);
        let memory = remember(&self.policy, &self.observed.recordings, self.observed.now);
        let needed = to_examine(&self.policy, &desired, &self.observed);
        let (unsure, sure): (Vec<_>, Vec<_>) = needed.into_iter().partition(|_| self.no_tags);
        self.observed.unsure = unsure.into_iter().collect();
        self.observed.tags = sure
            .into_iter()
            .map(|key| (key.clone(), self.tags.get(&key).cloned().unwrap_or_default()))
            .collect();
        let plan = plan(&self.policy, &desired, &self.observed, &memory);
        let missing = plan.waiting;
        self.checkpoint = Some(checkpoint::next(memory.checkpoint, self.observed.now, missing));
        self.policy.status.get_or_insert_default().watching_since = memory.watching_since.map(Time);
        plan
    }

    /// Does what a plan says, and shows what it was.
    fn pass(&mut self) -> Vec<&'static str> {
        let plan = self.plan();
        let mut did = vec![];
        for action in plan.groups.into_iter().flatten() {
            did.push(action.reason());
            match action {
                Action::Begin(recording, _) => self.observed.recordings.push(Arc::new(*recording)),
                Action::Change { change, .. } => {
                    let mut recordings = self.observed.recordings.iter_mut();
                    let recording = recordings.find(|r| r.name_any() == change.name).unwrap();
                    let recording = Arc::make_mut(recording);
                    recording.spec.end = change.end.map(MicroTime);
                    recording.spec.hold_at = change.hold_at.map(MicroTime);
                    if let Some(ended) = change.ended {
                        recording
                            .annotations_mut()
                            .insert(crate::api::labels::ENDED.into(), ended.name().into());
                    }
                }
                Action::PutAlarm { place, alarm, new } => {
                    let key = (place, alarm.name.clone());
                    assert_eq!(new, !self.observed.alarms.contains_key(&key));
                    let old = self.observed.alarms.remove(&key);
                    let put = Alarm {
                        arn: format!("arn:{}", alarm.name),
                        name: alarm.name,
                        description: alarm.description,
                        definition: Some(alarm.definition),
                        actions: alarm.actions,
                        in_alarm: old.as_ref().is_some_and(|old| old.in_alarm),
                        since: old.map_or(self.observed.now, |old| old.since),
                        reason: None,
                        reason_data: None,
                    };
                    if new {
                        self.tags.insert(key.clone(), alarm.tags);
                    }
                    self.observed.alarms.insert(key, put);
                }
                Action::TagAlarm {
                    place, name, tags, ..
                } => self.tags.entry((place, name)).or_default().extend(tags),
                Action::DeleteAlarm { place, name } => {
                    let key = (place, name);
                    self.tags.remove(&key);
                    self.observed.alarms.remove(&key).unwrap();
                }
            }
        }
        if plan.release {
            did.push("Released");
        }
        did
    }

    fn alarm(&mut self) -> &mut Alarm {
        let key = self.key();
        self.observed.alarms.get_mut(&key).unwrap()
    }

    fn goes_to_alarm(&mut self, seconds: i64) {
        let key = self.key();
        let entry = Transition {
            at: at(seconds),
            cleared: false,
            was_alarm: Some(false),
            start: Some(at(seconds - 60)),
            reason: None,
        };
        self.observed.transitions.entry(key).or_default().push(entry);
        let alarm = self.alarm();
        (alarm.in_alarm, alarm.since) = (true, at(seconds));
    }

    fn finish(&mut self) {
        for recording in &mut self.observed.recordings {
            let recording = Arc::make_mut(recording);
            recording.status = Some(RecordingStatus {
                phase: Some(Phase::Complete),
                ..RecordingStatus::default()
            });
        }
    }

    fn ended(&self) -> Vec<(&str, Option<Timestamp>)> {
        let ended = |r: &Recording| r.spec.end.as_ref().map(|end| end.0);
        let why = |r: &'_ Recording| {
            r.annotations()
                .get(crate::api::labels::ENDED)
                .cloned()
                .unwrap_or_default()
        };
        let name = |why: String| {
            Ended::ALL
                .into_iter()
                .find(|e| e.name() == why)
                .map_or("", Ended::name)
        };
        self.observed
            .recordings
            .iter()
            .map(|r| (name(why(r)), ended(r)))
            .collect()
    }
}

#[test]
fn an_alarm_is_made_once_with_tags_and_a_mark() {
    let mut world = World::new();
    assert_eq!(world.pass(), ["AlarmCreated"]);
    let tags = world.tags[&world.key()].clone();
    assert_eq!(
        (
            tags["kvs-operator.io/cluster"].as_str(),
            tags["RepeatedAlarm"].as_str()
        ),
        ("c-1", "true")
    );
    let owner = world.desired().owner;
    assert_eq!(
        Mark::read(&world.alarm().description, &owner),
        Some(Mark {
            created: CREATED,
            from: None
        })
    );
    assert!(world.pass().is_empty());
}

#[test]
fn a_stream_that_comes_to_match_later_is_recorded_from_then() {
    let mut world = World::new();
    world.streams.clear();
    world.pass();
    world.streams = vec![video_stream("door", CREATED)];
    world.observed.now = at(5000);
    assert_eq!(world.pass(), ["AlarmCreated"]);
    world.observed.now = at(5100);
    world.goes_to_alarm(5010);
    assert_eq!(world.pass(), ["RecordingStarted"]);
    assert_eq!(world.observed.recordings[0].spec.start.0, at(5000));
}

#[test]
fn an_alarm_that_somebody_changed_is_put_right_and_what_others_added_stays() {
    let mut world = World::new();
    world.pass();
    let alarm = world.alarm();
    alarm
        .actions
        .alarm
        .push("arn:aws:sns:eu-west-1:123456789012:pager".into());
    assert!(world.pass().is_empty(), "an action of others is no difference");
    let key = world.key();
    world
        .tags
        .get_mut(&key)
        .unwrap()
        .insert("team".into(), "x".into());
    world.tags.get_mut(&key).unwrap().remove("RepeatedAlarm");
    world.alarm().definition.as_mut().unwrap().threshold = 7.0;
    assert_eq!(world.pass(), ["AlarmUpdated", "AlarmUpdated"]);
    assert_eq!(world.alarm().actions.alarm.len(), 1);
    assert_eq!(world.alarm().definition.as_ref().unwrap().threshold, 1.0);
    assert_eq!(
        (
            world.tags[&key]["RepeatedAlarm"].as_str(),
            world.tags[&key]["team"].as_str()
        ),
        ("true", "x")
    );
    assert!(world.pass().is_empty());
}

#[test]
fn another_owners_alarm_is_left_alone_and_starts_nothing() {
    let mut world = World::new();
    world.pass();
    let (key, owner) = (
        world.key(),
        Owner {
            cluster: "c-2".into(),
            ..world.desired().owner
        },
    );
    world.tags.insert(key, owner.tags("u-2"));
    world.alarm().description = Mark {
        created: CREATED,
        from: None,
    }
    .describe("door", &owner);
    world.goes_to_alarm(20);
    let plan = world.plan();
    assert!(plan.groups.is_empty(), "{plan:?}");
    assert_eq!(plan.problems[0].reason, "AlarmOwnedByAnother");
    world.streams.clear();
    assert!(world.pass().is_empty(), "nor is it deleted");
}

#[test]
fn what_nobody_knows_the_owner_of_yet_is_not_touched_and_nothing_is_missed() {
    let mut world = World::new();
    world.pass();
    let checkpoint = world.checkpoint;
    // Ours by its mark, but not as it is to be: recorded, and left as it is.
    world.no_tags = true;
    world.alarm().definition = None;
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    assert_eq!(world.pass(), ["RecordingStarted"]);
    // Somebody else's, perhaps: it waits for the tags.
    world.observed.recordings.clear();
    world.checkpoint = checkpoint;
    world.alarm().description = "somebody's".into();
    assert!(world.pass().is_empty());
    assert_eq!(world.checkpoint, checkpoint);
    world.no_tags = false;
    assert_eq!(world.pass(), ["RecordingStarted", "AlarmUpdated"]);
    // On deletion the policy stays until it knows.
    world.observed.recordings.clear();
    world.no_tags = true;
    world.policy.metadata.deletion_timestamp = Some(Time(at(150)));
    world.observed.transitions.clear();
    world.alarm().in_alarm = false;
    let plan = world.plan();
    assert!(plan.groups.is_empty() && !plan.release);
}

#[test]
fn an_episode_becomes_a_recording_and_the_same_look_again_nothing() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    assert_eq!(world.pass(), ["RecordingStarted"]);
    assert!(world.pass().is_empty());
    let recording = &world.observed.recordings[0];
    assert_eq!(recording.spec.start.0, at(90 - 30 - 20));
    assert_eq!(
        recording.spec.cause.as_ref().unwrap().alarm.as_deref(),
        Some(&*world.key().1)
    );
    assert_eq!(world.plan().in_alarm, 1);
}

#[test]
fn a_stream_that_stops_matching_ends_its_recording_and_loses_its_alarm() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    world.pass();
    world.observed.now = at(300);
    world.streams[0].labels_mut().clear();
    assert_eq!(world.pass(), ["RecordingEnded", "AlarmDeleted"]);
    assert_eq!(world.ended(), [("NotMatched", Some(at(300)))]);
    assert!(world.pass().is_empty());
}

#[test]
fn a_stream_that_is_not_there_at_the_moment_keeps_its_alarm() {
    let mut world = World::new();
    world.pass();
    world.streams[0].status.as_mut().unwrap().stream_arn = None;
    let plan = world.plan();
    assert!(plan.groups.is_empty() && plan.problems.is_empty(), "{plan:?}");
    assert_eq!(world.desired().pending, ["door"]);
}

#[test]
fn another_stream_under_the_name_is_recorded_from_its_creation() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    world.pass();
    // Seen only long after the checkpoint has gone past its creation.
    world.observed.now = at(9000);
    world.pass();
    let created = at(5000).as_millisecond();
    world.streams = vec![video_stream("door", created.cast_unsigned())];
    assert_eq!(
        world.pass(),
        ["RecordingStarted", "AlarmUpdated", "RecordingEnded"]
    );
    assert_eq!(world.ended(), [("StreamChanged", Some(at(9000))), ("", None)]);
    assert_eq!(world.observed.recordings[1].spec.start.0, at(5000));
    assert!(world.pass().is_empty());
}

#[test]
fn a_suspended_policy_ends_its_recordings_and_goes_on_from_when_it_resumes() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    world.pass();
    world.policy.spec.suspend = true;
    world.observed.now = at(300);
    assert_eq!(world.pass(), ["RecordingEnded"]);
    world.observed.now = at(2000);
    assert!(world.pass().is_empty());
    world.policy.spec.suspend = false;
    world.observed.now = at(3000);
    assert_eq!(world.pass(), ["RecordingStarted"]);
    assert_eq!(world.ended()[0], ("Suspended", Some(at(300))));
    assert_eq!(world.observed.recordings[1].spec.start.0, at(3000));
    assert!(world.pass().is_empty());
}

#[test]
fn a_deleted_policy_drains_then_loses_its_alarms_then_goes() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    world.pass();
    world.policy.metadata.deletion_timestamp = Some(Time(at(250)));
    world.observed.now = at(251);
    // Until the Recording controller says how far its slices reach, the recording is only held.
    assert_eq!(world.pass(), ["RecordingHeld"]);
    let recording = Arc::make_mut(&mut world.observed.recordings[0]);
    recording.metadata.generation = Some(2);
    recording.status = Some(RecordingStatus {
        observed_generation: Some(2),
        ..RecordingStatus::default()
    });
    assert_eq!(world.pass(), ["RecordingEnded"]);
    assert_eq!(world.ended(), [("PolicyDeleted", Some(at(250)))]);
    assert!(world.pass().is_empty(), "it waits for the recording");
    world.finish();
    assert_eq!(world.pass(), ["AlarmDeleted"]);
    assert_eq!(world.pass(), ["Released"]);
}

#[test]
fn in_a_namespace_that_goes_nothing_waits() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    world.pass();
    world.policy.metadata.deletion_timestamp = Some(Time(at(250)));
    world.observed.namespace_terminating = true;
    assert_eq!(world.pass(), ["AlarmDeleted"]);
    assert_eq!(world.pass(), ["Released"]);
}

#[test]
fn a_lost_status_is_taken_from_the_newest_recording() {
    let mut world = World::new();
    world.pass();
    world.observed.now = at(200);
    world.goes_to_alarm(150);
    world.pass();
    let mut restored = policy();
    restored.metadata.creation_timestamp = Some(Time(at(5000)));
    let memory = remember(&restored, &world.observed.recordings, at(5010));
    assert_eq!(
        memory,
        Memory {
            checkpoint: Some(at(150)),
            watching_since: Some(at(150))
        }
    );
}
