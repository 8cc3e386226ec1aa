//! Which Events a step is worth.
//!
//! Pure.

use super::plan::Plan;
use crate::{
    api::{Phase, Recording, RecordingStatus},
    archiver::request::Task,
};

/// An Event on the Recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should look.
    pub warning: bool,
    /// Whether it is about a Recording in a namespace that is being deleted, where no Event can be written any more: then it
    /// is written on the namespace itself.
    pub on_namespace: bool,
    /// One word of a closed set.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Note {
    fn normal(reason: &str, message: String) -> Self {
        Self {
            warning: false,
            on_namespace: false,
            reason: reason.into(),
            message,
        }
    }

    fn warning(reason: &str, message: String) -> Self {
        Self {
            warning: true,
            on_namespace: false,
            reason: reason.into(),
            message,
        }
    }
}

/// The Events of a step that has been taken, and of how the status changed by it.
pub fn notes(
    recording: &Recording,
    plan: &Plan,
    new: &RecordingStatus,
    namespace_terminating: bool,
) -> Vec<Note> {
    let empty = RecordingStatus::default();
    let old = recording.status.as_ref().unwrap_or(&empty);
    let mut notes = Vec::new();
    match plan {
        Plan::Create { name, task, .. } => notes.push(Note::normal("JobCreated", created(name, task))),
        Plan::End { at, why, .. } => {
            notes.push(Note::normal(
                "Ended",
                format!("the recording ends at {at}: {why}"),
            ));
        }
        Plan::Release {
            missing: Some(missing),
        } => {
            let namespace = recording.metadata.namespace.as_deref().unwrap_or_default();
            let name = recording.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Recording {namespace}/{name} goes: {missing}");
            let reason = if namespace_terminating {
                "NamespaceTerminating"
            } else {
                "Abandoned"
            };
            notes.push(Note {
                on_namespace: namespace_terminating,
                ..Note::warning(reason, message)
            });
        }
        Plan::Record { job, .. } => notes.push(recorded(job, old, new)),
        _ => {}
    }
    if !plan.has_status() {
        return notes;
    }
    if new.counts.lost > old.counts.lost {
        let lost = new.counts.lost - old.counts.lost;
        let first = new.losses.get(old.losses.len()).or(new.losses.first());
        let why = first
            .map(|loss| format!(": {} ({})", loss.what, loss.reason))
            .unwrap_or_default();
        notes.push(Note::warning(
            "FootageLost",
            format!("{lost} fragments or spans are lost{why}"),
        ));
    }
    if let Some(job) = new.job.as_ref().filter(|job| job.reason.is_some()) {
        let before = old.job.as_ref().filter(|before| before.name == job.name);
        let known =
            before.is_some_and(|before| before.failures >= job.failures && before.reason == job.reason);
        if !known {
            let reason = job.reason.clone().unwrap_or_default();
            let what = if job.failures > 0 { "failed" } else { "cannot run" };
            let message = format!(
                "Job {} {what}: {}",
                job.name,
                job.message.as_deref().unwrap_or_default()
            );
            notes.push(Note::warning(&reason, message));
        }
    }
    if new.phase != old.phase {
        notes.extend(phase(new));
    }
    notes
}

fn created(name: &str, task: &Task) -> String {
    match task {
        Task::Slice { from, to, .. } => format!("Job {name} archives from {from} to {to}"),
        Task::Sweep {
            number,
            through,
            close,
            ..
        } => {
            let closes = if *close { " and closes the recording" } else { "" };
            format!("Job {name} is sweep {number}: it looks again at everything before {through}{closes}")
        }
    }
}

fn recorded(job: &str, old: &RecordingStatus, new: &RecordingStatus) -> Note {
    let fragments = new.counts.fragments - old.counts.fragments;
    let clips = new.counts.clips - old.counts.clips;
    match &new.archived_through {
        Some(through) if new.archived_through != old.archived_through => Note::normal(
            "SliceArchived",
            format!(
                "Job {job} archived {fragments} fragments in {clips} files; everything before {} is in S3",
                through.0
            ),
        ),
        _ if fragments > 0 => Note::normal(
            "SweepFoundMore",
            format!("Job {job} found {fragments} more fragments and archived them in {clips} files"),
        ),
        _ => Note::normal("SweepDone", format!("Job {job} found nothing new")),
    }
}

fn phase(new: &RecordingStatus) -> Option<Note> {
    let ready = new
        .conditions
        .iter()
        .find(|c| c.type_ == crate::api::condition::READY);
    let message = ready.map(|c| c.message.clone()).unwrap_or_default();
    match new.phase? {
        Phase::Active => None,
        Phase::Draining => Some(Note::normal("Draining", message)),
        Phase::Complete => Some(Note::normal("Complete", message)),
        Phase::Incomplete => Some(Note::warning("Incomplete", message)),
    }
}
