//! What the manifests of a recording say together.
//!
//! Pure. A later manifest resolves what an earlier one names unread, and what it holds fills gaps; it takes nothing back.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    gaps,
    manifest::{Fate, Manifest, Unread},
    plan::{Hole, Work},
};
use crate::{
    api::{Counts, Loss, ObjectRef},
    aws::{Fragment, FragmentNumber},
};

/// The most losses that a root lists itself; the manifests have all.
const LOSSES: usize = 1000;

/// What the manifests of a recording say together.
#[derive(Debug, Default)]
pub struct Holdings {
    counts: Counts,
    /// What is lost, at most 1,000.
    pub losses: Vec<Loss>,
    /// The manifests, as they were added.
    pub manifests: Vec<ObjectRef>,
    /// What an earlier manifest names unread and no later one resolves.
    pub unread: BTreeMap<FragmentNumber, Open>,
    /// Gaps that nothing fills, and how far apart fragments may be where they were seen.
    gaps: Vec<(Hole, SignedDuration)>,
}

/// A fragment that is neither archived nor lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The fragment.
    pub fragment: Fragment,
    /// Why the latest manifest names it unread.
    pub why: Unread,
    /// When the first manifest was written that names it unread by KVS's own error.
    pub since: Option<Timestamp>,
}

impl Holdings {
    /// Adds a manifest and when it was written; they come in order, slices first.
    pub fn add(&mut self, manifest: &Manifest, object: &ObjectRef, written: Timestamp) {
        self.counts += manifest.counted();
        for entry in &manifest.fragments {
            let number = &entry.fragment.number;
            let before = self.unread.remove(number);
            if let Fate::Unread(why) = &entry.fate {
                let own = (!why.denied).then_some(written);
                let open = Open {
                    fragment: entry.fragment.clone(),
                    why: why.clone(),
                    since: before.and_then(|open| open.since).or(own),
                };
                self.unread.insert(number.clone(), open);
            }
        }
        match manifest.work {
            Work::Slice { .. } => {
                let fragments: Vec<_> = manifest.fragments.iter().map(|e| e.fragment.clone()).collect();
                let tolerance = gaps::tolerance(&fragments);
                self.gaps
                    .extend(manifest.gaps.iter().map(|gap| (*gap, tolerance)));
            }
            Work::Sweep { .. } => {
                manifest
                    .fragments
                    .iter()
                    .for_each(|entry| self.fill(&entry.fragment));
            }
        }
        let room = LOSSES.saturating_sub(self.losses.len());
        self.losses.extend(manifest.losses().take(room));
        self.manifests.push(object.clone());
    }

    fn fill(&mut self, found: &Fragment) {
        let found = (found.producer, found.producer_end());
        let mut left = Vec::new();
        self.gaps.retain(|(gap, tolerance)| {
            let touched = gap.from < found.1 && found.0 < gap.to;
            if touched {
                let pieces = gaps::without(*gap, found, *tolerance).into_iter();
                left.extend(pieces.map(|piece| (piece, *tolerance)));
            }
            !touched
        });
        self.gaps.extend(left);
    }

    /// All of it in numbers: each fragment by what the latest manifest says of it, and the gaps that are left.
    pub fn counts(&self) -> Counts {
        Counts {
            unread: self.unread.len() as i64,
            gaps: self.gaps.len() as i64,
            ..self.counts
        }
    }
}
