//! Each switch of what AWS leaves open has an effect: for each, one flow whose result differs where only that switch does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on ends here"
)]

mod common;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use common::{Manual, Service, footage};
use http_body_util::Full;
use hyper::Request;
use kvs_sim::{
    behaviour::Behaviour,
    clock::Clock,
    kvs::mkv::{
        element::{element, unknown_size},
        ids, tags,
    },
};
use serde_json::{Value, json};

/// What each switch is set to: another answer than the default's. A switch that is not here fails the test.
fn others() -> Value {
    json!({
        "streamVisibleAfterMillis": 1000,
        "tagsPerPage": 1,
        "listingLag": { "atMostMillis": 0, "lateOneIn": 1, "lateMillis": 60_000 },
        "listingDefaultResults": 1,
        "listingBeforeHead": "Empty",
        "listingNextPagesCost": false,
        "equalServerTimes": true,
        "fragmentListOrder": "Shuffled",
        "fragmentListTags": "Side",
        "endOfFragmentTag": true,
        "clipLimitBytes": 150_000,
        "clipLimitOf": "Mp4",
        "clipGaps": "Closed",
        "clipContentLength": false,
        "clipBytesVary": true,
        "keyDeniedError": "AccessDenied",
        "tagConditionsLateMillis": 1000,
        "secondConnection": "Replaces",
        "metricsLateMillis": 120_000,
        "idleMetrics": "Zero",
        "historyLateMillis": 60_000,
        "historyTwiceOneIn": 1,
        "historyMissingOneIn": 1,
        "historyDataCharacters": 10,
        "datapointsToAlarmOmitted": true,
        "deliveryAtMostMillis": 3_600_000,
        "deliveryTwiceOneIn": 1,
        "deliveryLostOneIn": 1,
        "queueShuffled": true,
        "queueTwiceOneIn": 1,
    })
}

fn with(name: &str, value: &Value) -> Behaviour {
    let patch = json!({ name: value }).to_string();
    Behaviour::default().patched(patch.as_bytes()).unwrap()
}

/// What a client sees of the part of the service that a switch is about.
async fn flow(name: &str, behaviour: Behaviour) -> String {
    match name {
        "streamVisibleAfterMillis" | "tagsPerPage" | "tagConditionsLateMillis" => streams(behaviour).await,
        "listingLag"
        | "listingDefaultResults"
        | "listingBeforeHead"
        | "listingNextPagesCost"
        | "equalServerTimes"
        | "fragmentListOrder"
        | "fragmentListTags"
        | "endOfFragmentTag" => fragments(behaviour).await,
        "secondConnection" => second_connection(behaviour).await,
        "metricsLateMillis" | "idleMetrics" => metrics(behaviour).await,
        "historyLateMillis"
        | "historyTwiceOneIn"
        | "historyMissingOneIn"
        | "historyDataCharacters"
        | "datapointsToAlarmOmitted" => alarms(behaviour).await,
        "deliveryAtMostMillis"
        | "deliveryTwiceOneIn"
        | "deliveryLostOneIn"
        | "queueShuffled"
        | "queueTwiceOneIn" => messages(behaviour).await,
        other => panic!("no flow shows what {other} does"),
    }
}

#[tokio::test]
async fn each_switch_makes_a_difference() {
    let all = serde_json::to_value(Behaviour::default()).unwrap();
    let all: BTreeSet<&String> = all.as_object().unwrap().keys().collect();
    let others = others();
    let others = others.as_object().unwrap();
    assert_eq!(
        all,
        others.keys().collect(),
        "a switch has no test, or a test no switch"
    );
    for (name, value) in others.iter().filter(|(name, _)| !of_clips(name)) {
        let usual = flow(name, Behaviour::default()).await;
        assert_eq!(
            usual,
            flow(name, Behaviour::default()).await,
            "{name}: the flow is not always the same"
        );
        assert_ne!(
            usual,
            flow(name, with(name, value)).await,
            "{name} changes nothing"
        );
    }
}

fn of_clips(name: &str) -> bool {
    name.starts_with("clip") || name == "keyDeniedError"
}

