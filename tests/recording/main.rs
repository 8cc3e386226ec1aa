//! Whole passes of the Recording controller: a Kubernetes API in memory, kvs-sim in this process, Jobs that end as a test says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;
#[path = "../support/mod.rs"]
mod support;

use jiff::SignedDuration;
use kube::ResourceExt;
use kvs_operator::{
    api::Phase,
    archiver::request::Task,
    aws::{
        Role, Streams,
        streams::{NewStream, Sdk},
    },
    runtime::Next,
};
use serde_json::json;

use self::{
    site::{JOBS, POLICIES, RECORDINGS, Site},
    support::{EXTERNAL_ID, Fixture, ROLE},
};

const FINALIZER: &str = "kvs-operator.io/drain";

#[tokio::test]
async fn a_recording_is_archived_swept_closed_and_then_left_alone() {
    let site = Site::new().await;
    site.settle("r").await;
    assert!(site.find("r").unwrap().finalizers().contains(&FINALIZER.into()));
    assert_eq!(
        (site.jobs().len(), site.phase()),
        (0, Some(Phase::Active)),
        "nothing is due yet"
    );
    site.advance(700);
    site.settle("r").await;
    let job = site.job();
    let Task::Slice { from, to, .. } = site.request(&job).task else {
        panic!("not a slice")
    };
    assert_eq!(from, site.start);
    assert_eq!(site.status().job.unwrap().to.unwrap().0, to);
    site.succeed(42);
    site.settle("r").await;
    let status = site.status();
    assert_eq!(
        (status.counts.fragments, status.archived_through.unwrap().0),
        (42, to)
    );
    let retired: Vec<_> = site
        .jobs()
        .iter()
        .map(|j| j.spec.as_ref().unwrap().ttl_seconds_after_finished)
        .collect();
    assert_eq!(retired, [Some(600)], "the TTL comes when the result is recorded");
    site.end(to + SignedDuration::from_secs(30));
    site.advance(300);
    site.drain().await;
    let status = site.status();
    assert_eq!(
        (status.phase, status.counts.fragments),
        (Some(Phase::Complete), 42)
    );
    assert!(status.root.is_some());
    site.settle("r").await;
    assert!(
        site.find("r").unwrap().finalizers().is_empty(),
        "nothing holds it any more"
    );

    let before = site.fixture.kubernetes.writes();
    for _ in 0..3 {
        assert_eq!(site.pass("r").await.unwrap(), Next::OnChange);
    }
    assert_eq!(site.fixture.kubernetes.writes(), before);
    let mut reasons = site.reasons();
    reasons.dedup();
    for reason in ["JobCreated", "SliceArchived", "Draining", "SweepDone", "Complete"] {
        assert!(reasons.contains(&reason.to_owned()), "{reasons:?}");
    }
}

#[tokio::test]
async fn while_nothing_happens_nothing_is_written() {
    let site = Site::new().await;
    site.advance(700);
    site.settle("r").await;
    let before = site.fixture.kubernetes.writes();
    for _ in 0..5 {
        site.advance(30);
        site.pass("r").await.unwrap();
    }
    assert_eq!(
        site.fixture.kubernetes.writes(),
        before,
        "the Job waits for its pod: {:#?}",
        site.status()
    );
}

#[tokio::test]
async fn a_job_whose_word_is_lost_runs_again_under_its_name() {
    let site = Site::new().await;
    site.advance(700);
    site.settle("r").await;
    let first = site.job();
    site.finish(&first, 0, None);
    site.settle("r").await;
    let second = site.job();
    assert_eq!(first.name_any(), second.name_any());
    assert_ne!(first.uid(), second.uid());
    assert_eq!(site.request(&first).task, site.request(&second).task);
    assert_eq!(site.status().job.unwrap().failures, 1);
    site.succeed(7);
    site.settle("r").await;
    assert_eq!((site.status().counts.fragments, site.status().job), (7, None));
}

