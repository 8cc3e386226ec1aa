//! The first two stages: the fragments of a chunk are fetched into the spool, and files are made of them there.
//!
//! May: fetch, write into the spool. May not: write into S3.

use std::{collections::VecDeque, sync::Arc};

use super::super::{
    Archiver,
    error::Result,
    fetch::{Delivery, Fetcher},
    manifest::Fate,
    part::{self, Made, Missing, Part},
    plan::Chunk,
    present::PresentPart,
    spool::{Body, Output},
    tombstone::Tombstones,
};
use super::{Assignment, wanted::Wanted};
use crate::{api::Container, aws::Fragment};

/// A chunk whose fragments lie in the spool.
#[derive(Debug)]
pub(super) struct Fetched<'a> {
    wanted: Wanted<'a>,
    delivered: Vec<(Fragment, Delivery)>,
    body: Arc<Body>,
}

impl Fetched<'_> {
    /// How many bytes came.
    pub(super) fn bytes(&self) -> u64 {
        self.body.len()
    }

    /// How many frames came.
    pub(super) fn frames(&self) -> usize {
        let frames = self.delivered.iter().map(|(_, delivery)| match delivery {
            Delivery::Whole(media) => media.frames.len(),
            Delivery::Raw(_) | Delivery::Unread(_) | Delivery::Erased(_) => 0,
        });
        frames.sum()
    }
}

/// A chunk whose files lie in the spool.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) index: usize,
    pub(super) chunk: &'a Chunk,
    /// Its first parts, where they were in S3 before, and their fragments.
    pub(super) present: Vec<(PresentPart, &'a [Fragment])>,
    /// What goes into no file.
    pub(super) missing: Vec<Missing>,
    /// The other parts.
    pub(super) files: Vec<NewFile>,
}

impl Ready<'_> {
    /// How many bytes its files have.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.made.bytes).sum()
    }
}

/// A file that is to go to S3.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) output: Output,
    pub(super) made: Made,
    /// Its fragments, in order: at least one.
    pub(super) fragments: Vec<Fragment>,
    /// Their producer's tags.
    pub(super) tags: Vec<Vec<(String, String)>>,
    pub(super) metadata: std::collections::BTreeMap<String, String>,
}

impl Archiver {
    /// Fetches what is wanted of a chunk into the spool.
    pub(super) async fn fetch<'a>(
        &self,
        fetcher: &mut Fetcher,
        wanted: Wanted<'a>,
        erased: &Tombstones,
    ) -> Result<Fetched<'a>> {
        if !wanted.rest.is_empty() {
            self.spool.has_room(wanted.room())?;
        }
        let mut body = self.spool.body()?;
        let asked = wanted.rest.iter().filter(|f| erased.takes(f).is_none());
        let asked: Vec<_> = asked.cloned().collect();
        let mut deliveries = fetcher.fetch(&asked, &mut body).await?.into_iter();
        let delivered = wanted.rest.iter().filter_map(|fragment| {
            let delivery = match erased.takes(fragment) {
                Some(tombstone) => Delivery::Erased(tombstone.into()),
                None => deliveries.next()?,
            };
            Some((fragment.clone(), delivery))
        });
        Ok(Fetched {
            delivered: delivered.collect(),
            wanted,
            body: Arc::new(body),
        })
    }

    /// Makes the files of a chunk.
    pub(super) async fn make<'a>(
        &self,
        assignment: &Assignment<'_>,
        container: Container,
        fetched: Fetched<'a>,
    ) -> Result<Ready<'a>> {
        let Fetched {
            wanted,
            delivered,
            body,
        } = fetched;
        let (index, first) = (wanted.index, wanted.present.len());
        let (skewed, spool) = (wanted.chunk.clock_skew, self.spool.clone());
        let work = move || {
            let (parts, missing) = part::parts(delivered, body.file())?;
            let (mut parts, mut files) = (VecDeque::from(parts), Vec::new());
            while let Some(part) = parts.pop_front() {
                let output = spool.file(&format!("{index}-{}", first + files.len()));
                match part.make(container, skewed, body.file(), &output)? {
                    Some(made) => files.push((part, output, made)),
                    // No file can be made of it: each fragment is kept as it came.
                    None => part.raw().into_iter().rev().for_each(|raw| parts.push_front(raw)),
                }
            }
            Ok((files, missing))
        };
        let (files, late) = self.spool.work(work).await?;
        let erased = wanted.erased.into_iter();
        let missing = erased.map(|(fragment, tombstone)| (fragment.clone(), Fate::Erased(tombstone)));
        let new = |(part, output, made): (Part, Output, Made)| NewFile {
            metadata: part.metadata(assignment.stream, &made),
            tags: part.tags(),
            fragments: part.into_fragments(),
            output,
            made,
        };
        Ok(Ready {
            index,
            chunk: wanted.chunk,
            present: wanted.present,
            missing: missing.chain(late).collect(),
            files: files.into_iter().map(new).collect(),
        })
    }
}
