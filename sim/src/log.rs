//! A file of JSON lines that is appended to: what happened is on disk before it is answered.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};

use crate::wire::Fault;

/// The file; without a data folder there is none, and nothing is kept.
#[derive(Debug)]
pub struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl Log {
    /// The log in a folder, which is made, and what an earlier life wrote there.
    ///
    /// # Errors
    /// The folder or file cannot be used, or a line other than an unfinished last one is not a record.
    pub fn open<R: DeserializeOwned>(folder: Option<&Path>, name: &str) -> anyhow::Result<(Self, Vec<R>)> {
        let Some(folder) = folder else {
            return Ok((
                Self {
                    path: None,
                    file: None,
                },
                vec![],
            ));
        };
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let path = folder.join(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
        };
        // What a crash left half written was never answered.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let records = whole
            .lines()
            .enumerate()
            .map(|(i, line)| {
                serde_json::from_str(line).with_context(|| format!("line {} of {}", i + 1, path.display()))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok((
            Self {
                path: Some(path),
                file: None,
            },
            records,
        ))
    }

    /// Replaces the whole content, so that the file does not grow for ever; needed once before the first `append`.
    pub fn rewrite<R: Serialize>(&mut self, records: impl IntoIterator<Item = R>) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let context = || format!("write {}", path.display());
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
        file.write_all(&lines(records)?).with_context(context)?;
        file.persist(path).with_context(context)?;
        self.file = Some(OpenOptions::new().append(true).open(path).with_context(context)?);
        Ok(())
    }

    /// Adds records in one write, on behalf of a request.
    pub fn commit<R: Serialize>(&mut self, records: impl IntoIterator<Item = R>) -> Result<(), Fault> {
        self.append(records)
            .map_err(|e| Fault::internal(format!("the log cannot be written: {e}")))
    }

    /// Adds records in one write.
    pub fn append<R: Serialize>(&mut self, records: impl IntoIterator<Item = R>) -> std::io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(&lines(records)?),
            None => Ok(()),
        }
    }
}

fn lines<R: Serialize>(records: impl IntoIterator<Item = R>) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for record in records {
        serde_json::to_writer(&mut bytes, &record)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_and_forgets_an_unfinished_line() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, nothing) = Log::open::<u32>(Some(folder.path()), "log").unwrap();
        assert!(nothing.is_empty());
        log.rewrite([1u32]).unwrap();
        log.append([2u32, 3]).unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, format!("{}4", std::fs::read_to_string(&path).unwrap())).unwrap();
        let (mut log, records) = Log::open::<u32>(Some(folder.path()), "log").unwrap();
        assert_eq!(records, [1, 2, 3]);
        log.rewrite(records).unwrap();
        log.append([5u32]).unwrap();
        assert_eq!(
            Log::open::<u32>(Some(folder.path()), "log").unwrap().1,
            [1, 2, 3, 5]
        );
        std::fs::write(&path, "nonsense\n6\n").unwrap();
        assert!(Log::open::<u32>(Some(folder.path()), "log").is_err());
    }
}
