//! The head of a Block or SimpleBlock: track, time, flags, and how many frames are laced into it (RFC 9559, section 10).

/// What stands before the frames of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub track: u16,
    /// Against the cluster, in units of the timestamp scale.
    pub time: i16,
    pub flags: u8,
    /// How long the head is.
    pub len: u64,
    /// The sizes of the frames behind it; together with `len` they are the block.
    pub frames: Vec<u64>,
}

pub(super) const KEY: u8 = 0x80;
pub(super) const INVISIBLE: u8 = 0x08;
pub(super) const LACING: u8 = 0x06;

/// What reading a head came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Head(BlockHead),
    /// The bytes at hand do not suffice.
    More,
    Bad(&'static str),
}

/// Reads the head of a block of `size` bytes, of which `bytes` is the beginning.
pub(super) fn parse(bytes: &[u8], size: u64) -> Parsed {
    let whole = bytes.len() as u64 >= size;
    match read(&mut Cursor { bytes, at: 0 }, size) {
        Ok(Ok(head)) => Parsed::Head(head),
        Ok(Err(bad)) => Parsed::Bad(bad),
        Err(Short) if whole => Parsed::Bad("a block that is shorter than its head"),
        Err(Short) => Parsed::More,
    }
}

struct Short;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Result<u8, Short> {
        let byte = *self.bytes.get(self.at).ok_or(Short)?;
        self.at += 1;
        Ok(byte)
    }

    /// A number whose first byte says how long it is, and how long it was.
    fn number(&mut self) -> Result<Option<(u64, u32)>, Short> {
        let first = self.byte()?;
        let more = first.leading_zeros();
        if more > 7 {
            return Ok(None);
        }
        let mut value = u64::from(first) & ((1u64 << (7 - more)) - 1);
        for _ in 0..more {
            value = value << 8 | u64::from(self.byte()?);
        }
        Ok(Some((value, more + 1)))
    }
}

fn read(cursor: &mut Cursor<'_>, size: u64) -> Result<Result<BlockHead, &'static str>, Short> {
    let number = cursor.number()?.and_then(|(track, _)| u16::try_from(track).ok());
    let Some(track) = number else {
        return Ok(Err("a block without a track number"));
    };
    let time = i16::from_be_bytes([cursor.byte()?, cursor.byte()?]);
    let flags = cursor.byte()?;
    let sizes = match (flags & LACING) >> 1 {
        0 => Ok(vec![]),
        lacing => lace_sizes(cursor, lacing, size)?,
    };
    let len = cursor.at as u64;
    Ok(sizes.and_then(|mut frames| {
        let laced = frames.iter().try_fold(len, |sum, s| sum.checked_add(*s));
        let last = laced
            .and_then(|laced| size.checked_sub(laced))
            .ok_or("laced frames that are longer than their block")?;
        frames.push(last);
        Ok(BlockHead {
            track,
            time,
            flags,
            len,
            frames,
        })
    }))
}

/// The sizes of all laced frames but the last.
fn lace_sizes(
    cursor: &mut Cursor<'_>,
    lacing: u8,
    size: u64,
) -> Result<Result<Vec<u64>, &'static str>, Short> {
    let count = usize::from(cursor.byte()?);
    let mut sizes: Vec<u64> = Vec::with_capacity(count);
    match lacing {
        // Xiph: bytes are added up, 255 goes on.
        1 => {
            for _ in 0..count {
                let mut sum = 0;
                loop {
                    let byte = cursor.byte()?;
                    sum += u64::from(byte);
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(sum);
            }
        }
        // Fixed: all alike.
        2 => {
            let data = size.saturating_sub(cursor.at as u64);
            let frames = count as u64 + 1;
            if !data.is_multiple_of(frames) {
                return Ok(Err("a block that its fixed lacing does not divide"));
            }
            sizes = vec![data / frames; count];
        }
        // EBML: the first size, then signed differences.
        _ => {
            for _ in 0..count {
                let Some((value, len)) = cursor.number()? else {
                    return Ok(Err("a bad lacing size"));
                };
                let next = match sizes.last() {
                    None => Some(value),
                    Some(last) => last.checked_add_signed(value as i64 - ((1i64 << (7 * len - 1)) - 1)),
                };
                let Some(next) = next else {
                    return Ok(Err("a negative lacing size"));
                };
                sizes.push(next);
            }
        }
    }
    Ok(Ok(sizes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8], size: u64) -> BlockHead {
        match parse(bytes, size) {
            Parsed::Head(head) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_frame_without_lacing() {
        let b = head(&[0x81, 0xff, 0xfe, 0x80, 1, 2, 3], 7);
        assert_eq!(
            (b.track, b.time, b.flags & KEY, b.len, b.frames),
            (1, -2, KEY, 4, vec![3])
        );
        assert_eq!(head(&[0x40, 0x02, 0, 0, 0], 5).frames, [0]);
    }

    #[test]
    fn laced_frames_of_all_three_kinds() {
        // Xiph: 255 + 1, 4, and what is left.
        assert_eq!(
            head(&[0x81, 0, 0, 0x02, 2, 255, 1, 4], 8 + 256 + 4 + 9).frames,
            [256, 4, 9]
        );
        assert_eq!(head(&[0x81, 0, 0, 0x04, 2], 5 + 30).frames, [10, 10, 10]);
        // EBML, the RFC's own example: 800, 500, 1000.
        assert_eq!(
            head(&[0x81, 0, 0, 0x06, 2, 0x43, 0x20, 0x5e, 0xd3], 9 + 2300).frames,
            [800, 500, 1000]
        );
    }

    #[test]
    fn asks_for_more_and_refuses_nonsense() {
        assert_eq!(parse(&[0x81, 0], 9), Parsed::More);
        assert_eq!(parse(&[0x81, 0, 0, 0x02, 2, 255], 900), Parsed::More);
        assert!(matches!(parse(&[0x81, 0], 2), Parsed::Bad(_)));
        assert!(matches!(parse(&[0x00, 0, 0, 0], 4), Parsed::Bad(_)));
        assert!(matches!(parse(&[0x81, 0, 0, 0x04, 2], 5 + 31), Parsed::Bad(_)));
        assert!(matches!(parse(&[0x81, 0, 0, 0x02, 1, 200], 100), Parsed::Bad(_)));
        assert!(matches!(
            parse(&[0x81, 0, 0, 0x06, 2, 0x81, 0x80], 100),
            Parsed::Bad(_)
        ));
    }
}
