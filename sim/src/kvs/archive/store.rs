//! The fragments of one stream: media in a file each, an index of lines beside them, and the index in memory.
//!
//! Memory: some 200 bytes a fragment; media is never kept.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, Write},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{fragment::Meta, live::Buffer};
use crate::kvs::lines::whole_lines;

/// A stream's fragments.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    inner: Mutex<Inner>,
    /// Changes whenever a fragment is added, or the stream is destroyed.
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    /// By number.
    fragments: BTreeMap<String, Meta>,
    /// What came while the stream had no retention.
    buffer: Buffer,
    index: File,
    /// Lines of the index whose fragments are gone. They do no harm; when they are many it is written anew.
    stale: usize,
    /// The stream is deleted: nothing is kept any more.
    destroyed: bool,
}

impl Store {
    /// Opens a stream's folder. What was persisted after `last` never came into the ledger, so a crash came between: it
    /// was not acknowledged, and goes.
    pub fn open(folder: &Path, last: u64) -> std::io::Result<Self> {
        fs::create_dir_all(folder.join("fragments"))?;
        let path = folder.join("index.jsonl");
        let mut index = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        whole_lines(&mut index)?;
        index.rewind()?;
        let mut fragments = BTreeMap::new();
        let mut lines = 0;
        for line in BufReader::new(&index).lines() {
            lines += 1;
            let meta: Meta = serde_json::from_str(&line?)?;
            if meta.sequence <= last && file(folder, &meta.number).exists() {
                fragments.insert(meta.number.clone(), meta);
            }
        }
        if lines > fragments.len() {
            index = rewritten(&path, fragments.values())?;
        }
        for entry in fs::read_dir(folder.join("fragments"))? {
            let entry = entry?;
            let name = entry.file_name();
            let known = name
                .to_str()
                .and_then(|n| n.strip_suffix(".mkv"))
                .is_some_and(|n| fragments.contains_key(n));
            if !known {
                fs::remove_file(entry.path())?;
            }
        }
        let inner = Mutex::new(Inner {
            fragments,
            buffer: Buffer::default(),
            index,
            stale: 0,
            destroyed: false,
        });
        Ok(Self {
            folder: folder.to_owned(),
            inner,
            changed: watch::channel(0).0,
        })
    }

    /// Writes a fragment's media. It counts only once it is [`Store::add`]ed.
    pub fn write(&self, number: &str, header: &[u8], body: &[u8]) -> std::io::Result<()> {
        let mut file = File::create(file(&self.folder, number))?;
        file.write_all(header)?;
        file.write_all(body)
    }

