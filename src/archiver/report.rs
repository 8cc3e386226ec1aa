//! Reports: what came of a request, in 4,000 bytes at most.
//!
//! Pure.

use super::{
    error::ArchiveError,
    manifest::Manifest,
    plan::Work,
    request::{ArchiveReport, Outcome, REPORT_BYTES, VERSION},
    store::Document,
};
use crate::api::Counts;

/// The most losses in a report; the Recording's status has room for as many.
const LOSSES: usize = 20;

impl ArchiveReport {
    /// A report with nothing in it but its outcome.
    pub fn new(outcome: Outcome) -> Self {
        Self {
            version: VERSION,
            outcome,
            listed_at: None,
            through: None,
            counts: Counts::default(),
            manifest: None,
            root: None,
            losses: Vec::new(),
            error: None,
        }
    }

    /// The report of a manifest that was written or found.
    pub fn committed(manifest: &Document<Manifest>) -> Self {
        let content = &manifest.content;
        Self {
            through: match content.work {
                Work::Slice { through, .. } => Some(through),
                Work::Sweep { .. } => None,
            },
            counts: content.counts,
            manifest: Some(manifest.object.clone()),
            losses: content.losses().take(LOSSES).map(|loss| loss.short()).collect(),
            ..Self::new(Outcome::Committed)
        }
    }

    /// The report of a failure.
    pub fn failed(error: &ArchiveError) -> Self {
        Self {
            error: Some(error.chain()),
            ..Self::new(error.outcome())
        }
    }

    /// The report as one line of JSON that fits a termination message: it gives up losses from the end, then the end of the
    /// error's text.
    pub fn line(&self) -> String {
        let mut report = self.clone();
        loop {
            // Maps with string keys and plain fields: there is nothing in a report that JSON cannot say.
            let line = serde_json::to_string(&report).unwrap_or_default();
            if line.len() <= REPORT_BYTES {
                return line;
            }
            if report.losses.pop().is_some() {
                continue;
            }
            let Some(error) = report.error.take().filter(|e| !e.is_empty()) else {
                return line;
            };
            let keep = error.chars().count() / 2;
            report.error = Some(error.chars().take(keep).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Loss;

    #[test]
    fn a_report_fits_a_termination_message() {
        let mut report = ArchiveReport::new(Outcome::Committed);
        report.losses = vec![
            Loss {
                what: "9".repeat(128),
                reason: "ü".repeat(256)
            };
            20
        ];
        report.error = Some("\u{1}ö".repeat(3000));
        let line = report.line();
        assert!(line.len() <= REPORT_BYTES, "{}", line.len());
        let read: ArchiveReport = serde_json::from_str(&line).unwrap();
        assert_eq!(read.outcome, Outcome::Committed);
        report.error = None;
        let read: ArchiveReport = serde_json::from_str(&report.line()).unwrap();
        assert!((1..20).contains(&read.losses.len()));
        assert_eq!(read.losses[0], report.losses[0], "the first are kept");
    }
}
