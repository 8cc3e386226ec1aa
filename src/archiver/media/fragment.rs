//! A fragment as KVS delivers it: what it is called, what is in it, and whether it is all there.

use std::ops::Range;

use jiff::Timestamp;
use webm_iterable::matroska_spec::MatroskaSpec;

use super::block::{INVISIBLE, KEY, LACING};

/// One KVS fragment: a whole EBML document in the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    /// Its number (`AWS_KINESISVIDEO_FRAGMENT_NUMBER`).
    pub number: Option<String>,
    /// When KVS began to receive it, as its tag says.
    pub server_timestamp: Option<Timestamp>,
    /// The camera's clock at its start, as its tag says.
    pub producer_timestamp: Option<Timestamp>,
    /// What KVS put into the body instead of footage, or behind it: the fragment then does not count as delivered.
    pub error: Option<InBandError>,
    /// The tags that the producer set, in their order.
    pub tags: Vec<(String, String)>,
    /// The tracks, in their order.
    pub tracks: Vec<Track>,
    /// The frames, in their order.
    pub frames: Vec<Frame>,
    /// Its bytes in the spool.
    pub bytes: Range<u64>,
    /// What shows that nothing is missing at its end.
    pub ending: Ending,
}

/// An exception that KVS reports inside a body that began with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InBandError {
    /// The code: of GetMedia 3002 write error, 4000 not found, 4500 to 4506 KMS, 5000 internal.
    pub code: String,
    /// The text, where there is one.
    pub message: Option<String>,
}

/// What shows that a fragment is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its clusters state their size, and as much arrived. What KVS itself sends does (real GetMedia captures).
    Sized,
    /// Its size is unknown, but KVS went on with the next one.
    Followed,
    /// Its size is unknown and the body ended between two elements: a cut there would look the same.
    Open,
}

/// One track of a fragment.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its number; frames name it.
    pub number: u16,
    /// Video, audio or something else.
    pub kind: TrackKind,
    /// Matroska's codec id, as `V_MPEG4/ISO/AVC`.
    pub codec_id: String,
    /// The codec's private data: parameter sets, AudioSpecificConfig …
    pub codec_private: Vec<u8>,
    /// The name, where it has one.
    pub name: Option<String>,
    /// How long a frame lasts, in nanoseconds, where the track says so.
    pub default_duration: Option<u64>,
    /// Width and height in pixels; 0 for audio.
    pub size: (u64, u64),
    /// Samples a second; 0 for video.
    pub sampling_frequency: f64,
    /// Audio channels; 0 for video.
    pub channels: u64,
    /// The whole entry as it came, without its UID, padding and checksum.
    pub(super) entry: Vec<MatroskaSpec>,
}

/// What a track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, metadata …
    Other,
}

/// One frame (or audio packet): a range of the spool. An hour of footage has hundreds of thousands: they are kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it is displayed: nanoseconds since 1970 by the camera's clock.
    pub time: i64,
    start: u64,
    more: Option<Box<More>>,
    len: u32,
    /// The track's number.
    pub track: u16,
    flags: u8,
}

/// What only blocks in groups say, and few producers use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct More {
    pub duration: Option<u64>,
    pub discard_padding: Option<i64>,
}

impl Frame {
    /// A frame with the flags of a SimpleBlock; `None` where its data is longer than any frame.
    pub(super) fn new(track: u16, time: i64, flags: u8, data: &Range<u64>) -> Option<Self> {
        let len = u32::try_from(data.end.checked_sub(data.start)?).ok()?;
        Some(Self {
            time,
            start: data.start,
            more: None,
            len,
            track,
            flags: flags & !LACING,
        })
    }

