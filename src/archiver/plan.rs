//! What one piece of work archives, decided before anything is fetched: which fragments, in which files, up to where.
//!
//! Pure. A plan is written once, by a conditional creation; whoever comes later does what is in it, whatever his own view of
//! ListFragments. So nothing in it depends on when, where or how often it is tried.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    keys::Piece,
    request::{RecordingIdentity, TimestampType},
};
use crate::{
    api::{Clip, ObjectRef},
    aws::Fragment,
};

/// The version of plans, manifests and roots. A program refuses a version that it does not know.
pub const VERSION: u32 = 1;

/// The longest slice.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(4);

/// The most fragments in a piece of work.
pub const FRAGMENTS: usize = 20_000;

/// The most bytes in a file, by what KVS lists: far below what one PutObject may hold, and a bound for the spool.
const FILE_BYTES: u64 = 1 << 30;

/// A camera whose clock is further off than this gets flagged, and the day in the key is the server's.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// Two fragments that are less than this apart follow each other: a listed length has no room for the last frame's own.
const TOLERANCE_MS: i64 = 250;

/// The document.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The document's version.
    pub version: u32,
    /// The stream.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The recording.
    pub recording: RecordingIdentity,
    /// Which piece of work it is.
    pub work: Work,
    /// How footage is cut into files.
    pub clip: Clip,
    /// The manifest before this one's: slices follow slices, sweeps follow sweeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<ObjectRef>,
    /// The files, in order, as far as they can be known before the footage is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
    /// Where the camera's time has holes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Hole>,
    /// Where the camera sent a time again, or went back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Hole>,
    /// Up to where the camera's time is covered by this slice and those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Timestamp>,
    /// Footage that was lost before it could be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_spans: Vec<LostSpan>,
    /// Sweep: fragments that an earlier manifest names unread and that are lost now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostFragment>,
}

/// Which piece of work a plan or manifest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Work {
    /// The window [from, through) of the recording's kind of time.
    #[serde(rename_all = "camelCase")]
    Slice {
        /// Its start, inclusive.
        from: Timestamp,
        /// Its end, exclusive.
        through: Timestamp,
    },
    /// What a sweep found.
    #[serde(rename_all = "camelCase")]
    Sweep {
        /// Its place among what sweeps of this recording found, from 1.
        position: u32,
        /// The number of the sweep that found it.
        number: u32,
        /// Where that sweep's listing ended, exclusive.
        through: Timestamp,
        /// It found nothing more, and the recording is closed with it: this document takes the place of any later find.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        close: bool,
    },
}

impl Work {
    /// Its place in the bucket.
    pub const fn piece(&self) -> Piece {
        match self {
            Self::Slice { from, .. } => Piece::Slice(*from),
            Self::Sweep { position, .. } => Piece::Sweep(*position),
        }
    }
}

/// Fragments for one file (more, where the codec changes in between).
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chunk {
    /// The camera's clock is more than 24 h off: the day in the key is the server's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_skew: bool,
    /// The fragments, in the order in which KVS took them in.
    pub fragments: Vec<Fragment>,
}

/// A span of the camera's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hole {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
}

/// A span of the recording's kind of time whose footage was lost before it could be listed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LostSpan {
    /// Its start, inclusive.
    pub from: Timestamp,
    /// Its end, exclusive.
    pub to: Timestamp,
    /// Why.
    pub reason: String,
}

/// A fragment that is lost.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LostFragment {
    /// The fragment.
    pub fragment: Fragment,
    /// Why.
    pub reason: String,
}

/// Fragments cut into files, and what the camera's clock did between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The files.
    pub chunks: Vec<Chunk>,
    /// Holes in the camera's time.
    pub gaps: Vec<Hole>,
    /// Times that the camera sent again.
    pub repeats: Vec<Hole>,
    /// Up to where the camera's time is covered now.
    pub covered: Option<Timestamp>,
}

