//! What is known of streams without asking AWS again: one listing of a region for all objects in it, and what single looks
//! have shown since.
//!
//! ListStreams tells what DescribeStream tells. Tags, tier, image generation and notification are not in it: an object whose
//! status says that all is well is taken at its word for hours, and looked at properly when its time comes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    aws::{Kind, Place, Result, Streams, streams::Stream},
    runtime::backoff::jitter,
};

/// How old a listing may be. With the period of settled objects it makes at most 15 minutes from drift to its discovery.
const LISTING: SignedDuration = SignedDuration::from_secs(210);
/// How soon after a proper look the next one comes, within a tenth: at most 6 hours with the period of settled objects.
const PROPER_LOOK: Duration = Duration::from_secs(5 * 3600);
/// For how long the tags that a stream was made with are taken for its tags.
const MADE: SignedDuration = SignedDuration::from_mins(10);
/// Where streams may not be listed, how long until that is tried again.
const DENIED: SignedDuration = SignedDuration::from_mins(15);

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    regions: Mutex<HashMap<Place, Arc<Region>>>,
    /// By namespace and name.
    objects: Mutex<HashMap<String, Object>>,
}

/// What is known of one object.
#[derive(Debug)]
struct Object {
    /// When it is looked at properly again.
    due: Timestamp,
    /// The stream that was made for it: its ARN, its tags, when.
    made: Option<(String, Tags, Timestamp)>,
}

type Tags = BTreeMap<String, String>;

/// What is known of one region of one account.
#[derive(Debug, Default)]
struct Region {
    /// Held while a listing is fetched: who comes meanwhile waits for it instead of fetching another.
    fetching: AsyncMutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listed: Option<Timestamp>,
    denied: Option<Timestamp>,
    streams: HashMap<String, (Stream, Timestamp)>,
}

/// What a listing says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is so.
    There(Stream),
    /// There is none of that name.
    Absent,
    /// Streams may not be listed here.
    Unknown,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether something of `at` is older than `age`; a clock that was set back makes everything old.
fn older(at: Timestamp, age: SignedDuration, now: Timestamp) -> bool {
    let passed = now.duration_since(at);
    passed.is_negative() || passed > age
}

impl Known {
    fn region(&self, place: &Place) -> Arc<Region> {
        locked(&self.regions).entry(place.clone()).or_default().clone()
    }

    /// What is known of the stream of that name, no older than minutes. `now` is the node's time.
    ///
    /// # Errors
    /// The streams could not be listed.
    pub async fn lookup(
        &self,
        streams: &dyn Streams,
        place: &Place,
        name: &str,
        now: Timestamp,
    ) -> Result<Listed> {
        let region = self.region(place);
        if let Some(answer) = locked(&region.state).answer(name, now) {
            return Ok(answer);
        }
        let fetching = region.fetching.lock().await;
        if let Some(answer) = locked(&region.state).answer(name, now) {
            return Ok(answer);
        }
        match streams.list("").await {
            Ok(listing) => {
                let mut state = locked(&region.state);
                // What was seen while the listing was under way is newer than it.
                state.streams.retain(|_, (_, at)| *at >= now);
                for stream in listing {
                    state.streams.entry(stream.name.clone()).or_insert((stream, now));
                }
                (state.listed, state.denied) = (Some(now), None);
            }
            Err(error) if error.kind == Kind::Denied && !error.refuses_role() => {
                locked(&region.state).denied = Some(now);
            }
            Err(error) => return Err(error),
        }
        drop(fetching);
        self.prune(now);
        Ok(locked(&region.state).answer(name, now).unwrap_or(Listed::Unknown))
    }

    /// A look at the stream of that name has shown this.
    pub fn saw(&self, place: &Place, name: &str, stream: Option<&Stream>, now: Timestamp) {
        let region = self.region(place);
        let mut state = locked(&region.state);
        match stream {
            Some(stream) => state.streams.insert(name.to_owned(), (stream.clone(), now)),
            None => state.streams.remove(name),
        };
    }

    /// Whether the object's time for a proper look has come. After a start these times are spread over the whole period.
    pub fn due(&self, object: &str, now: Timestamp, chance: f64) -> bool {
        let first = || Object {
            due: now + PROPER_LOOK.mul_f64(chance),
            made: None,
        };
        locked(&self.objects)
            .entry(object.to_owned())
            .or_insert_with(first)
            .due
            <= now
    }

