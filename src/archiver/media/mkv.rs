//! The Matroska writer: one Segment of known size, with its index before the frames, that players play to its end.
//!
//! Metadata goes through webm-iterable; clusters are written here, since frames are copied from the spool.

use std::io::Write;
use std::ops::Range;

use mp4_atom::Atom;
use webm_iterable::errors::TagWriterError;
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};
use webm_iterable::{WebmWriter, WriteOptions};

use super::codec::{Codec, Framing};
use super::error::MediaError;
use super::format::{Format, TrackFormat, frames, start};
use super::fragment::{Fragment, Frame, TrackKind};
use super::reader::TO_2001;
use super::spool::Spool;
use super::timing::timing;

/// Nanoseconds of a tick: KVS itself counts in milliseconds.
const TICK: i64 = 1_000_000;
/// What a lone picture lasts where nothing says it, in ticks.
const PICTURE: u32 = 40;
/// The id and the eight bytes of size before a Segment, or a Cluster.
const HEADER: usize = 12;

/// Writes the file.
pub(super) fn write(
    format: &Format,
    fragments: &[Fragment],
    spool: &(impl Spool + ?Sized),
    out: &mut impl Write,
) -> Result<(), MediaError> {
    let start = start(fragments).ok_or(MediaError::DoesNotFit("a file without frames"))?;
    let frames: Vec<&Frame> = frames(fragments).collect();
    let blocks = frames
        .iter()
        .map(|f| Block::new(format, f, start, spool))
        .collect::<Result<Vec<_>, _>>()?;
    let clusters = clusters(fragments, &blocks);

    // The index lies before the clusters and tells where they lie: it is laid out until it agrees with itself.
    let mut laid = Layout::default();
    let head = loop {
        let (head, now) = head(format, start, &blocks, &clusters, &laid)?;
        if now == laid {
            break head;
        }
        laid = now;
    };
    out.write_all(&head)?;
    for cluster in &clusters {
        out.write_all(&[0x1f, 0x43, 0xb6, 0x75])?;
        out.write_all(&size8(cluster.bytes))?;
        out.write_all(&timestamp(cluster.time))?;
        let inside = cluster.blocks.clone();
        for (block, frame) in blocks[inside.clone()].iter().zip(&frames[inside]) {
            let (head, tail) = block.around(cluster.time);
            out.write_all(&head)?;
            block.framing.write(spool, &frame.data, out)?;
            out.write_all(&tail)?;
        }
    }
    Ok(())
}

/// A frame as it will lie in its cluster.
struct Block {
    track: u64,
    /// Ticks from the start of the file.
    time: i64,
    size: u64,
    framing: Framing,
    flags: u8,
    key: bool,
    /// Ticks, where the source has it.
    duration: Option<u64>,
    discard_padding: Option<i64>,
    /// A key frame of a picture, or sound in a file without pictures: where a player may jump to.
    landing: bool,
}

impl Block {
    fn new(
        format: &Format,
        frame: &Frame,
        start: i64,
        spool: &(impl Spool + ?Sized),
    ) -> Result<Self, MediaError> {
        let track = format.tracks.iter().find(|t| t.track.number == frame.track);
        let track = track.ok_or(MediaError::DoesNotFit("a frame of another format"))?;
        let pictures = format.tracks.iter().any(|t| t.track.kind == TrackKind::Video);
        Ok(Self {
            track: frame.track,
            time: (frame.time - start + TICK / 2) / TICK,
            size: track.framing.size(spool, &frame.data)?,
            framing: track.framing,
            flags: u8::from(frame.invisible) << 3,
            key: frame.key,
            duration: frame.duration.map(|d| (d + TICK as u64 / 2) / TICK as u64),
            discard_padding: frame.discard_padding,
            landing: frame.key && pictures == (track.track.kind == TrackKind::Video),
        })
    }

