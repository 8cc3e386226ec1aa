//! Carrying out a plan: chunk by chunk what is not in S3 yet, one being fetched while the one before it is stored, then the
//! manifest.
//!
//! May: fetch, write files, commit. May not: change the plan. Whoever carries it out, and however often, comes to the same keys.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Archiver,
    error::{ArchiveError, Result},
    fetch::{Delivery, Fetcher},
    keys::{File, Layout},
    loss::Circumstances,
    manifest::{ArchivedObject, Entry, Fate, FragmentTags, Manifest, Unread},
    part::{self, Part},
    plan::{Chunk, Plan, VERSION},
    present::{Present, PresentPart},
    progress::Event,
    spool::Body,
    store::Document,
    tombstone::{Tombstone, Tombstones},
};
use crate::{
    api::Cause,
    aws::{
        Fragment, StreamArn,
        objects::{Content, NewObject},
    },
};

/// What must be free in the spool beyond a chunk and its file.
const ROOM: u64 = 64 << 20;

/// The most frames of a chunk in whose making the next may be fetched: what bounds memory where a file has very many.
const FRAMES_AHEAD: usize = 100_000;

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

/// A chunk before it is fetched.
#[derive(Debug)]
struct Wanted<'a> {
    index: usize,
    chunk: &'a Chunk,
    /// Its first parts, where they are in S3, and their fragments.
    present: Vec<(PresentPart, &'a [Fragment])>,
    /// Fragments before the others that tombstones take, with their keys.
    erased: Vec<(&'a Fragment, String)>,
    /// The fragments that are not; tombstones may take some.
    rest: &'a [Fragment],
}

impl Wanted<'_> {
    /// How much of the spool it takes: the media as they come, the file that is made of them, and what a broken body costs.
    fn room(&self) -> u64 {
        let listed: u64 = self.rest.iter().map(|f| f.bytes).sum();
        listed.saturating_mul(2).saturating_add(ROOM)
    }
}

/// A chunk whose fragments lie in the spool.
#[derive(Debug)]
struct Fetched<'a> {
    wanted: Wanted<'a>,
    delivered: Vec<(Fragment, Delivery)>,
    body: Arc<Body>,
}

impl Fetched<'_> {
    fn frames(&self) -> usize {
        let frames = self.delivered.iter().map(|(_, delivery)| match delivery {
            Delivery::Whole(media) => media.frames.len(),
            Delivery::Raw(_) | Delivery::Unread(_) | Delivery::Erased(_) => 0,
        });
        frames.sum()
    }
}

/// What has been done of a plan.
#[derive(Debug, Default)]
struct Work {
    objects: Vec<ArchivedObject>,
    entries: Vec<Entry>,
}

