//! A downloaded archive: files in a folder, as if they were objects in a bucket.
//!
//! May: read the folder. Links are not followed out of it.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::stream;

use crate::aws::{
    AwsError, Kind, Result,
    contents::{Contents, Description, Expiry, Pieces, Version},
    objects::ListedObject,
};

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// A folder that holds what lies below `prefix` in a bucket, with the prefix as folders or without it.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    prefix: String,
}

impl Folder {
    /// What lies in `root`; `prefix` is the archive's, empty or with a slash at its end.
    pub fn new(root: &Path, prefix: &str) -> Self {
        let whole = root.join(prefix);
        Self {
            root: if prefix.is_empty() || whole.is_dir() {
                whole
            } else {
                root.into()
            },
            prefix: prefix.into(),
        }
    }

    /// The file of a key; `None`: the key leads out of the folder.
    fn path(&self, key: &str) -> Option<PathBuf> {
        let inside = key.strip_prefix(&self.prefix)?;
        let parts = || inside.split('/');
        (!parts().any(|p| p == ".." || p == ".")).then(|| self.root.join(inside))
    }

    fn failed(&self, operation: &'static str, path: &Path, e: io::Error) -> AwsError {
        let kind = match e.kind() {
            io::ErrorKind::PermissionDenied => Kind::Denied,
            io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Unavailable,
        };
        AwsError::ours(operation, path.display().to_string(), kind, e.to_string())
    }

    /// The entries of the folder that `prefix` (which ends with a slash, or is the archive's) stands for: names, and whether
    /// each is a folder.
    fn entries(&self, prefix: &str) -> Result<Vec<(String, bool)>> {
        let Some(path) = self.path(prefix) else {
            return Ok(Vec::new());
        };
        let failed = |e| self.failed("reading", &path, e);
        let found = match std::fs::read_dir(&path) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry.map_err(failed)?;
            let folder = entry.file_type().map_err(failed)?.is_dir();
            entries.push((entry.file_name().to_string_lossy().into_owned(), folder));
        }
        Ok(entries)
    }

    fn below(&self, prefix: &str, found: &mut Vec<ListedObject>) -> Result<()> {
        for (name, folder) in self.entries(prefix)? {
            let key = format!("{prefix}{name}");
            if folder {
                self.below(&format!("{key}/"), found)?;
            } else if let Some(path) = self.path(&key) {
                let about = std::fs::metadata(&path).map_err(|e| self.failed("reading", &path, e))?;
                found.push(ListedObject {
                    key,
                    size: about.len(),
                    last_modified: None,
                });
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Contents for Folder {
    async fn page(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>> {
        // All of a folder in one page: callers ask for one stream's at a time.
        if !after.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        self.below(prefix, &mut found)?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let entries = self.entries(prefix)?.into_iter().filter(|(_, folder)| *folder);
        let mut folders: Vec<_> = entries.map(|(name, _)| format!("{prefix}{name}/")).collect();
        folders.sort();
        Ok(folders)
    }

    async fn describe(&self, key: &str) -> Result<Option<Description>> {
        let Some(path) = self.path(key) else {
            return Ok(None);
        };
        match std::fs::metadata(&path) {
            Ok(about) => Ok(about.is_file().then(|| Description {
                size: about.len(),
                ..Description::default()
            })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.failed("reading", &path, e)),
        }
    }

    async fn read(&self, key: &str) -> Result<Option<Pieces>> {
        let Some(path) = self.path(key) else {
            return Ok(None);
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.failed("reading", &path, e)),
        };
        let here = self.clone();
        Ok(Some(Box::pin(stream::unfold(Some(file), move |file| {
            let (here, path) = (here.clone(), path.clone());
            async move {
                let mut file = file?;
                let mut piece = vec![0; PIECE];
                match file.read(&mut piece) {
                    Ok(0) => None,
                    Ok(len) => {
                        piece.truncate(len);
                        Some((Ok(Bytes::from(piece)), Some(file)))
                    }
                    Err(e) => Some((Err(here.failed("reading", &path, e)), None)),
                }
            }
        }))))
    }

    async fn versions(&self, key: &str) -> Result<Vec<Version>> {
        let there = self.describe(key).await?;
        Ok(there
            .map(|_| Version {
                delete_marker: false,
                latest: true,
                last_modified: None,
            })
            .into_iter()
            .collect())
    }

    async fn expiries(&self) -> Result<Vec<Expiry>> {
        Ok(Vec::new())
    }
}
