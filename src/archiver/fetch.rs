//! Getting the fragments of a chunk from KVS: each that is asked for is seen whole exactly once, or it is known why not.
//!
//! May: ask, ask again, ask for less at a time. May not: take a part for the whole, or decide that anything is lost.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use futures::StreamExt;

use super::{
    error::{ArchiveError, Result},
    manifest::Unread,
    media::{self, FragmentReader, InBandError, Incomplete, Listed, MediaError},
    pace::Pace,
    spool::Body,
    store::backoff,
};
use crate::{
    aws::{AwsError, Fragment, FragmentNumber, Kind, StreamArn, footage::Footage},
    clock::Clock,
};

/// The most bytes, as listed, that are asked for in one call: what a broken body costs.
const CALL_BYTES: u64 = 64 << 20;

/// How often the same is asked for before it is asked for in smaller parts, or given up.
const TRIES: u32 = 3;

/// How often a throttled call is tried.
const THROTTLED_TRIES: u32 = 8;

/// How many fragments in a row may fail, alone, before KVS itself counts as failing.
const FAILURES: u32 = 3;

/// How many fragments must be refused, before any was read, for all to count as refused.
const DENIALS: u32 = 3;

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
    /// How many fragments arrived so far.
    read: u64,
    denied: u32,
    failed_in_a_row: u32,
    /// The stream turned out to be gone.
    gone: bool,
    /// The last failure of a call that made a fragment unread.
    failure: Option<AwsError>,
}

/// What is asked for in one call.
#[derive(Debug)]
struct Batch<'a> {
    fragments: Vec<&'a Fragment>,
    tries: u32,
    /// Another fragment, asked for behind the one that matters: where KVS goes on with it, that one is whole.
    companion: Option<&'a Fragment>,
}

/// What came of a call.
#[derive(Debug, Default)]
struct Answer {
    found: Vec<media::Fragment>,
    /// Why more did not come.
    trouble: Option<Trouble>,
}

#[derive(Debug)]
enum Trouble {
    /// The call failed, or its body broke off.
    Call(AwsError),
    /// The body ended in order, but is no Matroska from some place on, or ends inside a fragment.
    Media {
        error: MediaError,
        bytes: Range<u64>,
        sha256: [u8; 32],
    },
}

