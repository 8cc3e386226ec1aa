//! One watch and one copy of a kind's objects, which all controllers share.
//!
//! kube's own controllers watch and keep what they control each for itself, with all that no one reads. Here a kind is trimmed once,
//! kept once, and who decides from its own last write waits until the watch has told of it (`caught_up`).

use std::{
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, channel::mpsc, stream};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        Controller, WatchStreamExt,
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
    /// Whether it has told of every object once. (A store's own `wait_until_ready` wakes only one of several tasks.)
    complete: watch::Sender<bool>,
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
            complete: watch::Sender::new(false),
        }
    }

    /// A controller of these objects, without a watch of its own.
    pub fn controller(&self) -> Controller<K> {
        Controller::for_stream(stream::pending(), self.store()).reconcile_on(self.changes(itself))
    }

    /// The objects, for who looks some up.
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
            Event::InitDone => {
                self.all().iter().for_each(|object| self.tell(object));
                self.complete.send_replace(true);
            }
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
        let mut complete = self.complete.subscribe();
        let all = complete.wait_for(|complete| *complete).await;
        all.map(drop)
            .map_err(|_| Error::Behind(K::kind(&()).into_owned()))
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
fn itself<K: Resource<DynamicType = ()>>(object: &K) -> Option<ObjectRef<K>> {
    Some(ObjectRef::from_obj(object))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;

    fn object(version: u64) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some("a".into()),
                namespace: Some("n".into()),
                resource_version: Some(version.to_string()),
                managed_fields: Some(vec![]),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    #[tokio::test]
    async fn every_task_that_waits_is_woken() {
        let cache = Arc::new(Cache::<ConfigMap>::new(|_| {}));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let cache = cache.clone();
                    async move { cache.ready().await }
                })
            })
            .collect();
        let version = tokio::spawn({
            let cache = cache.clone();
            async move { cache.caught_up(7).await }
        });
        tokio::task::yield_now().await;
        cache.apply(Event::Init);
        cache.apply(Event::InitApply(object(5)));
        cache.apply(Event::InitDone);
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        assert!(!version.is_finished());
        cache.apply(Event::Apply(object(8)));
        version.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn listeners_hear_of_what_is_new_changed_and_gone() {
        let cache = Cache::<ConfigMap>::new(|_| {});
        let mut changes = cache.changes(itself);
        cache.apply(Event::Init);
        cache.apply(Event::InitApply(object(1)));
        cache.apply(Event::InitDone);
        cache.apply(Event::Apply(object(2)));
        cache.apply(Event::Delete(object(3)));
        drop(cache);
        let mut heard = 0;
        while changes.next().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, 3);
    }
}
