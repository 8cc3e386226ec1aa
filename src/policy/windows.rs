//! The episodes of one stream's alarm become the windows of its recordings: which begin, which go on, which end.
//!
//! Pure. The windows of one policy and stream never overlap, every known second of ALARM lies in one of them, and the same
//! input again changes nothing (DESIGN.md section 3).

use jiff::{SignedDuration, Timestamp};

use crate::{
    alarms::{Episode, Found, Level, episodes::SAME_EDGE},
    api::RecordingRules,
};

/// The longest fragment. A metric counts a fragment when it is complete, so one that began this long before the true start
/// may be what raised the alarm.
pub const LONGEST_FRAGMENT: SignedDuration = SignedDuration::from_secs(20);

/// Why the operator ended a recording. A recording that has an end without a reason was ended by a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The alarm cleared, and stayed so for the merge gap.
    Cleared,
    /// The recording was as long as one may be; what goes on is in the next.
    MaxDuration,
    /// The policy is suspended.
    Suspended,
    /// The policy does not match the stream any more.
    NotMatched,
    /// The stream's ARN has changed: it is another stream.
    StreamChanged,
    /// The VideoStream is deleted.
    StreamDeleted,
    /// The policy is deleted.
    PolicyDeleted,
    /// The policy has another alarm for the stream now.
    TriggerChanged,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Cleared,
        Self::MaxDuration,
        Self::Suspended,
        Self::NotMatched,
        Self::StreamChanged,
        Self::StreamDeleted,
        Self::PolicyDeleted,
        Self::TriggerChanged,
    ];

    /// One word, for the annotation and Events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cleared => "Cleared",
            Self::MaxDuration => "MaxDuration",
            Self::Suspended => "Suspended",
            Self::NotMatched => "NotMatched",
            Self::StreamChanged => "StreamChanged",
            Self::StreamDeleted => "StreamDeleted",
            Self::PolicyDeleted => "PolicyDeleted",
            Self::TriggerChanged => "TriggerChanged",
        }
    }
}

/// A Recording that exists, as far as windows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends, once that is set.
    pub end: Option<Timestamp>,
    /// Where its slices stop meanwhile.
    pub hold_at: Option<Timestamp>,
    /// The transition that it is for.
    pub transition: Timestamp,
    /// Whether the level made it: then an entry close to its transition is the same edge.
    pub by_level: bool,
    /// Why the operator ended it. Without an end: it is to end at `hold_at` as soon as its reach is known.
    pub ended: Option<Ended>,
    /// No slice of it reaches past this. `None`: not known, because nothing bounds its slices yet, or its status does not
    /// answer to its spec yet.
    pub reach: Option<Timestamp>,
    /// Since when it is being deleted: it cannot be changed, and the Recording controller sets its end.
    pub leaving: Option<Timestamp>,
}

/// From when on a stream's episodes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Episodes that ended before this do not count.
    pub at: Timestamp,
    /// No window begins before this.
    pub floor: Timestamp,
}

/// Why open recordings end now, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Nothing is inside from here on.
    pub at: Timestamp,
    /// Why.
    pub why: Ended,
    /// Whether episodes that began before still become recordings.
    pub catch_up: bool,
}

/// Everything that the windows of one policy on one stream follow from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The policy's rules.
    pub rules: &'a RecordingRules,
    /// From when on episodes count.
    pub since: Since,
    /// Why open recordings end now, if they do.
    pub stop: Option<Stop>,
    /// What is before the checkpoint is in recordings already. `None`: nothing is yet.
    pub checkpoint: Option<Timestamp>,
    /// The episodes that were read.
    pub episodes: &'a [Episode],
    /// The alarm's level; `None` where there is no alarm.
    pub level: Option<&'a Level>,
    /// The operator-made Recordings of this policy and stream ARN, in any order.
    pub recordings: &'a [Known],
    /// AWS's clock.
    pub now: Timestamp,
}

/// A recording to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// The transition that it is for.
    pub transition: Timestamp,
    /// Whether it goes on with an episode whose first recording is another: then its start is part of its identity.
    pub goes_on: bool,
    /// Whether the level made it.
    pub by_level: bool,
    /// CloudWatch's reason.
    pub reason: Option<String>,
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends, if that is known, and why.
    pub end: Option<(Timestamp, Ended)>,
    /// Where its slices stop meanwhile.
    pub hold_at: Option<Timestamp>,
    /// What the checkpoint stays before until it exists.
    pub entry: Timestamp,
}

