//! A sweep: the recording's window listed again, and what no manifest holds archived; with `close`, the root.
//!
//! What sweeps find is numbered by its position, 1, 2, 3 …: whoever plans position n, having read all before it, wins, and
//! whoever comes second takes the first one's plan. So two sweeps at once never archive a fragment twice. Closing takes a
//! position, too: what is found before goes before the root, and what a run finds that lost the race goes behind it, where
//! the next closing writes a root again. Nothing that a run has seen is dropped.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    Archiver,
    chain::{Chain, Folder},
    error::{ArchiveError, Result},
    execute::Assignment,
    fetch::{Delivery, Fetcher, Kept},
    holdings::Holdings,
    keys::{File, Layout, Piece},
    list,
    manifest::{Fate, Manifest, PROGRAM, Root},
    plan::{self, FRAGMENTS, LONGEST, LostFragment, Plan, Work},
    request::{ArchiveReport, ArchiveRequest, Outcome, TimestampType},
};
use crate::{
    api::ObjectRef,
    aws::{Fragment, FragmentNumber, StreamArn},
};

/// The longest fragment: one that begins so long before the window may reach into it.
const FRAGMENT: SignedDuration = SignedDuration::from_secs(20);

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
    /// Whether footage of the window that a camera sent later belongs to it.
    pub late_uploads: bool,
}

impl Archiver {
    /// Sweeps a recording.
    pub async fn sweep(
        &self,
        request: &ArchiveRequest,
        stream: &StreamArn,
        sweep: &Sweep,
    ) -> Result<ArchiveReport> {
        if sweep.late_uploads && request.recording.timestamp_type == TimestampType::ProducerTimestamp {
            return Err(ArchiveError::Invalid(
                "a window of producer time holds what was sent later anyway: sweep it without late uploads"
                    .into(),
            ));
        }
        let layout = Layout::new(&request.destination.s3.prefix, stream, &request.recording);
        let folder = self.folder(&layout).await?;
        let chain = self.chain(request, &layout, &folder).await?;
        if let Some(named) = &sweep.predecessor {
            chain.must_hold(named)?;
        }
        let circumstances = self.circumstances(stream).await?;
        let assignment = Assignment {
            stream,
            layout: &layout,
            cause: request.cause.as_ref(),
            circumstances,
        };
        let (mut holdings, mut new) = self.compare(request, &assignment, &folder, &chain, sweep).await?;
        if let Some(done) = chain.of(sweep.number) {
            return Ok(ArchiveReport {
                listed_at: done.last_modified,
                counts: holdings.counts(),
                ..ArchiveReport::committed(done)
            });
        }
        let mut lost = Vec::new();
        let mut kept = None;
        if !chain.begun {
            kept = self.retry(&assignment, &holdings, &mut new, &mut lost).await?;
        }
        let nothing_new = new.is_empty() && lost.is_empty() && !chain.begun;
        if nothing_new && !(sweep.close && holdings.unread.is_empty()) {
            return Ok(ArchiveReport {
                listed_at: Some(circumstances.now),
                counts: holdings.counts(),
                losses: holdings.losses.into_iter().take(20).collect(),
                ..ArchiveReport::new(Outcome::NothingNew)
            });
        }
        if nothing_new && let Some((position, through)) = chain.closing {
            return self.close(request, &layout, (position, through), holdings).await;
        }
        new.sort_by(|a, b| a.number.cmp(&b.number));
        new.truncate(FRAGMENTS);
        let cut = plan::cut(new, &request.clip, None);
        let mut plan = Plan {
            version: plan::VERSION,
            stream_arn: request.stream_arn.clone(),
            recording: request.recording.clone(),
            work: Work::Sweep {
                position: chain.next,
                number: sweep.number,
                through: sweep.through,
                close: nothing_new,
            },
            clip: request.clip.clone(),
            predecessor: chain.finds.last().map(|(m, _)| m.object.clone()),
            chunks: cut.chunks,
            // Footage that was found later lies in what earlier manifests name gaps; it makes none itself.
            gaps: Vec::new(),
            repeats: cut.repeats,
            covered: None,
            lost_spans: Vec::new(),
            lost,
        };
        let plan = loop {
            let key = layout.key(File::Plan(plan.work.piece()));
            let there = self.store.commit(key, plan.clone()).await?;
            self.is_ours(request, &there)?;
            match (there.content.work, &mut plan.work) {
                (
                    Work::Sweep {
                        close: true,
                        position,
                        through,
                        ..
                    },
                    _,
                ) if nothing_new => {
                    return self.close(request, &layout, (position, through), holdings).await;
                }
                // Somebody closed who did not see what was found here: it goes behind that.
                (Work::Sweep { close: true, .. }, Work::Sweep { position, .. }) => *position += 1,
                _ => break there,
            }
        };
        let manifest = self.carry_out(&assignment, plan, kept).await?;
        holdings.add(&manifest.content, &manifest.object, circumstances.now);
        Ok(ArchiveReport {
            listed_at: Some(circumstances.now),
            counts: holdings.counts(),
            ..ArchiveReport::committed(&manifest)
        })
    }

    /// A number that no sweep of the recording that found something has: for who keeps no count.
    pub async fn unused_sweep_number(&self, request: &ArchiveRequest) -> Result<u32> {
        let stream = request
            .stream_arn
            .parse::<StreamArn>()
            .map_err(|e| ArchiveError::Invalid(e.to_string()))?;
        let layout = Layout::new(&request.destination.s3.prefix, &stream, &request.recording);
        let folder = self.folder(&layout).await?;
        Ok(self.chain(request, &layout, &folder).await?.unused_number())
    }

