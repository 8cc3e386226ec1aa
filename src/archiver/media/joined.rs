//! One file from several: which of their tracks are the same, whatever kind of file they came from.

use webm_iterable::matroska_spec::MatroskaSpec as M;

use super::codec::Codec;
use super::error::MediaError;
use super::format::{Format, TrackFormat};
use super::fragment::{Fragment, Track};
use super::spool::Spool;

/// The tracks of the file so far.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    tracks: Vec<TrackFormat>,
}

/// A track that is not what it was before: one file with both would not play everywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{before} becomes {after}")]
pub struct Changed {
    before: String,
    after: String,
}

impl Joined {
    /// Takes footage in: its tracks and frames get the numbers that they have in the joined file. A track without frames is
    /// not there; one that comes later begins later.
    ///
    /// # Errors
    ///
    /// The inner one where a track changed; the outer one of reading the spool.
    pub fn take(
        &mut self,
        footage: &mut Fragment,
        spool: &(impl Spool + ?Sized),
    ) -> Result<Result<(), Changed>, MediaError> {
        let (mut tracks, mut numbers): (Vec<Track>, Vec<(u16, u16)>) = (vec![], vec![]);
        for track in Format::of(footage, spool)?.tracks.into_iter().filter(|t| t.seen) {
            let free = |t: &&TrackFormat| {
                t.track.kind == track.track.kind && tracks.iter().all(|taken| taken.number != t.track.number)
            };
            let known = self.tracks.iter().filter(free);
            let same = match known.clone().find(|t| same(t, &track)) {
                Some(same) => same.track.clone(),
                None => {
                    if let Some(before) = known.clone().next() {
                        return Ok(Err(Changed {
                            before: words(before),
                            after: words(&track),
                        }));
                    }
                    let number = self.tracks.len() as u16 + 1;
                    let mut new = track.clone();
                    new.track.number = number;
                    new.track.entry = bare(&track.track);
                    new.track.entry.insert(0, M::TrackNumber(number.into()));
                    self.tracks.push(new.clone());
                    new.track
                }
            };
            numbers.push((track.track.number, same.number));
            tracks.push(same);
        }
        for frame in &mut footage.frames {
            if let Some((_, number)) = numbers.iter().find(|(before, _)| *before == frame.track) {
                frame.track = *number;
            }
        }
        footage.tracks = tracks;
        Ok(Ok(()))
    }

    /// What the file is written by.
    pub fn format(&self) -> Format {
        Format {
            tracks: self.tracks.clone(),
        }
    }
}

/// Whether a decoder that was set up for one decodes the other. Where the codec is known, what decoders are told is in it;
/// an MP4 and a Matroska of the same footage tell the rest in their own ways.
fn same(a: &TrackFormat, b: &TrackFormat) -> bool {
    a.framing == b.framing
        && a.codec == b.codec
        && (a.codec != Codec::Other || bare(&a.track) == bare(&b.track))
}

/// A track's entry without its number.
fn bare(track: &Track) -> Vec<M> {
    let entry = track.entry.iter().filter(|e| !matches!(e, M::TrackNumber(_)));
    entry.cloned().collect()
}

fn words(format: &TrackFormat) -> String {
    let track = &format.track;
    match track.size {
        (0, _) => format!(
            "{} ({} Hz, {} channels)",
            track.codec_id, track.sampling_frequency, track.channels
        ),
        (width, height) => format!("{} ({width}x{height})", track.codec_id),
    }
}
