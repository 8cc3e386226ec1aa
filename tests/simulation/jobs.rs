//! What Kubernetes does with Jobs: pods start late, run the real archiver, get killed, are tried again; finished Jobs go after
//! their time.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kvs_operator::{
    archiver::{Archiver, progress::Nobody, request::ArchiveRequest, spool::Spool, store::Store},
    clock::AwsClock,
};
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, task::AbortHandle};

use super::{
    bucket::{Bucket, Shelf},
    kubernetes::Kubernetes,
    site::{Change, JOBS, NAMESPACE, PODS},
    video::{Kvs, Video},
    world::{NodeClock, World},
};

/// The cluster's part in Jobs.
#[derive(Clone)]
pub struct Cluster {
    pub world: Arc<World>,
    pub kubernetes: Kubernetes,
    pub video: Arc<Mutex<Video>>,
    pub shelf: Shelf,
    /// Where pods spool: in memory, where this machine has such a place.
    pub disk: Option<PathBuf>,
}

impl Cluster {
    /// Looks after Jobs for ever. On the thread of the simulation, as the archiver's future needs it.
    pub async fn keep(self, mut changes: UnboundedReceiver<Change>) {
        let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
        let uid = |job: &Value| job["metadata"]["uid"].as_str().unwrap().to_owned();
        while let Some(change) = changes.recv().await {
            if change.collection != JOBS {
                continue;
            }
            match (change.before, change.after) {
                (None, Some(job)) => {
                    let uid = uid(&job);
                    let job: Job = serde_json::from_value(job).unwrap();
                    let task = tokio::task::spawn_local(self.clone().run(job));
                    running.insert(uid, task.abort_handle());
                }
                (Some(job), None) => {
                    if let Some(task) = running.remove(&uid(&job)) {
                        task.abort();
                    }
                }
                (Some(before), Some(after)) => {
                    let ttl = |job: &Value| job["spec"]["ttlSecondsAfterFinished"].as_u64();
                    if let (None, Some(seconds)) = (ttl(&before), ttl(&after)) {
                        tokio::task::spawn_local(self.clone().expire(after, seconds));
                    }
                }
                (None, None) => {}
            }
        }
    }

    async fn expire(self, job: Value, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let name = job["metadata"]["name"].as_str().unwrap();
        let there: Option<Value> = self.kubernetes.get(JOBS, NAMESPACE, name);
        if there.is_some_and(|there| there["metadata"]["uid"] == job["metadata"]["uid"]) {
            self.kubernetes.delete(JOBS, NAMESPACE, name);
        }
    }

    async fn run(self, job: Job) {
        let name = job.name_any();
        self.world.wait(50..2_000).await;
        let started = json!({ "status": { "startTime": self.world.now() } });
        self.kubernetes.change(JOBS, NAMESPACE, &name, started);
        let spec = job.spec.as_ref().unwrap();
        let tries = spec.backoff_limit.unwrap() + 1;
        for attempt in 1..=tries {
            let pod = format!("{name}-{attempt}");
            self.world.wait(300..8_000).await;
            self.make_pod(&job, &pod);
            let (code, message) = self.pod(&job).await;
            if self.world.bad_luck(60) {
                // The node is gone, and with it the pod and what it said.
                self.world.count("pods deleted with their message");
                self.kubernetes.delete(PODS, NAMESPACE, &pod);
            } else {
                self.end_pod(&pod, code, message);
            }
            let condition = if code == 0 {
                Some(("Complete", "CompletionsReached"))
            } else if fails_at_once(&job, code) {
                Some(("Failed", "PodFailurePolicy"))
            } else if attempt == tries {
                Some(("Failed", "BackoffLimitExceeded"))
            } else {
                None
            };
            if let Some((type_, reason)) = condition {
                self.world.wait(10..1_000).await;
                let condition = json!({ "type": type_, "status": "True", "reason": reason,
                                        "lastTransitionTime": self.world.now() });
                let patch = json!({ "status": { "conditions": [condition] } });
                self.kubernetes.change(JOBS, NAMESPACE, &name, patch);
                return;
            }
            self.world.wait(10_000 << attempt..(10_000 << attempt) + 1).await;
        }
    }

    fn make_pod(&self, job: &Job, pod: &str) {
        self.kubernetes.create(
            "pods",
            json!({ "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": pod, "namespace": NAMESPACE,
                    "labels": job.spec.as_ref().unwrap().template.metadata.as_ref().unwrap().labels,
                    "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(),
                                          "uid": job.uid(), "controller": true }] },
                "status": { "phase": "Running", "containerStatuses": [{ "name": "archive", "image": "", "imageID": "",
                    "ready": true, "restartCount": 0, "state": { "running": { "startedAt": self.world.now() } } }] } }),
        );
    }

    fn end_pod(&self, pod: &str, code: u8, message: Option<String>) {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let terminated = json!({ "exitCode": code, "finishedAt": self.world.now(), "message": message });
        let patch = json!({ "status": { "phase": phase, "containerStatuses": [{ "name": "archive", "image": "",
            "imageID": "", "ready": false, "restartCount": 0, "state": { "terminated": terminated } }] } });
        self.kubernetes.change(PODS, NAMESPACE, pod, patch);
    }

    /// One pod: the real archiver, on a node with a clock of its own, perhaps killed.
    async fn pod(&self, job: &Job) -> (u8, Option<String>) {
        let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let args = pod.containers[0].args.as_ref().unwrap();
        let request: ArchiveRequest = serde_json::from_str(&args[2]).unwrap();
        let node = NodeClock::new(&self.world);
        let clock = AwsClock::new(node.clone());
        let bucket = Bucket {
            world: self.world.clone(),
            shelf: self.shelf.clone(),
            clock: clock.clone(),
        };
        let kvs = Kvs {
            world: self.world.clone(),
            video: self.video.clone(),
            clock: clock.clone(),
        };
        let archiver = Archiver {
            footage: Arc::new(kvs),
            store: Store::new(Arc::new(bucket), node),
            clock,
            spool: Spool::new(self.disk.as_deref()).unwrap().in_order(),
            fragments_per_second: 250,
            watcher: Arc::new(Nobody),
        };
        let killed_after = if self.world.bad_luck(8) {
            self.world.within(1..3_000)
        } else {
            7_200_000
        };
        let killed_after = Duration::from_millis(u64::try_from(killed_after).unwrap());
        match tokio::time::timeout(killed_after, archiver.archive(&request)).await {
            Ok(report) => {
                self.world
                    .tell(format!("{} reports {}", job.name_any(), report.line()));
                self.world.count("reports");
                (report.outcome.exit_code(), Some(report.line()))
            }
            Err(_) => {
                self.world.count("pods killed");
                self.world.tell(format!("{} is killed", job.name_any()));
                (137, None)
            }
        }
    }
}

fn fails_at_once(job: &Job, code: u8) -> bool {
    let policy = job.spec.as_ref().unwrap().pod_failure_policy.as_ref().unwrap();
    policy.rules.iter().any(|rule| {
        let codes = rule.on_exit_codes.as_ref().map(|on| &on.values);
        rule.action == "FailJob" && codes.is_some_and(|codes| codes.contains(&code.into()))
    })
}
