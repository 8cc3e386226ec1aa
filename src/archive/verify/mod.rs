//! `kvs-operator verify`: proves an archive from its documents.
//!
//! May: read. May not: change or mend anything. Stream by stream, recording by recording: memory holds one recording's fragments
//! and one stream's files, as digests.

mod chain;
mod object;
mod report;

use std::{collections::HashSet, path::PathBuf, process::ExitCode};

use futures::{StreamExt, stream};

pub use self::report::{Finding, Kind, Report, Totals};
use self::{
    chain::{Chain, short},
    object::Look,
};
use super::{
    catalogue::{AT_ONCE, Archive, Read, RecordingFolder, StreamFolder},
    files::{FootageFile, files},
    place::{Output, Place},
};
use crate::{
    archiver::{
        error::{ArchiveError, Result},
        keys::{File, Layout, Piece},
        manifest::{Fate, Manifest, Root},
        plan::{Plan, Work},
        spool::Spool,
        tombstone::Tombstones,
    },
    aws::{Kind as Failure, contents::Expiry},
    clock::AwsClock,
    runtime::telemetry,
};

/// Which archive, and how thoroughly.
#[derive(Clone, Debug, clap::Args)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// A folder that holds what lies in the bucket below the prefix (as `aws s3 sync` downloads it), to verify instead of it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Read and parse every byte, instead of asking S3 for its checksums.
    #[arg(long)]
    deep: bool,
    /// Default: text on a terminal, else JSON.
    #[arg(long, value_enum)]
    output: Option<Output>,
}

/// Runs the command.
pub async fn run(args: Verify) -> ExitCode {
    telemetry::start();
    let (archive, clock) = args.place.open(args.dir.as_deref()).await;
    let report = verify(&archive, &clock, args.deep).await;
    Output::tell(args.output, &report, Report::text);
    ExitCode::from(report.exit_code())
}

/// Verifies an archive.
pub async fn verify(archive: &Archive, clock: &AwsClock, deep: bool) -> Report {
    let mut report = Report::default();
    let error = Verification::of(archive, clock, deep, &mut report).await.err();
    report.finish(error.map(|e| (e.outcome(), e.chain())));
    report
}

struct Verification<'a> {
    archive: &'a Archive,
    clock: &'a AwsClock,
    spool: Spool,
    deep: bool,
    expiries: Vec<Expiry>,
}

/// What is known of the files of a stream.
#[derive(Default)]
struct Named {
    /// Digests of the keys that are accounted for.
    keys: HashSet<u128>,
    /// Plans that are not carried out yet.
    open: Vec<(Layout, Plan)>,
}

impl<'a> Verification<'a> {
    async fn of(archive: &'a Archive, clock: &'a AwsClock, deep: bool, report: &mut Report) -> Result<()> {
        let streams = archive.streams().await?;
        let footage = archive.contents.folders(&archive.prefix).await?;
        let footage: Vec<_> = footage
            .iter()
            .filter_map(|f| {
                let name = f.strip_prefix(&archive.prefix)?.strip_prefix("stream=")?;
                Some(name.trim_end_matches('/').to_owned())
            })
            .collect();
        if streams.is_empty() && footage.is_empty() {
            return Err(ArchiveError::Invalid(format!(
                "there is no archive under the prefix {:?}; look at --bucket and --prefix",
                archive.prefix
            )));
        }
        let expiries = match archive.contents.expiries().await {
            Ok(rules) => rules,
            // Only files that are missing could be explained by them.
            Err(e) if e.kind == Failure::Denied => Vec::new(),
            Err(e) => return Err(e.into()),
        };
        let this = Self {
            archive,
            clock,
            spool: Spool::new(None)?,
            deep,
            expiries,
        };
        let mut names: Vec<_> = streams.iter().map(|s| s.name.clone()).chain(footage).collect();
        names.sort();
        names.dedup();
        for name in names {
            let mut named = Named::default();
            for stream in streams.iter().filter(|s| s.name == name) {
                report.totals.streams += 1;
                this.stream(stream, &mut named, report).await?;
            }
            this.strays(&name, &named, report).await?;
        }
        Ok(())
    }

