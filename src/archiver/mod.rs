//! The Job's data plane: fragments → chunks → S3 → manifest. Knows nothing of Kubernetes.
//!
//! The way of a request: `request` comes in; `slice` lists and plans (`list`, `plan`), or `sweep` looks for what is missing;
//! `execute` carries the plan out (`fetch` into the `spool`, `part` makes files, `store` writes them) and commits the
//! `manifest`; `report` says what came of it.

mod chain;
pub mod command;
pub mod error;
mod execute;
mod fetch;
pub mod gaps;
pub mod hashing;
pub mod holdings;
pub mod keeping;
pub mod keys;
mod list;
pub mod loss;
pub mod manifest;
pub mod media;
mod pace;
mod part;
pub mod plan;
mod present;
pub mod preview;
pub mod progress;
mod report;
pub mod request;
mod slice;
pub mod spool;
pub mod store;
mod sweep;
#[cfg(test)]
mod tests;
pub mod tombstone;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::{
    error::{ArchiveError, Result},
    loss::Circumstances,
    progress::Watcher,
    request::{ArchiveReport, ArchiveRequest, Task, VERSION},
    slice::Slice,
    spool::Spool,
    store::Store,
    sweep::Sweep,
};
use crate::{
    aws::{Kind, StreamArn, footage::Footage},
    clock::AwsClock,
};

/// Archives what requests ask for: one stream, one bucket.
#[derive(Debug)]
pub struct Archiver {
    /// Where footage comes from.
    pub footage: Arc<dyn Footage>,
    /// Where it goes.
    pub store: Store,
    /// AWS's clock.
    pub clock: AwsClock,
    /// Where it lies in between.
    pub spool: Spool,
    /// How many fragments a second are asked for at most.
    pub fragments_per_second: u32,
    /// Who watches.
    pub watcher: Arc<dyn Watcher>,
}

impl Archiver {
    /// Does what a request asks for, and says what came of it.
    pub async fn archive(&self, request: &ArchiveRequest) -> ArchiveReport {
        match self.attempt(request).await {
            Ok(report) => report,
            Err(e) => ArchiveReport::failed(&e),
        }
    }

    async fn attempt(&self, request: &ArchiveRequest) -> Result<ArchiveReport> {
        if request.version != VERSION {
            return Err(ArchiveError::Invalid(format!(
                "the request is of version {}, this program knows version {VERSION}: run the version that made it",
                request.version
            )));
        }
        let stream = request
            .stream_arn
            .parse::<StreamArn>()
            .map_err(|e| ArchiveError::Invalid(e.to_string()))?;
        let times = match request.task {
            Task::Slice { from, to, .. } => [from, to],
            Task::Sweep { through, .. } => [through, through],
        };
        if times
            .iter()
            .chain([&request.recording.start])
            .any(|t| t.subsec_nanosecond() % 1000 != 0)
        {
            return Err(ArchiveError::Invalid(
                "times have microseconds at most: keys have no more".into(),
            ));
        }
        match &request.task {
            Task::Slice {
                from,
                to,
                predecessor,
            } => {
                let slice = Slice {
                    from: *from,
                    to: *to,
                    predecessor: predecessor.clone(),
                };
                self.slice(request, &stream, &slice).await
            }
            Task::Sweep {
                number,
                through,
                predecessor,
                close,
                late_uploads,
            } => {
                let sweep = Sweep {
                    number: *number,
                    through: *through,
                    predecessor: predecessor.clone(),
                    close: *close,
                    late_uploads: *late_uploads,
                };
                self.sweep(request, &stream, &sweep).await
            }
        }
    }

    /// What AWS says now: its time, the stream's retention, and whether it is there.
    async fn circumstances(&self, stream: &StreamArn) -> Result<Circumstances> {
        let (retention, gone) = match self.footage.stream(stream).await {
            Ok(found) => (
                SignedDuration::from_hours(found.retention_hours.into()),
                found.arn != *stream,
            ),
            Err(e) if e.kind == Kind::NotFound => (SignedDuration::ZERO, true),
            Err(e) => return Err(e.into()),
        };
        let now = self
            .clock
            .now()
            .ok_or_else(|| ArchiveError::NotYet("AWS's answers carry no date".into()))?;
        // KVS's times have milliseconds, and so has every time that is derived from it.
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Ok(Circumstances { now, retention, gone })
    }
}
