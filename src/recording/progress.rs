//! A Job's result goes into the status: once, and only where it says what it must.
//!
//! Pure. A slice's result counts only while the recording is archived exactly up to the slice's start, a sweep's only while
//! its number is the number of sweeps done: so the same result never counts twice.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use super::{
    due,
    failure::{Failure, Reason},
};
use crate::{
    api::{Counts, Phase, RecordingSpec, RecordingStatus},
    archiver::request::{ArchiveReport, Outcome, Task},
};

/// How many losses a status lists.
const LOSSES: usize = 20;

/// The status with the result of `task` in it; conditions are not touched. `at`: when the Job ended.
///
/// # Errors
/// Where the report does not say what a committed result must say, or the result is not the next one.
pub fn record(
    spec: &RecordingSpec,
    old: &RecordingStatus,
    task: &Task,
    report: &ArchiveReport,
    at: Timestamp,
) -> Result<RecordingStatus, Failure> {
    let mut new = old.clone();
    match task {
        Task::Slice { from, .. } => slice(spec, &mut new, *from, report)?,
        Task::Sweep {
            number,
            through,
            close,
            ..
        } => {
            let whole = due::is_sliced(spec, old) && *through >= due::archived_through(spec, old);
            sweep(&mut new, *number, whole, *close, report, at)?;
        }
    }
    if new.counts.clips > old.counts.clips {
        new.last_clip_time = Some(Time(at));
    }
    for loss in &report.losses {
        if new.losses.len() < LOSSES && !new.losses.iter().any(|known| known.what == loss.what) {
            new.losses.push(loss.short());
        }
    }
    new.job = None;
    Ok(new)
}

fn slice(
    spec: &RecordingSpec,
    new: &mut RecordingStatus,
    from: Timestamp,
    report: &ArchiveReport,
) -> Result<(), Failure> {
    if due::archived_through(spec, new) != from {
        return Err(unreadable(format!(
            "it is for the slice from {from}, which is not the next one"
        )));
    }
    let (Some(through), Some(manifest)) = (report.through, &report.manifest) else {
        return Err(unreadable(
            "it names no manifest, or not up to when it is archived",
        ));
    };
    if through <= from {
        return Err(unreadable(format!(
            "it is archived through {through}, which is not after its start {from}"
        )));
    }
    new.archived_through = Some(MicroTime(through));
    new.last_manifest = Some(manifest.clone());
    new.counts += report.counts;
    Ok(())
}

fn sweep(
    new: &mut RecordingStatus,
    number: u32,
    whole: bool,
    close: bool,
    report: &ArchiveReport,
    at: Timestamp,
) -> Result<(), Failure> {
    let mut sweeps = new.sweeps.take().unwrap_or_default();
    if i64::from(sweeps.done) != i64::from(number) {
        return Err(unreadable(format!(
            "it is for sweep {number}, which is not the next one"
        )));
    }
    // A manifest or a root that was there is reported without listing again.
    let listed = report.listed_at.unwrap_or(at);
    match (report.outcome, &report.manifest, &report.root) {
        (Outcome::Closed, _, Some(root)) if close && whole => {
            new.root = Some(root.clone());
            new.phase = Some(final_phase(report.counts));
        }
        (Outcome::Closed, ..) => {
            return Err(unreadable(
                "it closed what was not to be closed, or names no root",
            ));
        }
        (Outcome::NothingNew, ..) if close && report.counts.unread == 0 => {
            return Err(unreadable("it found nothing new and did not close"));
        }
        (Outcome::NothingNew, ..) if report.listed_at.is_none() => {
            return Err(unreadable("it does not say when it listed"));
        }
        (Outcome::NothingNew, ..) => {
            let since = sweeps
                .clean_since
                .take()
                .filter(|_| whole)
                .or(whole.then_some(MicroTime(listed)));
            sweeps.clean_since = since;
        }
        (_, Some(manifest), _) => {
            sweeps.clean_since = None;
            sweeps.last_manifest = Some(manifest.clone());
        }
        (_, None, _) => return Err(unreadable("it names no manifest")),
    }
    sweeps.done += 1;
    sweeps.last = Some(MicroTime(listed));
    new.sweeps = Some(sweeps);
    new.counts = report.counts;
    Ok(())
}

/// How a recording ends.
pub fn final_phase(counts: Counts) -> Phase {
    if counts.lost == 0 && counts.unread == 0 {
        Phase::Complete
    } else {
        Phase::Incomplete
    }
}

fn unreadable(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Reason::UnreadableReport,
        format!("the Job's report cannot be taken: {why}"),
    )
}
