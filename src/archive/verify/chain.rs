//! Whether the documents of a recording agree with each other: every slice follows the one before it, every planned fragment is
//! accounted for once, the root names all.
//!
//! Pure.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::report::{Kind, Report};
use crate::{
    api::ObjectRef,
    archiver::{
        holdings::Holdings,
        keys::{File, Layout, Piece, with_slash},
        manifest::{Fate, Manifest, Root},
        plan::{Plan, Work},
        request::RecordingIdentity,
    },
    aws::{FragmentNumber, StreamArn},
};

/// A recording while its documents are gone through, in order.
#[derive(Debug, Default)]
pub struct Chain {
    identity: Option<(String, RecordingIdentity)>,
    /// Up to where slices cover the window.
    through: Option<Timestamp>,
    /// The last manifest of slices, and of sweeps.
    last: BTreeMap<bool, ObjectRef>,
    /// What the manifests say together.
    holdings: Holdings,
    /// Archived, erased or lost.
    settled: HashSet<u128>,
}

/// A short digest of a text, to remember very many of them.
pub fn short(text: &str) -> u128 {
    let digest = Sha256::digest(text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(bytes)
}

impl Chain {
    /// The layout of the recording's documents, once one of them was seen.
    pub fn layout(&self, prefix: &str) -> Option<Layout> {
        let (arn, identity) = self.identity.as_ref()?;
        Some(Layout::new(prefix, &arn.parse::<StreamArn>().ok()?, identity))
    }

    /// What is open at the end: fragments that no later manifest settles.
    pub fn unread(&self) -> usize {
        self.holdings.unread.len()
    }

    /// Takes a document's word for whose it is; false: it is about something else than its key says.
    fn is_ours(
        &mut self,
        prefix: &str,
        key: &str,
        (arn, identity, file): (&str, &RecordingIdentity, File),
        report: &mut Report,
    ) -> bool {
        let expected = arn
            .parse::<StreamArn>()
            .ok()
            .map(|stream| Layout::new(with_slash(prefix).trim_end_matches('/'), &stream, identity).key(file));
        if expected.as_deref() == Some(key) {
            self.identity
                .get_or_insert_with(|| (arn.to_owned(), identity.clone()));
            return true;
        }
        let expected = expected.unwrap_or_else(|| format!("{arn:?}, which is no stream's ARN"));
        report.add(
            Kind::Contradiction,
            key,
            format!("its content is about something else than its key: {expected}"),
        );
        false
    }

    /// Notes a plan without a manifest.
    pub fn plan(&mut self, prefix: &str, plan: &Plan, object: &ObjectRef, report: &mut Report) -> bool {
        let whose = (
            plan.stream_arn.as_str(),
            &plan.recording,
            File::Plan(plan.work.piece()),
        );
        self.is_ours(prefix, &object.key, whose, report)
    }

    /// Notes the next manifest, with its plan where that is there.
    pub fn manifest(
        &mut self,
        prefix: &str,
        (manifest, object): (&Manifest, &ObjectRef),
        plan: Option<(&Plan, &ObjectRef)>,
        report: &mut Report,
    ) {
        let key = &object.key;
        let whose = (
            manifest.stream_arn.as_str(),
            &manifest.recording,
            File::Manifest(manifest.work.piece()),
        );
        if !self.is_ours(prefix, key, whose, report) {
            return;
        }
        self.follows(manifest, object, report);
        self.fragments(manifest, key, report);
        if let Some((plan, found)) = plan {
            if *found != manifest.plan {
                report.add(
                    Kind::Changed,
                    &found.key,
                    format!("its manifest {key} names another checksum"),
                );
            } else if fragments_of(plan) != fragments_in(manifest) {
                report.add(
                    Kind::Contradiction,
                    key,
                    "it does not account for exactly the fragments of its plan",
                );
            }
        }
        if manifest.counts != manifest.counted() {
            report.add(Kind::Contradiction, key, "its counts are not of what it lists");
        }
        let counts = manifest.counted();
        self.holdings.add(manifest, object, Timestamp::UNIX_EPOCH);
        report.totals.lost += counts.lost.unsigned_abs();
    }

    fn follows(&mut self, manifest: &Manifest, object: &ObjectRef, report: &mut Report) {
        let key = &object.key;
        let sweep = matches!(manifest.work, Work::Sweep { .. });
        let before = self.last.insert(sweep, object.clone());
        match (&manifest.predecessor, &before) {
            (named, found) if named == found => {}
            (Some(named), Some(found)) if named.key == found.key => {
                let what = format!("{key}, which follows it, names another checksum");
                report.add(Kind::Changed, &found.key, what);
            }
            (Some(named), _) => {
                let what = format!("{key} follows it, and it is not there before that");
                report.add(Kind::Missing, &named.key, what);
            }
            (None, Some(found)) => {
                let what = format!("it follows {} and does not name it", found.key);
                report.add(Kind::Contradiction, key, what);
            }
            (None, None) => {}
        }
        match manifest.work {
            Work::Slice { from, through } => {
                let begin = self.through.unwrap_or(manifest.recording.start);
                if begin != from {
                    let what = format!("no slice covers {begin} to {from}");
                    report.add(Kind::Uncovered, key, what);
                }
                if through <= from {
                    report.add(Kind::Contradiction, key, "it ends before it begins");
                }
                self.through = Some(through);
            }
            // That none is missing is told by their predecessors: a closing takes a position without a manifest.
            Work::Sweep { .. } => {}
        }
    }

    fn fragments(&mut self, manifest: &Manifest, key: &str, report: &mut Report) {
        for entry in &manifest.fragments {
            let number = &entry.fragment.number;
            let short = short(number.as_str());
            if let Fate::Object(index) = entry.fate
                && index as usize >= manifest.objects.len()
            {
                let what = format!("fragment {number} is in an object that it does not list");
                report.add(Kind::Contradiction, key, what);
            }
            if let Fate::Unread(_) = entry.fate {
                continue;
            }
            if !self.settled.insert(short) {
                let what = format!("fragment {number} was accounted for by an earlier manifest");
                report.add(Kind::Twice, key, what);
            }
        }
    }

    /// How many gaps no sweep filled.
    pub fn gaps(&self) -> u64 {
        self.holdings.counts().gaps.unsigned_abs()
    }

    /// Compares a root with what was seen: all manifests before its position.
    pub fn root(
        &mut self,
        prefix: &str,
        (root, object): (&Root, &ObjectRef),
        file: File,
        report: &mut Report,
    ) {
        let key = &object.key;
        let whose = (root.stream_arn.as_str(), &root.recording, file);
        if !self.is_ours(prefix, key, whose, report) {
            return;
        }
        for named in &root.manifests {
            match self.holdings.manifests.iter().find(|m| m.key == named.key) {
                Some(found) if found == named => {}
                Some(found) => report.add(
                    Kind::Changed,
                    &found.key,
                    format!("the root {key} names another checksum"),
                ),
                None => report.add(Kind::Missing, &named.key, format!("the root {key} names it")),
            }
        }
        for found in &self.holdings.manifests {
            if !root.manifests.iter().any(|m| m.key == found.key) {
                let what = format!("the root {key} does not name it");
                report.add(Kind::Contradiction, &found.key, what);
            }
        }
        let through = self.through.unwrap_or(root.recording.start);
        if through != root.through {
            let what = format!("no slice covers {through} to {}", root.through);
            report.add(Kind::Uncovered, key, what);
        }
        if root.manifests == self.holdings.manifests && root.counts != self.holdings.counts() {
            report.add(
                Kind::Contradiction,
                key,
                "its counts are not those of its manifests",
            );
        }
    }
}

fn fragments_of(plan: &Plan) -> HashSet<&FragmentNumber> {
    let planned = plan.chunks.iter().flat_map(|c| &c.fragments);
    planned
        .chain(plan.lost.iter().map(|l| &l.fragment))
        .map(|f| &f.number)
        .collect()
}

fn fragments_in(manifest: &Manifest) -> HashSet<&FragmentNumber> {
    manifest.fragments.iter().map(|e| &e.fragment.number).collect()
}

/// Which plans without a manifest explain a file of footage: one that a Job has written and not yet committed.
pub fn explains(layout: &Layout, plan: &Plan, key: &str) -> bool {
    let Some((id, name)) = crate::archiver::keys::FootageId::of_key(key).zip(key.rsplit('/').next()) else {
        return false;
    };
    let piece: Piece = plan.work.piece();
    let begins = |f: &crate::aws::Fragment| {
        name.starts_with(&format!("{}_", crate::archiver::keys::instant(f.producer)))
    };
    for (index, chunk) in plan.chunks.iter().enumerate() {
        for at in 0..chunk.fragments.len() {
            if !begins(&chunk.fragments[at]) {
                continue;
            }
            // A part begins at the earliest with as many fragments before it as there are parts before it.
            for part in 0..=at {
                let mut builder = layout.footage_id(piece, index, part);
                for fragment in &chunk.fragments[at..] {
                    builder.add(&fragment.number);
                    if builder.id() == id {
                        return true;
                    }
                }
            }
        }
    }
    false
}
