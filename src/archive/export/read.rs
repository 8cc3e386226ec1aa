//! Reading the files of an export, each whole and once, and taking what is wanted out of them.
//!
//! May: read the archive, spool to disk.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{MOST_FRAMES, Read, choice::Choice};
use crate::{
    api::Container,
    archive::{
        catalogue::{AT_ONCE, Archive},
        files::FootageFile,
        split,
    },
    archiver::{
        error::{ArchiveError, Result},
        media::{self, FileKind, Joined},
        spool::{Body, Spool},
    },
    aws::{Fragment, Kind},
};

/// How often a body is asked for that breaks off.
const ATTEMPTS: usize = 3;

/// A fragment, and the file that it is read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// What was listed.
    pub fragment: Fragment,
    /// The file's place among the choice's.
    pub file: usize,
}

/// Which file each fragment is read from, in the order of their numbers: one that is there and can be read. Where a fragment
/// is in several, the one that has already been chosen for others.
///
/// # Errors
///
/// Where a fragment is only in files that cannot be read.
pub async fn sources(archive: &Archive, choice: &Choice) -> Result<Vec<Source>> {
    let looks = stream::iter(&choice.files).map(|file| look(archive, file));
    let looks: Vec<_> = looks.buffered(AT_ONCE).try_collect().await?;
    let mut sources: Vec<Source> = Vec::new();
    for (fragment, copies) in choice.found.values() {
        let readable = || copies.iter().copied().filter(|file| looks[*file].is_ok());
        let before = sources.last().map(|s| s.file);
        let file = readable()
            .find(|file| Some(*file) == before)
            .or_else(|| readable().next());
        match (file, copies.first()) {
            (Some(file), _) => sources.push(Source {
                fragment: fragment.clone(),
                file,
            }),
            (None, Some(first)) => {
                let Err(why) = &looks[*first] else { continue };
                return Err(why.error(&choice.files[*first]));
            }
            (None, None) => {}
        }
    }
    Ok(sources)
}

/// Why a file cannot be read.
#[derive(Debug)]
enum Unreadable {
    Frozen(String),
    Wrong(String),
}

impl Unreadable {
    fn error(&self, file: &FootageFile) -> ArchiveError {
        match self {
            Self::Frozen(class) => ArchiveError::NotYet(format!(
                "{} is in {class}: restore it (aws s3api restore-object), wait until that is done, and export again",
                file.key
            )),
            Self::Wrong(why) => wrong(file, why),
        }
    }
}

fn wrong(file: &FootageFile, why: &str) -> ArchiveError {
    ArchiveError::Conflict {
        key: file.key.clone(),
        why: format!("{why} (kvs-operator verify says more)"),
    }
}

async fn look(archive: &Archive, file: &FootageFile) -> Result<std::result::Result<(), Unreadable>> {
    Ok(match archive.contents.describe(&file.key).await? {
        None => Err(Unreadable::Wrong("it is not there".into())),
        Some(there) if there.size != file.bytes => Err(Unreadable::Wrong(format!(
            "it has {} bytes, its manifest says {}",
            there.size, file.bytes
        ))),
        Some(there) => there
            .frozen()
            .map_or(Ok(()), |class| Err(Unreadable::Frozen(class.into()))),
    })
}

/// Reads what an export needs.
#[derive(Debug)]
pub struct Reader<'a> {
    pub archive: &'a Archive,
    pub choice: &'a Choice,
    pub spool: &'a Spool,
    pub kind: FileKind,
}

