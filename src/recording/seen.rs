//! What is seen of the world, in the words of this controller: the stream, and its Jobs with what their pods say.
//!
//! Pure: data, and how a Job and its pods are read.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;

use super::{
    failure::{Failure, Reason},
    job,
};
use crate::{
    api::labels,
    archiver::request::{ArchiveReport, Outcome, Task},
};

/// A Job without a running pod for this long gives up its place on the stream.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Everything that a plan is made from, beside the Recording.
#[derive(Clone, Debug)]
pub struct Seen {
    /// AWS's time: for everything about footage.
    pub now: Timestamp,
    /// The cluster's time: for everything about Jobs.
    pub cluster_now: Timestamp,
    /// The stream.
    pub stream: Stream,
    /// All Jobs of the stream, of this recording and of others.
    pub jobs: Vec<SeenJob>,
    /// How a pod would be made now (`job::template_digits`).
    pub template: String,
    /// Whether the Recording may go: where alarm history is read up to.
    pub checkpoint: Checkpoint,
    /// The namespace is being deleted: nothing can be made in it any more.
    pub namespace_terminating: bool,
}

/// What is known of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// It is there and keeps footage this long.
    Kept(SignedDuration),
    /// It, or what has its name now is another stream.
    Gone,
    /// It could not be asked for: why.
    Unknown(String),
}

impl Stream {
    /// How long it keeps footage, where that is known.
    pub fn retention(&self) -> Option<SignedDuration> {
        match self {
            Self::Kept(retention) => Some(*retention),
            Self::Gone | Self::Unknown(_) => None,
        }
    }
}

/// Where the policy's alarm history has been read up to, seen from one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Past this recording's transition, or nobody's history made it: if it goes, it does not come back.
    Past,
    /// Not yet past it: if it went, the policy would make it again.
    Behind,
}

/// A Job of the stream.
#[derive(Clone, Debug)]
pub struct SeenJob {
    /// Its name.
    pub name: String,
    /// Its uid: what is deleted is this very one.
    pub uid: String,
    /// Whether it is this recording's.
    pub own: bool,
    /// What it does, where its annotation says so in words that this version knows.
    pub task: Option<Task>,
    /// How often Jobs under this name failed before it.
    pub failures: i32,
    /// How its pod was made.
    pub template: String,
    /// It is being deleted.
    pub deleting: bool,
    /// It has a TTL: its result is recorded.
    pub retired: bool,
    /// Where it stands.
    pub state: JobState,
}

/// Where a Job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// Somebody (Kueue) holds it back.
    Suspended,
    /// It has no running pod.
    Waiting {
        /// Since when, in cluster time.
        since: Timestamp,
        /// What stands in the way, where Kubernetes says.
        blocked: Option<Failure>,
    },
    /// A pod of it runs.
    Running,
    /// It has ended.
    Done {
        /// When, in cluster time.
        at: Timestamp,
        /// What came of it.
        result: Result<Box<ArchiveReport>, Failure>,
    },
}

impl SeenJob {
    /// Whether another Job of the stream must wait for this one.
    pub fn holds_place(&self, cluster_now: Timestamp) -> bool {
        match &self.state {
            JobState::Running => true,
            JobState::Waiting { since, .. } => cluster_now.duration_since(*since) < PATIENCE,
            JobState::Suspended | JobState::Done { .. } => false,
        }
    }

    /// Reads a Job. `pods` may hold pods of other Jobs; `refused`: what the Job's Events say about pods that could not be
    /// made, newest last.
    pub fn read(job: &Job, pods: &[Pod], refused: &[String], own: bool, cluster_now: Timestamp) -> Self {
        let uid = job.uid().unwrap_or_default();
        let pods: Vec<&Pod> = pods
            .iter()
            .filter(|pod| pod.owner_references().iter().any(|owner| owner.uid == uid))
            .collect();
        let note = |key: &str| job.annotations().get(key);
        Self {
            own,
            task: note(job::TASK).and_then(|text| serde_json::from_str(text).ok()),
            failures: note(job::FAILURES)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            template: note(job::TEMPLATE).cloned().unwrap_or_default(),
            deleting: job.metadata.deletion_timestamp.is_some(),
            retired: job
                .spec
                .as_ref()
                .is_some_and(|spec| spec.ttl_seconds_after_finished.is_some()),
            state: state(job, &pods, refused, cluster_now),
            name: job.name_any(),
            uid,
        }
    }
}

