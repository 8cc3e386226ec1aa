use proptest::prelude::*;

use super::*;
use crate::{
    alarms::{Transition, episodes},
    api::Span,
    policy::checkpoint,
};

const SETTLE: SignedDuration = SignedDuration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// What CloudWatch will say of one ALARM: when it begins, truly began and ends, and how late its two entries appear.
#[derive(Clone, Debug)]
struct Alarm {
    transition: Timestamp,
    start: Option<Timestamp>,
    end: Timestamp,
    lateness: (i64, i64),
}

/// A Recording and its Jobs, as the Recording controller would treat them.
#[derive(Clone, Debug)]
struct Recording {
    known: Known,
    archived: Timestamp,
    /// Where the slice that runs ends at the latest, and when it is done.
    job: Option<(Timestamp, Timestamp)>,
    /// Whether the status answers to the spec.
    observed: bool,
}

struct World {
    alarms: Vec<Alarm>,
    rules: RecordingRules,
    recordings: Vec<Recording>,
    checkpoint: Option<Timestamp>,
    now: Timestamp,
    since: Since,
    stop: Option<Stop>,
}

impl World {
    fn new(alarms: Vec<Alarm>, rules: RecordingRules) -> Self {
        let since = Since {
            at: at(0),
            floor: at(-100_000),
        };
        Self {
            alarms,
            rules,
            recordings: vec![],
            checkpoint: None,
            now: at(0),
            since,
            stop: None,
        }
    }

    fn level(&self) -> Level {
        let mut level = Level {
            alarm: false,
            since: at(-10_000),
            start: None,
            reason: None,
            read: self.now,
        };
        for alarm in &self.alarms {
            if alarm.transition <= self.now {
                level = Level {
                    alarm: true,
                    since: alarm.transition,
                    start: alarm.start,
                    reason: None,
                    read: self.now,
                };
            }
            if alarm.end <= self.now {
                level = Level {
                    alarm: false,
                    since: alarm.end,
                    start: None,
                    reason: None,
                    read: self.now,
                };
            }
        }
        level
    }

    fn entries(&self) -> Vec<Transition> {
        let from = checkpoint::read_from(self.checkpoint.unwrap_or(self.since.at));
        let seen = |t: &Transition, late: i64| t.at >= from && t.at + secs(late) <= self.now;
        let mut entries = vec![];
        for alarm in &self.alarms {
            let began = Transition {
                at: alarm.transition,
                cleared: false,
                was_alarm: Some(false),
                start: alarm.start,
                reason: None,
            };
            let ended = Transition {
                at: alarm.end,
                cleared: true,
                was_alarm: Some(true),
                start: None,
                reason: None,
            };
            entries.extend([(began, alarm.lateness.0), (ended, alarm.lateness.1)]);
        }
        entries
            .into_iter()
            .filter(|(t, late)| seen(t, *late))
            .map(|(t, _)| t)
            .collect()
    }

    fn plan(&self) -> Windows {
        let level = self.level();
        let known: Vec<Known> = self
            .recordings
            .iter()
            .map(|r| {
                let bounded = r.known.hold_at.is_some() || r.known.end.is_some();
                let reach = r.job.map_or(r.archived, |(to, _)| to.max(r.archived));
                Known {
                    reach: (bounded && r.observed).then_some(reach),
                    ..r.known.clone()
                }
            })
            .collect();
        windows(&Input {
            rules: &self.rules,
            since: self.since,
            stop: self.stop,
            checkpoint: self.checkpoint,
            episodes: &episodes(&self.entries(), Some(&level), self.now, self.now),
            level: Some(&level),
            recordings: &known,
            now: self.now,
        })
    }

    fn pass(&mut self) {
        let planned = self.plan();
        for change in planned.changes {
            let recording = self
                .recordings
                .iter_mut()
                .find(|r| r.known.name == change.name)
                .unwrap();
            assert!(recording.known.end.is_none(), "an end is set once");
            recording.known.hold_at = change.hold_at;
            recording.known.ended = change.ended;
            if let Some(end) = change.end {
                let reached = recording
                    .job
                    .map_or(recording.archived, |(to, _)| to.max(recording.archived));
                assert!(reached <= end, "an end cuts into a slice: {recording:?}");
                recording.known.end = Some(end);
            }
            recording.observed = false;
        }
        for new in planned.new {
            let name = format!(
                "{}{}",
                new.transition,
                if new.goes_on {
                    new.start.to_string()
                } else {
                    String::new()
                }
            );
            assert!(
                self.recordings.iter().all(|r| r.known.name != name),
                "{name} twice"
            );
            assert!(self.checkpoint.is_none_or(|c| new.entry >= c));
            self.recordings.push(Recording {
                known: Known {
                    name,
                    start: new.start,
                    end: new.end.map(|(end, _)| end),
                    hold_at: new.hold_at,
                    transition: new.transition,
                    by_level: new.by_level,
                    ended: new.end.map(|(_, why)| why),
                    reach: None,
                    leaving: None,
                },
                archived: new.start,
                job: None,
                observed: false,
            });
        }
        self.checkpoint = Some(checkpoint::next(self.checkpoint, self.now, planned.waiting));
    }

