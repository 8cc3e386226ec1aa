//! The operator as one process: the real passes of all three controllers. What kube's watches and queues do is replaced by a
//! scheduler that delivers changes late, from one seed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::{ResourceExt, runtime::watcher::Event};
use kvs_operator::{
    api::{ArchivePolicy, Recording, VideoStream},
    aws::{Calls, Connection, Place, Ports, Regions},
    caches::Caches,
    clock::AwsClock,
    policy,
    recording::{self, Shared},
    runtime::{Context, Next, controller::pass},
    stream::{self, Known},
};
use serde_json::Value;
use tokio::{sync::Notify, task::JoinSet};

use super::{
    alarms::Watch,
    site::{Change, KINDS, POLICIES, RECORDINGS, STREAMS, Site},
    support::{REGION, config},
    video::Kvs,
    world::{NodeClock, lock},
};

/// Collection and name of an object.
type Key = (String, String);

/// What the process's watches have delivered.
#[derive(Default)]
struct Cache {
    objects: BTreeMap<Key, Value>,
    wakers: BTreeMap<Key, Arc<Notify>>,
}

struct Process {
    context: Arc<Context>,
    caches: Arc<Caches>,
    policies: policy::Shared,
    shared: Shared,
    known: Arc<Known>,
    cache: Mutex<Cache>,
}

/// Runs until it is dropped: then it is dead, wherever it was.
pub async fn run(site: Arc<Site>) {
    let world = &site.world;
    let node = NodeClock::new(world);
    let clock = AwsClock::new(node);
    let ports = Ports {
        streams: Arc::new(Kvs {
            world: world.clone(),
            video: site.video.clone(),
            clock: clock.clone(),
        }),
        alarms: Arc::new(Watch {
            world: world.clone(),
            cloudwatch: site.cloudwatch.clone(),
            clock: clock.clone(),
        }),
    };
    let mut config = config();
    config.sweep_interval = kvs_operator::api::Span::from_secs(60);
    let context = Context::new(
        site.kubernetes.client(),
        // Only this place is ever asked for: nothing listens there.
        Regions::new(Connection::to_simulator(
            "http://127.0.0.1:9",
            REGION,
            clock.clone(),
        ))
        .with(Place::own(REGION), ports),
        &Calls::default(),
        clock,
        config,
        "cluster",
        REGION,
    );
    let caches = Arc::<Caches>::default();
    let process = Arc::new(Process {
        policies: policy::Shared::new(&context, caches.clone()),
        caches,
        context: Arc::new(context),
        shared: Shared::default(),
        known: Arc::default(),
        cache: Mutex::default(),
    });
    let mut changes = site.subscribe();
    let mut loops = JoinSet::new();
    process.caches.video_streams.apply(Event::Init);
    process.caches.recordings.apply(Event::Init);
    process.caches.video_streams.apply(Event::InitDone);
    process.caches.recordings.apply(Event::InitDone);
    for collection in KINDS {
        for object in site.kubernetes.all::<Value>(collection) {
            process.learn(&mut loops, collection, Some(&object), &object);
        }
    }
    while let Some(Change {
        collection,
        before,
        after,
    }) = changes.recv().await
    {
        if world.bad_luck(300) {
            world.count("watches stalled");
            world.wait(10_000..300_000).await;
        } else if changes.is_empty() {
            world.wait(2..200).await;
        }
        let Some(object) = after.as_ref().or(before.as_ref()) else {
            continue;
        };
        process.learn(&mut loops, &collection, after.as_ref(), object);
    }
}

