//! The next step of a recording, from the Recording and what is seen of the world.
//!
//! Pure. One step a pass: after a step that changes something the world is looked at again. No step needs an earlier one to
//! have been the last thing that happened, so the controller may die between any two, or run twice.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;

use super::{
    due::{self, Rules},
    failure::{Failure, Reason, backoff},
    job, progress,
    seen::{Checkpoint, JobState, PATIENCE, Seen, SeenJob, Stream},
};
use crate::{
    api::{Loss, Phase, Recording, RecordingStatus, labels},
    archiver::request::Task,
};

/// What keeps a Recording from going before it is drained.
pub const FINALIZER: &str = "kvs-operator.io/drain";

/// One look at a recording that nothing else wakes happens at least this often.
const LOOK: SignedDuration = SignedDuration::from_mins(5);
/// While a Job comes or goes, or its pod has not started, one looks this often.
const LOOK_SOON: SignedDuration = SignedDuration::from_secs(10);
/// A pod that no node takes is worth a word after this long.
const UNSCHEDULED: SignedDuration = SignedDuration::from_secs(60);
/// While its pod runs: the Job's end wakes, this is for the case that the word of it is lost.
const LOOK_AT_RUNNING: SignedDuration = SignedDuration::from_secs(60);

/// A Job, this very one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThisJob {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl ThisJob {
    fn of(job: &SeenJob) -> Self {
        Self {
            name: job.name.clone(),
            uid: job.uid.clone(),
        }
    }
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Put the finalizer on the Recording.
    Hold,
    /// Set `spec.end`.
    End {
        /// To this time.
        at: Timestamp,
        /// Why, for people.
        why: &'static str,
        /// The stream is another one or gone; otherwise a user wanted it.
        gone: bool,
    },
    /// A Job's result goes into the status.
    Record {
        /// The Job's name.
        job: String,
        /// The status with the result in it.
        status: Box<RecordingStatus>,
    },
    /// Give a Job a TTL: its result is recorded, or nobody wants it any more.
    Retire(ThisJob),
    /// Delete a Job, so that another can be made under its name.
    Remove {
        /// The Job.
        job: ThisJob,
        /// How often Jobs under the name have failed now.
        failures: i32,
        /// Why, where it failed or cannot run.
        failure: Option<Failure>,
    },
    /// Make a Job.
    Create {
        /// Its name.
        name: String,
        /// What it does.
        task: Task,
        /// How often Jobs under the name have failed.
        failures: i32,
    },
    /// End the recording without its root: nothing of it can be archived.
    Finish(Box<RecordingStatus>),
    /// Let the Recording go: take the finalizer off.
    Release {
        /// What is not in S3 and will not be, where something is.
        missing: Option<String>,
    },
    /// Nothing to do for so long.
    Wait {
        /// How long.
        after: SignedDuration,
        /// For what.
        on: Waiting,
    },
    /// Nothing to do any more.
    Rest,
}

