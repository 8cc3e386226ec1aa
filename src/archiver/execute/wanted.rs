//! What of a chunk is in S3 already, and what is to be fetched.
//!
//! May: look. May not: fetch or write.

use super::super::{
    Archiver,
    error::Result,
    fetch::Fetcher,
    plan::{Chunk, Plan},
    present::{Present, PresentPart},
    tombstone::Tombstones,
};
use super::Assignment;
use crate::aws::Fragment;

/// What must be free in the spool beyond a chunk and its file.
const ROOM: u64 = 64 << 20;

/// A chunk before it is fetched.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) index: usize,
    pub(super) chunk: &'a Chunk,
    /// Its first parts, where they are in S3, and their fragments.
    pub(super) present: Vec<(PresentPart, &'a [Fragment])>,
    /// Fragments before the others that tombstones take, with their keys.
    pub(super) erased: Vec<(&'a Fragment, String)>,
    /// The fragments that are not; tombstones may take some.
    pub(super) rest: &'a [Fragment],
}

impl Wanted<'_> {
    /// How many bytes are to be fetched, as KVS lists them.
    pub(super) fn bytes(&self) -> u64 {
        self.rest.iter().map(|f| f.bytes).sum()
    }

    /// How much of the spool it takes: the media as they come, the file that is made of them, and what a broken body costs.
    pub(super) fn room(&self) -> u64 {
        self.bytes().saturating_mul(2).saturating_add(ROOM)
    }
}

impl Archiver {
    /// What of a chunk is in S3, and what is to be fetched.
    pub(super) async fn wanted<'a>(
        &self,
        assignment: &Assignment<'_>,
        plan: &Plan,
        (present, erased): (&Present, &Tombstones),
        fetcher: &mut Fetcher,
        (index, chunk): (usize, &'a Chunk),
    ) -> Result<Wanted<'a>> {
        let mut wanted = Wanted {
            index,
            chunk,
            present: Vec::new(),
            erased: Vec::new(),
            rest: &chunk.fragments,
        };
        while let Some((first, behind)) = wanted.rest.split_first() {
            if let Some(tombstone) = erased.takes(first) {
                wanted.erased.push((first, tombstone.into()));
                wanted.rest = behind;
                continue;
            }
            let until = wanted.rest.iter().position(|f| erased.takes(f).is_some());
            let together = &wanted.rest[..until.unwrap_or(wanted.rest.len())];
            let place = (plan.work.piece(), index, wanted.present.len());
            let Some(part) = present
                .part(&self.store, assignment.layout, assignment.stream, place, together)
                .await?
            else {
                break;
            };
            let (there, rest) = wanted.rest.split_at(part.fragments);
            fetcher.delivered_before(there.len());
            wanted.rest = rest;
            wanted.present.push((part, there));
        }
        Ok(wanted)
    }
}
