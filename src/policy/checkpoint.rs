//! The checkpoint of a policy: before it, every transition is in a Recording.
//!
//! Pure.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::{Recording, labels};

/// An entry may be this late (DESIGN.md section 3).
const BEHIND: SignedDuration = SignedDuration::from_mins(10);
/// History is read from this long before the checkpoint.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// The checkpoint after a pass: behind now and before the first moment that is not yet in a Recording, and never back.
pub fn next(old: Option<Timestamp>, now: Timestamp, missing: Option<Timestamp>) -> Timestamp {
    let behind = now - BEHIND;
    let reached = missing.map_or(behind, |missing| missing.min(behind));
    old.map_or(reached, |old| old.max(reached))
}

/// From when on history is to be read.
pub fn read_from(checkpoint: Timestamp) -> Timestamp {
    checkpoint - OVERLAP
}

/// What the checkpoint must be past before a Recording may go: the alarm's entry in history that it is for; its transition, or its
/// start, where nobody wrote that down.
pub fn entry(recording: &Recording) -> Timestamp {
    let written = recording
        .annotations()
        .get(labels::ENTRY)
        .and_then(|entry| entry.parse().ok());
    let transition = recording
        .spec
        .cause
        .as_ref()
        .and_then(|cause| cause.transition.as_ref());
    written
        .or(transition.map(|t| t.0))
        .unwrap_or(recording.spec.start.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_behind_and_never_goes_back() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        assert_eq!(next(None, at(100), None), at(90));
        assert_eq!(next(Some(at(80)), at(100), None), at(90));
        assert_eq!(next(Some(at(80)), at(100), Some(at(85))), at(85));
        assert_eq!(next(Some(at(80)), at(100), Some(at(70))), at(80));
        assert_eq!(next(Some(at(95)), at(100), None), at(95));
    }
}
