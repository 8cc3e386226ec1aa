//! The ledger: what PutMedia persisted, packet by packet. Judges of tests compare an archive with it.
//!
//! PutMedia alone writes it, and nothing that reads footage for clients (ListFragments, GetMediaForFragmentList, GetClip,
//! GetMedia) reads it: so a mistake there shows.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::kvs::lines::whole_lines;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Packet {
    /// Its track's number.
    pub track: u64,
    /// Its track's codec.
    pub codec_id: String,
    /// Its time on the producer's clock, in ms since 1970.
    pub timestamp_millis: i64,
    /// Whether it is a key frame.
    pub keyframe: bool,
    /// Its bytes.
    pub size: usize,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

/// A persisted fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts what was persisted, from 1, over all streams.
    pub sequence: u64,
    /// The stream's ARN.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The stream's name.
    pub stream_name: String,
    /// The fragment's number.
    pub fragment_number: String,
    /// When its first byte arrived, in ms since 1970.
    pub server_timestamp_millis: i64,
    /// Its time on the producer's clock, in ms since 1970.
    pub producer_timestamp_millis: i64,
    /// When it was persisted, in ms since 1970.
    pub persisted_millis: i64,
    /// Its frames, in the order in which they came.
    pub packets: Vec<Packet>,
}

/// The ledger's file.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    last: u64,
}

impl Ledger {
    /// Opens the ledger of a data folder, without a last line that a crash cut off.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("ledger.jsonl");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        let last = whole_lines(&mut file)?;
        let last = last
            .as_deref()
            .and_then(|line| serde_json::from_str::<Entry>(line).ok());
        Ok(Self {
            path,
            file,
            last: last.map_or(0, |e| e.sequence),
        })
    }

    /// The last entry's sequence.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an entry.
    pub fn append(&mut self, entry: &Entry) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.last = entry.sequence;
        Ok(())
    }
}

/// The lines of a ledger that belong to a stream (all, if none is given), each handed to `line` with its end; stops where
/// `line` says so.
pub fn read(path: &Path, stream: Option<&str>, mut line: impl FnMut(Vec<u8>) -> bool) -> std::io::Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Whose {
        stream_name: String,
        #[serde(rename = "streamARN")]
        stream_arn: String,
    }
    let mut reader = BufReader::new(File::open(path)?);
    loop {
        let mut bytes = vec![];
        // A line without an end is being written.
        if reader.read_until(b'\n', &mut bytes)? == 0 || !bytes.ends_with(b"\n") {
            return Ok(());
        }
        let wanted = match stream {
            Some(stream) => serde_json::from_slice::<Whose>(&bytes)
                .is_ok_and(|w| w.stream_name == stream || w.stream_arn == stream),
            None => true,
        };
        if wanted && !line(bytes) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_crash_cut_off_goes() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |sequence| Entry {
            sequence,
            stream_arn: "arn".into(),
            stream_name: if sequence == 2 { "b" } else { "a" }.into(),
            fragment_number: "9".into(),
            server_timestamp_millis: 1,
            producer_timestamp_millis: 2,
            persisted_millis: 3,
            packets: vec![],
        };
        let mut ledger = Ledger::open(folder.path()).unwrap();
        for sequence in 1..=3 {
            ledger.append(&entry(sequence)).unwrap();
        }
        ledger.file.write_all(b"{\"sequence\":4,").unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.last(), 3);
        ledger.append(&entry(4)).unwrap();
        let mut read_back = vec![];
        read(ledger.path(), Some("a"), |line| {
            read_back.push(serde_json::from_slice::<Entry>(&line).unwrap().sequence);
            true
        })
        .unwrap();
        assert_eq!(read_back, [1, 3, 4]);
    }
}
