//! Condition types and the closed set of reasons, and how a condition is set without a needless change.
//!
//! Pure: the time is passed in.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The object is as its spec says.
pub const READY: &str = "Ready";
/// Work on the object goes on (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// Only a person can get the object further (kstatus).
pub const STALLED: &str = "Stalled";
/// The AWS object carries another owner's tag and is left alone.
pub const OWNED_BY_ANOTHER: &str = "OwnedByAnother";
/// The recording is in S3, wholly.
pub const COMPLETE: &str = "Complete";

/// What a condition is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    /// The condition's type: one of the constants of this module.
    pub type_: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// One CamelCase word of a closed set.
    pub reason: &'static str,
    /// A sentence for people: what, on which object, why, what to do.
    pub message: String,
}

/// The conditions after `say` was said: `lastTransitionTime` moves only when a status flips, and conditions that nobody
/// says any more go. So saying the same again changes nothing.
pub fn set(old: &[Condition], say: &[Say], generation: Option<i64>, now: jiff::Timestamp) -> Vec<Condition> {
    say.iter()
        .map(|say| {
            let status = if say.status { "True" } else { "False" };
            let since = old
                .iter()
                .find(|c| c.type_ == say.type_ && c.status == status)
                .map_or_else(|| Time(now), |c| c.last_transition_time.clone());
            Condition {
                type_: say.type_.into(),
                status: status.into(),
                reason: say.reason.into(),
                message: say.message.clone(),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// The condition of that type, where it is there and true.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_ && c.status == "True")
}

/// Whether the condition of that type is there and true.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_moves_only_with_the_status() {
        let say = |status| {
            [Say {
                type_: READY,
                status,
                reason: "R",
                message: "m".into(),
            }]
        };
        let at = |s| jiff::Timestamp::from_second(s).unwrap();
        let first = set(&[], &say(false), Some(1), at(1));
        let same = set(&first, &say(false), Some(2), at(2));
        assert_eq!(same[0].last_transition_time, Time(at(1)));
        assert_eq!(same[0].observed_generation, Some(2));
        let flipped = set(&same, &say(true), Some(2), at(3));
        assert_eq!(flipped[0].last_transition_time, Time(at(3)));
        assert!(is_true(&flipped, READY) && !is_true(&same, READY));
    }
}