    /// Goes through all manifests, in parts of the window that each are listed again: what they hold, and what is new.
    async fn compare(
        &self,
        request: &ArchiveRequest,
        assignment: &Assignment<'_>,
        folder: &Folder,
        chain: &Chain,
        sweep: &Sweep,
    ) -> Result<(Holdings, Vec<Fragment>)> {
        let found_later: HashSet<FragmentNumber> = chain
            .finds
            .iter()
            .flat_map(|(m, _)| settled(&m.content))
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
                let written = last_modified.unwrap_or(assignment.circumstances.now);
                holdings.add(&manifest.content, &manifest.object, written);
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
            let by = request.recording.timestamp_type;
            let fragments = self.list_again(by, assignment, window).await?;
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
        if sweep.late_uploads {
            let from = request
                .recording
                .start
                .checked_sub(FRAGMENT)
                .unwrap_or(Timestamp::MIN);
            let window = (from, sweep.through);
            let inside = request.recording.start..sweep.through;
            let by_producer = self
                .list_again(TimestampType::ProducerTimestamp, assignment, window)
                .await?;
            let late = by_producer.into_iter().filter(|f| !inside.contains(&f.server));
            new.extend(late.filter(|f| !found_later.contains(&f.number)));
        }
        for (manifest, written) in &chain.finds {
            let written = written.unwrap_or(assignment.circumstances.now);
            holdings.add(&manifest.content, &manifest.object, written);
        }
        new.retain(|f| !holdings.unread.contains_key(&f.number));
        Ok((holdings, new))
    }

    async fn list_again(
        &self,
        by: TimestampType,
        assignment: &Assignment<'_>,
        (mut from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Fragment>> {
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
    /// rest stays as it is. What came is kept, so that it is not read twice.
    async fn retry(
        &self,
        assignment: &Assignment<'_>,
        holdings: &Holdings,
        new: &mut Vec<Fragment>,
        lost: &mut Vec<LostFragment>,
    ) -> Result<Option<Kept>> {
        let c = assignment.circumstances;
        let mut fetcher = Fetcher::new(
            self.footage.clone(),
            assignment.stream.clone(),
            self.clock.node().clone(),
            self.fragments_per_second,
        );
        if holdings.unread.is_empty() {
            return Ok(None);
        }
        let tombstones = self.tombstones(assignment.layout).await?;
        let (erased, unread): (Vec<_>, Vec<_>) = holdings
            .unread
            .values()
            .partition(|open| tombstones.takes(&open.fragment).is_some());
        new.extend(erased.into_iter().map(|open| open.fragment.clone()));
        let (gone, open): (Vec<_>, Vec<_>) = unread.into_iter().partition(|open| {
            c.gone
                || open
                    .fragment
                    .server
                    .checked_add(c.retention)
                    .is_ok_and(|expiry| expiry < c.now)
        });
        for open in gone {
            let reason = c.lost(&open.fragment, &open.why, open.since);
            lost.push(LostFragment {
                fragment: open.fragment.clone(),
                reason: reason.unwrap_or_else(|| c.expired()),
            });
        }
        let mut kept = Kept::new(self.spool.body()?);
        for group in open.chunks(RETRIED_AT_ONCE) {
            let wanted: Vec<_> = group.iter().map(|open| open.fragment.clone()).collect();
            let begin = kept.body().len();
            let deliveries = match fetcher.fetch(&wanted, kept.body()).await {
                Ok(deliveries) => deliveries,
                // Still refused, all of them: as before.
                Err(ArchiveError::Denied(_)) => return Ok(Some(kept)),
                Err(e) => return Err(e),
            };
            kept.keep(begin, wanted.iter().zip(&deliveries))?;
            for (open, delivery) in group.iter().zip(deliveries) {
                let fragment = &open.fragment;
                match delivery {
                    Delivery::Unread(again) => {
                        if let Some(reason) = c.lost(fragment, &again, open.since.filter(|_| !again.denied)) {
                            lost.push(LostFragment {
                                fragment: fragment.clone(),
                                reason,
                            });
                        }
                    }
                    Delivery::Whole(_) | Delivery::Raw(_) | Delivery::Erased(_) => new.push(fragment.clone()),
                }
            }
        }
        Ok(Some(kept))
    }

    /// Writes the root of the closing at a position; one that is there, of this closing or a later one, wins.
    async fn close(
        &self,
        request: &ArchiveRequest,
        layout: &Layout,
        (position, through): (u32, Timestamp),
        holdings: Holdings,
    ) -> Result<ArchiveReport> {
        let root = Root {
            version: plan::VERSION,
            program: PROGRAM.into(),
            stream_arn: request.stream_arn.clone(),
            recording: request.recording.clone(),
            cause: request.cause.clone(),
            through,
            position,
            counts: holdings.counts(),
            manifests: holdings.manifests,
            losses: holdings.losses,
        };
        let mut there = self.store.commit(layout.key(File::Root), root.clone()).await?;
        if there.content.position < position {
            let key = layout.key(File::LaterRoot(position));
            there = self.store.commit(key, root).await?;
        }
        let root = there.content;
        Ok(ArchiveReport {
            listed_at: there.last_modified,
            counts: root.counts,
            losses: root.losses.into_iter().take(20).collect(),
            root: Some(there.object),
            ..ArchiveReport::new(Outcome::Closed)
        })
    }
}

/// The fragments that a manifest names as archived, erased or lost.
fn settled(manifest: &Manifest) -> impl Iterator<Item = &FragmentNumber> {
    manifest
        .fragments
        .iter()
        .filter(|e| !matches!(e.fate, Fate::Unread(_)))
        .map(|e| &e.fragment.number)
}