    /// The flags of a SimpleBlock of this frame alone.
    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    /// Its bytes in the spool.
    pub fn data(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.len)
    }

    /// Whether it can be decoded without another.
    pub fn key(&self) -> bool {
        self.flags & KEY != 0
    }

    pub(super) fn set_key(&mut self, key: bool) {
        self.flags = if key { self.flags | KEY } else { self.flags & !KEY };
    }

    /// Decoded, but not shown.
    pub fn invisible(&self) -> bool {
        self.flags & INVISIBLE != 0
    }

    /// How long, in nanoseconds, where the block says so.
    pub fn duration(&self) -> Option<u64> {
        self.more.as_ref()?.duration
    }

    /// How much decoded audio to drop at its end, in nanoseconds (Opus).
    pub fn discard_padding(&self) -> Option<i64> {
        self.more.as_ref()?.discard_padding
    }

    pub(super) fn set_more(&mut self, more: More) {
        self.more = (more != More::default()).then(|| Box::new(more));
    }
}

/// What ListFragments says of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `FragmentSizeInBytes`: the whole fragment with its metadata.
    pub bytes: u64,
    /// `FragmentLengthInMilliseconds`: from the first frame to the last (the last one's duration is not in it).
    pub milliseconds: u64,
}

/// Why a fragment does not count as delivered whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// KVS says itself that it could not deliver it.
    #[error("KVS reported {} inside the body{}", .0.code, .0.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default())]
    Reported(InBandError),
    /// No frame is in it.
    #[error("no frame arrived")]
    Empty,
    /// It ended without proof, and less arrived than is listed.
    #[error("{arrived} bytes arrived, {listed} are listed")]
    Smaller {
        /// Bytes that arrived.
        arrived: u64,
        /// Bytes that are listed.
        listed: u64,
    },
    /// It ended without proof, and its frames span less time than is listed.
    #[error("frames of {arrived} ms arrived, {listed} ms are listed")]
    Shorter {
        /// Milliseconds between its first and its last frame.
        arrived: u64,
        /// Milliseconds that are listed.
        listed: u64,
    },
}

impl Fragment {
    /// Whether it is all there.
    ///
    /// A fragment whose clusters state their size proves itself: the reader saw every byte of it. So does one that another
    /// follows, since KVS writes one after the other. There remains the last one of a body that ends between two elements,
    /// which a cut would also leave behind: there ListFragments decides. Its size counts metadata that need not be in the
    /// body, and its length is rounded; so a fragment that is refused here and comes again alone with exactly the same bytes
    /// may be taken as it is. Without a listing such a fragment is believed: the transport ended in order, and nothing else
    /// can be known.
    pub fn check(&self, listed: Option<Listed>) -> Result<(), Incomplete> {
        if let Some(error) = &self.error {
            return Err(Incomplete::Reported(error.clone()));
        }
        if self.frames.is_empty() {
            return Err(Incomplete::Empty);
        }
        let Some(listed) = listed.filter(|_| self.ending == Ending::Open) else {
            return Ok(());
        };
        let bytes = self.bytes.end - self.bytes.start;
        if bytes < listed.bytes {
            return Err(Incomplete::Smaller {
                arrived: bytes,
                listed: listed.bytes,
            });
        }
        let span = self.span_ms();
        if span + 1 < listed.milliseconds {
            return Err(Incomplete::Shorter {
                arrived: span,
                listed: listed.milliseconds,
            });
        }
        Ok(())
    }

    /// Whether its first picture can be decoded without another; audio alone always can.
    pub fn begins_with_key_frame(&self) -> bool {
        let video = |f: &&Frame| {
            self.tracks
                .iter()
                .any(|t| t.number == f.track && t.kind == TrackKind::Video)
        };
        self.frames.iter().find(video).is_none_or(Frame::key)
    }

    /// Milliseconds from the first frame's display to the last one's.
    pub fn span_ms(&self) -> u64 {
        let times = || self.frames.iter().map(|f| f.time);
        match (times().min(), times().max()) {
            (Some(first), Some(last)) => last.abs_diff(first) / 1_000_000,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_small() {
        assert_eq!(size_of::<Frame>(), 32);
    }
}
