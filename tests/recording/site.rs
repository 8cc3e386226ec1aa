//! A stream and a recording of it: the fixture, Jobs that end as the test says, and words for what tests look at.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kvs_operator::{
    api::{Phase, Recording, RecordingStatus, condition},
    archiver::request::{ArchiveRequest, Task},
    aws::{
        Streams,
        streams::{NewStream, Sdk},
    },
    recording::{Shared, reconcile},
    runtime::{Error, Next},
};
use serde_json::{Value, json};

pub use crate::support::kubernetes::{JOBS, POLICIES, RECORDINGS};
use crate::support::{Fixture, REGION, kubernetes::PODS};

pub struct Site {
    pub fixture: Fixture,
    pub shared: Shared,
    pub start: Timestamp,
    arn: String,
}

impl Site {
    /// A stream, and the recording `r` of it that begins now and is a policy's.
    pub async fn new() -> Self {
        Self::on(Fixture::new().await).await
    }

    pub async fn on(fixture: Fixture) -> Self {
        let stream = NewStream {
            name: "front-door".into(),
            data_retention_in_hours: 24,
            media_type: None,
            device_name: None,
            kms_key_id: None,
            tier: None,
            tags: Default::default(),
        };
        let arn = Sdk::new(&fixture.connection).create(&stream).await.unwrap();
        fixture.clock.advance(SignedDuration::from_secs(11));
        let start = kvs_operator::clock::Clock::now(&*fixture.clock);
        let site = Self {
            fixture,
            shared: Shared::default(),
            start,
            arn,
        };
        site.fixture.kubernetes.create(
            "namespaces",
            json!({ "apiVersion": "v1", "metadata": { "name": "site" } }),
        );
        site.make("r", json!({ "policy": "p", "transition": start }));
        site
    }

    /// A recording that begins with the site.
    pub fn make(&self, name: &str, cause: Value) {
        self.fixture.kubernetes.create(
            "recordings",
            json!({
                "apiVersion": "kvs-operator.io/v1alpha1",
                "kind": "Recording",
                "metadata": { "name": name, "namespace": "site" },
                "spec": {
                    "streamName": "front-door",
                    "streamARN": self.arn,
                    "region": REGION,
                    "start": self.start,
                    "cause": cause,
                    "destination": { "s3": { "bucket": "footage" } },
                },
            }),
        );
    }

    /// The policy, whose alarm history is read up to that time.
    pub fn policy(&self, history_through: Timestamp, job: Value) {
        self.fixture.kubernetes.create(
            "archivepolicies",
            json!({
                "apiVersion": "kvs-operator.io/v1alpha1",
                "kind": "ArchivePolicy",
                "metadata": { "name": "p", "namespace": "site" },
                "spec": {
                    "streamSelector": {},
                    "trigger": { "alarm": {} },
                    "destination": { "s3": { "bucket": "footage" } },
                    "job": job,
                },
                "status": { "historyThrough": history_through },
            }),
        );
    }

    pub fn edit(&self, name: &str, patch: Value) {
        self.fixture.kubernetes.change(RECORDINGS, "site", name, patch);
    }

    pub fn end(&self, at: Timestamp) {
        self.edit("r", json!({ "spec": { "end": at } }));
    }

    pub fn find(&self, name: &str) -> Option<Recording> {
        self.fixture.kubernetes.get(RECORDINGS, "site", name)
    }

    pub fn status(&self) -> RecordingStatus {
        self.find("r").unwrap().status.unwrap_or_default()
    }

    pub fn phase(&self) -> Option<Phase> {
        self.status().phase
    }

    /// One pass over a recording; then the Job controller starts what is new.
    pub async fn pass(&self, name: &str) -> Result<Next, Error> {
        let result = self.only_pass(name).await;
        for job in self.jobs().iter().filter(|job| job.status.is_none()) {
            let started = json!({ "status": { "startTime": self.now() } });
            self.fixture
                .kubernetes
                .change(JOBS, "site", &job.name_any(), started);
        }
        result
    }

    async fn only_pass(&self, name: &str) -> Result<Next, Error> {
        reconcile(&self.find(name).unwrap(), &self.fixture.context, &self.shared).await
    }

    /// Passes until nothing more is to be done at the moment.
    pub async fn settle(&self, name: &str) {
        for _ in 0..20 {
            if self.find(name).is_none() {
                return;
            }
            match self.pass(name).await.unwrap() {
                Next::In(again) if again.as_secs() < 10 => self.advance(1),
                _ => return,
            }
        }
        panic!("does not settle: {:#?}", self.find(name));
    }