#[tokio::test]
async fn each_switch_of_clips_makes_a_difference() {
    let (clock, service) = start(Behaviour::default()).await;
    service.create_stream("cam", 24).await;
    let mut camera = service.options(&footage(), "cam", 1);
    let start = clock.now() - Duration::from_secs(3600);
    for hours in [0, 1800] {
        camera.start = Some(start + Duration::from_secs(hours));
        kvs_sim::camera::run(camera.clone(), std::future::pending())
            .await
            .unwrap();
    }
    clock.advance(Duration::from_secs(60));
    let usual = clip(&service, Behaviour::default()).await;
    assert_eq!(usual, clip(&service, Behaviour::default()).await);
    let others = others();
    for (name, value) in others
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| of_clips(name))
    {
        if name == "clipLimitOf" {
            // It says what the limit is on: where it lies between the two sizes, only one of them is cut.
            let limit = json!(whole(&service).await);
            let cut = with("clipLimitBytes", &limit);
            let patch = json!({ name: value }).to_string();
            let other = cut.patched(patch.as_bytes()).unwrap();
            assert_ne!(
                clip(&service, cut).await,
                clip(&service, other).await,
                "{name} changes nothing"
            );
            continue;
        }
        assert_ne!(
            usual,
            clip(&service, with(name, value)).await,
            "{name} changes nothing"
        );
    }
}

/// The smaller of the sizes of all fragments and of the whole clip.
async fn whole(service: &Service) -> u64 {
    let usual = clip(service, Behaviour::default()).await;
    let file: u64 = usual.split(' ').nth(1).unwrap().parse().unwrap();
    let range = json!({ "StartTimestamp": 0.0, "EndTimestamp": 4e9 });
    let selector = json!({ "FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": range });
    let asked = json!({ "StreamName": "cam", "FragmentSelector": selector });
    let listed = service.ok("/listFragments", asked).await;
    let sizes = listed["Fragments"].as_array().unwrap().iter();
    let fragments: u64 = sizes.map(|f| f["FragmentSizeInBytes"].as_u64().unwrap()).sum();
    assert_ne!(file, fragments);
    file.min(fragments)
}

async fn start(behaviour: Behaviour) -> (std::sync::Arc<Manual>, Service) {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |settings| settings.behaviour = behaviour).await;
    (clock, service)
}

async fn streams(behaviour: Behaviour) -> String {
    let (clock, service) = start(behaviour).await;
    let input = json!({ "StreamName": "cam", "Tags": { "a": "1", "b": "2" } });
    service.ok("/createStream", input).await;
    let named = json!({ "StreamName": "cam" });
    let at_once = service.post("/describeStream", named.clone()).await.0;
    clock.advance(Duration::from_secs(2));
    let tags = service.ok("/listTagsForStream", named.clone()).await["Tags"].clone();
    service
        .ok("/tagStream", json!({ "StreamName": "cam", "Tags": { "c": "3" } }))
        .await;
    let update = json!({ "StreamName": "cam", "NotificationConfiguration": null });
    let update = service.post("/updateNotificationConfiguration", update).await.0;
    format!("{at_once} {tags} {update}")
}

/// Six fragments of one frame each, the last of them marked as ended.
fn clusters(from: u64) -> Vec<u8> {
    let entry = [
        element(ids::TRACK_NUMBER, &[1]),
        element(ids::TRACK_TYPE, &[1]),
        element(ids::CODEC_ID, b"V_TEST"),
    ];
    let mut all = [
        element(ids::EBML, &[]),
        unknown_size(ids::SEGMENT),
        element(ids::TRACKS, &element(ids::TRACK_ENTRY, &entry.concat())),
    ]
    .concat();
    for number in 0..6u64 {
        let time = element(ids::TIMESTAMP, &(from + number * 4000).to_be_bytes());
        let block = element(ids::SIMPLE_BLOCK, &[0x81, 0, 0, 0x80, number as u8]);
        all.extend(element(ids::CLUSTER, &[time, block].concat()));
    }
    all.extend(tags::write(&[(tags::END_OF_FRAGMENT, "")]));
    all
}

fn put(service: &Service, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post("/putMedia")
        .header("host", &service.address)
        .header("x-amzn-stream-name", "cam")
        .header("x-amzn-fragment-timecode-type", "ABSOLUTE")
        .body(Full::from(body))
        .unwrap()
}

