//! One simulation from its seed: a site with three cameras, hours of storm, then calm until everything has come to its end.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    alarms, cameras,
    jobs::Cluster,
    judge, operator,
    site::{NAMESPACE, RECORDINGS, Site},
    users,
    world::{World, lock},
};

const CAMERAS: [&str; 3] = ["door", "gate", "yard"];

/// What came of a simulation.
pub struct Outcome {
    pub story: Vec<String>,
    pub counts: BTreeMap<String, u64>,
    pub violations: Vec<String>,
}

/// Runs the simulation of a seed: so many hours of cameras, in a storm or in fine weather, and then what it takes until
/// everything has come to rest.
pub fn run(seed: u64, hours: u64, storm: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
        let world = World::new(seed, storm);
        live(&world, Duration::from_secs(hours * 3600)).await;
        Outcome {
            story: world.story(),
            counts: world.counts(),
            violations: world.violations(),
        }
    });
    runtime.shutdown_background();
    outcome
}

async fn live(world: &Arc<World>, cameras_run: Duration) {
    let site = Site::new(world);
    let (retention, made) = set_up(&site);
    let cluster = Cluster {
        world: world.clone(),
        kubernetes: site.kubernetes.clone(),
        video: site.video.clone(),
        shelf: site.shelf.clone(),
        disk: Some(PathBuf::from("/dev/shm")).filter(|memory| memory.is_dir()),
    };
    tokio::task::spawn_local(cluster.keep(site.subscribe()));
    let mut processes = tokio::task::JoinSet::new();
    processes.spawn(alarms::evaluate(world.clone(), site.cloudwatch.clone()));
    let sending: Vec<_> = CAMERAS
        .iter()
        .map(|name| {
            let camera = cameras::camera(
                world.clone(),
                site.video.clone(),
                site.cloudwatch.clone(),
                (*name).to_owned(),
            );
            processes.spawn(camera)
        })
        .collect();
    let keeper = processes.spawn(keep_running(site.clone()));
    let others = processes.spawn(others(site.clone()));
    let users = processes.spawn(users::edit(site.clone()));
    tokio::time::sleep(cameras_run).await;
    sending.iter().for_each(|camera| camera.abort());
    others.abort();
    users.abort();
    world.calm();
    keeper.abort();
    processes.spawn(operator::run(site.clone()));
    // What users were deleting has gone by then.
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    site.mend(&made);
    // Long enough for what KVS never gives out to be given up, and for all recordings to close.
    let long = SignedDuration::from_hours(i64::from(retention).max(13)) + SignedDuration::from_hours(4);
    let until = world.now() + long;
    while world.now() < until && !at_rest(&site) {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    // Quiet: whatever was due after the last change has come.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    judge::judge(&site);
    processes.shutdown().await;
}

fn at_rest(site: &Site) -> bool {
    let done = |recording: &Value| {
        matches!(
            recording["status"]["phase"].as_str(),
            Some("Complete" | "Incomplete")
        )
    };
    site.kubernetes.all::<Value>(RECORDINGS).iter().all(done)
}

/// Makes the objects; returns the streams' retention in hours and what was made.
fn set_up(site: &Site) -> (i32, Vec<(&'static str, Value)>) {
    let world = &site.world;
    let retention = i32::try_from(world.within(2..13)).unwrap();
    let api = "kvs-operator.io/v1alpha1";
    site.kubernetes.create(
        "namespaces",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
    );
    let mut made = vec![];
    for name in CAMERAS {
        made.push((
            "videostreams",
            json!({ "apiVersion": api, "kind": "VideoStream",
                    "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "camera": name } },
                    "spec": { "dataRetentionInHours": retention } }),
        ));
    }
    let mut recording = json!({
        "preRoll": format!("{}s", world.within(0..120)),
        "postRoll": format!("{}s", world.within(0..180)),
        "mergeGap": format!("{}s", world.within(0..600)),
    });
    if world.one_in(3) {
        recording["maxDuration"] = json!(format!("{}m", world.within(5..60)));
    }
    let selectors = [json!({}), json!({ "matchLabels": { "camera": "door" } })];
    for (name, selector) in ["all", "doors"].into_iter().zip(selectors) {
        made.push((
            "archivepolicies",
            json!({ "apiVersion": api, "kind": "ArchivePolicy", "metadata": { "name": name, "namespace": NAMESPACE },
                    "spec": { "streamSelector": selector, "trigger": { "alarm": {} }, "recording": recording,
                              "archiveEvery": format!("{}s", world.within(60..1200)),
                              "clip": { "duration": format!("{}s", world.within(10..300)) },
                              "destination": { "s3": { "bucket": "footage", "prefix": name } } } }),
        ));
    }
    for (plural, object) in &made {
        site.kubernetes.create(plural, object.clone());
    }
    (retention, made)
}

/// The operator's Deployment: starts it again whenever it dies; at times there are two.
async fn keep_running(site: Arc<Site>) {
    let world = site.world.clone();
    loop {
        let one = tokio::spawn(operator::run(site.clone()));
        let two = world
            .bad_luck(6)
            .then(|| tokio::spawn(operator::run(site.clone())));
        let running = Aborts([Some(one.abort_handle()), two.map(|two| two.abort_handle())]);
        if world.bad_luck(1) {
            world.wait(1_000..7_200_000).await;
        } else {
            std::future::pending::<()>().await;
        }
        world.count("operators killed");
        world.tell("the operator is killed");
        drop(running);
        if world.bad_luck(4) {
            world.wait(60_000..5_000_000).await;
        } else {
            world.wait(500..20_000).await;
        }
        world.tell("the operator starts");
    }
}

/// Tasks that end with this.
struct Aborts([Option<tokio::task::AbortHandle>; 2]);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.iter().flatten().for_each(tokio::task::AbortHandle::abort);
    }
}

/// Others in the same account.
async fn others(site: Arc<Site>) {
    let world = site.world.clone();
    loop {
        world.wait(600_000..7_200_000).await;
        if !world.bad_luck(1) {
            continue;
        }
        let camera = CAMERAS[usize::try_from(world.within(0..3)).unwrap()];
        let names = lock(&site.cloudwatch).names();
        let alarm = (!names.is_empty()).then(|| {
            names[usize::try_from(world.within(0..i64::try_from(names.len()).unwrap())).unwrap()].clone()
        });
        match (world.within(0..5), alarm) {
            (0, Some(alarm)) => {
                world.count("alarms deleted by others");
                world.tell(format!("somebody deletes alarm {alarm}"));
                lock(&site.cloudwatch).vanish(&alarm, world.now());
            }
            (1 | 2, Some(alarm)) => {
                world.count("alarms set by hand");
                lock(&site.cloudwatch).set_state(&world, &alarm, true);
            }
            (3, _) => {
                world.count("tags changed by others");
                if let Some(tags) = lock(&site.video).tags(camera) {
                    tags.insert("theirs".into(), world.now().to_string());
                }
            }
            _ => {
                world.count("streams deleted by others");
                world.tell(format!("somebody deletes stream {camera}"));
                lock(&site.video).vanish(camera, world.now());
            }
        }
    }
}
