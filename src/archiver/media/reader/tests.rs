//! The reader against bodies that are whole, cut, changed and nonsense.

use super::*;
use crate::archiver::media::testing::{self, Made, made, read, read_some, simple, tags};
use crate::archiver::media::{Incomplete, Listed, TrackKind};
use proptest::prelude::*;
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};

const T: u64 = 1_763_900_000_000;

fn of(blocks: Vec<M>) -> Made {
    Made {
        number: 7,
        time: T,
        sized: true,
        blocks,
        after: vec![],
    }
}

/// Times against the fragment's start in milliseconds, and lengths.
fn frames(fragment: &Fragment) -> Vec<(u16, i64, u64)> {
    let ms = |f: &Frame| (f.time - T as i64 * 1_000_000) / 1_000_000;
    fragment
        .frames
        .iter()
        .map(|f| (f.track, ms(f), f.data().end - f.data().start))
        .collect()
}

#[test]
fn reads_what_kvs_really_sends() {
    let Some(body) = testing::real("output_get_media.mkv") else {
        return;
    };
    let fragments = read(&body).unwrap();
    assert_eq!(fragments.len(), 5);
    assert_eq!(fragments.iter().map(|f| f.frames.len()).sum::<usize>(), 300);
    let first = &fragments[0];
    assert_eq!(
        first.number.as_deref(),
        Some("91343852333181432392682062607743920146159169392")
    );
    assert_eq!(
        first.server_timestamp.unwrap().as_millisecond(),
        1_511_852_109_126
    );
    assert_eq!(
        first.producer_timestamp.unwrap().as_millisecond(),
        1_511_852_108_513
    );
    assert_eq!(
        (first.tracks[0].codec_id.as_str(), first.tracks[0].size),
        ("V_MPEG4/ISO/AVC", (640, 360))
    );
    assert_eq!(first.tracks[0].kind, TrackKind::Video);
    assert!(
        first
            .tags
            .iter()
            .any(|(name, value)| name == "MAJOR_BRAND" && value.trim() == "M4V")
    );
    // Relative timecodes in the clusters, the camera's clock in the tag.
    for fragment in &fragments {
        assert_eq!(
            fragment.frames[0].time,
            fragment.producer_timestamp.unwrap().as_nanosecond() as i64
        );
        assert_eq!(fragment.ending, Ending::Sized);
        assert!(fragment.begins_with_key_frame());
        fragment.check(None).unwrap();
    }
    // The documents are the body, without a byte between them.
    assert_eq!(fragments[0].bytes.start, 0);
    assert!(fragments.windows(2).all(|w| w[0].bytes.end == w[1].bytes.start));
    assert_eq!(fragments[4].bytes.end, body.len() as u64);
}

#[test]
fn a_block_group_says_at_its_end_what_its_frame_is() {
    let group = |inside: Vec<M>| M::BlockGroup(Master::Full(inside));
    let block = |time: i16| match simple(1, time, false, &[9; 5]) {
        M::SimpleBlock(block) => M::Block(block),
        other => other,
    };
    let body = of(vec![
        group(vec![block(0), M::BlockDuration(40)]),
        group(vec![
            M::ReferenceBlock(-40),
            M::BlockDuration(41),
            M::DiscardPadding(-2),
            block(40),
        ]),
        group(vec![block(81), M::ReferenceBlock(-41)]),
    ]);
    let fragment = &read(&body.bytes()).unwrap()[0];
    let said: Vec<_> = fragment
        .frames
        .iter()
        .map(|f| (f.key(), f.duration(), f.discard_padding()))
        .collect();
    assert_eq!(
        said,
        [
            (true, Some(40_000_000), None),
            (false, Some(41_000_000), Some(-2)),
            (false, None, None)
        ]
    );
}

