//! A cheap look at a file that was written: whether its parts reach exactly its end.

use super::element::header;
use super::error::MediaError;
use super::format::FileKind;
use super::spool::Spool;

/// Whether a file of `len` bytes is built as its kind must be, from its first byte to its last. Frames are not read.
///
/// # Errors
///
/// [`MediaError::Malformed`] where it is not; of reading.
pub fn verify(kind: FileKind, file: &(impl Spool + ?Sized), len: u64) -> Result<(), MediaError> {
    match kind {
        FileKind::Mp4 => boxes(file, len),
        FileKind::Matroska => segment(file, len),
    }
}

fn malformed(at: u64, reason: &'static str) -> MediaError {
    MediaError::Malformed {
        at,
        reason,
        number: None,
    }
}

/// `ftyp`, `moov`, `mdat`, and nothing behind.
fn boxes(file: &(impl Spool + ?Sized), len: u64) -> Result<(), MediaError> {
    let mut at = 0;
    for name in [b"ftyp", b"moov", b"mdat"] {
        let mut head = [0; 16];
        let there = head.len().min((len - at) as usize);
        file.read_at(at, &mut head[..there])?;
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            1 => u64::from_be_bytes([
                head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
            ]),
            size => size.into(),
        };
        if &head[4..8] != name || size < 8 || size > len - at {
            return Err(malformed(at, "boxes that are not ftyp, moov, mdat"));
        }
        at += size;
    }
    if at == len {
        Ok(())
    } else {
        Err(malformed(at, "bytes behind the last box"))
    }
}

/// An EBML header, and a Segment whose children reach exactly the end of the file.
fn segment(file: &(impl Spool + ?Sized), len: u64) -> Result<(), MediaError> {
    let mut at = 0;
    let mut clusters = 0;
    for k in 0.. {
        if at == len && clusters > 0 {
            return Ok(());
        }
        let mut head = [0; 12];
        let there = head.len().min((len - at) as usize);
        file.read_at(at, &mut head[..there])?;
        let found = header(&head[..there]).map_err(|reason| malformed(at, reason))?;
        let Some((id, Some(size), header)) = found else {
            return Err(malformed(at, "an element without a size"));
        };
        let begin = at + header as u64;
        if size > len - begin.min(len) {
            return Err(malformed(at, "an element that is longer than the file"));
        }
        match (k, id) {
            (0, super::element::EBML) => at = begin + size,
            (1, super::element::SEGMENT) if begin + size == len => at = begin,
            (2.., _) => {
                clusters += u64::from(id == super::element::CLUSTER);
                at = begin + size;
            }
            _ => return Err(malformed(at, "not one EBML header and one Segment")),
        }
    }
    Ok(())
}
