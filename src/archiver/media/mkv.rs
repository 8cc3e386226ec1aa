//! The Matroska writer: one Segment of known size, with its index before the frames, that players play to its end.
//!
//! Metadata goes through webm-iterable; clusters are written here, since frames are copied from the spool.

use std::io::Write;

use mp4_atom::Atom;
use webm_iterable::errors::TagWriterError;
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};
use webm_iterable::{WebmWriter, WriteOptions};

use super::block::INVISIBLE;
use super::codec::{Codec, Framing};
use super::error::MediaError;
use super::format::{Format, TrackFormat, frames, start};
use super::fragment::{Fragment, Frame, TrackKind};
use super::reader::TO_2001;
use super::spool::Spool;

/// Nanoseconds of a tick: KVS itself counts in milliseconds.
const TICK: i64 = 1_000_000;
/// What a lone picture lasts where nothing says it, in ticks.
const PICTURE: i64 = 40;
/// The id and the eight bytes of size before a Segment, or a Cluster.
const HEADER: usize = 12;

/// Writes the file.
pub(super) fn write(
    format: &Format,
    fragments: &[&Fragment],
    spool: &(impl Spool + ?Sized),
    out: &mut impl Write,
) -> Result<(), MediaError> {
    let start = start(fragments).ok_or(MediaError::DoesNotFit("a file without frames"))?;
    let mut clusters = vec![];
    for fragment in fragments {
        // More than one for a fragment only where a frame would lie too far from its cluster for 16 bits.
        let mut rest = &fragment.frames[..];
        while let Some(first) = rest.first() {
            let near = |f: &&Frame| i16::try_from(ticks(f.time - start) - ticks(first.time - start)).is_ok();
            let (frames, behind) = rest.split_at(rest.iter().take_while(near).count());
            clusters.push(Cluster::new(
                format,
                frames,
                ticks(first.time - start),
                start,
                spool,
            )?);
            rest = behind;
        }
    }

    // The index lies before the clusters and tells where they lie: it is laid out until it agrees with itself.
    let mut laid = Layout::default();
    let length = length(format, fragments, start);
    let head = loop {
        let (head, now) = head(format, start, length, &clusters, &laid)?;
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
        for frame in cluster.frames {
            let framing = format.track(frame)?.framing;
            let block = block(
                frame,
                framing.size(spool, &frame.data())?,
                ticks(frame.time - start) - cluster.time,
            );
            out.write_all(&block.head)?;
            framing.write(spool, &frame.data(), out)?;
            out.write_all(&block.tail)?;
        }
    }
    Ok(())
}

/// Nanoseconds as ticks, rounded.
fn ticks(nanoseconds: i64) -> i64 {
    (nanoseconds + TICK / 2).div_euclid(TICK)
}

/// Frames that lie together.
struct Cluster<'a> {
    /// Ticks from the start of the file.
    time: i64,
    frames: &'a [Frame],
    /// What lies behind its header.
    bytes: u64,
    /// Track and time of its first key frame of a picture, or of sound in a file without pictures: where a player may jump.
    landing: Option<(u16, i64)>,
}

impl<'a> Cluster<'a> {
    fn new(
        format: &Format,
        frames: &'a [Frame],
        time: i64,
        start: i64,
        spool: &(impl Spool + ?Sized),
    ) -> Result<Self, MediaError> {
        let pictures = format.tracks.iter().any(|t| t.track.kind == TrackKind::Video);
        let mut bytes = timestamp(time).len() as u64;
        let mut landing = None;
        for frame in frames {
            let track = format.track(frame)?;
            let size = track.framing.size(spool, &frame.data())?;
            let block = block(frame, size, ticks(frame.time - start) - time);
            bytes += (block.head.len() + block.tail.len()) as u64 + size;
            if frame.key() && landing.is_none() && pictures == (track.track.kind == TrackKind::Video) {
                landing = Some((frame.track, ticks(frame.time - start)));
            }
        }
        Ok(Self {
            time,
            frames,
            bytes,
            landing,
        })
    }
}

/// What stands before a frame in its cluster, and behind it.
struct Block {
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// The block of a frame of `bytes` bytes, `time` ticks behind its cluster.
fn block(frame: &Frame, bytes: u64, time: i64) -> Block {
    let simple = frame.duration().is_none() && frame.discard_padding().is_none();
    let mut inner = vec![];
    size(&mut inner, frame.track.into());
    inner.extend((time as i16).to_be_bytes());
    inner.push(if simple {
        frame.flags()
    } else {
        frame.flags() & INVISIBLE
    });
    let mut head = vec![if simple { 0xa3 } else { 0xa1 }];
    size(&mut head, inner.len() as u64 + bytes);
    head.extend(inner);
    let mut tail = vec![];
    if simple {
        return Block { head, tail };
    }
    if let Some(duration) = frame.duration() {
        tail.extend([0x9b, 0x88]);
        tail.extend(ticks(i64::try_from(duration).unwrap_or(0)).to_be_bytes());
    }
    if let Some(padding) = frame.discard_padding() {
        tail.extend([0x75, 0xa2, 0x88]);
        tail.extend(padding.to_be_bytes());
    }
    if !frame.key() {
        // A reference of zero: this frame needs others, it is not said which (RFC 9559, 5.1.3.5.5).
        tail.extend([0xfb, 0x81, 0]);
    }
    let mut group = vec![0xa0];
    size(&mut group, head.len() as u64 + bytes + tail.len() as u64);
    group.extend(head);
    Block { head: group, tail }
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
    length: i64,
    clusters: &[Cluster<'_>],
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

    let cues = cues(clusters, laid);
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
        M::Duration(length as f64),
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
fn cues(clusters: &[Cluster<'_>], laid: &Layout) -> Vec<M> {
    let mut at = laid.clusters;
    let mut cues = vec![];
    for cluster in clusters {
        if let Some((track, time)) = cluster.landing {
            let place = vec![M::CueTrack(track.into()), M::CueClusterPosition(at)];
            let point = vec![M::CueTime(time as u64), M::CueTrackPositions(Master::Full(place))];
            cues.push(M::CuePoint(Master::Full(point)));
        }
        at += HEADER as u64 + cluster.bytes;
    }
    cues
}

/// The length of the file in ticks: the last frame of each track lasts as long as the one before it.
fn length(format: &Format, fragments: &[&Fragment], start: i64) -> i64 {
    let mut length = 0;
    for track in &format.tracks {
        let (mut last, mut before) = (None, None);
        for frame in frames(fragments).filter(|f| f.track == track.track.number) {
            let time = ticks(frame.time - start);
            if last < Some(time) {
                (before, last) = (last, Some(time));
            } else if Some(time) < last && before < Some(time) {
                before = Some(time);
            }
        }
        if let Some(last) = last {
            length = length.max(last + before.map_or(PICTURE, |before| last - before));
        }
    }
    length
}

/// A track's entry as it came, with what the conversion of its frames changes.
fn entry(format: &TrackFormat) -> Result<M, MediaError> {
    let mut entry = format.track.entry.clone();
    entry.push(M::TrackUID(format.track.number.into()));
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
