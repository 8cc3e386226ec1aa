//! The walk over EBML elements as bytes arrive: Segment, Cluster and BlockGroup are entered, small elements are handed out
//! whole, frames are never held: their place is noted and they are passed over.
//!
//! Our own, because webm-iterable wants every element whole in memory, and a frame may have 50 MB. What is handed out whole
//! is read by it (`metadata.rs`).

use super::block::{self, BlockHead, Parsed};

pub(super) const EBML: u32 = 0x1A45_DFA3;
pub(super) const SEGMENT: u32 = 0x1853_8067;
pub(super) const CLUSTER: u32 = 0x1F43_B675;
pub(super) const INFO: u32 = 0x1549_A966;
pub(super) const TRACKS: u32 = 0x1654_AE6B;
pub(super) const TAGS: u32 = 0x1254_C367;
pub(super) const TIMESTAMP: u32 = 0xE7;
pub(super) const BLOCK_DURATION: u32 = 0x9B;
pub(super) const REFERENCE_BLOCK: u32 = 0xFB;
pub(super) const DISCARD_PADDING: u32 = 0x75A2;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;
/// SeekHead, Cues, Attachments, Chapters: children of the Segment that say nothing to us.
const OTHER_IN_SEGMENT: [u32; 4] = [0x114D_9B74, 0x1C53_BB6B, 0x1941_A469, 0x1043_A770];
/// Position, PrevSize, EncryptedBlock, SilentTracks.
const OTHER_IN_CLUSTER: [u32; 4] = [0xA7, 0xAB, 0xAF, 0x5854];

/// The largest element that is held in memory. Tracks with parameter sets have a few hundred bytes.
const HELD: u64 = 1 << 20;

/// What the walk meets.
#[derive(Debug)]
pub(super) enum Element {
    /// An EBML header: a document begins at `at`.
    Document { at: u64 },
    /// A small element, with its header.
    Held { id: u32, header: usize, bytes: Vec<u8> },
    /// A cluster begins; whether it states its size.
    Cluster { sized: bool },
    /// A Block or SimpleBlock; its frames begin at `data`.
    Block {
        head: BlockHead,
        simple: bool,
        data: u64,
    },
    /// A BlockGroup begins.
    Group,
    /// A BlockGroup is over.
    GroupEnd,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    id: u32,
    /// Where it ends, if it says so.
    end: Option<u64>,
}

/// The state of the walk.
#[derive(Debug)]
pub(super) struct Walk {
    pending: Vec<u8>,
    /// How much of `pending` is done with.
    done: usize,
    /// Where the next byte of `pending` lies in the spool.
    at: u64,
    /// How many bytes to pass over.
    skip: u64,
    levels: Vec<Level>,
    /// Where the document began, once one has.
    document: Option<u64>,
    /// How long a document may be.
    longest: u64,
}

pub(super) type Refusal = &'static str;

impl Walk {
    pub fn new(at: u64, longest: u64) -> Self {
        Self {
            pending: vec![],
            done: 0,
            at,
            skip: 0,
            levels: vec![],
            document: None,
            longest,
        }
    }

    /// Where the walk stands in the spool.
    pub fn at(&self) -> u64 {
        self.at
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.done);
        self.done = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next element; `None` where more bytes are needed.
    pub fn next(&mut self) -> Result<Option<Element>, Refusal> {
        loop {
            let over = self.skip.min((self.pending.len() - self.done) as u64);
            self.advance(over);
            self.skip -= over;
            if self.skip > 0 {
                return Ok(None);
            }
            while let Some(level) = self.levels.pop_if(|l| l.end == Some(self.at)) {
                if level.id == BLOCK_GROUP {
                    return Ok(Some(Element::GroupEnd));
                }
            }
            let Some((id, size, header)) = header(&self.pending[self.done..])? else {
                return Ok(None);
            };
            if self.close_before(id)? {
                return Ok(Some(Element::GroupEnd));
            }
            let begin = self.at + header as u64;
            let end = match size {
                Some(size) => Some(begin.checked_add(size).ok_or("an element of impossible size")?),
                None => None,
            };
            self.bounds(id, end.unwrap_or(begin))?;
            match id {
                SEGMENT | CLUSTER | BLOCK_GROUP => {
                    self.levels.push(Level { id, end });
                    self.advance(header as u64);
                    match id {
                        CLUSTER => return Ok(Some(Element::Cluster { sized: end.is_some() })),
                        BLOCK_GROUP => return Ok(Some(Element::Group)),
                        _ => continue,
                    }
                }
                _ => {}
            }
            let size = size.ok_or("an element of unknown size that must have one")?;
            match id {
                SIMPLE_BLOCK | BLOCK => match block::parse(&self.pending[self.done + header..], size) {
                    Parsed::More => return Ok(None),
                    Parsed::Bad(refusal) => return Err(refusal),
                    Parsed::Head(head) => {
                        let data = begin + head.len;
                        self.advance(header as u64);
                        self.skip = size;
                        return Ok(Some(Element::Block {
                            head,
                            simple: id == SIMPLE_BLOCK,
                            data,
                        }));
                    }
                },
                EBML | INFO | TRACKS | TAGS | TIMESTAMP | BLOCK_DURATION | REFERENCE_BLOCK
                | DISCARD_PADDING => {
                    if size > HELD {
                        return Err("metadata of more than a megabyte");
                    }
                    let whole = header + size as usize;
                    if self.pending.len() - self.done < whole {
                        return Ok(None);
                    }
                    if id == EBML {
                        let at = self.at;
                        self.document = Some(at);
                        self.advance(whole as u64);
                        return Ok(Some(Element::Document { at }));
                    }
                    let bytes = self.pending[self.done..self.done + whole].to_vec();
                    self.advance(whole as u64);
                    return Ok(Some(Element::Held { id, header, bytes }));
                }
                _ => {
                    self.advance(header as u64);
                    self.skip = size;
                }
            }
        }
    }