/// A recording to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Where its slices stop from now on; always absent with an end.
    pub hold_at: Option<Timestamp>,
    /// Where it ends.
    pub end: Option<Timestamp>,
    /// Why it ends, or is going to.
    pub ended: Option<Ended>,
}

/// What follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Recordings to make, oldest first. They come before the changes: what a recording leaves over when it ends is in its
    /// successor already.
    pub new: Vec<New>,
    /// Recordings to change, oldest first.
    pub changes: Vec<Change>,
    /// The first moment of footage that has to wait until a recording's reach is known: the checkpoint stays before it.
    pub waiting: Option<Timestamp>,
}

/// Works out the windows.
pub fn windows(input: &Input<'_>) -> Windows {
    let mut work = Work {
        input,
        pre: input.rules.pre_roll.duration() + LONGEST_FRAGMENT,
        post: input.rules.post_roll.duration(),
        slots: input.recordings.iter().map(Slot::of).collect(),
        waiting: None,
    };
    work.slots.sort_by_key(|s| s.start);
    let open = work.take_up();
    let mut episodes: Vec<&Episode> = input.episodes.iter().collect();
    episodes.sort_by_key(|e| (e.transition, e.end));
    for episode in open.iter().chain(episodes) {
        work.place(episode);
    }
    work.settle();
    work.result()
}

/// What is known of the end of an open recording's last episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tail {
    EndedAt(Timestamp),
    Lasts,
}

/// A recording while windows are worked out: one that exists, or one to make.
#[derive(Clone, Debug)]
struct Slot {
    known: Option<Known>,
    transition: Timestamp,
    goes_on: bool,
    by_level: bool,
    reason: Option<String>,
    entry: Timestamp,
    start: Timestamp,
    /// Where it ends; without a reason a user ended it.
    end: Option<(Timestamp, Option<Ended>)>,
    reach: Option<Timestamp>,
    tail: Option<Tail>,
    /// Where it is to end as soon as its reach is known, since it is as long as one may be.
    cut: Option<Timestamp>,
}

impl Slot {
    fn of(known: &Known) -> Self {
        Self {
            transition: known.transition,
            goes_on: false,
            by_level: known.by_level,
            reason: None,
            entry: known.transition,
            start: known.start,
            end: known.end.map(|end| (end, known.ended)),
            // An end that the operator set is never before a slice.
            reach: known.end.filter(|_| known.ended.is_some()).or(known.reach),
            tail: None,
            cut: known
                .hold_at
                .filter(|_| known.end.is_none() && known.ended == Some(Ended::MaxDuration)),
            known: Some(known.clone()),
        }
    }

    /// Since when it is being deleted.
    fn leaving(&self) -> Option<Timestamp> {
        self.known.as_ref()?.leaving
    }

    fn holds(&self, at: Timestamp) -> bool {
        let end = self
            .end
            .map(|(end, _)| self.reach.map_or(end, |reach| reach.max(end)));
        self.start <= at && end.is_none_or(|end| at < end)
    }

    /// Whether the episode is the one that this recording is for.
    fn is_for(&self, episode: &Episode) -> bool {
        let by_level = self.by_level || episode.found != Found::History;
        episode.transition.is_some_and(|transition| {
            transition == self.transition
                || by_level && transition.duration_since(self.transition).abs() <= SAME_EDGE
        })
    }

    /// Ends it at `wanted`, or where a slice already is. False: that is not known yet.
    fn close(&mut self, wanted: Timestamp, why: Ended) -> bool {
        let Some(reach) = self.reach else { return false };
        let least = self.start + SignedDuration::from_millis(1);
        self.end = Some((wanted.max(reach).max(least), Some(why)));
        true
    }
}

struct Work<'a> {
    input: &'a Input<'a>,
    /// How long before the true start a window begins.
    pre: SignedDuration,
    post: SignedDuration,
    /// In the order of their starts.
    slots: Vec<Slot>,
    waiting: Option<Timestamp>,
}

