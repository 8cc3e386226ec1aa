//! Reads Matroska as it arrives, element by element, and hands on each with its bytes as they came.
//!
//! Knows the structure (what may follow what), not the service's limits. Memory: one element, at most [`MAX_ELEMENT`].

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use super::{
    Invalid,
    block::{self, Block},
    element::{self, Head},
    header::Header,
    ids, tags,
};

/// The largest element that is taken: the largest fragment (50 MB) and something for its head.
pub const MAX_ELEMENT: u64 = 51 * 1024 * 1024;

/// The largest header before the first Cluster.
const MAX_HEADER: usize = 4 * 1024 * 1024;

/// What was read. `raw` is the element as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Everything before the first Cluster, the Segment's size made unknown.
    Header {
        /// What it says.
        header: Header,
        /// The bytes.
        raw: Bytes,
    },
    /// A Cluster begins.
    Cluster {
        /// Its head.
        raw: Bytes,
        /// When its first byte arrived.
        arrived: Timestamp,
    },
    /// The Cluster's time, in ticks.
    Timestamp {
        /// Ticks.
        ticks: u64,
        /// The element.
        raw: Bytes,
    },
    /// A block: SimpleBlock or BlockGroup.
    Block {
        /// What it says; its frames are ranges of `raw` without its first `head` bytes.
        block: Block,
        /// The length of the element's head.
        head: usize,
        /// The element.
        raw: Bytes,
    },
    /// Tags after the first Cluster.
    Tags {
        /// Names and values.
        pairs: Vec<(String, String)>,
        /// The element.
        raw: Bytes,
    },
    /// Any other element in or after a Cluster.
    Other {
        /// The element.
        raw: Bytes,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Before the EBML element.
    Start,
    /// Between the EBML element and the Segment.
    Document,
    /// Among the Segment's children.
    Segment,
    /// In a Cluster, with so many bytes left where its size is known.
    Cluster(Option<u64>),
}

/// The reader.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    /// When the first byte of `buffer` arrived.
    since: Timestamp,
    /// When the last bytes arrived.
    now: Timestamp,
    place: Place,
    /// The header until the first Cluster.
    header: Option<(Header, Vec<u8>)>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            since: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
            place: Place::Start,
            header: Some((Header::default(), vec![])),
        }
    }
}

impl Reader {
    /// Takes bytes that have just arrived.
    pub fn push(&mut self, bytes: &[u8], now: Timestamp) {
        if self.buffer.is_empty() {
            self.since = now;
        }
        self.now = now;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether everything that arrived was whole: nothing of an element or a Cluster is missing.
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty() && matches!(self.place, Place::Segment | Place::Cluster(None | Some(0)))
    }

    /// The next thing that is complete; `None` where more bytes are needed.
    pub fn read(&mut self) -> Result<Option<Event>, Invalid> {
        loop {
            if self.place == Place::Cluster(Some(0)) {
                self.place = Place::Segment;
            }
            let Some(head) = element::head(&self.buffer)? else {
                return Ok(None);
            };
            match (&self.place, head.id) {
                (Place::Start, ids::EBML) => {
                    let Some(raw) = self.take(head)? else {
                        return Ok(None);
                    };
                    self.keep_header(&raw)?;
                    self.place = Place::Document;
                }
                (Place::Start, _) => return Err(Invalid("what came does not begin with an EBML header")),
                (Place::Document, ids::SEGMENT) => {
                    self.consume(head.len);
                    self.keep_header(&element::unknown_size(ids::SEGMENT))?;
                    self.place = Place::Segment;
                }
                (Place::Document, ids::VOID | ids::CRC_32) => {
                    if self.take(head)?.is_none() {
                        return Ok(None);
                    }
                }
                (Place::Document, _) => return Err(Invalid("no Segment follows the EBML header")),
                (Place::Cluster(None), id) if ids::ends_cluster(id) => self.place = Place::Segment,
                (Place::Cluster(_), _) => return self.in_cluster(head),
                (Place::Segment, ids::CLUSTER) => {
                    // The header goes first; the Cluster is looked at again in the call after this.
                    if let Some((header, raw)) = self.header.take() {
                        if header.tracks.is_empty() {
                            return Err(Invalid("a Cluster before any track"));
                        }
                        return Ok(Some(Event::Header {
                            header,
                            raw: raw.into(),
                        }));
                    }
                    let arrived = self.since;
                    self.place = Place::Cluster(head.size);
                    return Ok(Some(Event::Cluster {
                        raw: self.consume(head.len),
                        arrived,
                    }));
                }
                (Place::Segment, ids::EBML | ids::SEGMENT) => return Err(Invalid("more than one Segment")),
                (Place::Segment, id) => {
                    let Some(raw) = self.take(head)? else {
                        return Ok(None);
                    };
                    let content = raw.slice(head.len..);
                    if self.header.is_some() {
                        self.keep_header(&raw)?;
                        if let Some((header, _)) = &mut self.header {
                            match id {
                                ids::INFO => header.info(&content)?,
                                ids::TRACKS => header.tracks(&content)?,
                                _ => {}
                            }
                        }
                        continue;
                    }
                    return match id {
                        ids::TRACKS | ids::INFO => Err(Invalid("Tracks or Info after the first Cluster")),
                        ids::TAGS => Ok(Some(Event::Tags {
                            pairs: tags::read(&content)?,
                            raw,
                        })),
                        _ => Ok(Some(Event::Other { raw })),
                    };
                }
            }
        }
    }

