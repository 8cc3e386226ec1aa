//! Which frames of a file are of which fragment.
//!
//! Pure. Frames lie in a file fragment by fragment; where the next one begins is told by its time and by the key frame that
//! fragments begin with. Where that is not clear, it is said to be unclear, and never guessed.

use std::ops::Range;

use crate::{archiver::media, archiver::media::TrackKind, aws::Fragment};

/// KVS's times have milliseconds: a frame may seem to lie one before its fragment.
const SLACK_MS: i64 = 1;

/// How far behind its fragment's time the first picture may be shown: where pictures are reordered, KVS's time is that of
/// decoding.
const REORDERED_MS: i64 = 1000;

/// It cannot be told which frames are of which fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be told which frames are of which fragment")]
pub struct Unclear;

/// The frames of each fragment: ranges of `file.frames`, one behind the other.
///
/// # Errors
///
/// Where it cannot be told.
pub fn split(file: &media::Fragment, fragments: &[Fragment]) -> Result<Vec<Range<usize>>, Unclear> {
    let video = |track: u16| {
        let kind = file.tracks.iter().find(|t| t.number == track).map(|t| t.kind);
        kind == Some(TrackKind::Video)
    };
    let pictures = file.frames.iter().any(|f| video(f.track));
    let millis = |index: usize| file.frames[index].time.div_euclid(1_000_000);
    let mut begins = vec![0];
    for fragment in fragments.iter().skip(1) {
        let time = fragment.producer.as_millisecond() - SLACK_MS;
        let after = begins.last().copied().unwrap_or(0) + 1;
        let starts = |index: &usize| {
            let frame = &file.frames[*index];
            (!pictures || (video(frame.track) && frame.key())) && millis(*index) >= time
        };
        let mut begin = (after..file.frames.len()).find(starts).ok_or(Unclear)?;
        if millis(begin) - time > REORDERED_MS {
            return Err(Unclear);
        }
        // Sound of the same fragment may lie before its first picture.
        while begin > after && !video(file.frames[begin - 1].track) && pictures && millis(begin - 1) >= time {
            begin -= 1;
        }
        begins.push(begin);
    }
    let first = fragments.first().ok_or(Unclear)?;
    let ends = begins.iter().skip(1).copied().chain([file.frames.len()]);
    let ranges: Vec<_> = begins.iter().copied().zip(ends).map(|(a, b)| a..b).collect();
    let earliest = ranges[0].clone().map(millis).min().ok_or(Unclear)?;
    let near = (earliest - first.producer.as_millisecond()).abs() <= REORDERED_MS;
    near.then_some(ranges).ok_or(Unclear)
}
