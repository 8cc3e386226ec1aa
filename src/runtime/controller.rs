//! What every pass of every controller gets: a deadline, a backoff of its object, a count, and a line in the log when it fails.

use std::{convert::Infallible, fmt::Debug, future::Future, hash::Hash, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Resource,
    runtime::{
        Controller,
        controller::{self, Action},
        reflector::ObjectRef,
    },
};
use serde::de::DeserializeOwned;
use tracing::{debug, info, warn};

use super::{
    Context, Error, Result,
    backoff::jitter,
    error::chain,
    metrics::{Pass, Which},
};

/// The longest that a pass may take. One that has more to do does a part and asks to be called again.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// How many objects of a kind are worked on at once. Most of a pass is waiting, for AWS and for the budgets of calls.
const CONCURRENCY: u16 = 16;

/// When to look at an object again if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// After this long, within a tenth.
    In(Duration),
    /// Only when it, or what belongs to it, changes.
    OnChange,
    /// Soon, to see what came of what was done. `what` stands for that: doing the same again and again without effect counts as
    /// failing, and waits longer each time.
    Acted {
        /// The same number for the same actions.
        what: u64,
        /// After this long, within a tenth.
        again: Duration,
    },
}

/// Runs a kind's controller until the process is to stop. `controller` has its watches already; `name` is the kind's label in
/// metrics and logs.
pub async fn control<K, F, Fut>(
    context: Arc<Context>,
    name: &'static str,
    controller: Controller<K>,
    reconcile: F,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    K::DynamicType: Eq + Hash + Clone,
    F: Fn(Arc<K>, Arc<Context>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Next>> + Send + 'static,
{
    context.readiness.wait_for(name);
    let store = controller.store();
    let (readiness, stop) = (context.readiness.clone(), context.shutdown.clone());
    let ready = async move {
        tokio::select! {
            synced = store.wait_until_ready() => if synced.is_ok() {
                info!(controller = name, objects = store.len(), "watching");
                readiness.arrived(name);
            },
            () = stop.cancelled() => {}
        }
    };
    let reconcile = Arc::new(reconcile);
    let passes = controller
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(context.shutdown.clone().cancelled_owned())
        .run(
            move |object: Arc<K>, context: Arc<Context>| {
                let reconcile = reconcile.clone();
                async move {
                    let wait = pass(name, object, context, &*reconcile).await;
                    Ok::<_, Infallible>(wait.map_or_else(Action::await_change, Action::requeue))
                }
            },
            |_, never: &Infallible, _| match *never {},
            context.clone(),
        )
        .for_each(|result| {
            match result {
                Ok(_) => {}
                Err(controller::Error::ObjectNotFound(object)) => {
                    debug!(controller = name, %object, "gone before its pass");
                    context
                        .backoff
                        .forget(&key(name, object.namespace.as_deref(), &object.name));
                }
                Err(e) => warn!(
                    controller = name,
                    error = chain(&e),
                    "watching failed; trying again"
                ),
            }
            std::future::ready(())
        });
    tokio::join!(ready, passes);
}

/// One pass over one object. Returns how long to wait until the next; `None`: until something changes.
pub async fn pass<K, F, Fut>(
    name: &'static str,
    object: Arc<K>,
    context: Arc<Context>,
    reconcile: &F,
) -> Option<Duration>
where
    K: Resource<DynamicType = ()>,
    F: Fn(Arc<K>, Arc<Context>) -> Fut,
    Fut: Future<Output = Result<Next>>,
{
    let reference = ObjectRef::from_obj(&*object);
    let key = key(name, reference.namespace.as_deref(), &reference.name);
    let began = tokio::time::Instant::now();
    let result = tokio::time::timeout(DEADLINE, reconcile(object, context.clone()))
        .await
        .unwrap_or(Err(Error::Deadline(DEADLINE)));
    let which = Which { controller: name };
    context
        .metrics
        .seconds
        .get_or_create(&which)
        .observe(began.elapsed().as_secs_f64());
    let outcome = result.as_ref().map_or_else(Error::reason, |_| "ok");
    context
        .metrics
        .passes
        .get_or_create(&Pass {
            controller: name,
            result: outcome,
        })
        .inc();
    match result {
        Ok(Next::In(period)) => {
            context.backoff.forget(&key);
            Some(jitter(period, context.chance()))
        }
        Ok(Next::OnChange) => {
            context.backoff.forget(&key);
            None
        }
        Ok(Next::Acted { what, again }) => {
            let wait = context.backoff.acted(&key, what, context.chance());
            Some(wait.unwrap_or_else(|| jitter(again, context.chance())))
        }
        Err(error) => {
            let wait = context.backoff.failed(&key, error.class(), context.chance());
            warn!(
                controller = name,
                object = %reference,
                class = ?error.class(),
                again_in_seconds = wait.as_secs(),
                error = chain(&error),
                "a pass failed"
            );
            Some(wait)
        }
    }
}

fn key(controller: &str, namespace: Option<&str>, name: &str) -> String {
    format!("{controller}/{}/{name}", namespace.unwrap_or_default())
}