    fn in_cluster(&mut self, head: Head) -> Result<Option<Event>, Invalid> {
        let size = head
            .size
            .ok_or(Invalid("an element of unknown size inside a Cluster"))?;
        let whole = size.saturating_add(head.len as u64);
        if let Place::Cluster(Some(left)) = self.place
            && whole > left
        {
            return Err(Invalid("an element is longer than its Cluster"));
        }
        let Some(raw) = self.take(head)? else {
            return Ok(None);
        };
        if let Place::Cluster(Some(left)) = &mut self.place {
            *left -= whole;
        }
        let content = &raw[head.len..];
        Ok(Some(match head.id {
            ids::TIMESTAMP => Event::Timestamp {
                ticks: element::uint(content)?,
                raw,
            },
            ids::SIMPLE_BLOCK => Event::Block {
                block: block::simple(content)?,
                head: head.len,
                raw,
            },
            ids::BLOCK_GROUP => Event::Block {
                block: block::group(content)?,
                head: head.len,
                raw,
            },
            _ => Event::Other { raw },
        }))
    }

    /// A whole element, once it is there.
    fn take(&mut self, head: Head) -> Result<Option<Bytes>, Invalid> {
        let size = head.size.ok_or(Invalid(
            "an element of unknown size that is no Segment and no Cluster",
        ))?;
        if size > MAX_ELEMENT {
            return Err(Invalid("an element is larger than the largest fragment"));
        }
        let whole = head.len + size as usize;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        Ok(Some(self.consume(whole)))
    }

    fn consume(&mut self, len: usize) -> Bytes {
        // What remains came with the last bytes: only the first element of the buffer can have begun earlier.
        self.since = self.now;
        self.buffer.split_to(len).freeze()
    }

    fn keep_header(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        if let Some((_, raw)) = &mut self.header {
            raw.extend_from_slice(bytes);
            if raw.len() > MAX_HEADER {
                return Err(Invalid("the header is too long"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use proptest::prelude::*;

    use super::*;

    /// Real footage where it lies beside the project, else made by ffmpeg; the head of it is enough.
    fn footage() -> Vec<Vec<u8>> {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
        let real =
            ["real_producer_putmedia.mkv", "vogels_480.mkv"].map(|name| std::fs::read(real.join(name)));
        let mut files: Vec<Vec<u8>> = real.into_iter().flatten().collect();
        if files.is_empty() {
            let ffmpeg = Command::new("ffmpeg")
                .args([
                    "-nostdin",
                    "-v",
                    "error",
                    "-f",
                    "lavfi",
                    "-i",
                    "testsrc2=s=160x120:r=25:d=3",
                ])
                .args(["-c:v", "libx264", "-g", "25", "-f", "matroska", "-"])
                .output()
                .unwrap();
            files.push(ffmpeg.stdout);
        }
        files.iter_mut().for_each(|f| f.truncate(200_000));
        files
    }

    fn events(pieces: impl IntoIterator<Item = Vec<u8>>) -> (Vec<Event>, Result<(), Invalid>) {
        let mut reader = Reader::default();
        let mut events = vec![];
        for piece in pieces {
            reader.push(&piece, Timestamp::UNIX_EPOCH);
            loop {
                match reader.read() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(error) => return (events, Err(error)),
                }
            }
        }
        (events, Ok(()))
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_bytes_arrive() {
        for file in footage() {
            let whole = events([file.clone()]);
            assert_eq!(whole.1, Ok(()));
            assert!(
                whole
                    .0
                    .iter()
                    .filter(|e| matches!(e, Event::Block { .. }))
                    .count()
                    > 5
            );
            for size in [1, 7, 1000] {
                assert_eq!(events(file.chunks(size).map(<[u8]>::to_vec)), whole);
            }
        }
    }

    #[test]
    fn a_cluster_arrived_when_its_first_byte_did() {
        let file = footage().remove(0);
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let mut reader = Reader::default();
        let mut arrivals = vec![];
        for (index, byte) in file.iter().enumerate() {
            reader.push(&[*byte], at(index as i64));
            while let Some(event) = reader.read().unwrap() {
                if let Event::Cluster { arrived, .. } = event {
                    let start = arrived.as_millisecond() as usize;
                    assert_eq!(file[start..start + 4], ids::CLUSTER.to_be_bytes());
                    arrivals.push(start);
                }
            }
        }
        assert!(!arrivals.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn broken_input_is_an_error_and_never_a_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
            cut in any::<prop::sample::Index>(),
        ) {
            for mut file in footage() {
                for (at, byte) in &edits {
                    // Half of them near the start, where the structure is.
                    let end = if byte % 2 == 0 { file.len() } else { file.len().min(2000) };
                    let at = at.index(end);
                    file[at] = *byte;
                }
                file.truncate(cut.index(file.len()) + 1);
                let _ = events(file.chunks(4096).map(<[u8]>::to_vec));
            }
        }

        #[test]
        fn noise_is_an_error_and_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = events([noise.clone()]);
            let document = [element::element(ids::EBML, &[]), element::unknown_size(ids::SEGMENT), noise].concat();
            let _ = events([document]);
        }
    }
}