    async fn stream(&self, stream: &StreamFolder, named: &mut Named, report: &mut Report) -> Result<()> {
        let tombstones = self.archive.tombstones(stream).await?;
        for (key, tombstone) in &tombstones.0 {
            for removed in &tombstone.objects {
                if self.is_left(&removed.key).await? {
                    let what = format!(
                        "the tombstone {key} took it, and it is still there: delete it in all its versions"
                    );
                    report.add(Kind::NotErased, &removed.key, what);
                    named.keys.insert(short(&removed.key));
                }
            }
        }
        for folder in self.archive.recordings(stream).await? {
            report.totals.recordings += 1;
            self.recording(&folder, &tombstones, named, report).await?;
        }
        Ok(())
    }

    /// Whether a file that a tombstone took is there, be it in an old version.
    async fn is_left(&self, key: &str) -> Result<bool> {
        let contents = &self.archive.contents;
        match contents.versions(key).await {
            Ok(versions) => Ok(versions.iter().any(|v| !v.delete_marker)),
            Err(e) if e.kind == Failure::Denied => Ok(contents.describe(key).await?.is_some()),
            Err(e) => Err(e.into()),
        }
    }

    async fn recording(
        &self,
        folder: &RecordingFolder,
        tombstones: &Tombstones,
        named: &mut Named,
        report: &mut Report,
    ) -> Result<()> {
        let prefix = self.archive.prefix.trim_end_matches('/');
        let mut chain = Chain::default();
        for key in &folder.others {
            report.add(Kind::Stray, key, "it is nothing that this version writes");
        }
        let mut roots = Vec::new();
        for file in &folder.roots {
            let key = format!("{}{}", folder.path, file.name());
            let found = self.document::<Root>(&key, report).await?;
            roots.extend(found.map(|(root, object)| (root, object, *file)));
        }
        roots.sort_by_key(|(root, ..)| root.position);
        let (mut unfinished, mut behind, mut open) = (Vec::new(), false, roots.iter());
        let mut root = open.next();
        for (piece, pair) in &folder.pieces {
            // A root is compared with what comes before its position.
            while let Some((content, object, file)) = root
                && matches!(piece, Piece::Sweep(position) if *position > content.position)
            {
                chain.root(prefix, (content, object), *file, report);
                root = open.next();
            }
            behind = root.is_none();
            let plan_key = format!("{}{}", folder.path, File::Plan(*piece).name());
            let plan = self.document::<Plan>(&plan_key, report).await?;
            let Some(listed) = &pair.manifest else {
                if let Some((plan, object)) = plan
                    && chain.plan(prefix, &plan, &object, report)
                {
                    unfinished.push((plan, object.key));
                }
                continue;
            };
            let Some((manifest, object)) = self.document::<Manifest>(&listed.key, report).await? else {
                continue;
            };
            if !pair.plan {
                let what = format!("its manifest {} names it", listed.key);
                report.add(Kind::Missing, &plan_key, what);
            }
            let plan = plan.as_ref().map(|(plan, object)| (plan, object));
            chain.manifest(prefix, (&manifest, &object), plan, report);
            self.files(&manifest, listed.last_modified, tombstones, named, report)
                .await?;
        }
        for (content, object, file) in root.into_iter().chain(open) {
            chain.root(prefix, (content, object), *file, report);
        }
        report.totals.unread += chain.unread() as u64;
        report.totals.gaps += chain.gaps();
        if roots.is_empty() || behind {
            report.totals.open += 1;
            let what = if roots.is_empty() {
                "the recording has no root yet; it was checked by its manifests"
            } else {
                "footage was found behind the recording's root; it was checked by its manifest"
            };
            report.add(Kind::Open, &folder.path, what);
        }
        let last = roots.last().map(|(root, ..)| root.position);
        for (plan, key) in unfinished {
            let (position, close) = match plan.work {
                Work::Sweep { position, close, .. } => (Some(position), close),
                Work::Slice { .. } => (None, false),
            };
            // The plan that closes a recording has no manifest: the root is what came of it.
            if close && position <= last {
                continue;
            }
            if last.is_some() && position <= last {
                report.add(
                    Kind::Missing,
                    key.replace(".plan.json", ".manifest.json"),
                    "its plan is there, and the recording is closed",
                );
            } else {
                report.add(Kind::Unfinished, key, "it was begun, and has no manifest yet");
            }
            named
                .open
                .extend(chain.layout(prefix).map(|layout| (layout, plan)));
        }
        Ok(())
    }

