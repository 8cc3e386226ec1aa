//! The largest fragments that KVS takes, and the most frames that a file may have, in little memory. A process of its own, so that its peak is this test's.

#![allow(clippy::unwrap_used, clippy::panic)] // A test fails by panicking, its helpers too.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};

use kvs_operator::api::Container;
use kvs_operator::archiver::media::{FILE_FRAMES, FileKind, Format, Fragment, FragmentReader, verify};
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};
use webm_iterable::{WebmWriter, WriteOptions};

/// What one frame has: nearly all that a fragment may have.
const FRAME: usize = 48_000_000;
/// What the archiver may have in all, in KiB; the test's own program is in it.
const PEAK: u64 = 64 << 10;

/// The head of a fragment: its cluster begins behind it.
fn head(time: u64) -> Vec<u8> {
    let mut w = WebmWriter::new(vec![]);
    w.write(&M::Ebml(Master::Full(vec![M::DocType("matroska".into())])))
        .unwrap();
    w.write_advanced(
        &M::Segment(Master::Start),
        WriteOptions::is_unknown_sized_element(),
    )
    .unwrap();
    let pictures = vec![
        M::TrackNumber(1),
        M::TrackType(1),
        M::CodecID("V_MPEG4/ISO/AVC".into()),
        M::CodecPrivate(vec![
            1, 77, 0, 30, 255, 225, 0, 4, 0x67, 77, 0, 30, 1, 0, 2, 0x68, 9,
        ]),
        M::Video(Master::Full(vec![M::PixelWidth(8192), M::PixelHeight(4320)])),
    ];
    let sound = vec![
        M::TrackNumber(2),
        M::TrackType(2),
        M::CodecID("A_AAC".into()),
        M::CodecPrivate(vec![0x11, 0x90]),
        M::Audio(Master::Full(vec![M::SamplingFrequency(48000.0), M::Channels(2)])),
    ];
    let tracks = [pictures, sound].map(|track| M::TrackEntry(Master::Full(track)));
    w.write(&M::Tracks(Master::Full(tracks.into()))).unwrap();
    w.write_advanced(
        &M::Cluster(Master::Start),
        WriteOptions::is_unknown_sized_element(),
    )
    .unwrap();
    w.write(&M::Timestamp(time)).unwrap();
    w.into_inner().unwrap()
}

/// Writes a fragment whose only picture has 48 MB, with start codes or with lengths.
fn put_large(spool: &mut impl Write, number: u64, start_codes: bool) {
    spool.write_all(&head(1_763_900_000_000 + number * 2000)).unwrap();
    // A SimpleBlock of FRAME + 8 bytes: track 1, key frame, one unit.
    let block = (FRAME as u32 + 8) | 0x1000_0000;
    spool
        .write_all(&[&[0xa3][..], &block.to_be_bytes(), &[0x81, 0, 0, 0x80]].concat())
        .unwrap();
    let unit = if start_codes {
        [0, 0, 0, 1]
    } else {
        (FRAME as u32).to_be_bytes()
    };
    spool.write_all(&unit).unwrap();
    let picture: Vec<u8> = (0..64_000).map(|k| (k % 251 + 4) as u8 | 1).collect();
    for _ in 0..FRAME / picture.len() {
        spool.write_all(&picture).unwrap();
    }
}

/// Writes a fragment of ten seconds with 1,000 small frames: pictures and sound in turn.
fn put_many(spool: &mut impl Write, number: u64) {
    spool
        .write_all(&head(1_763_900_000_000 + number * 10_000))
        .unwrap();
    for k in 0..1000u16 {
        let [high, low] = (k * 10).to_be_bytes();
        let key = if k < 2 { 0x80 } else { 0 };
        let track = 0x81 + (k % 2) as u8;
        spool
            .write_all(&[0xa3, 0x8a, track, high, low, key, 0, 0, 0, 2, 0x65, high])
            .unwrap();
    }
}

/// All fragments of the spool.
fn read(spool: &mut File) -> Vec<Fragment> {
    spool.rewind().unwrap();
    let (mut reader, mut found) = (FragmentReader::new(0), vec![]);
    let mut piece = vec![0; 100_000];
    loop {
        match spool.read(&mut piece).unwrap() {
            0 => break,
            read => reader.push(&piece[..read], &mut found).unwrap(),
        }
    }
    found.extend(reader.finish().unwrap());
    found
}

#[test]
fn large_footage_needs_little_memory() {
    let mut spool = tempfile::tempfile().unwrap();
    let mut body = BufWriter::new(&mut spool);
    for (number, start_codes) in [(0, false), (1, false), (2, true)] {
        put_large(&mut body, number, start_codes);
    }
    drop(body);
    let found = read(&mut spool);
    assert_eq!(found.len(), 3);
    let (lengths, codes) = found.split_at(2);
    for part in [lengths, codes] {
        for wanted in [Container::Auto, Container::Matroska] {
            let bytes = written(part, wanted, &spool);
            let frames = part.len() * (FRAME + 4);
            assert!(bytes > frames as u64 && bytes < frames as u64 + 2000);
        }
    }

    let mut spool = tempfile::tempfile().unwrap();
    let mut body = BufWriter::new(&mut spool);
    (0..FILE_FRAMES as u64 / 1000).for_each(|number| put_many(&mut body, number));
    drop(body);
    let found = read(&mut spool);
    assert_eq!(found.iter().map(|f| f.frames.len()).sum::<usize>(), FILE_FRAMES);
    for wanted in [Container::Auto, Container::Matroska] {
        written(&found, wanted, &spool);
    }

    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("peak {peak} KiB");
    assert!(peak < PEAK, "{peak} KiB");
}

fn written(part: &[Fragment], wanted: Container, spool: &File) -> u64 {
    let formats = part.iter().map(|f| Format::of(f, spool).unwrap());
    let format = formats.reduce(|a, b| a.join(&b).unwrap()).unwrap();
    let kind = format.kind(wanted);
    assert_eq!(kind == FileKind::Mp4, wanted == Container::Auto);
    let mut file = BufWriter::new(tempfile::tempfile().unwrap());
    let bytes = format
        .write(kind, &part.iter().collect::<Vec<_>>(), spool, &mut file)
        .unwrap()
        .bytes;
    verify(kind, file.get_ref(), bytes).unwrap();
    bytes
}
