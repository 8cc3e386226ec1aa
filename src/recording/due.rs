//! What of a recording is due: the next slice, the next sweep, or nothing until a time (DESIGN.md section 3).
//!
//! Pure, and in AWS's time alone.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{RecordingSpec, RecordingStatus, Span},
    archiver::request::Task,
};

/// A sweep runs at least this often while a recording is open.
const SWEEP_AT_LEAST: SignedDuration = SignedDuration::from_hours(6);
/// Fragments that KVS did not deliver are tried again at least this often.
const UNREAD_AT_LEAST: SignedDuration = SignedDuration::from_hours(1);

/// The two times of the configuration that decide what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long after its server time a fragment counts as listable.
    pub settle: SignedDuration,
    /// How long after the end late fragments are still looked for.
    pub close_after: SignedDuration,
}

impl Rules {
    /// From the configuration's spans.
    pub fn new(settle: Span, close_after: Span) -> Self {
        Self {
            settle: settle.duration(),
            close_after: close_after.duration(),
        }
    }
}

/// What is due now, the most urgent first, and when something will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// To be done now.
    pub now: Vec<Task>,
    /// When the next thing becomes due, in AWS's time. `None`: nothing will until the recording changes.
    pub later: Option<Timestamp>,
}

impl Due {
    fn add(&mut self, task: Task, at: Timestamp, now: Timestamp) {
        if at <= now {
            self.now.push(task);
        } else {
            self.later = Some(self.later.map_or(at, |later| later.min(at)));
        }
    }
}

/// Everything before this is archived.
pub fn archived_through(spec: &RecordingSpec, status: &RecordingStatus) -> Timestamp {
    status.archived_through.as_ref().unwrap_or(&spec.start).0
}

/// How far a slice may reach that has been asked for and is not recorded yet: its plan, or even its manifest, may be in S3.
pub fn asked_through(spec: &RecordingSpec, status: &RecordingStatus) -> Option<Timestamp> {
    let through = archived_through(spec, status);
    status
        .job
        .as_ref()?
        .to
        .as_ref()
        .map(|to| to.0)
        .filter(|to| *to > through)
}

/// Where the window ends, once it is known: never before what is archived, or may be.
pub fn window_end(spec: &RecordingSpec, status: &RecordingStatus) -> Option<Timestamp> {
    let through = archived_through(spec, status);
    let reached = asked_through(spec, status).unwrap_or(through);
    spec.end.as_ref().map(|end| milliseconds_up(end.0).max(reached))
}

/// Whether every slice is archived.
pub fn is_sliced(spec: &RecordingSpec, status: &RecordingStatus) -> bool {
    window_end(spec, status).is_some_and(|end| archived_through(spec, status) >= end)
}

/// What is due. `retention`: how long the stream keeps footage, where that is known.
pub fn due(
    spec: &RecordingSpec,
    status: &RecordingStatus,
    retention: Option<SignedDuration>,
    rules: Rules,
    now: Timestamp,
) -> Due {
    let mut due = Due::default();
    if is_sliced(spec, status) {
        closing_sweep(&mut due, spec, status, retention, rules, now);
    } else {
        // A sweep first: it is rare, and a backlog of slices must not keep it from running for ever.
        open_sweep(&mut due, spec, status, retention, now);
        slice(&mut due, spec, status, retention, rules, now);
    }
    due
}

/// The slice that begins where the last one ended, and when it is worth a Job.
fn slice(
    due: &mut Due,
    spec: &RecordingSpec,
    status: &RecordingStatus,
    retention: Option<SignedDuration>,
    rules: Rules,
    now: Timestamp,
) {
    let from = archived_through(spec, status);
    let predecessor = status.last_manifest.clone();
    if let Some(to) = asked_through(spec, status) {
        // A slice that has been asked for is asked for again as it was, whatever stops the recording now.
        due.add(
            Task::Slice {
                from,
                to,
                predecessor,
            },
            to + rules.settle,
            now,
        );
        return;
    }
    let settled = milliseconds(now - rules.settle);
    let limit = spec
        .end
        .as_ref()
        .or(spec.hold_at.as_ref())
        .map(|at| milliseconds_up(at.0));
    if limit.is_some_and(|limit| limit <= from) {
        return;
    }
    let every = spec.archive_every.duration();
    let every = quarter(retention).map_or(every, |quarter| quarter.min(every));
    let regular = from + every;
    let reached = limit.map_or(regular, |limit| limit.min(regular));
    // Where nothing has settled yet, `to` means nothing and is not used.
    let to = limit.map_or(settled, |limit| limit.min(settled));
    due.add(
        Task::Slice {
            from,
            to,
            predecessor,
        },
        reached.max(from + MILLISECOND) + rules.settle,
        now,
    );
}

