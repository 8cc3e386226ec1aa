//! Transitions and the level of one alarm become its episodes: from ALARM to not ALARM.
//!
//! Pure. Entries come in any order, and more than once; only the state after a transition counts. Where entries are missing,
//! what is made of the rest is too long rather than too short: footage too much is better than footage lost.

use jiff::{SignedDuration, Timestamp};

use super::Transition;

/// How long an entry may take to appear in the history before the level takes its place (DESIGN.md section 3).
pub const ENTRY_DELAY: SignedDuration = SignedDuration::from_mins(5);
/// One transition carries several timestamps: an entry this close to the edge that the level names belongs to it.
pub const SAME_EDGE: SignedDuration = SignedDuration::from_secs(120);

/// An alarm's present state, as DescribeAlarms says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whether it is ALARM.
    pub alarm: bool,
    /// Since when (StateTransitionedTimestamp).
    pub since: Timestamp,
    /// Where the oldest period begins that CloudWatch looked at.
    pub start: Option<Timestamp>,
    /// CloudWatch's reason, for people.
    pub reason: Option<String>,
    /// As of when this is known.
    pub read: Timestamp,
}

impl Level {
    /// The present state, where the history knows of a change that is newer than what DescribeAlarms has said. It does not
    /// where that was said long after the change: then an entry is missing.
    pub fn up_to_date(self, transitions: &[Transition]) -> Self {
        let Some(last) = transitions.iter().max() else {
            return self;
        };
        if last.at <= self.since || self.read.duration_since(last.at) >= ENTRY_DELAY {
            return self;
        }
        Self {
            alarm: !last.cleared,
            since: last.at,
            start: last.start,
            reason: last.reason.clone(),
            read: last.at,
        }
    }
}

/// How an episode was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// By an entry.
    History,
    /// By the level: no entry came in time.
    Level,
    /// By the level, and its entry may still come: it keeps a recording open, but makes none.
    Glimpse,
}

/// The alarm was in ALARM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The transition to ALARM. `None`: before everything that was read.
    pub transition: Option<Timestamp>,
    /// The true start, at most the transition.
    pub start: Option<Timestamp>,
    /// The transition to another state, or when the alarm was found gone. `None`: it lasts.
    pub end: Option<Timestamp>,
    /// How it was found.
    pub found: Found,
    /// CloudWatch's reason, for people.
    pub reason: Option<String>,
}

