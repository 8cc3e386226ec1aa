//! A sweep: the recording's window listed again, and what no manifest holds archived; with `close`, the root.
//!
//! What sweeps find is numbered by its position, 1, 2, 3 …: whoever plans position n, having read all before it, wins, and
//! whoever comes second takes the first one's plan. So two sweeps at once never archive a fragment twice. Closing takes the
//! next position, so that nothing can be added behind the root.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::{
    Archiver,
    error::{ArchiveError, Result},
    execute::Assignment,
    fetch::{Delivery, Fetcher},
    keys::{File, Layout, Piece},
    list,
    manifest::{Fate, Manifest, PROGRAM, Root, Unread},
    plan::{self, FRAGMENTS, LONGEST, LostFragment, Plan, Work},
    request::{ArchiveReport, ArchiveRequest, Outcome},
    store::Document,
};
use crate::{
    api::{Counts, Loss, ObjectRef},
    aws::{Fragment, FragmentNumber, StreamArn},
};

/// The most losses that the root lists itself; the manifests have all.
const ROOT_LOSSES: usize = 1000;

/// How many unread fragments are tried again together.
const RETRIED_AT_ONCE: usize = 20;

/// A sweep's number, where its listing ends, the last find before it, and whether to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Its number: with the recording, its identity.
    pub number: u32,
    /// Where the listing ends (exclusive).
    pub through: Timestamp,
    /// The manifest of the last sweep that found something.
    pub predecessor: Option<ObjectRef>,
    /// Whether to write the root if nothing new is found.
    pub close: bool,
}

/// What lies in a recording's folder, by keys.
#[derive(Debug, Default)]
struct Folder {
    slices: BTreeMap<Timestamp, Option<Timestamp>>,
    finds: BTreeMap<u32, Find>,
    root: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Find {
    planned: bool,
    /// Whether its manifest is there, and since when.
    committed: bool,
    last_modified: Option<Timestamp>,
}

/// What the manifests of a recording say together.
#[derive(Debug, Default)]
struct Holdings {
    counts: Counts,
    losses: Vec<Loss>,
    manifests: Vec<ObjectRef>,
    /// What an earlier manifest names unread and no later one resolves; since when, where it was KVS's own error.
    unread: BTreeMap<FragmentNumber, (Fragment, Unread, Option<Timestamp>)>,
}

impl Archiver {
    /// Sweeps a recording.
    pub async fn sweep(
        &self,
        request: &ArchiveRequest,
        stream: &StreamArn,
        sweep: &Sweep,
    ) -> Result<ArchiveReport> {
        let layout = Layout::new(&request.destination.s3.prefix, stream, &request.recording);
        let folder = self.folder(&layout).await?;
        if folder.root && sweep.close {
            return self.closed(&layout).await;
        }
        let (finds, position) = self.finds(request, &layout, &folder, sweep).await?;
        let circumstances = self.circumstances(stream).await?;
        let assignment = Assignment {
            stream,
            layout: &layout,
            cause: request.cause.as_ref(),
            circumstances,
        };
        let (mut holdings, mut new) = self.compare(request, &assignment, &folder, &finds, sweep).await?;
        if let Some((_, done)) = finds
            .iter()
            .find(|(_, m)| number(m.content.work) == Some(sweep.number))
        {
            let report = ArchiveReport::committed(done);
            return Ok(ArchiveReport {
                listed_at: done.last_modified,
                counts: holdings.counts,
                ..report
            });
        }
        let begun = folder.finds.get(&position).is_some_and(|f| f.planned);
        let mut lost = Vec::new();
        if !begun {
            self.retry(&assignment, &holdings, &mut new, &mut lost).await?;
        }
        let nothing_new = new.is_empty() && lost.is_empty() && !begun;
        if nothing_new && !(sweep.close && holdings.unread.is_empty()) {
            return Ok(ArchiveReport {
                listed_at: Some(circumstances.now),
                counts: holdings.counts,
                losses: holdings.losses.into_iter().take(20).collect(),
                ..ArchiveReport::new(Outcome::NothingNew)
            });
        }
        new.sort_by(|a, b| a.number.cmp(&b.number));
        new.truncate(FRAGMENTS);
        let cut = plan::cut(new, &request.clip, None);
        let plan = Plan {
            version: plan::VERSION,
            stream_arn: request.stream_arn.clone(),
            recording: request.recording.clone(),
            work: Work::Sweep {
                position,
                number: sweep.number,
                through: sweep.through,
                close: nothing_new,
            },
            clip: request.clip.clone(),
            predecessor: finds.last().map(|(_, m)| m.object.clone()),
            chunks: cut.chunks,
            // Footage that was found later lies in what earlier manifests name gaps; it makes none itself.
            gaps: Vec::new(),
            repeats: cut.repeats,
            covered: None,
            lost_spans: Vec::new(),
            lost,
        };
        let plan = self
            .store
            .commit(layout.key(File::Plan(Piece::Sweep(position))), plan)
            .await?;
        let Plan {
            version,
            stream_arn,
            work,
            ..
        } = &plan.content;
        self.is_ours(request, &plan.object, *version, stream_arn, *work)?;
        if let Work::Sweep {
            close: true, through, ..
        } = plan.content.work
        {
            return self.close(request, &layout, through, holdings).await;
        }
        let manifest = self.carry_out(&assignment, plan).await?;
        holdings.add(&manifest, circumstances.now);
        let report = ArchiveReport::committed(&manifest);
        Ok(ArchiveReport {
            listed_at: Some(circumstances.now),
            counts: holdings.counts(),
            ..report
        })
    }

