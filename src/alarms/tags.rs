//! What is known of alarms' tags, and which are to be read next. Tags cost a call each, five a second for a whole account, so
//! that what was read is kept a while: a policy of thousands of alarms needs many passes to know them all.
//!
//! Pure.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::runtime::backoff::jitter;

/// How long what was read is good enough to change or delete an alarm.
const FRESH: Duration = Duration::from_secs(600);
/// How soon the tags of an alarm that nobody has reason to look at are read again, within a tenth.
const PERIOD: Duration = Duration::from_secs(5 * 3600);

/// The tags of one alarm.
pub type Tags = BTreeMap<String, String>;

/// What is known of the tags of a place's alarms, by name.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    /// When they are to be read without another reason.
    due: Duration,
    /// When they were read, and what they were.
    read: Option<(Duration, Tags)>,
}

impl Known {
    /// Alarms that are gone are forgotten.
    pub fn retain(&mut self, exists: impl Fn(&String) -> bool) {
        self.0.retain(|name, _| exists(name));
    }

    /// The alarm was written: what was read may not be so any more.
    pub fn doubt(&mut self, name: &str) {
        if let Some(entry) = self.0.get_mut(name) {
            entry.read = None;
        }
    }

    /// They were read.
    pub fn add(&mut self, name: String, tags: Tags, now: Duration, chance: f64) {
        let due = now + jitter(PERIOD, chance);
        let read = Some((now, tags));
        self.0.insert(name, Entry { due, read });
    }

    /// What was read last, however long ago.
    pub fn of(&self, name: &str) -> Option<&Tags> {
        self.0.get(name)?.read.as_ref().map(|(_, tags)| tags)
    }

    /// Whether what was read is good enough to change or delete the alarm.
    pub fn is_fresh(&self, name: &str, now: Duration) -> bool {
        self.read(name)
            .is_some_and(|read| now.saturating_sub(read) < FRESH)
    }

    /// The first `most` of these that are to be read: first those that never were, then those that were longest ago.
    pub fn stale(&self, mut names: Vec<String>, now: Duration, most: usize) -> Vec<String> {
        names.retain(|name| !self.is_fresh(name, now));
        names.sort_by_key(|name| self.read(name));
        names.truncate(most);
        names
    }

    /// The alarms among these whose tags nobody has read for hours, at most so many. After a start these times are spread over
    /// the whole period, by `chance`.
    pub fn due<'a>(
        &mut self,
        names: impl Iterator<Item = &'a String>,
        now: Duration,
        most: usize,
        chance: impl Fn() -> f64,
    ) -> Vec<String> {
        let due = |name: &&String| {
            let unread = || Entry {
                due: now + PERIOD.mul_f64(chance()),
                read: None,
            };
            self.0.entry((*name).clone()).or_insert_with(unread).due <= now
        };
        names.filter(due).take(most).cloned().collect()
    }

    fn read(&self, name: &str) -> Option<Duration> {
        self.0.get(name)?.read.as_ref().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_never_read_comes_first_and_then_what_was_longest_ago() {
        let mut known = Known::default();
        for (name, read) in [("a", 20), ("b", 10), ("c", 700)] {
            known.add(name.into(), Tags::new(), at(read), 0.5);
        }
        let all = || names(&["a", "b", "c", "d", "e"]);
        assert_eq!(known.stale(all(), at(800), 3), names(&["d", "e", "b"]));
        assert_eq!(known.stale(all(), at(800), 9), names(&["d", "e", "b", "a"]));
        assert!(known.of("b").is_some() && !known.is_fresh("b", at(800)));
        known.doubt("c");
        assert_eq!(known.stale(names(&["c"]), at(800), 9), names(&["c"]));
        assert_eq!(known.of("c"), None);
    }

    #[test]
    fn every_alarm_is_looked_at_within_hours_and_not_all_at_once() {
        let mut known = Known::default();
        let all = names(&["a", "b"]);
        let chances = std::cell::Cell::new(0.0);
        let chance = || chances.replace(0.5);
        assert_eq!(known.due(all.iter(), at(0), 9, chance), names(&["a"]));
        known.add("a".into(), Tags::new(), at(0), 0.5);
        assert!(known.due(all.iter(), at(8999), 9, chance).is_empty());
        assert_eq!(known.due(all.iter(), at(9000), 9, chance), names(&["b"]));
        known.retain(|name| name == "b");
        assert_eq!(known.of("a"), None);
    }
}
