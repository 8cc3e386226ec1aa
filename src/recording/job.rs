//! A recording and a task become a `batch/v1` Job.
//!
//! Pure. The Job's name derives from the recording and the task alone, so a Job that is lost is made again under its name,
//! and a second one beside it cannot be. What protects the pod and the contract with the archiver is fixed here; a policy's
//! `job` only fills in what it may.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{
            Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
            PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
        },
        core::v1::{
            Capabilities, Container, EmptyDirVolumeSource, EnvFromSource, EnvVar, EphemeralVolumeSource,
            PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PodSecurityContext, PodSpec,
            PodTemplateSpec, ResourceRequirements, SeccompProfile, SecretEnvSource, SecurityContext, Volume,
            VolumeMount, VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::OwnerReference},
};
use kube::{Resource, ResourceExt, api::ObjectMeta};

use crate::{
    api::{JobTemplate, Recording, Span, labels},
    archiver::request::{ArchiveRequest, Outcome, RecordingIdentity, Task, TimestampType, VERSION},
    names,
};

/// Annotation: the task, as JSON.
pub const TASK: &str = "kvs-operator.io/task";
/// Annotation: how often Jobs under this name have failed before this one.
pub const FAILURES: &str = "kvs-operator.io/failures";
/// Annotation: ten hex digits that stand for how the pod was made; another value means that the pod would now be made
/// differently.
pub const TEMPLATE: &str = "kvs-operator.io/template";
/// The one container.
pub const CONTAINER: &str = "archive";

/// The longest that one Job may take. What it has stored by then is found again by the next under its name.
const DEADLINE_SECONDS: i64 = 2 * 3600;
/// How often Kubernetes starts the pod again by itself; after that the controller does, at longer intervals.
const POD_RETRIES: i32 = 2;
/// The user that the image runs as.
const USER: i64 = 65532;
/// Where files are put together before they go to S3.
const SPOOL: &str = "/spool";

/// What every Job of this operator has in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct JobSettings {
    /// The operator's own image.
    pub image: String,
    /// When it is pulled; Kubernetes' own default where absent.
    pub image_pull_policy: Option<String>,
    /// Where AWS answers, if not at AWS.
    pub endpoint_url: Option<String>,
    /// A Secret in the Recording's namespace whose keys become environment variables, where credentials do not come from the
    /// service account.
    pub credentials_secret: Option<String>,
    /// How long after its server time a fragment counts as listable.
    pub settle: Span,
}

/// The recording as the archiver knows it.
pub fn identity(recording: &Recording) -> RecordingIdentity {
    let spec = &recording.spec;
    RecordingIdentity {
        namespace: recording.namespace().unwrap_or_default(),
        name: recording.name_any(),
        timestamp_type: TimestampType::ServerTimestamp,
        start: spec.start.0,
        // An operator-made recording gets its end later, so there it cannot be part of what the recording is.
        end: if spec.cause.is_none() {
            spec.end.as_ref().map(|end| end.0)
        } else {
            None
        },
    }
}

/// The Job's name for a task: the recording, and the slice's start or the sweep's number.
pub fn name(recording: &Recording, task: &Task) -> String {
    let id = identity(recording);
    let (kind, which) = match task {
        Task::Slice { from, .. } => ("slice", from.to_string()),
        Task::Sweep { number, .. } => ("sweep", number.to_string()),
    };
    let parts = [
        id.namespace,
        id.name.clone(),
        recording.spec.stream_arn.clone(),
        id.start.to_string(),
        id.end.map(|end| end.to_string()).unwrap_or_default(),
        kind.into(),
        which,
    ];
    names::dns(&id.name, &parts, 63)
}

/// The label value that stands for a stream.
pub fn stream_label(stream_arn: &str) -> String {
    names::digits(&[stream_arn])
}

/// What stands for the way in which a pod is made now.
pub fn template_digits(template: &JobTemplate, settings: &JobSettings) -> String {
    // Both serialise always: they are plain structs with text keys.
    let text = |json: serde_json::Result<String>| json.unwrap_or_default();
    names::digits(&[
        text(serde_json::to_string(template)),
        text(serde_json::to_string(settings)),
    ])
}

