//! What a Recording's controller does in a cluster, for one span: slice after slice, or a sweep.

use crate::archiver::{
    Archiver,
    error::Result,
    request::{ArchiveReport, ArchiveRequest, Outcome, Task},
};

/// Archives slice after slice up to the span's end, or up to what is due.
pub async fn slices(archiver: &Archiver, mut request: ArchiveRequest) -> Result<ArchiveReport> {
    let mut all = ArchiveReport::new(Outcome::Committed);
    loop {
        let report = archiver.archive(&request).await;
        if report.outcome != Outcome::Committed {
            // What was committed before stays, and is told.
            let error = report.error.map(|error| match all.through {
                Some(through) => {
                    format!("everything before {through} is archived and committed; behind it: {error}")
                }
                None => error,
            });
            return Ok(ArchiveReport {
                outcome: report.outcome,
                error,
                ..all
            });
        }
        let Task::Slice { to, .. } = request.task else {
            return Ok(report);
        };
        let (through, manifest) = (report.through, report.manifest.clone());
        all = together(all, report);
        match through.filter(|through| *through < to) {
            Some(from) => {
                request.task = Task::Slice {
                    from,
                    to,
                    predecessor: manifest,
                }
            }
            None => return Ok(all),
        }
    }
}

/// Lists the whole span again.
pub async fn sweep(
    archiver: &Archiver,
    mut request: ArchiveRequest,
    (close, late_uploads): (bool, bool),
) -> Result<ArchiveReport> {
    let number = archiver.unused_sweep_number(&request).await?;
    let Some(through) = request.recording.end else {
        return Ok(ArchiveReport::new(Outcome::Invalid));
    };
    request.task = Task::Sweep {
        number,
        through,
        predecessor: None,
        close,
        late_uploads,
    };
    Ok(archiver.archive(&request).await)
}

fn together(all: ArchiveReport, next: ArchiveReport) -> ArchiveReport {
    let mut losses = all.losses;
    losses.extend(next.losses);
    losses.truncate(20);
    let mut counts = all.counts;
    counts += next.counts;
    ArchiveReport {
        counts,
        losses,
        ..next
    }
}