    /// What stands before its frame, and behind it.
    fn around(&self, cluster: i64) -> (Vec<u8>, Vec<u8>) {
        let mut block = vec![];
        size(&mut block, self.track);
        block.extend(((self.time - cluster) as i16).to_be_bytes());
        let simple = self.duration.is_none() && self.discard_padding.is_none();
        block.push(if simple {
            self.flags | u8::from(self.key) << 7
        } else {
            self.flags
        });
        let mut head = vec![];
        if simple {
            head.push(0xa3);
            size(&mut head, block.len() as u64 + self.size);
            head.extend(block);
            return (head, vec![]);
        }
        let mut tail = vec![];
        if let Some(duration) = self.duration {
            tail.extend([0x9b, 0x88]);
            tail.extend(duration.to_be_bytes());
        }
        if let Some(padding) = self.discard_padding {
            tail.extend([0x75, 0xa2, 0x88]);
            tail.extend(padding.to_be_bytes());
        }
        if !self.key {
            // A reference of zero: this frame needs others, it is not said which (RFC 9559, 5.1.3.5.5).
            tail.extend([0xfb, 0x81, 0]);
        }
        let mut inner = vec![0xa1];
        size(&mut inner, block.len() as u64 + self.size);
        inner.extend(block);
        head.push(0xa0);
        size(&mut head, inner.len() as u64 + self.size + tail.len() as u64);
        head.extend(inner);
        (head, tail)
    }
}

struct Cluster {
    time: i64,
    blocks: Range<usize>,
    /// What lies behind its header.
    bytes: u64,
}

/// One cluster for each fragment; more where a block would lie too far from its cluster for 16 bits.
fn clusters(fragments: &[Fragment], blocks: &[Block]) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = vec![];
    let mut at = 0;
    for fragment in fragments {
        let end = at + fragment.frames.len();
        while at < end {
            let time = blocks[at].time;
            let near = blocks[at..end]
                .iter()
                .take_while(|b| i16::try_from(b.time - time).is_ok());
            let inside = at..at + near.count();
            at = inside.end;
            let bytes = blocks[inside.clone()].iter().map(|b| {
                let (head, tail) = b.around(time);
                (head.len() + tail.len()) as u64 + b.size
            });
            clusters.push(Cluster {
                time,
                bytes: timestamp(time).len() as u64 + bytes.sum::<u64>(),
                blocks: inside,
            });
        }
    }
    clusters
}

/// Where the parts of the Segment lie, from the beginning of its content.
#[derive(Default, PartialEq)]
struct Layout {
    info: u64,
    tracks: u64,
    cues: u64,
    clusters: u64,
}

/// Everything before the clusters, if they lie as `laid` says; and where they then lie.
fn head(
    format: &Format,
    start: i64,
    blocks: &[Block],
    clusters: &[Cluster],
    laid: &Layout,
) -> Result<(Vec<u8>, Layout), MediaError> {
    let mut writer = WebmWriter::new(vec![]);
    let ebml = vec![
        M::EbmlVersion(1),
        M::EbmlReadVersion(1),
        M::EbmlMaxIdLength(4),
        M::EbmlMaxSizeLength(8),
        M::DocType("matroska".into()),
        M::DocTypeVersion(4),
        M::DocTypeReadVersion(2),
    ];
    writer.write(&M::Ebml(Master::Full(ebml))).map_err(refused)?;
    let ebml_end = writer.get_ref().len();
    writer
        .write_advanced(
            &M::Segment(Master::Start),
            WriteOptions::is_unknown_sized_element(),
        )
        .map_err(refused)?;
    let begin = ebml_end + HEADER;
    let here = |writer: &WebmWriter<Vec<u8>>| (writer.get_ref().len() - begin) as u64;

    let cues = cues(blocks, clusters, laid);
    let mut seeks = vec![seek(0x1549_a966, laid.info), seek(0x1654_ae6b, laid.tracks)];
    if !cues.is_empty() {
        seeks.push(seek(0x1c53_bb6b, laid.cues));
    }
    writer.write(&M::SeekHead(Master::Full(seeks))).map_err(refused)?;
    let info = here(&writer);
    let about = vec![
        M::TimestampScale(TICK as u64),
        M::MuxingApp("kvs-operator".into()),
        M::WritingApp("kvs-operator".into()),
        M::DateUTC(start.saturating_sub(TO_2001)),
        M::Duration(length(format, blocks)? as f64),
    ];
    writer.write(&M::Info(Master::Full(about))).map_err(refused)?;
    let tracks = here(&writer);
    let entries = format.tracks.iter().map(entry).collect::<Result<_, _>>()?;
    writer.write(&M::Tracks(Master::Full(entries))).map_err(refused)?;
    let index = here(&writer);
    if !cues.is_empty() {
        writer.write(&M::Cues(Master::Full(cues))).map_err(refused)?;
    }
    let now = Layout {
        info,
        tracks,
        cues: index,
        clusters: here(&writer),
    };

    let content = now.clusters + clusters.iter().map(|c| HEADER as u64 + c.bytes).sum::<u64>();
    let mut bytes = writer.get_ref().clone();
    bytes[begin - 8..begin].copy_from_slice(&size8(content));
    Ok((bytes, now))
}

