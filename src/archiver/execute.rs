//! Carrying out a plan: the chunks that are not in S3 yet go down a line of three stages, then the manifest is committed.
//!
//! While one chunk's files go to S3 (`put`), those of the next are made, and the one behind it is fetched (`make`); before all
//! that, S3 is asked what it has (`wanted`). May not: change the plan. Whoever carries it out, and however often, comes to the
//! same keys.

mod make;
mod put;
mod wanted;

use std::future::Future;

use self::{
    make::{Fetched, Ready},
    put::{Work, settle},
    wanted::Wanted,
};
use super::{
    Archiver,
    error::{ArchiveError, Result},
    fetch::{Fetcher, Kept},
    keys::{File, Layout},
    loss::Circumstances,
    manifest::Manifest,
    plan::Plan,
    present::Present,
    progress::Event,
    store::Document,
    tombstone::{Tombstone, Tombstones},
};
use crate::{api::Cause, aws::StreamArn};

/// The most frames of a chunk in whose making the next may be fetched: what bounds memory where a file has very many.
const FRAMES_AHEAD: usize = 100_000;

/// The most bytes of the spool in which all three stages work at once; where chunks are larger, one is made before the next is
/// fetched, so that no more lies there than twice a chunk.
const LINE: u64 = 1 << 30;

/// What a plan is carried out for.
#[derive(Debug)]
pub struct Assignment<'a> {
    /// The stream.
    pub stream: &'a StreamArn,
    /// Where everything goes.
    pub layout: &'a Layout,
    /// Why the recording exists.
    pub cause: Option<&'a Cause>,
    /// Retention, and whether the stream is there.
    pub circumstances: Circumstances,
}

/// What is on its way: no more than a chunk at the end of each stage.
#[derive(Debug, Default)]
struct Line<'a> {
    fetched: Option<Fetched<'a>>,
    ready: Option<Ready<'a>>,
}

impl Line<'_> {
    fn is_empty(&self) -> bool {
        self.fetched.is_none() && self.ready.is_none()
    }
}

impl Archiver {
    /// Carries out a plan and commits its manifest; one that is there wins. `kept`: what was read already.
    pub async fn carry_out(
        &self,
        assignment: &Assignment<'_>,
        plan: Document<Plan>,
        kept: Option<Kept>,
    ) -> Result<Document<Manifest>> {
        let Document {
            content: plan,
            object,
            found,
            ..
        } = plan;
        let key = assignment.layout.key(File::Manifest(plan.work.piece()));
        if found && let Some(manifest) = self.store.document::<Manifest>(&key).await? {
            return Ok(manifest);
        }
        let fragments = || plan.chunks.iter().flat_map(|c| &c.fragments);
        self.watcher.see(&Event::Planned {
            fragments: fragments().count() as u64,
            bytes: fragments().map(|f| f.bytes).sum(),
        });
        // A plan that was there may have been carried out in part; of one that is new, nothing can be there.
        let present = if found {
            Present::look(&self.store, assignment.layout, &plan).await?
        } else {
            Present::default()
        };
        // The plan is in S3: whoever erases from now on sees it, and whoever erased before left a tombstone.
        let erased = self.tombstones(assignment.layout).await?;
        let clock = self.clock.node().clone();
        let mut fetcher = Fetcher::new(
            self.footage.clone(),
            assignment.stream.clone(),
            clock,
            self.fragments_per_second,
        )
        .keeping(kept);
        let mut work = Work::default();
        let mut line = Line::default();
        for place in plan.chunks.iter().enumerate() {
            let wanted = self
                .wanted(assignment, &plan, (&present, &erased), &mut fetcher, place)
                .await?;
            while !line.is_empty() && !self.fits(&line, &wanted) {
                self.step(assignment, &plan, &mut line, &mut work, async { Ok(None) })
                    .await?;
            }
            let fetch = async { self.fetch(&mut fetcher, wanted, &erased).await.map(Some) };
            self.step(assignment, &plan, &mut line, &mut work, fetch).await?;
        }
        while !line.is_empty() {
            self.step(assignment, &plan, &mut line, &mut work, async { Ok(None) })
                .await?;
        }
        let mut circumstances = assignment.circumstances;
        circumstances.gone |= fetcher.stream_is_gone();
        circumstances.now = self.clock.now().unwrap_or(circumstances.now);
        settle(&mut work, fetcher, &circumstances)?;
        let manifest = Manifest::of(
            &plan,
            object,
            assignment.cause.cloned(),
            work.objects,
            work.entries,
        );
        self.store.commit(key, manifest).await
    }

    /// One chunk goes to S3, the files of the next are made, and another is fetched. What fails to be made or fetched waits for
    /// what was fetched before it: that is paid for, and goes to S3 first.
    async fn step<'a>(
        &self,
        assignment: &Assignment<'_>,
        plan: &Plan,
        line: &mut Line<'a>,
        work: &mut Work,
        fetch: impl Future<Output = Result<Option<Fetched<'a>>>>,
    ) -> Result<()> {
        let Line { fetched, ready } = std::mem::take(line);
        let put = async {
            match ready {
                Some(ready) => self.put(assignment, plan, ready, work).await,
                None => Ok(()),
            }
        };
        let make = async {
            Ok(match fetched {
                Some(fetched) => self
                    .make(assignment, plan.clip.container, fetched)
                    .await
                    .map(Some),
                None => Ok(None),
            })
        };
        let fetch = async { Ok(fetch.await) };
        let ((), made, fetched) = tokio::try_join!(put, make, fetch)?;
        let ready = made?;
        match fetched {
            Ok(fetched) => {
                *line = Line { fetched, ready };
                Ok(())
            }
            Err(e) => {
                if let Some(ready) = ready {
                    self.put(assignment, plan, ready, work).await?;
                }
                Err(e)
            }
        }
    }

    /// Whether a chunk can be fetched while those before it are made and put into S3: in disk and in memory.
    fn fits(&self, line: &Line<'_>, next: &Wanted<'_>) -> bool {
        let fetched = line.fetched.as_ref().map_or(0, Fetched::bytes);
        let ready = line.ready.as_ref().map_or(0, Ready::bytes);
        let together = fetched * 2 + ready + next.bytes();
        (fetched == 0 || together <= LINE)
            && line.fetched.as_ref().is_none_or(|f| f.frames() <= FRAMES_AHEAD)
            && self.spool.has_room(fetched.saturating_add(next.room())).is_ok()
    }

    /// What was erased of the stream. A tombstone that cannot be understood is a conflict: its footage must not come back.
    pub(super) async fn tombstones(&self, layout: &Layout) -> Result<Tombstones> {
        let mut erased = Tombstones::default();
        for object in self.store.list(&layout.tombstones(), "").await? {
            let Some(found) = self.store.document::<Tombstone>(&object.key).await? else {
                return Err(ArchiveError::Conflict {
                    key: object.key,
                    why: "it was listed and is gone".into(),
                });
            };
            erased.0.push((object.key, found.content));
        }
        Ok(erased)
    }
}
