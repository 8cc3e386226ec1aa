//! From Matroska events to fragments: what belongs to which fragment, when it is complete, and what is refused. Pure: no
//! I/O, no clock; numbers come from the caller.

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{ack::AckError, ledger::Packet};
use crate::kvs::mkv::{block::Block, header::Header, reader::Event, tags};

/// The service's limits (developer guide, "Limits").
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a fragment.
    pub bytes: usize,
    /// From its first frame to its last, in ms.
    pub millis: i64,
    /// Tracks.
    pub tracks: usize,
    /// The producer's tags in a fragment.
    pub tags: usize,
    /// How far a producer's clock may be ahead, in ms. AWS gives no figure.
    pub ahead: i64,
    /// Whether the producer's mark of a fragment's end is kept in it.
    pub keep_end: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 50_000_000,
            millis: 20_000,
            tracks: 3,
            tags: 10,
            ahead: 24 * 3_600_000,
            keep_end: false,
        }
    }
}

/// A complete fragment.
#[derive(Debug)]
pub struct Fragment {
    /// Its number.
    pub number: String,
    /// When its first byte arrived, in ms.
    pub server: i64,
    /// Its Cluster's time on the producer's clock, in ms.
    pub producer: i64,
    /// Its Cluster's time as sent, in ms.
    pub timecode: i64,
    /// From its Cluster's time to its last frame, in ms.
    pub length: i64,
    /// Everything before the first Cluster of the session.
    pub header: Bytes,
    /// The Cluster and what came with it, as it came.
    pub body: Vec<u8>,
    /// Its frames.
    pub packets: Vec<Packet>,
}

/// What an event led to.
#[derive(Debug)]
pub enum Step {
    /// A fragment has begun: its timecode as sent, in ms, and its number.
    Begun(i64, String),
    /// A fragment is complete.
    Complete(Box<Fragment>),
}

/// Makes fragments of one PutMedia session.
#[derive(Debug)]
pub struct Assembler {
    limits: Limits,
    /// What is added to timecodes: 0, or where RELATIVE the producer's start, in ms.
    base: i64,
    header: Option<(Header, Bytes)>,
    open: Option<Open>,
    /// What stands between a fragment that was marked complete and the next Cluster.
    lead: Vec<u8>,
    /// The previous fragment's time and its last frame's, on the producer's clock.
    previous: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Open {
    number: String,
    server: i64,
    /// Ticks; absent until the Cluster says its time.
    ticks: Option<u64>,
    body: Vec<u8>,
    packets: Vec<Packet>,
    first: i64,
    last: i64,
    tags: usize,
}

impl Assembler {
    /// For a session; `base` is 0, or the producer's start where timecodes are relative to it, in ms.
    pub fn new(base: i64, limits: Limits) -> Self {
        Self {
            limits,
            base,
            header: None,
            open: None,
            lead: vec![],
            previous: None,
        }
    }

    /// The fragment under way: its timecode as sent, in ms, and its number.
    pub fn under_way(&self) -> Option<(i64, String)> {
        let open = self.open.as_ref()?;
        Some((self.millis(open.ticks.unwrap_or(0)), open.number.clone()))
    }