/// The sweep that looks again while the recording is open.
fn open_sweep(
    due: &mut Due,
    spec: &RecordingSpec,
    status: &RecordingStatus,
    retention: Option<SignedDuration>,
    now: Timestamp,
) {
    let through = archived_through(spec, status);
    // A recording that has ended drains first; its closing sweeps come right after.
    if through <= spec.start.0 || spec.end.is_some() {
        return;
    }
    let last = status
        .sweeps
        .as_ref()
        .and_then(|sweeps| sweeps.last.as_ref())
        .map_or(spec.start.0, |last| last.0);
    let every = quarter(retention).map_or(SWEEP_AT_LEAST, |q| q.min(SWEEP_AT_LEAST));
    due.add(sweep(spec, status, through, false), last + every, now);
}

/// The sweeps after the end: until two listings at least `settle` apart, the second at least `closeAfter` (and `lateUploads`)
/// after the end, found nothing new and nothing is unread; then the one that closes.
fn closing_sweep(
    due: &mut Due,
    spec: &RecordingSpec,
    status: &RecordingStatus,
    retention: Option<SignedDuration>,
    rules: Rules,
    now: Timestamp,
) {
    let Some(end) = window_end(spec, status) else {
        return;
    };
    let late = spec.late_uploads.map(Span::duration);
    let last_look = end + late.map_or(rules.close_after, |late| late.max(rules.close_after));
    let sweeps = status.sweeps.clone().unwrap_or_default();
    let last = sweeps.last.map(|last| last.0);
    let clean_since = sweeps.clean_since.map(|since| since.0);
    let (at, close) = match (last, clean_since) {
        (None, _) => (now, false),
        (Some(last), _) if status.counts.unread > 0 => {
            (last + unread_interval(last, end, retention, rules), false)
        }
        (Some(last), None) => (last + rules.settle, false),
        (Some(last), Some(since)) if last - rules.settle >= since && last >= last_look => (last, true),
        // Meanwhile what comes late is not left to expire: as often as what KVS did not deliver.
        (Some(last), Some(_)) if late.is_some() && last < last_look => {
            let next = last + unread_interval(last, end, retention, rules);
            (next.min(last_look).max(last + rules.settle), false)
        }
        (Some(last), Some(_)) => ((last + rules.settle).max(last_look), false),
    };
    due.add(sweep(spec, status, end, close), at, now);
}

fn sweep(spec: &RecordingSpec, status: &RecordingStatus, through: Timestamp, close: bool) -> Task {
    let sweeps = status.sweeps.clone().unwrap_or_default();
    Task::Sweep {
        number: u32::try_from(sweeps.done).unwrap_or(0),
        through,
        predecessor: sweeps.last_manifest,
        close,
        // Before all slices are archived, what was received after them may be the next slice's.
        late_uploads: spec.late_uploads.is_some() && is_sliced(spec, status),
    }
}

/// The waits grow with the time since the end, since what KVS did not deliver for a day is not tried every few minutes.
fn unread_interval(
    last: Timestamp,
    end: Timestamp,
    retention: Option<SignedDuration>,
    rules: Rules,
) -> SignedDuration {
    let longest = quarter(retention).map_or(UNREAD_AT_LEAST, |q| q.min(UNREAD_AT_LEAST));
    let grown = last.duration_since(end) / 4;
    grown.max(rules.close_after).max(rules.settle).min(longest)
}

fn quarter(retention: Option<SignedDuration>) -> Option<SignedDuration> {
    retention
        .filter(|retention| !retention.is_zero())
        .map(|retention| retention / 4)
}

