//! NAL units of H.264 and H.265: where they begin and end, whichever way they are framed.

use std::io;
use std::ops::Range;

use super::spool::{Spool, windows};

/// The most units of a frame: a picture has at most a few hundred slices. More is no framing, and would cost memory.
const UNITS: usize = 10_000;

/// The units of a frame in which each is preceded by its length (AVCC); `None` if the lengths do not divide it exactly.
pub(super) fn length_prefixed(
    spool: &(impl Spool + ?Sized),
    frame: &Range<u64>,
    length_size: u8,
) -> io::Result<Option<Vec<Range<u64>>>> {
    let width = usize::from(length_size);
    let mut units = vec![];
    let mut at = frame.start;
    while at < frame.end {
        let begin = at + width as u64;
        if begin > frame.end {
            return Ok(None);
        }
        let mut length = [0; 8];
        spool.read_at(at, &mut length[8 - width..])?;
        let length = u64::from_be_bytes(length);
        if length == 0 || length > frame.end - begin || units.len() == UNITS {
            return Ok(None);
        }
        units.push(begin..begin + length);
        at = begin + length;
    }
    Ok((!units.is_empty()).then_some(units))
}

/// The units of a frame in which each is preceded by a start code (Annex B); `None` if it does not begin with one.
pub(super) fn start_codes(
    spool: &(impl Spool + ?Sized),
    frame: &Range<u64>,
) -> io::Result<Option<Vec<Range<u64>>>> {
    let mut units: Vec<Range<u64>> = vec![];
    let (mut at, mut zeros) = (frame.start, 0u64);
    let mut framed = true;
    windows(spool, frame, |bytes| {
        for byte in bytes {
            match *byte {
                0 => zeros += 1,
                1 if zeros >= 2 => {
                    if let Some(unit) = units.last_mut() {
                        unit.end = at - zeros;
                    }
                    framed &= units.len() < UNITS;
                    if framed {
                        units.push(at + 1..frame.end);
                    }
                    zeros = 0;
                }
                _ => {
                    framed &= !units.is_empty();
                    zeros = 0;
                }
            }
            at += 1;
        }
        Ok::<_, io::Error>(())
    })?;
    if let Some(unit) = units.last_mut() {
        unit.end = (frame.end - zeros).max(unit.start);
    }
    units.retain(|u| !u.is_empty());
    Ok((framed && !units.is_empty()).then_some(units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(bytes: &[u8]) -> Option<Vec<Range<u64>>> {
        start_codes(bytes, &(0..bytes.len() as u64)).unwrap()
    }

    #[test]
    fn finds_units_behind_start_codes() {
        assert_eq!(
            start(&[0, 0, 0, 1, 9, 8, 0, 0, 1, 7, 0, 0]),
            Some(vec![4..6, 9..10])
        );
        assert_eq!(
            start(&[0, 0, 1, 9, 0, 0, 3, 1, 0, 0, 1, 5]),
            Some(vec![3..8, 11..12]),
            "emulation prevention is data"
        );
        assert_eq!(start(&[0, 0, 0, 4, 1, 2, 3, 4]), None);
        assert_eq!(start(&[7, 0, 0, 1, 5]), None, "bytes before the first start code");
        assert_eq!(start(&[0, 0, 0, 1]), None);
        assert_eq!(start(&[]), None);
    }

    #[test]
    fn finds_a_start_code_across_windows() {
        let mut bytes = vec![0, 0, 1];
        bytes.resize(crate::archiver::media::spool::WINDOW - 1, 9);
        bytes.extend([0, 0, 1, 5, 6]);
        let len = bytes.len() as u64;
        assert_eq!(start(&bytes), Some(vec![3..len - 5, len - 2..len]));
    }

    #[test]
    fn finds_units_behind_lengths() {
        let units = |bytes: &[u8], width| length_prefixed(bytes, &(0..bytes.len() as u64), width).unwrap();
        assert_eq!(
            units(&[0, 0, 0, 2, 9, 9, 0, 0, 0, 1, 7], 4),
            Some(vec![4..6, 10..11])
        );
        assert_eq!(units(&[2, 9, 9, 1, 7], 1), Some(vec![1..3, 4..5]));
        assert_eq!(units(&[0, 0, 0, 3, 9, 9], 4), None, "longer than the frame");
        assert_eq!(
            units(&[0, 0, 0, 1, 9, 0], 4),
            None,
            "a rest too short for a length"
        );
        assert_eq!(units(&[0, 0, 0, 0], 4), None, "an empty unit");
        assert_eq!(units(&[], 4), None);
        assert_eq!(
            units(&[1, 9].repeat(UNITS + 1), 1),
            None,
            "more units than a picture has"
        );
        assert_eq!(
            start(&[0, 0, 1, 9].repeat(UNITS + 1)),
            None,
            "more units than a picture has"
        );
    }
}