    /// A number that no sweep of the recording that found something has: for who keeps no count.
    pub async fn unused_sweep_number(&self, request: &ArchiveRequest) -> Result<u32> {
        let stream = request
            .stream_arn
            .parse::<StreamArn>()
            .map_err(|e| ArchiveError::Invalid(e.to_string()))?;
        let layout = Layout::new(&request.destination.s3.prefix, &stream, &request.recording);
        let mut unused = 0;
        for (position, find) in self.folder(&layout).await?.finds {
            if find.committed {
                let manifest = self
                    .manifest(request, &layout.key(File::Manifest(Piece::Sweep(position))))
                    .await?;
                unused = unused.max(number(manifest.content.work).map_or(0, |n| n + 1));
            }
        }
        Ok(unused)
    }

    async fn folder(&self, layout: &Layout) -> Result<Folder> {
        let mut folder = Folder::default();
        for object in self.store.list(&layout.folder(), "").await? {
            match layout.file(&object.key) {
                Some(File::Manifest(Piece::Slice(from))) => {
                    folder.slices.insert(from, object.last_modified);
                }
                Some(File::Plan(Piece::Sweep(position))) => {
                    folder.finds.entry(position).or_default().planned = true;
                }
                Some(File::Manifest(Piece::Sweep(position))) => {
                    let find = folder.finds.entry(position).or_default();
                    (find.committed, find.last_modified) = (true, object.last_modified);
                }
                Some(File::Root) => folder.root = true,
                Some(File::Plan(Piece::Slice(_))) | None => {}
            }
        }
        Ok(folder)
    }

    /// The manifests of what sweeps found so far, in order, and the position of the next.
    async fn finds(
        &self,
        request: &ArchiveRequest,
        layout: &Layout,
        folder: &Folder,
        sweep: &Sweep,
    ) -> Result<(Vec<(u32, Document<Manifest>)>, u32)> {
        let mut finds = Vec::new();
        let mut position = 1;
        for (at, _) in folder.finds.iter().filter(|(_, find)| find.committed) {
            let key = layout.key(File::Manifest(Piece::Sweep(*at)));
            if *at != position {
                let why = format!("there is none at position {position} before it");
                return Err(ArchiveError::Conflict { key, why });
            }
            let manifest = self.manifest(request, &key).await?;
            finds.push((*at, manifest));
            position += 1;
        }
        if let Some(named) = &sweep.predecessor
            && !finds.iter().any(|(_, found)| found.object == *named)
        {
            let why =
                "it is named as an earlier sweep's manifest and is not among them, or has another checksum"
                    .into();
            return Err(ArchiveError::Conflict {
                key: named.key.clone(),
                why,
            });
        }
        Ok((finds, position))
    }

    async fn manifest(&self, request: &ArchiveRequest, key: &str) -> Result<Document<Manifest>> {
        let Some(manifest) = self.store.document::<Manifest>(key).await? else {
            return Err(ArchiveError::Conflict {
                key: key.into(),
                why: "it was listed and is gone".into(),
            });
        };
        let Manifest {
            version,
            stream_arn,
            work,
            ..
        } = &manifest.content;
        self.is_ours(request, &manifest.object, *version, stream_arn, *work)?;
        Ok(manifest)
    }

