//! The Recording controller: one span of one stream becomes Jobs, one slice after the other, until everything is in S3.
//!
//! A pass looks at the world (`observe`), decides on one step (`plan`), takes it (`act`) and says where the recording stands
//! (`status`). What a Job does is the archiver's; the two know each other by `archiver::request` alone.

mod act;
mod admission;
mod due;
mod failure;
#[cfg(test)]
mod fixture;
pub mod job;
mod notes;
mod observe;
mod plan;
mod progress;
mod seen;
mod shared;
#[cfg(test)]
mod simulation;
mod status;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::{batch::v1::Job, core::v1::ObjectReference};
use kube::{
    Api, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};

pub use self::shared::Shared;
use self::{
    due::Rules,
    job::JobSettings,
    plan::{Plan, Waiting},
};
use crate::{
    api::{ArchivePolicy, Recording, RecordingStatus, labels},
    caches::Caches,
    config::Config,
    runtime::{Context, Next, Result, apply, control},
};

/// The controller's name in metrics and logs.
const NAME: &str = "recording";

/// Runs the controller until the process is to stop.
pub async fn run(context: Arc<Context>, caches: Arc<Caches>) {
    let shared = Arc::new(Shared::default());
    let ours = watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGER));
    let recordings = &caches.recordings;
    let store = recordings.store();
    let controller = recordings
        .controller()
        .watches(
            Api::<PartialObjectMeta<Job>>::all(context.client.clone()),
            ours,
            recording_of,
        )
        .watches(
            Api::<PartialObjectMeta<ArchivePolicy>>::all(context.client.clone()),
            watcher::Config::default(),
            recordings_of(store),
        );
    control(context, NAME, controller, move |recording, context| {
        let shared = shared.clone();
        async move { reconcile(&recording, &context, &shared).await }
    })
    .await;
}

/// The recording of a Job.
fn recording_of(job: PartialObjectMeta<Job>) -> Option<ObjectRef<Recording>> {
    let name = job.labels().get(labels::RECORDING)?;
    Some(ObjectRef::new(name).within(&job.namespace()?))
}

/// The unfinished recordings of a policy whose spec has changed: another memory limit may be what they wait for.
fn recordings_of(
    store: Store<Recording>,
) -> impl Fn(PartialObjectMeta<ArchivePolicy>) -> Vec<ObjectRef<Recording>> {
    let known: Mutex<HashMap<ObjectRef<PartialObjectMeta<ArchivePolicy>>, Option<i64>>> = Mutex::default();
    move |policy| {
        let generation = policy.metadata.generation;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(ObjectRef::from_obj(&policy), generation) == Some(generation) {
            return vec![];
        }
        let (namespace, name) = (policy.namespace(), policy.name_any());
        let of_policy = |recording: &&Arc<Recording>| {
            recording.namespace() == namespace
                && recording
                    .spec
                    .cause
                    .as_ref()
                    .and_then(|cause| cause.policy.as_ref())
                    == Some(&name)
                && !recording.status.as_ref().is_some_and(plan::is_final)
        };
        store
            .state()
            .iter()
            .filter(of_policy)
            .map(|recording| ObjectRef::from_obj(&**recording))
            .collect()
    }
}

fn settings(config: &Config) -> JobSettings {
    JobSettings {
        image: config.archiver_image.clone(),
        image_pull_policy: Some(config.archiver_image_pull_policy.clone()),
        endpoint_url: config.aws_endpoint_url.clone(),
        credentials_secret: config.aws_credentials_secret.clone(),
        settle: config.settle,
    }
}

/// One pass over one Recording. `cached` may be older than what the API server has.
///
/// # Errors
/// What kept the pass from its step; the status tells it too, where it could be written.
pub async fn reconcile(cached: &Recording, context: &Context, shared: &Shared) -> Result<Next> {
    if observe::at_rest(cached) {
        return Ok(Next::OnChange);
    }
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    // One pass a stream at a time: between looking for its Jobs and making one, no other recording makes one.
    let _stream = shared.stream(&cached.spec.stream_arn).await;
    let Some(recording) = observe::recording(context, &namespace, &name).await? else {
        return Ok(Next::OnChange);
    };
    let (rules, settings) = (
        Rules::new(context.config.settle, context.config.close_after),
        settings(&context.config),
    );
    let (seen, template) = match observe::seen(context, shared, &settings, &recording).await {
        Ok(seen) => seen,
        Err(e) => {
            if !recording.status.as_ref().is_some_and(plan::is_final) {
                let status = status::troubled(&recording, &e, context.stamp());
                write(context, recording, &status).await?;
            }
            return Err(e);
        }
    };

    let mut plan = plan::plan(&recording, &seen, rules);
    if let Plan::Create { name, .. } = &plan {
        let status = recording.status.clone().unwrap_or_default();
        let expires = status::expires_at(&recording, &status, &seen).map(|time| time.0);
        if let Err(after) = shared.ask(&format!("{namespace}/{name}"), expires, seen.cluster_now) {
            plan = Plan::Wait {
                after,
                on: Waiting::Turn,
            };
        }
    }
    let mut recording = recording;
    let before = recording.clone();
    if matches!(plan, Plan::Create { .. }) {
        // Before the Job: how far its slice may reach is known from then on, whatever happens to this process.
        let status = status::status(&before, &seen, &plan, rules, None);
        let Some(written) = write(context, recording, &status).await? else {
            return Ok(Next::OnChange);
        };
        recording = written;
    }
    let result = act::act(context, &recording, &plan, &template, &settings).await;
    let refused = act::refusal(&plan, &result);
    if result.is_ok() || refused.is_some() {
        let status = status::status(&before, &seen, &plan, rules, refused.as_ref());
        if plan.has_status() {
            write(context, recording, &status).await?;
        }
        tell(context, &before, &plan, &status, seen.namespace_terminating).await;
    }
    result.map(|()| next(&plan))
}

/// Writes the status where it differs, over the version that was read. `None`: the Recording is gone.
async fn write(
    context: &Context,
    recording: Recording,
    status: &RecordingStatus,
) -> Result<Option<Recording>> {
    if recording.status.as_ref() == Some(status) {
        return Ok(Some(recording));
    }
    apply::status_over(context, NAME, &recording, status).await
}

async fn tell(
    context: &Context,
    recording: &Recording,
    plan: &Plan,
    new: &RecordingStatus,
    terminating: bool,
) {
    for note in notes::notes(recording, plan, new, terminating) {
        let on = if note.on_namespace {
            ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Namespace".into()),
                name: recording.namespace(),
                ..Default::default()
            }
        } else {
            recording.object_ref(&())
        };
        if note.warning {
            context.events.trouble(&on, &note.reason, note.message).await;
        } else {
            context.events.done(&on, &note.reason, note.message).await;
        }
    }
}

/// When to look again.
fn next(plan: &Plan) -> Next {
    match plan {
        Plan::Wait { after, .. } => Next::In(Duration::try_from(*after).unwrap_or_default()),
        Plan::Rest | Plan::Release { .. } => Next::OnChange,
        Plan::Create { .. } => Next::In(Duration::from_secs(5)),
        Plan::Remove { .. } => Next::In(Duration::from_secs(1)),
        Plan::Hold | Plan::End { .. } | Plan::Record { .. } | Plan::Retire(_) | Plan::Finish(_) => {
            Next::In(Duration::ZERO)
        }
    }
}
