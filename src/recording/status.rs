//! What a Recording's status says: phase, Job, expiry, conditions.
//!
//! Pure. Computed from the old status, what was seen and the step; equal inputs give an equal status, so that nothing is
//! written where nothing changed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use super::{
    due::{self, Rules},
    failure::{Failure, Reason},
    plan::{Plan, Waiting, current_names, is_abandoned, is_final},
    seen::{Checkpoint, Seen, Stream},
};
use crate::{
    api::{
        JobStatus, Phase, Recording, RecordingStatus,
        condition::{COMPLETE, READY, RECONCILING, STALLED, Say, set},
    },
    archiver::request::Task,
    runtime::{Class, Error, error::chain},
};

/// The status after a step. `refused`: the API server refused the step for a reason that a person can mend.
pub fn status(
    recording: &Recording,
    seen: &Seen,
    plan: &Plan,
    rules: Rules,
    refused: Option<&Failure>,
) -> RecordingStatus {
    let old = recording.status.clone().unwrap_or_default();
    let mut new = match plan {
        Plan::Record { status, .. } | Plan::Finish(status) => (**status).clone(),
        _ => old.clone(),
    };
    let ended = recording.spec.end.is_some() || matches!(plan, Plan::End { .. });
    if !is_final(&new) {
        new.phase = Some(if ended { Phase::Draining } else { Phase::Active });
        new.job = job(recording, seen, plan, refused);
    } else {
        new.job = None;
    }
    new.observed_generation = recording.metadata.generation;
    new.expires_at = expires_at(recording, &new, seen);
    let say = conditions(recording, &new, seen, plan, rules);
    new.conditions = set(
        &old.conditions,
        &say,
        recording.metadata.generation,
        seconds(seen.now),
    );
    new
}

/// When retention takes the oldest footage that is not yet archived. What KVS has not delivered may be anywhere in the
/// window, so then it is the window's own beginning that counts.
pub fn expires_at(recording: &Recording, status: &RecordingStatus, seen: &Seen) -> Option<Time> {
    let retention = seen.stream.retention().filter(|retention| !retention.is_zero())?;
    if is_final(status) {
        return None;
    }
    let unread = (status.counts.unread > 0).then_some(recording.spec.start.0);
    let unsliced =
        (!due::is_sliced(&recording.spec, status)).then(|| due::archived_through(&recording.spec, status));
    let oldest = unread.or(unsliced)?;
    Some(Time(seconds(oldest + retention)))
}

/// The Job that works, or last failed; and how far a slice may reach that has been asked for and is not recorded yet.
fn job(recording: &Recording, seen: &Seen, plan: &Plan, refused: Option<&Failure>) -> Option<JobStatus> {
    let old = recording.status.as_ref().and_then(|status| status.job.as_ref());
    let told = |name: &str, failures: i32, failure: Option<&Failure>| {
        // What refused the Job is told until it is there.
        let told_before = failures > 0 || matches!(plan, Plan::Create { .. });
        let before = old.filter(|job| job.name == name && told_before);
        Some(JobStatus {
            name: name.to_owned(),
            to: None,
            failures,
            reason: match failure {
                Some(failure) => Some(failure.reason.word().to_owned()),
                None => before.and_then(|job| job.reason.clone()),
            },
            message: match failure {
                Some(failure) => Some(failure.to_string().chars().take(1024).collect()),
                None => before.and_then(|job| job.message.clone()),
            },
        })
    };
    let shown = match plan {
        Plan::Create { name, failures, .. } => told(name, *failures, refused),
        Plan::Remove {
            job,
            failures,
            failure,
        } => told(&job.name, *failures, failure.as_ref()),
        Plan::Wait { on, .. } => match on {
            Waiting::Backoff {
                job,
                failures,
                failure,
                ..
            } => told(job, *failures, Some(failure)),
            Waiting::Starting {
                job,
                failures,
                blocked,
            } => told(job, *failures, blocked.as_ref()),
            Waiting::Running(name) | Waiting::Suspended(name) => told(
                name,
                old.filter(|job| job.name == *name).map_or(0, |job| job.failures),
                None,
            ),
            Waiting::Due | Waiting::NoDataRetention | Waiting::Checkpoint => None,
            Waiting::Going(_) | Waiting::Place(_) | Waiting::Turn => old.cloned(),
        },
        Plan::Record { .. } | Plan::Finish(_) => None,
        _ => old.cloned(),
    };
    let Some(reach) = reach(recording, seen, plan) else {
        return shown;
    };
    let empty = RecordingStatus::default();
    let status = recording.status.as_ref().unwrap_or(&empty);
    let shown = shown.unwrap_or_else(|| JobStatus {
        name: current_names(recording, status)[0].clone(),
        ..Default::default()
    });
    Some(JobStatus {
        to: Some(MicroTime(reach)),
        ..shown
    })
}

