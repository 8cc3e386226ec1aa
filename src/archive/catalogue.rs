//! What an archive holds, read from its documents.
//!
//! May: list and read. May not: judge; what cannot be read as what its name says is handed on as such.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{
    api::ObjectRef,
    archiver::{
        error::{ArchiveError, Result},
        keys::{File, Piece, with_slash},
        manifest::Manifest,
        plan,
        tombstone::{Tombstone, Tombstones},
    },
    aws::{AwsError, contents::Contents, objects::ListedObject},
};

/// How many documents or objects are asked for at once.
pub const AT_ONCE: usize = 16;

/// The longest document that is read: a plan of 20,000 fragments has 4 MB.
const DOCUMENT: usize = 256 << 20;

/// An archive: everything below a prefix of a bucket, or of a folder that was downloaded from one.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Where it lies.
    pub contents: Arc<dyn Contents>,
    /// What every key begins with: empty, or with a slash at its end.
    pub prefix: String,
}

/// The documents of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFolder {
    /// What their keys begin with, with a slash at its end.
    pub path: String,
    /// The stream's name.
    pub name: String,
}

/// The documents of one recording, by their keys.
#[derive(Clone, Debug, Default)]
pub struct RecordingFolder {
    /// What their keys begin with, with a slash at its end.
    pub path: String,
    /// Plan and manifest of each piece of work, in order.
    pub pieces: BTreeMap<Piece, Pair>,
    /// Its roots: one, and one more for each time that footage was found behind the last.
    pub roots: Vec<File>,
    /// What this version does not write.
    pub others: Vec<String>,
}

/// A piece of work's plan and manifest, where they are there; the manifest with when it was written.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// Whether its plan is there.
    pub plan: bool,
    /// Its manifest.
    pub manifest: Option<ListedObject>,
}

/// A document as it is read.
#[derive(Clone, Debug)]
pub enum Read<T> {
    /// There is none.
    Missing,
    /// It is not what its name says, for this reason.
    Broken(String),
    /// It is there, with its checksum.
    Found(T, ObjectRef),
}

impl<T> Read<T> {
    /// What a document says that was listed under this key.
    ///
    /// # Errors
    /// It is gone, or is not what its name says.
    pub fn listed(self, key: &str) -> Result<T> {
        let why = match self {
            Self::Found(content, _) => return Ok(content),
            Self::Broken(why) => why,
            Self::Missing => "it was listed and is gone".into(),
        };
        Err(ArchiveError::Conflict { key: key.into(), why })
    }
}

impl Archive {
    /// The archive under `prefix`.
    pub fn new(contents: Arc<dyn Contents>, prefix: &str) -> Self {
        let prefix = with_slash(prefix);
        Self { contents, prefix }
    }

    /// The streams that have documents here.
    pub async fn streams(&self) -> Result<Vec<StreamFolder>> {
        let folders = self.contents.folders(&format!("{}_kvs/", self.prefix)).await?;
        Ok(folders.into_iter().filter_map(StreamFolder::of).collect())
    }

    /// The folders of a stream by its name.
    ///
    /// # Errors
    ///
    /// Where the archive has nothing of such a stream.
    pub async fn stream(&self, name: &str) -> Result<Vec<StreamFolder>> {
        let mut all = self.streams().await?;
        let names: Vec<_> = all.iter().map(|s| s.name.clone()).take(10).collect();
        all.retain(|s| s.name == name);
        if all.is_empty() {
            let has = if names.is_empty() {
                "no stream at all".into()
            } else {
                names.join(", ")
            };
            return Err(ArchiveError::Invalid(format!(
                "there is no archive of {name} here (there is of: {has}); look at --bucket and --prefix"
            )));
        }
        Ok(all)
    }

    /// The recordings of a stream.
    pub async fn recordings(&self, stream: &StreamFolder) -> Result<Vec<RecordingFolder>> {
        let erased = format!("{}erased/", stream.path);
        let mut folders = self.contents.folders(&stream.path).await?;
        folders.retain(|f| *f != erased);
        let listed = stream::iter(folders).map(async |path| {
            let mut folder = RecordingFolder {
                path,
                ..RecordingFolder::default()
            };
            for object in self.list(&folder.path).await? {
                match File::named(&object.key[folder.path.len()..]) {
                    Some(File::Plan(piece)) => folder.pieces.entry(piece).or_default().plan = true,
                    Some(File::Manifest(piece)) => {
                        folder.pieces.entry(piece).or_default().manifest = Some(object);
                    }
                    Some(root @ (File::Root | File::LaterRoot(_))) => folder.roots.push(root),
                    // For who puts a file's manifest together again; the manifest has them, too.
                    Some(File::Tags(_)) => {}
                    None => folder.others.push(object.key),
                }
            }
            Ok(folder)
        });
        listed.buffered(AT_ONCE).try_collect().await
    }

    /// The tombstones of a stream.
    pub async fn tombstones(&self, stream: &StreamFolder) -> Result<Tombstones> {
        let mut tombstones = Vec::new();
        for object in self.list(&format!("{}erased/", stream.path)).await? {
            let tombstone = self
                .document::<Tombstone>(&object.key)
                .await?
                .listed(&object.key)?;
            tombstones.push((object.key, tombstone));
        }
        Ok(Tombstones(tombstones))
    }

    /// Shows all manifests of a stream's recordings to `visit`, one after the other; one that cannot be read is an error.
    pub async fn manifests(
        &self,
        recordings: &[RecordingFolder],
        mut visit: impl FnMut(&Manifest, &str) -> Result<()>,
    ) -> Result<()> {
        let keys = recordings
            .iter()
            .flat_map(|r| r.pieces.values().filter_map(|p| p.manifest.as_ref()));
        let keys: Vec<_> = keys.map(|m| m.key.clone()).collect();
        let mut documents = stream::iter(keys)
            .map(async |key| (self.document::<Manifest>(&key).await, key))
            .buffered(AT_ONCE);
        while let Some((read, key)) = documents.next().await {
            visit(&read?.listed(&key)?, &key)?;
        }
        Ok(())
    }

    /// All objects below `prefix`: for documents; footage is gone through page by page.
    pub async fn list(&self, prefix: &str) -> std::result::Result<Vec<ListedObject>, AwsError> {
        let mut all: Vec<ListedObject> = Vec::new();
        loop {
            let after = all.last().map(|o| o.key.clone()).unwrap_or_default();
            let page = self.contents.page(prefix, &after).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// A document of the archive.
    pub async fn document<T: DeserializeOwned>(&self, key: &str) -> std::result::Result<Read<T>, AwsError> {
        let Some(mut pieces) = self.contents.read(key).await? else {
            return Ok(Read::Missing);
        };
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > DOCUMENT {
                return Ok(Read::Broken("it is longer than any document".into()));
            }
        }
        Ok(match plan::document(&bytes) {
            Ok(content) => Read::Found(
                content,
                ObjectRef {
                    key: key.into(),
                    sha256: hex::encode(Sha256::digest(&bytes)),
                },
            ),
            Err(why) => Read::Broken(why),
        })
    }
}

impl StreamFolder {
    fn of(path: String) -> Option<Self> {
        let folder = path.trim_end_matches('/').rsplit('/').next()?;
        let (name, creation) = folder.rsplit_once('-')?;
        let _: u64 = creation.parse().ok()?;
        Some(Self {
            name: name.into(),
            path,
        })
    }
}
