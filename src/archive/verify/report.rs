//! What `verify` says: findings, counts, and what they come to.
//!
//! Pure.

use serde::Serialize;

use crate::archiver::request::Outcome;

/// The most findings that a report lists; it counts all.
const LISTED: usize = 1000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind it is.
    pub kind: Kind,
    /// The object or recording that it is about.
    pub key: String,
    /// What is wrong, and what to do.
    pub what: String,
}

/// Kinds of findings; the first ones mean that the archive is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A document or a file of footage is not there.
    Missing,
    /// It has another content or size than is written about it.
    Changed,
    /// A document cannot be read, or a file of footage cannot be parsed.
    Unreadable,
    /// Documents contradict each other.
    Contradiction,
    /// A span of a recording is covered by no slice.
    Uncovered,
    /// A fragment is named as archived or lost more than once in one recording.
    Twice,
    /// Footage that a tombstone takes is still there.
    NotErased,
    /// Gone by the bucket's own lifecycle rule.
    Expired,
    /// In an archive class: only S3's own checksum was compared.
    Frozen,
    /// A piece of work that was begun, and has no manifest yet.
    Unfinished,
    /// A recording without a root: it may still grow.
    Open,
    /// An object that neither plan nor manifest explains.
    Stray,
}

impl Kind {
    /// Whether an archive with such a finding is not proven.
    pub fn disproves(self) -> bool {
        self < Self::Expired
    }

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Unreadable => "unreadable",
            Self::Contradiction => "contradiction",
            Self::Uncovered => "uncovered",
            Self::Twice => "twice",
            Self::NotErased => "not erased",
            Self::Expired => "expired",
            Self::Frozen => "frozen",
            Self::Unfinished => "unfinished",
            Self::Open => "open",
            Self::Stray => "stray",
        }
    }
}

/// What an archive holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Streams (one made anew under an old name is another).
    pub streams: u64,
    /// Recordings.
    pub recordings: u64,
    /// Those without a root.
    pub open: u64,
    /// Files of footage that are there and unchanged.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Files whose every byte was read.
    pub read: u64,
    /// Fragments that are archived.
    pub fragments: u64,
    /// Fragments that were erased on purpose.
    pub erased: u64,
    /// Fragments that could not be read so far.
    pub unread: u64,
    /// Fragments and spans that are lost.
    pub lost: u64,
    /// Gaps in the cameras' time.
    pub gaps: u64,
    /// Frames in the files whose every byte was read.
    pub frames: u64,
}

/// The report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its version.
    pub version: u32,
    /// Whether everything that the documents say is so.
    pub proven: bool,
    /// In numbers.
    pub totals: Totals,
    /// The first findings of each kind, worst first; 1,000 at most.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub found: u64,
    /// Why it could not be finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the exit code says.
    #[serde(skip)]
    pub outcome: Option<Outcome>,
    #[serde(skip)]
    disproved: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            version: 1,
            proven: false,
            totals: Totals::default(),
            findings: Vec::new(),
            found: 0,
            error: None,
            outcome: None,
            disproved: false,
        }
    }
}

impl Report {
    /// Notes a finding.
    pub fn add(&mut self, kind: Kind, key: impl Into<String>, what: impl Into<String>) {
        self.found += 1;
        self.disproved |= kind.disproves();
        let finding = Finding {
            kind,
            key: key.into(),
            what: what.into(),
        };
        // A flood of strays must not hide what disproves the archive.
        if self.findings.len() >= LISTED {
            let Some(place) = self.findings.iter().rposition(|f| f.kind > kind) else {
                return;
            };
            self.findings.remove(place);
        }
        self.findings.push(finding);
    }

    /// Ends the report: `error`, if it could not be finished.
    pub fn finish(&mut self, error: Option<(Outcome, String)>) {
        self.findings.sort_by_key(|f| f.kind);
        let (outcome, error) = match error {
            Some((outcome, error)) => (outcome, Some(error)),
            None if self.disproved => (Outcome::Conflict, None),
            None => (Outcome::Committed, None),
        };
        self.proven = outcome == Outcome::Committed;
        (self.outcome, self.error) = (Some(outcome), error);
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        self.outcome.unwrap_or(Outcome::TryAgain).exit_code()
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let t = &self.totals;
        let mut text = String::new();
        for finding in &self.findings {
            let (kind, key, what) = (finding.kind.name(), &finding.key, &finding.what);
            text.push_str(&format!("{kind}: {key}: {what}\n"));
        }
        if self.found > self.findings.len() as u64 {
            let more = self.found - self.findings.len() as u64;
            text.push_str(&format!("… and {more} more\n"));
        }
        text.push_str(&format!(
            "{} streams, {} recordings ({} open), {} files ({}), {} of them read byte by byte; {} fragments, {} erased, \
             {} unread, {} lost, {} gaps\n",
            t.streams,
            t.recordings,
            t.open,
            t.files,
            indicatif::HumanBytes(t.bytes),
            t.read,
            t.fragments,
            t.erased,
            t.unread,
            t.lost,
            t.gaps,
        ));
        text.push_str(match (&self.error, self.proven) {
            (Some(error), _) => return text + "not finished: " + error + "\n",
            (None, true) => "proven: every object is there and unchanged, every span is covered\n",
            (None, false) => "NOT PROVEN\n",
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_hides_nothing_that_matters() {
        let mut report = Report::default();
        (0..2000).for_each(|n| report.add(Kind::Stray, n.to_string(), ""));
        report.add(Kind::Missing, "m", "");
        report.finish(None);
        assert_eq!((report.findings.len(), report.found), (1000, 2001));
        assert_eq!(report.findings[0].kind, Kind::Missing);
        assert_eq!((report.exit_code(), report.proven), (3, false));
    }

    #[test]
    fn notes_do_not_disprove() {
        let mut report = Report::default();
        for kind in [
            Kind::Stray,
            Kind::Open,
            Kind::Unfinished,
            Kind::Frozen,
            Kind::Expired,
        ] {
            report.add(kind, "", "");
        }
        report.finish(None);
        assert_eq!((report.exit_code(), report.proven), (0, true));
    }
}
