//! A file that is hashed while it is written.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use sha2::{Digest, Sha256};

/// The file.
#[derive(Debug)]
pub struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Hashing {
    /// One that is empty.
    pub fn new(file: File) -> Self {
        Self {
            file: BufWriter::with_capacity(256 << 10, file),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// Writes what is left; how many bytes it has, and their SHA-256.
    pub fn finish(mut self) -> io::Result<(u64, [u8; 32])> {
        self.file.flush()?;
        Ok((self.bytes, self.hash.finalize().into()))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
