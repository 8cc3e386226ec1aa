//! The spool: files on disk for what is too much for memory.
//!
//! Everything in it can be had again; all of it goes when the process ends.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::error::{ArchiveError, Result};

/// A folder for spooled files, removed when this is dropped.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: Arc<TempDir>,
    in_order: bool,
}

impl Spool {
    /// A folder of its own in `parent`, or where the system keeps temporary files.
    pub fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = tempfile::Builder::new()
            .prefix("kvs-archive-")
            .tempdir_in(&parent)
            .map_err(|source| ArchiveError::Spool { path: parent, source })?;
        Ok(Self {
            folder: Arc::new(folder),
            in_order: false,
        })
    }

    /// The same, and its work is done where it is waited for: then the order of things is the same each time.
    pub fn in_order(self) -> Self {
        Self {
            in_order: true,
            ..self
        }
    }

    /// Runs what computes or waits for the disk, where it does not hold up the rest.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.in_order {
            return work();
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(e) => Err(ArchiveError::Media(io::Error::other(e).into())),
        }
    }

    /// Makes sure that so many bytes fit, before anything is fetched that would not.
    pub fn has_room(&self, bytes: u64) -> Result<()> {
        let failed = |source| ArchiveError::Spool {
            path: self.folder.path().into(),
            source,
        };
        let disk = rustix::fs::statvfs(self.folder.path()).map_err(|e| failed(e.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < bytes {
            let text = format!("{free} bytes are free and {bytes} are needed: give it more room");
            return Err(failed(io::Error::new(io::ErrorKind::StorageFull, text)));
        }
        Ok(())
    }

    /// An empty file for media as they come. Its name is gone at once, so that nothing is left of it whatever happens.
    pub fn body(&self) -> Result<Body> {
        let folder = self.folder.path().to_owned();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Body { file, len: 0, folder }),
            Err(source) => Err(ArchiveError::Spool { path: folder, source }),
        }
    }

    /// A path for a file that is to be uploaded.
    pub fn file(&self, name: &str) -> Output {
        Output {
            path: self.folder.path().join(name),
        }
    }
}

/// Media as they come, one body behind the other.
#[derive(Debug)]
pub struct Body {
    file: File,
    len: u64,
    folder: PathBuf,
}

impl Body {
    /// How much is in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at its end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all_at(bytes, self.len)
            .map_err(|e| self.failed(e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is behind `len`.
    pub fn truncate(&mut self, len: u64) -> Result<()> {
        if len < self.len {
            self.file.set_len(len).map_err(|e| self.failed(e))?;
            self.len = len;
        }
        Ok(())
    }

    /// SHA-256 of what is behind `begin`.
    pub fn sha256(&self, begin: u64) -> Result<[u8; 32]> {
        let (mut hash, mut buffer, mut at) = (Sha256::new(), vec![0; 64 << 10], begin);
        while at < self.len {
            let read = self.file.read_at(&mut buffer, at).map_err(|e| self.failed(e))?;
            if read == 0 {
                return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
            }
            hash.update(&buffer[..read]);
            at += read as u64;
        }
        Ok(hash.finalize().into())
    }

    /// The file, for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn failed(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Spool {
            path: self.folder.clone(),
            source,
        }
    }
}

/// A file that is to be uploaded, removed when this is dropped.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
}

impl Output {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, empty.
    pub fn create(&self) -> Result<File> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.path)
            .map_err(|source| ArchiveError::Spool {
                path: self.path.clone(),
                source,
            })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // It may never have been made; and the folder goes in any case.
        std::fs::remove_file(&self.path).ok();
    }
}
