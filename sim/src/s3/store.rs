//! Where S3's state lives: in memory, as a journal of its events on disk, and one file for each body. A request is answered
//! only when its events are in the journal, so that a killed process loses nothing that it had confirmed.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use anyhow::Context;
use tokio::io::BufWriter;

use super::{
    error::{Error, Result},
    state::{Event, State},
};

/// The state, and its home on disk.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    bodies: PathBuf,
    /// Removes the folder of a store that nothing is to survive of.
    _temporary: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    journal: File,
    /// How long the journal is.
    length: u64,
}

impl Store {
    /// Opens what the folder holds; without one, a store that goes with the process.
    pub fn open(data: Option<&Path>) -> anyhow::Result<Self> {
        let temporary = if data.is_none() {
            Some(tempfile::tempdir()?)
        } else {
            None
        };
        let folder = match (data, &temporary) {
            (Some(data), _) => data.join("s3"),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => anyhow::bail!("no folder for S3"),
        };
        let bodies = folder.join("bodies");
        fs::create_dir_all(&bodies).with_context(|| format!("making {}", bodies.display()))?;
        let path = folder.join("journal");
        let state = replay(&path)?;
        remove_strays(&bodies, &state)?;
        let journal = rewrite(&path, &state)?;
        let length = journal.metadata()?.len();
        Ok(Self {
            inner: Mutex::new(Inner {
                state,
                journal,
                length,
            }),
            bodies,
            _temporary: temporary,
        })
    }

    /// Reads the state.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    /// Decides on a change and makes it, all or nothing, with nothing in between: this is what makes conditional writes
    /// atomic.
    pub fn change<T>(&self, decide: impl FnOnce(&State) -> Result<(Vec<Event>, T)>) -> Result<T> {
        let mut inner = self.lock();
        let (events, outcome) = decide(&inner.state)?;
        let mut line = serde_json::to_vec(&events).map_err(|e| Error::internal(&e))?;
        line.push(b'\n');
        if let Err(e) = inner.journal.write_all(&line) {
            // Half a line must not stay in front of the next one.
            let length = inner.length;
            inner.journal.set_len(length).map_err(|e| Error::internal(&e))?;
            inner
                .journal
                .seek(SeekFrom::Start(length))
                .map_err(|e| Error::internal(&e))?;
            return Err(Error::internal(&e));
        }
        inner.length += line.len() as u64;
        for event in events {
            for file in inner.state.apply(event) {
                // A reader keeps the file that it has open. What cannot be removed now is a stray at the next start.
                if let Err(e) = fs::remove_file(self.bodies.join(&file)) {
                    tracing::warn!("removing body {file}: {e}");
                }
            }
        }
        Ok(outcome)
    }

    /// A new file for a body.
    pub async fn create(&self) -> Result<NewBody> {
        let name = format!("{:032x}", rand::random::<u128>());
        let path = self.bodies.join(&name);
        let file = tokio::fs::File::create_new(&path)
            .await
            .map_err(|e| Error::internal(&e))?;
        Ok(NewBody {
            name,
            path,
            writer: BufWriter::with_capacity(256 << 10, file),
            kept: false,
        })
    }

    /// Opens a body. To be called under [`Store::read`], so that the file cannot go in between.
    pub fn open_body(&self, name: &str) -> Result<File> {
        File::open(self.bodies.join(name)).map_err(|e| Error::internal(&e))
    }

    /// Where a body is.
    pub fn body_path(&self, name: &str) -> PathBuf {
        self.bodies.join(name)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A body that is being written; it goes again unless it is kept.
#[derive(Debug)]
pub struct NewBody {
    /// Its name in the state.
    pub name: String,
    path: PathBuf,
    /// Where to write.
    pub writer: BufWriter<tokio::fs::File>,
    kept: bool,
}

impl NewBody {
    /// The state names it now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewBody {
    fn drop(&mut self) {
        if !self.kept
            && let Err(e) = fs::remove_file(&self.path)
        {
            tracing::warn!("removing body {}: {e}", self.name);
        }
    }
}

/// The state that a journal leads to. A last line that was cut off was never confirmed.
fn replay(path: &Path) -> anyhow::Result<State> {
    let mut state = State::default();
    if !path.exists() {
        return Ok(state);
    }
    let journal = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let whole = journal.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    for (number, line) in journal[..whole]
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, l)| !l.is_empty())
    {
        let events: Vec<Event> = serde_json::from_slice(line)
            .with_context(|| format!("{} line {}", path.display(), number + 1))?;
        for event in events {
            state.apply(event);
        }
    }
    Ok(state)
}

/// Removes bodies that nothing names: of uploads that were under way when the process went.
fn remove_strays(bodies: &Path, state: &State) -> anyhow::Result<()> {
    let known: HashSet<&str> = state.files().collect();
    for entry in fs::read_dir(bodies)? {
        let entry = entry?;
        if !entry
            .file_name()
            .to_str()
            .is_some_and(|name| known.contains(name))
        {
            fs::remove_file(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Writes the journal anew, as short as can be.
fn rewrite(path: &Path, state: &State) -> anyhow::Result<File> {
    let new = path.with_extension("new");
    let file = File::create(&new).with_context(|| format!("making {}", new.display()))?;
    let mut file = std::io::BufWriter::new(file);
    for (bucket, as_it_is) in &state.buckets {
        let event = Event::Bucket {
            bucket: bucket.clone(),
            as_it_is: Box::new(as_it_is.clone()),
        };
        serde_json::to_writer(&mut file, &[event])?;
        file.write_all(b"\n")?;
    }
    let file = file.into_inner()?;
    file.sync_all()?;
    fs::rename(&new, path).with_context(|| format!("renaming {}", new.display()))?;
    Ok(file)
}
