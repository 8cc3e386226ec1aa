//! What all passes of this controller share, for as long as the process lives. Losing it costs a few reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{admission::Admission, seen::Stream};

/// What all passes share.
#[derive(Debug, Default)]
pub struct Shared {
    busy: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
    admission: Mutex<Admission>,
    streams: Mutex<HashMap<String, (Timestamp, Stream)>>,
}

impl Shared {
    /// Waits until no other pass works on the stream; none does for as long as the guard lives.
    pub async fn stream(&self, arn: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.retain(|_, lock| lock.strong_count() > 0);
            match busy.get(arn).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(AsyncMutex::new(()));
                    busy.insert(arn.to_owned(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }

    /// Whether `who` may make a Job now; if not, how long to wait.
    ///
    /// # Errors
    /// It is not its turn.
    pub fn ask(&self, who: &str, expires: Option<Timestamp>, now: Timestamp) -> Result<(), SignedDuration> {
        self.admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ask(who, expires, now)
    }

    /// What was learnt of a stream since `since`.
    pub fn known_stream(&self, arn: &str, since: Timestamp) -> Option<Stream> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams
            .get(arn)
            .filter(|(at, _)| *at >= since)
            .map(|(_, stream)| stream.clone())
    }

    /// This is so now. What is older than an hour is forgotten.
    pub fn learn_stream(&self, arn: &str, stream: &Stream, now: Timestamp) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|_, (at, _)| now.duration_since(*at) < SignedDuration::from_hours(1));
        streams.insert(arn.to_owned(), (now, stream.clone()));
    }
}
