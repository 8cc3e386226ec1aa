//! Whole passes of the ArchivePolicy controller: a Kubernetes API in memory, kvs-sim's CloudWatch in this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;
#[path = "../support/mod.rs"]
mod support;

use jiff::SignedDuration;
use kvs_operator::{
    api::labels,
    aws::{
        Alarms, Role,
        alarms::{Actions, AlarmDefinition, NewAlarm},
    },
};
use serde_json::json;

use self::{
    site::Site,
    support::{EXTERNAL_ID, Fixture, ROLE},
};

#[tokio::test]
async fn an_alarm_is_made_and_then_nothing_is_written_any_more() {
    let mut site = Site::new().await;
    site.pass().await.unwrap();
    assert_eq!(site.ready(), ("Watching".into(), "True".into()));
    assert_eq!(site.status().streams, 1);
    let alarm = site.alarm().await;
    let tags = site.aws.tags(&alarm.arn).await.unwrap().unwrap();
    assert_eq!(tags["RepeatedAlarm"], "true");
    assert_eq!(tags["kvs-operator.io/cluster"], "test-cluster");
    assert_eq!(tags["kvs-operator.io/namespace"], "site");
    assert_eq!(tags["kvs-operator.io/name"], "all");
    let before = (site.changes(), site.fixture.kubernetes.writes());
    for _ in 0..3 {
        site.pass().await.unwrap();
    }
    site.restart();
    site.pass().await.unwrap();
    assert_eq!((site.changes(), site.fixture.kubernetes.writes()), before);
    assert_eq!(site.reasons(), ["AlarmCreated"]);
}

#[tokio::test]
async fn footage_becomes_a_recording_that_ends_when_it_stops() {
    let site = Site::new().await;
    site.go(3, false, true).await;
    let began = site.now();
    site.go(5, true, true).await;
    let [recording] = &site.recordings()[..] else {
        panic!("one recording")
    };
    assert_eq!(recording.metadata.labels.as_ref().unwrap()[labels::POLICY], "all");
    assert!(
        recording.spec.start.0 <= began - SignedDuration::from_secs(50),
        "{:?}",
        recording.spec.start
    );
    assert!(
        recording.spec.start.0 >= began - SignedDuration::from_mins(3),
        "{:?}",
        recording.spec.start
    );
    assert_eq!(
        (recording.spec.end.as_ref(), recording.spec.hold_at.as_ref()),
        (None, None)
    );
    let status = site.status();
    assert_eq!((status.in_alarm, status.active_recordings), (1, 1));
    assert_eq!(
        status.archived_through.unwrap().0.as_second(),
        recording.spec.start.0.as_second()
    );

    let stopped = site.now();
    site.go(20, false, true).await;
    let [recording] = &site.recordings()[..] else {
        panic!("one recording")
    };
    let end = recording.spec.end.as_ref().unwrap().0;
    assert!(
        end > stopped && end < stopped + SignedDuration::from_mins(10),
        "{end}"
    );
    site.finish();
    site.pass().await.unwrap();
    let status = site.status();
    assert_eq!(
        (status.in_alarm, status.active_recordings, status.lost),
        (0, 0, 2)
    );
    assert!(status.last_clip_time.is_some() && status.archived_through.is_none());
    let checkpoint = status.history_through.unwrap().0;
    assert!(
        checkpoint
            > recording
                .spec
                .cause
                .as_ref()
                .unwrap()
                .transition
                .as_ref()
                .unwrap()
                .0
    );
    let mut reasons = site.reasons();
    // Where the level is seen before history has the entry, the entry moves what is held by some ms, and says so.
    reasons.dedup();
    assert_eq!(
        reasons,
        [
            "AlarmCreated",
            "RecordingStarted",
            "RecordingHeld",
            "RecordingEnded"
        ]
    );
}

#[tokio::test]
async fn what_happened_while_nobody_looked_is_recorded() {
    let site = Site::new().await;
    site.go(3, false, true).await;
    site.go(5, true, false).await;
    site.go(30, false, false).await;
    site.go(5, true, false).await;
    site.go(60, false, false).await;
    site.pass().await.unwrap();
    let recordings = site.recordings();
    assert_eq!(recordings.len(), 2);
    assert!(recordings.iter().all(|r| r.spec.end.is_some()));
    site.pass().await.unwrap();
    assert_eq!(site.recordings().len(), 2);
}