fn seek(id: u32, position: u64) -> M {
    M::Seek(Master::Full(vec![
        M::SeekID(id.to_be_bytes().to_vec()),
        M::SeekPosition(position),
    ]))
}

/// One entry for each cluster that a player may jump to.
fn cues(blocks: &[Block], clusters: &[Cluster], laid: &Layout) -> Vec<M> {
    let mut at = laid.clusters;
    let mut cues = vec![];
    for cluster in clusters {
        if let Some(block) = blocks[cluster.blocks.clone()].iter().find(|b| b.landing) {
            let place = vec![M::CueTrack(block.track), M::CueClusterPosition(at)];
            let point = vec![
                M::CueTime(block.time as u64),
                M::CueTrackPositions(Master::Full(place)),
            ];
            cues.push(M::CuePoint(Master::Full(point)));
        }
        at += HEADER as u64 + cluster.bytes;
    }
    cues
}

/// The length of the file in ticks, with its last frames.
fn length(format: &Format, blocks: &[Block]) -> Result<u64, MediaError> {
    let mut length = 0;
    for track in &format.tracks {
        let times: Vec<i64> = blocks
            .iter()
            .filter(|b| b.track == track.track.number)
            .map(|b| b.time)
            .collect();
        let Some(first) = times.iter().min() else { continue };
        let timing =
            timing(&times, PICTURE).ok_or(MediaError::DoesNotFit("frames that lie 49 days apart"))?;
        length = length.max(*first as u64 + timing.shown);
    }
    Ok(length)
}

/// A track's entry as it came, with what the conversion of its frames changes.
fn entry(format: &TrackFormat) -> Result<M, MediaError> {
    let mut entry = format.track.entry.clone();
    entry.push(M::TrackUID(format.track.number));
    if matches!(format.codec, Codec::H264(_)) {
        entry.retain(|e| !matches!(e, M::CodecID(_)));
        entry.push(M::CodecID("V_MPEG4/ISO/AVC".into()));
    }
    if format.framing != Framing::AsIs {
        let mut private = vec![];
        match &format.codec {
            Codec::H264(config) => config.encode_body(&mut private),
            Codec::H265(config) => config.encode_body(&mut private),
            Codec::Aac(config) => {
                private.clone_from(config);
                Ok(())
            }
            Codec::Other => Ok(()),
        }
        .map_err(|_| MediaError::DoesNotFit("parameter sets that are too long"))?;
        entry.retain(|e| !matches!(e, M::CodecPrivate(_)));
        entry.push(M::CodecPrivate(private));
    }
    Ok(M::TrackEntry(Master::Full(entry)))
}

fn refused(error: TagWriterError) -> MediaError {
    match error {
        TagWriterError::WriteError { source } => MediaError::Io(source),
        _ => MediaError::DoesNotFit("metadata that Matroska cannot hold"),
    }
}

/// A cluster's Timestamp element.
fn timestamp(time: i64) -> [u8; 10] {
    let mut element = [0; 10];
    element[..2].copy_from_slice(&[0xe7, 0x88]);
    element[2..].copy_from_slice(&time.to_be_bytes());
    element
}

/// A size (or track number) in as few bytes as it needs.
fn size(out: &mut Vec<u8>, value: u64) {
    let width = (1..8).find(|w| value < (1 << (7 * w)) - 1).unwrap_or(8);
    out.extend(&(value | 1 << (7 * width)).to_be_bytes()[8 - width..]);
}

/// A size in eight bytes.
fn size8(value: u64) -> [u8; 8] {
    (value | 1 << 56).to_be_bytes()
}
