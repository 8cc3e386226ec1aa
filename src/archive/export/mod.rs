//! `kvs-operator export`: archived footage of a span as one file that plays.
//!
//! May: read the archive, write the one file that was asked for. May not: change the archive, or ask KVS anything.

mod choice;
mod read;
mod report;

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

pub use self::report::{Exported, Kind, Note, Report, Stretch};
use self::{
    choice::{Choice, stretches},
    read::Reader,
    report::{Shown, covered, notes},
};
use super::{
    catalogue::Archive,
    place::{Output, Place},
    times::{moment, zone},
};
use crate::{
    archiver::{
        error::{ArchiveError, Result},
        gaps,
        hashing::Hashing,
        media::{FILE_FRAMES, FileKind, Fragment as Footage, Joined, MediaError, lay_out},
        plan::Hole,
        request::Outcome,
        spool::{Body, Spool},
    },
    aws::Fragment,
    runtime::telemetry,
};

/// The most frames of an export: eighteen hours of pictures, five with sound. A frame takes about a hundred bytes of memory.
const MOST_FRAMES: usize = 5 * FILE_FRAMES;

/// Of which stream, when, and into which file.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// The stream's name.
    stream: String,
    /// Where the span begins, by the camera's clock: 2026-11-22T10:00:00Z, or without an offset in the time zone of --tz.
    #[arg(long)]
    from: String,
    /// Where it ends.
    #[arg(long)]
    to: String,
    /// The time zone of moments without an offset, and of what is told, as Europe/Berlin.
    #[arg(long, default_value = "UTC")]
    tz: String,
    /// The file to write. It ends with .mp4, which plays everywhere and holds H.264, H.265 and AAC, or with .mkv, which holds
    /// all codecs. While it is made, as much disk as twice the footage is used in its folder.
    #[arg(long, short)]
    output_file: PathBuf,
    /// Replace the file if there is one.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    place: Place,
    /// A folder that holds what lies in the bucket below the prefix (as `aws s3 sync` downloads it), to read instead of it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How the result is told. Default: text on a terminal, else JSON.
    #[arg(long, value_enum)]
    output: Option<Output>,
}

/// Runs the command.
pub async fn run(args: Export) -> ExitCode {
    telemetry::start();
    let (archive, ..) = args.place.open(args.dir.as_deref()).await;
    let report = match export(&archive, &args).await {
        Ok(report) => report,
        Err(e) => {
            tracing::error!("{}", e.chain());
            return ExitCode::from(e.outcome().exit_code());
        }
    };
    Output::tell(args.output, &report, Report::text);
    let outcome = match report.file {
        Some(_) => Outcome::Committed,
        None => Outcome::TryAgain,
    };
    ExitCode::from(outcome.exit_code())
}

/// Joins what the archive has of the span, and says what it has not.
async fn export(archive: &Archive, args: &Export) -> Result<Report> {
    let zone = zone(&args.tz)?;
    let asked = Hole {
        from: moment(&args.from, &zone)?,
        to: moment(&args.to, &zone)?,
    };
    if asked.from >= asked.to {
        return Err(ArchiveError::Invalid("--to must lie behind --from".into()));
    }
    let (path, kind) = (args.output_file.as_path(), kind(&args.output_file)?);
    if !args.overwrite && path.exists() {
        return Err(exists(path));
    }
    let choice = choose(archive, &args.stream, asked).await?;
    let sources = read::sources(archive, &choice).await?;
    let listed: Vec<Fragment> = sources.iter().map(|s| s.fragment.clone()).collect();
    let tolerance = gaps::tolerance(&listed);
    let order = stretches(&listed, tolerance);

    let spool = Spool::new(Some(folder(path)))?;
    let reader = Reader {
        archive,
        choice: &choice,
        spool: &spool,
        kind,
    };
    let read = reader.all(&sources, order).await?;
    let footage = spool.work(move || Ok(in_order(read))).await?;
    let mut report = Report {
        file: None,
        asked: Stretch::of(asked, &zone),
        notes: notes(&choice, asked, (&footage.shown, &footage.raw), tolerance, &zone),
    };
    let fragments: Vec<_> = footage.shown.iter().map(|s| s.fragment.clone()).collect();
    let Some(covers) = covered(&fragments) else {
        return Ok(report);
    };
    let (files, frames) = (footage.files, footage.media.iter().map(|m| m.frames.len()).sum());
    let (target, overwrite) = (path.to_owned(), args.overwrite);
    let (bytes, sha256) = spool
        .work(move || write_file(&footage, kind, &target, overwrite))
        .await?;
    report.file = Some(Exported {
        path: path.display().to_string(),
        bytes,
        sha256,
        covers: Stretch::of(covers, &zone),
        fragments: fragments.len(),
        files,
        frames,
    });
    Ok(report)
}