    /// Takes an event.
    pub fn event(
        &mut self,
        event: Event,
        now: Timestamp,
        number: &mut dyn FnMut() -> String,
    ) -> Result<Vec<Step>, AckError> {
        let mut steps = vec![];
        match event {
            Event::Header { header, raw } => {
                if header.tracks.len() > self.limits.tracks {
                    return Err(AckError::Tracks);
                }
                self.header = Some((header, raw));
            }
            Event::Cluster { raw, arrived } => {
                steps.extend(self.complete()?);
                let mut body = std::mem::take(&mut self.lead);
                body.extend_from_slice(&raw);
                self.open = Some(Open {
                    number: number(),
                    server: arrived.as_millisecond(),
                    ticks: None,
                    body,
                    packets: vec![],
                    first: i64::MAX,
                    last: i64::MIN,
                    tags: 0,
                });
            }
            Event::Timestamp { ticks, raw } => {
                let timecode = self.millis(ticks);
                let producer = self.base.saturating_add(timecode);
                let open = self.open.as_mut().ok_or(AckError::InvalidMkv)?;
                if open.ticks.replace(ticks).is_some() {
                    return Err(AckError::InvalidMkv);
                }
                open.body.extend_from_slice(&raw);
                steps.push(Step::Begun(timecode, open.number.clone()));
                if self.previous.is_some_and(|(time, _)| producer < time) {
                    return Err(AckError::TimecodeLesser);
                }
                if producer > now.as_millisecond().saturating_add(self.limits.ahead) {
                    return Err(AckError::ProducerTimestamp);
                }
            }
            Event::Block { block, head, raw } => self.block(&block, &raw[head..], &raw)?,
            Event::Tags { pairs, raw } => {
                if pairs.iter().any(|(name, _)| name == tags::END_OF_FRAGMENT) {
                    if self.limits.keep_end && self.open.is_some() {
                        self.keep(&raw)?;
                    }
                    steps.extend(self.complete()?);
                } else {
                    let own = pairs.iter().filter(|(name, _)| !name.starts_with("AWS_")).count();
                    if let Some(open) = &mut self.open {
                        open.tags += own;
                        if open.tags > self.limits.tags {
                            return Err(AckError::Metadata);
                        }
                    }
                    self.keep(&raw)?;
                }
            }
            Event::Other { raw } => self.keep(&raw)?,
        }
        Ok(steps)
    }

    /// The body has ended as it should: what is under way is complete.
    pub fn finish(&mut self) -> Result<Option<Step>, AckError> {
        self.complete()
    }

    fn millis(&self, ticks: u64) -> i64 {
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        self.header.as_ref().map_or(0, |(header, _)| header.millis(ticks))
    }

    fn keep(&mut self, raw: &[u8]) -> Result<(), AckError> {
        let into = match &mut self.open {
            Some(open) => &mut open.body,
            None => &mut self.lead,
        };
        into.extend_from_slice(raw);
        if into.len() > self.limits.bytes {
            Err(AckError::FragmentSize)
        } else {
            Ok(())
        }
    }

    fn block(&mut self, block: &Block, content: &[u8], raw: &[u8]) -> Result<(), AckError> {
        let (Some((header, _)), Some(open)) = (&self.header, &mut self.open) else {
            return Err(AckError::InvalidMkv);
        };
        let ticks = open
            .ticks
            .and_then(|t| i64::try_from(t).ok())
            .ok_or(AckError::InvalidMkv)?;
        let track = header.track(block.track).ok_or(AckError::TrackNumber)?;
        let ticks = ticks.saturating_add(block.relative.into());
        for (index, frame) in block.frames.iter().enumerate() {
            // The frames of a lace follow each other at the track's own pace, where the producer says which it is.
            let later = i64::try_from(index as u64 * track.default_duration.unwrap_or(0) / 1_000_000);
            let at = self
                .base
                .saturating_add(header.millis(ticks))
                .saturating_add(later.unwrap_or(0));
            if self.previous.is_some_and(|(_, last)| at < last) {
                return Err(AckError::TimecodeLesser);
            }
            open.first = open.first.min(at);
            open.last = open.last.max(at);
            let bytes = &content[frame.clone()];
            open.packets.push(Packet {
                track: block.track,
                codec_id: track.codec_id.clone(),
                timestamp_millis: at,
                keyframe: block.keyframe,
                size: bytes.len(),
                sha256: hex::encode(Sha256::digest(bytes)),
            });
        }
        if open.last.saturating_sub(open.first) > self.limits.millis {
            return Err(AckError::FragmentDuration);
        }
        self.keep(raw)
    }

    fn complete(&mut self) -> Result<Option<Step>, AckError> {
        let (Some((header, raw)), Some(open)) = (&self.header, &self.open) else {
            return Ok(None);
        };
        let Some(ticks) = open.ticks else {
            return Err(AckError::InvalidMkv);
        };
        if header
            .tracks
            .iter()
            .any(|t| !open.packets.iter().any(|p| p.track == t.number))
        {
            return Err(AckError::FramesMissing);
        }
        let timecode = self.millis(ticks);
        let producer = self.base.saturating_add(timecode);
        let raw = raw.clone();
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        self.previous = Some((producer, open.last));
        Ok(Some(Step::Complete(Box::new(Fragment {
            number: open.number,
            server: open.server,
            producer,
            timecode,
            length: open.last.saturating_sub(producer).max(0),
            header: raw,
            body: open.body,
            packets: open.packets,
        }))))
    }
}