impl Plan {
    /// Whether a status is written after the step. One that changes the Recording itself leaves a newer version; the pass over
    /// that one writes the status.
    pub fn has_status(&self) -> bool {
        !matches!(
            self,
            Self::Hold | Self::End { .. } | Self::Release { .. } | Self::Rest
        )
    }
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Waiting {
    /// Nothing is due yet.
    Due,
    /// A Job works.
    Running(String),
    /// A Job has no running pod.
    Starting {
        /// Its name.
        job: String,
        /// How often Jobs under the name have failed.
        failures: i32,
        /// What stands in the way, where that is known.
        blocked: Option<Failure>,
    },
    /// A Job is held back by somebody (Kueue).
    Suspended(String),
    /// A Job that failed is tried again later.
    Backoff {
        /// Its name.
        job: String,
        /// How often it has failed.
        failures: i32,
        /// How it failed last.
        failure: Failure,
        /// When it is tried again, in cluster time.
        until: Timestamp,
    },
    /// A Job is being deleted.
    Going(String),
    /// Another recording's Job works on the stream.
    Place(String),
    /// Other recordings' Jobs go first (`admission`).
    Turn,
    /// The stream keeps no footage.
    NoDataRetention,
    /// The policy's checkpoint has to pass before the Recording may go.
    Checkpoint,
}

/// The next step.
pub fn plan(recording: &Recording, seen: &Seen, rules: Rules) -> Plan {
    let empty = RecordingStatus::default();
    let status = recording.status.as_ref().unwrap_or(&empty);
    let held = recording.finalizers().iter().any(|f| f == FINALIZER);
    let deleting = recording.metadata.deletion_timestamp.is_some();
    let finished = is_final(status);

    if deleting && !held {
        return Plan::Rest;
    }
    if deleting && seen.namespace_terminating {
        return Plan::Release {
            missing: (!finished).then(|| missing(recording, status)),
        };
    }
    if let Some(job) = seen
        .jobs
        .iter()
        .find(|job| job.own && is_done_with(recording, status, job))
    {
        return Plan::Retire(ThisJob::of(job));
    }
    if finished {
        return match (held, seen.checkpoint) {
            (false, _) => Plan::Rest,
            (true, Checkpoint::Past) => Plan::Release { missing: None },
            (true, Checkpoint::Behind) => Plan::Wait {
                after: LOOK,
                on: Waiting::Checkpoint,
            },
        };
    }
    if deleting && is_abandoned(recording) {
        return abandon(recording, status, seen);
    }
    if !held {
        return Plan::Hold;
    }
    if recording.spec.end.is_none() {
        let gone = seen.stream == Stream::Gone;
        if deleting || gone {
            let why = if gone {
                "the stream is gone"
            } else {
                "the Recording is being deleted"
            };
            return Plan::End {
                at: end_at(recording, status, seen.now),
                why,
                gone,
            };
        }
    }
    work(recording, status, seen, rules)
}

/// Whether a recording has come to its end.
pub fn is_final(status: &RecordingStatus) -> bool {
    matches!(status.phase, Some(Phase::Complete | Phase::Incomplete))
}

/// Whether a user has given up what is not yet in S3.
pub fn is_abandoned(recording: &Recording) -> bool {
    recording
        .annotations()
        .get(labels::ABANDON)
        .is_some_and(|value| value == "true")
}

/// Where a recording that has no end is to end now: at its hold, else now; never before it begins, and never inside a slice
/// that has been asked for.
fn end_at(recording: &Recording, status: &RecordingStatus, now: Timestamp) -> Timestamp {
    let spec = &recording.spec;
    let at = spec.hold_at.as_ref().map_or(now, |hold| hold.0.min(now));
    let asked = due::asked_through(spec, status).unwrap_or(at);
    due::milliseconds_up(at.max(asked).max(spec.start.0 + SignedDuration::from_millis(1)))
}

/// The tasks whose results the status still waits for: one slice, one sweep.
pub fn current_names(recording: &Recording, status: &RecordingStatus) -> [String; 2] {
    let from = due::archived_through(&recording.spec, status);
    let number = status
        .sweeps
        .as_ref()
        .map_or(0, |sweeps| u32::try_from(sweeps.done).unwrap_or(0));
    [
        job::name(
            recording,
            &Task::Slice {
                from,
                to: from,
                predecessor: None,
            },
        ),
        job::name(
            recording,
            &Task::Sweep {
                number,
                through: from,
                predecessor: None,
                close: false,
                late_uploads: false,
            },
        ),
    ]
}

/// A finished Job without a TTL whose result the status does not wait for.
fn is_done_with(recording: &Recording, status: &RecordingStatus, job: &SeenJob) -> bool {
    matches!(job.state, JobState::Done { .. })
        && !job.retired
        && !job.deleting
        && (is_final(status) || !current_names(recording, status).contains(&job.name))
}

/// Jobs of an abandoned recording are stopped or left to their TTL; then it goes as soon as it would not come back.
fn abandon(recording: &Recording, status: &RecordingStatus, seen: &Seen) -> Plan {
    for job in seen.jobs.iter().filter(|job| job.own && !job.deleting) {
        match job.state {
            JobState::Done { .. } if job.retired => {}
            JobState::Done { .. } => return Plan::Retire(ThisJob::of(job)),
            _ => {
                let failures = job.failures;
                return Plan::Remove {
                    job: ThisJob::of(job),
                    failures,
                    failure: None,
                };
            }
        }
    }
    match seen.checkpoint {
        Checkpoint::Past => Plan::Release {
            missing: Some(missing(recording, status)),
        },
        Checkpoint::Behind => Plan::Wait {
            after: LOOK,
            on: Waiting::Checkpoint,
        },
    }
}

/// What an unfinished recording leaves outside S3, for people.
fn missing(recording: &Recording, status: &RecordingStatus) -> String {
    let through = due::archived_through(&recording.spec, status);
    let until = recording
        .spec
        .end
        .as_ref()
        .map_or_else(|| "its end".to_owned(), |end| end.0.to_string());
    let unread = match status.counts.unread {
        0 => String::new(),
        n => format!(", and {n} fragments before it that could not be read"),
    };
    if due::is_sliced(&recording.spec, status) {
        format!("everything up to {through} is in S3, but the final sweep has not run{unread}")
    } else {
        format!(
            "footage of stream {} from {through} to {until} is not in S3{unread}",
            recording.spec.stream_name
        )
    }
}

/// The step for a recording that is to be worked on.
fn work(recording: &Recording, status: &RecordingStatus, seen: &Seen, rules: Rules) -> Plan {
    let spec = &recording.spec;
    let retention = seen.stream.retention();
    let names = current_names(recording, status);
    let mut failed: Vec<(&SeenJob, Failure, Timestamp)> = Vec::new();
    for job in seen.jobs.iter().filter(|job| job.own) {
        match &job.state {
            _ if job.deleting => {
                return Plan::Wait {
                    after: LOOK_SOON,
                    on: Waiting::Going(job.name.clone()),
                };
            }
            JobState::Running => {
                return Plan::Wait {
                    after: LOOK_AT_RUNNING,
                    on: Waiting::Running(job.name.clone()),
                };
            }
            JobState::Suspended => {
                return Plan::Wait {
                    after: LOOK,
                    on: Waiting::Suspended(job.name.clone()),
                };
            }
            JobState::Waiting { since, blocked } => return waiting(job, *since, blocked.as_ref(), seen),
            JobState::Done { at, result } if names.contains(&job.name) => {
                let at_most_now = (*at).min(seen.now);
                let outcome = result.clone().and_then(|report| match &job.task {
                    Some(task) => progress::record(spec, status, task, &report, at_most_now),
                    None => Err(Failure::new(
                        Reason::UnreadableReport,
                        "the Job's task is written in words of another version",
                    )),
                });
                match outcome {
                    Ok(status) => {
                        return Plan::Record {
                            job: job.name.clone(),
                            status: Box::new(status),
                        };
                    }
                    Err(failure) => failed.push((job, failure, *at)),
                }
            }
            JobState::Done { .. } => {}
        }
    }

    let due = due::due(spec, status, retention, rules, seen.now);
    if retention.is_some_and(|retention| retention.is_zero()) {
        return without_retention(recording, status, seen, rules);
    }
    let mut later = due.later.map(|at| at.duration_since(seen.now));
    let mut backing_off = None;
    for task in due.now {
        let name = job::name(recording, &task);
        let Some((job, failure, at)) = failed.iter().find(|(job, ..)| job.name == name) else {
            let holder = seen
                .jobs
                .iter()
                .find(|job| !job.own && job.holds_place(seen.cluster_now));
            if let Some(holder) = holder {
                return Plan::Wait {
                    after: LOOK_SOON,
                    on: Waiting::Place(holder.name.clone()),
                };
            }
            let known = status.job.as_ref().filter(|job| job.name == name);
            return Plan::Create {
                name,
                task,
                failures: known.map_or(0, |job| job.failures),
            };
        };
        let failures = job.failures.saturating_add(1);
        let until = *at + backoff(failure.reason, failures, retention);
        let wait = until.duration_since(seen.cluster_now);
        if wait <= SignedDuration::ZERO || job.template != seen.template {
            return Plan::Remove {
                job: ThisJob::of(job),
                failures,
                failure: Some(failure.clone()),
            };
        }
        later = Some(later.map_or(wait, |later| later.min(wait)));
        backing_off.get_or_insert(Waiting::Backoff {
            job: name,
            failures,
            failure: failure.clone(),
            until,
        });
    }
    // A Job that failed and is not due any more as it was asked for (a longer slice is, later) is still told about.
    let on = backing_off.unwrap_or(Waiting::Due);
    Plan::Wait {
        after: later
            .unwrap_or(LOOK)
            .clamp(SignedDuration::from_millis(100), LOOK),
        on,
    }
}

/// The step for a Job that has no running pod: wait; make it anew where that may help.
fn waiting(job: &SeenJob, since: Timestamp, blocked: Option<&Failure>, seen: &Seen) -> Plan {
    let waited = seen.cluster_now.duration_since(since);
    if let Some(failure) = blocked.filter(|failure| failure.reason.cannot_run()) {
        // The pod would now be made differently: that may be the very mend.
        if waited >= PATIENCE || job.template != seen.template {
            let failures = job.failures.saturating_add(1);
            return Plan::Remove {
                job: ThisJob::of(job),
                failures,
                failure: Some(failure.clone()),
            };
        }
    }
    // A pod is always without a node at first.
    let blocked = blocked.filter(|failure| failure.reason.cannot_run() || waited >= UNSCHEDULED);
    let on = Waiting::Starting {
        job: job.name.clone(),
        failures: job.failures,
        blocked: blocked.cloned(),
    };
    Plan::Wait { after: LOOK_SOON, on }
}

/// KVS keeps nothing of the stream: no Job could read anything. Once the recording has ended it is Incomplete, and says so.
fn without_retention(recording: &Recording, status: &RecordingStatus, seen: &Seen, rules: Rules) -> Plan {
    let wait = Plan::Wait {
        after: LOOK,
        on: Waiting::NoDataRetention,
    };
    let Some(end) = recording.spec.end.as_ref() else {
        return wait;
    };
    if seen.now < end.0 + rules.settle {
        return wait;
    }
    let from = due::archived_through(&recording.spec, status);
    let mut new = status.clone();
    let reason = "NoDataRetention: the stream's retention is 0 hours, so KVS keeps no footage";
    if from < end.0 {
        new.counts.lost += 1;
        new.losses.insert(
            0,
            Loss {
                what: format!("{from}/{}", end.0),
                reason: reason.into(),
            },
        );
    }
    if new.counts.unread > 0 {
        new.counts.lost += new.counts.unread;
        new.losses.insert(
            0,
            Loss {
                what: format!("{} unread fragments", new.counts.unread),
                reason: reason.into(),
            },
        );
        new.counts.unread = 0;
    }
    if new.losses.is_empty() {
        new.losses.push(Loss {
            what: "the final sweep".into(),
            reason: reason.into(),
        });
    }
    new.losses.truncate(20);
    new.archived_through = Some(MicroTime(from));
    new.phase = Some(Phase::Incomplete);
    new.job = None;
    Plan::Finish(Box::new(new))
}