async fn fragments(behaviour: Behaviour) -> String {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |settings| {
        settings.behaviour = behaviour;
        settings.quotas = true;
    })
    .await;
    service.create_stream("cam", 24).await;
    // Each at a server time of its own, so that equal ones are seen.
    let (sender, receiver) =
        tokio::sync::mpsc::channel::<Result<hyper::body::Frame<Bytes>, std::io::Error>>(1);
    let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let request = put(&service, vec![]).map(|_| body);
    let feed = async {
        let mut sent = 0.0;
        for cluster in pieces(&clusters(1_700_000_000_000)) {
            sent += cluster.len() as f64;
            let frame = hyper::body::Frame::data(cluster.into());
            sender.send(Ok(frame)).await.unwrap();
            while service.metric("cam", "PutMedia.IncomingBytes") < sent {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_millis(10));
        }
        drop(sender);
    };
    let ((status, ..), ()) = tokio::join!(service.send(request), feed);
    assert_eq!(status, 200);
    let ledger = service.ledger("cam").await;
    let mut servers: Vec<i64> = ledger.iter().map(|e| e.server_timestamp_millis).collect();
    servers.dedup();
    let now = clock.now().as_second() as f64;
    let selector = |start: f64| {
        let range = json!({ "StartTimestamp": start, "EndTimestamp": now + 10.0 });
        json!({ "FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": range })
    };
    let asked = json!({ "StreamName": "cam", "FragmentSelector": selector(now - 1.0) });
    let listed = service.ok("/listFragments", asked).await["Fragments"]
        .as_array()
        .unwrap()
        .len();
    let asked = json!({ "StreamName": "cam", "FragmentSelector": selector(now - 7200.0) });
    let before = service.ok("/listFragments", asked).await["Fragments"]
        .as_array()
        .unwrap()
        .len();
    // Pages until the second's points are spent.
    clock.advance(Duration::from_secs(120));
    let asked = json!({ "StreamName": "cam", "FragmentSelector": selector(now - 1.0), "MaxResults": 1 });
    let token = service.ok("/listFragments", asked).await["NextToken"].clone();
    let mut pages = 0;
    for _ in 0..12 {
        let next = json!({ "StreamName": "cam", "NextToken": token, "MaxResults": 1000 });
        pages += usize::from(service.post("/listFragments", next).await.0 == 200);
    }
    let numbers: Vec<&String> = ledger.iter().map(|e| &e.fragment_number).collect();
    let media = json!({ "StreamName": "cam", "Fragments": numbers });
    let (_, _, body) = service.post("/getMediaForFragmentList", media).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    let mut places: Vec<(usize, usize)> = numbers
        .iter()
        .enumerate()
        .map(|(at, number)| (text.find(number.as_str()).unwrap(), at))
        .collect();
    places.sort_unstable();
    // The numbers begin with the time, so a shuffled order is another one each run: what counts is whether it is sorted.
    let sorted = places.is_sorted_by_key(|(_, at)| *at);
    let (side, end) = (
        text.contains("SIDE_TIMESTAMP"),
        text.contains(tags::END_OF_FRAGMENT),
    );
    let equal = servers.len() < ledger.len();
    format!("{equal} {listed} {before} {pages} {sorted} {side} {end}")
}

/// A document in pieces, each of which but the first ends with a cluster.
fn pieces(document: &[u8]) -> Vec<Vec<u8>> {
    let id = [0x1F, 0x43, 0xB6, 0x75];
    let starts = document
        .windows(4)
        .enumerate()
        .filter(|(_, four)| *four == id)
        .map(|(at, _)| at);
    let mut ends: Vec<usize> = starts.collect();
    ends.push(document.len());
    let mut from = 0;
    let mut pieces = vec![];
    for end in ends {
        pieces.push(document[from..end].to_vec());
        from = end;
    }
    pieces
}

