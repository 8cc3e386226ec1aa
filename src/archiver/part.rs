//! A part of a chunk: fragments that one file can hold, and making that file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    ops::Range,
};

use super::{
    error::{ArchiveError, Result},
    fetch::Delivery,
    hashing::Hashing,
    keys::fragment_set,
    manifest::{Fate, Flag, PROGRAM},
    media::{self, FILE_FRAMES, FileKind, Format, MediaError, Spool},
    spool::Output,
    store::metadata,
};
use crate::{
    api::Container,
    aws::{Fragment, StreamArn},
};

/// Fragments for one file.
#[derive(Debug)]
pub enum Part {
    /// Understood footage of one format.
    Footage {
        /// What the fragments agree in.
        format: Format,
        /// What KVS listed, and what came.
        fragments: Vec<(Fragment, media::Fragment)>,
    },
    /// A fragment that cannot be parsed, as it came.
    Raw {
        /// What KVS listed.
        fragment: Fragment,
        /// Its bytes in the spool.
        bytes: Range<u64>,
    },
}

/// A fragment that goes into no file, and why.
pub type Missing = (Fragment, Fate);

/// What came, as parts: a codec change, a fragment that cannot be parsed, one that did not come and more frames than a file may
/// have begin another.
pub fn parts(delivered: Vec<(Fragment, Delivery)>, spool: &File) -> Result<(Vec<Part>, Vec<Missing>)> {
    let (mut parts, mut missing) = (Vec::new(), Vec::new());
    let mut open: Option<(Format, Vec<(Fragment, media::Fragment)>)> = None;
    for (fragment, delivery) in delivered {
        match delivery {
            Delivery::Whole(media) => {
                let next = Format::of(&media, spool)?;
                match open
                    .as_mut()
                    .filter(|(_, fragments)| frames(fragments) + media.frames.len() <= FILE_FRAMES)
                    .and_then(|(format, fragments)| Some((format.join(&next)?, fragments)))
                {
                    Some((joined, fragments)) => {
                        fragments.push((fragment, *media));
                        if let Some((format, _)) = &mut open {
                            *format = joined;
                        }
                    }
                    None => {
                        parts.extend(open.take().map(Part::from));
                        open = Some((next, vec![(fragment, *media)]));
                    }
                }
            }
            Delivery::Raw(bytes) => {
                parts.extend(open.take().map(Part::from));
                parts.push(Part::Raw { fragment, bytes });
            }
            Delivery::Unread(why) => {
                parts.extend(open.take().map(Part::from));
                missing.push((fragment, Fate::Unread(why)));
            }
            Delivery::Erased(tombstone) => {
                parts.extend(open.take().map(Part::from));
                missing.push((fragment, Fate::Erased(tombstone)));
            }
        }
    }
    parts.extend(open.map(Part::from));
    Ok((parts, missing))
}

fn frames(fragments: &[(Fragment, media::Fragment)]) -> usize {
    fragments.iter().map(|(_, media)| media.frames.len()).sum()
}

impl From<(Format, Vec<(Fragment, media::Fragment)>)> for Part {
    fn from((format, fragments): (Format, Vec<(Fragment, media::Fragment)>)) -> Self {
        Self::Footage { format, fragments }
    }
}

/// A file that was made of a part.
#[derive(Debug)]
pub struct Made {
    /// Its kind; the key ends with it.
    pub kind: FileKind,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its size.
    pub bytes: u64,
    /// What a user of it should know.
    pub flags: Vec<Flag>,
}

impl Part {
    /// Its fragments, in order.
    pub fn fragments(&self) -> Vec<&Fragment> {
        match self {
            Self::Footage { fragments, .. } => fragments.iter().map(|(listed, _)| listed).collect(),
            Self::Raw { fragment, .. } => vec![fragment],
        }
    }

    /// Its fragments, in order, without their media.
    pub fn into_fragments(self) -> Vec<Fragment> {
        match self {
            Self::Footage { fragments, .. } => fragments.into_iter().map(|(listed, _)| listed).collect(),
            Self::Raw { fragment, .. } => vec![fragment],
        }
    }

    /// The producer's tags of its fragments, in order.
    pub fn tags(&self) -> Vec<Vec<(String, String)>> {
        match self {
            Self::Footage { fragments, .. } => {
                fragments.iter().map(|(_, media)| media.tags.clone()).collect()
            }
            Self::Raw { .. } => vec![Vec::new()],
        }
    }

