//! The ArchivePolicy controller: one alarm for each matched stream, one Recording for each episode.
//!
//! `desired` (what the policy asks for) and `observe` (what is there) lead to `plan` (what to do now), `act` does it, `status`
//! tells. Only `observe` reads, only `act` writes; the rest is pure. `windows` is the heart: which footage is in which recording.

mod act;
mod action;
pub mod checkpoint;
mod desired;
mod mark;
mod observe;
mod plan;
pub mod recording;
mod shared;
mod status;
mod trigger;
pub mod windows;

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Resource, ResourceExt,
    core::SelectorExt,
    runtime::{
        Controller,
        reflector::{ObjectRef, Store},
        watcher,
    },
};

pub use self::shared::Shared;
use self::{action::Action, desired::Desired, status::Pass};
use crate::{
    api::{ArchivePolicy, ArchivePolicyStatus, Recording, VideoStream, condition, labels},
    caches::Caches,
    runtime::{self, Context, Next, Result, apply},
};

/// The controller's name in metrics and logs.
const NAME: &str = "archivepolicy";

/// What keeps a policy from going before its recordings are drained and its alarms are gone.
const FINALIZER: &str = "kvs-operator.io/alarms";

/// Runs the controller until the process is to stop.
pub async fn run(context: Arc<Context>, caches: Arc<Caches>) {
    let policies = Api::<ArchivePolicy>::all(context.client.clone());
    let controller = Controller::new(policies, watcher::Config::default());
    let store = controller.store();
    let controller = controller
        .reconcile_on(caches.recordings.changes(policy_of))
        .reconcile_on(caches.video_streams.changes(policies_of(store)));
    let shared = Arc::new(Shared::new(&context, caches));
    // Before that, nothing matches a policy and nothing was made for it, as far as a pass could see.
    let ready = async {
        tokio::join!(
            shared.caches.video_streams.ready(),
            shared.caches.recordings.ready()
        )
    };
    tokio::select! {
        (Ok(()), Ok(())) = ready => {}
        () = context.shutdown.cancelled() => return,
    }
    runtime::control(context, NAME, controller, move |object, context| {
        let shared = shared.clone();
        async move {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            match shared.begin(&namespace, &name, context.clock.node().elapsed()) {
                Ok(()) => reconcile(object, context, &shared).await,
                Err(left) => Ok(Next::In(left)),
            }
        }
    })
    .await;
}

/// The policy that made a Recording.
fn policy_of(recording: &Recording) -> Option<ObjectRef<ArchivePolicy>> {
    let policy = recording.labels().get(labels::POLICY)?;
    Some(ObjectRef::new(policy).within(&recording.namespace()?))
}

/// The policies of a VideoStream's namespace that match it. One that did before it changed sees that at its next look.
fn policies_of(store: Store<ArchivePolicy>) -> impl Fn(&VideoStream) -> Vec<ObjectRef<ArchivePolicy>> {
    move |video_stream| {
        let matching = |policy: &&Arc<ArchivePolicy>| {
            policy.metadata.namespace == video_stream.metadata.namespace
                && desired::selector(&policy.spec.stream_selector)
                    .map_or(true, |selector| selector.matches(video_stream.labels()))
        };
        let policies = store.state();
        let near = policies.iter().filter(matching);
        near.map(|policy| ObjectRef::from_obj(&**policy)).collect()
    }
}

/// One pass over one policy.
///
/// # Errors
/// What kept the pass, or the first stream's part of it, from its end; the status tells it too, where it could be written.
pub async fn reconcile(object: Arc<ArchivePolicy>, context: Arc<Context>, shared: &Shared) -> Result<Next> {
    let deleted = object.metadata.deletion_timestamp.is_some();
    if deleted && !object.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Next::OnChange);
    }
    let mut pass = Pass::default();
    pass.failed = attempt(&object, &context, shared, &mut pass).await.err();

    let old = object.status.clone().unwrap_or_default();
    let new = status::status(
        &old,
        &pass,
        object.spec.suspend,
        object.metadata.generation,
        context.stamp(),
    );
    tell(&object, &context, &pass, &old, &new).await;
    if pass.failed.is_none() && pass.plan.as_ref().is_some_and(|plan| plan.release) {
        apply::finalizer(&context, &*object, FINALIZER, false).await?;
        shared.forget(&object.namespace().unwrap_or_default(), &object.name_any());
        return Ok(Next::OnChange);
    }
    let written = apply::status(&context, NAME, &*object, object.status.as_ref(), &new).await;
    // What stopped the pass itself tells more than what stopped the telling of it.
    if let Some(error) = pass.failed {
        return Err(error);
    }
    if let Some(error) = pass.outcome.failed.into_iter().next() {
        return Err(error);
    }
    written?;
    if pass.outcome.postponed {
        return Ok(Next::In(Duration::ZERO));
    }
    Ok(Next::In(Duration::from_secs(
        context.config.sweep_interval.secs(),
    )))
}

