//! Blocks: the frames of one track at one time, laced or not.

use std::ops::Range;

use super::{Invalid, element, ids};

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its track's number.
    pub track: u64,
    /// Its time in ticks, relative to its Cluster's.
    pub relative: i16,
    /// Whether its frames need no others to be decoded.
    pub keyframe: bool,
    /// Where its frames are in the element's content that was read.
    pub frames: Vec<Range<usize>>,
}

/// Reads a SimpleBlock's content.
pub fn simple(content: &[u8]) -> Result<Block, Invalid> {
    let (mut block, flags) = common(content, 0)?;
    block.keyframe = flags & 0x80 != 0;
    Ok(block)
}

/// Reads a BlockGroup's content: a block that refers to no other is a key frame.
pub fn group(content: &[u8]) -> Result<Block, Invalid> {
    let mut block = None;
    let mut refers = false;
    for child in element::children(content) {
        let (id, child) = child?;
        match id {
            ids::BLOCK => {
                let start = child.as_ptr() as usize - content.as_ptr() as usize;
                block = Some(common(child, start)?.0);
            }
            ids::REFERENCE_BLOCK => refers = true,
            _ => {}
        }
    }
    let mut block = block.ok_or(Invalid("a BlockGroup without a Block"))?;
    block.keyframe = !refers;
    Ok(block)
}

fn common(content: &[u8], start: usize) -> Result<(Block, u8), Invalid> {
    const SHORT: Invalid = Invalid("a block ends inside its head");
    let (track, len) = element::vint(content)?.ok_or(SHORT)?;
    let track = track.ok_or(Invalid("a block without a track"))?;
    let rest = content.get(len..).unwrap_or_default();
    let [high, low, flags, ..] = *rest else {
        return Err(SHORT);
    };
    let relative = i16::from_be_bytes([high, low]);
    let frames = frames(content, len + 3, flags >> 1 & 3)?;
    let frames = frames
        .into_iter()
        .map(|f| f.start + start..f.end + start)
        .collect();
    Ok((
        Block {
            track,
            relative,
            keyframe: false,
            frames,
        },
        flags,
    ))
}

fn frames(content: &[u8], at: usize, lacing: u8) -> Result<Vec<Range<usize>>, Invalid> {
    const SHORT: Invalid = Invalid("a lace is longer than its block");
    if lacing == 0 {
        return Ok(std::iter::once(at..content.len()).collect());
    }
    let count = usize::from(*content.get(at).ok_or(SHORT)?) + 1;
    let mut at = at + 1;
    let mut sizes: Vec<usize> = Vec::with_capacity(count);
    match lacing {
        // Fixed: all the same size.
        2 => {
            let total = content.len() - at;
            if !total.is_multiple_of(count) {
                return Err(Invalid("a fixed lace that its frames do not divide"));
            }
            sizes = vec![total / count; count - 1];
        }
        // Xiph: each size as a sum of bytes, 255 goes on.
        1 => {
            for _ in 1..count {
                let mut size = 0;
                loop {
                    let byte = *content.get(at).ok_or(SHORT)?;
                    at += 1;
                    size += usize::from(byte);
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        // EBML: the first size, then signed differences.
        _ => {
            let mut size = 0i64;
            for index in 1..count {
                let (value, len) = element::vint(content.get(at..).unwrap_or_default())?.ok_or(SHORT)?;
                let all = (1i64 << (7 * len)) - 1;
                let value = value.and_then(|v| i64::try_from(v).ok()).unwrap_or(all);
                at += len;
                // Each difference has a bias of half its range.
                size = if index == 1 {
                    value
                } else {
                    size + value - (all >> 1)
                };
                sizes.push(usize::try_from(size).map_err(|_| SHORT)?);
            }
        }
    }
    let mut frames = Vec::with_capacity(count);
    for size in sizes {
        let end = at
            .checked_add(size)
            .filter(|e| *e <= content.len())
            .ok_or(SHORT)?;
        frames.push(at..end);
        at = end;
    }
    if at > content.len() {
        return Err(SHORT);
    }
    frames.push(at..content.len());
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laces() {
        let table: [(&[u8], &[&[u8]]); 5] = [
            (&[0x81, 0x00, 0x05, 0x80, 1, 2, 3], &[&[1, 2, 3]]),
            // Fixed, 3 frames.
            (&[0x81, 0x00, 0x05, 0x04, 2, 1, 2, 3], &[&[1], &[2], &[3]]),
            // Xiph, 2 frames: the first has 1 byte.
            (&[0x81, 0x00, 0x05, 0x02, 1, 1, 9, 8, 7], &[&[9], &[8, 7]]),
            // EBML, 3 frames: 2 bytes, then one fewer, then the rest.
            (
                &[0x81, 0x00, 0x05, 0x06, 2, 0x82, 0xBE, 1, 2, 3, 4, 5],
                &[&[1, 2], &[3], &[4, 5]],
            ),
            // EBML with one frame.
            (&[0x81, 0x00, 0x05, 0x06, 0, 1, 2], &[&[1, 2]]),
        ];
        for (content, expected) in table {
            let block = simple(content).unwrap();
            let frames: Vec<_> = block.frames.iter().map(|f| &content[f.clone()]).collect();
            assert_eq!(
                (block.track, block.relative, frames.as_slice()),
                (1, 5, expected),
                "{content:x?}"
            );
        }
        for broken in [
            &[0x81][..],
            &[0x81, 0, 5],
            &[0x81, 0, 5, 0x02, 1, 9, 1],
            &[0x81, 0, 5, 0x04, 2, 1, 2],
            &[0xFF, 0, 5, 0],
        ] {
            assert!(simple(broken).is_err(), "{broken:x?}");
        }
    }

    #[test]
    fn a_group_that_refers_to_another_is_no_key_frame() {
        let block = element::element(ids::BLOCK, &[0x82, 0xFF, 0xFF, 0x00, 7, 8]);
        let alone = group(&block).unwrap();
        assert!(alone.keyframe);
        assert_eq!(
            (alone.track, alone.relative, &block[alone.frames[0].clone()]),
            (2, -1, &[7u8, 8][..])
        );
        let referring = [block, element::element(ids::REFERENCE_BLOCK, &[0xFF])].concat();
        assert!(!group(&referring).unwrap().keyframe);
    }
}