    /// Its fragments, each as it came: where no file of them together can be made.
    pub fn raw(self) -> Vec<Part> {
        match self {
            Self::Footage { fragments, .. } => fragments
                .into_iter()
                .map(|(fragment, media)| Part::Raw {
                    fragment,
                    bytes: media.bytes,
                })
                .collect(),
            raw @ Self::Raw { .. } => vec![raw],
        }
    }

    /// Makes the file: MP4 where that is wanted and possible, else Matroska. `None`: the footage is beyond what either can
    /// hold.
    pub fn make(
        &self,
        container: Container,
        skewed: bool,
        spool: &File,
        out: &Output,
    ) -> Result<Option<Made>> {
        let mut flags = Vec::new();
        if skewed {
            flags.push(Flag::ClockSkew);
        }
        match self {
            Self::Raw { bytes, .. } => {
                flags.push(Flag::Raw);
                let mut file = Hashing::new(out.create()?);
                copy(spool, bytes, &mut file).map_err(MediaError::from)?;
                finished(file, FileKind::Matroska, flags).map(Some)
            }
            Self::Footage { format, fragments } => {
                let media: Vec<_> = fragments.iter().map(|(_, media)| media).collect();
                let wanted = format.kind(container);
                let kinds = if wanted == FileKind::Mp4 {
                    &[FileKind::Mp4, FileKind::Matroska][..]
                } else {
                    &[wanted]
                };
                for kind in kinds {
                    let mut file = Hashing::new(out.create()?);
                    match format.write(*kind, &media, spool, &mut file) {
                        Ok(written) => {
                            if !written.begins_with_key_frame {
                                flags.push(Flag::NoKeyFrame);
                            }
                            return finished(file, *kind, flags).map(Some);
                        }
                        Err(e @ MediaError::Io(_)) => return Err(e.into()),
                        Err(e) => {
                            tracing::warn!(error = %e, kind = kind.extension(), "footage does not fit the container")
                        }
                    }
                }
                Ok(None)
            }
        }
    }

    /// The metadata of the file.
    pub fn metadata(&self, stream: &StreamArn, made: &Made) -> BTreeMap<String, String> {
        let fragments = self.fragments();
        let numbers = fragments.iter().map(|f| &f.number);
        let flags: Vec<_> = made.flags.iter().map(|f| f.name()).collect();
        let tagged = self.tags().iter().filter(|tags| !tags.is_empty()).count();
        let mut all = BTreeMap::from([
            (metadata::FRAGMENT_SET.to_owned(), fragment_set(stream, numbers)),
            (metadata::SHA256.to_owned(), hex::encode(made.sha256)),
            (metadata::FLAGS.to_owned(), flags.join(",")),
            (metadata::TAGGED.to_owned(), tagged.to_string()),
            ("fragments".to_owned(), fragments.len().to_string()),
            ("writer".to_owned(), PROGRAM.to_owned()),
        ]);
        if let ([first, ..], [.., last]) = (fragments.as_slice(), fragments.as_slice()) {
            all.extend([
                ("first-fragment".to_owned(), first.number.to_string()),
                ("last-fragment".to_owned(), last.number.to_string()),
                ("producer-from".to_owned(), first.producer.to_string()),
                ("producer-to".to_owned(), last.producer_end().to_string()),
                ("server-from".to_owned(), first.server.to_string()),
                ("server-to".to_owned(), last.server.to_string()),
            ]);
        }
        all.retain(|_, value| !value.is_empty());
        all
    }
}

impl Flag {
    /// Its name in an object's metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClockSkew => "clockSkew",
            Self::NoKeyFrame => "noKeyFrame",
            Self::Raw => "raw",
        }
    }

    /// The flag of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::ClockSkew, Self::NoKeyFrame, Self::Raw]
            .into_iter()
            .find(|f| f.name() == name)
    }
}

fn copy(spool: &File, range: &Range<u64>, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = range.start;
    while at < range.end {
        let len = buffer
            .len()
            .min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        spool.read_at(at, &mut buffer[..len])?;
        out.write_all(&buffer[..len])?;
        at += len as u64;
    }
    Ok(())
}

fn finished(file: Hashing, kind: FileKind, flags: Vec<Flag>) -> Result<Made> {
    let (bytes, sha256) = file.finish().map_err(|e| ArchiveError::Media(e.into()))?;
    Ok(Made {
        kind,
        sha256,
        bytes,
        flags,
    })
}
