//! What the fragments of one file must agree in, which container that allows, and writing the file.

use std::io::{self, Write};

use super::codec::{self, Codec, Framing};
use super::error::MediaError;
use super::fragment::{Fragment, Frame, Track};
use super::spool::Spool;
use super::{mkv, mp4};
use crate::api::Container;

/// The most frames of a file: an hour with sound has 300,000. A part that would have more goes on in the next, so that memory
/// stays bounded.
pub const FILE_FRAMES: usize = 400_000;

/// The tracks of a file: a change of any begins the next part.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    pub(super) tracks: Vec<TrackFormat>,
}

/// A track, and what was recognised in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrackFormat {
    pub track: Track,
    pub codec: Codec,
    pub framing: Framing,
    /// Whether a frame of it was there to recognise it by.
    pub seen: bool,
}

/// The kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// ISO base media, `.mp4`.
    Mp4,
    /// Matroska, `.mkv`.
    Matroska,
}

impl FileKind {
    /// The end of the file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "mkv",
        }
    }

    /// The MIME type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Matroska => "video/x-matroska",
        }
    }
}

/// What came of writing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length.
    pub bytes: u64,
    /// Whether its first picture can be decoded without another; where not, players show the beginning broken or not at all.
    pub begins_with_key_frame: bool,
}

impl Format {
    /// Recognises a fragment's tracks, by their data.
    ///
    /// # Errors
    ///
    /// Of reading the spool.
    pub fn of(fragment: &Fragment, spool: &(impl Spool + ?Sized)) -> Result<Self, MediaError> {
        let mut tracks = vec![];
        for track in &fragment.tracks {
            let frames = || fragment.frames.iter().filter(|f| f.track == track.number);
            let (codec, framing) = codec::recognise(spool, track, frames())?;
            tracks.push(TrackFormat {
                track: track.clone(),
                codec,
                framing,
                seen: frames().next().is_some(),
            });
        }
        Ok(Self { tracks })
    }

    /// The format of a file that holds both, or nothing where one file cannot: then `next` begins a new part.
    pub fn join(&self, next: &Self) -> Option<Self> {
        if self.tracks.len() != next.tracks.len() {
            return None;
        }
        let pairs = self.tracks.iter().zip(&next.tracks);
        let tracks = pairs.map(|(a, b)| match (a.seen, b.seen) {
            _ if a.track != b.track => None,
            (true, true) => (a == b).then(|| a.clone()),
            (false, _) => Some(b.clone()),
            (true, false) => Some(a.clone()),
        });
        Some(Self {
            tracks: tracks.collect::<Option<_>>()?,
        })
    }

    /// The container: MP4 where every codec allows it and nobody asked for Matroska.
    pub fn kind(&self, wanted: Container) -> FileKind {
        let mp4 = !self.tracks.is_empty() && self.tracks.iter().all(|t| t.codec != Codec::Other);
        match wanted {
            Container::Auto if mp4 => FileKind::Mp4,
            _ => FileKind::Matroska,
        }
    }

    /// The track that a frame is of.
    pub(super) fn track(&self, frame: &Frame) -> Result<&TrackFormat, MediaError> {
        let track = self.tracks.iter().find(|t| t.track.number == frame.track);
        track.ok_or(MediaError::DoesNotFit("a frame of another format"))
    }

    /// Writes one file. `fragments` lie in one spool, in the order of the file, and this is the format that they joined to.
    /// The same fragments give the same bytes.
    ///
    /// # Errors
    ///
    /// Of reading the spool or writing; [`MediaError::DoesNotFit`] where a number is beyond what the container can hold.
    pub fn write(
        &self,
        kind: FileKind,
        fragments: &[&Fragment],
        spool: &(impl Spool + ?Sized),
        out: &mut impl Write,
    ) -> Result<Written, MediaError> {
        let mut out = Counted { out, bytes: 0 };
        match kind {
            FileKind::Mp4 => mp4::write(self, fragments, spool, &mut out)?,
            FileKind::Matroska => mkv::write(self, fragments, spool, &mut out)?,
        }
        out.flush()?;
        let begins_with_key_frame = fragments.first().is_none_or(|f| f.begins_with_key_frame());
        Ok(Written {
            bytes: out.bytes,
            begins_with_key_frame,
        })
    }
}

/// When the first frame of a file is displayed, in nanoseconds since 1970.
pub(super) fn start(fragments: &[&Fragment]) -> Option<i64> {
    frames(fragments).map(|f| f.time).min()
}

/// All frames of a file, in their order.
pub(super) fn frames<'a>(fragments: &[&'a Fragment]) -> impl Iterator<Item = &'a Frame> {
    fragments.iter().flat_map(|f| &f.frames)
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
