//! The VideoStream controller: one file a step.
//!
//! `desired` (what the object asks for) and `observe` (what is there) lead to `plan` (what to do now), `act` does it, `status`
//! tells. Only `observe` reads, only `act` writes to AWS; the rest is pure.

mod act;
mod action;
mod desired;
pub mod import;
mod known;
mod merge;
mod need;
mod observe;
mod plan;
mod status;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use kube::Resource;

pub use self::known::Known;
use self::{
    desired::{Desired, FINALIZER},
    plan::{Blocked, Farewell, Step},
    status::Pass,
};
use crate::{
    api::{VideoStream, VideoStreamStatus, condition},
    caches::Caches,
    runtime::{self, Context, Next, Result, apply},
};

/// The controller's name in metrics and logs.
const NAME: &str = "videostream";

/// How soon to look at a stream that AWS is busy with: creating one takes seconds to minutes.
const WHILE_BUSY: Duration = Duration::from_secs(3);
/// How soon to look whether footage is still needed.
const WHILE_HELD: Duration = Duration::from_secs(30);
/// How soon to look for a stream that another tool is to make.
const WHILE_MISSING: Duration = Duration::from_secs(60);
/// How soon to look for drift. Most such passes ask AWS nothing: the region's listing answers them.
const SETTLED: Duration = Duration::from_secs(600);

/// Runs the controller until the process is to stop.
pub async fn run(context: Arc<Context>, caches: Arc<Caches>) {
    let controller = caches.video_streams.controller();
    let known = Arc::new(Known::default());
    runtime::control(context, NAME, controller, move |object, context| {
        reconcile(object, context, known.clone())
    })
    .await;
}

/// One pass over one object.
pub async fn reconcile(object: Arc<VideoStream>, context: Arc<Context>, known: Arc<Known>) -> Result<Next> {
    let mut pass = Pass::default();
    pass.failed = attempt(&object, &context, &known, &mut pass).await.err();
    remember(&context, &known, &pass);

    let old = object.status.clone().unwrap_or_default();
    let new = status::status(&old, &pass, object.metadata.generation, context.stamp());
    tell(&object, &context, &pass, &old, &new).await;
    if let Some(Step::LetGo(_)) = pass.plan.as_ref().map(|plan| &plan.step)
        && pass.failed.is_none()
    {
        apply::finalizer(&context, &*object, FINALIZER, false).await?;
        return Ok(Next::OnChange);
    }
    // A new stream is told of by its Event; its status follows a moment later, when there is more to say.
    if pass.outcome.created.is_some() && pass.failed.is_none() {
        return Ok(pass.plan.map_or(Next::OnChange, |plan| next(&plan)));
    }
    let written = apply::status(&context, NAME, &*object, object.status.as_ref(), &new).await;
    // What stopped the pass itself tells more than what stopped the telling of it.
    if let Some(error) = pass.failed {
        return Err(error);
    }
    written?;
    Ok(pass.plan.map_or(Next::OnChange, |plan| next(&plan)))
}

/// Everything that can fail; how far it came is in `pass`.
async fn attempt(object: &VideoStream, context: &Context, known: &Known, pass: &mut Pass) -> Result<()> {
    let mut desired = Desired::of(object, &context.cluster_id, &context.region)?;
    // The status of an object whose stream was just made may not say so yet.
    if desired.known_arn.is_none() {
        desired.known_arn = known.made_lately(&desired.key(), context.clock.node().now());
    }
    let desired = &*pass.desired.insert(desired);
    if let Err(missing) = desired.granted(&context.config.grants) {
        if !desired.deleting {
            return Err(missing.into());
        }
        // What may not be used may not be deleted, and must not keep the object.
        pass.plan = Some(plan::Plan::let_go(Farewell::NotGranted));
        return Ok(());
    }
    let assumed = observe::assume(context, known, object, desired)
        .await?
        .map(|observed| {
            let plan = plan::plan(desired, &observed, context.stamp());
            (observed, plan)
        });
    let (observed, plan) = match assumed {
        Some((observed, plan)) if plan.rests_on_assumptions() => (observed, plan),
        // Whatever else is to be done is decided by what there is now.
        _ => {
            let observed = observe::look(context, known, object, desired).await?;
            let plan = plan::plan(desired, &observed, context.stamp());
            (observed, plan)
        }
    };
    let (observed, plan) = (&*pass.observed.insert(observed), &*pass.plan.insert(plan));
    if plan.finalizer {
        apply::finalizer(context, object, FINALIZER, true).await?;
    } else if !desired.deleting {
        apply::finalizer(context, object, FINALIZER, false).await?;
    }
    if let Step::Act(actions) = &plan.step {
        let streams = context.ports(&desired.place).streams;
        let stream = observed.stream.as_ref().map(|(stream, _)| stream);
        let (outcome, result) = act::act(&*streams, stream, actions).await;
        pass.outcome = outcome;
        result?;
    }
    Ok(())
}