#[test]
fn laced_frames_are_frames() {
    let laced = M::SimpleBlock([&[0x82, 0, 0, 0x84, 2][..], &[7; 30]].concat());
    let fragment = &read(&of(vec![laced]).bytes()).unwrap()[0];
    assert_eq!(frames(fragment), [(2, 0, 10); 3]);
    assert!(
        fragment
            .frames
            .windows(2)
            .all(|w| w[0].data().end == w[1].data().start)
    );
    // Where only the group says how long they last together, they share it.
    let group = vec![
        M::Block([&[0x82, 0, 0, 0x04, 2][..], &[7; 30]].concat()),
        M::BlockDuration(60),
    ];
    let fragment = &read(&of(vec![M::BlockGroup(Master::Full(group))]).bytes()).unwrap()[0];
    assert_eq!(frames(fragment), [(2, 0, 10), (2, 20, 10), (2, 40, 10)]);
}

#[test]
fn an_exception_in_the_body_is_no_footage() {
    for (code, message) in [
        (
            "AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE",
            "AWS_KINESISVIDEO_EXCEPTION_MESSAGE",
        ),
        ("AWS_KINESISVIDEO_ERROR_CODE", "AWS_KINESISVIDEO_ERROR_ID"),
    ] {
        let mut made = of(vec![simple(1, 0, true, &[1, 2, 3])]);
        made.after.push(tags(&[(code, "4502"), (message, "KMS says no")]));
        let fragment = &read(&made.bytes()).unwrap()[0];
        let error = InBandError {
            code: "4502".into(),
            message: Some("KMS says no".into()),
        };
        assert_eq!(fragment.check(None), Err(Incomplete::Reported(error)));
        assert_eq!(fragment.number.as_deref(), Some("7"));
    }
}

#[test]
fn what_ends_between_two_elements_is_measured_against_the_listing() {
    let mut made = of((0..5).map(|k| simple(1, k * 40, k == 0, &[9; 100])).collect());
    made.sized = false;
    let bytes = made.bytes();
    let listed = |bytes, milliseconds| Some(Listed { bytes, milliseconds });
    let whole = read(&bytes).unwrap().remove(0);
    assert_eq!(whole.ending, Ending::Open);
    assert_eq!(whole.check(listed(bytes.len() as u64, 160)), Ok(()));
    assert_eq!(
        whole.check(listed(400, 160)),
        Ok(()),
        "headers that the listing does not count"
    );
    // The last block is gone: 106 bytes.
    let cut = read(&bytes[..bytes.len() - 106]).unwrap().remove(0);
    assert_eq!(cut.frames.len(), 4);
    let arrived = bytes.len() as u64 - 106;
    let listed_bytes = bytes.len() as u64;
    assert_eq!(
        cut.check(listed(listed_bytes, 160)),
        Err(Incomplete::Smaller {
            arrived,
            listed: listed_bytes
        })
    );
    assert_eq!(
        cut.check(listed(400, 160)),
        Err(Incomplete::Shorter {
            arrived: 120,
            listed: 160
        })
    );
    // Another one behind it proves that the first was over.
    let two = [bytes.clone(), bytes].concat();
    assert_eq!(read(&two).unwrap()[0].ending, Ending::Followed);
}

