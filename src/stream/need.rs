//! Pure: which footage of a stream is still needed, and by what. A retention decrease or a deletion waits for it.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::{ArchivePolicy, Phase, Recording};

/// A policy's checkpoint stays ten minutes behind now; one this far behind has not read the history up to now.
const CHECKPOINT_LAG: SignedDuration = SignedDuration::from_mins(15);

/// Footage gets this much time to be archived before retention may take it.
const MARGIN: SignedDuration = SignedDuration::from_mins(15);

/// A recording that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its namespace and name.
    pub recording: String,
    /// The oldest footage that it still needs. `None`: all of its window is in S3, only checks are left.
    pub oldest: Option<Timestamp>,
    /// When retention as it is would take that.
    pub expires_at: Option<Timestamp>,
}

impl Need {
    /// What this recording still needs of the stream with this ARN. `None`: nothing.
    pub fn of(recording: &Recording, arn: &str) -> Option<Self> {
        let (spec, status) = (&recording.spec, recording.status.clone().unwrap_or_default());
        if spec.stream_arn != arn || matches!(status.phase, Some(Phase::Complete | Phase::Incomplete)) {
            return None;
        }
        let through = status.archived_through.map(|t| t.0);
        let all_archived = matches!((&spec.end, through), (Some(end), Some(through)) if through >= end.0);
        // What KVS did not deliver whole is tried again from the start.
        let oldest = match through {
            Some(_) if status.counts.unread > 0 => Some(spec.start.0),
            Some(_) if all_archived => None,
            Some(through) => Some(through),
            None => Some(spec.start.0),
        };
        Some(Self {
            recording: format!(
                "{}/{}",
                recording.namespace().unwrap_or_default(),
                recording.name_any()
            ),
            oldest,
            expires_at: status.expires_at.map(|t| t.0),
        })
    }

    /// Whether footage before this time, or soon after it, is still needed.
    pub fn older_than(&self, horizon: Timestamp) -> bool {
        self.oldest.is_some_and(|oldest| oldest < horizon + MARGIN)
    }
}

/// A policy that matches the stream and has not read the alarm history up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its namespace and name.
    pub policy: String,
    /// Up to when it has read. `None`: not at all.
    pub through: Option<Timestamp>,
}

impl Unread {
    /// The policy, if its checkpoint is too far behind `now`.
    pub fn of(policy: &ArchivePolicy, now: Timestamp) -> Option<Self> {
        let through = policy
            .status
            .as_ref()
            .and_then(|s| s.history_through.as_ref())
            .map(|t| t.0);
        (through.is_none_or(|through| through < now - CHECKPOINT_LAG)).then(|| Self {
            policy: format!("{}/{}", policy.namespace().unwrap_or_default(), policy.name_any()),
            through,
        })
    }
}

/// Why a change waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The recordings that need the footage.
    pub recordings: Vec<String>,
    /// The policies that have not read their history.
    pub policies: Vec<String>,
    /// When retention takes the first of it anyway.
    pub expires_at: Option<Timestamp>,
}

impl Held {
    /// Waits for these; for nothing: `None`.
    pub fn of<'a>(needs: impl IntoIterator<Item = &'a Need>, unread: &[Unread]) -> Option<Self> {
        let mut held = Self {
            recordings: vec![],
            policies: vec![],
            expires_at: None,
        };
        for need in needs {
            held.recordings.push(need.recording.clone());
            held.expires_at = held.expires_at.into_iter().chain(need.expires_at).min();
        }
        held.policies = unread.iter().map(|unread| unread.policy.clone()).collect();
        (!held.recordings.is_empty() || !held.policies.is_empty()).then_some(held)
    }

    /// In words: which, until when.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        if !self.recordings.is_empty() {
            let _ = write!(text, "still needed by {}", some(&self.recordings));
            if let Some(at) = self.expires_at {
                let _ = write!(text, " (the oldest of it expires at {at:.0})");
            }
        }
        if !self.policies.is_empty() {
            let and = if text.is_empty() { "" } else { "; " };
            let _ = write!(
                text,
                "{and}not yet known to be free of alarms: {} has not read its alarm history",
                some(&self.policies)
            );
        }
        text
    }
}

/// The first names, and how many more.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
