//! Holes in the camera's time: where they are, and what is left of them when footage is found later.
//!
//! Pure.

use jiff::{SignedDuration, Timestamp};

use super::plan::Hole;
use crate::aws::Fragment;

/// Two fragments that are less than this apart follow each other: a listed length has no room for the last frame's own.
const TOLERANCE_MS: i64 = 250;

/// How far apart fragments (in the order of their numbers) may be that follow each other: a quarter of a second, or two frames where frames are rarer. What
/// usually lies between a fragment's listed end and the next one's start is one frame.
pub fn tolerance(fragments: &[Fragment]) -> SignedDuration {
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
pub fn between(fragments: &[Fragment], tolerance: SignedDuration, covered: Option<Timestamp>) -> Vec<Hole> {
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

/// What is left of a gap in which footage from `from` to `to` was found. Pieces that are no longer than `tolerance` are none.
pub fn without(gap: Hole, (from, to): (Timestamp, Timestamp), tolerance: SignedDuration) -> Vec<Hole> {
    let pieces = [
        Hole {
            from: gap.from,
            to: from,
        },
        Hole { from: to, to: gap.to },
    ];
    let is_gap = |piece: &Hole| piece.to.duration_since(piece.from) > tolerance;
    pieces.into_iter().filter(is_gap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footage_that_is_found_later_fills_gaps() {
        let ms = |ms| Timestamp::from_millisecond(ms).unwrap();
        let hole = |(from, to)| Hole {
            from: ms(from),
            to: ms(to),
        };
        for (name, found, expected) in [
            ("all of it, but for a frame at each end", (1040, 8960), vec![]),
            ("more than it", (0, 20_000), vec![]),
            ("its begin", (1000, 4000), vec![(4000, 9000)]),
            ("its end", (4000, 9000), vec![(1000, 4000)]),
            ("its middle", (4000, 5000), vec![(1000, 4000), (5000, 9000)]),
        ] {
            let left = without(
                hole((1000, 9000)),
                (ms(found.0), ms(found.1)),
                SignedDuration::from_millis(250),
            );
            assert_eq!(left, expected.into_iter().map(hole).collect::<Vec<_>>(), "{name}");
        }
    }
}