/// The recording that a Job belongs to.
pub fn recording_of(job: &Job) -> Option<&str> {
    job.labels().get(labels::RECORDING).map(String::as_str)
}

fn state(job: &Job, pods: &[&Pod], refused: &[String], cluster_now: Timestamp) -> JobState {
    let status = job.status.as_ref();
    let condition = |type_: &str| {
        let mut conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
        conditions.find(|c| c.type_ == type_ && c.status == "True")
    };
    let ended = |c: &k8s_openapi::api::batch::v1::JobCondition| {
        c.last_transition_time.as_ref().map_or(cluster_now, |time| time.0)
    };
    if let Some(complete) = condition("Complete") {
        let gone = || {
            Failure::new(
                Reason::ResultLost,
                "the Job succeeded, but its pod and report are gone",
            )
        };
        return JobState::Done {
            at: ended(complete),
            result: committed(pods).unwrap_or_else(|| Err(gone())),
        };
    }
    if let Some(failed) = condition("Failed") {
        let result = committed(pods).unwrap_or_else(|| Err(why_failed(failed, pods)));
        return JobState::Done {
            at: ended(failed),
            result,
        };
    }
    if job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) {
        return JobState::Suspended;
    }
    if pods
        .iter()
        .any(|pod| container(pod).is_some_and(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())))
    {
        return JobState::Running;
    }
    let began = status
        .and_then(|s| s.start_time.as_ref())
        .or(job.metadata.creation_timestamp.as_ref())
        .map_or(cluster_now, |time| time.0);
    let since = pods
        .iter()
        .filter_map(|pod| finished_at(pod))
        .chain([began])
        .max()
        .unwrap_or(began);
    let blocked = match pods.iter().find(|pod| phase(pod) == "Pending") {
        Some(pod) => pod_blocked(pod),
        None => refused
            .last()
            .map(|message| Failure::new(Reason::of_refusal(message), unnamed(message, &job.name_any()))),
    };
    JobState::Waiting { since, blocked }
}

/// The message without the random end of the pod's name, which is another at every try.
fn unnamed(message: &str, job: &str) -> String {
    let Some((head, tail)) = message.split_once(&format!("{job}-")) else {
        return message.to_owned();
    };
    let random = tail.bytes().take_while(u8::is_ascii_alphanumeric).count();
    format!("{head}{job}{}", &tail[random..])
}

/// The report of a pod that did what it was asked to, if there is one: whatever became of the Job around it.
fn committed(pods: &[&Pod]) -> Option<Result<Box<ArchiveReport>, Failure>> {
    let reports = pods.iter().filter_map(|pod| report(pod));
    reports
        .filter(|r| {
            matches!(
                r.outcome,
                Outcome::Committed | Outcome::NothingNew | Outcome::Closed
            )
        })
        .map(|r| Ok(Box::new(r)))
        .next()
}

fn why_failed(condition: &k8s_openapi::api::batch::v1::JobCondition, pods: &[&Pod]) -> Failure {
    let told = condition.message.clone().unwrap_or_default();
    let last = pods.iter().max_by_key(|pod| finished_at(pod));
    let of_pod = last.and_then(|pod| pod_failed(pod));
    match (condition.reason.as_deref(), of_pod) {
        (Some("DeadlineExceeded"), Some(failure)) if failure.reason != Reason::Crashed => failure,
        (Some("DeadlineExceeded"), _) => {
            let blocked = last.and_then(|pod| pod_blocked(pod));
            blocked.unwrap_or_else(|| Failure::new(Reason::DeadlineExceeded, told))
        }
        (_, Some(failure)) => failure,
        (reason, None) => Failure::new(
            Reason::ResultLost,
            format!(
                "the Job failed ({}: {told}) and its pods are gone",
                reason.unwrap_or("no reason given")
            ),
        ),
    }
}