    /// The Recording controller's part: Jobs end and begin.
    fn archive(&mut self, job_seconds: i64) {
        for r in &mut self.recordings {
            if let Some((to, done)) = r.job
                && done <= self.now
            {
                r.archived = to;
                r.job = None;
            }
            let bound = r.known.end.or(r.known.hold_at).unwrap_or(Timestamp::MAX);
            let to = bound.min(self.now - SETTLE);
            if r.job.is_none() && to > r.archived {
                r.job = Some((to, self.now + secs(job_seconds)));
            }
            r.observed = true;
        }
    }

    fn go(&mut self, seconds: i64) {
        self.now += secs(seconds);
    }

    /// Until nothing changes any more.
    fn rest(&mut self) {
        let quiet = self
            .alarms
            .last()
            .map_or(self.now, |alarm| alarm.end.max(self.now))
            + secs(7200);
        while self.now < quiet {
            self.archive(0);
            self.pass();
            self.go(300);
        }
    }

    fn spans(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut spans: Vec<_> = self
            .recordings
            .iter()
            .map(|r| (r.known.start, r.known.end.unwrap_or(Timestamp::MAX)))
            .collect();
        spans.sort();
        spans
    }

    fn seconds(&self) -> Vec<(i64, i64)> {
        let second = |t: Timestamp| t.as_second() - at(0).as_second();
        self.spans()
            .into_iter()
            .map(|(from, to)| (second(from), second(to)))
            .collect()
    }

    /// Every second of ALARM is inside, and no windows overlap.
    fn check(&self) {
        let spans = self.spans();
        for pair in spans.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "windows overlap: {spans:?}");
        }
        for alarm in &self.alarms {
            let mut from = alarm.transition.max(self.since.at).max(self.since.floor);
            for (start, end) in &spans {
                if *start <= from && from < *end {
                    from = *end;
                }
            }
            assert!(
                from >= alarm.end,
                "{alarm:?} is not inside {spans:?}: not from {from} on"
            );
        }
    }
}

fn alarm(transition: i64, end: i64) -> Alarm {
    Alarm {
        transition: at(transition),
        start: Some(at(transition - 90)),
        end: at(end),
        lateness: (1, 1),
    }
}

/// Runs a pass every 15 s until `end`.
fn watch(world: &mut World, end: i64) {
    while world.now < at(end) {
        world.pass();
        world.archive(5);
        world.go(15);
    }
}

#[test]
fn one_episode_is_one_recording_with_its_rolls() {
    let mut world = World::new(vec![alarm(1000, 1600)], RecordingRules::default());
    watch(&mut world, 1500);
    let open = &world.recordings[0].known;
    assert_eq!((open.end, open.hold_at), (None, None));
    watch(&mut world, 1700);
    assert_eq!(
        world.recordings[0].known.hold_at,
        Some(at(1660)),
        "held while another may come"
    );
    watch(&mut world, 2000);
    assert_eq!(world.seconds(), [(1000 - 90 - 30 - 20, 1660)]);
    assert_eq!(world.recordings[0].known.ended, Some(Ended::Cleared));
    assert_eq!(world.recordings[0].known.hold_at, None);
    world.check();
}

#[test]
fn episodes_within_the_merge_gap_are_one_recording() {
    // 269 s from the end to the next transition are 179 s to its true start: less than the merge gap of 3 min.
    let mut world = World::new(
        vec![alarm(1000, 1100), alarm(1369, 1500)],
        RecordingRules::default(),
    );
    watch(&mut world, 2500);
    // The second is found after the gap has passed, so the first is closed: the later begins where it ended or later.
    assert_eq!(world.seconds(), [(860, 1160), (1229, 1560)]);
    let mut world = World::new(
        vec![alarm(1000, 1100), alarm(1200, 1500)],
        RecordingRules::default(),
    );
    watch(&mut world, 2500);
    assert_eq!(world.seconds(), [(860, 1560)]);
    world.check();
}

#[test]
fn what_happened_while_nobody_watched_is_recorded() {
    let mut world = World::new(
        vec![alarm(1000, 1100), alarm(4000, 4100), alarm(8000, 99_000)],
        RecordingRules::default(),
    );
    watch(&mut world, 100);
    world.go(20_000);
    world.pass();
    assert_eq!(
        world.seconds(),
        [
            (860, 1160),
            (3860, 4160),
            (7860, Timestamp::MAX.as_second() - at(0).as_second())
        ]
    );
}

#[test]
fn a_long_episode_goes_on_in_the_next_recording() {
    let rules = RecordingRules {
        max_duration: Span::from_mins(30),
        ..RecordingRules::default()
    };
    let mut world = World::new(vec![alarm(1000, 6000)], rules);
    watch(&mut world, 8000);
    world.check();
    let spans = world.seconds();
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert_eq!((spans[0].0, spans[2].1), (860, 6060));
    assert!(spans.windows(2).all(|p| p[0].1 == p[1].0), "{spans:?}");
    assert!(spans.iter().all(|(from, to)| to - from <= 1800 + 60), "{spans:?}");
}