impl Archiver {
    /// Carries out a plan and commits its manifest; one that is there wins.
    pub async fn carry_out(
        &self,
        assignment: &Assignment<'_>,
        plan: Document<Plan>,
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
        );
        let mut work = Work::default();
        let mut before = None;
        for place in plan.chunks.iter().enumerate() {
            let wanted = self
                .wanted(assignment, &plan, (&present, &erased), &mut fetcher, place)
                .await?;
            let ahead = before.as_ref().is_none_or(|before| self.fits(before, &wanted));
            if !ahead && let Some(before) = before.take() {
                self.put(assignment, &plan, before, &mut work).await?;
            }
            // One chunk becomes a file and goes to S3 while the next is fetched. If that fails, what was fetched before is
            // stored first: it is paid for.
            let put = async {
                match before.take() {
                    Some(before) => self.put(assignment, &plan, before, &mut work).await,
                    None => Ok(()),
                }
            };
            let fetch = async { Ok(self.fetch(&mut fetcher, wanted, &erased).await) };
            let ((), fetched) = tokio::try_join!(put, fetch)?;
            before = Some(fetched?);
        }
        if let Some(last) = before {
            self.put(assignment, &plan, last, &mut work).await?;
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

    /// What of a chunk is in S3, and what is to be fetched.
    async fn wanted<'a>(
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

    /// Whether a chunk can be fetched while the one before it is made and stored: in disk and in memory.
    fn fits(&self, before: &Fetched<'_>, next: &Wanted<'_>) -> bool {
        before.frames() <= FRAMES_AHEAD
            && self
                .spool
                .has_room(before.body.len().saturating_add(next.room()))
                .is_ok()
    }

    /// Fetches what is wanted of a chunk into the spool.
    async fn fetch<'a>(
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

    /// Makes the files of a chunk and puts them into S3.
    async fn put(
        &self,
        assignment: &Assignment<'_>,
        plan: &Plan,
        fetched: Fetched<'_>,
        work: &mut Work,
    ) -> Result<()> {
        let Fetched {
            wanted:
                Wanted {
                    index,
                    chunk,
                    present,
                    erased,
                    ..
                },
            delivered,
            body,
        } = fetched;
        for (fragment, tombstone) in erased {
            self.left_out(work, fragment.clone(), Fate::Erased(tombstone));
        }
        let mut number = 0;
        for (part, fragments) in present {
            let fragments: Vec<_> = fragments.iter().collect();
            self.stored(&part.key, part.stored.bytes, &fragments, true);
            let object = ArchivedObject {
                key: part.key,
                sha256: part.stored.sha256,
                bytes: part.stored.bytes,
                chunk: index as u32,
                part: number as u32,
                flags: part.flags,
            };
            work.archived(object, fragments, part.tags);
            number += 1;
        }
        let (parts, missing) = part::parts(delivered, body.file())?;
        for (fragment, fate) in missing {
            self.left_out(work, fragment, fate);
        }
        let mut parts: VecDeque<_> = parts.into();
        while let Some(part) = parts.pop_front() {
            match self
                .write(assignment, plan, (index, number, chunk), part, &body)
                .await?
            {
                Ok((part, object)) => {
                    work.archived(object, part.fragments(), part.tags());
                    number += 1;
                }
                Err(unwritable) => unwritable
                    .raw()
                    .into_iter()
                    .rev()
                    .for_each(|raw| parts.push_front(raw)),
            }
        }
        let begin = work.entries.len() - chunk.fragments.len();
        work.entries[begin..].sort_by(|a, b| a.fragment.number.cmp(&b.fragment.number));
        Ok(())
    }

    /// Writes a part's file and puts it into S3; the part comes back where no file can be made of it.
    async fn write(
        &self,
        assignment: &Assignment<'_>,
        plan: &Plan,
        (index, number, chunk): (usize, usize, &Chunk),
        part: Part,
        body: &Arc<Body>,
    ) -> Result<std::result::Result<(Part, ArchivedObject), Part>> {
        let output = self.spool.file(&format!("{index}-{number}"));
        let (container, skew) = (plan.clip.container, chunk.clock_skew);
        let spooled = body.clone();
        let (part, output, made) = blocking(move || {
            let made = part.make(container, skew, spooled.file(), &output)?;
            Ok((part, output, made))
        })
        .await?;
        let Some(made) = made else { return Ok(Err(part)) };
        let fragments = part.fragments();
        let (Some(first), Some(last)) = (fragments.first(), fragments.last()) else {
            return Ok(Err(part));
        };
        let mut id = assignment.layout.footage_id(plan.work.piece(), index, number);
        fragments.iter().for_each(|f| id.add(&f.number));
        let tags = part.tags();
        if tags.iter().any(|tags| !tags.is_empty()) {
            let version = VERSION;
            let key = assignment.layout.key(File::Tags(id.id()));
            self.store.commit(key, FragmentTags { version, tags }).await?;
        }
        let key = assignment
            .layout
            .footage(&id.id(), chunk.day(first), first, last, made.kind.extension());
        let object = NewObject {
            key,
            content: Content::File(output.path().to_owned(), made.bytes),
            sha256: made.sha256,
            content_type: made.kind.content_type(),
            metadata: part.metadata(assignment.stream, &made),
            attributes: self.store.footage_attributes()?,
        };
        let stored = self.store.footage(&object).await?;
        self.stored(&object.key, stored.bytes, &fragments, false);
        let object = ArchivedObject {
            key: object.key,
            sha256: stored.sha256,
            bytes: stored.bytes,
            chunk: index as u32,
            part: number as u32,
            flags: made.flags,
        };
        Ok(Ok((part, object)))
    }

    /// Notes a fragment that goes into no file.
    fn left_out(&self, work: &mut Work, fragment: Fragment, fate: Fate) {
        self.watcher.see(&Event::Done {
            fragments: 1,
            bytes: fragment.bytes,
        });
        work.entries.push(Entry {
            fragment,
            fate,
            tags: Vec::new(),
        });
    }

    /// What was erased of the stream. A tombstone that cannot be understood is a conflict: its footage must not come back.
    pub(super) async fn tombstones(&self, layout: &Layout) -> Result<Tombstones> {
        let mut erased = Tombstones::default();
        for object in self.store.list(&layout.tombstones(), "").await? {
            let conflict = |why: String| ArchiveError::Conflict {
                key: object.key.clone(),
                why,
            };
            let Some(found) = self.store.document::<Tombstone>(&object.key).await? else {
                return Err(conflict("it was listed and is gone".into()));
            };
            let version = found.content.version;
            if version != VERSION {
                return Err(conflict(format!(
                    "it is of version {version}, this program knows version {VERSION}"
                )));
            }
            erased.0.push((object.key, found.content));
        }
        Ok(erased)
    }

    fn stored(&self, key: &str, bytes: u64, fragments: &[&Fragment], found: bool) {
        self.watcher.see(&Event::Stored { key, bytes, found });
        let listed = fragments.iter().map(|f| f.bytes).sum();
        self.watcher.see(&Event::Done {
            fragments: fragments.len() as u64,
            bytes: listed,
        });
    }
}

impl Work {
    fn archived(
        &mut self,
        object: ArchivedObject,
        fragments: Vec<&Fragment>,
        tags: Vec<Vec<(String, String)>>,
    ) {
        let index = self.objects.len() as u32;
        self.objects.push(object);
        let tags = tags.into_iter().chain(std::iter::repeat(Vec::new()));
        self.entries
            .extend(fragments.into_iter().zip(tags).map(|(fragment, tags)| Entry {
                fragment: fragment.clone(),
                fate: Fate::Object(index),
                tags,
            }));
    }
}

/// Decides what is lost of what could not be read, and whether the work can be committed at all.
fn settle(work: &mut Work, fetcher: Fetcher, circumstances: &Circumstances) -> Result<()> {
    let (mut archived, mut open, mut denied) = (0u64, 0u64, None);
    for entry in &mut work.entries {
        let why = match &entry.fate {
            Fate::Unread(why) => why,
            Fate::Erased(_) => continue,
            Fate::Object(_) | Fate::Lost(_) => {
                archived += 1;
                continue;
            }
        };
        match circumstances.lost(&entry.fragment, why, None) {
            Some(reason) => entry.fate = Fate::Lost(reason),
            None => {
                open += 1;
                if why.denied {
                    denied = Some(why.clone());
                }
            }
        }
    }
    let all_denied = work
        .entries
        .iter()
        .filter(|e| !matches!(e.fate, Fate::Erased(_)))
        .all(|e| matches!(&e.fate, Fate::Unread(Unread { denied: true, .. })));
    match (denied, fetcher.into_failure()) {
        (Some(why), _) if all_denied => Err(ArchiveError::Denied(why.reason)),
        // Calls failed and nothing was read: that is KVS's day, not these fragments'.
        (_, Some(failure)) if archived == 0 && open > 0 => Err(failure.into()),
        _ => Ok(()),
    }
}

/// Runs what computes or waits for the disk where it does not hold up the rest. A runtime of one thread does it in place:
/// then the order of things is the same each time.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::CurrentThread {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(ArchiveError::Media(std::io::Error::other(e).into())),
    }
}
