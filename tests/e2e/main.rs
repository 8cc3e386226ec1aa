//! The main job on a real cluster, as its users live it: footage in, alarm, Jobs in pods, clips in S3; with kills in the middle.
//!
//! `make e2e` starts the cluster, kvs-sim and the operator (tools/stack.sh) and runs this. One test, since it is one story.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod aws;
mod camera;
mod judge;
mod shell;

use std::path::Path;

use aws::Aws;
use camera::Camera;
use serde_json::Value;
use shell::{apply, condition, get, kubectl, list, output, step, wait_for};

const BUCKET: &str = "footage-archive";
const STREAM: &str = "front-door";

#[test]
#[ignore = "needs a real cluster: make e2e"]
fn footage_in_alarm_jobs_clips_in_s3() {
    let aws = Aws::connect();
    let work = tempfile::tempdir().expect("a folder");
    let footage = camera::footage(work.path());
    aws.make_bucket(BUCKET);

    wrong_objects_are_refused();
    objects_become_streams_and_alarms(&aws);
    let recording = an_alarm_is_recorded_through_kills(&aws, &footage);
    let seconds = archived_exactly_once(&aws, &recording, work.path());
    assert!(seconds >= 300, "five minutes of server time, not {seconds} s");
    the_policy_tells_how_it_stands();
    let second = deleting_the_policy_drains_it(&aws, &footage);
    archived_exactly_once(&aws, &second, work.path());
    nothing_unexplained_is_in_the_bucket(&aws);
    deleting_a_stream_keeps_it_unless_told(&aws);
}

fn example(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file))
        .expect("an example")
}

/// The policy of `examples/`, with times short enough for a test.
fn policy(more: &str) -> String {
    example("archivepolicy.yaml")
        .replace("preRoll: 30s", "preRoll: 5s")
        .replace("postRoll: 60s", "postRoll: 5s")
        .replace("mergeGap: 3m", "mergeGap: 20s")
        .replace("duration: 3m", "duration: 1m")
        .replace("archiveEvery: 10m", &format!("archiveEvery: 45s\n{more}"))
}

fn wrong_objects_are_refused() {
    step("Wrong objects are refused, and told what to do");
    let stream = example("videostream.yaml");
    let refused = |yaml: &str, says: &str| {
        let said = apply(yaml).expect_err("the API server takes a wrong object");
        assert!(said.contains(says), "expected {says:?} in:\n{said}");
        println!("   {}", said.lines().last().unwrap_or_default());
    };
    refused(
        &stream.replace("dataRetentionInHours: 24", "dataRetentionInHours: -1"),
        "greater than or equal to 0",
    );
    refused(
        &example("archivepolicy.yaml")
            .replace("  trigger:\n", "")
            .replace("    alarm: {}\n", ""),
        "spec.trigger is missing: say what",
    );
    refused(
        &stream.replace("mediaType:", "mediatype:"),
        "unknown field \"spec.mediatype\"",
    );
    let other = stream.replace("name: front-door", "name: immutable");
    apply(&other.replace("spec:", "spec:\n  streamName: one\n  suspend: true")).expect("a good object");
    refused(
        &other.replace("spec:", "spec:\n  streamName: two\n  suspend: true"),
        "spec.streamName is immutable: AWS cannot rename",
    );
    kubectl("delete videostream immutable --timeout=30s");
}

fn objects_become_streams_and_alarms(aws: &Aws) {
    step("Examples are applied; the stream and its alarm exist in AWS; both objects are Ready");
    apply(&example("videostream.yaml")).expect("the stream's example");
    apply(&policy("")).expect("the policy's example");
    kubectl("wait --for=condition=Ready videostream/front-door archivepolicy/north --timeout=90s");
    print!("{}", kubectl("get videostreams,archivepolicies"));

    let stream = aws.stream(STREAM).expect("the stream exists");
    assert_eq!(stream.retention, 24);
    let tag = |key: &str| stream.tags.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!(tag("team"), "security");
    assert_eq!(tag("kvs-operator.io/cluster"), "local");
    assert_eq!(
        (tag("kvs-operator.io/namespace"), tag("kvs-operator.io/name")),
        ("cameras", "front-door")
    );

    let alarms = aws.alarms();
    let [alarm] = &alarms[..] else {
        panic!("one alarm, not {alarms:?}")
    };
    assert_eq!(alarm.metric_name(), Some("PutMedia.IncomingFragments"));
    assert_eq!(alarm.dimensions()[0].value(), Some(STREAM));
    assert_eq!(
        (alarm.threshold(), alarm.period(), alarm.evaluation_periods()),
        (Some(1.0), Some(60), Some(1))
    );
    let tags = aws.alarm_tags(alarm.alarm_arn().expect("an ARN"));
    assert_eq!(tags.get("RepeatedAlarm").map(String::as_str), Some("true"));
    assert_eq!(
        tags.get("kvs-operator.io/cluster").map(String::as_str),
        Some("local")
    );
    assert_eq!(
        tags.get("kvs-operator.io/name").map(String::as_str),
        Some("north")
    );
    assert_eq!(
        tags.get("kvs-operator.io/namespace").map(String::as_str),
        Some("cameras")
    );
}