/// What all documents of the stream say of the span.
async fn choose(archive: &Archive, stream: &str, span: Hole) -> Result<Choice> {
    let mut choice = Choice::of(span);
    for (index, folder) in archive.stream(stream).await?.iter().enumerate() {
        let tombstones = archive.tombstones(folder).await?;
        let recordings = archive.recordings(folder).await?;
        let visit = |manifest: &_, _: &str| {
            choice.take(index, manifest, &tombstones);
            Ok(())
        };
        archive.manifests(&recordings, visit).await?;
    }
    Ok(choice)
}

/// Footage that was read: one behind the other in the spool, not yet in the order of the file.
#[derive(Debug)]
struct Read {
    body: Body,
    joined: Joined,
    /// Stretch by stretch, what was listed and what is in it.
    stretches: Vec<Vec<(Fragment, Footage)>>,
    raw: Vec<Fragment>,
    files: usize,
}

/// Footage as the file will have it.
#[derive(Debug)]
struct InOrder {
    body: Body,
    joined: Joined,
    media: Vec<Footage>,
    shown: Vec<Shown>,
    raw: Vec<Fragment>,
    files: usize,
}

/// Lays stretches behind each other, those that repeat something behind it.
fn in_order(read: Read) -> InOrder {
    let Read {
        body,
        joined,
        stretches,
        raw,
        files,
    } = read;
    let (mut media, mut shown) = (Vec::new(), Vec::new());
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for stretch in stretches {
        let mut fragments = stretch.into_iter();
        let Some((first, mut all)) = fragments.next() else {
            continue;
        };
        let mut lengths = vec![(first, all.frames.len(), all.tracks.clone())];
        for (listed, footage) in fragments {
            lengths.push((listed, footage.frames.len(), footage.tracks));
            all.frames.extend(footage.frames);
        }
        whole.push(all);
        parts.push(lengths);
    }
    let moved = lay_out(&mut whole);
    let times = whole.iter().flat_map(|w| &w.frames).map(|f| f.time);
    let start = times.min().unwrap_or(0);
    for ((mut whole, lengths), moved) in whole.into_iter().zip(parts).zip(moved) {
        let mut frames = std::mem::take(&mut whole.frames).into_iter();
        for (fragment, len, tracks) in lengths {
            let mut part = Footage {
                tracks,
                ..whole.clone()
            };
            part.frames = frames.by_ref().take(len).collect();
            let begins = part.frames.iter().map(|f| f.time).min();
            let listed = || fragment.producer.as_millisecond().saturating_mul(1_000_000) + moved;
            let begins = begins.unwrap_or_else(listed);
            shown.push(Shown {
                fragment,
                at_ms: (begins - start) / 1_000_000,
                moved_ms: moved / 1_000_000,
            });
            media.push(part);
        }
    }
    InOrder {
        body,
        joined,
        media,
        shown,
        raw,
        files,
    }
}

/// Writes the file beside its place and moves it there when it is whole. Its size and SHA-256.
fn write_file(footage: &InOrder, kind: FileKind, path: &Path, overwrite: bool) -> Result<(u64, String)> {
    let failed = |source| ArchiveError::Spool {
        path: path.into(),
        source,
    };
    // As any new file: who may read it is what the umask says.
    let new = tempfile::Builder::new()
        .prefix(".kvs-export-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
        .map_err(failed)?;
    let mut out = Hashing::new(new.as_file().try_clone().map_err(failed)?);
    let media: Vec<_> = footage.media.iter().collect();
    footage
        .joined
        .format()
        .write(kind, &media, footage.body.file(), &mut out)
        .map_err(|e| match e {
            MediaError::DoesNotFit(what) => ArchiveError::Invalid(format!(
                "one .{} cannot hold this footage: {what}; export it in several pieces",
                kind.extension()
            )),
            other => other.into(),
        })?;
    let (bytes, sha256) = out.finish().map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    if overwrite {
        new.persist(path).map_err(|e| failed(e.error))?;
    } else {
        new.persist_noclobber(path).map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => failed(e.error),
        })?;
    }
    Ok((bytes, hex::encode(sha256)))
}

fn kind(path: &Path) -> Result<FileKind> {
    let extension = path.extension().and_then(|e| e.to_str());
    let kinds = [FileKind::Mp4, FileKind::Matroska];
    let kind = kinds.into_iter().find(|kind| extension == Some(kind.extension()));
    kind.ok_or_else(|| {
        ArchiveError::Invalid(format!(
            "{} must end with .mp4 (H.264, H.265 and AAC) or .mkv (all codecs)",
            path.display()
        ))
    })
}

fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn exists(path: &Path) -> ArchiveError {
    ArchiveError::Invalid(format!(
        "{} is there already; --overwrite replaces it",
        path.display()
    ))
}