const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// Fragments have whole milliseconds, and so have cuts.
fn milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// The same, upwards: what lies before a time with fractions lies before the next millisecond too. Whoever sets an end may
/// write nanoseconds, which a status does not hold.
pub fn milliseconds_up(at: Timestamp) -> Timestamp {
    let down = milliseconds(at);
    if down < at { down + MILLISECOND } else { down }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;
    use crate::{
        api::{Recording, SweepStatus},
        recording::fixture::{at, recording},
    };

    /// What is due at a time of the morning: starts and ends of slices, sweeps with their `close`, and when to look again.
    fn told(recording: &Recording, retention: i64, now: &str) -> String {
        let rules = Rules::new(Span::from_secs(60), Span::from_mins(10));
        let status = recording.status.clone().unwrap_or_default();
        let due = due(
            &recording.spec,
            &status,
            Some(SignedDuration::from_hours(retention)),
            rules,
            at(now),
        );
        let time = |at: Timestamp| at.strftime("%H:%M:%S").to_string();
        let mut told: Vec<String> = due
            .now
            .iter()
            .map(|task| match task {
                Task::Slice { from, to, .. } => format!("slice {}-{}", time(*from), time(*to)),
                Task::Sweep {
                    number,
                    through,
                    close,
                    ..
                } => {
                    format!(
                        "sweep {number} through {}{}",
                        time(*through),
                        if *close { " and close" } else { "" }
                    )
                }
            })
            .collect();
        told.extend(due.later.map(|later| format!("later {}", time(later))));
        told.join(", ")
    }

    fn micro(time: &str) -> Option<MicroTime> {
        Some(MicroTime(at(time)))
    }

    #[test]
    fn slices_are_cut_when_enough_is_due_or_the_recording_stops() {
        let mut r = recording("r", at("01:00:00"));
        assert_eq!(told(&r, 24, "01:00:30"), "later 01:11:00");
        assert_eq!(told(&r, 24, "01:10:59"), "later 01:11:00");
        assert_eq!(told(&r, 24, "01:11:00"), "slice 01:00:00-01:10:00");
        assert_eq!(
            told(&r, 24, "03:00:00"),
            "slice 01:00:00-02:59:00",
            "a backlog makes a longer slice"
        );
        r.spec.hold_at = micro("01:05:00");
        assert_eq!(told(&r, 24, "01:05:30"), "later 01:06:00");
        assert_eq!(
            told(&r, 24, "03:00:00"),
            "slice 01:00:00-01:05:00",
            "nothing after the hold"
        );
        r.status = Some(RecordingStatus {
            archived_through: micro("01:05:00"),
            ..Default::default()
        });
        assert_eq!(
            told(&r, 24, "01:07:00"),
            "later 07:00:00",
            "only the sweep is left while it is held"
        );
        r.spec.hold_at = None;
        r.spec.end = micro("01:20:00");
        assert_eq!(told(&r, 24, "01:15:59"), "later 01:16:00");
        assert_eq!(
            told(&r, 24, "01:25:00"),
            "slice 01:05:00-01:20:00",
            "the end cuts"
        );
    }

    #[test]
    fn short_retention_makes_slices_and_sweeps_frequent() {
        let mut r = recording("r", at("01:00:00"));
        r.spec.archive_every = Span::from_hours(1);
        assert_eq!(
            told(&r, 1, "01:15:59"),
            "later 01:16:00",
            "a quarter of the retention"
        );
        r.status = Some(RecordingStatus {
            archived_through: micro("01:10:00"),
            ..Default::default()
        });
        assert_eq!(
            told(&r, 1, "01:15:00"),
            "sweep 0 through 01:10:00, later 01:26:00"
        );
        assert_eq!(
            told(&r, 24, "06:59:00"),
            "slice 01:10:00-06:58:00, later 07:00:00"
        );
        assert_eq!(
            told(&r, 24, "07:00:00"),
            "sweep 0 through 01:10:00, slice 01:10:00-06:59:00",
            "a backlog does not keep the sweep from running"
        );
    }

    #[test]
    fn it_closes_after_two_listings_that_found_nothing_the_second_late_enough() {
        let mut r = recording("r", at("01:00:00"));
        r.spec.end = micro("02:00:00");
        let status = |last, clean_since, unread| {
            let sweeps = SweepStatus {
                done: 3,
                last: micro(last),
                clean_since,
                last_manifest: None,
            };
            let counts = crate::api::Counts {
                unread,
                ..Default::default()
            };
            let archived_through = micro("02:00:00");
            Some(RecordingStatus {
                archived_through,
                sweeps: Some(sweeps),
                counts,
                ..Default::default()
            })
        };
        for (status, now, expected) in [
            (status("02:01:30", None, 0), "02:02:00", "later 02:02:30"),
            (
                status("02:01:30", None, 0),
                "02:02:30",
                "sweep 3 through 02:00:00",
            ),
            (
                status("02:02:30", micro("02:02:30"), 0),
                "02:03:30",
                "later 02:10:00",
            ),
            (
                status("02:02:30", micro("02:02:30"), 0),
                "02:10:00",
                "sweep 3 through 02:00:00",
            ),
            (
                status("02:10:00", micro("02:02:30"), 0),
                "02:10:05",
                "sweep 3 through 02:00:00 and close",
            ),
            (
                status("02:10:00", micro("02:09:30"), 0),
                "02:10:05",
                "later 02:11:00",
            ),
            // What KVS has not delivered yet keeps it open; the longer it takes, the rarer the tries.
            (
                status("02:10:00", micro("02:02:30"), 1),
                "02:10:05",
                "later 02:20:00",
            ),
            (
                status("04:00:00", micro("02:02:30"), 1),
                "04:10:05",
                "later 04:30:00",
            ),
            (
                status("23:00:00", micro("02:02:30"), 1),
                "23:59:00",
                "later 00:00:00",
            ),
        ] {
            r.status = status;
            assert_eq!(told(&r, 24, now), expected, "{:?}", r.status);
        }
    }

    #[test]
    fn an_end_with_fractions_is_reached() {
        let mut r = recording("r", at("01:00:00"));
        let end = at("01:05:00") + SignedDuration::from_nanos(1_353_585);
        r.spec.end = Some(MicroTime(end));
        let through = at("01:05:00") + SignedDuration::from_millis(2);
        assert_eq!(window_end(&r.spec, &RecordingStatus::default()), Some(through));
        let status = RecordingStatus {
            archived_through: Some(MicroTime(through)),
            ..Default::default()
        };
        assert!(is_sliced(&r.spec, &status));
    }

    #[test]
    fn a_slice_past_the_end_moves_the_end() {
        let mut r = recording("r", at("01:00:00"));
        r.spec.end = micro("01:05:00");
        r.status = Some(RecordingStatus {
            archived_through: micro("01:09:00"),
            ..Default::default()
        });
        assert_eq!(
            window_end(&r.spec, r.status.as_ref().unwrap()),
            Some(at("01:09:00"))
        );
        assert_eq!(told(&r, 24, "01:09:30"), "sweep 0 through 01:09:00");
    }

    #[test]
    fn late_uploads_keep_it_open_and_are_looked_for() {
        let mut r = recording("r", at("01:00:00"));
        r.spec.late_uploads = Some(Span::from_hours(3));
        r.spec.end = micro("02:00:00");
        let status = |last, clean_since| RecordingStatus {
            archived_through: micro("02:00:00"),
            sweeps: Some(SweepStatus {
                done: 3,
                last: micro(last),
                clean_since: micro(clean_since),
                last_manifest: None,
            }),
            ..Default::default()
        };
        for (last, clean_since, now, expected) in [
            ("02:02:30", "02:02:30", "02:03:30", "later 02:12:30"),
            ("03:00:00", "02:02:30", "03:10:00", "later 03:15:00"),
            ("04:50:00", "02:02:30", "04:55:00", "later 05:00:00"),
            ("05:00:00", "04:59:30", "05:00:30", "later 05:01:00"),
            (
                "05:00:00",
                "02:02:30",
                "05:00:05",
                "sweep 3 through 02:00:00 and close",
            ),
        ] {
            r.status = Some(status(last, clean_since));
            assert_eq!(told(&r, 24, now), expected, "{last}");
        }
        let late = |r: &Recording| {
            let status = r.status.clone().unwrap_or_default();
            let task = sweep(&r.spec, &status, at("01:30:00"), false);
            matches!(
                task,
                Task::Sweep {
                    late_uploads: true,
                    ..
                }
            )
        };
        assert!(late(&r));
        r.spec.end = micro("03:00:00");
        assert!(!late(&r), "a slice may still archive it");
    }
}
