//! Takes a step. Only writes, and decides nothing.

use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::json;

use super::{
    failure::{Failure, Reason},
    job::{self, JobSettings},
    plan::{FINALIZER, Plan},
};
use crate::{
    api::{JobTemplate, Recording, labels},
    runtime::{
        Context, Error, Result,
        apply::{self, FIELD_MANAGER},
    },
};

/// How long a Job stays, for people who want to look, once its result is recorded.
const TTL_SECONDS: i32 = 600;

/// Takes a step of the plan. Steps that are only a status, or nothing, do nothing here.
pub async fn act(
    context: &Context,
    recording: &Recording,
    plan: &Plan,
    template: &JobTemplate,
    settings: &JobSettings,
) -> Result<()> {
    let namespace = recording.namespace().unwrap_or_default();
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace);
    match plan {
        Plan::Hold => apply::finalizer(context, recording, FINALIZER, true)
            .await
            .map(drop),
        Plan::Release { .. } => apply::finalizer(context, recording, FINALIZER, false)
            .await
            .map(drop),
        Plan::End { at, gone, .. } => {
            // Without the annotation a user has ended it, and its episode is not taken up again.
            let ended = gone.then_some("StreamChanged");
            let body = json!({
                "metadata": {
                    "resourceVersion": recording.resource_version(),
                    "annotations": { labels::ENDED: ended },
                },
                "spec": { "end": at },
            });
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.into()),
                ..Default::default()
            };
            let patched = apply::api(context, recording)
                .patch(&recording.name_any(), &params, &Patch::Merge(&body))
                .await;
            patched
                .map(drop)
                .map_err(Error::kube("setting the recording's end"))
        }
        Plan::Create { name, task, failures } => {
            let job = job::job(recording, task, template, settings, *failures).map_err(|e| {
                Error::Spec(format!(
                    "the request of Job {name} cannot be written as JSON: {e}"
                ))
            })?;
            match jobs
                .create(
                    &PostParams {
                        field_manager: Some(FIELD_MANAGER.into()),
                        ..Default::default()
                    },
                    &job,
                )
                .await
            {
                Ok(_) => Ok(()),
                // It is there: the next pass sees it.
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
                Err(e) => Err(Error::kube(format!("creating Job {name}"))(e)),
            }
        }
        Plan::Retire(job) => {
            let body = json!({
                "metadata": { "uid": job.uid },
                "spec": { "ttlSecondsAfterFinished": TTL_SECONDS },
            });
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.into()),
                ..Default::default()
            };
            let patched = jobs.patch(&job.name, &params, &Patch::Merge(&body)).await;
            unless_gone(patched.map(drop), format!("setting the TTL of Job {}", job.name))
        }
        Plan::Remove { job, .. } => {
            let params = DeleteParams {
                // The name is free only when its pods are gone too.
                propagation_policy: Some(PropagationPolicy::Foreground),
                preconditions: Some(Preconditions {
                    uid: Some(job.uid.clone()),
                    resource_version: None,
                }),
                ..Default::default()
            };
            let deleted = jobs.delete(&job.name, &params).await;
            unless_gone(deleted.map(drop), format!("deleting Job {}", job.name))
        }
        Plan::Record { .. } | Plan::Finish(_) | Plan::Wait { .. } | Plan::Rest => Ok(()),
    }
}

fn unless_gone(result: kube::Result<()>, doing: String) -> Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map_err(Error::kube(doing)),
    }
}

/// What the refusal of a Job means, where it is the Job that is refused.
pub fn refusal(plan: &Plan, result: &Result<()>) -> Option<Failure> {
    match (plan, result) {
        (Plan::Create { .. }, Err(Error::Refused { status, .. })) if matches!(status.code, 403 | 422) => {
            Some(Failure::new(
                Reason::of_refusal(&status.message),
                status.message.clone(),
            ))
        }
        _ => None,
    }
}
