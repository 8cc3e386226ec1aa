//! The files of footage that a manifest names, as they are now: after what tombstones took.
//!
//! Pure.

use crate::{
    archiver::{
        manifest::{Fate, Flag, Manifest},
        media::FileKind,
        tombstone::{Place, Tombstones},
    },
    aws::Fragment,
};

/// A file of footage with the fragments in it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FootageFile {
    /// Its key.
    pub key: String,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// What a user of it should know.
    pub flags: Vec<Flag>,
    /// The fragments in it, in order.
    pub fragments: Vec<Fragment>,
}

impl FootageFile {
    /// What kind of file it is; `None`: its key does not say.
    pub fn kind(&self) -> Option<FileKind> {
        [FileKind::Mp4, FileKind::Matroska]
            .into_iter()
            .find(|kind| self.key.rsplit('.').next() == Some(kind.extension()))
    }

    /// Whether it is a fragment that could not be parsed.
    pub fn raw(&self) -> bool {
        self.flags.contains(&Flag::Raw)
    }
}

/// The files that hold a manifest's fragments now, and the fragments that were erased. A fragment of an object that the
/// manifest does not have is left out: `verify` says so.
pub fn files<'a>(manifest: &'a Manifest, tombstones: &Tombstones) -> (Vec<FootageFile>, Vec<&'a Fragment>) {
    let (mut files, mut erased): (Vec<FootageFile>, Vec<&Fragment>) = (Vec::new(), Vec::new());
    for entry in &manifest.fragments {
        let Fate::Object(index) = entry.fate else { continue };
        let Some(object) = manifest.objects.get(index as usize) else {
            continue;
        };
        let named = Place {
            key: &object.key,
            sha256: &object.sha256,
            bytes: object.bytes,
        };
        let Some(place) = tombstones.follow(named, &entry.fragment.number) else {
            erased.push(&entry.fragment);
            continue;
        };
        // A file's fragments follow each other.
        match files.last_mut().filter(|f| f.key == place.key) {
            Some(file) => file.fragments.push(entry.fragment.clone()),
            None => files.push(FootageFile {
                key: place.key.into(),
                sha256: place.sha256.into(),
                bytes: place.bytes,
                flags: object.flags.clone(),
                fragments: vec![entry.fragment.clone()],
            }),
        }
    }
    (files, erased)
}