#[tokio::test]
async fn a_changed_or_deleted_alarm_is_put_right() {
    let site = Site::new().await;
    site.pass().await.unwrap();
    let alarm = site.alarm().await;
    let pager = "arn:aws:sns:eu-west-1:123456789012:pager".to_owned();
    let mut changed = NewAlarm {
        name: alarm.name.clone(),
        description: alarm.description.clone(),
        definition: alarm.definition.clone().unwrap(),
        actions: Actions {
            alarm: vec![pager.clone()],
            ..Actions::default()
        },
        tags: [].into(),
    };
    changed.definition.threshold = 9.0;
    site.aws.put(&changed).await.unwrap();
    site.pass().await.unwrap();
    let right = site.alarm().await;
    assert_eq!(right.definition, alarm.definition);
    assert_eq!(right.actions.alarm, [pager], "what others added stays");
    site.aws.delete(&alarm.name).await.unwrap();
    site.pass().await.unwrap();
    assert_eq!(site.alarm().await.definition, alarm.definition);
    site.edit(json!({ "spec": { "trigger": { "alarm": { "threshold": "5" } } } }));
    site.pass().await.unwrap();
    assert_eq!(site.alarm().await.definition.unwrap().threshold, 5.0);
}

#[tokio::test]
async fn another_owners_alarm_is_left_alone() {
    let site = Site::new().await;
    site.pass().await.unwrap();
    let alarm = site.alarm().await;
    let theirs = [("kvs-operator.io/cluster".to_owned(), "another".to_owned())].into();
    site.aws.tag(&alarm.arn, &theirs).await.unwrap();
    let before = site.changes();
    site.edit(json!({ "spec": { "trigger": { "alarm": { "threshold": "5" } } } }));
    site.pass().await.unwrap();
    assert_eq!(site.changes(), before);
    assert_eq!(site.status().problems[0].reason, "AlarmOwnedByAnother");
    assert_eq!(site.ready().1, "False");
    assert_eq!(site.alarm().await.definition, alarm.definition);
}

#[tokio::test]
async fn a_deleted_policy_drains_and_leaves_nothing_behind() {
    let site = Site::new().await;
    site.go(3, false, true).await;
    site.go(5, true, true).await;
    site.delete();
    site.go(2, true, true).await;
    assert_eq!(
        site.recordings()[0].metadata.annotations.as_ref().unwrap()[labels::ENDED],
        "PolicyDeleted"
    );
    assert!(site.recordings()[0].spec.end.is_some());
    assert_eq!(site.alarms().await.len(), 1, "its recordings still drain");
    site.finish();
    site.pass().await.unwrap();
    assert!(site.alarms().await.is_empty());
    site.pass().await.unwrap();
    assert!(site.policy().is_none());
}

#[tokio::test]
async fn a_camera_that_stops_matching_loses_its_alarm() {
    let site = Site::new().await;
    site.go(3, false, true).await;
    site.go(5, true, true).await;
    site.edit_camera(json!({ "metadata": { "labels": { "record": "no" } } }));
    site.pass().await.unwrap();
    assert!(site.recordings()[0].spec.end.is_some());
    assert!(site.alarms().await.is_empty());
    assert_eq!(site.ready(), ("NoStreams".into(), "True".into()));
}

