//! From the body of `GetMediaForFragmentList` to its fragments, as the bytes arrive.

use super::block::INVISIBLE;
use super::element::{self, Element, Walk};
use super::error::MediaError;
use super::fragment::{Ending, Fragment, Frame, InBandError, More, Track};
use super::metadata::{self, Info, Tags};

/// What a document is, and so how much may be in it: more is nonsense, and would cost memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A fragment has at most 50 MB; 20 s of three tracks are a few thousand frames.
    Fragment,
    /// A file of many fragments, written by us: its date counts.
    File,
}

impl Kind {
    const fn bytes(self) -> u64 {
        match self {
            Self::Fragment => 64 << 20,
            Self::File => 1 << 40,
        }
    }

    const fn frames(self) -> usize {
        match self {
            Self::Fragment => 100_000,
            Self::File => 10_000_000,
        }
    }
}

/// Nanoseconds from 1970 to 2001, Matroska's beginning of time.
pub(super) const TO_2001: i64 = 978_307_200_000_000_000;
/// The time furthest from 1970, in nanoseconds: in 2096. So differences of times, too, are numbers of 64 bits.
const LATEST: u64 = 4_000_000_000_000_000_000;
/// The most metadata of a fragment, in bytes.
const METADATA: usize = 4 << 20;

/// Reads concatenated EBML documents, each a fragment, while the caller writes the same bytes into a spool.
///
/// Frames are not kept, only where they lie in the spool. A fragment is handed out when the next one begins or the body ends,
/// never before. After an error nothing more comes: the fragments before it are good, the rest is to be asked for again.
#[derive(Debug)]
pub struct FragmentReader {
    walk: Walk,
    kind: Kind,
    document: Option<Document>,
    failed: bool,
}

impl FragmentReader {
    /// A reader of a body whose first byte lies at `at` in the spool.
    pub fn new(at: u64) -> Self {
        Self::of(Kind::Fragment, at)
    }

    /// A reader of documents of this kind.
    pub(super) fn of(kind: Kind, at: u64) -> Self {
        Self {
            walk: Walk::new(at, kind.bytes()),
            kind,
            document: None,
            failed: false,
        }
    }

    /// Takes the next bytes of the body and returns the fragments that are over with them.
    ///
    /// # Errors
    ///
    /// [`MediaError::Malformed`], together with the fragments that came before it in `found`.
    pub fn push(&mut self, bytes: &[u8], found: &mut Vec<Fragment>) -> Result<(), MediaError> {
        if self.failed {
            return Ok(());
        }
        self.walk.push(bytes);
        loop {
            let step = match self.walk.next() {
                Ok(None) => return Ok(()),
                Ok(Some(element)) => self.take(element, found),
                Err(refusal) => Err(refusal),
            };
            if let Err(reason) = step {
                self.failed = true;
                let number = self.document.take().and_then(|d| d.tags.number);
                return Err(MediaError::Malformed {
                    at: self.walk.at(),
                    reason,
                    number,
                });
            }
        }
    }

    /// The body is over: the last fragment.
    ///
    /// # Errors
    ///
    /// [`MediaError::Truncated`] where it ends inside a fragment, [`MediaError::Malformed`] where the fragment cannot be.
    pub fn finish(mut self) -> Result<Option<Fragment>, MediaError> {
        if self.failed {
            return Ok(None);
        }
        let at = self.walk.at();
        let number = self.document.as_ref().and_then(|d| d.tags.number.clone());
        if !self.walk.may_end() {
            return Err(MediaError::Truncated { at, number });
        }
        let fragment = self.document.take().map(|d| d.end(at, Ending::Open)).transpose();
        fragment.map_err(|reason| MediaError::Malformed { at, reason, number })
    }

    fn take(&mut self, element: Element, found: &mut Vec<Fragment>) -> Result<(), &'static str> {
        if let Element::Document { at } = element {
            if let Some(document) = self.document.replace(Document::new(self.kind, at)) {
                found.push(document.end(at, Ending::Followed)?);
            }
            return Ok(());
        }
        match &mut self.document {
            Some(document) => document.take(element),
            None => Err("no EBML header at the beginning"),
        }
    }
}

