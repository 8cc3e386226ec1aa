//! Who may make a Job now: at most two new ones a second, and whoever's footage expires first goes first.
//!
//! Pure: the time is passed in.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// The least time between two new Jobs.
const SPACING: SignedDuration = SignedDuration::from_millis(500);
/// Who has not come back this long after it was its turn does not want it any more.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// Who waits: the earliest expiry first, then by name. What does not expire goes last.
type Rank = (Timestamp, String);

/// Gives turns.
#[derive(Debug, Default)]
pub struct Admission {
    /// When the next Job may be made.
    next: Option<Timestamp>,
    /// Who waits, and until when it was told to.
    waiting: BTreeMap<Rank, Timestamp>,
}

impl Admission {
    /// `who` wants to make a Job for footage that expires at `expires`.
    ///
    /// # Errors
    /// It is not its turn: how long to wait before asking again.
    pub fn ask(
        &mut self,
        who: &str,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), SignedDuration> {
        let rank = (expires.unwrap_or(Timestamp::MAX), who.to_owned());
        self.waiting
            .retain(|(_, name), until| name != who && now.duration_since(*until) < PATIENCE);
        // A clock that was set back must not stop everything.
        let next = self
            .next
            .filter(|next| next.duration_since(now) <= SPACING)
            .unwrap_or(now)
            .max(now);
        let ahead = i32::try_from(self.waiting.range(..&rank).count()).unwrap_or(i32::MAX);
        if ahead == 0 && next <= now {
            self.next = Some(now + SPACING);
            return Ok(());
        }
        let wait = next.duration_since(now) + SPACING.checked_mul(ahead).unwrap_or(PATIENCE);
        let wait = wait.clamp(SignedDuration::from_millis(50), SignedDuration::from_mins(5));
        self.waiting.insert(rank, now + wait);
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn the_earliest_expiry_goes_first() {
        let mut door = Admission::default();
        assert_eq!(door.ask("a", Some(at(9_000)), at(0)), Ok(()));
        assert!(door.ask("late", Some(at(90_000)), at(1)).is_err());
        assert!(door.ask("soon", Some(at(5_000)), at(2)).is_err());
        assert!(
            door.ask("late", Some(at(90_000)), at(600)).is_err(),
            "another's footage expires first"
        );
        assert_eq!(door.ask("soon", Some(at(5_000)), at(601)), Ok(()));
        assert_eq!(door.ask("late", Some(at(90_000)), at(1_200)), Ok(()));
    }

    #[test]
    fn who_does_not_come_back_blocks_nobody() {
        let mut door = Admission::default();
        assert_eq!(door.ask("a", None, at(0)), Ok(()));
        assert!(door.ask("gone", Some(at(1)), at(1)).is_err());
        assert!(door.ask("b", None, at(700)).is_err());
        assert_eq!(door.ask("b", None, at(20_000)), Ok(()));
    }

    proptest! {
        /// Never more than two in a second, everybody gets a turn, and who waits comes back when told to.
        #[test]
        fn two_a_second_and_nobody_starves(expiries in prop::collection::vec(prop::option::of(0i64..100_000), 1..40)) {
            let mut door = Admission::default();
            let mut asking: Vec<(i64, usize)> = (0..expiries.len()).map(|who| (0, who)).collect();
            let mut granted = Vec::new();
            while let Some(&(time, who)) = asking.iter().min() {
                asking.retain(|other| *other != (time, who));
                prop_assert!(time < 1_000 * i64::try_from(expiries.len()).unwrap(), "it takes too long");
                match door.ask(&who.to_string(), expiries[who].map(at), at(time)) {
                    Ok(()) => granted.push(time),
                    Err(wait) => asking.push((time + i64::try_from(wait.as_millis()).unwrap(), who)),
                }
            }
            prop_assert_eq!(granted.len(), expiries.len());
            prop_assert!(granted.windows(2).all(|pair| pair[1] - pair[0] >= 500), "{:?}", granted);
        }
    }
}