    /// Goes through all manifests, in parts of the window that each are listed again: what they hold, and what is new.
    async fn compare(
        &self,
        request: &ArchiveRequest,
        assignment: &Assignment<'_>,
        folder: &Folder,
        finds: &[(u32, Document<Manifest>)],
        sweep: &Sweep,
    ) -> Result<(Holdings, Vec<Fragment>)> {
        let found_later: HashSet<FragmentNumber> = finds
            .iter()
            .flat_map(|(_, m)| settled(&m.content))
            .cloned()
            .collect();
        let (mut holdings, mut new) = (Holdings::default(), Vec::new());
        let mut at = request.recording.start;
        let mut slices = folder.slices.iter().peekable();
        while at < sweep.through {
            // One part: slices together, up to four hours or as many fragments as one piece of work may have.
            let from = at;
            let mut held = HashSet::new();
            let mut known = 0;
            while let Some((begin, last_modified)) = slices.next_if(|(begin, _)| **begin < sweep.through) {
                let key = assignment.layout.key(File::Manifest(Piece::Slice(*begin)));
                if *begin != at {
                    let why = format!("the slice before it, at {at}, has no manifest");
                    return Err(ArchiveError::Conflict { key, why });
                }
                let manifest = self.manifest(request, &key).await?;
                let Work::Slice { through, .. } = manifest.content.work else {
                    break;
                };
                holdings.add(&manifest, last_modified.unwrap_or(assignment.circumstances.now));
                known += manifest.content.fragments.len();
                held.extend(settled(&manifest.content).cloned());
                at = through;
                let next_is_too_much = at.duration_since(from) >= LONGEST || known >= FRAGMENTS;
                if next_is_too_much {
                    break;
                }
            }
            if at == from {
                let key = assignment.layout.key(File::Manifest(Piece::Slice(at)));
                return Err(ArchiveError::Conflict {
                    key,
                    why: "it is missing: the slices before it end here. Where the span was not archived up to its end, archive it first"
                        .into(),
                });
            }
            let window = (from, at.min(sweep.through));
            let fragments = self.list_again(request, assignment, window).await?;
            new.extend(
                fragments
                    .into_iter()
                    .filter(|f| !held.contains(&f.number) && !found_later.contains(&f.number)),
            );
            // What is too much for one piece of work is found again by the next sweep.
            new.truncate(FRAGMENTS);
        }
        if sweep.close && (at > sweep.through || slices.next().is_some()) {
            return Err(ArchiveError::Invalid(format!(
                "the recording cannot be closed at {}: its slices go on behind that",
                sweep.through
            )));
        }
        for (position, manifest) in finds {
            let written = folder.finds.get(position).and_then(|f| f.last_modified);
            holdings.add(manifest, written.unwrap_or(assignment.circumstances.now));
        }
        holdings.counts = holdings.counts();
        new.retain(|f| !holdings.unread.contains_key(&f.number));
        Ok((holdings, new))
    }

