//! Whether a file of footage is there and unchanged.
//!
//! May: ask S3, read the file. May not: change anything.

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::report::Kind;
use crate::{
    archive::{catalogue::Archive, files::FootageFile, split},
    archiver::{
        error::Result,
        media,
        spool::{Body, Spool},
    },
    aws::{
        Kind as Failure,
        contents::{Description, Expiry, Pieces},
    },
};

/// How to look.
#[derive(Debug)]
pub struct Look<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// Where files are read to.
    pub spool: &'a Spool,
    /// Read and parse every byte.
    pub deep: bool,
    /// The bucket's lifecycle rules.
    pub expiries: &'a [Expiry],
    /// The time at AWS.
    pub now: Option<Timestamp>,
}

/// What was seen of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What is wrong with it.
    pub finding: Option<(Kind, String)>,
    /// Whether it is there and what it should be.
    pub sound: bool,
    /// Whether every byte was read.
    pub read: bool,
    /// How many frames are in it, where it was parsed.
    pub frames: u64,
}

impl Look<'_> {
    /// Looks at a file; `written` is when its manifest was.
    pub async fn at(&self, file: &FootageFile, written: Option<Timestamp>) -> Result<Seen> {
        let Some(there) = self.archive.contents.describe(&file.key).await? else {
            let finding = Some(self.missing(file, written).await?);
            return Ok(Seen {
                finding,
                ..Seen::default()
            });
        };
        let changed = |what: String| Seen {
            finding: Some((Kind::Changed, what)),
            ..Seen::default()
        };
        if there.size != file.bytes {
            return Ok(changed(format!(
                "it has {} bytes, the manifest says {}",
                there.size, file.bytes
            )));
        }
        match there.sha256.map(hex::encode) {
            Some(sha256) if sha256 != file.sha256 => Ok(changed("S3 keeps another SHA-256 for it".into())),
            Some(_) if !self.deep => Ok(Seen {
                sound: true,
                ..Seen::default()
            }),
            // Where S3 keeps no checksum of the whole, its bytes are the proof.
            known => self.read(file, &there, known.is_some()).await,
        }
    }

    async fn read(&self, file: &FootageFile, there: &Description, known: bool) -> Result<Seen> {
        if let Some(class) = there.frozen() {
            let how = if known {
                "S3's own checksum is right, its bytes were not read"
            } else {
                "S3 has no checksum of it: only its size was compared"
            };
            let what = format!("it is in {class}: {how}; restore it to read it");
            return Ok(Seen {
                finding: Some((Kind::Frozen, what)),
                sound: true,
                ..Seen::default()
            });
        }
        let Some(pieces) = self.archive.contents.read(&file.key).await? else {
            return Ok(Seen {
                finding: Some((Kind::Missing, "it is gone while it was looked at".into())),
                ..Seen::default()
            });
        };
        let (body, sha256) = fetch(pieces, self.spool, file.bytes).await?;
        let mut seen = Seen {
            read: true,
            ..Seen::default()
        };
        if sha256 != file.sha256 {
            seen.finding = Some((Kind::Changed, "its bytes have another SHA-256".into()));
            return Ok(seen);
        }
        seen.sound = true;
        if self.deep && !file.raw() {
            match parse(self.spool, body, file.clone()).await? {
                Ok(frames) => seen.frames = frames,
                Err(why) => seen.finding = Some((Kind::Unreadable, why)),
            }
        }
        Ok(seen)
    }

    /// Why a file is not there, as far as the bucket says.
    async fn missing(&self, file: &FootageFile, written: Option<Timestamp>) -> Result<(Kind, String)> {
        let key = &file.key;
        let rule = self.expiries.iter().find(|rule| {
            let age = SignedDuration::from_hours(24 * i64::from(rule.days));
            let due = written.and_then(|w| w.checked_add(age).ok());
            rule.is_about(key, file.bytes) && due.zip(self.now).is_some_and(|(due, now)| due <= now)
        });
        if let Some(rule) = rule {
            let what = format!(
                "it is gone, as the bucket's lifecycle rule {:?} says after {} days",
                rule.id, rule.days
            );
            return Ok((Kind::Expired, what));
        }
        let what = match self.archive.contents.versions(key).await {
            Ok(versions) => match versions.first() {
                Some(v) if v.delete_marker => format!(
                    "a delete marker hides it{}; {} earlier versions are there: delete the marker, and it is back",
                    v.last_modified.map(|t| format!(" since {t}")).unwrap_or_default(),
                    versions.iter().filter(|v| !v.delete_marker).count()
                ),
                _ => "it is not there, and no version of it".into(),
            },
            Err(e) if e.kind == Failure::Denied => {
                "it is not there (its versions cannot be listed: s3:ListBucketVersions is denied)".into()
            }
            Err(e) => return Err(e.into()),
        };
        Ok((Kind::Missing, what))
    }
}

/// Reads content into the spool, and its SHA-256 in hex.
async fn fetch(mut pieces: Pieces, spool: &Spool, expected: u64) -> Result<(Body, String)> {
    spool.has_room(expected)?;
    let mut body = spool.body()?;
    let mut hash = Sha256::new();
    while let Some(piece) = pieces.try_next().await? {
        hash.update(&piece);
        body.append(&piece)?;
    }
    Ok((body, hex::encode(hash.finalize())))
}

/// Parses a file, and counts its frames; an error in words where it does not hold what its manifest says.
async fn parse(spool: &Spool, body: Body, file: FootageFile) -> Result<std::result::Result<u64, String>> {
    let parse = move || {
        let Some(kind) = file.kind() else {
            return Err("its name does not end with mp4 or mkv".into());
        };
        media::verify(kind, body.file(), file.bytes).map_err(|e| e.to_string())?;
        let media = media::read_file(kind, body.file(), 0..file.bytes).map_err(|e| e.to_string())?;
        match split::split(&media, &file.fragments) {
            Ok(_) => Ok(media.frames.len() as u64),
            // How fragments lie in a file of overlapping ones cannot always be told: its bytes are right all the same.
            Err(split::Unclear) if media.frames.len() >= file.fragments.len() => {
                Ok(media.frames.len() as u64)
            }
            Err(split::Unclear) => Err(format!(
                "it has {} frames, fewer than its {} fragments",
                media.frames.len(),
                file.fragments.len()
            )),
        }
    };
    spool.work(move || Ok(parse())).await
}
