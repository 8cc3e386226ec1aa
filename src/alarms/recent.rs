//! The changes of state of all alarms of a region, as far back as somebody needs them.
//!
//! Pure. An entry may come late into the history, so that each reading begins a little before the one before; what it brings
//! again is known already.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::Transition;

/// Most entries come within seconds: each reading begins this long before the one before.
const OVERLAP: SignedDuration = SignedDuration::from_mins(1);
/// And some come minutes late (DESIGN.md section 3): so often a reading begins as long ago as that.
const DEEP_EVERY: SignedDuration = SignedDuration::from_mins(2);
/// How late an entry may come.
const LATE: SignedDuration = SignedDuration::from_mins(10);
/// The first reading goes further back than is asked for, by this: the next who asks most likely wants a little more.
const SLACK: SignedDuration = SignedDuration::from_mins(15);
/// Who has not asked for this long is gone.
const GONE: SignedDuration = SignedDuration::from_hours(1);

/// What was read.
#[derive(Debug, Default)]
pub struct Recent {
    /// Nothing is missing from here on, but for what comes late.
    from: Option<Timestamp>,
    /// When it was read last.
    read: Option<Timestamp>,
    /// When it was read for late entries last.
    deep: Option<Timestamp>,
    of: BTreeMap<String, Vec<Transition>>,
    /// From when on each asker wants it, and when that asked.
    wanted: HashMap<String, (Timestamp, Timestamp)>,
}

impl Recent {
    /// Somebody wants everything from `from` on.
    pub fn want(&mut self, who: &str, from: Timestamp, now: Timestamp) {
        self.wanted
            .retain(|_, (_, asked)| now.duration_since(*asked) < GONE);
        self.wanted.insert(who.to_owned(), (from, now));
    }

    /// From when on to read now.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let wanted = self.wanted.values().map(|(from, _)| *from).min().unwrap_or(now);
        match (self.from, self.read) {
            (Some(from), Some(read)) if from <= wanted => {
                let deep = self
                    .deep
                    .is_none_or(|deep| now.duration_since(deep) >= DEEP_EVERY);
                read - if deep { LATE } else { OVERLAP }
            }
            _ => wanted.min(now) - SLACK,
        }
    }

    /// A reading from `since` on, which began at `read`, brought these.
    pub fn add(
        &mut self,
        since: Timestamp,
        read: Timestamp,
        found: impl IntoIterator<Item = (String, Transition)>,
    ) {
        for (alarm, transition) in found {
            let of = self.of.entry(alarm).or_default();
            if let Err(i) = of.binary_search(&transition) {
                of.insert(i, transition);
            }
        }
        let before = self.read.unwrap_or(since);
        if since > before {
            // There is a gap: what was known before it is of no use.
            self.from = Some(since);
        } else {
            self.from = Some(self.from.map_or(since, |from| from.min(since)));
        }
        if before.duration_since(since) >= LATE || self.deep.is_none() {
            self.deep = Some(read);
        }
        self.read = Some(read.max(before));
        self.prune();
    }

    /// What nobody wants any more goes.
    fn prune(&mut self) {
        let Some(wanted) = self.wanted.values().map(|(from, _)| *from).min() else {
            return;
        };
        if self.from.is_some_and(|from| from < wanted - SLACK) {
            let keep = wanted - SLACK;
            self.from = Some(keep);
            self.of.retain(|_, of| {
                of.retain(|transition| transition.at >= keep);
                !of.is_empty()
            });
        }
    }

    /// When it was read last.
    pub fn read(&self) -> Option<Timestamp> {
        self.read
    }

    /// The transitions of an alarm from `from` on. `None`: it was not read as far back as that.
    pub fn of(&self, alarm: &str, from: Timestamp) -> Option<Vec<Transition>> {
        if self.from.is_none_or(|known| known > from) {
            return None;
        }
        let of = self.of.get(alarm).map_or(&[][..], Vec::as_slice);
        Some(of.iter().filter(|t| t.at >= from).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn entry(seconds: i64) -> Transition {
        Transition {
            at: at(seconds),
            cleared: false,
            was_alarm: None,
            start: None,
            reason: None,
        }
    }

    proptest! {
        /// Whatever the lateness of entries (up to ten minutes), and however reading goes: who asks for a span that has been
        /// known for longer than entries are late gets all of it, each entry once.
        #[test]
        fn nothing_is_missed_and_nothing_comes_twice(
            entries in prop::collection::vec((0i64..7200, 0i64..480), 0..40),
            steps in prop::collection::vec(5i64..90, 200),
            behind in 300i64..1500,
        ) {
            let mut recent = Recent::default();
            let mut now = 0;
            for step in steps {
                now += step;
                let from = now - behind;
                recent.want("policy", at(from), at(now));
                let since = recent.next(at(now));
                let visible = entries.iter().filter(|(t, late)| at(*t) >= since && t + late <= now);
                recent.add(since, at(now), visible.map(|(t, _)| ("door".to_owned(), entry(*t))));
                let got = recent.of("door", at(from)).unwrap();
                let mut expected: Vec<_> = entries
                    .iter()
                    .filter(|(t, late)| *t >= from && t + late + 120 + 90 <= now)
                    .map(|(t, _)| entry(*t))
                    .collect();
                expected.sort();
                expected.dedup();
                prop_assert!(expected.iter().all(|e| got.contains(e)), "{now}: {got:?} lacks of {expected:?}");
                prop_assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(got.iter().all(|e| e.at >= at(from)));
            }
        }
    }

    #[test]
    fn further_back_than_was_read_is_not_known() {
        let mut recent = Recent::default();
        assert_eq!(recent.of("door", at(0)), None);
        recent.want("a", at(0), at(1000));
        let since = recent.next(at(1000));
        assert!(since <= at(0));
        recent.add(since, at(1000), [("door".to_owned(), entry(10))]);
        assert_eq!(recent.of("door", at(0)).unwrap().len(), 1);
        assert_eq!(recent.of("gate", at(0)), Some(vec![]));
        assert_eq!(recent.of("door", at(-5000)), None);
        recent.want("b", at(-5000), at(1010));
        assert!(recent.next(at(1010)) <= at(-5000), "somebody needs more");
    }

    #[test]
    fn what_nobody_wants_is_dropped() {
        let mut recent = Recent::default();
        recent.want("a", at(0), at(100));
        recent.add(recent.next(at(100)), at(100), [("door".to_owned(), entry(10))]);
        recent.want("a", at(10_000), at(10_100));
        recent.add(recent.next(at(10_100)), at(10_100), []);
        assert!(recent.of.is_empty());
        assert_eq!(recent.of("door", at(0)), None);
    }
}
