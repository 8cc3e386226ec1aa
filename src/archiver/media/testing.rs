//! What the tests of this folder share: bodies as KVS sends them, made by webm-iterable, and real ones where they are at hand.

use std::path::Path;

use proptest::prelude::*;
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};
use webm_iterable::{WebmWriter, WriteOptions};

use super::{Fragment, FragmentReader, MediaError};

/// Real footage, which the repository does not contain: `shared/media` in a folder above it.
pub fn real(name: &str) -> Option<Vec<u8>> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(path) = above.find_map(|a| Some(a.join("shared/media").join(name)).filter(|p| p.is_file()))
    else {
        eprintln!("{name} is not at hand: this test saw no real footage");
        return None;
    };
    Some(std::fs::read(path).expect("real footage can be read"))
}

/// All fragments of a body that is whole.
pub fn read(body: &[u8]) -> Result<Vec<Fragment>, MediaError> {
    let (found, end) = read_some(body, body.len().max(1));
    end.map(|()| found)
}

/// What can be had of a body that arrives in pieces, and how it ended.
pub fn read_some(body: &[u8], piece: usize) -> (Vec<Fragment>, Result<(), MediaError>) {
    let (mut reader, mut found) = (FragmentReader::new(0), vec![]);
    for bytes in body.chunks(piece) {
        if let Err(error) = reader.push(bytes, &mut found) {
            return (found, Err(error));
        }
    }
    match reader.finish() {
        Ok(last) => {
            found.extend(last);
            (found, Ok(()))
        }
        Err(error) => (found, Err(error)),
    }
}

/// A fragment to be made.
#[derive(Clone, Debug)]
pub struct Made {
    pub number: u64,
    /// When its first frame is displayed, in milliseconds.
    pub time: u64,
    /// Whether its cluster states its size.
    pub sized: bool,
    /// Its blocks, as they lie in the cluster.
    pub blocks: Vec<M>,
    /// What comes behind its cluster.
    pub after: Vec<M>,
}

/// A SimpleBlock of one frame.
pub fn simple(track: u8, time: i16, key: bool, data: &[u8]) -> M {
    let mut block = vec![0x80 | track];
    block.extend(time.to_be_bytes());
    block.push(u8::from(key) << 7);
    block.extend(data);
    M::SimpleBlock(block)
}

/// A Tags element, without the Targets that Matroska wants and KVS leaves out.
pub fn tags(tags: &[(&str, &str)]) -> M {
    let simple = tags.iter().map(|(name, value)| {
        M::SimpleTag(Master::Full(vec![
            M::TagName((*name).into()),
            M::TagString((*value).into()),
        ]))
    });
    M::Tags(Master::Full(vec![M::Tag(Master::Full(simple.collect()))]))
}

/// A video track of H.264 and a sound track of G.711.
pub fn tracks() -> M {
    let video = vec![
        M::TrackNumber(1),
        M::TrackUID(1),
        M::TrackType(1),
        M::CodecID("V_MPEG4/ISO/AVC".into()),
        M::CodecPrivate(vec![
            1, 77, 0, 30, 255, 225, 0, 4, 0x67, 77, 0, 30, 1, 0, 2, 0x68, 9,
        ]),
        M::Video(Master::Full(vec![M::PixelWidth(640), M::PixelHeight(360)])),
    ];
    let sound = vec![
        M::TrackNumber(2),
        M::TrackUID(2),
        M::TrackType(2),
        M::CodecID("A_MS/ACM".into()),
        M::Audio(Master::Full(vec![M::SamplingFrequency(8000.0), M::Channels(1)])),
    ];
    M::Tracks(Master::Full(vec![
        M::TrackEntry(Master::Full(video)),
        M::TrackEntry(Master::Full(sound)),
    ]))
}

impl Made {
    /// Its document.
    pub fn bytes(&self) -> Vec<u8> {
        let mut w = WebmWriter::new(vec![]);
        let unknown = WriteOptions::is_unknown_sized_element;
        w.write(&M::Ebml(Master::Full(vec![M::DocType("matroska".into())])))
            .unwrap();
        w.write_advanced(&M::Segment(Master::Start), unknown()).unwrap();
        w.write(&M::Info(Master::Full(vec![M::TimestampScale(1_000_000)])))
            .unwrap();
        w.write(&tracks()).unwrap();
        let producer = format!("{}.{:03}", self.time / 1000, self.time % 1000);
        w.write(&tags(&[
            ("door", "open"),
            ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", &self.number.to_string()),
            ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", "1763900000.250"),
            ("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", &producer),
        ]))
        .unwrap();
        if self.sized {
            let mut inside = vec![M::Timestamp(self.time)];
            inside.extend(self.blocks.clone());
            w.write(&M::Cluster(Master::Full(inside))).unwrap();
        } else {
            w.write_advanced(&M::Cluster(Master::Start), unknown()).unwrap();
            w.write(&M::Timestamp(self.time)).unwrap();
            for block in &self.blocks {
                w.write(block).unwrap();
            }
            w.write(&M::Cluster(Master::End)).unwrap();
        }
        for element in &self.after {
            w.write(element).unwrap();
        }
        w.into_inner().unwrap()
    }
}

/// Fragments of every shape: sized or not, simple blocks and groups, tags behind them.
pub fn made() -> impl Strategy<Value = Made> {
    let frame = (
        any::<bool>(),
        1u8..3,
        proptest::collection::vec(any::<u8>(), 0..40),
        any::<bool>(),
    );
    let frames = proptest::collection::vec(frame, 1..12);
    (
        any::<u32>(),
        0u64..2_000_000_000_000,
        any::<bool>(),
        frames,
        any::<bool>(),
    )
        .prop_map(|(number, time, sized, frames, after)| Made {
            number: number.into(),
            time,
            sized,
            blocks: (0..)
                .zip(frames)
                .map(|(k, (key, track, data, grouped))| {
                    let block = simple(track, k * 40, key, &data);
                    match block {
                        M::SimpleBlock(block) if grouped => {
                            let mut group = vec![M::Block(block), M::BlockDuration(40)];
                            if !key {
                                group.push(M::ReferenceBlock(-40));
                            }
                            M::BlockGroup(Master::Full(group))
                        }
                        block => block,
                    }
                })
                .collect(),
            after: if after {
                vec![tags(&[("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "0")])]
            } else {
                vec![]
            },
        })
}