#[test]
fn what_a_user_ended_is_not_taken_up_again_but_the_next_is() {
    let mut world = World::new(
        vec![alarm(1000, 2000), alarm(3000, 3100)],
        RecordingRules::default(),
    );
    watch(&mut world, 1200);
    world.recordings[0].known.end = Some(at(1150));
    world.recordings[0].observed = false;
    watch(&mut world, 5000);
    assert_eq!(world.seconds(), [(860, 1150), (2860, 3160)]);
}

#[test]
fn a_missing_entry_is_replaced_by_the_level_and_belongs_to_it_when_it_comes() {
    let late = Alarm {
        lateness: (500, 1),
        ..alarm(1000, 1400)
    };
    let mut world = World::new(vec![late], RecordingRules::default());
    watch(&mut world, 1299);
    assert!(world.recordings.is_empty());
    watch(&mut world, 1330);
    assert!(world.recordings[0].known.by_level);
    watch(&mut world, 3000);
    assert_eq!(world.seconds(), [(860, 1460)]);
}

#[test]
fn a_stop_ends_what_is_open_and_makes_nothing_new() {
    let mut world = World::new(
        vec![alarm(1000, 2000), alarm(2500, 2600)],
        RecordingRules::default(),
    );
    watch(&mut world, 1200);
    while world.now < at(3000) {
        world.stop = Some(Stop {
            at: world.now,
            why: Ended::Suspended,
            catch_up: false,
        });
        world.pass();
        world.archive(5);
        world.go(15);
    }
    assert_eq!(world.seconds(), [(860, 1200)]);
    assert_eq!(world.recordings[0].known.ended, Some(Ended::Suspended));
}

#[test]
fn a_deleted_policy_still_records_what_began_before() {
    let mut world = World::new(
        vec![alarm(1000, 1100), alarm(2000, 9000)],
        RecordingRules::default(),
    );
    watch(&mut world, 500);
    world.go(3000);
    world.stop = Some(Stop {
        at: at(2500),
        why: Ended::PolicyDeleted,
        catch_up: true,
    });
    world.rest();
    assert_eq!(world.seconds(), [(860, 1160), (1860, 2500)]);
}

#[test]
fn a_stream_that_came_to_match_later_is_recorded_from_then() {
    let mut world = World::new(vec![alarm(1000, 3000)], RecordingRules::default());
    world.now = at(2000);
    world.since = Since {
        at: at(2000),
        floor: at(2000),
    };
    watch(&mut world, 4000);
    assert_eq!(world.seconds(), [(2000, 3060)]);
}

fn any_alarms() -> impl Strategy<Value = Vec<Alarm>> {
    let one = (
        1i64..1500,
        0i64..1500,
        prop::option::of(0i64..180),
        0i64..400,
        0i64..400,
    );
    prop::collection::vec(one, 1..12).prop_map(|all| {
        let mut time = 0;
        all.into_iter()
            .map(|(clear, alarm, before, late_alarm, late_end)| {
                let transition = time + clear;
                time = transition + alarm;
                Alarm {
                    transition: at(transition),
                    start: before.map(|before| at(transition - before)),
                    end: at(time),
                    lateness: (late_alarm, late_end),
                }
            })
            .collect()
    })
}

fn any_rules() -> impl Strategy<Value = RecordingRules> {
    (0u64..200, 0u64..200, 0u64..900, 10u64..60).prop_map(|(pre, post, merge, max)| RecordingRules {
        pre_roll: Span::from_secs(pre),
        post_roll: Span::from_secs(post),
        late_uploads: None,
        merge_gap: Span::from_secs(merge),
        max_duration: Span::from_mins(max),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the alarm does, and whenever somebody looks: every second of ALARM is in exactly one recording, windows never
    /// overlap, no end cuts into a slice, and looking again changes nothing.
    #[test]
    fn every_second_of_alarm_is_in_exactly_one_recording(
        alarms in any_alarms(),
        rules in any_rules(),
        steps in prop::collection::vec((prop_oneof![8 => 1i64..60, 1 => 60i64..4000], 0i64..600, any::<bool>()), 1..200),
    ) {
        let mut world = World::new(alarms, rules);
        for (step, job, archives) in steps {
            if archives {
                world.archive(job);
            }
            world.pass();
            let again = world.plan();
            prop_assert!(again.changes.is_empty() && again.new.is_empty(), "again: {again:?}");
            world.go(step);
        }
        world.rest();
        world.check();
        prop_assert!(world.recordings.iter().all(|r| r.known.end.is_some()));
    }

    /// Jobs that never end hold nothing up for ever, and nothing is lost or doubled meanwhile.
    #[test]
    fn a_stuck_job_delays_but_loses_nothing(alarms in any_alarms(), rules in any_rules(), stuck in 5_000i64..40_000) {
        let mut world = World::new(alarms, rules);
        for _ in 0..400 {
            world.archive(stuck);
            world.pass();
            world.go(30);
        }
        world.rest();
        world.check();
    }
}