/// The fragments of one chunk, while they are fetched.
#[derive(Debug)]
struct Round<'a> {
    wanted: &'a [Fragment],
    arrived: BTreeMap<&'a FragmentNumber, Delivery>,
    queue: VecDeque<Batch<'a>>,
    /// What a fragment that could not be parsed looked like.
    unparsed: BTreeMap<&'a FragmentNumber, [u8; 32]>,
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
            read: 0,
            denied: 0,
            failed_in_a_row: 0,
            gone: false,
            failure: None,
        }
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
        let mut round = Round {
            wanted,
            arrived: BTreeMap::new(),
            queue: batches(wanted, self.pace.burst()),
            unparsed: BTreeMap::new(),
        };
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
        let mut arrived = round.arrived;
        Ok(wanted
            .iter()
            .map(|f| {
                arrived
                    .remove(&f.number)
                    .unwrap_or_else(|| unread("it was never asked for"))
            })
            .collect())
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

    /// Takes what came, asks again for what did not, and says how much of the spool is needed.
    async fn take<'a>(
        &mut self,
        round: &mut Round<'a>,
        mut batch: Batch<'a>,
        answer: Answer,
        begin: u64,
    ) -> Result<u64> {
        let mut keep = begin;
        let mut progress = false;
        let mut again = Vec::new();
        for found in answer.found {
            let Some(place) = batch.place(&found) else {
                tracing::warn!(number = ?found.number, "KVS sent a fragment that was not asked for, or twice");
                continue;
            };
            let fragment = batch.fragments.swap_remove(place);
            progress = true;
            let last_try = batch.tries + 1 >= TRIES;
            let listed = Listed {
                bytes: fragment.bytes,
                milliseconds: fragment.length_ms.into(),
            };
            match found.check(Some(listed)) {
                Ok(()) => {
                    keep = keep.max(found.bytes.end);
                    (self.read, self.failed_in_a_row) = (self.read + 1, 0);
                    round
                        .arrived
                        .insert(&fragment.number, Delivery::Whole(Box::new(found)));
                }
                Err(Incomplete::Reported(error)) if is_denied(&error) => round.denied(fragment, told(&error)),
                Err(Incomplete::Reported(error)) if error.code == NOT_FOUND || last_try => {
                    round.unread(fragment, told(&error));
                }
                Err(doubt) if last_try => round.unread(fragment, doubt),
                Err(Incomplete::Reported(_)) => again.push(Batch::alone(fragment, batch.tries + 1)),
                Err(_) => {
                    let companion = round.companion(fragment);
                    again.push(Batch {
                        companion,
                        ..Batch::alone(fragment, batch.tries + 1)
                    });
                }
            }
        }
        if !again.is_empty() {
            self.pause(batch.tries + 1).await;
        }
        batch.fragments.sort_by(|a, b| a.number.cmp(&b.number));
        if !batch.fragments.is_empty() {
            if progress {
                // What came is taken; the rest is a new question.
                round.queue.push_front(Batch {
                    tries: 0,
                    companion: None,
                    ..batch
                });
            } else {
                keep = keep.max(self.nothing_came(round, batch, answer.trouble, begin).await?);
            }
        }
        for batch in again {
            round.queue.push_front(batch);
        }
        Ok(keep)
    }

    /// Nothing of a batch came: asks again, for less at a time, or notes why the one fragment does not come.
    async fn nothing_came<'a>(
        &mut self,
        round: &mut Round<'a>,
        batch: Batch<'a>,
        trouble: Option<Trouble>,
        begin: u64,
    ) -> Result<u64> {
        let tries = batch.tries + 1;
        match trouble {
            Some(Trouble::Call(e)) => self.call_failed(round, batch, e).await?,
            Some(Trouble::Media { error, bytes, sha256 }) => match batch.fragments.as_slice() {
                [fragment] => {
                    let whole = bytes.end - bytes.start >= fragment.bytes;
                    if whole && round.unparsed.insert(&fragment.number, sha256) == Some(sha256) {
                        (self.read, self.failed_in_a_row) = (self.read + 1, 0);
                        round
                            .arrived
                            .insert(&fragment.number, Delivery::Raw(bytes.clone()));
                        return Ok(bytes.end);
                    }
                    if tries < TRIES {
                        self.pause(tries).await;
                        round.queue.push_front(Batch { tries, ..batch });
                    } else {
                        round.unread(fragment, error);
                    }
                }
                _ => round.split(batch),
            },
            None => match batch.fragments.as_slice() {
                [fragment] if tries >= TRIES => round.unread(fragment, "KVS answered without it"),
                [_] => {
                    self.pause(tries).await;
                    round.queue.push_front(Batch { tries, ..batch });
                }
                _ => round.split(batch),
            },
        }
        Ok(begin)
    }

    async fn call_failed<'a>(
        &mut self,
        round: &mut Round<'a>,
        batch: Batch<'a>,
        error: AwsError,
    ) -> Result<()> {
        let tries = batch.tries + 1;
        let alone = match batch.fragments.as_slice() {
            [fragment] => Some(*fragment),
            _ => None,
        };
        match error.kind {
            Kind::Throttled if tries < THROTTLED_TRIES => {
                self.pause(tries).await;
                round.queue.push_front(Batch { tries, ..batch });
            }
            Kind::Throttled => return Err(error.into()),
            Kind::Denied => {
                let Some(fragment) = alone else {
                    round.split(batch);
                    return Ok(());
                };
                self.denied += 1;
                round.denied(fragment, error.to_string());
                if self.read == 0 && self.denied >= DENIALS {
                    return Err(ArchiveError::Denied(error.to_string()));
                }
            }
            Kind::NotFound if self.is_gone().await? => {
                self.gone = true;
                round.queue.push_front(batch);
            }
            Kind::NotFound | Kind::Invalid => match alone {
                Some(fragment) => round.unread(fragment, error),
                None => round.split(batch),
            },
            Kind::Unavailable | Kind::Busy | Kind::Stale | Kind::Limit => {
                if tries < TRIES {
                    self.pause(tries).await;
                    round.queue.push_front(Batch { tries, ..batch });
                    return Ok(());
                }
                let Some(fragment) = alone else {
                    round.split(batch);
                    return Ok(());
                };
                self.failed_in_a_row += 1;
                if self.failed_in_a_row >= FAILURES {
                    return Err(error.into());
                }
                round.unread(fragment, &error);
                self.failure = Some(error);
            }
        }
        Ok(())
    }

    async fn is_gone(&self) -> Result<bool> {
        match self.footage.stream(&self.arn).await {
            Ok(_) => Ok(false),
            Err(e) if e.kind == Kind::NotFound => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    async fn pause(&self, attempt: u32) {
        self.clock.sleep(backoff(attempt, self.clock.chance())).await;
    }
}

impl<'a> Batch<'a> {
    fn alone(fragment: &'a Fragment, tries: u32) -> Self {
        Self {
            fragments: vec![fragment],
            tries,
            companion: None,
        }
    }

    /// Which of the fragments this is. One without a number is the one that was asked for alone.
    fn place(&self, found: &media::Fragment) -> Option<usize> {
        match &found.number {
            Some(number) => self.fragments.iter().position(|f| f.number.as_str() == number),
            None => (self.fragments.len() == 1 && self.companion.is_none()).then_some(0),
        }
    }
}

impl<'a> Round<'a> {
    fn unread(&mut self, fragment: &'a Fragment, reason: impl ToString) {
        self.arrived.insert(&fragment.number, unread(reason));
    }

    fn denied(&mut self, fragment: &'a Fragment, reason: String) {
        self.arrived.insert(
            &fragment.number,
            Delivery::Unread(Unread { reason, denied: true }),
        );
    }

    fn split(&mut self, mut batch: Batch<'a>) {
        let second = batch.fragments.split_off(batch.fragments.len() / 2);
        for fragments in [second, batch.fragments] {
            self.queue.push_front(Batch {
                fragments,
                tries: 0,
                companion: None,
            });
        }
    }

    /// The fragment after this one, or before it.
    fn companion(&self, fragment: &Fragment) -> Option<&'a Fragment> {
        let at = self.wanted.iter().position(|f| f.number == fragment.number)?;
        self.wanted
            .get(at + 1)
            .or_else(|| self.wanted.get(at.checked_sub(1)?))
    }
}

fn batches(wanted: &[Fragment], burst: usize) -> VecDeque<Batch<'_>> {
    let mut batches: VecDeque<Batch<'_>> = VecDeque::new();
    let mut bytes = 0;
    for fragment in wanted {
        match batches.back_mut() {
            Some(batch)
                if batch.fragments.len() < burst.min(1000) && bytes + fragment.bytes <= CALL_BYTES =>
            {
                bytes += fragment.bytes;
                batch.fragments.push(fragment);
            }
            _ => {
                bytes = fragment.bytes;
                batches.push_back(Batch::alone(fragment, 0));
            }
        }
    }
    batches
}

/// KVS's code for a fragment that is not there.
const NOT_FOUND: &str = "4000";

/// KMS: the key is disabled, denied, gone … (4500 to 4506).
fn is_denied(error: &InBandError) -> bool {
    error.code.len() == 4 && error.code.starts_with("450")
}

fn told(error: &InBandError) -> String {
    Incomplete::Reported(error.clone()).to_string()
}

fn unread(reason: impl ToString) -> Delivery {
    Delivery::Unread(Unread {
        reason: reason.to_string(),
        denied: false,
    })
}