/// How far what has been asked for may reach: the latest end of all attempts at the slice that is not recorded yet, since any
/// of them may have written the plan; or the sweep's.
fn reach(recording: &Recording, seen: &Seen, plan: &Plan) -> Option<Timestamp> {
    let empty = RecordingStatus::default();
    let status = recording.status.as_ref().unwrap_or(&empty);
    if let Plan::Record { status: new, .. } = plan
        && new.archived_through != status.archived_through
    {
        return None;
    }
    let end = |task: &Task| match task {
        Task::Slice { to, .. } => *to,
        Task::Sweep { through, .. } => *through,
    };
    let [slice, sweep] = current_names(recording, status);
    let known = due::asked_through(&recording.spec, status);
    let seen = seen
        .jobs
        .iter()
        .filter(|job| job.own && (job.name == slice || job.name == sweep));
    let asked = match plan {
        Plan::Create { task, .. } => Some(end(task)),
        _ => None,
    };
    let recorded = match plan {
        Plan::Record { job, .. } => Some(job),
        _ => None,
    };
    let seen = seen
        .filter(|job| Some(&job.name) != recorded)
        .filter_map(|job| job.task.as_ref().map(end));
    seen.chain(known).chain(asked).max()
}

/// What `Complete` says until it is.
const NOT_YET: &str = "the recording is not yet wholly in S3";

/// The status when the world could not be looked at: as before, but for what it says of that.
pub fn troubled(recording: &Recording, error: &Error, now: Timestamp) -> RecordingStatus {
    let old = recording.status.clone().unwrap_or_default();
    let message: String = chain(error).chars().take(2000).collect();
    let person = error.class() == Class::Person;
    let say = |type_, status| Say {
        type_,
        status,
        reason: error.reason(),
        message: message.clone(),
    };
    let mut said = vec![
        say(READY, false),
        say(if person { STALLED } else { RECONCILING }, true),
    ];
    said.push(Say {
        reason: "NotYet",
        message: NOT_YET.into(),
        ..say(COMPLETE, false)
    });
    let generation = recording.metadata.generation;
    let conditions = set(&old.conditions, &said, generation, seconds(now));
    RecordingStatus {
        phase: old.phase.or(Some(Phase::Active)),
        conditions,
        ..old
    }
}

fn conditions(
    recording: &Recording,
    new: &RecordingStatus,
    seen: &Seen,
    plan: &Plan,
    rules: Rules,
) -> Vec<Say> {
    let say = |type_, status, reason, message: &str| Say {
        type_,
        status,
        reason,
        message: message.to_owned(),
    };
    match new.phase {
        Some(Phase::Complete) => {
            let message = format!(
                "all {} fragments are in S3, in {} files",
                new.counts.fragments, new.counts.clips
            );
            return vec![
                say(READY, true, "Complete", &message),
                say(COMPLETE, true, "Complete", &message),
            ];
        }
        Some(Phase::Incomplete) => {
            let message = incomplete(new);
            return vec![
                say(READY, false, "Incomplete", &message),
                say(STALLED, true, "Incomplete", &message),
                say(COMPLETE, false, "Incomplete", &message),
            ];
        }
        _ => {}
    }
    let (reason, mut message, state) = open(recording, new, plan, rules);
    if let Stream::Unknown(why) = &seen.stream {
        message.push_str(&format!("; the stream could not be looked at: {why}"));
    }
    if recording.metadata.deletion_timestamp.is_some() {
        message.push_str(&deletion(recording, seen));
    }
    let mut said = vec![say(READY, state == State::Well, reason, &message)];
    match state {
        State::Well => {}
        State::Working => said.push(say(RECONCILING, true, reason, &message)),
        State::Stuck => said.push(say(STALLED, true, reason, &message)),
    }
    said.push(say(COMPLETE, false, "NotYet", NOT_YET));
    said
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// All that is due is archived, or being archived for the first time.
    Well,
    /// It goes on by itself.
    Working,
    /// Only a person gets it further; it is tried again all the same.
    Stuck,
}