    pub fn advance(&self, seconds: i64) {
        self.fixture.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub fn now(&self) -> Timestamp {
        kvs_operator::clock::Clock::now(&*self.fixture.clock)
    }

    pub fn jobs(&self) -> Vec<Job> {
        self.fixture.kubernetes.all(JOBS)
    }

    /// The Jobs that have not ended.
    pub fn active(&self) -> Vec<Job> {
        let ended = |job: &Job| {
            job.status
                .as_ref()
                .is_some_and(|status| status.conditions.is_some())
        };
        self.jobs().into_iter().filter(|job| !ended(job)).collect()
    }

    /// The one Job that has not ended.
    pub fn job(&self) -> Job {
        let mut active: Vec<Job> = self.jobs();
        active.retain(|job| {
            job.status
                .as_ref()
                .is_none_or(|status| status.conditions.is_none())
        });
        assert_eq!(active.len(), 1, "{active:#?}");
        active.remove(0)
    }

    /// What a Job was asked.
    pub fn request(&self, job: &Job) -> ArchiveRequest {
        let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        serde_json::from_str(&pod.containers[0].args.as_ref().unwrap()[2]).unwrap()
    }

    /// The pod's end and the Job's: `Complete` with exit code 0, else `Failed`. No report: the pod is gone.
    pub fn finish(&self, job: &Job, code: i32, report: Option<Value>) {
        let kubernetes = &self.fixture.kubernetes;
        let (name, at) = (job.name_any(), self.now());
        let (type_, reason) = if code == 0 {
            ("Complete", "")
        } else {
            ("Failed", "PodFailurePolicy")
        };
        let condition =
            json!({ "type": type_, "status": "True", "reason": reason, "lastTransitionTime": at });
        kubernetes.change(
            JOBS,
            "site",
            &name,
            json!({ "status": { "conditions": [condition] } }),
        );
        let Some(report) = report else { return };
        kubernetes.create(
            "pods",
            json!({
                "apiVersion": "v1",
                "metadata": {
                    "name": format!("{name}-{}", kubernetes.all::<Value>(PODS).len()),
                    "namespace": "site",
                    "labels": job.labels(),
                    "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job.uid() }],
                },
                "status": {
                    "phase": "Succeeded",
                    "containerStatuses": [{
                        "name": "archive", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                        "state": { "terminated": {
                            "exitCode": code, "finishedAt": at, "message": report.to_string(),
                        } },
                    }],
                },
            }),
        );
    }

    /// The Job does what it was asked, with so many fragments for a slice and nothing new for a sweep.
    pub fn succeed(&self, fragments: i64) {
        let job = self.job();
        let object = |key: &str| json!({ "key": key, "sha256": "0".repeat(64) });
        let counts = json!({ "clips": 1, "fragments": fragments, "bytes": 1000 });
        let report = match self.request(&job).task {
            Task::Slice { to, .. } => json!({
                "version": 1, "outcome": "Committed", "listedAt": self.now(), "through": to, "counts": counts,
                "manifest": object("slice"),
            }),
            Task::Sweep { close, .. } => {
                let counts = serde_json::to_value(self.status().counts).unwrap();
                let (outcome, root) = if close {
                    ("Closed", object("root"))
                } else {
                    ("NothingNew", Value::Null)
                };
                json!({ "version": 1, "outcome": outcome, "listedAt": self.now(), "counts": counts, "root": root })
            }
        };
        self.finish(&job, 0, Some(report));
    }

    /// Passes, time, and Jobs that succeed, until the recording has come to its end.
    pub async fn drain(&self) {
        for _ in 0..60 {
            self.settle("r").await;
            let Some(recording) = self.find("r") else { return };
            if matches!(
                recording.status.and_then(|s| s.phase),
                Some(Phase::Complete | Phase::Incomplete)
            ) {
                return;
            }
            if !self.active().is_empty() {
                self.succeed(0);
            } else {
                self.advance(60);
            }
        }
        panic!("does not drain: {:#?}", self.find("r"));
    }

    /// Reason and message of `Ready`.
    pub fn ready(&self) -> (String, String) {
        let status = self.status();
        let ready = status
            .conditions
            .iter()
            .find(|c| c.type_ == condition::READY)
            .unwrap();
        (ready.reason.clone(), ready.message.clone())
    }

    pub fn reasons(&self) -> Vec<String> {
        self.fixture
            .kubernetes
            .events()
            .into_iter()
            .map(|(reason, _)| reason)
            .collect()
    }
}