    async fn list_again(
        &self,
        request: &ArchiveRequest,
        assignment: &Assignment<'_>,
        (mut from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Fragment>> {
        let by = request.recording.timestamp_type;
        let mut found = Vec::new();
        while from < to && !assignment.circumstances.gone {
            // What has expired since was listed by its slice; it is no loss here.
            let window = (from, to);
            let c = assignment.circumstances;
            let part = list::window(&*self.footage, &self.clock, assignment.stream, by, window, c).await?;
            found.extend(part.fragments);
            from = part.through;
        }
        Ok(found)
    }

    /// Tries again what earlier manifests name unread: what comes now is to be archived, what cannot come is lost, and the
    /// rest stays as it is.
    async fn retry(
        &self,
        assignment: &Assignment<'_>,
        holdings: &Holdings,
        new: &mut Vec<Fragment>,
        lost: &mut Vec<LostFragment>,
    ) -> Result<()> {
        let c = assignment.circumstances;
        let mut fetcher = Fetcher::new(
            self.footage.clone(),
            assignment.stream.clone(),
            self.clock.node().clone(),
            self.fragments_per_second,
        );
        let (gone, open): (Vec<_>, Vec<_>) = holdings.unread.values().partition(|(fragment, ..)| {
            c.gone
                || fragment
                    .server
                    .checked_add(c.retention)
                    .is_ok_and(|expiry| expiry < c.now)
        });
        for (fragment, unread, since) in gone {
            let reason = c.lost(fragment, unread, *since).unwrap_or_else(|| c.expired());
            lost.push(LostFragment {
                fragment: fragment.clone(),
                reason,
            });
        }
        for group in open.chunks(RETRIED_AT_ONCE) {
            let wanted: Vec<_> = group.iter().map(|(fragment, ..)| fragment.clone()).collect();
            let mut body = self.spool.body()?;
            let deliveries = match fetcher.fetch(&wanted, &mut body).await {
                Ok(deliveries) => deliveries,
                // Still refused, all of them: as before.
                Err(ArchiveError::Denied(_)) => return Ok(()),
                Err(e) => return Err(e),
            };
            for ((fragment, _, since), delivery) in group.iter().zip(deliveries) {
                match delivery {
                    Delivery::Unread(again) => {
                        if let Some(reason) = c.lost(fragment, &again, since.filter(|_| !again.denied)) {
                            lost.push(LostFragment {
                                fragment: fragment.clone(),
                                reason,
                            });
                        }
                    }
                    Delivery::Whole(_) | Delivery::Raw(_) => new.push(fragment.clone()),
                }
            }
        }
        Ok(())
    }

    async fn close(
        &self,
        request: &ArchiveRequest,
        layout: &Layout,
        through: Timestamp,
        holdings: Holdings,
    ) -> Result<ArchiveReport> {
        let root = Root {
            version: plan::VERSION,
            program: PROGRAM.into(),
            stream_arn: request.stream_arn.clone(),
            recording: request.recording.clone(),
            cause: request.cause.clone(),
            through,
            manifests: holdings.manifests,
            counts: holdings.counts,
            losses: holdings.losses,
        };
        self.store.commit(layout.key(File::Root), root).await?;
        self.closed(layout).await
    }

    /// The report of a recording that is closed: its root, as it is.
    async fn closed(&self, layout: &Layout) -> Result<ArchiveReport> {
        let key = layout.key(File::Root);
        let Some(root) = self.store.document::<Root>(&key).await? else {
            return Err(ArchiveError::Conflict {
                key,
                why: "it was there and is gone".into(),
            });
        };
        Ok(ArchiveReport {
            listed_at: root.last_modified,
            counts: root.content.counts,
            losses: root.content.losses.into_iter().take(20).collect(),
            root: Some(root.object),
            ..ArchiveReport::new(Outcome::Closed)
        })
    }
}

/// The fragments that a manifest names as archived or lost.
fn settled(manifest: &Manifest) -> impl Iterator<Item = &FragmentNumber> {
    manifest
        .fragments
        .iter()
        .filter(|e| !matches!(e.fate, Fate::Unread(_)))
        .map(|e| &e.fragment.number)
}

fn number(work: Work) -> Option<u32> {
    match work {
        Work::Sweep { number, .. } => Some(number),
        Work::Slice { .. } => None,
    }
}

impl Holdings {
    /// Adds a manifest; they come in order, slices first.
    fn add(&mut self, manifest: &Document<Manifest>, written: Timestamp) {
        let content = &manifest.content;
        let counts = content.counted();
        self.counts.clips += counts.clips;
        self.counts.fragments += counts.fragments;
        self.counts.bytes += counts.bytes;
        self.counts.lost += counts.lost;
        self.counts.gaps += counts.gaps;
        for entry in &content.fragments {
            match &entry.fate {
                Fate::Unread(why) => {
                    let own = (!why.denied).then_some(written);
                    let kept = self
                        .unread
                        .remove(&entry.fragment.number)
                        .and_then(|(_, _, since)| since);
                    self.unread.insert(
                        entry.fragment.number.clone(),
                        (entry.fragment.clone(), why.clone(), kept.or(own)),
                    );
                }
                Fate::Object(_) | Fate::Lost(_) => {
                    self.unread.remove(&entry.fragment.number);
                }
            }
        }
        let room = ROOT_LOSSES.saturating_sub(self.losses.len());
        self.losses.extend(content.losses().take(room));
        self.manifests.push(manifest.object.clone());
    }

    fn counts(&self) -> Counts {
        Counts {
            unread: self.unread.len() as i64,
            ..self.counts
        }
    }
}