/// What is to be said of a recording that is not finished.
fn open(
    recording: &Recording,
    new: &RecordingStatus,
    plan: &Plan,
    rules: Rules,
) -> (&'static str, String, State) {
    let spec = &recording.spec;
    if let Plan::Wait {
        on: Waiting::NoDataRetention,
        ..
    } = plan
    {
        let message = "the stream's retention is 0 hours: KVS keeps no footage, so nothing can be archived. Set \
                       spec.dataRetentionInHours of the VideoStream to at least 1";
        return ("NoDataRetention", message.into(), State::Stuck);
    }
    if let Some((job, reason)) = new
        .job
        .as_ref()
        .and_then(|job| Some((job, Reason::of_word(job.reason.as_deref()?)?)))
    {
        let state = if reason.needs_a_person() {
            State::Stuck
        } else {
            State::Working
        };
        return (reason.word(), failing(job, plan), state);
    }
    if let Plan::Wait {
        on: Waiting::Suspended(name),
        ..
    } = plan
    {
        return (
            "Suspended",
            format!("Job {name} is suspended; whoever suspended it has to resume it"),
            State::Working,
        );
    }
    let through = due::archived_through(spec, new);
    let archived = if through > spec.start.0 {
        format!("everything before {through} is in S3")
    } else {
        "nothing is in S3 yet".to_owned()
    };
    match due::window_end(spec, new) {
        None => ("Recording", archived, State::Well),
        Some(end) if !due::is_sliced(spec, new) => (
            "Draining",
            format!("the recording ended at {end}; {archived}"),
            State::Working,
        ),
        Some(_) if new.counts.unread > 0 => {
            let unread = new.counts.unread;
            (
                "Unread",
                format!("KVS did not deliver {unread} fragments yet; sweeps try again"),
                State::Working,
            )
        }
        Some(end) => {
            let message = format!(
                "{archived}; sweeps look for fragments that became listable late, until at least {}",
                end + rules.close_after
            );
            ("Sweeping", message, State::Working)
        }
    }
}

fn failing(job: &JobStatus, plan: &Plan) -> String {
    let what = job.message.as_deref().unwrap_or_default();
    let name = &job.name;
    let waits = matches!(
        plan,
        Plan::Wait {
            on: Waiting::Starting { blocked: Some(_), .. },
            ..
        }
    );
    let times = match job.failures {
        n if n <= 0 || waits => format!("Job {name} cannot run: {what}"),
        1 => format!("Job {name} failed: {what}"),
        n => format!("Job {name} failed {n} times in a row: {what}"),
    };
    match plan {
        Plan::Wait {
            on: Waiting::Backoff { until, .. },
            ..
        } => format!("{times}; next try at {}", seconds(*until)),
        _ => times,
    }
}

/// What the deletion of an unfinished recording waits for.
fn deletion(recording: &Recording, seen: &Seen) -> String {
    let kubectl = format!(
        "kubectl annotate recording -n {} {} kvs-operator.io/abandon=true",
        recording.metadata.namespace.as_deref().unwrap_or_default(),
        recording.metadata.name.as_deref().unwrap_or_default()
    );
    match (is_abandoned(recording), seen.checkpoint) {
        (true, Checkpoint::Behind) => {
            ". Abandoned: it goes once the policy's checkpoint (status.historyThrough) is past its alarm, so that it does not come back"
                .into()
        }
        (true, Checkpoint::Past) => ". Abandoned".into(),
        (false, _) => format!(". Its deletion waits until it is in S3; to give up what is not: {kubectl}"),
    }
}

fn incomplete(status: &RecordingStatus) -> String {
    let first = match status.losses.first() {
        Some(loss) => format!("; first: {} ({})", loss.what, loss.reason),
        None => String::new(),
    };
    format!(
        "{} fragments are in S3; {} fragments or spans are lost{first}. status.losses lists at most 20, the manifests all",
        status.counts.fragments, status.counts.lost
    )
}

/// Without fractions, as `Time` is stored: otherwise what is read back would never equal what was written.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