/// What the next pass may take from this one.
fn remember(context: &Context, known: &Known, pass: &Pass) {
    let Some(desired) = &pass.desired else { return };
    let (key, now) = (desired.key(), context.clock.node().now());
    let step = pass.plan.as_ref().map(|plan| &plan.step);
    match (step, &pass.outcome.created) {
        (_, Some(arn)) => known.made(&key, arn, desired.all_tags(), now),
        _ if pass.failed.is_some() => known.doubt(&key, now),
        (Some(Step::LetGo(_)), _) => known.forget(&key),
        (Some(Step::Act(_) | Step::Settled), _) => known.arrived(&key),
        _ => {}
    }
}

/// Events: what was done, and what has begun to stand in the way.
async fn tell(
    object: &VideoStream,
    context: &Context,
    pass: &Pass,
    old: &VideoStreamStatus,
    new: &VideoStreamStatus,
) {
    let reference = object.object_ref(&());
    if let Some(gone) = pass.plan.as_ref().and_then(|plan| plan.replaced.as_deref()) {
        let note = match &new.stream_arn {
            Some(arn) => format!("the stream {gone} is gone with its footage; {arn} has its name now"),
            None => format!("the stream {gone} is gone with its footage"),
        };
        context.events.trouble(&reference, "StreamReplaced", note).await;
    }
    for action in &pass.outcome.done {
        context
            .events
            .done(&reference, action.reason(), action.to_string())
            .await;
    }
    match pass.plan.as_ref().map(|plan| &plan.step) {
        Some(Step::LetGo(Farewell::Retained)) => {
            context
                .events
                .done(
                    &reference,
                    "Retained",
                    "the stream stays with its footage and its tags",
                )
                .await;
        }
        Some(Step::LetGo(Farewell::RetainedForNeeds)) => {
            let note = "the stream stays: its footage is still needed, and its namespace, which is being deleted, does not wait";
            context.events.trouble(&reference, "Retained", note).await;
        }
        Some(Step::LetGo(Farewell::NotGranted)) => {
            let note = "the stream stays: the namespace may not use it, so nothing was asked of AWS";
            context.events.trouble(&reference, "Retained", note).await;
        }
        _ => {}
    }
    if let Some(notice) = status::notice(new)
        && status::notice(old).is_none()
    {
        context.events.trouble(&reference, "TierDoesNotPay", notice).await;
    }
    // `Stalled` and what is held are told once, when they begin or change; progress is told by what is done.
    let bad = |status: &VideoStreamStatus| {
        let stands = condition::is_true(&status.conditions, condition::STALLED);
        let ready = status.conditions.iter().find(|c| c.type_ == condition::READY)?;
        (stands || ready.reason.ends_with("Held")).then(|| (ready.reason.clone(), ready.message.clone()))
    };
    if let Some((reason, message)) = bad(new)
        && bad(old).is_none_or(|(before, _)| before != reason)
    {
        context.events.trouble(&reference, &reason, message).await;
    }
}

/// When to look again.
fn next(plan: &plan::Plan) -> Next {
    match &plan.step {
        Step::Act(actions) => {
            let mut hash = DefaultHasher::new();
            actions
                .iter()
                .for_each(|action| action.to_string().hash(&mut hash));
            Next::Acted {
                what: hash.finish(),
                again: WHILE_BUSY,
            }
        }
        Step::Wait(_) => Next::In(WHILE_BUSY),
        Step::Settled if plan.held.is_some() => Next::In(WHILE_HELD),
        Step::Blocked(Blocked::NothingToObserve) => Next::In(WHILE_MISSING),
        Step::Settled | Step::Blocked(_) => Next::In(SETTLED),
        Step::Suspended | Step::LetGo(_) => Next::OnChange,
    }
}