/// The Job for a task. `failures`: how often Jobs under this name have failed before.
///
/// # Errors
/// Where the request cannot be written as JSON.
pub fn job(
    recording: &Recording,
    task: &Task,
    template: &JobTemplate,
    settings: &JobSettings,
    failures: i32,
) -> serde_json::Result<Job> {
    let spec = &recording.spec;
    let request = ArchiveRequest {
        version: VERSION,
        stream_arn: spec.stream_arn.clone(),
        role_arn: spec.role_arn.clone(),
        external_id: spec.external_id.clone(),
        recording: identity(recording),
        task: task.clone(),
        destination: spec.destination.clone(),
        legal_hold: spec.legal_hold,
        clip: spec.clip.clone(),
        settle: settings.settle,
        cause: spec.cause.clone(),
    };
    let labels = labels_of(recording, template);
    // Ours last: nobody can take them.
    let mut annotations = template.annotations.clone();
    annotations.extend([
        (TASK.to_owned(), serde_json::to_string(task)?),
        (FAILURES.to_owned(), failures.to_string()),
        (TEMPLATE.to_owned(), template_digits(template, settings)),
        (labels::STREAM_ARN.to_owned(), spec.stream_arn.clone()),
    ]);
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(name(recording, task)),
            namespace: recording.namespace(),
            labels: Some(labels.clone()),
            annotations: Some(annotations),
            owner_references: owner(recording).map(|owner| vec![owner]),
            ..Default::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(POD_RETRIES),
            active_deadline_seconds: Some(DEADLINE_SECONDS),
            // A second pod starts only when the first is wholly gone.
            pod_replacement_policy: Some("Failed".into()),
            pod_failure_policy: Some(failure_policy()),
            // No ttlSecondsAfterFinished: the Job stays until its result is in the Recording's status.
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: (!template.annotations.is_empty()).then(|| template.annotations.clone()),
                    ..Default::default()
                }),
                spec: Some(pod(
                    recording,
                    template,
                    settings,
                    serde_json::to_string(&request)?,
                )),
            },
            ..Default::default()
        }),
        status: None,
    })
}

fn labels_of(recording: &Recording, template: &JobTemplate) -> BTreeMap<String, String> {
    let mut labels = template.labels.clone();
    labels.extend([
        (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned()),
        (labels::RECORDING.to_owned(), recording.name_any()),
        (
            labels::STREAM.to_owned(),
            stream_label(&recording.spec.stream_arn),
        ),
    ]);
    if let Some(policy) = recording
        .spec
        .cause
        .as_ref()
        .and_then(|cause| cause.policy.clone())
    {
        labels.insert(labels::POLICY.to_owned(), policy);
    }
    labels
}

/// A recording that is being deleted owns no new Job: the garbage collector of a foreground deletion would take away the
/// very Jobs that the deletion waits for.
fn owner(recording: &Recording) -> Option<OwnerReference> {
    if recording.metadata.deletion_timestamp.is_some() {
        return None;
    }
    recording.controller_owner_ref(&())
}

/// Exit codes 2, 3 and 4 are a person's to mend; trying the pod again at once would only repeat them. A disruption (drain,
/// eviction, preemption) is not the pod's fault and is not counted.
fn failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "FailJob".into(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(CONTAINER.into()),
                    operator: "In".into(),
                    values: [Outcome::Invalid, Outcome::Conflict, Outcome::Denied]
                        .map(|o| o.exit_code().into())
                        .into(),
                }),
                ..Default::default()
            },
            PodFailurePolicyRule {
                action: "Ignore".into(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".into(),
                    status: "True".into(),
                }]),
                ..Default::default()
            },
        ],
    }
}

