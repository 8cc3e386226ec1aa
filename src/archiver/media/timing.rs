//! Decode times from display times.
//!
//! Matroska says only when a frame is displayed, and frames lie in decoding order. So a track's decode times are its display
//! times sorted, moved back until no frame is displayed before it is decoded.

/// When a track's frames are decoded and how long each lasts, in the track's units.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// From each frame's decode time to the next; the last one's duration.
    pub deltas: Vec<u32>,
    /// From each frame's decode time to its display; all zero where nothing is reordered.
    pub offsets: Vec<u32>,
    /// How long after the first decode time the first frame is displayed: what an edit list leaves out.
    pub delay: u32,
    /// From the first display to the end of the last.
    pub shown: u64,
}

/// The timing of frames displayed at `times`, in the order of decoding; `last` is what the last one lasts where no frame
/// before it tells. `None` where a number does not fit into an MP4.
pub(super) fn timing(times: &[i64], last: u32) -> Option<Timing> {
    let mut decode = times.to_vec();
    decode.sort_unstable();
    let first = *decode.first()?;
    // Two frames of one time, as sloppy cameras send: decoded one unit apart, displayed as they say.
    for k in 1..decode.len() {
        decode[k] = decode[k].max(decode[k - 1] + 1);
    }
    let delay = decode.iter().zip(times).map(|(d, t)| d - t).max()?;
    let mut deltas = Vec::with_capacity(times.len());
    for pair in decode.windows(2) {
        deltas.push(u32::try_from(pair[1] - pair[0]).ok()?);
    }
    let last = deltas.last().copied().unwrap_or(last);
    deltas.push(last);
    let mut offsets = Vec::with_capacity(times.len());
    for (time, decode) in times.iter().zip(&decode) {
        offsets.push(u32::try_from(time - decode + delay).ok()?);
    }
    let end = times.iter().max()?.checked_add(i64::from(last))?;
    Some(Timing {
        deltas,
        offsets,
        delay: u32::try_from(delay).ok()?,
        shown: end.abs_diff(first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_in_order_need_no_offsets() {
        let t = timing(&[10, 43, 77, 110], 40).unwrap();
        assert_eq!(
            t,
            Timing {
                deltas: vec![33, 34, 33, 33],
                offsets: vec![0; 4],
                delay: 0,
                shown: 133
            }
        );
    }

    #[test]
    fn reordered_frames_are_decoded_before_they_are_displayed() {
        // I P B B: the P frame is displayed last.
        let t = timing(&[0, 120, 40, 80], 40).unwrap();
        assert_eq!(
            t,
            Timing {
                deltas: vec![40; 4],
                offsets: vec![40, 120, 0, 0],
                delay: 40,
                shown: 160
            }
        );
    }

    #[test]
    fn one_frame_lasts_what_it_is_told_to() {
        assert_eq!(
            timing(&[-5], 40),
            Some(Timing {
                deltas: vec![40],
                offsets: vec![0],
                delay: 0,
                shown: 40
            })
        );
        assert_eq!(timing(&[], 40), None);
        assert_eq!(timing(&[0, i64::from(u32::MAX) + 1], 40), None);
    }

    proptest! {
        /// Whatever the cameras say, every frame is displayed when it says so, and decoded after the one before it.
        #[test]
        fn display_times_are_kept(times in proptest::collection::vec(-100_000i64..100_000, 1..60)) {
            let t = timing(&times, 40).unwrap();
            let first = *times.iter().min().unwrap();
            let mut decode = 0;
            for (k, time) in times.iter().enumerate() {
                prop_assert_eq!(decode + i64::from(t.offsets[k]) - i64::from(t.delay), time - first);
                if k + 1 < times.len() {
                    prop_assert!(t.deltas[k] > 0);
                }
                decode += i64::from(t.deltas[k]);
            }
        }
    }
}
