//! What came of a call, and what follows: taken, asked for again, alone or in smaller parts, or unread.
//!
//! May: wait, and ask whether the stream is there. May not: take a part for the whole, or decide that anything is lost.

use std::ops::Range;

use super::{
    super::{
        error::{ArchiveError, Result},
        media::{self, InBandError, Incomplete, MediaError},
        store::backoff,
    },
    Delivery, Fetcher, listed,
    round::{Batch, Round},
};
use crate::aws::{AwsError, Kind};

/// How often the same is asked for before it is asked for in smaller parts, or given up.
const TRIES: u32 = 3;

/// How often a throttled call is tried.
const THROTTLED_TRIES: u32 = 8;

/// How many fragments in a row may fail, alone, before KVS itself counts as failing.
const FAILURES: u32 = 3;

/// How many fragments must be refused, before any was read, for all to count as refused.
const DENIALS: u32 = 3;

/// What came of a call.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) found: Vec<media::Fragment>,
    /// Why more did not come.
    pub(super) trouble: Option<Trouble>,
}

#[derive(Debug)]
pub(super) enum Trouble {
    /// The call failed, or its body broke off.
    Call(AwsError),
    /// The body ended in order, but is no Matroska from some place on, or ends inside a fragment.
    Media {
        error: MediaError,
        bytes: Range<u64>,
        sha256: [u8; 32],
    },
}

impl Fetcher {
    /// Takes what came, asks again for what did not, and says how much of the spool is needed.
    pub(super) async fn take<'a>(
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
            match found.check(Some(listed(fragment))) {
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

/// KVS's code for a fragment that is not there.
const NOT_FOUND: &str = "4000";

/// KMS: the key is disabled, denied, gone … (4500 to 4506).
fn is_denied(error: &InBandError) -> bool {
    error.code.len() == 4 && error.code.starts_with("450")
}

fn told(error: &InBandError) -> String {
    Incomplete::Reported(error.clone()).to_string()
}
