//! Getting the fragments of a chunk from KVS: each that is asked for is seen whole exactly once, or it is known why not.
//!
//! A `round` holds what is still to be asked for; each call's `answer` is judged, and says what is asked for again.
//! May: ask, ask again, ask for less at a time. May not: take a part for the whole, or decide that anything is lost.

mod answer;
mod kept;
mod round;

use std::{ops::Range, sync::Arc};

use futures::StreamExt;

pub use self::kept::Kept;
use self::{
    answer::{Answer, Trouble},
    round::{Batch, Round},
};
use super::{
    error::Result,
    manifest::Unread,
    media::{self, FragmentReader, Listed},
    pace::Pace,
    spool::Body,
};
use crate::{
    aws::{AwsError, Fragment, StreamArn, footage::Footage},
    clock::Clock,
};

/// How a fragment arrived.
#[derive(Debug)]
pub enum Delivery {
    /// Whole, and understood.
    Whole(Box<media::Fragment>),
    /// Whole, but it cannot be parsed: twice the same bytes, in this range of the spool.
    Raw(Range<u64>),
    /// It did not.
    Unread(Unread),
    /// It was not asked for: this tombstone takes it.
    Erased(String),
}

/// Fetches fragments of one stream, over all chunks of a piece of work.
#[derive(Debug)]
pub struct Fetcher {
    footage: Arc<dyn Footage>,
    arn: StreamArn,
    clock: Arc<dyn Clock>,
    pace: Pace,
    /// What was read before.
    kept: Option<Kept>,
    /// How many fragments arrived so far.
    read: u64,
    denied: u32,
    failed_in_a_row: u32,
    /// The stream turned out to be gone.
    gone: bool,
    /// The last failure of a call that made a fragment unread.
    failure: Option<AwsError>,
}

impl Fetcher {
    /// A fetcher of this stream's fragments, `per_second` of them.
    pub fn new(footage: Arc<dyn Footage>, arn: StreamArn, clock: Arc<dyn Clock>, per_second: u32) -> Self {
        let pace = Pace::new(clock.clone(), per_second);
        Self {
            footage,
            arn,
            clock,
            pace,
            kept: None,
            read: 0,
            denied: 0,
            failed_in_a_row: 0,
            gone: false,
            failure: None,
        }
    }

    /// The same, and what was read before is not asked for again.
    pub fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    /// Fragments of the same piece of work that are in S3 already: KVS did deliver some.
    pub fn delivered_before(&mut self, fragments: usize) {
        self.read += fragments as u64;
    }

    /// Whether the stream turned out to be gone.
    pub fn stream_is_gone(&self) -> bool {
        self.gone
    }

    /// If calls failed and nothing at all was read: the failure.
    pub fn into_failure(self) -> Option<AwsError> {
        self.failure.filter(|_| self.read == 0)
    }

    /// Fetches `wanted` (each once) into `body`, and says of each, in that order, how it arrived.
    ///
    /// # Errors
    ///
    /// Where KVS fails or refuses altogether, or the spool does.
    pub async fn fetch(&mut self, wanted: &[Fragment], body: &mut Body) -> Result<Vec<Delivery>> {
        let mut read_before = Vec::new();
        for fragment in wanted {
            if let Some(kept) = &self.kept
                && let Some(media) = kept.take(fragment, body)?
            {
                read_before.push((fragment, media));
            }
        }
        self.read += read_before.len() as u64;
        let mut round = Round::new(wanted, read_before, self.pace.burst());
        while let Some(batch) = round.queue.pop_front() {
            if self.gone {
                for fragment in batch.fragments {
                    round.unread(fragment, "the stream is gone");
                }
                continue;
            }
            let begin = body.len();
            let answer = self.ask(&batch, body).await?;
            let keep = self.take(&mut round, batch, answer, begin).await?;
            body.truncate(keep)?;
        }
        Ok(round.over())
    }

    /// One call, its body spooled as it comes.
    async fn ask(&mut self, batch: &Batch<'_>, body: &mut Body) -> Result<Answer> {
        let numbers: Vec<_> = batch
            .fragments
            .iter()
            .copied()
            .chain(batch.companion)
            .map(|f| f.number.clone())
            .collect();
        self.pace.wait(numbers.len()).await;
        let mut answer = Answer::default();
        let mut media = match self.footage.media(&self.arn, &numbers).await {
            Ok(media) => media,
            Err(e) => {
                answer.trouble = Some(Trouble::Call(e));
                return Ok(answer);
            }
        };
        let begin = body.len();
        let (mut reader, mut broken) = (FragmentReader::new(begin), None);
        while let Some(piece) = media.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(e) => {
                    answer.trouble = Some(Trouble::Call(e));
                    return Ok(answer);
                }
            };
            body.append(&piece)?;
            if let Err(error) = reader.push(&piece, &mut answer.found) {
                broken = Some(error);
            }
        }
        let end = match broken {
            Some(error) => Err(error),
            None => reader.finish(),
        };
        match end {
            Ok(last) => answer.found.extend(last),
            Err(error) => {
                let sha256 = body.sha256(begin)?;
                answer.trouble = Some(Trouble::Media {
                    error,
                    bytes: begin..body.len(),
                    sha256,
                });
            }
        }
        Ok(answer)
    }
}

/// What the listing says of a fragment's media.
fn listed(fragment: &Fragment) -> Listed {
    Listed {
        bytes: fragment.bytes,
        milliseconds: fragment.length_ms.into(),
    }
}