#[tokio::test]
async fn a_pass_waits_for_the_watch_to_tell_of_its_own_last_write() {
    let site = Site::new().await;
    site.go(3, false, true).await;
    site.go(3, true, false).await;
    site.pass().await.unwrap();
    assert_eq!(site.recordings().len(), 1);
    let before = site.fixture.kubernetes.writes();
    let mut pass = std::pin::pin!(site.pass_unwatched());
    for _ in 0..20 {
        assert!(
            futures::poll!(&mut pass).is_pending(),
            "what it wrote is not there"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(site.fixture.kubernetes.writes(), before);
    site.watch();
    pass.await.unwrap();
    assert_eq!(site.recordings().len(), 1);
}

#[tokio::test]
async fn one_sweep_and_one_history_serve_all_policies_and_all_passes() {
    let site = Site::new().await;
    for i in 0..30 {
        site.camera(&format!("camera-{i}"));
    }
    // Ten alarms a pass.
    for _ in 0..4 {
        site.pass().await.unwrap();
    }
    assert_eq!(site.alarms().await.len(), 31);
    site.go(5, false, true).await;
    let before = (
        site.calls("cloudwatch:DescribeAlarms"),
        site.calls("cloudwatch:DescribeAlarmHistory"),
    );
    site.go(10, false, true).await;
    // A sweep each 3 minutes, a page of history each 15 seconds.
    let sweeps = site.calls("cloudwatch:DescribeAlarms") - before.0;
    let pages = site.calls("cloudwatch:DescribeAlarmHistory") - before.1;
    assert!((2..=4).contains(&sweeps), "{sweeps}");
    assert_eq!(pages, 40);
}

#[tokio::test]
async fn where_the_history_may_not_be_read_as_a_whole_it_is_read_of_alarms_that_moved() {
    let site = Site::without_whole_history().await;
    for i in 0..5 {
        site.camera(&format!("camera-{i}"));
    }
    site.go(20, false, true).await;
    let before = site.calls("cloudwatch:DescribeAlarmHistory");
    site.go(5, false, true).await;
    assert!(
        site.calls("cloudwatch:DescribeAlarmHistory") - before <= 1,
        "nothing has moved"
    );
    site.go(5, true, true).await;
    site.go(20, false, true).await;
    let [recording] = &site.recordings()[..] else {
        panic!("one recording")
    };
    assert!(recording.spec.end.is_some());
}

#[tokio::test]
async fn changed_tags_of_an_alarm_are_put_right_within_six_hours() {
    let site = Site::new().await;
    site.pass().await.unwrap();
    let alarm = site.alarm().await;
    let wrong = [("RepeatedAlarm".to_owned(), "no".to_owned())].into();
    site.aws.tag(&alarm.arn, &wrong).await.unwrap();
    for _ in 0..6 * 6 {
        site.fixture.clock.advance(SignedDuration::from_mins(10));
        site.pass().await.unwrap();
    }
    let tags = site.aws.tags(&alarm.arn).await.unwrap().unwrap();
    assert_eq!(tags["RepeatedAlarm"], "true");
    assert!(
        site.calls("cloudwatch:ListTagsForResource") <= 4,
        "and that costs next to nothing"
    );
}

#[tokio::test]
async fn a_stream_of_another_account_has_its_alarm_there() {
    let site = Site::with_theirs(Some(EXTERNAL_ID)).await;
    site.pass().await.unwrap();
    assert_eq!(site.ready(), ("Watching".into(), "True".into()));
    let role = Role {
        arn: ROLE.into(),
        external_id: Some(EXTERNAL_ID.into()),
    };
    let theirs = kvs_operator::aws::alarms::Sdk::new(&site.fixture.connection.by_role(&role));
    let [their] = &theirs.describe("kvs-operator/site/all/").await.unwrap()[..] else {
        panic!("one alarm")
    };
    let our = site.alarm().await;
    assert!(their.arn.contains(":210987654321:alarm:") && our.arn.contains(":123456789012:alarm:"));
    assert_ne!(their.name, our.name);
}

#[tokio::test]
async fn what_is_not_granted_is_neither_watched_nor_written() {
    let grants = json!([{ "namespaces": ["site"], "streams": ["gate"], "buckets": ["bucket"] }]);
    let site = Site::on(Fixture::granting(grants).await);
    site.camera("gate");
    site.pass().await.unwrap();
    let status = site.status();
    assert_eq!(
        (&*status.problems[0].stream, &*status.problems[0].reason),
        ("door", "NotGranted")
    );
    assert!(
        site.alarm().await.name.contains("/gate-"),
        "only what is granted has an alarm"
    );

    site.edit(json!({ "spec": { "destination": { "s3": { "bucket": "elsewhere" } } } }));
    let before = site.changes();
    assert!(site.pass().await.is_err());
    assert_eq!(site.ready(), ("NotGranted".into(), "False".into()));
    assert_eq!(site.changes(), before);
    site.delete();
    site.pass().await.unwrap();
    site.pass().await.unwrap();
    assert!(
        site.alarms().await.is_empty(),
        "its own alarms are cleared up all the same"
    );
}

#[tokio::test]
async fn a_role_that_is_refused_stops_nothing_elsewhere_and_loses_nothing() {
    // Without the external id that the role asks for.
    let site = Site::with_theirs(None).await;
    site.go(3, false, true).await;
    site.go(5, true, true).await;
    assert_eq!(site.recordings().len(), 1, "of the stream that can be reached");
    let status = site.status();
    let problem = &status.problems[0];
    assert_eq!((&*problem.stream, &*problem.reason), ("theirs", "RoleRefused"));
    assert!(problem.message.contains("trust policy"), "{}", problem.message);
    let stays = status.history_through.unwrap();
    site.go(30, false, true).await;
    assert_eq!(
        site.status().history_through.unwrap(),
        stays,
        "what happens there meanwhile is still to be read"
    );
}

#[tokio::test]
async fn many_alarms_are_put_right_and_deleted_a_few_at_a_time_and_each_is_looked_at_once() {
    const CAMERAS: u64 = 70;
    let site = Site::new().await;
    for camera in 1..CAMERAS {
        site.camera(&format!("gate-{camera}"));
    }
    let settle = async |done: &dyn Fn() -> bool| {
        let mut passes = 0;
        while !done() {
            passes += 1;
            assert!(passes < 30, "no end");
            let before = site.calls("cloudwatch:ListTagsForResource");
            let _ = site.pass().await.unwrap();
            let looked = site.calls("cloudwatch:ListTagsForResource") - before;
            assert!(looked <= 30, "{looked} alarms looked at in one pass");
        }
    };
    settle(&|| site.calls("cloudwatch:PutMetricAlarm") == CAMERAS).await;
    site.pass().await.unwrap();

    let looked = site.calls("cloudwatch:ListTagsForResource");
    site.edit(json!({"spec": {"trigger": {"alarm": {"threshold": 7}}}}));
    settle(&|| site.calls("cloudwatch:PutMetricAlarm") == 2 * CAMERAS).await;
    let looked_for_edit = site.calls("cloudwatch:ListTagsForResource") - looked;
    assert!(looked_for_edit <= CAMERAS + 10, "{looked_for_edit} calls");

    site.delete();
    settle(&|| site.policy().is_none()).await;
    assert!(site.alarms().await.is_empty());
}

/// Somebody's alarm on the footage of the camera "door", which is never changed.
#[tokio::test]
async fn somebody_elses_alarm_starts_recordings_of_all_streams_that_name_it() {
    let site = Site::new().await;
    site.edit(json!({ "spec": { "trigger": { "alarm": null, "existingAlarm": {
        "name": "motion-{labels.record}", "requireTags": { "RepeatedAlarm": "true" } } } } }));
    site.camera("gate");
    site.pass().await.unwrap();
    let problems = site.status().problems;
    let reasons: Vec<_> = problems
        .iter()
        .map(|p| (p.stream.as_str(), p.reason.as_str()))
        .collect();
    assert_eq!(reasons, [("door", "AlarmNotFound"), ("gate", "AlarmNotFound")]);

    let mut theirs = NewAlarm {
        name: "motion-yes".into(),
        description: "somebody's".into(),
        definition: AlarmDefinition {
            namespace: "AWS/KinesisVideo".into(),
            metric_name: "PutMedia.IncomingFragments".into(),
            dimensions: [("StreamName".to_owned(), "door".to_owned())].into(),
            statistic: "Sum".into(),
            period: 60,
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            threshold: 1.0,
            comparison_operator: "GreaterThanOrEqualToThreshold".into(),
            treat_missing_data: "notBreaching".into(),
        },
        actions: Actions::default(),
        tags: [].into(),
    };
    site.aws.put(&theirs).await.unwrap();
    site.go(20, true, true).await;
    assert_eq!(site.status().problems[0].reason, "AlarmLacksTag");
    assert!(site.recordings().is_empty());
    let alarm = site.named("motion-yes").await;
    let tags = [("RepeatedAlarm".to_owned(), "true".to_owned())].into();
    site.aws.tag(&alarm.arn, &tags).await.unwrap();
    site.go(30, false, true).await;
    assert_eq!(site.status().problems, []);

    let began = site.now();
    site.go(5, true, true).await;
    assert_eq!((site.status().in_alarm, site.status().active_recordings), (1, 2));
    let stopped = site.now();
    // The end is seen, and another episode that nobody looked at.
    site.go(20, false, true).await;
    site.go(3, true, false).await;
    site.go(30, false, false).await;
    site.pass().await.unwrap();
    let mut recordings = site.recordings();
    recordings.sort_by_key(|r| (r.spec.start.0, r.spec.stream_name.clone()));
    let names: Vec<_> = recordings.iter().map(|r| r.spec.stream_name.as_str()).collect();
    assert_eq!(names, ["door", "gate", "door", "gate"]);
    for recording in &recordings[..2] {
        assert!(recording.spec.start.0 <= began && recording.spec.end.as_ref().unwrap().0 > stopped);
        assert_eq!(
            recording.spec.cause.as_ref().unwrap().alarm.as_deref(),
            Some("motion-yes")
        );
    }

    for recording in &recordings {
        assert!(recording.spec.end.is_some());
    }
    site.finish();
    site.delete();
    site.pass().await.unwrap();
    assert!(site.policy().is_none());
    let after = site.named("motion-yes").await;
    theirs.tags.clear();
    assert_eq!(
        (after.definition, after.description),
        (Some(theirs.definition), theirs.description)
    );
    assert_eq!(site.calls("cloudwatch:PutMetricAlarm"), 1, "the test's own");
}