    /// Looks at the files that a manifest names.
    async fn files(
        &self,
        manifest: &Manifest,
        written: Option<jiff::Timestamp>,
        tombstones: &Tombstones,
        named: &mut Named,
        report: &mut Report,
    ) -> Result<()> {
        let (files, erased) = files(manifest, tombstones);
        report.totals.erased += erased.len() as u64;
        let noted = manifest.fragments.iter();
        report.totals.erased += noted.filter(|e| matches!(e.fate, Fate::Erased(_))).count() as u64;
        for object in &manifest.objects {
            if tombstones.removed(&object.key).is_none() && !files.iter().any(|f| f.key == object.key) {
                report.add(
                    Kind::Contradiction,
                    &object.key,
                    "its manifest names no fragment in it",
                );
                named.keys.insert(short(&object.key));
            }
        }
        let look = Look {
            archive: self.archive,
            spool: &self.spool,
            deep: self.deep,
            expiries: &self.expiries,
            now: self.clock.now(),
        };
        let at_once = if self.deep { 2 } else { AT_ONCE };
        let mut seen = stream::iter(&files)
            .map(async |file: &FootageFile| (look.at(file, written).await, file))
            .buffered(at_once);
        while let Some((seen, file)) = seen.next().await {
            let seen = seen?;
            named.keys.insert(short(&file.key));
            let totals = &mut report.totals;
            if seen.sound {
                totals.files += 1;
                totals.bytes += file.bytes;
                totals.fragments += file.fragments.len() as u64;
            }
            totals.read += u64::from(seen.read);
            totals.frames += seen.frames;
            if let Some((kind, what)) = seen.finding {
                report.add(kind, &file.key, what);
            }
            for fragment in &file.fragments {
                if seen.sound && tombstones.takes(fragment).is_some() {
                    let what = format!(
                        "fragment {} was to be erased, and no tombstone names this file",
                        fragment.number
                    );
                    report.add(Kind::NotErased, &file.key, what);
                }
            }
        }
        Ok(())
    }

    /// A document; where it is broken, that is found and it counts as not there.
    async fn document<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        report: &mut Report,
    ) -> Result<Option<(T, crate::api::ObjectRef)>> {
        Ok(match self.archive.document(key).await? {
            Read::Found(content, object) => Some((content, object)),
            Read::Broken(why) => {
                report.add(Kind::Unreadable, key, why);
                None
            }
            Read::Missing => None,
        })
    }

    /// Goes through a stream's files: which does nothing explain?
    async fn strays(&self, name: &str, named: &Named, report: &mut Report) -> Result<()> {
        let prefix = format!("{}stream={name}/", self.archive.prefix);
        let mut after = String::new();
        loop {
            let page = self.archive.contents.page(&prefix, &after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.key);
            for object in page {
                if named.keys.contains(&short(&object.key)) {
                    continue;
                }
                let plan = named
                    .open
                    .iter()
                    .find(|(layout, plan)| chain::explains(layout, plan, &object.key));
                match plan {
                    Some((layout, plan)) => {
                        let plan = layout.key(File::Plan(plan.work.piece()));
                        report.add(Kind::Unfinished, object.key, format!("it is of the plan {plan}"));
                    }
                    None => report.add(
                        Kind::Stray,
                        object.key,
                        "neither plan nor manifest explains it; it counts for nothing",
                    ),
                }
            }
        }
    }
}
