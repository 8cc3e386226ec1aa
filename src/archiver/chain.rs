//! What lies in a recording's folder: slices, and the chain of what sweeps found and of closings.
//!
//! Positions 1, 2, 3 … form the chain; each is taken by the conditional creation of its plan. A find has a manifest behind its
//! plan; a closing is a plan alone, and a root. May: list and read. May not: write.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Archiver,
    error::{ArchiveError, Result},
    keys::{File, Layout, Piece},
    manifest::Manifest,
    plan::{Plan, Work},
    request::ArchiveRequest,
    store::Document,
};
use crate::api::ObjectRef;

/// What lies in a recording's folder, by keys.
#[derive(Debug, Default)]
pub struct Folder {
    /// The manifests of slices, by where they begin, and when S3 took them in.
    pub slices: BTreeMap<Timestamp, Option<Timestamp>>,
    positions: BTreeMap<u32, Position>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// Whether its manifest is there.
    committed: bool,
    /// Since when it is.
    last_modified: Option<Timestamp>,
}

/// The chain as it was read.
#[derive(Debug, Default)]
pub struct Chain {
    /// What sweeps found, in order, and when S3 took it in.
    pub finds: Vec<(Document<Manifest>, Option<Timestamp>)>,
    /// The position after the last; if a find is planned and has no manifest yet, its position.
    pub next: u32,
    /// Whether a find is planned at `next`.
    pub begun: bool,
    /// The closing that is the last of the chain: its position, and where the recording ends.
    pub closing: Option<(u32, Timestamp)>,
}

impl Chain {
    /// What the sweep of this number found.
    pub fn of(&self, sweep: u32) -> Option<&Document<Manifest>> {
        let of = |work| matches!(work, Work::Sweep { number, .. } if number == sweep);
        self.finds.iter().map(|(m, _)| m).find(|m| of(m.content.work))
    }

    /// Checks that what is named as an earlier sweep's manifest is in it.
    pub fn must_hold(&self, named: &ObjectRef) -> Result<()> {
        if self.finds.iter().any(|(found, _)| found.object == *named) {
            return Ok(());
        }
        Err(ArchiveError::Conflict {
            key: named.key.clone(),
            why: "it is named as an earlier sweep's manifest and is not among them, or has another checksum"
                .into(),
        })
    }

    /// A number that no sweep that found something has.
    pub fn unused_number(&self) -> u32 {
        let numbers = self.finds.iter().map(|(m, _)| match m.content.work {
            Work::Sweep { number, .. } => number + 1,
            Work::Slice { .. } => 0,
        });
        numbers.max().unwrap_or(0)
    }
}

impl Archiver {
    pub(super) async fn folder(&self, layout: &Layout) -> Result<Folder> {
        let mut folder = Folder::default();
        for object in self.store.list(&layout.folder(), "").await? {
            match layout.file(&object.key) {
                Some(File::Manifest(Piece::Slice(from))) => {
                    folder.slices.insert(from, object.last_modified);
                }
                Some(File::Plan(Piece::Sweep(position))) => {
                    folder.positions.entry(position).or_default();
                }
                Some(File::Manifest(Piece::Sweep(position))) => {
                    let found = folder.positions.entry(position).or_default();
                    (found.committed, found.last_modified) = (true, object.last_modified);
                }
                Some(File::Root | File::LaterRoot(_) | File::Tags(_) | File::Plan(Piece::Slice(_)))
                | None => {}
            }
        }
        Ok(folder)
    }

    /// Reads the chain; one with a hole in it is a conflict.
    pub(super) async fn chain(
        &self,
        request: &ArchiveRequest,
        layout: &Layout,
        folder: &Folder,
    ) -> Result<Chain> {
        let mut chain = Chain {
            next: 1,
            ..Chain::default()
        };
        for (at, position) in &folder.positions {
            let piece = Piece::Sweep(*at);
            if *at != chain.next || chain.begun {
                let missing = if chain.begun { chain.next } else { at - 1 };
                return Err(ArchiveError::Conflict {
                    key: layout.key(File::Plan(piece)),
                    why: format!("there is nothing committed at position {missing} before it"),
                });
            }
            if position.committed {
                let manifest = self.manifest(request, &layout.key(File::Manifest(piece))).await?;
                chain.finds.push((manifest, position.last_modified));
                chain.closing = None;
            } else {
                match self.planned(request, &layout.key(File::Plan(piece))).await? {
                    Work::Sweep {
                        close: true, through, ..
                    } => chain.closing = Some((*at, through)),
                    _ => {
                        chain.begun = true;
                        continue;
                    }
                }
            }
            chain.next += 1;
        }
        Ok(chain)
    }

    /// A manifest that was listed, or that another one names.
    pub(super) async fn manifest(&self, request: &ArchiveRequest, key: &str) -> Result<Document<Manifest>> {
        let Some(manifest) = self.store.document::<Manifest>(key).await? else {
            return Err(gone(key));
        };
        self.is_ours(request, &manifest)?;
        Ok(manifest)
    }

    async fn planned(&self, request: &ArchiveRequest, key: &str) -> Result<Work> {
        let Some(plan) = self.store.document::<Plan>(key).await? else {
            return Err(gone(key));
        };
        self.is_ours(request, &plan)?;
        Ok(plan.content.work)
    }
}

fn gone(key: &str) -> ArchiveError {
    ArchiveError::Conflict {
        key: key.into(),
        why: "it was listed and is gone".into(),
    }
}
