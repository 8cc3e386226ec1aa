//! Everything of one simulation in one place, and the Kubernetes API's weather.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::http::Method;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use super::kubernetes::{JOBS, PODS, POLICIES, RECORDINGS, STREAMS};
pub use super::support::REGION;
use super::{
    alarms::CloudWatch,
    bucket::Shelf,
    kubernetes::{Kubernetes, Refusal, Weather},
    users::Excuse,
    video::Video,
    world::{World, lock},
};

pub const NAMESPACE: &str = "site";
/// What has a controller.
pub const KINDS: [&str; 3] = [STREAMS, POLICIES, RECORDINGS];

/// An object was made, changed or removed.
#[derive(Clone, Debug)]
pub struct Change {
    pub collection: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// One simulation.
pub struct Site {
    pub world: Arc<World>,
    pub kubernetes: Kubernetes,
    pub video: Arc<Mutex<Video>>,
    pub cloudwatch: Arc<Mutex<CloudWatch>>,
    pub shelf: Shelf,
    /// What users have kept from being recorded.
    pub excuses: Mutex<Vec<Excuse>>,
    sky: Arc<Sky>,
}

impl Site {
    /// An empty cluster and an empty AWS.
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        let sky = Arc::new(Sky {
            world: world.clone(),
            state: Mutex::default(),
        });
        let kubernetes = Kubernetes::under(sky.clone());
        let (video, shelf) = (Arc::<Mutex<Video>>::default(), Shelf::default());
        Arc::new(Self {
            world: world.clone(),
            kubernetes,
            video,
            cloudwatch: Arc::default(),
            shelf,
            excuses: Mutex::default(),
            sky,
        })
    }

    /// All changes from now on.
    pub fn subscribe(&self) -> UnboundedReceiver<Change> {
        let (sender, receiver) = unbounded_channel();
        lock(&self.sky.state).subscribers.push(sender);
        receiver
    }

    /// Every Recording that there ever was, as it was last seen.
    pub fn recordings(&self) -> BTreeMap<String, Value> {
        lock(&self.sky.state).recordings.clone()
    }
}

#[derive(Default)]
struct Events {
    subscribers: Vec<UnboundedSender<Change>>,
    recordings: BTreeMap<String, Value>,
}

/// The Kubernetes API's weather, and who looks on.
struct Sky {
    world: Arc<World>,
    state: Mutex<Events>,
}

/// Events are told with times of the wall: nothing may depend on them.
fn unseen(collection: &str) -> bool {
    collection.ends_with("/events")
}

#[async_trait::async_trait]
impl Weather for Sky {
    async fn way_there(&self, method: &Method, collection: &str, _: &str) -> Option<Refusal> {
        if unseen(collection) {
            return None;
        }
        self.world.wait(1..15).await;
        if self.world.bad_luck(150) {
            self.world.count("Kubernetes: request refused");
            return Some((500, "InternalError"));
        }
        if *method != Method::GET && self.world.bad_luck(100) {
            self.world.count("Kubernetes: conflict");
            return Some((409, "Conflict"));
        }
        None
    }

    async fn way_back(&self, _: &Method, collection: &str, _: &str) -> Option<Refusal> {
        if unseen(collection) {
            return None;
        }
        self.world.wait(1..10).await;
        if self.world.bad_luck(200) {
            self.world.count("Kubernetes: answer lost");
            return Some((504, "Timeout"));
        }
        None
    }

    fn now(&self) -> String {
        let seconds = self.world.now().as_second();
        jiff::Timestamp::from_second(seconds).unwrap().to_string()
    }

    fn changed(&self, collection: &str, before: Option<&Value>, after: Option<&Value>) {
        if unseen(collection) {
            return;
        }
        let Some(object) = after.or(before) else { return };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = collection.rsplit('/').next().unwrap_or_default();
        match (before, after) {
            (None, _) => self
                .world
                .tell(format!("{kind} {name} is made: {}", object["spec"])),
            (_, None) => self.world.tell(format!("{kind} {name} is gone")),
            (Some(before), Some(after)) => {
                for part in ["spec", "status"] {
                    if before[part] != after[part] && (part == "spec" || collection == RECORDINGS) {
                        self.world.tell(format!("{kind} {name} {part}: {}", after[part]));
                    }
                }
            }
        }
        if collection == RECORDINGS {
            if let (Some(before), Some(after)) = (before, after) {
                self.forward(name, before, after);
            }
            lock(&self.state)
                .recordings
                .insert(name.to_owned(), object.clone());
        }
        let change = Change {
            collection: collection.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        };
        lock(&self.state)
            .subscribers
            .retain(|subscriber| subscriber.send(change.clone()).is_ok());
    }
}

impl Sky {
    /// A Recording's status never goes back.
    fn forward(&self, name: &str, before: &Value, after: &Value) {
        let through = |recording: &Value| {
            let text = recording["status"]["archivedThrough"].as_str();
            text.map(|text| text.parse::<jiff::Timestamp>().unwrap())
        };
        if through(after) < through(before) {
            self.world.violated(format!("{name}: archivedThrough went back"));
        }
        let is_final = |recording: &Value| {
            matches!(
                recording["status"]["phase"].as_str(),
                Some("Complete" | "Incomplete")
            )
        };
        if is_final(before) && before["status"]["phase"] != after["status"]["phase"] {
            self.world.violated(format!(
                "{name}: was {} and is {}",
                before["status"]["phase"], after["status"]["phase"]
            ));
        }
        let end = &before["spec"]["end"];
        if !end.is_null() && *end != after["spec"]["end"] {
            self.world.violated(format!("{name}: its end changed"));
        }
    }
}