    /// The object was looked at properly.
    pub fn looked(&self, object: &str, now: Timestamp, chance: f64) {
        let due = now + jitter(PROPER_LOOK, chance);
        locked(&self.objects)
            .entry(object.to_owned())
            .or_insert(Object { due, made: None })
            .due = due;
    }

    /// Something went wrong: the next look is a proper one.
    pub fn doubt(&self, object: &str, now: Timestamp) {
        locked(&self.objects).insert(object.to_owned(), Object { due: now, made: None });
    }

    /// The object is gone.
    pub fn forget(&self, object: &str) {
        locked(&self.objects).remove(object);
    }

    /// A stream was made for the object, with these tags; it may not show for a while.
    pub fn made(&self, object: &str, arn: &str, tags: Tags, now: Timestamp) {
        let made = Some((arn.to_owned(), tags, now));
        locked(&self.objects).insert(object.to_owned(), Object { due: now, made });
    }

    /// The stream that was made for the object has arrived: from now on its tags are read.
    pub fn arrived(&self, object: &str) {
        if let Some(object) = locked(&self.objects).get_mut(object) {
            object.made = None;
        }
    }

    /// Whether no stream was made for the object lately.
    pub fn is_new(&self, object: &str) -> bool {
        locked(&self.objects)
            .get(object)
            .is_none_or(|object| object.made.is_none())
    }

    /// The ARN of the stream that was made for the object a moment ago: it may not show yet.
    pub fn made_lately(&self, object: &str, now: Timestamp) -> Option<String> {
        let objects = locked(&self.objects);
        let (made, _, at) = objects.get(object)?.made.as_ref()?;
        (!older(*at, MADE, now)).then(|| made.clone())
    }

    /// The tags that the stream of that ARN was made with a moment ago.
    pub fn made_with(&self, object: &str, arn: &str, now: Timestamp) -> Option<Tags> {
        let objects = locked(&self.objects);
        let (made, tags, at) = objects.get(object)?.made.as_ref()?;
        (made == arn && !older(*at, MADE, now)).then(|| tags.clone())
    }

    /// Objects that nobody has asked about for long after their time are gone.
    fn prune(&self, now: Timestamp) {
        locked(&self.objects)
            .retain(|_, object| !older(object.due, SignedDuration::from_hours(1), now.max(object.due)));
    }
}

impl State {
    /// `None`: a listing is due.
    fn answer(&self, name: &str, now: Timestamp) -> Option<Listed> {
        if self.denied.is_some_and(|at| !older(at, DENIED, now)) {
            return Some(Listed::Unknown);
        }
        let listed = self.listed.filter(|at| !older(*at, LISTING, now))?;
        Some(match self.streams.get(name) {
            Some((stream, at)) if *at >= listed => Listed::There(stream.clone()),
            _ => Listed::Absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + minutes * 60).unwrap()
    }

    #[test]
    fn proper_looks_are_spread_after_a_start_and_come_again_within_hours() {
        let known = Known::default();
        assert!(!known.due("a", at(0), 0.5));
        assert!(known.due("a", at(151), 0.5), "half of five hours");
        known.looked("a", at(151), 1.0);
        assert!(!known.due("a", at(151 + 320), 0.0));
        assert!(known.due("a", at(151 + 331), 0.0));
        known.looked("a", at(482), 1.0);
        known.doubt("a", at(483));
        assert!(known.due("a", at(483), 0.9));
    }

    #[test]
    fn tags_of_a_new_stream_are_its_own_for_a_while() {
        let known = Known::default();
        let tags = Tags::from([("a".into(), "b".into())]);
        known.made("o", "arn", tags.clone(), at(0));
        assert_eq!(known.made_with("o", "arn", at(9)), Some(tags));
        assert_eq!(known.made_with("o", "arn", at(11)), None);
        assert_eq!(known.made_with("o", "another", at(1)), None);
    }

    #[test]
    fn what_nobody_asks_about_is_forgotten() {
        let known = Known::default();
        known.doubt("gone", at(0));
        known.looked("living", at(0), 0.5);
        known.prune(at(100));
        assert_eq!(locked(&known.objects).len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_everything_old() {
        assert!(older(at(10), SignedDuration::from_mins(5), at(0)));
        assert!(!older(at(0), SignedDuration::from_mins(5), at(5)));
    }
}
