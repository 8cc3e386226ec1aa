//! What CloudWatch says of all alarms, read once for all policies: states and definitions by a sweep, changes of state from the
//! account's history, tags now and then.
//!
//! Reads only. Where the account's history may not be read as a whole (IAM), or is too busy, it is read alarm by alarm, and only
//! of those that moved; then the sweeps are what finds them, and come more often.

mod named;
mod owners;
mod single;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use super::{
    Transition, history,
    recent::Recent,
    tags::{Known, Tags},
};
use crate::{
    aws::{
        Alarms, AwsError, Kind, Place,
        alarms::{Alarm, HistoryEntry},
    },
    clock::AwsClock,
};

/// How old the states and definitions of alarms may be where the history tells of changes.
const LEVELS: Duration = Duration::from_secs(180);
/// Older ones are not used, whatever stands in the way of newer ones: entries of the history are kept for 15 minutes at least,
/// so that a state is never older than what is left of them.
const TOO_OLD: Duration = Duration::from_secs(600);
/// Where the history may not be read as a whole, how long until that is tried again.
const DENIED: Duration = Duration::from_secs(900);
/// The most pages of the account's history that one reading takes, at ten a second.
const PAGES: usize = 300;
/// How often the history of an alarm that has moved lately is read again, for entries that come late.
const AGAIN: Duration = Duration::from_secs(120);
/// How many AWS calls are made at once; the token buckets say how many a second.
const CALLS: usize = 8;
/// How many alarms' tags one look reads because they are needed: about what a pass writes, twice over.
const TAGS_NEEDED: usize = 20;
/// How many it reads without another reason than that nobody has for hours.
const TAGS_DUE: usize = 10;

type Result<T> = std::result::Result<T, AwsError>;

/// What is known of all regions' alarms.
#[derive(Debug)]
pub struct Watch {
    /// What the names of all of our alarms begin with.
    prefix: String,
    /// How often to look for changes.
    interval: Duration,
    clock: AwsClock,
    regions: Mutex<HashMap<Place, Arc<Region>>>,
}

#[derive(Debug, Default)]
struct Region {
    /// Held while alarms are described.
    sweeping: AsyncMutex<()>,
    /// Held while the account's history is read.
    reading: AsyncMutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    alarms: BTreeMap<String, Alarm>,
    /// When the last sweep began: by AWS's clock, and by ours that never steps.
    swept: Option<(Timestamp, Duration)>,
    /// Alarms that were written since they were read.
    doubted: BTreeSet<String>,
    recent: Recent,
    /// When the account's history was read last.
    read: Option<Duration>,
    /// When it turned out that it cannot be.
    denied: Option<Duration>,
    /// Alarms of others that policies name.
    named: HashMap<String, Named>,
    /// Histories that were read one by one.
    single: HashMap<String, Single>,
    tags: Known,
}

/// Somebody else's alarm as it was read, if there is one.
#[derive(Debug)]
struct Named {
    alarm: Option<Alarm>,
    /// When it was read: by AWS's clock, and by ours that never steps.
    read: (Timestamp, Duration),
}

/// The history of one alarm.
#[derive(Debug)]
struct Single {
    from: Timestamp,
    since: Option<Timestamp>,
    read: Duration,
    transitions: Vec<Transition>,
}

/// An alarm whose history is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub alarm: String,
    /// From when on.
    pub from: Timestamp,
    /// Since when its state is what it is, where it exists.
    pub since: Option<Timestamp>,
}

/// Changes of state.
#[derive(Clone, Debug)]
pub struct Changes {
    /// By alarm.
    pub of: BTreeMap<String, Vec<Transition>>,
    /// As of when, by AWS's clock.
    pub read: Timestamp,
}

