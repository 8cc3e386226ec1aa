//! Faults on demand, and the answers to what AWS leaves open, as clients meet them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Manual, Service, footage, packets};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use kvs_sim::{behaviour::Behaviour, kvs::mkv::element};
use serde_json::{Value, json};
use tokio::net::TcpStream;

async fn own(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("/_kvs-sim/{path}"))
        .header("host", &service.address);
    let (status, _, body) = service
        .send(request.body(Full::<Bytes>::from(body)).unwrap())
        .await;
    (
        status,
        serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into()),
    )
}

async fn list(service: &Service, start: f64) -> Vec<Value> {
    let selector = json!({
        "FragmentSelectorType": "SERVER_TIMESTAMP",
        "TimestampRange": { "StartTimestamp": start, "EndTimestamp": 4_000_000_000u64 },
    });
    let mut fragments = vec![];
    let mut input = json!({ "StreamName": "cam", "FragmentSelector": selector });
    loop {
        let page = service.ok("/listFragments", input).await;
        fragments.extend(page["Fragments"].as_array().unwrap().clone());
        match page["NextToken"].as_str() {
            Some(token) => input = json!({ "StreamName": "cam", "NextToken": token }),
            None => return fragments,
        }
    }
}

/// The body of a request as far as it comes, and whether it ended as it should.
async fn read(service: &Service, path: &str, input: Value) -> (Vec<u8>, bool) {
    let tcp = TcpStream::connect(&service.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(path).header("host", &service.address);
    let request = request.body(Full::<Bytes>::from(input.to_string())).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let mut all = vec![];
    loop {
        match body.frame().await {
            Some(Ok(frame)) => all.extend(frame.into_data().unwrap()),
            Some(Err(_)) => return (all, false),
            None => return (all, true),
        }
    }
}

async fn with_footage() -> (Service, Vec<String>) {
    let service = Service::start().await;
    service.create_stream("cam", 24).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    let numbers = service
        .ledger("cam")
        .await
        .into_iter()
        .map(|e| e.fragment_number)
        .collect();
    (service, numbers)
}

#[tokio::test]
async fn errors_bodies_and_exceptions_on_demand() {
    let (service, numbers) = with_footage().await;
    let get = json!({ "StreamName": "cam", "Fragments": numbers });
    let whole = read(&service, "/getMediaForFragmentList", get.clone()).await;
    assert!(whole.1 && whole.0.len() > 10_000);

    let media = |fault: Value| json!({ "operation": "GetMediaForFragmentList", "stream": "cam", "times": 1, "fault": fault });
    let rules = json!([
        media(json!({ "error": { "code": "ClientLimitExceededException", "message": "slow" } })),
        media(json!({ "cut": { "bytes": 5000 } })),
        media(json!({ "truncate": { "bytes": 5000 } })),
        media(json!({ "inBand": { "code": 4500, "message": "no key", "fragment": numbers[1] } })),
    ]);
    assert_eq!(own(&service, "POST", "faults", rules).await.0, 200);

    let (status, code, message) = service.error("/getMediaForFragmentList", get.clone()).await;
    assert_eq!(
        (status, code.as_str(), message.as_str()),
        (400, "ClientLimitExceededException", "slow")
    );
    assert_eq!(
        read(&service, "/getMediaForFragmentList", get.clone()).await,
        (whole.0[..5000].to_vec(), false)
    );
    assert_eq!(
        read(&service, "/getMediaForFragmentList", get.clone()).await,
        (whole.0[..5000].to_vec(), true)
    );
    let (excepted, _) = read(&service, "/getMediaForFragmentList", get.clone()).await;
    let text = String::from_utf8_lossy(&excepted);
    assert!(text.contains("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE") && text.contains("no key"));
    assert!(excepted.len() < whole.0.len());
    assert_eq!(
        read(&service, "/getMediaForFragmentList", get).await,
        whole,
        "each struck once"
    );

    let (_, states) = own(&service, "GET", "faults", Value::Null).await;
    assert!(
        states.as_array().unwrap().iter().all(|s| s["struck"] == 1),
        "{states}"
    );
    assert_eq!(
        own(&service, "DELETE", "faults", Value::Null).await,
        (200, json!([]))
    );
    assert_eq!(
        own(&service, "POST", "faults", json!({ "fault": { "explode": {} } }))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_camera_gets_through_faults() {
    let service = Service::start().await;
    service.create_stream("cam", 24).await;
    let rules = json!([
        { "operation": "PutMedia", "times": 2, "fault": { "cut": { "bytes": 90_000 } } },
        { "operation": "PutMedia", "times": 1, "fault": { "error": { "code": "ConnectionLimitExceededException" } } },
    ]);
    own(&service, "POST", "faults", rules).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    let times: Vec<i64> = service
        .ledger("cam")
        .await
        .iter()
        .map(|e| e.producer_timestamp_millis)
        .collect();
    assert!(times.len() > 2);
    let (_, states) = own(&service, "GET", "faults", Value::Null).await;
    assert_eq!(
        (&states[0]["struck"], &states[1]["struck"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn an_answer_may_be_lost_after_the_deed() {
    let service = Service::start().await;
    let lost = json!({ "operation": "CreateStream", "times": 1, "fault": { "error": { "code": "InternalFailure", "status": 500, "performed": true } } });
    own(&service, "POST", "faults", lost).await;
    assert_eq!(
        service
            .error("/createStream", json!({ "StreamName": "cam" }))
            .await
            .0,
        500
    );
    assert_eq!(
        service
            .error("/createStream", json!({ "StreamName": "cam" }))
            .await
            .1,
        "ResourceInUseException"
    );
}

#[tokio::test]
async fn the_hostile_profile_gives_the_worst_answers_and_loses_nothing() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |s| s.behaviour = Behaviour::hostile()).await;
    let created = service.create_stream("cam", 24).await;
    assert!(created.ends_with(|c: char| c.is_ascii_digit()));
    let missing = service
        .error("/describeStream", json!({ "StreamName": "cam" }))
        .await;
    assert_eq!(
        missing.1, "ResourceNotFoundException",
        "a new stream is not found at once"
    );
    clock.advance(Duration::from_secs(3));
    service.put(&footage(), "cam", 3).await.unwrap();
    let ledger = service.ledger("cam").await;

    let start = service
        .ok("/describeStream", json!({ "StreamName": "cam" }))
        .await["StreamInfo"]["CreationTime"]
        .as_f64()
        .unwrap();
    let at_once = list(&service, start).await.len();
    assert!(
        at_once < ledger.len(),
        "listing comes late: {at_once} of {}",
        ledger.len()
    );
    assert_eq!(
        list(&service, start - 1.0).await,
        Vec::<Value>::new(),
        "before the stream was there, nothing"
    );
    clock.advance(Duration::from_secs(150));
    let listed = list(&service, start).await;
    assert_eq!(listed.len(), ledger.len());
    let mut servers: Vec<i64> = ledger.iter().map(|e| e.server_timestamp_millis).collect();
    servers.dedup();
    assert!(servers.len() < ledger.len(), "some have equal server times");

    let numbers: Vec<&String> = ledger.iter().map(|e| &e.fragment_number).collect();
    let (body, _) = read(
        &service,
        "/getMediaForFragmentList",
        json!({ "StreamName": "cam", "Fragments": numbers }),
    )
    .await;
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("AWS_KINESISVIDEO_PRODUCER_SIDE_TIMESTAMP"));
    assert!(text.contains("AWS_KINESISVIDEO_END_OF_FRAGMENT"));
    let mut sent: Vec<_> = documents(&body).iter().flat_map(|d| packets(d)).collect();
    let mut kept: Vec<_> = ledger
        .iter()
        .flat_map(|e| &e.packets)
        .map(|p| (p.track, p.timestamp_millis, p.sha256.clone()))
        .collect();
    assert_ne!(sent, kept, "in another order");
    sent.sort();
    kept.sort();
    assert_eq!(sent, kept);
}

/// A body of several documents, taken apart where an EBML header begins.
fn documents(body: &[u8]) -> Vec<Vec<u8>> {
    let head = element::unknown_size(0x1853_8067);
    let starts: Vec<usize> = (0..body.len() - 4)
        .filter(|at| body[*at..].starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) && body[*at..].len() > 60)
        .filter(|at| {
            body[*at..*at + 80.min(body.len() - at)]
                .windows(head.len())
                .any(|w| w == head)
        })
        .chain([body.len()])
        .collect();
    starts.windows(2).map(|w| body[w[0]..w[1]].to_vec()).collect()
}

#[tokio::test]
async fn metrics_may_come_late_and_idle_minutes_may_be_zero() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |s| s.behaviour = Behaviour::hostile()).await;
    service.create_stream("cam", 24).await;
    clock.advance(Duration::from_secs(3));
    service.services.kvs.tick().unwrap();
    service.put(&footage(), "cam", 1).await.unwrap();
    assert_eq!(service.metric("cam", "PutMedia.IncomingFragments"), 0.0);
    clock.advance(Duration::from_secs(300));
    service.services.kvs.tick().unwrap();
    assert_eq!(
        service.metric("cam", "PutMedia.IncomingFragments"),
        service.ledger("cam").await.len() as f64
    );
    clock.advance(Duration::from_secs(300));
    service.services.kvs.tick().unwrap();
    assert!(
        service.datapoints("cam", "PutMedia.IncomingFragments") >= 4,
        "idle minutes have data"
    );
}

#[tokio::test]
async fn an_alarm_on_metrics_that_come_late_goes_off_late_and_clears() {
    for early in [false, true] {
        let clock = Manual::new();
        let service = Service::start_with(clock.clone(), |s| {
            s.behaviour = Behaviour::hostile();
            s.early_evaluation = early;
        })
        .await;
        service.create_stream("cam", 24).await;
        clock.advance(Duration::from_secs(3));
        let call = async |operation: &str, input: Value| {
            let request = Request::post("/")
                .header("host", &service.address)
                .header(
                    "x-amz-target",
                    format!("GraniteServiceVersion20100801.{operation}"),
                )
                .body(Full::from(Bytes::from(input.to_string())))
                .unwrap();
            let (status, _, body) = service.send(request).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            serde_json::from_slice::<Value>(&body).unwrap_or_default()
        };
        let alarm = json!({
            "AlarmName": "a", "Namespace": "AWS/KinesisVideo", "MetricName": "PutMedia.IncomingFragments",
            "Dimensions": [{ "Name": "StreamName", "Value": "cam" }], "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": 1.0, "TreatMissingData": "notBreaching",
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        });
        call("PutMetricAlarm", alarm).await;
        service.put(&footage(), "cam", 1).await.unwrap();
        let mut seen: Vec<(u64, String)> = vec![];
        for seconds in (10..900).step_by(10) {
            clock.advance(Duration::from_secs(10));
            service.services.kvs.tick().unwrap();
            service.services.cloudwatch.evaluate().unwrap();
            let state = call("DescribeAlarms", json!({})).await["MetricAlarms"][0]["StateValue"].clone();
            let state = state.as_str().unwrap().to_owned();
            if seen.last().is_none_or(|last| last.1 != state) {
                seen.push((seconds, state));
            }
        }
        let alarm = seen.iter().position(|(_, state)| state == "ALARM");
        let alarm = alarm.unwrap_or_else(|| panic!("early {early}: {seen:?}"));
        assert!((240..=480).contains(&seen[alarm].0), "early {early}: {seen:?}");
        assert_eq!(
            seen[alarm + 1..].iter().map(|s| s.1.as_str()).collect::<Vec<_>>(),
            ["OK"],
            "early {early}"
        );
    }
}

#[tokio::test]
async fn behaviour_changes_while_it_runs() {
    let service = Service::start().await;
    let (_, before) = own(&service, "GET", "behaviour", Value::Null).await;
    assert_eq!(before["listingDefaultResults"], 100);
    let (status, after) = own(&service, "PATCH", "behaviour", json!({ "tagsPerPage": 1 })).await;
    assert_eq!((status, &after["tagsPerPage"]), (200, &json!(1)));
    assert_eq!(
        own(&service, "PATCH", "behaviour", json!({ "tagsPerPages": 1 }))
            .await
            .0,
        400
    );
    service.create_stream("cam", 0).await;
    service
        .ok(
            "/tagStream",
            json!({ "StreamName": "cam", "Tags": { "a": "1", "b": "2" } }),
        )
        .await;
    let first = service
        .ok("/listTagsForStream", json!({ "StreamName": "cam" }))
        .await;
    assert_eq!(first["Tags"], json!({ "a": "1" }));
    let second = json!({ "StreamName": "cam", "NextToken": first["NextToken"] });
    let second = service.ok("/listTagsForStream", second).await;
    assert_eq!(
        (&second["Tags"], &second["NextToken"]),
        (&json!({ "b": "2" }), &Value::Null)
    );
}

#[tokio::test]
async fn quotas_hold_where_they_are_on() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |s| s.quotas = true).await;
    service.create_stream("cam", 24).await;
    for _ in 0..5 {
        service
            .ok("/describeStream", json!({ "StreamName": "cam" }))
            .await;
    }
    let over = service
        .error("/describeStream", json!({ "StreamName": "cam" }))
        .await;
    assert_eq!((over.0, over.1.as_str()), (400, "ClientLimitExceededException"));
    clock.advance(Duration::from_secs(1));
    service
        .ok("/describeStream", json!({ "StreamName": "cam" }))
        .await;
}

