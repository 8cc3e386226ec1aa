//! What of a plan lies in S3 already: asked before anything is fetched, so that nothing is paid for at KVS twice.

use std::collections::{BTreeSet, HashMap};

use super::{
    error::Result,
    keys::{File, FootageId, Layout, Piece, fragment_set},
    manifest::{Flag, FragmentTags},
    plan::{Chunk, Plan},
    store::{Store, Stored, metadata, stored},
};
use crate::aws::{Fragment, StreamArn};

/// Files of footage by the id in their key.
#[derive(Debug, Default)]
pub struct Present {
    keys: HashMap<FootageId, String>,
}

/// A part of a chunk that is in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentPart {
    /// Its key.
    pub key: String,
    /// Checksum and size.
    pub stored: Stored,
    /// What its writer noted.
    pub flags: Vec<Flag>,
    /// The producer's tags of its fragments, in their order; nothing where none has any.
    pub tags: Vec<Vec<(String, String)>>,
    /// How many of the chunk's fragments it holds, from where it was looked for.
    pub fragments: usize,
}

impl Present {
    /// Lists the days of a plan's footage.
    pub async fn look(store: &Store, layout: &Layout, plan: &Plan) -> Result<Self> {
        let all = || {
            plan.chunks
                .iter()
                .flat_map(|c| c.fragments.iter().map(|f| c.day(f)))
        };
        let days: BTreeSet<_> = all().map(|day| layout.day(day)).collect();
        let mut keys = HashMap::new();
        for day in days {
            for object in store.list(&day, "").await? {
                if let Some(id) = FootageId::of_key(&object.key) {
                    keys.insert(id, object.key);
                }
            }
        }
        Ok(Self { keys })
    }

    /// Part `part` of a chunk, which begins with the first of `fragments`, if it is in S3. Its end is not known before it is
    /// read (a codec change), so every end is tried: the id says which one it is.
    pub async fn part(
        &self,
        store: &Store,
        layout: &Layout,
        stream: &StreamArn,
        place: (Piece, usize, usize),
        fragments: &[Fragment],
    ) -> Result<Option<PresentPart>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let mut id = layout.footage_id(place.0, place.1, place.2);
        let mut longest = None;
        for (count, fragment) in (1..).zip(fragments) {
            id.add(&fragment.number);
            longest = self
                .keys
                .get_key_value(&id.id())
                .map(|found| (found, count))
                .or(longest);
        }
        let Some(((id, key), count)) = longest else {
            return Ok(None);
        };
        let Some(head) = store.head(key).await? else {
            return Ok(None);
        };
        let set = fragment_set(stream, fragments[..count].iter().map(|f| &f.number));
        let tags = match head.metadata.get(metadata::TAGGED).map(String::as_str) {
            Some("0") => Some(Vec::new()),
            _ => {
                let key = layout.key(File::Tags(*id));
                store
                    .document::<FragmentTags>(&key)
                    .await?
                    .map(|d| d.content.tags)
            }
        };
        // Tags are kept beside the file, or else only in the footage: then it is read again for them.
        let understood = head.metadata.get(metadata::FRAGMENT_SET) == Some(&set);
        let Some(tags) = tags.filter(|tags| understood && (tags.is_empty() || tags.len() == count)) else {
            return Ok(None);
        };
        let Some(stored) = stored(&head) else {
            return Ok(None);
        };
        let flags = head
            .metadata
            .get(metadata::FLAGS)
            .map(String::as_str)
            .unwrap_or_default();
        let flags = flags.split(',').filter_map(Flag::named).collect();
        Ok(Some(PresentPart {
            key: key.clone(),
            stored,
            flags,
            tags,
            fragments: count,
        }))
    }
}

impl Chunk {
    /// The time whose day stands in the key of a part that begins with this fragment.
    pub fn day(&self, first: &Fragment) -> jiff::Timestamp {
        if self.clock_skew {
            first.server
        } else {
            first.producer
        }
    }
}
