//! Publishes the service's metrics: at once, or late, and for idle minutes as the behaviour says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use super::streams::Stream;
use crate::{behaviour::Idle, metrics::Metric, world::World};

/// The counts that are 0 for an idle stream where idle minutes have data.
const IDLE: [&str; 4] = [
    "PutMedia.Requests",
    "PutMedia.IncomingBytes",
    "PutMedia.IncomingFragments",
    "PutMedia.IncomingFrames",
];

/// The publisher.
#[derive(Debug)]
pub struct Publisher {
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is not published yet: when it is (ms), and what.
    late: VecDeque<(i64, Metric, Timestamp, f64)>,
    /// The last minute whose end has been seen.
    minute: Option<i64>,
}

impl Publisher {
    /// Publishes into a world's metrics.
    pub fn new(world: Arc<World>) -> Self {
        Self {
            world,
            state: Mutex::default(),
        }
    }

    /// Adds a value to a stream's metric, now.
    pub fn add(&self, stream: &Stream, name: &str, value: f64) {
        let now = self.world.clock.now();
        self.add_at(metric(stream, name), now, value);
    }

    fn add_at(&self, metric: Metric, at: Timestamp, value: f64) {
        let late = self.world.behaviour().metrics_late_millis;
        if late <= 0 {
            return self.world.metrics.add(metric, at, value);
        }
        let minute_ends = (at.as_second().div_euclid(60) + 1) * 60_000;
        let due = minute_ends.saturating_add(late);
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .late
            .push_back((due, metric, at, value));
    }

    /// Publishes what is due by now, and counts minutes that have ended for these streams.
    pub fn tick(&self, streams: impl FnOnce() -> Vec<Stream>) {
        let now = self.world.clock.now();
        let (due, ended) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let all = std::mem::take(&mut state.late);
            let (due, late): (Vec<_>, VecDeque<_>) = {
                let (due, late): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|l| l.0 <= now.as_millisecond());
                (due, late.into())
            };
            state.late = late;
            let minute = now.as_second().div_euclid(60);
            let before = state.minute.replace(minute).unwrap_or(minute);
            (due, before..minute)
        };
        for (_, metric, at, value) in due {
            self.world.metrics.add(metric, at, value);
        }
        if self.world.behaviour().idle_metrics == Idle::Zero && !ended.is_empty() {
            let streams = streams();
            for minute in ended.rev().take(60) {
                let Ok(at) = Timestamp::from_second(minute * 60) else {
                    continue;
                };
                for stream in &streams {
                    for name in IDLE {
                        self.add_at(metric(stream, name), at, 0.0);
                    }
                }
            }
        }
    }
}

fn metric(stream: &Stream, name: &str) -> Metric {
    Metric {
        region: stream.region.clone(),
        namespace: "AWS/KinesisVideo".into(),
        name: name.into(),
        dimensions: BTreeMap::from([("StreamName".into(), stream.name.clone())]),
    }
}