/// Five and a half minutes of footage or more; the operator's pod is killed in the middle of the recording, and a Job's pod in the
/// middle of a slice. Returns the finished recording.
fn an_alarm_is_recorded_through_kills(aws: &Aws, footage: &Path) -> Value {
    step("The camera streams for five and a half minutes, and longer where the alarm comes later");
    let loops = 11 + u32::try_from(shell::late() / 30).expect("a few minutes");
    let mut camera = Camera::start(footage, STREAM, loops);
    wait_for("the alarm is in ALARM, by evaluation of the metric", 240, || {
        aws.alarms()[0]
            .state_value()
            .is_some_and(|s| s.as_str() == "ALARM")
            .then_some(())
    });
    wait_for("its history says why and since when", 30, || {
        let history = aws.alarm_history(aws.alarms()[0].alarm_name().expect("a name"));
        let told = |h: &String| h.contains("\"startDate\"") && h.contains("Threshold Crossed");
        history.iter().any(told).then_some(())
    });
    let name = wait_for("a Recording appears", 60, || {
        list("recordings")
            .first()
            .map(|r| r["metadata"]["name"].as_str().expect("a name").to_owned())
    });
    let recording = || get(&format!("recording {name}"));
    wait_for("a first slice is archived", 240, || {
        (recording()["status"]["counts"]["fragments"].as_i64() > Some(0)).then_some(())
    });

    wait_for(
        "the policy shows it: one in alarm, one active, archived through",
        60,
        || {
            let status = get("archivepolicy north")["status"].clone();
            (status["inAlarm"] == 1
                && status["activeRecordings"] == 1
                && status["archivedThrough"].is_string())
            .then_some(())
        },
    );
    print!("{}", kubectl("get archivepolicies"));

    step("The operator's pod is killed");
    let operator =
        "-n kvs-operator delete pod -l app.kubernetes.io/name=kvs-operator --grace-period=0 --force";
    shell::run("kubectl", &operator.split(' ').collect::<Vec<_>>());

    step("A Job's pod is killed in the middle of a slice");
    kill_a_job_in_the_middle(aws);
    let fragments = recording()["status"]["counts"]["fragments"].as_i64();
    wait_for("more is archived after the kills", 240, || {
        (recording()["status"]["counts"]["fragments"].as_i64() > fragments).then_some(())
    });

    wait_for("the camera has sent everything", 400, || {
        camera.finished().then_some(())
    });
    wait_for("the alarm clears", 400, || {
        aws.alarms()[0]
            .state_value()
            .is_some_and(|s| s.as_str() == "OK")
            .then_some(())
    });
    let finished = wait_for("the recording is Complete", 400, || {
        let recording = recording();
        condition(&recording, "Complete").then_some(recording)
    });
    print!("{}", kubectl("get recordings,jobs"));
    assert_eq!(finished["status"]["phase"], "Complete");
    assert_eq!(finished["status"]["counts"]["lost"], 0);
    assert_eq!(list("recordings").len(), 1, "one episode is one recording");
    finished
}

/// Waits for a slice's plan without a manifest (a Job has begun and not committed) and kills the pod there: a processor limit
/// makes the Job slow enough to be met in the middle.
fn kill_a_job_in_the_middle(aws: &Aws) {
    apply(&policy(
        "  job:\n    resources:\n      limits: {cpu: 30m, memory: 256Mi}",
    ))
    .expect("a slower Job");
    let open = || -> Option<String> {
        let keys = aws.keys(BUCKET);
        let plan = keys.iter().find(|k| {
            k.ends_with(".plan.json") && !keys.contains(&k.replace(".plan.json", ".manifest.json"))
        })?;
        Some(plan.clone())
    };
    let plan = wait_for("a slice has a plan and no manifest yet", 240, open);
    let pods = kubectl(
        "delete pods -l kvs-operator.io/recording --field-selector=status.phase=Running --grace-period=0 --force",
    );
    assert!(pods.contains("deleted"), "no pod was there to kill: {pods}");
    assert!(
        open().as_ref() == Some(&plan),
        "the slice was committed before the kill: {plan}"
    );
    apply(&policy("")).expect("the policy as before");
    wait_for("the slice is committed", 240, || {
        aws.keys(BUCKET)
            .contains(&plan.replace(".plan.json", ".manifest.json"))
            .then_some(())
    });
    // Its Job lost a pod, and another one did the work.
    let lost_a_pod = |job: &Value| job["status"]["failed"].as_i64() >= Some(1) && condition(job, "Complete");
    wait_for("by another pod of the same Job", 60, || {
        list("jobs").iter().any(lost_a_pod).then_some(())
    });
}

