//! What GetMedia still has of a stream without retention: AWS keeps it in a buffer of its host, for five minutes and up to 200 MB,
//! whichever ends first (CreateStream, DataRetentionInHours). It is never listed, and a restart forgets it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::fragment::Meta;

/// How long (ms) a fragment is in the buffer.
const AT_MOST_MILLIS: i64 = 5 * 60_000;

/// How many bytes are in the buffer; AWS's "200 MB".
const AT_MOST_BYTES: u64 = 200_000_000;

/// The buffer of one stream.
#[derive(Debug, Default)]
pub struct Buffer {
    /// By number: what is known of each fragment, its header and its body.
    fragments: BTreeMap<String, (Meta, Bytes, Bytes)>,
    bytes: u64,
}

impl Buffer {
    /// Adds a fragment; what is too old or too much then goes, the oldest first.
    pub fn add(&mut self, meta: Meta, header: Bytes, body: Bytes, now: i64) {
        self.bytes += meta.size();
        self.fragments.insert(meta.number.clone(), (meta, header, body));
        self.expire(now);
    }

    /// Drops what is too old or too much.
    pub fn expire(&mut self, now: i64) {
        // Numbers rise with server time, so the oldest are at the front.
        while let Some(first) = self.fragments.first_entry() {
            let (meta, ..) = first.get();
            if self.bytes <= AT_MOST_BYTES && is_there(meta, now) {
                break;
            }
            self.bytes -= meta.size();
            first.remove();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is there, by number.
    pub fn all(&self, now: i64) -> impl Iterator<Item = &Meta> {
        let fragments = self.fragments.values().map(|(meta, ..)| meta);
        fragments.filter(move |meta| is_there(meta, now))
    }

    /// A fragment's header and body.
    pub fn read(&self, number: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let (_, header, body) = self.fragments.get(number)?;
        Some((header.to_vec(), body.to_vec()))
    }
}

fn is_there(meta: &Meta, now: i64) -> bool {
    now.saturating_sub(meta.server) < AT_MOST_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(buffer: &mut Buffer, number: u64, server: i64, bytes: u64) {
        let meta = Meta {
            sequence: 0,
            number: format!("{number:047}"),
            server,
            producer: server,
            length: 1,
            persisted: server,
            header: 1,
            body: bytes - 1,
            frames: 1,
        };
        buffer.add(meta, Bytes::from_static(b"h"), Bytes::new(), server);
    }

    fn there(buffer: &Buffer, now: i64) -> Vec<i64> {
        buffer.all(now).map(|meta| meta.server).collect()
    }

    #[test]
    fn either_limit_ends_a_fragment_s_time() {
        let mut buffer = Buffer::default();
        add(&mut buffer, 1, 1_000, 80_000_000);
        add(&mut buffer, 2, 2_000, 80_000_000);
        assert_eq!(there(&buffer, 300_999), [1_000, 2_000]);
        assert_eq!(there(&buffer, 301_000), [2_000]);
        add(&mut buffer, 3, 3_000, 80_000_000);
        assert_eq!(there(&buffer, 3_000), [2_000, 3_000]);
        assert_eq!(buffer.read(&format!("{:047}", 3)), Some((b"h".to_vec(), vec![])));
        buffer.expire(302_500);
        assert_eq!((there(&buffer, 3_000), buffer.bytes), (vec![3_000], 80_000_000));
    }
}
