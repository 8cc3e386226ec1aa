//! Reading the spool at a place.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Where the bodies lie: a file, or bytes in memory.
pub trait Spool {
    /// Fills `into` with the bytes at `at`.
    ///
    /// # Errors
    ///
    /// Of reading; also where fewer bytes are there.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Spool for File {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(into, at)
    }
}

impl Spool for [u8] {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let begin = usize::try_from(at).ok();
        let found = begin.and_then(|b| self.get(b..b.checked_add(into.len())?));
        into.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// How much is read at once.
pub(super) const WINDOW: usize = 64 << 10;

/// Calls `take` with the bytes of `range`, window by window.
pub(super) fn windows<E: From<io::Error>>(
    spool: &(impl Spool + ?Sized),
    range: &Range<u64>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = vec![0; WINDOW.min((range.end - range.start) as usize)];
    let mut at = range.start;
    while at < range.end {
        let len = buffer.len().min((range.end - at) as usize);
        spool.read_at(at, &mut buffer[..len])?;
        take(&buffer[..len])?;
        at += len as u64;
    }
    Ok(())
}

/// Copies a range of the spool.
pub(super) fn copy(
    spool: &(impl Spool + ?Sized),
    range: &Range<u64>,
    out: &mut impl Write,
) -> io::Result<()> {
    windows(spool, range, |bytes| out.write_all(bytes))
}
