//! What archiving a span would do, before anything is fetched: `archive --dry-run`.
//!
//! May: list footage and read what is in S3. May not: write anything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Archiver,
    error::{ArchiveError, Result},
    keys::{File, Layout, Piece},
    manifest::Manifest,
    plan::{self, Hole, LostSpan, Plan, Work},
    request::{ArchiveRequest, Task},
    slice::Slice,
};
use crate::{api::Container, aws::StreamArn};

/// What a GB (10^9 bytes) costs that is read from KVS, in US dollars, and where that is from.
const PRICE: (f64, &str) = (
    0.0085,
    "AWS's list price of data consumed from Kinesis Video Streams in us-east-1, January 2026; other regions differ",
);

/// What archiving a span would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The stream.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The bucket.
    pub bucket: String,
    /// The folder of plans and manifests in it.
    pub folder: String,
    /// Where the span begins.
    pub from: Timestamp,
    /// Up to where it is due now.
    pub through: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// Its slices, in order.
    pub slices: Vec<PreviewSlice>,
    /// The files that would be written, in order.
    pub files: Vec<PreviewFile>,
    /// Holes in the camera's time.
    pub gaps: Vec<Hole>,
    /// Times that the camera sent again.
    pub repeats: Vec<Hole>,
    /// Footage that is lost already.
    pub lost_spans: Vec<LostSpan>,
    /// How many fragments would be read from KVS.
    pub fragments: u64,
    /// Their bytes, as KVS lists them.
    pub bytes: u64,
    /// What reading them costs, in US dollars.
    pub usd: f64,
    /// By which price.
    pub price: String,
}

/// A slice of a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewSlice {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub through: Timestamp,
    /// What there is of it.
    pub state: PreviewState,
}

/// What there is of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreviewState {
    /// Nothing yet.
    New,
    /// Its plan, and perhaps some of its files, which are not fetched again.
    Begun,
    /// All of it.
    Archived,
}

/// A file that would be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewFile {
    /// Its key, if all of it can be in one file of the container that is wanted: the codecs are seen only when it is read.
    pub key: String,
    /// The camera's time of its start.
    pub from: Timestamp,
    /// The camera's time of its end.
    pub to: Timestamp,
    /// How many fragments.
    pub fragments: u64,
    /// Their bytes, as KVS lists them.
    pub bytes: u64,
}

impl Archiver {
    /// What archiving a span would do now.
    ///
    /// # Errors
    /// Where archiving would fail at once: nothing is due, access is denied, something in S3 contradicts.
    pub async fn preview(&self, request: &ArchiveRequest, stream: &StreamArn) -> Result<Preview> {
        let Task::Slice { from, to, .. } = request.task else {
            return Err(ArchiveError::Invalid(
                "only slices can be shown in advance".into(),
            ));
        };
        let layout = Layout::new(&request.destination.s3.prefix, stream, &request.recording);
        let circumstances = self.circumstances(stream).await?;
        let mut preview = Preview {
            stream_arn: request.stream_arn.clone(),
            bucket: request.destination.s3.bucket.clone(),
            folder: layout.folder(),
            from,
            through: from,
            to,
            slices: Vec::new(),
            files: Vec::new(),
            gaps: Vec::new(),
            repeats: Vec::new(),
            lost_spans: Vec::new(),
            fragments: 0,
            bytes: 0,
            usd: 0.0,
            price: PRICE.1.into(),
        };
        let mut covered = None;
        while preview.through < to {
            let at = preview.through;
            let manifest = layout.key(File::Manifest(Piece::Slice(at)));
            if let Some(manifest) = self.store.document::<Manifest>(&manifest).await? {
                self.is_ours(request, &manifest)?;
                covered = manifest.content.covered;
                preview.slice(manifest.content.work, at, PreviewState::Archived)?;
                continue;
            }
            let key = layout.key(File::Plan(Piece::Slice(at)));
            let (plan, state) = match self.store.document::<Plan>(&key).await? {
                Some(plan) => {
                    self.is_ours(request, &plan)?;
                    (plan.content, PreviewState::Begun)
                }
                None => {
                    let slice = Slice {
                        from: at,
                        to,
                        predecessor: None,
                    };
                    let settle = request.settle.duration();
                    if at > from && plan::due(at, to, circumstances.now, settle).is_none() {
                        break;
                    }
                    let plan = self.plan_slice(request, stream, &slice, covered, circumstances);
                    (plan.await?, PreviewState::New)
                }
            };
            covered = plan.covered;
            preview.slice(plan.work, at, state)?;
            preview.add(plan, &layout, request.clip.container);
        }
        preview.usd = preview.bytes as f64 / 1e9 * PRICE.0;
        Ok(preview)
    }
}

impl Preview {
    fn slice(&mut self, work: Work, from: Timestamp, state: PreviewState) -> Result<()> {
        let Work::Slice { through, .. } = work else {
            return Err(ArchiveError::Invalid(
                "a slice's document is about a sweep".into(),
            ));
        };
        self.slices.push(PreviewSlice { from, through, state });
        self.through = through;
        Ok(())
    }

    fn add(&mut self, plan: Plan, layout: &Layout, container: Container) {
        let extension = match container {
            Container::Auto => "mp4",
            Container::Matroska => "mkv",
        };
        for (index, chunk) in plan.chunks.iter().enumerate() {
            let (first, last) = (chunk.first(), chunk.last());
            let mut id = layout.footage_id(plan.work.piece(), index, 0);
            chunk.fragments.iter().for_each(|f| id.add(&f.number));
            let file = PreviewFile {
                key: layout.footage(&id.id(), chunk.day(first), first, last, extension),
                from: first.producer,
                to: last.producer_end(),
                fragments: chunk.fragments.len() as u64,
                bytes: chunk.bytes(),
            };
            self.fragments += file.fragments;
            self.bytes += file.bytes;
            self.files.push(file);
        }
        self.gaps.extend(plan.gaps);
        self.repeats.extend(plan.repeats);
        self.lost_spans.extend(plan.lost_spans);
    }
}