fn pod(recording: &Recording, template: &JobTemplate, settings: &JobSettings, request: String) -> PodSpec {
    let seccomp = SeccompProfile {
        type_: "RuntimeDefault".into(),
        localhost_profile: None,
    };
    PodSpec {
        restart_policy: Some("Never".into()),
        service_account_name: Some(template.service_account_name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        node_selector: (!template.node_selector.is_empty()).then(|| template.node_selector.clone()),
        tolerations: some(&template.tolerations),
        affinity: template.affinity.clone(),
        topology_spread_constraints: some(&template.topology_spread_constraints),
        priority_class_name: template.priority_class_name.clone(),
        image_pull_secrets: some(&template.image_pull_secrets),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(seccomp),
            ..Default::default()
        }),
        containers: vec![Container {
            name: CONTAINER.into(),
            image: Some(settings.image.clone()),
            image_pull_policy: settings.image_pull_policy.clone(),
            // The image's entry point is the program.
            args: Some(vec!["archive".into(), "--request".into(), request]),
            env: Some(environment(recording, settings)),
            env_from: settings.credentials_secret.as_ref().map(|name| {
                vec![EnvFromSource {
                    secret_ref: Some(SecretEnvSource {
                        name: name.clone(),
                        optional: Some(false),
                    }),
                    ..Default::default()
                }]
            }),
            resources: Some(template.resources.clone().unwrap_or_else(default_resources)),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                run_as_non_root: Some(true),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".into()]),
                    add: None,
                }),
                ..Default::default()
            }),
            termination_message_policy: Some("File".into()),
            volume_mounts: Some(vec![VolumeMount {
                name: "spool".into(),
                mount_path: SPOOL.into(),
                ..Default::default()
            }]),
            ..Default::default()
        }],
        volumes: Some(vec![spool(recording, template)]),
        ..Default::default()
    }
}

/// A list that is empty is left out.
fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// The spool: on the node's disk, or a volume of the policy's storage class that goes with the pod.
fn spool(recording: &Recording, template: &JobTemplate) -> Volume {
    let wanted = template.spool.clone().unwrap_or_default();
    let size = wanted
        .size
        .unwrap_or_else(|| spool_size(recording.spec.clip.duration));
    let Some(class) = wanted.storage_class_name else {
        let disk = EmptyDirVolumeSource {
            size_limit: Some(size),
            medium: None,
        };
        return Volume {
            name: "spool".into(),
            empty_dir: Some(disk),
            ..Default::default()
        };
    };
    let claim = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".into()]),
        storage_class_name: Some(class),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
            limits: None,
        }),
        ..Default::default()
    };
    let volume = EphemeralVolumeSource {
        volume_claim_template: Some(PersistentVolumeClaimTemplate {
            metadata: None,
            spec: claim,
        }),
    };
    Volume {
        name: "spool".into(),
        ephemeral: Some(volume),
        ..Default::default()
    }
}

fn environment(recording: &Recording, settings: &JobSettings) -> Vec<EnvVar> {
    let mut variables = vec![
        ("AWS_REGION", recording.spec.region.clone()),
        ("TMPDIR", SPOOL.to_owned()),
    ];
    if let Some(url) = &settings.endpoint_url {
        variables.push(("AWS_ENDPOINT_URL", url.clone()));
        // Whoever answers there has no instance metadata; at AWS the metadata may be where credentials come from.
        variables.push(("AWS_EC2_METADATA_DISABLED", "true".into()));
    }
    variables
        .into_iter()
        .map(|(name, value)| EnvVar {
            name: name.into(),
            value: Some(value),
            value_from: None,
        })
        .collect()
}

/// Footage on its way into one file, and that file: twice a clip and its last fragment at 100 Mbit/s (what KVS takes in per
/// stream unless AWS raised it), with a quarter to spare, and room for the fragments that a sweep tries again together.
fn spool_size(clip: Span) -> Quantity {
    const GIB: u64 = 1 << 30;
    let bytes = (clip.secs() + 20) * 12_500_000 * 2 * 5 / 4 + GIB;
    Quantity(format!("{}Gi", bytes.div_ceil(GIB)))
}