/// The tags of alarms, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Tagged {
    /// By alarm.
    pub of: BTreeMap<String, Tags>,
    /// Those of which they were needed and are not known, or not freshly: they must not be changed yet.
    pub unsure: BTreeSet<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Nothing is known yet of the alarms whose names begin with `prefix`.
    pub fn new(prefix: String, interval: Duration, clock: AwsClock) -> Self {
        Self {
            prefix,
            interval,
            clock,
            regions: Mutex::default(),
        }
    }

    fn region(&self, place: &Place) -> Arc<Region> {
        locked(&self.regions).entry(place.clone()).or_default().clone()
    }

    fn elapsed(&self) -> Duration {
        self.clock.node().elapsed()
    }

    /// A little less than the interval at which everybody looks.
    fn fresh(&self) -> Duration {
        self.interval.mul_f64(0.8)
    }

    /// The time by AWS's clock at which a call began that is over now.
    fn began(&self, began: Duration) -> Option<Timestamp> {
        let passed = SignedDuration::try_from(self.elapsed().saturating_sub(began)).ok()?;
        Some(self.clock.now()? - passed)
    }

    /// An alarm was written, or is about to be: what is known of it is read again before it is used.
    pub fn doubt(&self, place: &Place, alarm: &str) {
        let region = self.region(place);
        let mut state = locked(&region.state);
        state.tags.doubt(alarm);
        state.doubted.insert(alarm.to_owned());
    }

    /// The alarms whose names begin so, and as of when that is, by AWS's clock.
    ///
    /// # Errors
    /// They could not be read, and what is known is too old.
    pub async fn levels(
        &self,
        alarms: &dyn Alarms,
        place: &Place,
        prefix: &str,
    ) -> Result<(Vec<Alarm>, Timestamp)> {
        let region = self.region(place);
        let age = |state: &State| {
            let swept = state.swept.map(|(_, at)| at);
            swept.map(|at| self.elapsed().saturating_sub(at))
        };
        let (known, denied) = {
            let state = locked(&region.state);
            (age(&state), state.denied.is_some())
        };
        let limit = if denied { self.fresh() } else { LEVELS };
        match known {
            Some(age) if age < limit => {}
            // Others go on with what is known while one of them reads.
            Some(age) if age < TOO_OLD => {
                if let Ok(sweeping) = region.sweeping.try_lock()
                    && let Err(error) = self.sweep(alarms, &region).await
                {
                    drop(sweeping);
                    tracing::warn!(%error, "alarms could not be read; what is known of them serves a little longer");
                }
            }
            _ => {
                let _sweeping = region.sweeping.lock().await;
                let known = age(&locked(&region.state));
                if known.is_none_or(|age| age >= limit) {
                    self.sweep(alarms, &region).await?;
                }
            }
        }
        self.look_again(alarms, &region, prefix).await?;
        let state = locked(&region.state);
        let found = state.alarms.range(prefix.to_owned()..);
        let found = found.take_while(|(name, _)| name.starts_with(prefix));
        let at = state.swept.map(|(at, _)| at).or_else(|| self.clock.now());
        Ok((
            found.map(|(_, alarm)| alarm.clone()).collect(),
            at.ok_or_else(|| no_time("cloudwatch:DescribeAlarms"))?,
        ))
    }

    async fn sweep(&self, alarms: &dyn Alarms, region: &Region) -> Result<()> {
        let began = self.elapsed();
        let found = alarms.describe(&self.prefix).await?;
        let Some(at) = self.began(began) else {
            return Err(no_time("cloudwatch:DescribeAlarms"));
        };
        let mut state = locked(&region.state);
        state.alarms = found
            .into_iter()
            .map(|alarm| (alarm.name.clone(), alarm))
            .collect();
        state.swept = Some((at, began));
        let State {
            alarms,
            named,
            tags,
            single,
            ..
        } = &mut *state;
        tags.retain(|name| alarms.contains_key(name) || named.contains_key(name));
        single.retain(|_, single| self.elapsed().saturating_sub(single.read) < DENIED);
        Ok(())
    }

    /// Reads again what was written under a prefix. Not during a sweep, which may have passed them already.
    async fn look_again(&self, alarms: &dyn Alarms, region: &Region, prefix: &str) -> Result<()> {
        let doubted = || -> Vec<String> {
            let state = locked(&region.state);
            let of_prefix = state.doubted.iter().filter(|name| name.starts_with(prefix));
            of_prefix.cloned().collect()
        };
        if doubted().is_empty() {
            return Ok(());
        }
        let _sweeping = region.sweeping.lock().await;
        let names = doubted();
        let found = alarms.describe_named(&names).await?;
        let mut state = locked(&region.state);
        for name in &names {
            state.alarms.remove(name);
            state.doubted.remove(name);
        }
        state
            .alarms
            .extend(found.into_iter().map(|alarm| (alarm.name.clone(), alarm)));
        Ok(())
    }

    /// The changes of state of these alarms, for whoever the prefix belongs to: that one wants most of them from `from` on. The
    /// few that are needed from further back are read one by one. `levels` is as of when the alarms' states are known.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn changes(
        &self,
        alarms: &dyn Alarms,
        place: &Place,
        prefix: &str,
        from: Timestamp,
        needs: &[Need],
        levels: Timestamp,
    ) -> Result<Changes> {
        let region = self.region(place);
        let now = self
            .clock
            .now()
            .ok_or_else(|| no_time("cloudwatch:DescribeAlarmHistory"))?;
        // Nothing has moved since the states were read but what they show.
        let moved = |need: &&&Need| need.since.is_none_or(|since| since >= need.from);
        let moved = |needs: &[&Need]| needs.iter().filter(moved).map(|need| (*need).clone()).collect();
        let ours = |need: &&Need| need.alarm.starts_with(&self.prefix);
        let (needs, theirs): (Vec<&Need>, Vec<&Need>) = needs.iter().partition(ours);
        let mut of = self.one_by_one(alarms, &region, moved(&theirs)).await?;
        let whole = match needs.is_empty() {
            true => None,
            false => self.read_all(alarms, &region, prefix, from, now).await?,
        };
        let Some(read) = whole else {
            of.extend(self.one_by_one(alarms, &region, moved(&needs)).await?);
            return Ok(Changes { of, read: levels });
        };
        let read = if theirs.is_empty() { read } else { read.min(levels) };
        let mut further = vec![];
        {
            let state = locked(&region.state);
            for need in needs {
                match state.recent.of(&need.alarm, need.from) {
                    Some(transitions) => {
                        if !transitions.is_empty() {
                            of.insert(need.alarm.clone(), transitions);
                        }
                    }
                    None => further.push((*need).clone()),
                }
            }
        }
        of.extend(self.one_by_one(alarms, &region, further).await?);
        Ok(Changes { of, read })
    }

    /// Makes sure that the account's history is known from `from` on, and says as of when. `None`: it cannot be read.
    async fn read_all(
        &self,
        alarms: &dyn Alarms,
        region: &Region,
        prefix: &str,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let known = || {
            let mut state = locked(&region.state);
            let denied = state
                .denied
                .is_some_and(|at| self.elapsed().saturating_sub(at) < DENIED);
            state.recent.want(prefix, from, now);
            let fresh = state
                .read
                .is_some_and(|at| self.elapsed().saturating_sub(at) < self.fresh());
            let enough = fresh && state.recent.of("", from).is_some();
            match (denied, enough) {
                (true, _) => Some(None),
                (false, true) => Some(state.recent.read()),
                (false, false) => None,
            }
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let _reading = region.reading.lock().await;
        if let Some(known) = known() {
            return Ok(known);
        }
        let since = locked(&region.state).recent.next(now);
        let began = self.elapsed();
        let found = match alarms.history_of_all(since, PAGES).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                tracing::warn!(
                    "the account's alarm history is too long to be read as a whole: it is read alarm by alarm"
                );
                locked(&region.state).denied = Some(began);
                return Ok(None);
            }
            Err(AwsError {
                kind: Kind::Denied, ..
            }) => {
                tracing::info!(
                    "the account's alarm history may not be read as a whole: it is read alarm by alarm"
                );
                locked(&region.state).denied = Some(began);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(read) = self.began(began) else {
            return Err(no_time("cloudwatch:DescribeAlarmHistory"));
        };
        let ours = found.iter().filter(|entry| entry.alarm.starts_with(&self.prefix));
        let ours = ours.filter_map(|entry| Some((entry.alarm.clone(), transition(entry)?)));
        let mut state = locked(&region.state);
        state.recent.add(since, read, ours);
        (state.read, state.denied) = (Some(began), None);
        Ok(state.recent.read())
    }
}

fn transition(entry: &HistoryEntry) -> Option<Transition> {
    let transition = history::transition(entry.at, &entry.summary, &entry.data);
    if transition.is_none() {
        tracing::warn!(alarm = entry.alarm, at = %entry.at, summary = entry.summary, "an entry of an alarm's history cannot be read; its state stands in");
    }
    transition
}

fn no_time(operation: &'static str) -> AwsError {
    AwsError::ours(
        operation,
        "*",
        Kind::Unavailable,
        "no answer has told the time yet",
    )
}
