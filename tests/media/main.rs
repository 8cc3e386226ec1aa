//! The archiver's files against independent judges, ffmpeg and mkvmerge: they must find in them the packets of the source, in order, at their
//! times, and decode them without a word.

#![allow(clippy::unwrap_used, clippy::panic)] // A test fails by panicking, its helpers too.
mod footage;
mod fuzz;
mod judge;
mod rewrap;

use footage::{Footage, H264, PICTURES, SOUND, made, real};
use judge::{Packets, assert_decodes, assert_same, format_tags, pictures};
use kvs_operator::api::Container;
use kvs_operator::archiver::media::{
    FileKind, Format, Fragment, FragmentReader, Joined, Track, TrackKind, lay_out, read_file, verify,
};
use rewrap::{Change, adts, annex_b, parameter_sets, rewrap};

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
fn file(body: &[u8], wanted: Container) -> (FileKind, Vec<u8>) {
    let mut parts = parts(body, wanted);
    assert_eq!(parts.len(), 1, "one file");
    parts.remove(0)
}

/// The files of a body: a new one where the format changes.
fn parts(body: &[u8], wanted: Container) -> Vec<(FileKind, Vec<u8>)> {
    let mut parts: Vec<(Format, Vec<Fragment>)> = vec![];
    for fragment in fragments(body) {
        let format = Format::of(&fragment, body).unwrap();
        match parts
            .last_mut()
            .and_then(|(f, part)| Some((f.join(&format)?, f, part)))
        {
            Some((joined, format, part)) => {
                *format = joined;
                part.push(fragment);
            }
            None => parts.push((format, vec![fragment])),
        }
    }
    parts
        .into_iter()
        .map(|(format, part)| written(&format, &part, body, wanted))
        .collect()
}

fn written(format: &Format, part: &[Fragment], body: &[u8], wanted: Container) -> (FileKind, Vec<u8>) {
    let kind = format.kind(wanted);
    let write = || {
        let mut file = vec![];
        let written = format
            .write(kind, &part.iter().collect::<Vec<_>>(), body, &mut file)
            .unwrap();
        assert_eq!(written.bytes, file.len() as u64);
        assert!(written.begins_with_key_frame);
        file
    };
    let file = write();
    assert_eq!(file, write(), "the same fragments give the same bytes");
    verify(kind, &file[..], file.len() as u64).unwrap();
    for cut in [1, file.len() / 2] {
        verify(kind, &file[..file.len() - cut], (file.len() - cut) as u64).unwrap_err();
    }
    (kind, file)
}