/// Where a slice that begins at `from` ends at the latest; `None`: nothing is due yet. A cut that is chosen here lies between
/// milliseconds: finer ones tell no fragments apart, and whoever keeps the cut may not hold them.
pub fn due(from: Timestamp, to: Timestamp, now: Timestamp, settle: SignedDuration) -> Option<Timestamp> {
    let whole = |at: Timestamp| Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    let settled = now.checked_sub(settle).map_or(Timestamp::MIN, whole);
    let longest = from.checked_add(LONGEST).map_or(Timestamp::MAX, whole);
    let end = to.min(settled).min(longest);
    (from < end).then_some(end)
}

/// Keeps the earliest `most` fragments at most, and says where the slice then ends: `end`, or the time of the first fragment
/// that is left out. A cut lies only between different milliseconds; `None`: there is no place for one.
pub fn limit(
    fragments: &mut Vec<Fragment>,
    by: TimestampType,
    end: Timestamp,
    most: usize,
) -> Option<Timestamp> {
    if fragments.len() <= most {
        return Some(end);
    }
    fragments.sort_by(|a, b| (a.time(by), &a.number).cmp(&(b.time(by), &b.number)));
    let end = fragments[most].time(by);
    let keep = fragments.partition_point(|f| f.time(by) < end);
    fragments.truncate(keep);
    (keep > 0).then_some(end)
}

impl Fragment {
    /// Its time of this kind.
    pub fn time(&self, by: TimestampType) -> Timestamp {
        match by {
            TimestampType::ServerTimestamp => self.server,
            TimestampType::ProducerTimestamp => self.producer,
        }
    }

    /// Whether the camera's clock is more than 24 h off.
    pub fn clock_skew(&self) -> bool {
        self.producer.duration_since(self.server).abs() > SKEW
    }
}

/// Cuts fragments into files: at the clip's duration, at gaps, where the camera's time goes back or repeats, and at the size
/// that a file may have. `covered`: up to where earlier slices cover the camera's time.
pub fn cut(mut fragments: Vec<Fragment>, clip: &Clip, covered: Option<Timestamp>) -> Cut {
    fragments.sort_by(|a, b| a.number.cmp(&b.number));
    fragments.dedup_by(|a, b| a.number == b.number);
    let tolerance = tolerance(&fragments);
    let mut repeats = Vec::new();
    let gaps = gaps(&fragments, tolerance, covered);
    let covered = fragments
        .iter()
        .filter(|f| !f.clock_skew())
        .map(Fragment::producer_end)
        .max()
        .max(covered);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for fragment in fragments {
        let skew = fragment.clock_skew();
        let same_file = chunks.last().is_some_and(|chunk| {
            let [first, last] = chunk.ends();
            let apart = fragment.producer.duration_since(last.producer_end());
            let back = fragment.producer <= last.producer || apart < -tolerance;
            if back && skew == chunk.clock_skew {
                repeats.push(Hole {
                    from: fragment.producer,
                    to: last.producer_end().max(fragment.producer),
                });
            }
            !back
                && apart <= tolerance
                && skew == chunk.clock_skew
                && fragment.producer.duration_since(first.producer) < clip.duration.duration()
                && bytes + fragment.bytes <= FILE_BYTES
        });
        match chunks.last_mut().filter(|_| same_file) {
            Some(chunk) => {
                bytes += fragment.bytes;
                chunk.fragments.push(fragment);
            }
            None => {
                bytes = fragment.bytes;
                chunks.push(Chunk {
                    clock_skew: skew,
                    fragments: vec![fragment],
                });
            }
        }
    }
    Cut {
        chunks,
        gaps,
        repeats,
        covered,
    }
}

impl Chunk {
    fn ends(&self) -> [&Fragment; 2] {
        // A chunk is made with its first fragment, and none is ever taken out.
        [&self.fragments[0], &self.fragments[self.fragments.len() - 1]]
    }

    /// Its first fragment.
    pub fn first(&self) -> &Fragment {
        self.ends()[0]
    }

    /// Its last fragment.
    pub fn last(&self) -> &Fragment {
        self.ends()[1]
    }

