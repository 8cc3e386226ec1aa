//! The archiver's files against independent judges: ffmpeg must find in them the packets of the source, in order, at their
//! times, and decode them without a word.

#![allow(clippy::unwrap_used, clippy::panic)] // A test fails by panicking, its helpers too.
mod footage;
mod judge;

use footage::{Footage, real};
use judge::{Packets, assert_decodes, assert_same};
use kvs_operator::api::Container;
use kvs_operator::archiver::media::{FileKind, Format, Fragment, FragmentReader};

/// Reads a body as it would arrive: in pieces.
fn fragments(body: &[u8]) -> Vec<Fragment> {
    let (mut reader, mut found) = (FragmentReader::new(0), vec![]);
    for piece in body.chunks(10_007) {
        reader.push(piece, &mut found).unwrap();
    }
    found.extend(reader.finish().unwrap());
    for fragment in &found {
        fragment.check(None).unwrap();
    }
    found
}

/// One file of all fragments of a body.
fn file(footage: &Footage, wanted: Container) -> (FileKind, Vec<u8>) {
    let fragments = fragments(&footage.body);
    let formats = fragments
        .iter()
        .map(|f| Format::of(f, &footage.body[..]).unwrap());
    let format = formats.reduce(|a, b| a.join(&b).expect("one format")).unwrap();
    let kind = format.kind(wanted);
    let write = || {
        let mut file = vec![];
        let written = format
            .write(kind, &fragments, &footage.body[..], &mut file)
            .unwrap();
        assert_eq!(written.bytes, file.len() as u64);
        assert!(written.begins_with_key_frame);
        file
    };
    let bytes = write();
    assert_eq!(bytes, write(), "the same fragments give the same bytes");
    (kind, bytes)
}

/// The footage in both containers, judged.
fn both(footage: &Footage, auto: FileKind) {
    let source = Packets::of(&footage.body, "mkv");
    for (wanted, expected) in [(Container::Auto, auto), (Container::Matroska, FileKind::Matroska)] {
        let (kind, file) = file(footage, wanted);
        assert_eq!(kind, expected);
        let packets = Packets::of(&file, kind.extension());
        assert_same(&footage.name, &source, &packets);
        assert_decodes(&file, kind.extension());
    }
}

#[test]
fn what_kvs_really_sends() {
    let Some(footage) = real("output_get_media.mkv") else {
        return;
    };
    both(&footage, FileKind::Mp4);
}

#[test]
fn what_a_camera_really_sends() {
    let Some(footage) = real("real_producer_putmedia.mkv") else {
        return;
    };
    both(&footage, FileKind::Mp4);
}

#[test]
fn real_video_with_sound() {
    for name in ["vogels_330.mkv", "vogels_480.mkv"] {
        let Some(footage) = real(name) else { return };
        both(&footage, FileKind::Mp4);
    }
}
