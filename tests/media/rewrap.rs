//! The same footage as other cameras would send it: frames framed otherwise, other private data. As KVS then delivers it: a
//! document for each fragment, with AWS's tags.

use kvs_operator::archiver::media::{Fragment, Track, TrackKind};
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};
use webm_iterable::{WebmWriter, WriteOptions};

type Reframe = dyn Fn(&Track, &[u8], bool) -> Vec<u8>;

/// How a camera does it differently.
pub struct Change<'a> {
    /// A track's private data.
    pub private: &'a dyn Fn(&Track) -> Vec<u8>,
    /// A frame's bytes; the flag says whether it is a key frame.
    pub frame: &'a Reframe,
    /// A track's codec id.
    pub codec_id: &'a dyn Fn(&Track) -> String,
    /// Whether a fragment has a track at all.
    pub track: &'a dyn Fn(usize, &Track) -> bool,
}

impl Change<'_> {
    /// Nothing is different.
    pub const NONE: Self = Self {
        private: &|t| t.codec_private.clone(),
        frame: &|_, bytes, _| bytes.to_vec(),
        codec_id: &|t| t.codec_id.clone(),
        track: &|_, _| true,
    };
}

/// The body.
pub fn rewrap(body: &[u8], fragments: &[Fragment], change: &Change<'_>) -> Vec<u8> {
    let documents = fragments
        .iter()
        .enumerate()
        .map(|(k, fragment)| document(k, body, fragment, change));
    documents.flatten().collect()
}

fn document(k: usize, body: &[u8], fragment: &Fragment, change: &Change<'_>) -> Vec<u8> {
    let mut w = WebmWriter::new(vec![]);
    w.write(&M::Ebml(Master::Full(vec![M::DocType("matroska".into())])))
        .unwrap();
    w.write_advanced(
        &M::Segment(Master::Start),
        WriteOptions::is_unknown_sized_element(),
    )
    .unwrap();
    let tracks: Vec<&Track> = fragment.tracks.iter().filter(|t| (change.track)(k, t)).collect();
    let entries = tracks.iter().map(|t| {
        let mut entry = vec![
            M::TrackNumber(t.number.into()),
            M::TrackUID(u64::from(t.number) + k as u64 * 10),
            M::TrackType(if t.kind == TrackKind::Video { 1 } else { 2 }),
            M::CodecID((change.codec_id)(t)),
            if t.kind == TrackKind::Video {
                M::Video(Master::Full(vec![
                    M::PixelWidth(t.size.0),
                    M::PixelHeight(t.size.1),
                ]))
            } else {
                M::Audio(Master::Full(vec![
                    M::SamplingFrequency(t.sampling_frequency),
                    M::Channels(t.channels),
                ]))
            },
        ];
        let private = (change.private)(t);
        if !private.is_empty() {
            entry.push(M::CodecPrivate(private));
        }
        M::TrackEntry(Master::Full(entry))
    });
    w.write(&M::Tracks(Master::Full(entries.collect()))).unwrap();
    let start = fragment.frames.iter().map(|f| f.time).min().unwrap() / 1_000_000;
    let tag = |name: &str, value: String| {
        let inside = vec![
            M::TagName(format!("AWS_KINESISVIDEO_{name}")),
            M::TagString(value),
        ];
        M::SimpleTag(Master::Full(inside))
    };
    let tags = vec![
        tag("FRAGMENT_NUMBER", format!("9134385233318143239{k:05}")),
        tag(
            "SERVER_TIMESTAMP",
            format!("{}.500", 1_763_900_000 + start / 1000),
        ),
        tag(
            "PRODUCER_TIMESTAMP",
            format!("{}.{:03}", 1_763_900_000 + start / 1000, start % 1000),
        ),
    ];
    w.write(&M::Tags(Master::Full(vec![M::Tag(Master::Full(tags))])))
        .unwrap();
    let mut cluster = vec![M::Timestamp(start as u64)];
    for frame in &fragment.frames {
        let Some(track) = tracks.iter().find(|t| t.number == frame.track) else {
            continue;
        };
        let bytes = &body[frame.data().start as usize..frame.data().end as usize];
        let mut block = vec![0x80 | track.number as u8];
        block.extend(((frame.time / 1_000_000 - start) as i16).to_be_bytes());
        block.push(u8::from(frame.key()) << 7);
        block.extend((change.frame)(track, bytes, frame.key()));
        cluster.push(M::SimpleBlock(block));
    }
    w.write(&M::Cluster(Master::Full(cluster))).unwrap();
    w.into_inner().unwrap()
}

/// A frame with start codes instead of lengths: three and four bytes long in turn.
pub fn annex_b(frame: &[u8]) -> Vec<u8> {
    let (mut rest, mut out) = (frame, vec![]);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (unit, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        out.extend_from_slice(if out.is_empty() { &[0, 0, 0, 1] } else { &[0, 0, 1] });
        out.extend_from_slice(unit);
        rest = behind;
    }
    out
}

/// The parameter sets of a configuration record, with start codes.
pub fn parameter_sets(track: &Track) -> Vec<u8> {
    use mp4_atom::{Atom, Avcc, Hvcc};
    let private = &mut &track.codec_private[..];
    let sets = if track.codec_id == "V_MPEG4/ISO/AVC" {
        let avcc = Avcc::decode_body(private).unwrap();
        [avcc.sequence_parameter_sets, avcc.picture_parameter_sets].concat()
    } else {
        Hvcc::decode_body(private)
            .unwrap()
            .arrays
            .into_iter()
            .flat_map(|a| a.nalus)
            .collect()
    };
    sets.iter()
        .flat_map(|set| [&[0, 0, 0, 1][..], set].concat())
        .collect()
}

/// A frame of AAC-LC in stereo at 48 kHz with its ADTS header.
pub fn adts(frame: &[u8]) -> Vec<u8> {
    let len = frame.len() + 7;
    let header = [
        0xff,
        0xf1,
        0x4c,
        0x80 | (len >> 11) as u8,
        (len >> 3) as u8,
        (len << 5) as u8 | 0x1f,
        0xfc,
    ];
    [&header[..], frame].concat()
}