/// Why a pod that has ended failed.
fn pod_failed(pod: &Pod) -> Option<Failure> {
    let status = pod.status.as_ref()?;
    if let Some(report) = report(pod) {
        let error = report
            .error
            .unwrap_or_else(|| "the archiver gave no reason".into());
        return Some(Failure::new(Reason::of_outcome(report.outcome), error));
    }
    if status.reason.as_deref() == Some("Evicted") {
        return Some(Failure::new(
            Reason::Evicted,
            status
                .message
                .clone()
                .unwrap_or_else(|| "the pod was evicted".into()),
        ));
    }
    let disrupted = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
    if let Some(condition) = disrupted {
        let message = condition
            .message
            .clone()
            .unwrap_or_else(|| "the pod was disrupted".into());
        return Some(Failure::new(Reason::Evicted, message));
    }
    let ended = container(pod)?.state.as_ref()?.terminated.as_ref()?;
    if ended.reason.as_deref() == Some("OOMKilled") {
        return Some(Failure::new(
            Reason::OutOfMemory,
            "the container ran out of memory",
        ));
    }
    let reason = ended.reason.as_deref().unwrap_or("no reason given");
    Some(Failure::new(
        Reason::Crashed,
        format!(
            "the container ended with exit code {} ({reason}) and left no report",
            ended.exit_code
        ),
    ))
}

/// What keeps a pending pod from running.
fn pod_blocked(pod: &Pod) -> Option<Failure> {
    let status = pod.status.as_ref()?;
    if let Some(waiting) = container(pod).and_then(|c| c.state.as_ref()?.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if let Some(known) = Reason::of_waiting(reason) {
            let message = waiting.message.clone().unwrap_or_default();
            return Some(Failure::new(known, format!("{reason}: {message}")));
        }
    }
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    Some(Failure::new(
        Reason::Unschedulable,
        unscheduled
            .message
            .clone()
            .unwrap_or_else(|| "no node takes the pod".into()),
    ))
}

fn report(pod: &Pod) -> Option<ArchiveReport> {
    let message = container(pod)?
        .state
        .as_ref()?
        .terminated
        .as_ref()?
        .message
        .as_ref()?;
    serde_json::from_str(message).ok()
}

