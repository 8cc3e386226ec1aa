//! One watch and one copy of a kind's objects, which all controllers share.
//!
//! kube's own controllers watch and keep what they control each for itself, with all that no one reads. Here a kind is trimmed once,
//! kept once, and who decides from its own last write waits until the watch has told of it (`caught_up`).

use std::{
    fmt::Debug,
    hash::Hash,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, channel::mpsc};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Error, Result, error::chain};

/// How long a pass waits for the watch to tell of its own last write.
const PATIENCE: Duration = Duration::from_secs(10);

type Listener<K> = Box<dyn Fn(&K) + Send + Sync>;

/// A kind's objects, as its watch tells of them.
pub struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    trim: fn(&mut K),
    store: Store<K>,
    writer: Mutex<Writer<K>>,
    listeners: Mutex<Vec<Listener<K>>>,
    /// The newest version that the watch has told of.
    newest: watch::Sender<u64>,
}

impl<K: Resource<DynamicType = ()> + Clone> Debug for Cache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("kind", &K::kind(&()))
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object's version as a number: later versions of a kind's objects have greater ones. 0: it has none.
pub fn version(object: &impl ResourceExt) -> u64 {
    object
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// An empty one; `trim` takes from each object what nobody reads.
    pub fn new(trim: fn(&mut K)) -> Self {
        let writer = Writer::default();
        Self {
            trim,
            store: writer.as_reader(),
            writer: Mutex::new(writer),
            listeners: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// The objects, for a controller of theirs.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// What each object that is new, changed or gone maps to, from now on. At the start every object is new.
    ///
    /// What comes of it is to be taken at once: a controller's scheduler does, and keeps one of each.
    pub fn changes<T, I>(
        &self,
        of: impl Fn(&K) -> I + Send + Sync + 'static,
    ) -> impl Stream<Item = ObjectRef<T>> + Send + 'static
    where
        T: Resource<DynamicType = ()> + 'static,
        I: IntoIterator<Item = ObjectRef<T>>,
    {
        let (sender, receiver) = mpsc::unbounded();
        locked(&self.listeners).push(Box::new(move |object| {
            for reference in of(object) {
                // Nobody listens any more when the process ends.
                let _ = sender.unbounded_send(reference);
            }
        }));
        receiver
    }

    /// Watches until the process is to stop.
    pub async fn run(&self, client: Client, stop: CancellationToken) {
        let events = watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
        let mut events = pin!(events);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = stop.cancelled() => return,
            };
            match event {
                Some(Ok(event)) => self.apply(event),
                Some(Err(e)) => warn!(
                    kind = &*K::kind(&()),
                    error = chain(&e),
                    "watching failed; trying again"
                ),
                None => return,
            }
        }
    }

    /// The watch tells of something.
    pub fn apply(&self, mut event: Event<K>) {
        match &mut event {
            Event::Apply(object) | Event::Delete(object) | Event::InitApply(object) => {
                object.managed_fields_mut().clear();
                (self.trim)(object);
            }
            Event::Init | Event::InitDone => {}
        }
        locked(&self.writer).apply_watcher_event(&event);
        match &event {
            Event::Apply(object) | Event::Delete(object) => self.tell(object),
            // What an interrupted watch has missed may be anything.
            Event::InitDone => self.all().iter().for_each(|object| self.tell(object)),
            Event::Init | Event::InitApply(_) => {}
        }
    }

    fn tell(&self, object: &K) {
        locked(&self.listeners)
            .iter()
            .for_each(|listener| listener(object));
        let version = version(object);
        self.newest.send_if_modified(|newest| {
            let newer = version > *newest;
            *newest = version.max(*newest);
            newer
        });
    }

    /// Waits until every object that there was at the start is here.
    ///
    /// # Errors
    /// The cache is gone: the process ends.
    pub async fn ready(&self) -> Result<()> {
        let gone = |_| Error::Spec(format!("the watch of {} has ended", K::kind(&())));
        self.store.wait_until_ready().await.map_err(gone)
    }

    /// Waits until this version, which somebody here has written, is here.
    ///
    /// # Errors
    /// The watch is too far behind.
    pub async fn caught_up(&self, version: u64) -> Result<()> {
        let mut newest = self.newest.subscribe();
        let there = newest.wait_for(|newest| *newest >= version);
        match tokio::time::timeout(PATIENCE, there).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Behind(K::kind(&()).into_owned())),
        }
    }
}

/// The reference to an object itself, for its own controller.
pub fn itself<K>(object: &K) -> Option<ObjectRef<K>>
where
    K: Resource<DynamicType = ()>,
    K::DynamicType: Hash + Eq,
{
    Some(ObjectRef::from_obj(object))
}