/// Everything that can fail; how far it came is in `pass`.
async fn attempt(object: &ArchivePolicy, context: &Context, shared: &Shared, pass: &mut Pass) -> Result<()> {
    let deleted = object.metadata.deletion_timestamp.is_some();
    if !deleted {
        apply::finalizer(context, object, FINALIZER, true).await?;
    }
    let video_streams = observe::video_streams(shared, object);
    let (cluster, prefix) = (&*context.cluster_id, &*context.config.alarm_prefix);
    let grants = &context.config.grants;
    let desired = match Desired::of(
        object,
        video_streams.iter().map(Arc::as_ref),
        cluster,
        prefix,
        grants,
    ) {
        Err(_) if deleted => Desired::nothing(object, cluster, prefix),
        desired => desired?,
    };
    let desired = &*pass.desired.insert(desired);
    let observed = observe::observe(context, shared, object, desired, &video_streams).await?;
    let (observed, memory) = &*pass.observed.insert(observed);
    let plan = &*pass.plan.insert(plan::plan(object, desired, observed, memory));
    pass.outcome = act::act(context, shared, object, plan.groups.clone()).await;
    // More alarms are to change than tags were read.
    pass.outcome.postponed |= !observed.unsure.is_empty();
    Ok(())
}

/// Events: what was done, and what has begun to stand in the way.
async fn tell(
    object: &ArchivePolicy,
    context: &Context,
    pass: &Pass,
    old: &ArchivePolicyStatus,
    new: &ArchivePolicyStatus,
) {
    let reference = object.object_ref(&());
    for action in pass.outcome.done.iter().filter(|action| !action.is_alarm_write()) {
        context
            .events
            .done(&reference, action.reason(), action.to_string())
            .await;
    }
    // Many alarms may be made at once: one Event for all of a kind.
    for reason in ["AlarmCreated", "AlarmUpdated", "AlarmDeleted"] {
        let all = pass
            .outcome
            .done
            .iter()
            .filter(|action| action.is_alarm_write() && action.reason() == reason);
        let notes: Vec<_> = all.map(Action::to_string).collect();
        if !notes.is_empty() {
            context.events.done(&reference, reason, notes.join("; ")).await;
        }
    }
    for problem in &new.problems {
        if !old
            .problems
            .iter()
            .any(|p| (&p.stream, &p.reason) == (&problem.stream, &problem.reason))
        {
            let note = format!("VideoStream {}: {}", problem.stream, problem.message);
            context.events.trouble(&reference, &problem.reason, note).await;
        }
    }
    let stalled = |status: &ArchivePolicyStatus| {
        let stalled = status.conditions.iter().find(|c| c.type_ == condition::STALLED)?;
        Some((stalled.reason.clone(), stalled.message.clone()))
    };
    if let Some((reason, message)) = stalled(new)
        && stalled(old).is_none_or(|(before, _)| before != reason)
    {
        context.events.trouble(&reference, &reason, message).await;
    }
    if let Some((observed, _)) = &pass.observed
        && observed.namespace_terminating
    {
        let left = observed
            .recordings
            .iter()
            .filter(|r| !recording::is_finished(r))
            .count();
        if left > 0 {
            let note = format!(
                "the namespace is being deleted and does not wait: {left} recordings are not finished"
            );
            context
                .events
                .trouble(&reference, "NamespaceTerminating", note)
                .await;
        }
    }
}