fn finished_at(pod: &Pod) -> Option<Timestamp> {
    Some(
        container(pod)?
            .state
            .as_ref()?
            .terminated
            .as_ref()?
            .finished_at
            .as_ref()?
            .0,
    )
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status
        .as_ref()?
        .container_statuses
        .as_ref()?
        .iter()
        .find(|c| c.name == job::CONTAINER)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::recording::fixture::at;

    /// A Job with that status and one pod with that status, read at 02:00.
    fn read(job: Value, pod: Option<Value>, refused: &[&str]) -> JobState {
        let job: Job = serde_json::from_value(json!({
            "metadata": { "name": "j", "uid": "u", "creationTimestamp": at("01:00:00") },
            "spec": { "template": {}, "suspend": job.get("suspend") },
            "status": job,
        }))
        .unwrap();
        let pods: Vec<Pod> = pod
            .into_iter()
            .map(|status| {
                let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u" }]);
                serde_json::from_value(json!({ "metadata": { "ownerReferences": owner }, "status": status }))
                    .unwrap()
            })
            .collect();
        let refused: Vec<String> = refused.iter().map(|&message| message.into()).collect();
        SeenJob::read(&job, &pods, &refused, true, at("02:00:00")).state
    }

    fn complete() -> Value {
        json!({ "conditions": [{ "type": "Complete", "status": "True", "lastTransitionTime": at("01:30:00") }] })
    }

    fn failed(reason: &str) -> Value {
        json!({ "conditions": [
            { "type": "Failed", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": at("01:30:00") }
        ] })
    }

    fn ended(code: i32, message: &str) -> Value {
        let terminated =
            json!({ "exitCode": code, "message": message, "reason": "Error", "finishedAt": at("01:29:00") });
        json!({ "phase": "Failed", "containerStatuses": [container(json!({ "terminated": terminated }))] })
    }

    fn container(state: Value) -> Value {
        json!({ "name": "archive", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state })
    }

    fn pending(waiting: &str) -> Value {
        let state = json!({ "waiting": { "reason": waiting, "message": "why" } });
        json!({ "phase": "Pending", "containerStatuses": [container(state)] })
    }

    fn report(outcome: &str) -> String {
        json!({ "version": 1, "outcome": outcome, "counts": {}, "error": "the cause" }).to_string()
    }

    fn reason(state: JobState) -> Reason {
        match state {
            JobState::Done {
                at: ended,
                result: Err(failure),
            } => {
                assert_eq!(ended, at("01:30:00"));
                failure.reason
            }
            JobState::Waiting {
                blocked: Some(failure),
                ..
            } => failure.reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_counts_whatever_became_of_the_job() {
        for job in [complete(), failed("DeadlineExceeded")] {
            let JobState::Done { result: Ok(read), .. } =
                read(job, Some(ended(0, &report("Committed"))), &[])
            else {
                panic!("not read")
            };
            assert_eq!(read.outcome, Outcome::Committed);
        }
    }

    #[test]
    fn why_a_job_failed_is_told_apart() {
        let oom = json!({ "phase": "Failed", "containerStatuses": [container(json!({ "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "finishedAt": at("01:29:00") } }))] });
        let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" });
        let drained =
            json!({ "phase": "Failed", "conditions": [{ "type": "DisruptionTarget", "status": "True" }] });
        for (job, pod, expected) in [
            (complete(), None, Reason::ResultLost),
            (complete(), Some(ended(0, "not JSON")), Reason::ResultLost),
            (failed("BackoffLimitExceeded"), None, Reason::ResultLost),
            (
                failed("BackoffLimitExceeded"),
                Some(ended(1, &report("TryAgain"))),
                Reason::TryAgain,
            ),
            (
                failed("PodFailurePolicy"),
                Some(ended(4, &report("Denied"))),
                Reason::AccessDenied,
            ),
            (
                failed("PodFailurePolicy"),
                Some(ended(3, &report("Conflict"))),
                Reason::Conflict,
            ),
            (
                failed("BackoffLimitExceeded"),
                Some(ended(101, "")),
                Reason::Crashed,
            ),
            (failed("BackoffLimitExceeded"), Some(oom), Reason::OutOfMemory),
            (failed("BackoffLimitExceeded"), Some(evicted), Reason::Evicted),
            (failed("BackoffLimitExceeded"), Some(drained), Reason::Evicted),
            (
                failed("DeadlineExceeded"),
                Some(ended(143, "")),
                Reason::DeadlineExceeded,
            ),
            (
                failed("DeadlineExceeded"),
                Some(pending("ImagePullBackOff")),
                Reason::ImageNotPulled,
            ),
        ] {
            assert_eq!(
                reason(read(job.clone(), pod.clone(), &[])),
                expected,
                "{job} {pod:?}"
            );
        }
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_told_apart() {
        let unschedulable = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" }] });
        for (pod, refused, expected) in [
            (Some(pending("ImagePullBackOff")), &[][..], Reason::ImageNotPulled),
            (
                Some(pending("CreateContainerConfigError")),
                &[],
                Reason::ContainerNotStarted,
            ),
            (Some(unschedulable), &[], Reason::Unschedulable),
            (
                None,
                &["exceeded quota: q", r#"serviceaccount "a" not found"#],
                Reason::ServiceAccountMissing,
            ),
        ] {
            assert_eq!(reason(read(json!({}), pod, refused)), expected);
        }
        let message = r#"pods "j-x7k2p" is forbidden: no"#;
        assert_eq!(unnamed(message, "j"), r#"pods "j" is forbidden: no"#);
        let starting = read(json!({}), Some(pending("ContainerCreating")), &[]);
        assert_eq!(
            starting,
            JobState::Waiting {
                since: at("01:00:00"),
                blocked: None
            }
        );
    }

    #[test]
    fn a_job_gives_up_its_place_ten_minutes_after_its_last_pod() {
        let between_pods = read(json!({ "startTime": at("01:05:00") }), Some(ended(1, "")), &[]);
        assert_eq!(
            between_pods,
            JobState::Waiting {
                since: at("01:29:00"),
                blocked: None
            }
        );
        let running =
            json!({ "phase": "Running", "containerStatuses": [container(json!({ "running": {} }))] });
        assert_eq!(read(json!({}), Some(running), &[]), JobState::Running);
        assert_eq!(read(json!({ "suspend": true }), None, &[]), JobState::Suspended);
        let job = |state| SeenJob {
            name: "j".into(),
            uid: "u".into(),
            own: false,
            task: None,
            failures: 0,
            template: String::new(),
            deleting: false,
            retired: false,
            state,
        };
        let waiting = job(between_pods);
        assert!(waiting.holds_place(at("01:38:59")) && !waiting.holds_place(at("01:39:00")));
        assert!(job(JobState::Running).holds_place(at("09:00:00")));
        assert!(!job(JobState::Suspended).holds_place(at("01:00:00")));
    }
}