impl Work<'_> {
    /// Episodes less than this apart, end to next true start, are one.
    fn gap(&self) -> SignedDuration {
        self.input.rules.merge_gap.duration().max(self.pre + self.post)
    }

    /// The episodes of recordings that are open, as far as earlier passes and the level know them: the entries that began and
    /// ended them may not be among those that were read.
    fn take_up(&mut self) -> Vec<Episode> {
        for i in 1..self.slots.len() {
            // Its successor is made before it is closed.
            let next = self.slots[i].start;
            let slot = &mut self.slots[i - 1];
            if slot.end.is_none() && slot.leaving().is_none() {
                let why = if slot.cut.is_some() {
                    Ended::MaxDuration
                } else {
                    Ended::Cleared
                };
                slot.end = Some((next, Some(why)));
            }
        }
        let input = self.input;
        let open = self
            .slots
            .iter()
            .filter(|s| s.end.is_none() && s.leaving().is_none());
        open.map(|slot| {
            let held = slot
                .known
                .as_ref()
                .and_then(|k| k.hold_at)
                .filter(|_| slot.cut.is_none());
            let end = match (held, input.level) {
                (Some(hold_at), _) => Some(hold_at - self.post),
                (None, Some(level)) if level.alarm => None,
                (None, Some(level)) => Some(level.since.max(slot.start)),
                (None, None) => Some(input.now),
            };
            Episode {
                transition: Some(slot.transition),
                start: Some(slot.start + self.pre),
                end,
                found: Found::History,
                reason: None,
            }
        })
        .collect()
    }

    /// Finds the recordings that the episode is in, and makes those that are missing.
    fn place(&mut self, episode: &Episode) {
        let input = self.input;
        // Where the beginning was not read, it was before everything that was.
        let read_from = input.checkpoint.unwrap_or(input.since.at).max(input.since.at);
        let began = episode.start.unwrap_or(read_from);
        if episode.end.is_some_and(|end| end <= input.since.at)
            || input.stop.is_some_and(|stop| began >= stop.at)
        {
            return;
        }
        let until = [
            episode.end.map(|end| end + self.post),
            input.stop.map(|stop| stop.at),
        ]
        .into_iter()
        .flatten()
        .min();
        let mut at = (began - self.pre).max(input.since.floor);
        // What lies before the episode's own first recording was decided when that was made.
        if let Some(own) = self.slots.iter().find(|s| s.is_for(episode)) {
            at = at.max(own.start);
        }
        let mut entry = episode.transition.unwrap_or(input.since.at).max(input.since.at);
        let mut transition = episode.transition;
        while until.is_none_or(|until| at < until) {
            let Some(i) = self.slots.iter().rposition(|s| s.holds(at)) else {
                let next = self.slots.iter().map(|s| s.start).find(|start| *start > at);
                if self.may_begin(episode, entry) {
                    self.make(
                        episode,
                        transition.unwrap_or(input.since.at),
                        at,
                        entry,
                        until,
                        next,
                    );
                    if next.is_none() {
                        continue;
                    }
                }
                let Some(next) = next else { return };
                at = next;
                continue;
            };
            let (gap, may_begin) = (self.gap(), self.may_begin(episode, entry));
            let limit = self.slots[i].start + input.rules.max_duration.duration();
            let slot = &mut self.slots[i];
            if let Some((end, ended)) = slot.end {
                // What a user ended is not taken up again.
                if ended.is_none() && episode.transition.is_none_or(|t| t < end) {
                    return;
                }
                let Some(reach) = slot.reach else {
                    return self.wait_for(entry, may_begin);
                };
                at = reach.max(end);
                if ended == Some(Ended::MaxDuration) {
                    entry = entry.max(at);
                    transition = transition.or(Some(slot.transition));
                }
            } else if let Some(leaving) = slot.leaving() {
                // A user deletes it: what was going on is not taken up again, and what came later waits for its end.
                return self.wait_for(entry, may_begin && entry > leaving);
            } else if let Some(Tail::EndedAt(last)) = slot.tail
                && began.duration_since(last) >= gap
            {
                if !slot.close(last + self.post, Ended::Cleared) {
                    return self.wait_for(entry, may_begin);
                }
            } else if slot.cut.is_some() || input.now >= limit && until.is_none_or(|until| until > limit) {
                if !slot.close(limit, Ended::MaxDuration) {
                    slot.cut = Some(limit);
                    return self.wait_for(limit, true);
                }
            } else {
                // An alarm that is gone ended the episode when that was first seen, not at every pass again.
                let gone = input.level.is_none() && episode.end == Some(input.now);
                let seen = matches!(slot.tail, Some(Tail::EndedAt(last)) if began <= last);
                if !(gone && seen) {
                    let tail = episode.end.map_or(Tail::Lasts, Tail::EndedAt);
                    slot.tail = slot.tail.max(Some(tail));
                }
                return;
            }
        }
    }

    /// Whether a recording may begin for the episode, `entry` being what the checkpoint has to stay before.
    fn may_begin(&self, episode: &Episode, entry: Timestamp) -> bool {
        episode.found != Found::Glimpse
            && self.input.stop.is_none_or(|stop| stop.catch_up)
            && self.input.checkpoint.is_none_or(|checkpoint| entry >= checkpoint)
    }

    fn wait_for(&mut self, entry: Timestamp, needed: bool) {
        if needed {
            self.waiting = Some(self.waiting.map_or(entry, |w| w.min(entry)));
        }
    }

    /// Makes a recording for the episode at `at`: an open one, or before a later one, one that ends there at the latest.
    fn make(
        &mut self,
        episode: &Episode,
        transition: Timestamp,
        at: Timestamp,
        entry: Timestamp,
        until: Option<Timestamp>,
        next: Option<Timestamp>,
    ) {
        let end = next.map(|next| (until.map_or(next, |until| until.min(next)), Some(Ended::Cleared)));
        let slot = Slot {
            known: None,
            transition,
            goes_on: self
                .slots
                .iter()
                .any(|s| s.transition == transition || s.is_for(episode)),
            by_level: episode.found == Found::Level,
            reason: episode.reason.clone(),
            entry,
            start: at,
            end,
            reach: Some(at),
            tail: None,
            cut: None,
        };
        let i = self.slots.partition_point(|s| s.start < at);
        self.slots.insert(i, slot);
    }

    /// Ends the open recordings whose time has come.
    fn settle(&mut self) {
        let (input, post, gap) = (self.input, self.post, self.gap());
        for slot in self
            .slots
            .iter_mut()
            .filter(|s| s.end.is_none() && s.leaving().is_none())
        {
            let last = match slot.tail {
                Some(Tail::EndedAt(last)) => Some(last),
                _ => None,
            };
            if let Some(stop) = input.stop {
                let wanted = last.map_or(stop.at, |last| (last + post).min(stop.at));
                if wanted >= input.now {
                    // No slice ever reaches the present.
                    slot.reach.get_or_insert(wanted);
                }
                slot.close(wanted, stop.why);
            } else if let Some(last) = last
                && input.now.duration_since(last) >= gap
            {
                slot.close(last + post, Ended::Cleared);
            }
        }
    }

    fn result(self) -> Windows {
        let mut windows = Windows {
            waiting: self.waiting,
            ..Windows::default()
        };
        for slot in self.slots {
            let last = match slot.tail {
                Some(Tail::EndedAt(last)) => Some(last + self.post),
                _ => None,
            };
            let hold_at = [slot.cut.or(last), self.input.stop.map(|stop| stop.at)]
                .into_iter()
                .flatten()
                .min();
            let hold_at = hold_at.filter(|_| slot.end.is_none());
            let end = slot.end.and_then(|(end, why)| Some((end, why?)));
            let ended = end.map(|(_, why)| why).or(slot.cut.map(|_| Ended::MaxDuration));
            match slot.known {
                None => windows.new.push(New {
                    transition: slot.transition,
                    goes_on: slot.goes_on,
                    by_level: slot.by_level,
                    reason: slot.reason,
                    start: slot.start,
                    end,
                    hold_at,
                    entry: slot.entry,
                }),
                Some(known) => {
                    let changed = end.is_some() || hold_at != known.hold_at || ended != known.ended;
                    if known.leaving.is_none() && known.end.is_none() && changed {
                        let end = end.map(|(end, _)| end);
                        windows.changes.push(Change {
                            name: known.name,
                            hold_at,
                            end,
                            ended,
                        });
                    }
                }
            }
        }
        windows
    }
}

#[cfg(test)]
mod tests;