#[tokio::test]
async fn a_job_that_is_denied_is_told_and_tried_again_slowly() {
    let site = Site::new().await;
    site.advance(700);
    site.settle("r").await;
    let denied = json!({ "version": 1, "outcome": "Denied", "counts": {}, "error": "s3:PutObject on footage: AccessDenied" });
    let job = site.job();
    site.finish(&job, 4, Some(denied));
    site.settle("r").await;
    let (reason, message) = site.ready();
    assert_eq!(reason, "AccessDenied");
    for part in [
        "s3:PutObject on footage: AccessDenied",
        "service account",
        "next try at",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(site.reasons().contains(&"AccessDenied".into()));
    assert_eq!(
        site.jobs()[0].uid(),
        job.uid(),
        "it stays until the next try, for who wants to look"
    );
    site.advance(60);
    site.settle("r").await;
    assert_ne!(site.job().uid(), job.uid());
    assert_eq!(site.ready().0, "AccessDenied", "until one succeeds");
    site.succeed(1);
    site.settle("r").await;
    assert_eq!(site.ready().0, "Recording");
}

#[tokio::test]
async fn a_mended_policy_is_tried_at_once() {
    let site = Site::new().await;
    site.policy(
        site.start,
        json!({ "resources": { "limits": { "memory": "32Mi" } } }),
    );
    site.advance(700);
    site.settle("r").await;
    let limit = |site: &Site| {
        let pod = site.job().spec.unwrap().template.spec.unwrap();
        pod.containers[0].resources.clone().unwrap().limits.unwrap()["memory"]
            .0
            .clone()
    };
    assert_eq!(limit(&site), "32Mi", "the living policy's, not the copy's");
    let denied = json!({ "version": 1, "outcome": "Invalid", "counts": {}, "error": "no" });
    site.finish(&site.job(), 2, Some(denied));
    site.settle("r").await;
    let patch = json!({ "spec": { "job": { "resources": { "limits": { "memory": "64Mi" } } } } });
    site.fixture.kubernetes.change(POLICIES, "site", "p", patch);
    site.settle("r").await;
    assert_eq!(limit(&site), "64Mi");
}

#[tokio::test]
async fn a_job_that_the_api_server_refuses_is_told_once() {
    let site = Site::new().await;
    site.settle("r").await;
    let message = r#"jobs.batch "j" is forbidden: exceeded quota: q"#;
    site.fixture.kubernetes.refuse(JOBS, Some(message));
    site.advance(700);
    assert!(site.pass("r").await.is_err());
    let (reason, told) = site.ready();
    assert_eq!(reason, "QuotaExceeded");
    assert!(told.contains(message), "{told}");
    let status = site.status();
    for _ in 0..3 {
        site.advance(30);
        assert!(site.pass("r").await.is_err());
        assert_eq!(
            site.status(),
            status,
            "a write would wake the next pass at once, without end"
        );
    }
    site.fixture.kubernetes.refuse(JOBS, None);
    site.advance(30);
    site.settle("r").await;
    assert_eq!(site.ready().0, "Recording");
    site.job();
}

#[tokio::test]
async fn one_job_a_stream_at_a_time() {
    let site = Site::new().await;
    site.make("other", json!({ "policy": "q" }));
    site.advance(700);
    site.settle("r").await;
    site.settle("other").await;
    site.job();
    site.succeed(1);
    site.settle("r").await;
    site.settle("other").await;
    assert_eq!(site.job().labels()["kvs-operator.io/recording"], "other");
    // Without a running pod for ten minutes it gives up its place.
    site.advance(900);
    site.settle("r").await;
    assert_eq!(site.active().len(), 2);
}

#[tokio::test]
async fn a_deleted_recording_is_ended_drained_and_then_let_go() {
    let site = Site::new().await;
    site.policy(site.start - SignedDuration::from_secs(1), json!({}));
    site.settle("r").await;
    site.fixture.kubernetes.delete(site::RECORDINGS, "site", "r");
    site.settle("r").await;
    let end = site.find("r").unwrap().spec.end.unwrap().0;
    assert!(end > site.start && end <= site.now());
    site.advance(120);
    site.drain().await;
    assert_eq!(site.phase(), Some(Phase::Complete));
    site.settle("r").await;
    assert!(
        site.find("r").is_some(),
        "alarm history is not yet read past its alarm: it would come back"
    );
    let patch = json!({ "status": { "historyThrough": site.now() } });
    site.fixture.kubernetes.change(POLICIES, "site", "p", patch);
    site.settle("r").await;
    assert!(site.find("r").is_none());
}

#[tokio::test]
async fn an_abandoned_recording_says_what_it_leaves() {
    let site = Site::new().await;
    site.advance(700);
    site.settle("r").await;
    site.job();
    site.fixture.kubernetes.delete(site::RECORDINGS, "site", "r");
    site.settle("r").await;
    assert!(
        site.ready()
            .1
            .contains("kubectl annotate recording -n site r kvs-operator.io/abandon=true")
    );
    site.edit(
        "r",
        json!({ "metadata": { "annotations": { "kvs-operator.io/abandon": "true" } } }),
    );
    site.settle("r").await;
    assert!(site.find("r").is_none());
    assert_eq!(site.jobs().len(), 0, "its Job is stopped");
    let (_, note) = site.fixture.kubernetes.events().pop().unwrap();
    assert!(
        note.contains("footage of stream front-door from") && note.contains("is not in S3"),
        "{note}"
    );
}

#[tokio::test]
async fn in_a_namespace_that_goes_nothing_is_held() {
    let site = Site::new().await;
    site.settle("r").await;
    site.fixture.kubernetes.change(
        "v1/namespaces",
        "",
        "site",
        json!({ "metadata": { "deletionTimestamp": site.now(), "finalizers": ["kubernetes"] } }),
    );
    site.fixture.kubernetes.delete(site::RECORDINGS, "site", "r");
    site.settle("r").await;
    assert!(site.find("r").is_none());
    let (reason, _) = site.fixture.kubernetes.events().pop().unwrap();
    assert_eq!(reason, "NamespaceTerminating");
}

#[tokio::test]
async fn a_stream_that_is_gone_ends_its_recordings() {
    let site = Site::new().await;
    let aws = Sdk::new(&site.fixture.connection);
    site.settle("r").await;
    assert!(site.find("r").unwrap().spec.end.is_none());
    let stream = aws.describe("front-door").await.unwrap().unwrap();
    aws.delete(&stream.arn, &stream.version).await.unwrap();
    site.advance(120);
    site.settle("r").await;
    assert!(site.find("r").unwrap().spec.end.is_some());
    assert_eq!(site.phase(), Some(Phase::Draining));
    site.advance(120);
    site.settle("r").await;
    site.job();
}

#[tokio::test]
async fn what_is_not_granted_makes_no_job_and_can_be_given_up() {
    for (grants, part) in [
        (
            json!([{ "namespaces": ["site"], "streams": ["*"] }]),
            "into bucket footage",
        ),
        (
            json!([{ "namespaces": ["site"], "streams": ["gate"], "buckets": ["*"] }]),
            "use stream front-door",
        ),
    ] {
        let site = Site::on(Fixture::granting(grants).await).await;
        site.advance(700);
        assert!(site.pass("r").await.is_err());
        assert_eq!(site.jobs().len(), 0);
        let (reason, message) = site.ready();
        assert!(
            reason == "NotGranted" && message.contains(part),
            "{reason} {message}"
        );
        site.fixture.kubernetes.delete(RECORDINGS, "site", "r");
        assert!(site.find("r").is_none(), "nothing holds what never began");
    }
}

#[tokio::test]
async fn a_job_gets_the_role_that_its_stream_is_reached_by() {
    let grants =
        json!([{ "namespaces": ["site"], "streams": ["*"], "roles": [ROLE], "buckets": ["footage"] }]);
    let site = Site::on(Fixture::granting(grants).await).await;
    let role = Role {
        arn: ROLE.into(),
        external_id: Some(EXTERNAL_ID.into()),
    };
    let theirs = Sdk::new(&site.fixture.connection.by_role(&role));
    let stream = NewStream {
        name: "front-door".into(),
        data_retention_in_hours: 24,
        media_type: None,
        device_name: None,
        kms_key_id: None,
        tier: None,
        tags: Default::default(),
    };
    let arn = theirs.create(&stream).await.unwrap();
    site.advance(11);
    site.edit(
        "r",
        json!({ "spec": { "streamARN": arn, "roleArn": ROLE, "externalId": EXTERNAL_ID } }),
    );
    site.advance(700);
    site.settle("r").await;
    let request = site.request(&site.job());
    assert_eq!(
        (request.role_arn.as_deref(), request.external_id.as_deref()),
        (Some(ROLE), Some(EXTERNAL_ID))
    );
}