/// The footage in both containers, judged.
fn both(footage: &Footage, auto: FileKind) {
    let source = Packets::of(&footage.film, "mkv");
    for (wanted, expected) in [(Container::Auto, auto), (Container::Matroska, FileKind::Matroska)] {
        let (kind, file) = file(&footage.body, wanted);
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

#[test]
fn pictures_that_are_displayed_in_another_order() {
    let b = "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p";
    both(
        &made("B-frames", &[PICTURES, SOUND, b, "-c:a aac"]),
        FileKind::Mp4,
    );
    both(&made("B-frames alone", &[PICTURES, b]), FileKind::Mp4);
}

#[test]
fn pictures_alone_and_sound_alone() {
    both(&made("video only", &[PICTURES, H264]), FileKind::Mp4);
    both(&made("audio only", &[SOUND, "-c:a aac"]), FileKind::Mp4);
}

#[test]
fn tracks_that_begin_and_end_elsewhere() {
    let late = SOUND.replace("-f lavfi", "-itsoffset 1.337 -f lavfi");
    both(
        &made("late sound", &[PICTURES, &late, H264, "-c:a aac"]),
        FileKind::Mp4,
    );
    let late = PICTURES.replace("-f lavfi", "-itsoffset 0.777 -f lavfi");
    both(
        &made("late pictures", &[&late, SOUND, H264, "-c:a aac"]),
        FileKind::Mp4,
    );
    let short = SOUND.replace("duration=6", "duration=3");
    both(
        &made("short sound", &[PICTURES, &short, H264, "-c:a aac"]),
        FileKind::Mp4,
    );
}

#[test]
fn pictures_at_a_rate_that_varies() {
    let varying = "-vf select='gt(mod(n,7),2)+not(mod(n,50))' -fps_mode vfr";
    both(
        &made(
            "variable frame rate",
            &[PICTURES, SOUND, varying, H264, "-c:a aac"],
        ),
        FileKind::Mp4,
    );
}

#[test]
fn a_file_says_when_it_begins() {
    let footage = made("wall clock", &[PICTURES, H264]);
    let body = rewrap(&footage.body, &fragments(&footage.body), &Change::NONE);
    let body = &body[fragments(&body)[1].bytes.start as usize..];
    let begin = fragments(body)[0].producer_timestamp.unwrap();
    for wanted in [Container::Auto, Container::Matroska] {
        let (kind, file) = file(body, wanted);
        let tags = format_tags(&file, kind.extension());
        let key = if kind == FileKind::Mp4 {
            "com.apple.quicktime.creationdate"
        } else {
            "creation_time"
        };
        assert_eq!(tags[key].parse::<jiff::Timestamp>().unwrap(), begin);
        // To the second, for players that know no more.
        let created: jiff::Timestamp = tags["creation_time"].parse().unwrap();
        assert_eq!(created.as_second(), begin.as_second());
    }
}

#[test]
fn h265() {
    let h265 = "-c:v libx265 -preset ultrafast -g 50 -pix_fmt yuv420p -x265-params log-level=none:keyint=50:min-keyint=50";
    both(
        &made("H.265", &[PICTURES, SOUND, h265, "-c:a aac"]),
        FileKind::Mp4,
    );
}

#[test]
fn codecs_that_only_matroska_holds() {
    for (name, codec) in [
        ("A-law", "pcm_alaw -ar 8000 -ac 1"),
        ("mu-law", "pcm_mulaw -ar 8000 -ac 1"),
    ] {
        both(
            &made(name, &[PICTURES, SOUND, H264, "-c:a", codec]),
            FileKind::Matroska,
        );
    }
    // ffmpeg's segmenter moves Opus by its codec delay: the film itself is the only fragment.
    let mut opus = made("Opus", &[PICTURES, SOUND, H264, "-c:a libopus"]);
    opus.body.clone_from(&opus.film);
    both(&opus, FileKind::Matroska);
    both(
        &made("MJPEG", &[PICTURES, "-c:v mjpeg -pix_fmt yuvj420p"]),
        FileKind::Matroska,
    );
}

#[test]
fn three_tracks() {
    let maps = "-map 0 -map 1 -map 2";
    both(
        &made("three tracks", &[PICTURES, SOUND, SOUND, maps, H264, "-c:a aac"]),
        FileKind::Mp4,
    );
}

#[test]
fn pictures_with_start_codes() {
    let h265 = "-c:v libx265 -preset ultrafast -g 50 -pix_fmt yuv420p -x265-params log-level=none:keyint=50:min-keyint=50";
    for (name, codec) in [("H.264", H264), ("H.265", h265)] {
        let mut footage = made(name, &[PICTURES, SOUND, codec, "-c:a aac"]);
        let frame = |track: &_, bytes: &[u8], _| {
            if is_video(track) {
                annex_b(bytes)
            } else {
                bytes.to_vec()
            }
        };
        // Private data with start codes: the packets become what they were with lengths.
        let private = |track: &Track| {
            if is_video(track) {
                parameter_sets(track)
            } else {
                track.codec_private.clone()
            }
        };
        let change = Change {
            private: &private,
            frame: &frame,
            ..Change::NONE
        };
        let plain = std::mem::take(&mut footage.body);
        footage.body = rewrap(&plain, &fragments(&plain), &change);
        both(&footage, FileKind::Mp4);

        // No private data at all, parameter sets before each key frame: the pictures are the same.
        let sets = |track: &Track, bytes: &[u8], key| match is_video(track) {
            true if key => [parameter_sets(track), annex_b(bytes)].concat(),
            true => annex_b(bytes),
            false => bytes.to_vec(),
        };
        let none = |track: &Track| {
            if is_video(track) {
                vec![]
            } else {
                track.codec_private.clone()
            }
        };
        let change = Change {
            private: &none,
            frame: &sets,
            ..Change::NONE
        };
        let body = rewrap(&plain, &fragments(&plain), &change);
        for wanted in [Container::Auto, Container::Matroska] {
            let (kind, file) = file(&body, wanted);
            assert_eq!(kind == FileKind::Mp4, wanted == Container::Auto);
            assert_eq!(pictures(&file, kind.extension()), pictures(&footage.film, "mkv"));
            assert_decodes(&file, kind.extension());
        }
    }
}

#[test]
fn h264_as_the_guide_spells_it() {
    let mut footage = made("V_MPEG/ISO/AVC", &[PICTURES, H264]);
    let change = Change {
        codec_id: &|_| "V_MPEG/ISO/AVC".into(),
        ..Change::NONE
    };
    footage.body = rewrap(&footage.body, &fragments(&footage.body), &change);
    both(&footage, FileKind::Mp4);
}

#[test]
fn sound_with_adts_headers() {
    let mut footage = made("ADTS", &[PICTURES, SOUND, H264, "-c:a aac -ac 2"]);
    let frame = |track: &Track, bytes: &[u8], _| {
        if is_video(track) {
            bytes.to_vec()
        } else {
            adts(bytes)
        }
    };
    for private in [Change::NONE.private, &|t: &Track| {
        if is_video(t) {
            t.codec_private.clone()
        } else {
            vec![]
        }
    }] {
        let change = Change {
            private,
            frame: &frame,
            ..Change::NONE
        };
        let plain = footage.body.clone();
        footage.body = rewrap(&plain, &fragments(&plain), &change);
        both(&footage, FileKind::Mp4);
        footage.body = plain;
    }
}

#[test]
fn a_change_of_codec_begins_a_part() {
    let small = made("small", &[PICTURES, SOUND, H264, "-c:a aac"]);
    let large = made(
        "large",
        &[&PICTURES.replace("256x144", "320x180"), SOUND, H264, "-c:a aac"],
    );
    let body = [small.body, large.body].concat();
    let parts = parts(&body, Container::Auto);
    assert_eq!(parts.len(), 2);
    for ((kind, file), film) in parts.iter().zip([&small.film, &large.film]) {
        assert_same(
            "part",
            &Packets::of(film, "mkv"),
            &Packets::of(file, kind.extension()),
        );
        assert_decodes(file, kind.extension());
    }
}

#[test]
fn tracks_that_come_and_go() {
    let footage = made("come and go", &[PICTURES, SOUND, H264, "-c:a aac"]);
    let plain = fragments(&footage.body);
    // Declared, but silent in the second fragment: one file.
    let mut silent = plain.clone();
    silent[1].frames.retain(|f| f.track == 1);
    let body = rewrap(&footage.body, &silent, &Change::NONE);
    for wanted in [Container::Auto, Container::Matroska] {
        let (kind, file) = file(&body, wanted);
        assert_decodes(&file, kind.extension());
    }
    // Not even declared there: three files.
    let change = Change {
        track: &|k, track| k != 1 || is_video(track),
        ..Change::NONE
    };
    let body = rewrap(&footage.body, &plain, &change);
    let parts = parts(&body, Container::Auto);
    assert_eq!(parts.len(), 3);
    for (kind, file) in parts {
        assert_decodes(&file, kind.extension());
    }
}

#[test]
fn parameter_sets_that_change_in_the_data_begin_a_part() {
    // Two sizes with the private data of the first: a camera that changes its resolution and tells nobody.
    let small = made("small", &[PICTURES, H264]);
    let large = made("large", &[&PICTURES.replace("256x144", "320x180"), H264]);
    let private = fragments(&small.body)[0].tracks[0].codec_private.clone();
    let believed = |_: &Track| private.clone();
    let mut body = vec![];
    for footage in [&small, &large] {
        let frame = |track: &Track, bytes: &[u8], key: bool| {
            if key {
                [parameter_sets(track), annex_b(bytes)].concat()
            } else {
                annex_b(bytes)
            }
        };
        let change = Change {
            private: &believed,
            frame: &frame,
            ..Change::NONE
        };
        body.extend(rewrap(&footage.body, &fragments(&footage.body), &change));
    }
    let parts = parts(&body, Container::Auto);
    assert_eq!(parts.len(), 2);
    for ((kind, file), film) in parts.iter().zip([&small.film, &large.film]) {
        assert_eq!(pictures(file, kind.extension()), pictures(film, "mkv"));
        assert_decodes(file, kind.extension());
    }
}

fn is_video(track: &Track) -> bool {
    track.kind == TrackKind::Video
}

/// Chunks one behind the other in a spool, joined into one file; and by how many milliseconds each was moved.
fn exported(chunks: &[(FileKind, Vec<u8>)]) -> (FileKind, Vec<u8>, Vec<i64>) {
    let (mut spool, mut read) = (vec![], vec![]);
    for (kind, file) in chunks {
        let begin = spool.len() as u64;
        spool.extend_from_slice(file);
        read.push((*kind, begin..spool.len() as u64));
    }
    let mut files: Vec<Fragment> = read
        .into_iter()
        .map(|(kind, range)| read_file(kind, &spool[..], range).unwrap())
        .collect();
    let moved = lay_out(&mut files).into_iter().map(|by| by / 1_000_000).collect();
    let formats = files.iter().map(|f| Format::of(f, &spool[..]).unwrap());
    let format = formats.reduce(|a, b| a.join(&b).expect("one format")).unwrap();
    let kind = format.kind(Container::Auto);
    let mut file = vec![];
    format
        .write(kind, &files.iter().collect::<Vec<_>>(), &spool[..], &mut file)
        .unwrap();
    (kind, file, moved)
}

#[test]
fn chunks_are_joined_again() {
    let b = "-c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p";
    for (name, sound) in [
        ("AAC", "-c:a aac -ac 2"),
        ("A-law", "-c:a pcm_alaw -ar 8000 -ac 1"),
    ] {
        let footage = made(name, &[PICTURES, SOUND, b, sound]);
        let body = rewrap(&footage.body, &fragments(&footage.body), &Change::NONE);
        let chunks: Vec<_> = fragments(&body)
            .iter()
            .map(|f| {
                written(
                    &Format::of(f, &body[..]).unwrap(),
                    std::slice::from_ref(f),
                    &body,
                    Container::Auto,
                )
            })
            .collect();
        assert_eq!(chunks.len(), 3);
        let (kind, file, moved) = exported(&chunks);
        assert_eq!(moved, [0, 0, 0]);
        let source = Packets::of(&footage.film, "mkv");
        assert_same(name, &source, &Packets::of(&file, kind.extension()));
        assert_decodes(&file, kind.extension());

        // A gap stays, a repeat is moved behind what it repeats.
        let (.., moved) = exported(&[chunks[0].clone(), chunks[2].clone()]);
        assert_eq!(moved, [0, 0]);
        let again = [
            chunks[0].clone(),
            chunks[1].clone(),
            chunks[1].clone(),
            chunks[2].clone(),
        ];
        let (kind, file, moved) = exported(&again);
        assert_eq!(moved[..2], [0, 0]);
        assert!(
            (1900..2200).contains(&moved[2]) && (1900..2200).contains(&moved[3]),
            "{moved:?}"
        );
        assert_decodes(&file, kind.extension());
    }
}

#[test]
fn clips_of_both_kinds_are_joined_and_a_change_is_refused() {
    let footage = made("both kinds", &[PICTURES, SOUND, H264, "-c:a aac -ac 2"]);
    let clips = |body: &[u8]| -> Vec<(FileKind, Vec<u8>)> {
        let wanted = [Container::Auto, Container::Matroska].into_iter().cycle();
        let clip = |(f, wanted): (&Fragment, Container)| {
            let format = Format::of(f, body).unwrap();
            written(&format, std::slice::from_ref(f), body, wanted)
        };
        fragments(body).iter().zip(wanted).map(clip).collect()
    };
    let body = rewrap(&footage.body, &fragments(&footage.body), &Change::NONE);
    let (mut spool, mut joined, mut all) = (vec![], Joined::default(), vec![]);
    let clips_of_it = clips(&body);
    assert_eq!(clips_of_it[1].0, FileKind::Matroska);
    for (kind, clip) in clips_of_it {
        let begin = spool.len() as u64;
        spool.extend(clip);
        let mut read = read_file(kind, &spool[..], begin..spool.len() as u64).unwrap();
        joined.take(&mut read, &spool[..]).unwrap().unwrap();
        all.push(read);
    }
    assert_eq!(lay_out(&mut all), [0, 0, 0]);
    let source = Packets::of(&footage.film, "mkv");
    for kind in [FileKind::Mp4, FileKind::Matroska] {
        let mut file = vec![];
        let media: Vec<_> = all.iter().collect();
        joined
            .format()
            .write(kind, &media, &spool[..], &mut file)
            .unwrap();
        assert_same("both kinds", &source, &Packets::of(&file, kind.extension()));
        assert_decodes(&file, kind.extension());
    }

    // Pictures alone go on in the same track; of another size they do not.
    let silent = made("silent", &[PICTURES, H264]);
    let large = made("large", &[&PICTURES.replace("256x144", "320x180"), H264]);
    for (footage, goes_on) in [(&silent, true), (&large, false)] {
        let mut fragment = fragments(&footage.body).remove(0);
        let taken = joined.clone().take(&mut fragment, &footage.body[..]).unwrap();
        assert_eq!(taken.is_ok(), goes_on, "{taken:?}");
    }
}
