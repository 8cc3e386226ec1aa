//! Reads what a plan is made from. Only reads.
//!
//! The Recording and its Jobs are read live, not from the watch's cache: a pass that decides from its own last write must
//! see it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    Shared,
    job::{JobSettings, stream_label, template_digits},
    plan::{self, FINALIZER},
    seen::{Checkpoint, JobState, Seen, SeenJob, Stream, recording_of},
};
use crate::{
    api::{ArchivePolicy, JobTemplate, Recording, labels},
    aws::{AwsError, streams::StreamStatus},
    policy::{
        checkpoint,
        recording::{granted, place},
    },
    runtime::{Context, Error, Result, error::chain},
};

/// How long an answer about a stream is good for.
const STREAM_KNOWN_FOR: SignedDuration = SignedDuration::from_secs(60);

/// The Recording as the API server has it. `None`: it is gone.
pub async fn recording(context: &Context, namespace: &str, name: &str) -> Result<Option<Recording>> {
    let api = Api::<Recording>::namespaced(context.client.clone(), namespace);
    api.get_opt(name)
        .await
        .map_err(Error::kube(format!("reading Recording {namespace}/{name}")))
}

/// Whether there is nothing left to do for a Recording, whatever the world looks like.
pub fn at_rest(recording: &Recording) -> bool {
    recording.status.as_ref().is_some_and(plan::is_final)
        && !recording.finalizers().iter().any(|f| f == FINALIZER)
}

/// The world around a Recording, and how its Jobs' pods are to be made.
pub async fn seen(
    context: &Context,
    shared: &Shared,
    settings: &JobSettings,
    recording: &Recording,
) -> Result<(Seen, JobTemplate)> {
    let namespace = recording.namespace().unwrap_or_default();
    let cluster_now = context.clock.node().now();
    let policy = policy(context, recording).await?;
    let template = policy
        .as_ref()
        .map_or_else(|| recording.spec.job.clone(), |policy| policy.spec.job.clone());
    let finished = recording.status.as_ref().is_some_and(plan::is_final);
    let deleting = recording.metadata.deletion_timestamp.is_some();
    let namespace_terminating = deleting && context.is_terminating(&namespace).await?;
    let goes = deleting && (namespace_terminating || plan::is_abandoned(recording));
    let missing = granted(recording, &context.config.grants).err();
    let (stream, now) = if finished {
        // Nothing is decided from the stream any more.
        (Stream::Unknown("not asked".into()), context.stamp())
    } else if let Some(missing) = missing {
        if !goes {
            return Err(missing.into());
        }
        (Stream::Unknown(missing.to_string()), context.stamp())
    } else {
        let asked = stream(context, shared, recording, cluster_now).await?;
        match (asked, context.clock.now()) {
            (Ok(stream), Some(now)) => (stream, now),
            // An AWS error is no reason to stop: the Jobs have rights of their own.
            (Err(e), Some(now)) => (Stream::Unknown(chain(&e)), now),
            (Err(e), None) => return Err(e.into()),
            (Ok(_), None) => return Err(Error::NoTime),
        }
    };
    let jobs = jobs(context, recording, &namespace, cluster_now).await?;
    let seen = Seen {
        now,
        cluster_now,
        stream,
        jobs,
        template: template_digits(&template, settings),
        checkpoint: checkpoint(recording, policy.as_ref()),
        namespace_terminating,
    };
    Ok((seen, template))
}

async fn policy(context: &Context, recording: &Recording) -> Result<Option<ArchivePolicy>> {
    let Some(name) = recording
        .spec
        .cause
        .as_ref()
        .and_then(|cause| cause.policy.as_deref())
    else {
        return Ok(None);
    };
    let api =
        Api::<ArchivePolicy>::namespaced(context.client.clone(), &recording.namespace().unwrap_or_default());
    api.get_opt(name)
        .await
        .map_err(Error::kube(format!("reading ArchivePolicy {name}")))
}

/// A policy that is gone makes nothing again. One without a checkpoint has read nothing yet.
fn checkpoint(recording: &Recording, policy: Option<&ArchivePolicy>) -> Checkpoint {
    let Some(policy) = policy else {
        return Checkpoint::Past;
    };
    let through = policy
        .status
        .as_ref()
        .and_then(|status| status.history_through.as_ref());
    match through {
        Some(through) if through.0 > checkpoint::entry(recording) => Checkpoint::Past,
        _ => Checkpoint::Behind,
    }
}

/// The stream, asked for at most once a minute.
async fn stream(
    context: &Context,
    shared: &Shared,
    recording: &Recording,
    cluster_now: Timestamp,
) -> Result<std::result::Result<Stream, AwsError>> {
    let spec = &recording.spec;
    if let Some(known) = shared.known_stream(&spec.stream_arn, cluster_now - STREAM_KNOWN_FOR) {
        return Ok(Ok(known));
    }
    let stream = match context
        .ports(&place(recording))
        .streams
        .describe(&spec.stream_name)
        .await
    {
        Ok(None) => Stream::Gone,
        Ok(Some(found)) if found.arn != spec.stream_arn || found.status == StreamStatus::Deleting => {
            Stream::Gone
        }
        Ok(Some(found)) => Stream::Kept(SignedDuration::from_hours(found.data_retention_in_hours.into())),
        Err(e) => return Ok(Err(e)),
    };
    shared.learn_stream(&spec.stream_arn, &stream, cluster_now);
    Ok(Ok(stream))
}

/// All Jobs of the stream, of every recording in every namespace.
async fn jobs(
    context: &Context,
    recording: &Recording,
    namespace: &str,
    cluster_now: Timestamp,
) -> Result<Vec<SeenJob>> {
    let label = stream_label(&recording.spec.stream_arn);
    let of_stream = ListParams::default().labels(&format!(
        "{}={},{}={label}",
        labels::MANAGED_BY,
        labels::MANAGER,
        labels::STREAM
    ));
    let list = Api::<Job>::all(context.client.clone()).list(&of_stream).await;
    let jobs = list.map_err(Error::kube("listing the stream's Jobs"))?.items;
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let pods = Api::<Pod>::all(context.client.clone()).list(&of_stream).await;
    let pods = pods
        .map_err(Error::kube("listing the pods of the stream's Jobs"))?
        .items;
    let mut seen = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let own = job.namespace().as_deref() == Some(namespace)
            && recording_of(job) == Some(&*recording.name_any());
        let mut read = SeenJob::read(job, &pods, &[], own, cluster_now);
        let podless = matches!(read.state, JobState::Waiting { blocked: None, .. });
        if own && podless && !pods.iter().any(|pod| is_of(pod, &read.uid)) {
            let refused = refused(context, namespace, &read.uid).await?;
            read = SeenJob::read(job, &pods, &refused, own, cluster_now);
        }
        seen.push(read);
    }
    Ok(seen)
}

fn is_of(pod: &Pod, job_uid: &str) -> bool {
    pod.owner_references().iter().any(|owner| owner.uid == job_uid)
}

/// Why the Job controller could not make pods for a Job, newest last.
async fn refused(context: &Context, namespace: &str, job_uid: &str) -> Result<Vec<String>> {
    let of_job = ListParams::default().fields(&format!("involvedObject.uid={job_uid},reason=FailedCreate"));
    let list = Api::<Event>::namespaced(context.client.clone(), namespace)
        .list(&of_job)
        .await;
    let mut events = list.map_err(Error::kube("listing the Job's Events"))?.items;
    events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    Ok(events.into_iter().filter_map(|event| event.message).collect())
}