impl Reader<'_> {
    /// Reads every file once, in the order in which it is shown first. `order`: stretches of places in `sources`.
    pub async fn all(&self, sources: &[Source], order: Vec<Vec<usize>>) -> Result<Read> {
        let mut files: Vec<usize> = Vec::new();
        for index in order.iter().flatten() {
            if !files.contains(&sources[*index].file) {
                files.push(sources[*index].file);
            }
        }
        let total: u64 = files.iter().map(|file| self.choice.files[*file].bytes).sum();
        // What is read, and the file that is made of it.
        self.spool.has_room(total.saturating_mul(2))?;
        let (mut body, mut joined) = (self.spool.body()?, Joined::default());
        let (mut read, mut frames) = (BTreeMap::new(), 0);
        for file in &files {
            let about = &self.choice.files[*file];
            if about.raw() {
                continue;
            }
            tracing::info!(key = about.key, bytes = about.bytes, "reading");
            let begin = body.len();
            body = self.fetch(about, body).await?;
            let wanted: Vec<(usize, Fragment)> = (0..)
                .zip(sources)
                .filter(|(_, source)| source.file == *file)
                .map(|(index, source)| (index, source.fragment.clone()))
                .collect();
            let (about, kind) = (about.clone(), self.kind);
            let work = move || {
                let taken = take(&about, kind, (&body, begin), &wanted, &mut joined)?;
                Ok((taken, body, joined))
            };
            let taken;
            (taken, body, joined) = self.spool.work(work).await?;
            frames += taken
                .iter()
                .map(|(_, footage)| footage.frames.len())
                .sum::<usize>();
            if frames > MOST_FRAMES {
                return Err(ArchiveError::Invalid(format!(
                    "this is more than {MOST_FRAMES} frames, too much for one file: export it in several pieces"
                )));
            }
            read.extend(taken);
        }
        let mut raw = Vec::new();
        let mut stretches = Vec::new();
        for stretch in order {
            let mut footage = Vec::new();
            for index in stretch {
                let fragment = sources[index].fragment.clone();
                match read.remove(&index) {
                    Some(media) => footage.push((fragment, media)),
                    None => raw.push(fragment),
                }
            }
            stretches.push(footage);
        }
        Ok(Read {
            body,
            joined,
            stretches,
            raw,
            files: files.len(),
        })
    }

    /// Adds a file's content to the spool, compared with its SHA-256.
    async fn fetch(&self, file: &FootageFile, mut body: Body) -> Result<Body> {
        let begin = body.len();
        let mut attempt = 1;
        loop {
            match self.content(file, &mut body).await {
                Ok(sha256) if sha256 == file.sha256 => return Ok(body),
                Ok(_) => {
                    return Err(wrong(
                        file,
                        "its bytes have another SHA-256 than its manifest says",
                    ));
                }
                Err(ArchiveError::Aws(e)) if e.kind == Kind::Unavailable && attempt < ATTEMPTS => {
                    tracing::warn!(key = file.key, error = %e, "asked for again");
                    attempt += 1;
                    body.truncate(begin)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    async fn content(&self, file: &FootageFile, body: &mut Body) -> Result<String> {
        let Some(mut pieces) = self.archive.contents.read(&file.key).await? else {
            return Err(wrong(file, "it is gone while it was looked at"));
        };
        let (mut hash, begin) = (Sha256::new(), body.len());
        while let Some(piece) = pieces.try_next().await? {
            if body.len() - begin + piece.len() as u64 > file.bytes {
                return Err(wrong(file, "it is longer than its manifest says"));
            }
            hash.update(&piece);
            body.append(&piece)?;
        }
        Ok(hex::encode(hash.finalize()))
    }
}

/// The wanted fragments of a file that lies in the spool from `begin` to its end.
fn take(
    file: &FootageFile,
    kind: FileKind,
    (body, begin): (&Body, u64),
    wanted: &[(usize, Fragment)],
    joined: &mut Joined,
) -> Result<Vec<(usize, media::Fragment)>> {
    let unknown = || wrong(file, "its name does not end with mp4 or mkv");
    let of = file.kind().ok_or_else(unknown)?;
    let mut whole =
        media::read_file(of, body.file(), begin..body.len()).map_err(|e| wrong(file, &e.to_string()))?;
    let ranges = split::split(&whole, &file.fragments);
    if let Err(changed) = joined.take(&mut whole, body.file())? {
        let first = wanted.first().map(|(_, f)| f.producer.to_string());
        return Err(ArchiveError::Invalid(format!(
            "the footage changes at {}: {changed}. One file with both does not play everywhere: export what is before and what is behind by themselves",
            first.unwrap_or_default()
        )));
    }
    if kind == FileKind::Mp4 && joined.format().kind(Container::Auto) != kind {
        return Err(ArchiveError::Invalid(
            "there is a codec in it that MP4 does not hold: give the file a name that ends with .mkv".into(),
        ));
    }
    let frames = std::mem::take(&mut whole.frames);
    let Ok(ranges) = ranges else {
        let all = file.fragments.iter().all(|f| wanted.iter().any(|(_, w)| w == f));
        let (Some((index, _)), true) = (wanted.first(), all) else {
            let (first, last) = (file.fragments.first(), file.fragments.last());
            return Err(ArchiveError::Invalid(format!(
                "it cannot be told which frames of {} are of which fragment: export a span with all of it, from {} to {}",
                file.key,
                first.map(|f| f.producer.to_string()).unwrap_or_default(),
                last.map(|f| f.producer_end().to_string()).unwrap_or_default()
            )));
        };
        // They stay together: the first one has the frames of all.
        let rest: Vec<_> = wanted
            .iter()
            .skip(1)
            .map(|(index, _)| (*index, whole.clone()))
            .collect();
        whole.frames = frames;
        return Ok([(*index, whole)].into_iter().chain(rest).collect());
    };
    let mut frames = frames.into_iter();
    let mut taken = Vec::new();
    for (range, fragment) in ranges.into_iter().zip(&file.fragments) {
        let mine = frames.by_ref().take(range.len());
        match wanted.iter().find(|(_, wanted)| wanted.number == fragment.number) {
            Some((index, _)) => {
                let mut footage = whole.clone();
                footage.frames = mine.collect();
                taken.push((*index, footage));
            }
            None => mine.for_each(drop),
        }
    }
    Ok(taken)
}