/// The episodes of an alarm, oldest first. `level` is absent where the alarm does not exist (any more), which ends an episode
/// now; it was read before the transitions, which are as of `read`.
pub fn episodes(
    transitions: &[Transition],
    level: Option<&Level>,
    read: Timestamp,
    now: Timestamp,
) -> Vec<Episode> {
    let mut transitions: Vec<&Transition> = transitions.iter().collect();
    transitions.sort();
    transitions.dedup_by_key(|t| (t.at, t.cleared));
    let mut episodes = vec![];
    let mut open: Option<Episode> = None;
    let mut before: Option<Timestamp> = None;
    for transition in transitions {
        let at = transition.at;
        match (&mut open, transition.cleared) {
            (None, false) => {
                open = Some(Episode {
                    transition: Some(at),
                    start: Some(transition.start.unwrap_or(at).min(at)),
                    end: None,
                    found: Found::History,
                    reason: transition.reason.clone(),
                });
            }
            // ALARM again without an end between: an entry is missing, or CloudWatch repeats itself.
            (Some(_), false) => {}
            (Some(_), true) => episodes.extend(open.take().map(|e| Episode { end: Some(at), ..e })),
            // The entry that began it was not read: it lies before what was read, or after the entry before this one.
            (None, true) if transition.was_alarm == Some(true) => episodes.push(Episode {
                transition: before,
                start: before,
                end: Some(at),
                found: Found::History,
                reason: None,
            }),
            (None, true) => {}
        }
        before = Some(at);
    }
    // What the level says long after an entry is no older than the entry.
    let entry_is_past = |level: &Level, at: Timestamp| level.read.duration_since(at) >= ENTRY_DELAY;
    match (open, level) {
        (Some(open), None) => episodes.push(Episode {
            end: Some(now),
            ..open
        }),
        (Some(open), Some(level)) => {
            // The level is older than the entries that were read after it, until that cannot be the reason any more.
            let last = before.unwrap_or(now);
            let over = !level.alarm && (level.since > last || entry_is_past(level, last));
            let end = over.then(|| level.since.max(last));
            episodes.push(Episode { end, ..open });
        }
        (None, Some(level))
            if level.alarm && before.is_none_or(|last| level.since > last || entry_is_past(level, last)) =>
        {
            let late = read.duration_since(level.since) >= ENTRY_DELAY;
            // Without reason data the entry, which is the better witness, may name a moment a little earlier.
            let start = level.start.unwrap_or(level.since - SAME_EDGE).min(level.since);
            episodes.push(Episode {
                transition: Some(level.since),
                start: Some(start),
                end: None,
                found: if late { Found::Level } else { Found::Glimpse },
                reason: level.reason.clone(),
            });
        }
        (None, _) => {}
    }
    episodes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn to_alarm(seconds: i64) -> Transition {
        Transition {
            at: at(seconds),
            cleared: false,
            was_alarm: Some(false),
            start: Some(at(seconds - 90)),
            reason: None,
        }
    }

    fn to_ok(seconds: i64) -> Transition {
        Transition {
            at: at(seconds),
            cleared: true,
            was_alarm: Some(true),
            start: None,
            reason: None,
        }
    }

    fn level(alarm: bool, since: i64) -> Level {
        Level {
            alarm,
            since: at(since),
            start: None,
            reason: None,
            read: at(since),
        }
    }

    /// (transition, end, found), in seconds.
    fn of(
        transitions: &[Transition],
        level: Option<Level>,
        now: i64,
    ) -> Vec<(Option<i64>, Option<i64>, Found)> {
        let seconds = |t: Timestamp| t.as_second() - 1_000_000;
        // As of now.
        let level = level.map(|level| Level {
            read: at(now),
            ..level
        });
        episodes(transitions, level.as_ref(), at(now), at(now))
            .into_iter()
            .map(|e| (e.transition.map(seconds), e.end.map(seconds), e.found))
            .collect()
    }

    #[test]
    fn table() {
        use Found::{Glimpse, History};
        for (what, transitions, level, now, expected) in [
            ("nothing", vec![], Some(level(false, 0)), 100, vec![]),
            (
                "it lasts",
                vec![to_alarm(10)],
                Some(level(true, 10)),
                20,
                vec![(Some(10), None, History)],
            ),
            (
                "it is over",
                vec![to_alarm(10), to_ok(50)],
                Some(level(false, 50)),
                60,
                vec![(Some(10), Some(50), History)],
            ),
            (
                "in any order, twice",
                vec![to_ok(50), to_alarm(10), to_ok(50), to_alarm(10)],
                Some(level(false, 50)),
                60,
                vec![(Some(10), Some(50), History)],
            ),
            (
                "it began before",
                vec![to_ok(50)],
                Some(level(false, 50)),
                60,
                vec![(None, Some(50), History)],
            ),
            (
                "the entry that began the second is missing: all that it can have been",
                vec![to_alarm(10), to_ok(50), to_ok(90)],
                Some(level(false, 90)),
                95,
                vec![(Some(10), Some(50), History), (Some(50), Some(90), History)],
            ),
            (
                "the entry that ended it is missing: the level ends it",
                vec![to_alarm(10)],
                Some(level(false, 50)),
                60,
                vec![(Some(10), Some(50), History)],
            ),
            (
                "the level is older than the entry",
                vec![to_alarm(10)],
                Some(level(false, 0)),
                60,
                vec![(Some(10), None, History)],
            ),
            (
                "the alarm is gone",
                vec![to_alarm(10)],
                None,
                60,
                vec![(Some(10), Some(60), History)],
            ),
            (
                "no entry yet",
                vec![],
                Some(level(true, 10)),
                309,
                vec![(Some(10), None, Glimpse)],
            ),
            (
                "no entry in time",
                vec![],
                Some(level(true, 10)),
                310,
                vec![(Some(10), None, Found::Level)],
            ),
            (
                "a new ALARM without an entry yet",
                vec![to_alarm(10), to_ok(50)],
                Some(level(true, 70)),
                80,
                vec![(Some(10), Some(50), History), (Some(70), None, Glimpse)],
            ),
            (
                "an ALARM that the entries have left behind",
                vec![to_alarm(10), to_ok(50)],
                Some(level(true, 10)),
                60,
                vec![(Some(10), Some(50), History)],
            ),
        ] {
            assert_eq!(of(&transitions, level, now), expected, "{what}");
        }
    }

    #[test]
    fn the_true_start_is_never_after_the_transition() {
        let odd = Transition {
            start: Some(at(99)),
            ..to_alarm(10)
        };
        let found = episodes(&[odd], Some(&level(true, 10)), at(20), at(20));
        assert_eq!(found[0].start, Some(at(10)));
        let found = episodes(&[to_alarm(10)], Some(&level(true, 10)), at(20), at(20));
        assert_eq!(found[0].start, Some(at(-80)));
    }

    proptest! {
        /// A level that is minutes old and the history up to now say the same as a level of now.
        #[test]
        fn an_old_level_does_no_harm(
            steps in prop::collection::vec(1i64..300, 1..12),
            age in 0i64..299,
            after in 0i64..400,
        ) {
            let mut time = 0;
            let entries: Vec<Transition> = steps
                .iter()
                .enumerate()
                .map(|(i, step)| {
                    time += step;
                    if i % 2 == 0 { to_alarm(time) } else { to_ok(time) }
                })
                .collect();
            let now = time + after;
            let of = |read: i64| {
                let last = entries.iter().rev().find(|t| t.at <= at(read));
                Level {
                    alarm: last.is_some_and(|t| !t.cleared),
                    since: last.map_or(at(-10_000), |t| t.at),
                    start: None,
                    reason: None,
                    read: at(read),
                }
            };
            let fresh = of(now).up_to_date(&entries);
            let old = of(now - age).up_to_date(&entries);
            prop_assert_eq!((fresh.alarm, fresh.since), (old.alarm, old.since));
            prop_assert_eq!(
                episodes(&entries, Some(&fresh), at(now), at(now)),
                episodes(&entries, Some(&old), at(now), at(now))
            );
        }

        #[test]
        fn order_and_repetition_do_not_matter(
            steps in prop::collection::vec(1i64..500, 0..12),
            repeat in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            seed in any::<u64>(),
        ) {
            let mut time = 0;
            let entries: Vec<Transition> = steps
                .iter()
                .enumerate()
                .map(|(i, step)| {
                    time += step;
                    if i % 2 == 0 { to_alarm(time) } else { to_ok(time) }
                })
                .collect();
            let level = level(entries.len() % 2 == 1, time);
            let plain = episodes(&entries, Some(&level), at(time + 10), at(time + 10));
            let mut mixed = entries.clone();
            if !entries.is_empty() {
                mixed.extend(repeat.iter().map(|i| entries[i.index(entries.len())].clone()));
            }
            let turn = seed as usize % mixed.len().max(1);
            mixed.rotate_left(turn);
            if seed % 2 == 0 {
                mixed.reverse();
            }
            prop_assert_eq!(plain, episodes(&mixed, Some(&level), at(time + 10), at(time + 10)));
        }
    }
}
