//! Plans: what is cut where, and that nothing is left out.

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

#[test]
fn a_document_of_another_version_is_not_read_whatever_else_it_says() {
    let read = |text: &str| document::<super::super::manifest::FragmentTags>(text.as_bytes());
    assert!(read(r#"{"version": 1, "tags": [[["k", "v"]]]}"#).is_ok());
    for (text, why) in [
        (r#"{"version": 2, "tags": []}"#, "of version 2"),
        (r#"{"version": 2, "labels": {}}"#, "of version 2"),
        (r#"{"version": 1, "labels": {}}"#, "as what its name says"),
        (r#"{"tags": []}"#, "cannot be read"),
        ("", "cannot be read"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}