/// Returns how many seconds of server time the recording's fragments cover.
fn archived_exactly_once(aws: &Aws, recording: &Value, work: &Path) -> i64 {
    step("Every packet that KVS persisted inside the recording is in the archive exactly once, in order");
    let verdict = judge::judge(aws, BUCKET, recording, work);
    let judge::Verdict {
        fragments,
        frames,
        files,
        seconds,
    } = verdict;
    println!("   {fragments} fragments, {frames:?} frames in {files} files, {seconds} s of server time");
    seconds
}

fn the_policy_tells_how_it_stands() {
    step("kubectl get archivepolicies");
    let row = wait_for("the policy shows a finished recording", 60, || {
        let policy = get("archivepolicy north");
        (policy["status"]["activeRecordings"] == 0 && policy["status"]["inAlarm"] == 0).then_some(policy)
    });
    print!("{}", kubectl("get archivepolicies"));
    assert_eq!(row["status"]["streams"], 1);
    assert_eq!(row["status"]["lost"], 0);
    assert!(row["status"]["lastClipTime"].is_string(), "{}", row["status"]);
}

/// A second episode; the policy is deleted while it lasts. Returns its finished recording.
fn deleting_the_policy_drains_it(aws: &Aws, footage: &Path) -> Value {
    step("Deleting the policy ends and drains its recordings, then its alarms are gone");
    let camera = Camera::start(footage, STREAM, 20);
    let name = wait_for("a second Recording appears", 240, || {
        let active = list("recordings")
            .into_iter()
            .find(|r| r["status"]["phase"] == "Active")?;
        Some(active["metadata"]["name"].as_str().expect("a name").to_owned())
    });
    let recording = || get(&format!("recording {name}"));
    wait_for("some of it is archived", 240, || {
        (recording()["status"]["counts"]["fragments"].as_i64() > Some(0)).then_some(())
    });
    kubectl("delete archivepolicy north --wait=false");
    wait_for("the recording has an end", 60, || {
        recording()["spec"]["end"].is_string().then_some(())
    });
    assert!(
        !aws.alarms().is_empty(),
        "the alarm stays until its recordings are drained"
    );
    wait_for("the recording is Complete", 300, || {
        condition(&recording(), "Complete").then_some(())
    });
    wait_for("the policy is gone", 60, || {
        list("archivepolicies").is_empty().then_some(())
    });
    assert!(aws.alarms().is_empty(), "the alarm is gone");
    drop(camera);
    recording()
}

fn nothing_unexplained_is_in_the_bucket(aws: &Aws) {
    step("Every clip in the bucket is named by exactly one manifest");
    let keys = aws.keys(BUCKET);
    let mut named: Vec<String> = vec![];
    for key in keys.iter().filter(|k| k.ends_with(".manifest.json")) {
        let manifest: Value = serde_json::from_slice(&aws.object(BUCKET, key)).expect("JSON");
        named.extend(
            manifest["objects"]
                .as_array()
                .expect("objects")
                .iter()
                .map(|o| o["key"].as_str().expect("a key").to_owned()),
        );
    }
    named.sort();
    let mut clips: Vec<_> = keys.iter().filter(|k| k.contains("/stream=")).cloned().collect();
    clips.sort();
    assert_eq!(clips, named);
    println!("   {} clips, {} objects in all", clips.len(), keys.len());
}

fn deleting_a_stream_keeps_it_unless_told(aws: &Aws) {
    step("Deleting a VideoStream leaves the stream, unless it is told to delete it");
    kubectl("delete videostream front-door --timeout=60s");
    assert!(aws.stream(STREAM).is_some(), "Retain leaves the stream");
    let doomed = example("videostream.yaml")
        .replace("name: front-door", "name: doomed")
        .replace("spec:", "spec:\n  deletionPolicy: Delete");
    apply(&doomed).expect("a stream to delete");
    kubectl("wait --for=condition=Ready videostream/doomed --timeout=60s");
    assert!(aws.stream("doomed").is_some());
    kubectl("delete videostream doomed --timeout=120s");
    wait_for("the stream is gone from AWS", 60, || {
        aws.stream("doomed").is_none().then_some(())
    });
    let left = output("kubectl", &["get", "videostreams", "-A", "--no-headers"]);
    assert!(
        left.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&left.stdout)
    );
}