    /// Its size in KVS, in bytes.
    pub fn bytes(&self) -> u64 {
        self.fragments.iter().map(|f| f.bytes).sum()
    }
}

/// How far apart fragments may be that follow each other: a quarter of a second, or two frames where frames are rarer. What
/// usually lies between a fragment's listed end and the next one's start is one frame.
fn tolerance(fragments: &[Fragment]) -> SignedDuration {
    let mut apart: Vec<i64> = fragments
        .windows(2)
        .map(|pair| pair[1].producer.as_millisecond() - pair[0].producer_end().as_millisecond())
        .filter(|ms| (1..=20_000).contains(ms))
        .collect();
    apart.sort_unstable();
    // One or two distances say nothing: they may be gaps themselves.
    let frame = if apart.len() < 3 {
        0
    } else {
        apart[(apart.len() - 1) / 2]
    };
    SignedDuration::from_millis(TOLERANCE_MS.max(2 * frame))
}

/// Holes in the camera's time after `covered`. Where the clock is far off, times are compared only among themselves.
fn gaps(fragments: &[Fragment], tolerance: SignedDuration, covered: Option<Timestamp>) -> Vec<Hole> {
    let mut gaps = Vec::new();
    for (skew, covered) in [(false, covered), (true, None)] {
        let mut spans: Vec<_> = fragments
            .iter()
            .filter(|f| f.clock_skew() == skew)
            .map(|f| (f.producer, f.producer_end()))
            .collect();
        spans.sort_unstable();
        let mut end = covered;
        for (from, to) in spans {
            if let Some(end) = end.filter(|end| from.duration_since(*end) > tolerance) {
                gaps.push(Hole { from: end, to: from });
            }
            end = end.max(Some(to));
        }
    }
    gaps.sort_unstable();
    gaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::Span;

    const T0: i64 = 1_763_800_000_000;

    fn ms(offset: i64) -> Timestamp {
        Timestamp::from_millisecond(T0 + offset).unwrap()
    }

    /// A fragment `number` whose producer time is `producer` and that lasts `spacing` with 40 ms frames.
    fn fragment(number: u64, producer: i64, spacing: u32) -> Fragment {
        Fragment {
            number: format!("9134385233318150666{number:06}").parse().unwrap(),
            producer: ms(producer),
            server: ms(producer + 900),
            length_ms: spacing.saturating_sub(40),
            bytes: 100_000,
        }
    }

    fn clip(seconds: u64) -> Clip {
        Clip {
            duration: Span::from_secs(seconds),
            ..Clip::default()
        }
    }

    /// The chunks as the producer times of their fragments, in s after T0.
    fn shape(cut: &Cut) -> Vec<Vec<i64>> {
        let seconds = |f: &Fragment| (f.producer.as_millisecond() - T0) / 1000;
        cut.chunks
            .iter()
            .map(|c| c.fragments.iter().map(seconds).collect())
            .collect()
    }

    #[test]
    fn cuts_where_it_must() {
        let run = |times: &[i64]| {
            times
                .iter()
                .enumerate()
                .map(|(n, t)| fragment(n as u64, t * 1000, 2000))
                .collect()
        };
        for (name, times, expected) in [
            ("nothing", vec![], vec![]),
            (
                "at the duration, counted from the file's start",
                vec![0, 2, 4, 6, 8, 10],
                vec![vec![0, 2, 4], vec![6, 8, 10]],
            ),
            ("at a gap", vec![0, 2, 30, 32], vec![vec![0, 2], vec![30, 32]]),
            (
                "where time repeats",
                vec![0, 2, 2, 4],
                vec![vec![0, 2], vec![2, 4]],
            ),
            (
                "where time goes back",
                vec![10, 12, 4, 6],
                vec![vec![10, 12], vec![4, 6]],
            ),
            (
                "where a fragment runs into the one before",
                vec![0, 2, 3],
                vec![vec![0, 2], vec![3]],
            ),
        ] {
            assert_eq!(shape(&cut(run(&times), &clip(6), None)), expected, "{name}");
        }
    }

    #[test]
    fn gaps_and_repeats_are_told() {
        let c = cut(
            vec![
                fragment(1, 0, 2000),
                fragment(2, 9000, 2000),
                fragment(3, 9000, 2000),
                fragment(4, 11_000, 2000),
            ],
            &clip(180),
            Some(ms(-40)),
        );
        assert_eq!(
            c.gaps,
            [Hole {
                from: ms(1960),
                to: ms(9000)
            }]
        );
        assert_eq!(
            c.repeats,
            [Hole {
                from: ms(9000),
                to: ms(10_960)
            }]
        );
        assert_eq!(c.covered, Some(ms(12_960)));
    }

    #[test]
    fn a_gap_before_the_slice_is_told_once_and_footage_sent_later_makes_none() {
        let live = vec![fragment(1, 60_000, 2000), fragment(2, 62_000, 2000)];
        assert_eq!(
            cut(live.clone(), &clip(180), Some(ms(0))).gaps,
            [Hole {
                from: ms(0),
                to: ms(60_000)
            }]
        );
        assert_eq!(
            cut(vec![], &clip(180), Some(ms(0))).covered,
            Some(ms(0)),
            "an empty slice hands on what it got"
        );
        let late = [live, vec![fragment(3, 10_000, 2000), fragment(4, 64_000, 2000)]].concat();
        assert_eq!(cut(late, &clip(180), Some(ms(60_000))).gaps, []);
    }

    #[test]
    fn rare_frames_make_no_gap() {
        // One frame a second, one to two frames a fragment: a length of 0 to 1 s, and a second to the next one.
        let slow = |n: u64| Fragment {
            length_ms: 1000,
            ..fragment(n, n as i64 * 2000, 2000)
        };
        let c = cut((0..5).map(slow).collect(), &clip(180), None);
        assert_eq!((c.chunks.len(), c.gaps.len()), (1, 0));
    }

    #[test]
    fn a_clock_that_is_a_day_off_is_flagged_and_makes_no_gap() {
        let mut off = fragment(2, 2000, 2000);
        off.producer = Timestamp::from_millisecond(4000).unwrap();
        let c = cut(
            vec![fragment(1, 0, 2000), off, fragment(3, 2000, 2000)],
            &clip(180),
            None,
        );
        assert_eq!(
            c.chunks.iter().map(|c| c.clock_skew).collect::<Vec<_>>(),
            [false, true, false]
        );
        assert_eq!(c.gaps, []);
    }

    #[test]
    fn a_slice_is_due_up_to_what_has_settled() {
        let minute = SignedDuration::from_mins(1);
        for (name, to, now, expected) in [
            ("the recording's end", 600_000, 900_000, Some(600_000)),
            ("now - settle", 600_000, 300_000, Some(240_000)),
            ("four hours", 99 * 3_600_000, 99 * 3_600_000, Some(4 * 3_600_000)),
            ("nothing has settled", 600_000, 60_000, None),
            ("nothing is left", 0, 900_000, None),
        ] {
            assert_eq!(due(ms(0), ms(to), ms(now), minute), expected.map(ms), "{name}");
        }
    }

    #[test]
    fn a_limit_cuts_only_between_milliseconds() {
        let at = |n: u64, server: i64| Fragment {
            server: ms(server),
            ..fragment(n, server, 1000)
        };
        let by = TimestampType::ServerTimestamp;
        let mut few = vec![at(1, 0), at(2, 5)];
        assert_eq!(limit(&mut few, by, ms(100), 2), Some(ms(100)));
        let mut many = vec![at(4, 9), at(1, 0), at(3, 5), at(2, 5)];
        assert_eq!((limit(&mut many, by, ms(100), 2), many.len()), (Some(ms(5)), 1));
        let mut same = vec![at(1, 5), at(2, 5), at(3, 5)];
        assert_eq!(limit(&mut same, by, ms(100), 2), None);
    }

    #[test]
    fn a_plan_reads_as_it_was_written() {
        let c = cut(vec![fragment(1, 0, 2000)], &clip(180), None);
        let plan = Plan {
            version: VERSION,
            stream_arn: "arn".into(),
            recording: RecordingIdentity {
                namespace: String::new(),
                name: "manual".into(),
                timestamp_type: TimestampType::ServerTimestamp,
                start: ms(0),
                end: Some(ms(9)),
            },
            work: Work::Slice {
                from: ms(0),
                through: ms(9),
            },
            clip: clip(180),
            predecessor: None,
            chunks: c.chunks,
            gaps: c.gaps,
            repeats: c.repeats,
            covered: c.covered,
            lost_spans: vec![LostSpan {
                from: ms(0),
                to: ms(1),
                reason: "expired".into(),
            }],
            lost: vec![],
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        let unknown = text.replacen("\"version\"", "\"later\":1,\"version\"", 1);
        assert!(
            serde_json::from_str::<Plan>(&unknown).is_err(),
            "what is not understood is refused"
        );
    }

    fn any_fragments() -> impl Strategy<Value = Vec<Fragment>> {
        prop::collection::vec(
            (0u64..300, -20_000i64..400_000, 1u32..20_000, 1u64..900_000_000),
            0..60,
        )
        .prop_map(|all| {
            all.into_iter()
                .map(|(n, at, len, bytes)| Fragment {
                    bytes,
                    ..fragment(n, at, len)
                })
                .collect()
        })
    }

    proptest! {
        /// Every fragment once, in order, whatever the listing's order; and every file keeps its bounds.
        #[test]
        fn every_fragment_is_in_exactly_one_file(mut fragments in any_fragments(), seconds in 10u64..600) {
            let c = cut(fragments.clone(), &clip(seconds), None);
            let planned: Vec<_> = c.chunks.iter().flat_map(|c| &c.fragments).map(|f| f.number.clone()).collect();
            let mut listed: Vec<_> = fragments.iter().map(|f| f.number.clone()).collect();
            listed.sort();
            listed.dedup();
            prop_assert_eq!(planned, listed);
            for chunk in &c.chunks {
                prop_assert!(chunk.fragments.len() == 1 || chunk.bytes() <= FILE_BYTES);
                prop_assert!(chunk.fragments.windows(2).all(|p| p[0].producer < p[1].producer));
                let spread = chunk.last().producer.duration_since(chunk.first().producer);
                prop_assert!(spread < clip(seconds).duration.duration());
            }
            // The listing has no order. Where a number comes twice with different contents, KVS is broken: no promise.
            fragments.sort_by(|a, b| a.number.cmp(&b.number));
            fragments.dedup_by(|a, b| a.number == b.number);
            let once = cut(fragments.clone(), &clip(seconds), None);
            fragments.reverse();
            prop_assert_eq!(once, cut(fragments, &clip(seconds), None));
        }

        /// Slices one after another hold every fragment once, however they are limited.
        #[test]
        fn slices_hold_every_fragment_once(times in prop::collection::vec(0i64..5000, 1..80), most in 1usize..20) {
            let all: Vec<_> = times.iter().enumerate()
                .map(|(n, t)| Fragment { server: ms(*t), ..fragment(n as u64, *t, 1000) })
                .collect();
            let (mut from, end) = (ms(0), ms(5000));
            let mut seen = 0;
            while from < end {
                let mut window: Vec<_> = all.iter().filter(|f| from <= f.server && f.server < end).cloned().collect();
                match limit(&mut window, TimestampType::ServerTimestamp, end, most) {
                    None => {
                        // Only where one millisecond alone holds too many.
                        let first = window.iter().map(|f| f.server).min();
                        prop_assert!(window.is_empty() || window.iter().filter(|f| Some(f.server) == first).count() > most
                            || first.is_none());
                        return Ok(());
                    }
                    Some(through) => {
                        prop_assert!(from < through && through <= end && window.len() <= most);
                        prop_assert!(window.iter().all(|f| f.server < through));
                        seen += window.len();
                        from = through;
                    }
                }
            }
            prop_assert_eq!(seen, all.len());
        }
    }
}
