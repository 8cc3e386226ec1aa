//! What everything in a simulation shares: virtual time, chance, the story so far, and the weather that calls go through.
//!
//! Time is tokio's, paused: it goes on only when everybody waits, so a day takes as long as its work.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kvs_operator::{
    aws::{AwsError, Kind, Result},
    clock::{AwsClock, Clock},
};

use super::chance::Dice;

/// When every simulation begins.
const BEGIN: i64 = 1_790_000_000_123;

/// Locks; a test that panicked elsewhere is failing already.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One simulated world.
#[derive(Debug)]
pub struct World {
    began: tokio::time::Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    storm: bool,
    story: Vec<String>,
    counts: BTreeMap<String, u64>,
    violations: Vec<String>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It works.
    Works,
    /// It fails and does nothing.
    Fails(Kind),
    /// It takes effect, and its answer is lost.
    Unanswered,
}

impl World {
    /// A new world; in a storm things go wrong until `calm`.
    pub fn new(seed: u64, storm: bool) -> Arc<Self> {
        Arc::new(Self {
            began: tokio::time::Instant::now(),
            state: Mutex::new(State {
                dice: Dice::of(seed),
                storm,
                story: vec![],
                counts: BTreeMap::new(),
                violations: vec![],
            }),
        })
    }

    /// AWS's time.
    pub fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        Timestamp::from_millisecond(BEGIN + elapsed).unwrap()
    }

    /// Adds a line to the story.
    pub fn tell(&self, line: impl std::fmt::Display) {
        let now = self.now();
        lock(&self.state).story.push(format!("{now:.3} {line}"));
    }

    /// Counts something, such as a fault of a kind.
    pub fn count(&self, what: &str) {
        *lock(&self.state).counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Something was written to AWS.
    pub fn wrote(&self, what: &str, on: &str) {
        self.tell(format!("AWS {what} {on}"));
        self.count("AWS writes");
    }

    /// Something that must never happen has happened.
    pub fn violated(&self, what: impl std::fmt::Display) {
        self.tell(format!("VIOLATION: {what}"));
        lock(&self.state).violations.push(what.to_string());
    }

    /// What was told so far.
    pub fn story(&self) -> Vec<String> {
        lock(&self.state).story.clone()
    }

    /// What was counted so far.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.state).counts.clone()
    }

    /// What must never have happened.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.state).violations.clone()
    }

    /// The storm is over.
    pub fn calm(&self) {
        self.tell("the storm is over");
        lock(&self.state).storm = false;
    }

    /// True once in so many times, and only while the storm lasts.
    pub fn bad_luck(&self, times: u64) -> bool {
        let mut state = lock(&self.state);
        state.storm && state.dice.one_in(times)
    }

    /// True once in so many times.
    pub fn one_in(&self, times: u64) -> bool {
        lock(&self.state).dice.one_in(times)
    }

    /// A number of the range.
    pub fn within(&self, range: Range<i64>) -> i64 {
        lock(&self.state).dice.within(range)
    }

    /// Waits for a number of milliseconds in the range.
    pub async fn wait(&self, ms: Range<i64>) {
        let ms = self.within(ms);
        tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap())).await;
    }

    /// A call to AWS: takes time on its way there and back, and may fail before or after it took effect. Every answer tells
    /// AWS's time, in whole seconds.
    pub async fn call<T>(
        &self,
        operation: &'static str,
        clock: &AwsClock,
        effect: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let fate = self.way_there(operation).await;
        if let Fate::Fails(kind) = fate {
            return Err(error(operation, kind));
        }
        let done = effect();
        self.wait(1..20).await;
        if fate == Fate::Unanswered {
            return Err(error(operation, Kind::Unavailable));
        }
        clock.saw(Timestamp::from_second(self.now().as_second()).unwrap());
        done
    }

    async fn way_there(&self, operation: &'static str) -> Fate {
        if self.bad_luck(400) {
            self.count("slow calls");
            self.wait(5_000..40_000).await;
        } else {
            self.wait(3..60).await;
        }
        let fate = {
            let mut state = lock(&self.state);
            let State { dice, storm, .. } = &mut *state;
            match *storm {
                true if dice.one_in(60) => Fate::Fails(match dice.within(0..3) {
                    0 => Kind::Throttled,
                    _ => Kind::Unavailable,
                }),
                true if dice.one_in(80) => Fate::Unanswered,
                true if dice.one_in(3000) => Fate::Fails(Kind::Denied),
                _ => Fate::Works,
            }
        };
        match fate {
            Fate::Works => {}
            Fate::Fails(kind) => self.count(&format!("{operation}: {}", kind.name())),
            Fate::Unanswered => self.count(&format!("{operation}: answer lost")),
        }
        fate
    }
}

/// An AWS error without more to say.
pub fn error(operation: &'static str, kind: Kind) -> AwsError {
    AwsError::ours(operation, "it", kind, "simulated")
}

/// A node's clock: AWS's time, and wrong by something.
#[derive(Debug)]
pub struct NodeClock {
    world: Arc<World>,
    wrong_by: SignedDuration,
}

impl NodeClock {
    /// The clock of a node.
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        let wrong_by = if world.one_in(3) {
            world.within(-400_000..400_000)
        } else {
            world.within(-500..500)
        };
        Arc::new(Self {
            world: world.clone(),
            wrong_by: SignedDuration::from_millis(wrong_by),
        })
    }
}

#[async_trait::async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.world.now() + self.wrong_by
    }

    fn elapsed(&self) -> Duration {
        self.world.began.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn chance(&self) -> f64 {
        lock(&self.world.state).dice.unit()
    }
}
