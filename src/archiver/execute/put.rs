//! The third stage: files go to S3; and what became of every fragment.
//!
//! May: put files and tags into S3, decide what is lost. May not: fetch, make files.

use super::super::{
    Archiver,
    error::{ArchiveError, Result},
    fetch::Fetcher,
    keys::File,
    loss::Circumstances,
    manifest::{ArchivedObject, Entry, Fate, FragmentTags, Unread},
    plan::{Plan, VERSION},
    progress::Event,
};
use super::{
    Assignment,
    make::{NewFile, Ready},
};
use crate::aws::{
    Fragment,
    objects::{Content, NewObject},
};

/// What has been done of a plan.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) objects: Vec<ArchivedObject>,
    pub(super) entries: Vec<Entry>,
}

impl Archiver {
    /// Puts the files of a chunk into S3.
    pub(super) async fn put(
        &self,
        assignment: &Assignment<'_>,
        plan: &Plan,
        mut ready: Ready<'_>,
        work: &mut Work,
    ) -> Result<()> {
        let begin = work.entries.len();
        for (fragment, fate) in std::mem::take(&mut ready.missing) {
            self.left_out(work, fragment, fate);
        }
        let mut number = 0;
        for (part, fragments) in std::mem::take(&mut ready.present) {
            self.stored(&part.key, part.stored.bytes, fragments, true);
            let object = ArchivedObject {
                key: part.key,
                sha256: part.stored.sha256,
                bytes: part.stored.bytes,
                chunk: ready.index as u32,
                part: number,
                flags: part.flags,
            };
            work.archived(object, fragments, part.tags);
            number += 1;
        }
        for file in std::mem::take(&mut ready.files) {
            self.put_file(assignment, plan, (&ready, number), file, work)
                .await?;
            number += 1;
        }
        work.entries[begin..].sort_by(|a, b| a.fragment.number.cmp(&b.fragment.number));
        Ok(())
    }

    async fn put_file(
        &self,
        assignment: &Assignment<'_>,
        plan: &Plan,
        (ready, number): (&Ready<'_>, u32),
        file: NewFile,
        work: &mut Work,
    ) -> Result<()> {
        let NewFile {
            output,
            made,
            fragments,
            tags,
            metadata,
        } = file;
        let (Some(first), Some(last)) = (fragments.first(), fragments.last()) else {
            return Ok(());
        };
        let mut id = assignment
            .layout
            .footage_id(plan.work.piece(), ready.index, number as usize);
        fragments.iter().for_each(|f| id.add(&f.number));
        if tags.iter().any(|tags| !tags.is_empty()) {
            let (version, tags) = (VERSION, tags.clone());
            let key = assignment.layout.key(File::Tags(id.id()));
            self.store.commit(key, FragmentTags { version, tags }).await?;
        }
        let day = ready.chunk.day(first);
        let object = NewObject {
            key: assignment
                .layout
                .footage(&id.id(), day, first, last, made.kind.extension()),
            content: Content::File(output.path().to_owned(), made.bytes),
            sha256: made.sha256,
            content_type: made.kind.content_type(),
            metadata,
            attributes: self.store.footage_attributes()?,
        };
        let stored = self.store.footage(&object).await?;
        self.stored(&object.key, stored.bytes, &fragments, false);
        let object = ArchivedObject {
            key: object.key,
            sha256: stored.sha256,
            bytes: stored.bytes,
            chunk: ready.index as u32,
            part: number,
            flags: made.flags,
        };
        work.archived(object, &fragments, tags);
        Ok(())
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

    fn stored(&self, key: &str, bytes: u64, fragments: &[Fragment], found: bool) {
        self.watcher.see(&Event::Stored { key, bytes, found });
        let listed = fragments.iter().map(|f| f.bytes).sum();
        self.watcher.see(&Event::Done {
            fragments: fragments.len() as u64,
            bytes: listed,
        });
    }
}

impl Work {
    fn archived(&mut self, object: ArchivedObject, fragments: &[Fragment], tags: Vec<Vec<(String, String)>>) {
        let index = self.objects.len() as u32;
        self.objects.push(object);
        let tags = tags.into_iter().chain(std::iter::repeat(Vec::new()));
        self.entries
            .extend(fragments.iter().zip(tags).map(|(fragment, tags)| Entry {
                fragment: fragment.clone(),
                fate: Fate::Object(index),
                tags,
            }));
    }
}

/// Decides what is lost of what could not be read, and whether the work can be committed at all.
pub(super) fn settle(work: &mut Work, fetcher: Fetcher, circumstances: &Circumstances) -> Result<()> {
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