    /// Whether a body may end here: after whole elements, and not inside one that states its size.
    pub fn may_end(&self) -> bool {
        self.skip == 0
            && self.done == self.pending.len()
            && self.levels.iter().all(|l| l.end.is_none_or(|e| e == self.at))
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes as usize;
        self.at += bytes;
    }

    /// Ends the levels of unknown size that `id` ends; true if a group was ended, which is to be told first.
    fn close_before(&mut self, id: u32) -> Result<bool, Refusal> {
        let parent = match id {
            EBML => None,
            SEGMENT => None,
            CLUSTER | INFO | TRACKS | TAGS => Some(SEGMENT),
            TIMESTAMP | SIMPLE_BLOCK | BLOCK_GROUP => Some(CLUSTER),
            BLOCK | BLOCK_DURATION | REFERENCE_BLOCK | DISCARD_PADDING => Some(BLOCK_GROUP),
            _ if OTHER_IN_SEGMENT.contains(&id) => Some(SEGMENT),
            _ if OTHER_IN_CLUSTER.contains(&id) => Some(CLUSTER),
            // Padding, checksums and what we do not know are at home anywhere.
            _ => return Ok(false),
        };
        while let Some(level) = self.levels.last().copied() {
            if Some(level.id) == parent {
                return Ok(false);
            }
            if level.end.is_some() {
                return Err("an element where it does not belong");
            }
            self.levels.pop();
            if level.id == BLOCK_GROUP {
                return Ok(true);
            }
        }
        match parent {
            None => Ok(false),
            Some(_) => Err("an element where it does not belong"),
        }
    }

    /// Refuses an element that leaves its parent, or that makes the document impossibly long.
    fn bounds(&self, id: u32, end: u64) -> Result<(), Refusal> {
        if id == EBML {
            return Ok(());
        }
        let Some(document) = self.document else {
            return Err("no EBML header at the beginning");
        };
        if self
            .levels
            .iter()
            .any(|l| l.end.is_some_and(|parent| parent < end))
        {
            return Err("an element that is longer than what it is in");
        }
        if end - document > self.longest {
            return Err("a document that is longer than a fragment can be");
        }
        Ok(())
    }
}

/// An element's id, its size (`None` = unknown) and how long both are; `None` if they have not all arrived.
pub(super) fn header(bytes: &[u8]) -> Result<Option<(u32, Option<u64>, usize)>, Refusal> {
    let Some(first) = bytes.first() else {
        return Ok(None);
    };
    let id_len = first.leading_zeros() as usize + 1;
    if id_len > 4 {
        return Err("bytes that are no element");
    }
    let Some(size_first) = bytes.get(id_len) else {
        return Ok(None);
    };
    let size_len = size_first.leading_zeros() as usize + 1;
    if size_len > 8 {
        return Err("an element whose size has more than eight bytes");
    }
    let Some(size) = bytes.get(id_len..id_len + size_len) else {
        return Ok(None);
    };
    let id = bytes[..id_len].iter().fold(0, |id, b| id << 8 | u32::from(*b));
    let mask = (1u64 << (7 * size_len)) - 1;
    let size = size.iter().fold(0, |size, b| size << 8 | u64::from(*b)) & mask;
    Ok(Some((id, (size != mask).then_some(size), id_len + size_len)))
}