async fn second_connection(behaviour: Behaviour) -> String {
    let (_, service) = start(behaviour).await;
    service.create_stream("cam", 24).await;
    let (sender, receiver) =
        tokio::sync::mpsc::channel::<Result<hyper::body::Frame<Bytes>, std::io::Error>>(1);
    let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
    // Its answer breaks off where another takes its place: only its head is awaited.
    let tcp = tokio::net::TcpStream::connect(&service.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut first, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let (_answer, ()) = tokio::join!(first.send_request(put(&service, vec![]).map(|_| body)), async {
        sender
            .send(Ok(hyper::body::Frame::data(clusters(1000).into())))
            .await
            .unwrap();
    });
    while service.metric("cam", "PutMedia.IncomingFragments") < 1.0 {
        tokio::task::yield_now().await;
    }
    let second = service.send(put(&service, clusters(1_700_000_000_000))).await.0;
    connection.abort();
    second.to_string()
}

async fn clip(service: &Service, behaviour: Behaviour) -> String {
    service.services.world.set_behaviour(behaviour);
    let now = service.services.world.clock.now().as_second() as f64;
    let range = json!({ "StartTimestamp": now - 7200.0, "EndTimestamp": now });
    let selector = json!({ "FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": range });
    let ask = json!({ "StreamName": "cam", "ClipFragmentSelector": selector });
    let (status, headers, body) = service.post("/getClip", ask.clone()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let rule = json!({ "operation": "GetClip", "times": 1, "fault": { "keyDenied": {} } });
    service.post("/_kvs-sim/faults", rule).await;
    let denied = service.error("/getClip", ask).await.1;
    service.services.world.faults.clear();
    use sha2::{Digest, Sha256};
    let length = headers.contains_key("content-length");
    format!(
        "{length} {} {} {denied}",
        body.len(),
        hex::encode(Sha256::digest(&body))
    )
}

async fn metrics(behaviour: Behaviour) -> String {
    let (clock, service) = start(behaviour).await;
    service.create_stream("cam", 24).await;
    service.services.kvs.tick().unwrap();
    service.send(put(&service, clusters(1_700_000_000_000))).await;
    let mut seen = vec![];
    for _ in 0..6 {
        clock.advance(Duration::from_secs(60));
        service.services.kvs.tick().unwrap();
        let name = "PutMedia.IncomingFragments";
        seen.push((service.metric("cam", name), service.datapoints("cam", name)));
    }
    format!("{seen:?}")
}

async fn call(service: &Service, target: &str, input: Value) -> Value {
    let request = Request::post("/")
        .header("host", &service.address)
        .header("x-amz-target", target);
    let (status, _, body) = service
        .send(request.body(Full::from(input.to_string())).unwrap())
        .await;
    assert_eq!(status, 200, "{target}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

async fn alarm(service: &Service) {
    let input = json!({
        "AlarmName": "a", "Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
    });
    call(service, "GraniteServiceVersion20100801.PutMetricAlarm", input).await;
}

async fn set(service: &Service, state: &str) {
    let input = json!({ "AlarmName": "a", "StateValue": state, "StateReason": "r" });
    call(service, "GraniteServiceVersion20100801.SetAlarmState", input).await;
}

async fn alarms(behaviour: Behaviour) -> String {
    let (_, service) = start(behaviour).await;
    alarm(&service).await;
    set(&service, "ALARM").await;
    let alarms = call(
        &service,
        "GraniteServiceVersion20100801.DescribeAlarms",
        json!({}),
    )
    .await;
    let ask = json!({ "HistoryItemType": "StateUpdate" });
    let history = call(
        &service,
        "GraniteServiceVersion20100801.DescribeAlarmHistory",
        ask,
    )
    .await;
    let lengths: Vec<usize> = history["AlarmHistoryItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["HistoryData"].as_str().unwrap().len())
        .collect();
    format!(
        "{:?} {lengths:?}",
        alarms["MetricAlarms"][0].get("DatapointsToAlarm")
    )
}

async fn messages(behaviour: Behaviour) -> String {
    let (_, service) = start(behaviour).await;
    call(&service, "AmazonSQS.CreateQueue", json!({ "QueueName": "q" })).await;
    let rule = json!({ "Name": "r", "EventPattern": "{\"detail\":{\"state\":{\"value\":[\"ALARM\"]}}}" });
    call(&service, "AWSEvents.PutRule", rule).await;
    let target = json!({ "Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q" });
    call(
        &service,
        "AWSEvents.PutTargets",
        json!({ "Rule": "r", "Targets": [target] }),
    )
    .await;
    alarm(&service).await;
    set(&service, "ALARM").await;
    for number in 0..40 {
        let message = json!({ "QueueUrl": "q", "MessageBody": format!("{number:02}") });
        call(&service, "AmazonSQS.SendMessage", message).await;
    }
    let mut bodies = vec![];
    for _ in 0..8 {
        let answer = call(
            &service,
            "AmazonSQS.ReceiveMessage",
            json!({ "QueueUrl": "q", "MaxNumberOfMessages": 10 }),
        )
        .await;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        bodies.extend(messages.iter().map(|m| m["Body"].as_str().unwrap().to_owned()));
    }
    let events = bodies.iter().filter(|body| body.starts_with('{')).count();
    bodies.retain(|body| !body.starts_with('{'));
    let sorted = bodies.is_sorted();
    format!("{events} {} {sorted}", bodies.len())
}

#[test]
fn the_hostile_profile_has_another_answer_to_almost_every_question() {
    let usual = serde_json::to_value(Behaviour::default()).unwrap();
    let hostile = serde_json::to_value(Behaviour::hostile()).unwrap();
    let same: Vec<&String> = usual
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, value)| hostile[name.as_str()] == **value)
        .map(|(name, _)| name)
        .collect();
    // AWS lists each change of state, and cuts data at this length; the usual answer about points is the worse one; denials are
    // waited out for minutes.
    let usual = [
        "historyDataCharacters",
        "historyMissingOneIn",
        "listingNextPagesCost",
        "tagConditionsLateMillis",
    ];
    assert_eq!(same, usual);
}