fn default_resources() -> ResourceRequirements {
    let quantities = |list: &[(&str, &str)]| {
        Some(
            list.iter()
                .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
                .collect(),
        )
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "100m"), ("memory", "64Mi")]),
        limits: quantities(&[("memory", "128Mi")]),
        claims: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::fixture::{at, recording};

    fn made(recording: &Recording, task: &Task) -> Job {
        let settings = JobSettings {
            image: "registry/kvs-operator:1".into(),
            endpoint_url: Some("http://10.0.0.1:4600".into()),
            credentials_secret: Some("aws".into()),
            settle: Span::from_secs(60),
            ..Default::default()
        };
        job(recording, task, &JobTemplate::default(), &settings, 2).unwrap()
    }

    fn slice(from: &str, to: &str) -> Task {
        Task::Slice {
            from: at(from),
            to: at(to),
            predecessor: None,
        }
    }

    #[test]
    fn the_name_is_of_the_recording_and_the_start_alone() {
        let long = recording(&"front-door-".repeat(5)[..52], at("01:00:00"));
        let first = name(&long, &slice("01:00:00", "01:10:00"));
        assert!(first.len() <= 63 && first.starts_with("front-door-"), "{first}");
        assert_eq!(
            first,
            name(&long, &slice("01:00:00", "05:00:00")),
            "the end may be another"
        );
        assert_ne!(first, name(&long, &slice("01:10:00", "05:00:00")));
        let sweep = |number, close| Task::Sweep {
            number,
            through: at("02:00:00"),
            predecessor: None,
            close,
            late_uploads: false,
        };
        assert_eq!(name(&long, &sweep(1, false)), name(&long, &sweep(1, true)));
        assert_ne!(name(&long, &sweep(1, false)), name(&long, &sweep(2, false)));
        let mut remade = long.clone();
        remade.metadata.uid = Some("another".into());
        assert_eq!(
            first,
            name(&remade, &slice("01:00:00", "01:10:00")),
            "a rebuilt cluster finds it"
        );
    }

    #[test]
    fn the_request_comes_back_and_carries_no_secret() {
        let task = slice("01:00:00", "01:10:00");
        let job = made(&recording("r", at("01:00:00")), &task);
        let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let args = pod.containers[0].args.as_ref().unwrap();
        let request: ArchiveRequest = serde_json::from_str(&args[2]).unwrap();
        assert_eq!(
            (&args[0][..], &args[1][..], &request.task),
            ("archive", "--request", &task)
        );
        assert_eq!(
            serde_json::from_str::<Task>(&job.annotations()[TASK]).unwrap(),
            task
        );
        let environment = pod.containers[0].env.as_ref().unwrap();
        assert!(
            environment
                .iter()
                .all(|v| !v.name.contains("SECRET") && !v.name.contains("KEY")),
            "{environment:?}"
        );
        let from = pod.containers[0].env_from.as_ref().unwrap()[0]
            .secret_ref
            .as_ref()
            .unwrap();
        assert_eq!(from.name, "aws");
    }

    #[test]
    fn how_objects_are_kept_reaches_the_archiver() {
        let mut r = recording("r", at("01:00:00"));
        r.spec.legal_hold = true;
        r.spec.destination = serde_json::from_value(serde_json::json!({ "s3": {
            "bucket": "bucket", "prefix": "north", "expectedBucketOwner": "111122223333", "storageClass": "GLACIER_IR",
            "encryption": { "serverSideEncryption": "aws:kms", "kmsKeyId": "alias/north" }, "tags": { "team": "north" },
            "objectLock": { "mode": "COMPLIANCE", "days": 30 },
        }}))
        .unwrap();
        let job = made(&r, &slice("01:00:00", "01:10:00"));
        let pod = job.spec.unwrap().template.spec.unwrap();
        let args = pod.containers[0].args.as_ref().unwrap();
        let request: ArchiveRequest = serde_json::from_str(&args[2]).unwrap();
        assert_eq!(
            (request.destination, request.legal_hold),
            (r.spec.destination, true)
        );
    }

    #[test]
    fn the_pod_can_do_nothing_that_it_need_not() {
        let job = made(&recording("r", at("01:00:00")), &slice("01:00:00", "01:10:00"));
        let spec = job.spec.unwrap();
        assert_eq!(
            (spec.ttl_seconds_after_finished, spec.backoff_limit),
            (None, Some(2))
        );
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.service_account_name.as_deref(), Some("kvs-archiver"));
        let of_pod = pod.security_context.unwrap();
        assert_eq!(
            (of_pod.run_as_non_root, of_pod.run_as_user),
            (Some(true), Some(65532))
        );
        let container = &pod.containers[0];
        let limits = container.security_context.clone().unwrap();
        assert_eq!(
            (
                limits.read_only_root_filesystem,
                limits.allow_privilege_escalation
            ),
            (Some(true), Some(false))
        );
        assert_eq!(limits.capabilities.unwrap().drop, Some(vec!["ALL".into()]));
        let spool = pod
            .volumes
            .unwrap()
            .remove(0)
            .empty_dir
            .unwrap()
            .size_limit
            .unwrap();
        assert_eq!(spool.0, "7Gi");
    }

    #[test]
    fn metadata_is_left_alone_at_aws() {
        let job = |settings: &JobSettings| {
            let r = recording("r", at("01:00:00"));
            let job = job(
                &r,
                &slice("01:00:00", "01:10:00"),
                &JobTemplate::default(),
                settings,
                0,
            )
            .unwrap();
            job.spec.unwrap().template.spec.unwrap().containers.remove(0)
        };
        let at_aws = job(&JobSettings::default());
        let names: Vec<_> = at_aws.env.unwrap().into_iter().map(|v| v.name).collect();
        assert_eq!(
            names,
            ["AWS_REGION", "TMPDIR"],
            "instance metadata may be where credentials come from"
        );
        assert_eq!(at_aws.env_from, None);
    }

    #[test]
    fn a_policy_says_where_pods_run_and_not_what_they_are() {
        let template: JobTemplate = serde_json::from_value(serde_json::json!({
            "tolerations": [{ "key": "archive", "operator": "Exists" }],
            "affinity": { "podAntiAffinity": {} },
            "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway" }],
            "priorityClassName": "low",
            "labels": { "kueue.x-k8s.io/queue-name": "footage", (labels::STREAM): "taken", (labels::MANAGED_BY): "taken" },
            "annotations": { "team": "a", (TASK): "taken" },
            "imagePullSecrets": [{ "name": "pull" }],
            "spool": { "size": "20Gi", "storageClassName": "fast" },
        }))
        .unwrap();
        let r = recording("r", at("01:00:00"));
        let task = slice("01:00:00", "01:10:00");
        let job = job(&r, &task, &template, &JobSettings::default(), 0).unwrap();
        assert_eq!(job.labels()["kueue.x-k8s.io/queue-name"], "footage");
        assert_eq!(
            job.labels()[labels::STREAM],
            stream_label(&r.spec.stream_arn),
            "ours cannot be taken"
        );
        assert_eq!(job.labels()[labels::MANAGED_BY], labels::MANAGER);
        assert!(job.annotations()[TASK].contains("slice") && job.annotations()["team"] == "a");
        let pod = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.tolerations.unwrap()[0].key.as_deref(), Some("archive"));
        assert!(pod.affinity.unwrap().pod_anti_affinity.is_some());
        assert_eq!(pod.topology_spread_constraints.unwrap()[0].topology_key, "zone");
        assert_eq!(pod.priority_class_name.as_deref(), Some("low"));
        assert_eq!(pod.image_pull_secrets.unwrap()[0].name, "pull");
        let spool = pod.volumes.unwrap().remove(0);
        let claim = spool.ephemeral.unwrap().volume_claim_template.unwrap().spec;
        assert_eq!(claim.storage_class_name.as_deref(), Some("fast"));
        assert_eq!(claim.resources.unwrap().requests.unwrap()["storage"].0, "20Gi");
        assert!(spool.empty_dir.is_none());
    }

    #[test]
    fn a_recording_that_goes_owns_no_new_job() {
        let mut r = recording("r", at("01:00:00"));
        let task = slice("01:00:00", "01:10:00");
        assert_eq!(made(&r, &task).owner_references().len(), 1);
        r.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(
            "02:00:00",
        )));
        assert_eq!(made(&r, &task).owner_references().len(), 0);
    }

    #[test]
    fn only_by_hand_the_end_is_part_of_what_it_is() {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
        let mut r = recording("r", at("01:00:00"));
        let before = name(&r, &slice("01:00:00", "01:10:00"));
        r.spec.end = Some(MicroTime(at("02:00:00")));
        assert_eq!(before, name(&r, &slice("01:00:00", "01:10:00")));
        r.spec.cause = None;
        assert_ne!(before, name(&r, &slice("01:00:00", "01:10:00")));
    }
}