#[tokio::test]
async fn a_listing_as_it_was_earlier_and_a_key_that_may_not_be_used() {
    let (service, numbers) = with_footage().await;
    let list = json!({ "StreamName": "cam", "FragmentSelector": { "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": { "StartTimestamp": 0.0, "EndTimestamp": 4e9 } } });
    let rules = json!([
        { "operation": "ListFragments", "times": 1, "fault": { "lag": { "millis": 3_600_000 } } },
        { "operation": "GetMediaForFragmentList", "times": 1, "fault": { "keyDenied": {} } },
        { "operation": "PutMedia", "times": 1, "fault": { "keyDenied": {} } },
    ]);
    assert_eq!(own(&service, "POST", "faults", rules).await.0, 200);
    assert_eq!(
        service.ok("/listFragments", list.clone()).await["Fragments"],
        json!([])
    );
    let all = service.ok("/listFragments", list).await;
    assert_eq!(all["Fragments"].as_array().unwrap().len(), numbers.len());
    let get = json!({ "StreamName": "cam", "Fragments": numbers });
    let (body, _) = read(&service, "/getMediaForFragmentList", get).await;
    let body = String::from_utf8_lossy(&body).into_owned();
    // The code as a tag's value: a fragment's number may have the same digits.
    let values = body.split("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE").skip(1);
    let denied = values.filter(|value| value.chars().take(12).collect::<String>().contains("4500"));
    assert_eq!(denied.count(), numbers.len());
    let before = service.ledger("cam").await.len();
    let refused = service.put(&footage(), "cam", 1).await;
    assert!(
        refused.is_err() || service.ledger("cam").await.len() > before,
        "refused, or sent again"
    );
    let wrong = json!({ "operation": "GetClip", "fault": { "lag": { "millis": 1 } } });
    assert_eq!(own(&service, "POST", "faults", wrong).await.0, 400);
}