/// A fragment as far as it has been read.
#[derive(Debug)]
struct Document {
    kind: Kind,
    at: u64,
    info: Info,
    tracks: Option<Vec<Track>>,
    tags: Tags,
    frames: Vec<Frame>,
    metadata: usize,
    /// The first cluster's time and that of the current one, in nanoseconds.
    first_cluster: Option<i64>,
    cluster: Option<i64>,
    sized: bool,
    /// Where the frames of the open BlockGroup begin.
    group: Option<Group>,
}

#[derive(Debug, Default)]
struct Group {
    first: usize,
    referenced: bool,
    duration: Option<u64>,
    discard_padding: Option<i64>,
}

impl Document {
    fn new(kind: Kind, at: u64) -> Self {
        Self {
            kind,
            at,
            info: Info {
                scale: 1_000_000,
                date: None,
            },
            tracks: None,
            tags: Tags::default(),
            frames: vec![],
            metadata: 0,
            first_cluster: None,
            cluster: None,
            sized: true,
            group: None,
        }
    }

    fn take(&mut self, element: Element) -> Result<(), &'static str> {
        match element {
            Element::Document { .. } => {}
            Element::Cluster { sized } => {
                self.sized &= sized;
                self.cluster = None;
            }
            Element::Block { head, simple, data } => {
                let cluster = self.cluster.ok_or("a block before its cluster's time")?;
                let offset = i64::from(head.time).checked_mul(signed(self.info.scale)?);
                let time = offset
                    .and_then(|o| cluster.checked_add(o))
                    .ok_or("a time out of range")?;
                if self.frames.len() + head.frames.len() > self.kind.frames() {
                    return Err("more frames than a fragment can have");
                }
                let step = self.default_duration(head.track);
                let mut data = data;
                let flags = if simple {
                    head.flags
                } else {
                    head.flags & INVISIBLE
                };
                for (k, size) in head.frames.iter().enumerate() {
                    let laced = step.checked_mul(k as i64).and_then(|s| time.checked_add(s));
                    let time = laced.ok_or("a time out of range")?;
                    let frame = Frame::new(head.track, time, flags, &(data..data + size));
                    self.frames.push(frame.ok_or("a frame of more than 4 GiB")?);
                    data += size;
                }
            }
            Element::Group => {
                self.group = Some(Group {
                    first: self.frames.len(),
                    ..Group::default()
                })
            }
            Element::GroupEnd => self.end_group()?,
            Element::Held { id, header, bytes } => self.held(id, header, bytes)?,
        }
        Ok(())
    }

    fn held(&mut self, id: u32, header: usize, bytes: Vec<u8>) -> Result<(), &'static str> {
        match id {
            element::TIMESTAMP => {
                let time = unsigned(&bytes[header..])?
                    .checked_mul(self.info.scale)
                    .ok_or("a time out of range")?;
                let time = signed(time)?;
                self.cluster = Some(time);
                self.first_cluster.get_or_insert(time);
            }
            element::BLOCK_DURATION => {
                let duration = unsigned(&bytes[header..])?
                    .checked_mul(self.info.scale)
                    .ok_or("a duration out of range")?;
                signed(duration)?;
                if let Some(group) = &mut self.group {
                    group.duration = Some(duration);
                }
            }
            element::REFERENCE_BLOCK => {
                if let Some(group) = &mut self.group {
                    group.referenced = true;
                }
            }
            element::DISCARD_PADDING => {
                let body = &bytes[header..];
                let negative = body.first().is_some_and(|b| b & 0x80 != 0);
                let value = unsigned(body)?;
                let spare = 64 - 8 * body.len().min(8) as u32;
                let padding = if negative {
                    ((value << spare) as i64) >> spare
                } else {
                    value as i64
                };
                if let Some(group) = &mut self.group {
                    group.discard_padding = Some(padding);
                }
            }
            _ => {
                self.metadata += bytes.len();
                if self.metadata > METADATA {
                    return Err("metadata of more than four megabytes");
                }
                match id {
                    element::INFO => self.info = metadata::info(bytes)?,
                    element::TRACKS => self.tracks = Some(metadata::tracks(bytes)?),
                    element::TAGS => self.tags.read(bytes)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A BlockGroup says only at its end what its frames are.
    fn end_group(&mut self) -> Result<(), &'static str> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let Some(track) = self.frames.get(group.first).map(|f| f.track) else {
            return Ok(());
        };
        let spread = self.default_duration(track) == 0;
        let laced = (self.frames.len() - group.first) as u64;
        for (k, frame) in self.frames[group.first..].iter_mut().enumerate() {
            let duration = group.duration.map(|d| d / laced);
            frame.set_key(!group.referenced);
            frame.set_more(More {
                duration,
                discard_padding: group.discard_padding,
            });
            if let Some(each) = duration.filter(|_| spread) {
                frame.time = frame
                    .time
                    .checked_add(signed(each)?.saturating_mul(k as i64))
                    .ok_or("a time out of range")?;
            }
        }
        Ok(())
    }

    /// How long a laced frame lasts; zero where nothing says so.
    fn default_duration(&self, track: u16) -> i64 {
        let tracks = self.tracks.as_deref().unwrap_or_default();
        let duration = tracks
            .iter()
            .find(|t| t.number == track)
            .and_then(|t| t.default_duration);
        duration.and_then(|d| i64::try_from(d).ok()).unwrap_or(0)
    }

    /// The fragment, now that all of it was seen.
    fn end(mut self, at: u64, ending: Ending) -> Result<Fragment, &'static str> {
        self.end_group()?;
        let tracks = self.tracks.unwrap_or_default();
        if self
            .frames
            .iter()
            .any(|f| tracks.iter().all(|t| t.number != f.track))
        {
            return Err("a frame of a track that is not declared");
        }
        let shift = match (self.tags.producer_timestamp, self.first_cluster, self.info.date) {
            (Some(tag), Some(cluster), _) => shift(
                i64::try_from(tag.as_nanosecond()).map_err(|_| "a time out of range")?,
                cluster,
            )?,
            (None, _, Some(date)) if self.kind == Kind::File => date.saturating_add(TO_2001),
            _ => 0,
        };
        for frame in &mut self.frames {
            frame.time = frame.time.checked_add(shift).ok_or("a time out of range")?;
        }
        if self.frames.iter().any(|f| f.time.unsigned_abs() > LATEST) {
            return Err("a time out of range");
        }
        let sized = self.sized && self.first_cluster.is_some();
        Ok(Fragment {
            number: self.tags.number,
            server_timestamp: self.tags.server_timestamp,
            producer_timestamp: self.tags.producer_timestamp,
            error: self.tags.error_code.map(|code| InBandError {
                code,
                message: self.tags.error_message,
            }),
            tags: self.tags.producers,
            tracks,
            frames: self.frames,
            bytes: self.at..at,
            ending: if sized { Ending::Sized } else { ending },
        })
    }
}

/// What to add to Matroska's times to get the camera's clock: KVS leaves a producer's RELATIVE timecodes as they are (real
/// captures) and says in a tag when the fragment began. Absolute ones agree with the tag and are the more exact.
fn shift(tag: i64, cluster: i64) -> Result<i64, &'static str> {
    let shift = tag.checked_sub(cluster).ok_or("a time out of range")?;
    Ok(if shift.abs() < 1_000_000 { 0 } else { shift })
}

fn unsigned(bytes: &[u8]) -> Result<u64, &'static str> {
    if bytes.len() > 8 {
        return Err("a number of more than eight bytes");
    }
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Times are signed: cameras with broken clocks and frames before their cluster go below zero.
fn signed(value: u64) -> Result<i64, &'static str> {
    i64::try_from(value).map_err(|_| "a time out of range")
}

#[cfg(test)]
mod tests;
