//! Files that this program wrote, read back: to join them into one, or to look at every frame.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::MediaError;
use super::format::FileKind;
use super::fragment::Fragment;
use super::mp4_reader;
use super::reader::{FragmentReader, Kind};
use super::spool::{Spool, windows};

/// A file as one long fragment without a number. It lies at `file` in the spool; so do then its frames.
///
/// # Errors
///
/// [`MediaError::Malformed`] where it is not such a file; of reading.
pub fn read_file(
    kind: FileKind,
    spool: &(impl Spool + ?Sized),
    file: Range<u64>,
) -> Result<Fragment, MediaError> {
    match kind {
        FileKind::Mp4 => mp4_reader::read(spool, file),
        FileKind::Matroska => {
            let (mut reader, mut found) = (FragmentReader::of(Kind::File, file.start), vec![]);
            windows(spool, &file, |bytes| reader.push(bytes, &mut found))?;
            found.extend(reader.finish()?);
            match (found.pop(), found.is_empty()) {
                (Some(only), true) => Ok(only),
                _ => Err(MediaError::Malformed {
                    at: file.start,
                    reason: "not one document",
                    number: None,
                }),
            }
        }
    }
}

/// Lays files behind each other that are to become one: where footage begins before the end of what is already there (a
/// camera that sent it twice, a clock that went back), it is moved behind it, and what follows if it then overlaps. Gaps
/// stay. Returns by how many nanoseconds each was moved.
pub fn lay_out(files: &mut [Fragment]) -> Vec<i64> {
    let mut ends: BTreeMap<u16, End> = BTreeMap::new();
    let mut moved = vec![];
    for file in files {
        let mut times: BTreeMap<u16, Vec<i64>> = BTreeMap::new();
        for frame in &file.frames {
            times.entry(frame.track).or_default().push(frame.time);
        }
        times.values_mut().for_each(|t| t.sort_unstable());
        let overlaps = times.iter().filter_map(|(track, times)| {
            let (end, first) = (ends.get(track)?, times.first()?);
            (*first <= end.last).then(|| end.last.saturating_add(end.lasts).saturating_sub(*first))
        });
        let by = overlaps.max().unwrap_or(0);
        for frame in &mut file.frames {
            frame.time = frame.time.saturating_add(by);
        }
        moved.push(by);
        for (track, times) in times {
            let Some(last) = times.last() else { continue };
            let lasts = times
                .iter()
                .rev()
                .nth(1)
                .map_or(LONE, |before| (last - before).max(1));
            ends.insert(
                track,
                End {
                    last: last.saturating_add(by),
                    lasts,
                },
            );
        }
    }
    moved
}

/// What a lone frame lasts, in nanoseconds.
const LONE: i64 = 40_000_000;

/// The last frame of a track, and how long it lasts.
struct End {
    last: i64,
    lasts: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Container;
    use crate::archiver::media::Format;
    use crate::archiver::media::testing::{Made, read, real, simple};
    use proptest::prelude::*;

    /// A file of each kind: of H.264 with AVCC frames, and with sound that MP4 does not hold.
    fn files() -> Vec<(FileKind, Vec<u8>)> {
        let picture = |k: i16| simple(1, k * 40, k == 0, &[0, 0, 0, 2, 0x65, k as u8]);
        let made = Made {
            number: 1,
            time: 1_763_900_000_123,
            sized: true,
            blocks: (0..9).map(picture).collect(),
            after: vec![],
        };
        let body = made.bytes();
        let mut fragments = read(&body).unwrap();
        let both = [Container::Auto, Container::Matroska].map(|wanted| {
            if wanted == Container::Auto {
                fragments[0].tracks.truncate(1);
            }
            let format = Format::of(&fragments[0], &body[..]).unwrap();
            let mut file = vec![];
            format
                .write(format.kind(wanted), &[&fragments[0]], &body[..], &mut file)
                .unwrap();
            (format.kind(wanted), file)
        });
        both.into()
    }

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        for (kind, file) in files() {
            let back = read_file(kind, &file[..], 0..file.len() as u64).unwrap();
            let times: Vec<i64> = back.frames.iter().map(|f| f.time / 1_000_000).collect();
            assert_eq!(
                times,
                (0..9).map(|k| 1_763_900_000_123 + k * 40).collect::<Vec<_>>(),
                "{kind:?}"
            );
            assert!((0..).zip(&back.frames).all(|(k, f)| f.key() == (k == 0)));
            let data = &file[back.frames[4].data().start as usize..back.frames[4].data().end as usize];
            assert_eq!(data, [0, 0, 0, 2, 0x65, 4]);
            // The same frames give the same file: nothing is lost on the way.
            let format = Format::of(&back, &file[..]).unwrap();
            let mut again = vec![];
            format.write(kind, &[&back], &file[..], &mut again).unwrap();
            assert_eq!(again.len(), file.len());
        }
    }

    #[test]
    fn real_footage_comes_back() {
        let Some(body) = real("vogels_480.mkv") else {
            return;
        };
        let fragments = read(&body).unwrap();
        let format = Format::of(&fragments[0], &body[..]).unwrap();
        for wanted in [Container::Auto, Container::Matroska] {
            let (mut file, kind) = (vec![7; 5], format.kind(wanted));
            format
                .write(kind, &[&fragments[0]], &body[..], &mut file)
                .unwrap();
            let back = read_file(kind, &file[..], 5..file.len() as u64).unwrap();
            assert_eq!(back.frames.len(), fragments[0].frames.len());
            for (a, b) in back.frames.iter().zip(&fragments[0].frames) {
                assert_eq!((a.track, a.time, a.key()), (b.track, b.time, b.key()));
                let bytes = |f: &[u8], r: &Range<u64>| f[r.start as usize..r.end as usize].to_vec();
                assert_eq!(bytes(&file, &a.data()), bytes(&body, &b.data()));
            }
        }
    }

    #[test]
    fn footage_that_comes_twice_is_moved_behind_itself() {
        let (kind, file) = files().remove(0);
        let one = read_file(kind, &file[..], 0..file.len() as u64).unwrap();
        let mut later = one.clone();
        later.frames.iter_mut().for_each(|f| f.time += 10_000_000_000);
        let mut files = [one.clone(), one, later];
        // Nine frames of 40 ms, and a gap that takes the move up.
        assert_eq!(lay_out(&mut files), [0, 360_000_000, 0]);
        assert_eq!(lay_out(&mut files), [0, 0, 0]);
    }

    proptest! {
        #[test]
        fn changed_files_are_survived(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<proptest::sample::Index>(),
        ) {
            for (kind, mut file) in files() {
                for (at, byte) in &changes {
                    let at = at.index(file.len());
                    file[at] = *byte;
                }
                for len in [file.len(), cut.index(file.len())] {
                    if let Ok(back) = read_file(kind, &file[..len], 0..len as u64) {
                        prop_assert!(back.frames.iter().all(|f| f.data().end <= len as u64));
                    }
                }
            }
        }
    }
}