#[test]
fn refuses_what_cannot_be() {
    let reason = |body: &[u8]| match read(body) {
        Err(MediaError::Malformed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason(b"{\"message\":\"a text that is no Matroska\"}"),
        "no EBML header at the beginning"
    );
    assert_eq!(
        reason(&of(vec![simple(3, 0, true, &[1])]).bytes()),
        "a frame of a track that is not declared"
    );
    let mut two = of(vec![simple(1, 0, true, &[1])]);
    two.after.push(tags(&[("AWS_KINESISVIDEO_FRAGMENT_NUMBER", "8")]));
    assert_eq!(reason(&two.bytes()), "two fragment numbers in one fragment");
    assert!(read(&[]).unwrap().is_empty());
}

proptest! {
    /// However the bytes arrive, the same fragments come out, and what was put in.
    #[test]
    fn reads_in_pieces_of_any_size(made in proptest::collection::vec(made(), 1..4), piece in 1usize..200) {
        let body: Vec<u8> = made.iter().flat_map(Made::bytes).collect();
        let (found, end) = read_some(&body, piece);
        end.unwrap();
        prop_assert_eq!(&found, &read(&body).unwrap());
        prop_assert_eq!(found.len(), made.len());
        for (fragment, made) in found.iter().zip(&made) {
            prop_assert_eq!(fragment.number.clone(), Some(made.number.to_string()));
            prop_assert_eq!(fragment.producer_timestamp.unwrap().as_millisecond(), made.time as i64);
            prop_assert_eq!(fragment.frames.len(), made.blocks.len());
            for (k, frame) in (0..).zip(&fragment.frames) {
                prop_assert_eq!(frame.time, (made.time as i64 + k * 40) * 1_000_000);
            }
            prop_assert_eq!(fragment.check(None), Ok(()));
        }
    }

    /// A body that was cut anywhere gives the fragments before the cut; the one that was cut is never whole.
    #[test]
    fn a_cut_body_never_looks_complete(made in proptest::collection::vec(made(), 1..4), cut in any::<proptest::sample::Index>()) {
        let bodies: Vec<Vec<u8>> = made.iter().map(Made::bytes).collect();
        let body = bodies.concat();
        let whole = read(&body).unwrap();
        let cut = cut.index(body.len());
        let (found, end) = read_some(&body[..cut], 50);
        for (k, fragment) in found.iter().enumerate() {
            let listed = Listed {
                bytes: bodies[k].len() as u64,
                milliseconds: (made[k].blocks.len() as u64 - 1) * 40,
            };
            if fragment.bytes.end < whole[k].bytes.end {
                // The tags behind a cluster that states its size are no footage.
                let all = fragment.frames == whole[k].frames && fragment.ending == Ending::Sized;
                prop_assert!(all || fragment.check(Some(listed)).is_err(), "cut at {}", cut);
            } else {
                prop_assert_eq!(&fragment.frames, &whole[k].frames);
            }
        }
        let ends = whole.iter().map(|f| f.bytes.end).filter(|e| *e <= cut as u64).count();
        prop_assert!(found.len() >= ends || end.is_err());
    }

    /// Whatever the bytes, nothing panics, and what is found lies where it is said to.
    #[test]
    fn changed_bodies_are_survived(
        made in proptest::collection::vec(made(), 1..4),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        piece in 1usize..500,
    ) {
        let mut body: Vec<u8> = made.iter().flat_map(Made::bytes).collect();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let (found, _) = read_some(&body, piece);
        for fragment in &found {
            prop_assert!(fragment.bytes.end <= body.len() as u64);
            for frame in &fragment.frames {
                prop_assert!(fragment.bytes.start < frame.data().start && frame.data().end <= fragment.bytes.end);
            }
        }
        if found.iter().any(|f| !f.frames.is_empty()) {
            survive(&found, &body);
        }
    }

    /// Noise is refused, not read.
    #[test]
    fn noise_is_survived(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (found, _) = read_some(&body, 64);
        prop_assert!(found.iter().all(|f| f.check(None).is_err()));
    }
}

/// Whatever was read can be asked for its format and be written, or refused with a reason.
fn survive(found: &[Fragment], body: &[u8]) {
    use crate::api::Container;
    use crate::archiver::media::{Format, read_file, verify};
    for fragment in found.iter().filter(|f| f.check(None).is_ok()) {
        let format = Format::of(fragment, body).unwrap();
        for wanted in [Container::Auto, Container::Matroska] {
            let kind = format.kind(wanted);
            let mut file = vec![];
            if format.write(kind, &[fragment], body, &mut file).is_ok() {
                let len = file.len() as u64;
                verify(kind, &file[..], len).unwrap();
                let back = read_file(kind, &file[..], 0..len).unwrap();
                assert_eq!(back.frames.len(), fragment.frames.len());
            }
        }
    }
}
