//! Bodies that broke on the way: they never end the program, and what did not arrive whole never counts. Cuts anywhere between
//! fragments make files that play.
//!
//! The same cases every time; `FUZZ_CASES=100000 cargo test --test media fuzz` runs more.

use kvs_operator::api::Container;
use kvs_operator::archiver::media::{FileKind, Format, Fragment, FragmentReader, Listed, verify};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::footage::{Footage, H264, PICTURES, SOUND, made, real};
use super::rewrap::{Change, rewrap};
use super::{both, fragments};

fn runner(cases: u32) -> TestRunner {
    let more = std::env::var("FUZZ_CASES").ok().map(|n| n.parse().unwrap());
    TestRunner::new(Config {
        cases: more.unwrap_or(cases),
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Config::default()
    })
}

/// Small bodies: as KVS sends them, made by ffmpeg and real.
fn bodies() -> Vec<Vec<u8>> {
    let made = made("fuzzed", &[PICTURES, SOUND, H264, "-c:a aac"]);
    let mut bodies = vec![rewrap(&made.body, &fragments(&made.body), &Change::NONE)];
    for name in ["output_get_media.mkv", "real_producer_putmedia.mkv"] {
        if let Some(footage) = real(name) {
            let first = fragments(&footage.body).swap_remove(0).bytes;
            let end = (first.end as usize).min(600_000);
            bodies.push(footage.body[first.start as usize..end].to_vec());
        }
    }
    bodies
}

/// What is in a body, however broken it is, and whether it broke.
fn found(body: &[u8], piece: usize) -> (Vec<Fragment>, bool) {
    let (mut reader, mut found, mut broken) = (FragmentReader::new(0), vec![], false);
    for piece in body.chunks(piece) {
        broken |= reader.push(piece, &mut found).is_err();
    }
    match reader.finish() {
        Ok(last) => found.extend(last),
        Err(_) => broken = true,
    }
    (found, broken)
}

fn listed(fragment: &Fragment) -> Listed {
    let times = || fragment.frames.iter().map(|f| f.time / 1_000_000);
    let span = times().max().unwrap_or(0) - times().min().unwrap_or(0);
    Listed {
        bytes: fragment.bytes.end - fragment.bytes.start,
        milliseconds: u64::try_from(span).unwrap(),
    }
}

#[test]
fn a_body_that_is_cut_gives_only_what_is_whole() {
    let bodies = bodies();
    let cut = (0..bodies.len(), 0.0..1.0f64, 1..20_000usize);
    let whole: Vec<_> = bodies.iter().map(|body| found(body, 1 << 20).0).collect();
    let check = |(which, at, piece): (usize, f64, usize)| {
        let end = (bodies[which].len() as f64 * at) as usize;
        let (arrived, _) = found(&bodies[which][..end], piece);
        for (arrived, sent) in arrived.iter().zip(&whole[which]) {
            let counts = arrived.check(Some(listed(sent))).is_ok();
            prop_assert!(
                !counts || arrived.frames == sent.frames,
                "cut at {}: {:?} of {:?} counts",
                end,
                arrived.bytes,
                sent.bytes
            );
        }
        Ok(())
    };
    runner(300).run(&cut, check).unwrap();
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(f64, u8),
    Remove(f64, usize),
    Repeat(f64, usize),
    Zero(f64, usize),
}

fn mutated(body: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut body = body.to_vec();
    for mutation in mutations {
        let range = |at: f64, len: usize| {
            let begin = (at * body.len() as f64) as usize;
            begin..(begin + len).min(body.len())
        };
        match *mutation {
            Mutation::Set(at, value) => range(at, 1).for_each(|k| body[k] = value),
            Mutation::Remove(at, len) => drop(body.drain(range(at, len))),
            Mutation::Repeat(at, len) => {
                let again = body[range(at, len)].to_vec();
                let begin = range(at, len).start;
                body.splice(begin..begin, again);
            }
            Mutation::Zero(at, len) => range(at, len).for_each(|k| body[k] = 0),
        }
    }
    body
}

#[test]
fn a_body_that_is_damaged_ends_nothing() {
    let bodies = bodies();
    // Heads are where damage has the most ways to go: half of it lies in the first part of a body.
    let at = || prop_oneof![0.0..1.0f64, 0.0..0.005f64];
    let mutation = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Set(at, value)),
        1 => (at(), 1..5000usize).prop_map(|(at, len)| Mutation::Remove(at, len)),
        1 => (at(), 1..5000usize).prop_map(|(at, len)| Mutation::Repeat(at, len)),
        1 => (at(), 1..64usize).prop_map(|(at, len)| Mutation::Zero(at, len)),
    ];
    let damage = (
        0..bodies.len(),
        prop::collection::vec(mutation, 1..8),
        1..20_000usize,
    );
    let check = |(which, mutations, piece): (usize, Vec<Mutation>, usize)| {
        let body = mutated(&bodies[which], &mutations);
        for fragment in found(&body, piece).0 {
            if fragment.check(None).is_err() {
                continue;
            }
            prop_assert!(fragment.bytes.end <= body.len() as u64);
            for frame in &fragment.frames {
                let data = frame.data();
                prop_assert!(fragment.bytes.start <= data.start && data.end <= fragment.bytes.end);
            }
            // What can be told apart only by a decoder is a file like any other, or says that it cannot be one.
            let Ok(format) = Format::of(&fragment, &body[..]) else {
                continue;
            };
            for kind in [format.kind(Container::Auto), FileKind::Matroska] {
                let mut file = vec![];
                if format.write(kind, &[&fragment], &body[..], &mut file).is_ok() {
                    prop_assert!(verify(kind, &file[..], file.len() as u64).is_ok());
                }
            }
        }
        Ok(())
    };
    runner(300).run(&damage, check).unwrap();
}

#[test]
fn files_of_any_cut_hold_the_packets_of_their_fragments() {
    let long = |text: &str| text.replace("duration=6", "duration=14");
    let (pictures, sound) = (long(PICTURES), long(SOUND));
    let b = "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p";
    let h265 = "-c:v libx265 -preset ultrafast -g 50 -pix_fmt yuv420p -x265-params log-level=none:keyint=50:min-keyint=50:bframes=0";
    let pairs = [
        (H264, "aac", FileKind::Mp4),
        (b, "aac", FileKind::Mp4),
        (h265, "aac", FileKind::Mp4),
        (H264, "pcm_alaw -ar 8000 -ac 1", FileKind::Matroska),
    ];
    let films: Vec<_> = pairs
        .iter()
        .map(|(video, audio, kind)| {
            let film = made(video, &[&pictures, &sound, video, "-c:a", audio]);
            (rewrap(&film.body, &fragments(&film.body), &Change::NONE), *kind)
        })
        .collect();
    let cut = (0..films.len(), 0..6usize, 1..7usize);
    let check = |(which, first, count): (usize, usize, usize)| {
        let (body, kind) = &films[which];
        let all = fragments(body);
        let last = (first + count).min(all.len()) - 1;
        let body = body[all[first].bytes.start as usize..all[last].bytes.end as usize].to_vec();
        let name = format!("{}, fragments {first} to {last}", pairs[which].0);
        both(
            &Footage {
                name,
                film: body.clone(),
                body,
            },
            *kind,
        );
        Ok(())
    };
    runner(8).run(&cut, check).unwrap();
}