    /// Adds a fragment whose media is written.
    pub fn add(&self, meta: Meta) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&meta)?;
        line.push(b'\n');
        let mut inner = self.lock();
        if inner.destroyed {
            return Err(std::io::Error::other("the stream is deleted"));
        }
        inner.index.write_all(&line)?;
        inner.fragments.insert(meta.number.clone(), meta);
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Holds a fragment of a stream without retention for GetMedia, for some minutes.
    pub fn hold(&self, meta: Meta, header: Bytes, body: Bytes, now: i64) {
        self.lock().buffer.add(meta, header, body, now);
        self.changed.send_modify(|count| *count += 1);
    }

    /// What GetMedia can read, by number: what began at `horizon` or later, and what is held.
    pub fn live(&self, horizon: i64, now: i64) -> Vec<Meta> {
        let inner = self.lock();
        let kept = inner.fragments.values().filter(|m| m.server >= horizon);
        let mut all: Vec<Meta> = kept.chain(inner.buffer.all(now)).cloned().collect();
        all.sort_by(|a, b| a.number.cmp(&b.number));
        all
    }

    /// The first fragment after a number that GetMedia can read.
    pub fn next_live(&self, after: Option<&str>, horizon: i64, now: i64) -> Option<Meta> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let inner = self.lock();
        let mut kept = inner.fragments.range::<str, _>((from, Bound::Unbounded));
        let kept = kept.find(|(_, m)| m.server >= horizon).map(|(_, m)| m);
        let mut held = inner.buffer.all(now);
        let held = held.find(|m| after.is_none_or(|after| m.number.as_str() > after));
        kept.into_iter().chain(held).min_by_key(|m| &m.number).cloned()
    }

    /// Sees when a fragment is added, or the stream is destroyed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether the stream is destroyed.
    pub fn is_destroyed(&self) -> bool {
        self.lock().destroyed
    }

    /// The highest number.
    pub fn newest(&self) -> Option<String> {
        self.lock().fragments.keys().next_back().cloned()
    }

    /// The fragments that `wanted` takes, by number.
    pub fn select(&self, wanted: impl Fn(&Meta) -> bool) -> Vec<Meta> {
        self.lock()
            .fragments
            .values()
            .filter(|m| wanted(m))
            .cloned()
            .collect()
    }

    /// A fragment of this number.
    pub fn get(&self, number: &str) -> Option<Meta> {
        self.lock().fragments.get(number).cloned()
    }

    /// A fragment's header and body; `None` where it has gone meanwhile.
    pub fn read(&self, meta: &Meta) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        if let Some(held) = self.lock().buffer.read(&meta.number) {
            return Ok(Some(held));
        }
        let mut bytes = vec![];
        match File::open(file(&self.folder, &meta.number)) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let header = usize::try_from(meta.header)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let body = bytes.split_off(header);
        Ok(Some((bytes, body)))
    }

    /// Drops what began before `horizon` (ms), and what was held long enough.
    pub fn expire(&self, horizon: i64, now: i64) -> std::io::Result<()> {
        let mut inner = self.lock();
        inner.buffer.expire(now);
        // Numbers rise with server time, so the oldest are at the front.
        while let Some(entry) = inner.fragments.first_entry().filter(|e| e.get().server < horizon) {
            fs::remove_file(file(&self.folder, entry.key()))?;
            entry.remove();
            inner.stale += 1;
        }
        if inner.stale > 1000 + inner.fragments.len() / 2 {
            inner.index = rewritten(&self.folder.join("index.jsonl"), inner.fragments.values())?;
            inner.stale = 0;
        }
        Ok(())
    }

    /// Drops everything, for ever.
    pub fn destroy(&self) -> std::io::Result<()> {
        let mut inner = self.lock();
        inner.destroyed = true;
        inner.fragments.clear();
        inner.buffer.clear();
        self.changed.send_modify(|count| *count += 1);
        fs::remove_dir_all(&self.folder)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file(folder: &Path, number: &str) -> PathBuf {
    folder.join("fragments").join(format!("{number}.mkv"))
}

fn rewritten<'a>(path: &Path, fragments: impl Iterator<Item = &'a Meta>) -> std::io::Result<File> {
    let new = path.with_extension("new");
    let mut lines = vec![];
    for meta in fragments {
        serde_json::to_writer(&mut lines, meta)?;
        lines.push(b'\n');
    }
    fs::write(&new, lines)?;
    fs::rename(&new, path)?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(sequence: u64, server: i64) -> Meta {
        Meta {
            sequence,
            number: format!("{sequence:047}"),
            server,
            producer: server,
            length: 1,
            persisted: server,
            header: 2,
            body: 3,
            frames: 1,
        }
    }

    fn put(store: &Store, sequence: u64, server: i64) {
        let meta = meta(sequence, server);
        store.write(&meta.number, b"he", b"bod").unwrap();
        store.add(meta).unwrap();
    }

    #[test]
    fn survives_a_restart_and_drops_what_was_not_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 0).unwrap();
        for sequence in 1..=4 {
            put(&store, sequence, sequence as i64 * 1000);
        }
        store.write("9", b"written, not added", b"").unwrap();
        store.expire(2000, 2000).unwrap();
        drop(store);
        // The ledger's last entry is the third.
        let store = Store::open(folder.path(), 3).unwrap();
        let all = store.select(|_| true);
        assert_eq!(all.iter().map(|m| m.sequence).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(
            store.read(&all[0]).unwrap(),
            Some((b"he".to_vec(), b"bod".to_vec()))
        );
        assert_eq!(fs::read_dir(folder.path().join("fragments")).unwrap().count(), 2);
        put(&store, 4, 4000);
        drop(store);
        assert_eq!(Store::open(folder.path(), 9).unwrap().select(|_| true).len(), 3);
    }
}
