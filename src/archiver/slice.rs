//! A slice: the next stretch of a recording that is due.

use jiff::Timestamp;

use super::{
    Archiver,
    error::{ArchiveError, Result},
    execute::Assignment,
    keys::{File, Layout, Piece},
    list,
    loss::Circumstances,
    manifest::Manifest,
    plan::{self, About, FRAGMENTS, LostSpan, Plan, Work},
    request::{ArchiveReport, ArchiveRequest},
    store::Document,
};
use crate::{api::ObjectRef, aws::StreamArn};

/// A slice's start, its latest end, and the manifest before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its start: with the recording, its identity.
    pub from: Timestamp,
    /// Its end at the latest.
    pub to: Timestamp,
    /// The manifest of the slice before it.
    pub predecessor: Option<ObjectRef>,
}

impl Archiver {
    /// Archives a slice. What was begun is gone on with; what is committed is reported as it is.
    pub async fn slice(
        &self,
        request: &ArchiveRequest,
        stream: &StreamArn,
        slice: &Slice,
    ) -> Result<ArchiveReport> {
        let layout = Layout::new(&request.destination.s3.prefix, stream, &request.recording);
        let piece = Piece::Slice(slice.from);
        if let Some(manifest) = self
            .store
            .document::<Manifest>(&layout.key(File::Manifest(piece)))
            .await?
        {
            self.is_ours(request, &manifest)?;
            let last_modified = manifest.last_modified;
            return Ok(ArchiveReport {
                listed_at: last_modified,
                ..ArchiveReport::committed(&manifest)
            });
        }
        let circumstances = self.circumstances(stream).await?;
        let key = layout.key(File::Plan(piece));
        let (plan, listed_at) = match self.store.document::<Plan>(&key).await? {
            Some(plan) => {
                let listed_at = plan.last_modified;
                (plan, listed_at)
            }
            None => {
                let covered = self.covered_before(request, &layout, slice).await?;
                let plan = self
                    .plan_slice(request, stream, slice, covered, circumstances)
                    .await?;
                (self.store.commit(key, plan).await?, Some(circumstances.now))
            }
        };
        self.is_ours(request, &plan)?;
        if slice.predecessor.is_some() && plan.content.predecessor != slice.predecessor {
            return Err(ArchiveError::Conflict {
                key: plan.object.key,
                why: "it follows another manifest than the one that is named as its predecessor".into(),
            });
        }
        let assignment = Assignment {
            stream,
            layout: &layout,
            cause: request.cause.as_ref(),
            circumstances,
        };
        let manifest = self.carry_out(&assignment, plan, None).await?;
        Ok(ArchiveReport {
            listed_at,
            ..ArchiveReport::committed(&manifest)
        })
    }

    /// The plan for a slice; nothing is written. `covered`: up to where slices before it cover the camera's time.
    pub(super) async fn plan_slice(
        &self,
        request: &ArchiveRequest,
        stream: &StreamArn,
        slice: &Slice,
        covered: Option<Timestamp>,
        circumstances: Circumstances,
    ) -> Result<Plan> {
        let settle = request.settle.duration();
        let Some(end) = plan::due(slice.from, slice.to, circumstances.now, settle) else {
            return Err(ArchiveError::NotYet(format!(
                "nothing is due: it is {} at AWS, the slice begins at {} and ends at {}, and footage settles for {}",
                circumstances.now, slice.from, slice.to, request.settle
            )));
        };
        let by = request.recording.timestamp_type;
        let (mut fragments, through, lost) = if circumstances.gone {
            (
                Vec::new(),
                end,
                Some(LostSpan {
                    from: slice.from,
                    to: end,
                    reason: circumstances.deleted(),
                }),
            )
        } else {
            let window = (slice.from, end);
            let listing =
                list::window(&*self.footage, &self.clock, stream, by, window, circumstances).await?;
            (listing.fragments, listing.through, listing.lost)
        };
        let Some(through) = plan::limit(&mut fragments, by, through, FRAGMENTS) else {
            return Err(ArchiveError::NotYet(format!(
                "more than {FRAGMENTS} fragments begin in one millisecond at {}: there is no place for a cut",
                slice.from
            )));
        };
        let cut = plan::cut(fragments, &request.clip, covered);
        Ok(Plan {
            version: plan::VERSION,
            stream_arn: request.stream_arn.clone(),
            recording: request.recording.clone(),
            work: Work::Slice {
                from: slice.from,
                through,
            },
            clip: request.clip.clone(),
            predecessor: slice.predecessor.clone(),
            chunks: cut.chunks,
            gaps: cut.gaps,
            repeats: cut.repeats,
            covered: cut.covered,
            // A slice that was cut short ends before the span may.
            lost_spans: lost
                .map(|l| LostSpan {
                    to: l.to.min(through),
                    ..l
                })
                .filter(|l| l.from < l.to)
                .into_iter()
                .collect(),
            lost: Vec::new(),
        })
    }

    /// Up to where the slices before this one cover the camera's time; also checks that this one follows them.
    async fn covered_before(
        &self,
        request: &ArchiveRequest,
        layout: &Layout,
        slice: &Slice,
    ) -> Result<Option<Timestamp>> {
        let Some(named) = &slice.predecessor else {
            return if slice.from == request.recording.start {
                Ok(None)
            } else {
                Err(ArchiveError::Invalid(format!(
                    "a slice that begins at {} needs the manifest before it: only the first, at {}, has none",
                    slice.from, request.recording.start
                )))
            };
        };
        let conflict = |why: &str| ArchiveError::Conflict {
            key: named.key.clone(),
            why: why.into(),
        };
        let Some(Document { content, object, .. }) = self.store.document::<Manifest>(&named.key).await?
        else {
            return Err(conflict("it is gone, and the slice after it needs it"));
        };
        if object.sha256 != named.sha256 {
            return Err(conflict(
                "it has another checksum than the one that was reported for it",
            ));
        }
        let follows = matches!(content.work, Work::Slice { through, .. } if through == slice.from);
        if !follows || layout.key(File::Manifest(content.work.piece())) != object.key {
            return Err(conflict(
                "it is not the manifest of the slice that ends where this one begins",
            ));
        }
        Ok(content.covered)
    }

    /// A document under a key of ours must be about what the key says.
    pub(super) fn is_ours(&self, request: &ArchiveRequest, document: &Document<impl About>) -> Result<()> {
        let (object, (stream_arn, work)) = (&document.object, document.content.about());
        let stream = stream_arn == request.stream_arn;
        let named = object
            .key
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with(&format!("{}.", work.piece().name())));
        if stream && named {
            return Ok(());
        }
        Err(ArchiveError::Conflict {
            key: object.key.clone(),
            why: "its content is about something else than its key".into(),
        })
    }
}