impl Process {
    /// A watch delivers an object (or that it is gone): it is due, and so is what depends on it.
    fn learn(
        self: &Arc<Self>,
        loops: &mut JoinSet<()>,
        collection: &str,
        now: Option<&Value>,
        object: &Value,
    ) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let label = |name: &str| text(&object["metadata"]["labels"][name]);
        let key: Key = (collection.to_owned(), text(&object["metadata"]["name"]));
        self.tell(collection, now.is_some(), object);
        let mut cache = lock(&self.cache);
        let mut due = vec![key.clone()];
        match collection {
            STREAMS => due.extend(cache.objects.keys().filter(|(c, _)| c == POLICIES).cloned()),
            RECORDINGS => due.push((POLICIES.into(), label("kvs-operator.io/policy"))),
            POLICIES => {
                let of = |object: &Value| object["spec"]["cause"]["policy"] == key.1.as_str();
                let changed = cache.objects.get(&key).map(|old| &old["metadata"]["generation"])
                    != now.map(|new| &new["metadata"]["generation"]);
                let all = cache.objects.iter();
                let recordings = all.filter(|((c, _), object)| c == RECORDINGS && changed && of(object));
                due.extend(recordings.map(|(key, _)| key.clone()).collect::<Vec<_>>());
            }
            _ => due = vec![(RECORDINGS.into(), label("kvs-operator.io/recording"))],
        }
        if KINDS.contains(&collection) {
            match now {
                Some(object) => {
                    cache.objects.insert(key.clone(), object.clone());
                    if !cache.wakers.contains_key(&key) {
                        let waker = Arc::new(Notify::new());
                        cache.wakers.insert(key.clone(), waker.clone());
                        let process = self.clone();
                        loops.spawn(async move { process.passes(key, waker).await });
                    }
                }
                None => {
                    cache.objects.remove(&key);
                }
            }
        }
        for key in due {
            if let Some(waker) = cache.wakers.get(&key) {
                waker.notify_one();
            }
        }
    }

    /// The watches that all controllers share tell of an object.
    fn tell(&self, collection: &str, there: bool, object: &Value) {
        fn event<K: serde::de::DeserializeOwned>(there: bool, object: &Value) -> Event<K> {
            let object = serde_json::from_value(object.clone()).unwrap();
            if there {
                Event::Apply(object)
            } else {
                Event::Delete(object)
            }
        }
        match collection {
            STREAMS => self.caches.video_streams.apply(event(there, object)),
            RECORDINGS => self.caches.recordings.apply(event(there, object)),
            _ => {}
        }
    }

    /// Pass after pass over one object, for as long as there is one.
    async fn passes(self: Arc<Self>, key: Key, waker: Arc<Notify>) {
        loop {
            let Some(object) = lock(&self.cache).objects.get(&key).cloned() else {
                lock(&self.cache).wakers.remove(&key);
                return;
            };
            let wait = self.pass(&key.0, object).await;
            let sleep = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(10_000_000)));
            tokio::select! {
                biased;
                () = waker.notified() => {}
                () = sleep => {}
            }
        }
    }

    async fn pass(&self, collection: &str, object: Value) -> Option<Duration> {
        let context = self.context.clone();
        match collection {
            STREAMS => {
                let object: VideoStream = serde_json::from_value(object).unwrap();
                let reconcile = |object, context| stream::reconcile(object, context, self.known.clone());
                pass("videostream", Arc::new(object), context, &reconcile).await
            }
            POLICIES => {
                let object: ArchivePolicy = serde_json::from_value(object).unwrap();
                let shared = &self.policies;
                let reconcile = |object: Arc<ArchivePolicy>, context: Arc<Context>| async move {
                    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                    match shared.begin(&namespace, &name, context.clock.node().elapsed()) {
                        Ok(()) => policy::reconcile(object, context, shared).await,
                        Err(left) => Ok(Next::In(left)),
                    }
                };
                pass("archivepolicy", Arc::new(object), context, &reconcile).await
            }
            _ => {
                let object: Recording = serde_json::from_value(object).unwrap();
                let shared = &self.shared;
                let reconcile = |object: Arc<Recording>, context: Arc<Context>| async move {
                    recording::reconcile(&object, &context, shared).await
                };
                pass("recording", Arc::new(object), context, &reconcile).await
            }
        }
    }
}
