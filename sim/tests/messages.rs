//! What alarms tell: EventBridge to queues, SNS to queues, with faults and switches; and that queues, topics and rules survive a
//! restart.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Manual, Service};
use http_body_util::Full;
use hyper::Request;
use kvs_sim::{clock::Clock, metrics::Metric};
use serde_json::{Value, json};

const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:q";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

/// A call in AWS JSON.
async fn call(service: &Service, target: &str, input: Value) -> (u16, Value) {
    let request = Request::post("/")
        .header("host", &service.address)
        .header("x-amz-target", target)
        .body(Full::from(Bytes::from(input.to_string())))
        .unwrap();
    let (status, _, body) = service.send(request).await;
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn ok(service: &Service, target: &str, input: Value) -> Value {
    let (status, answer) = call(service, target, input).await;
    assert_eq!(status, 200, "{target}: {answer}");
    answer
}

/// A form, as the Query protocol has it.
async fn form(service: &Service, signed_for: &str, fields: &[(&str, &str)]) -> (u16, String) {
    form_to(service, "/", signed_for, fields).await
}

async fn form_to(service: &Service, path: &str, signed_for: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let scope = format!("AWS4-HMAC-SHA256 Credential=any/20261123/us-east-1/{signed_for}/aws4_request");
    let request = Request::post(path)
        .header("host", &service.address)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", scope)
        .body(Full::from(Bytes::from(
            serde_urlencoded::to_string(fields).unwrap(),
        )))
        .unwrap();
    let (status, _, body) = service.send(request).await;
    (status, String::from_utf8(body).unwrap())
}

/// A queue that gets the alarms' changes of state, by the sample's own rule.
async fn watched(service: &Service) {
    ok(service, "AmazonSQS.CreateQueue", json!({ "QueueName": "q" })).await;
    let pattern = json!({ "source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"] });
    let rule = json!({ "Name": "alarms", "EventPattern": pattern.to_string() });
    ok(service, "AWSEvents.PutRule", rule).await;
    let targets = json!({ "Rule": "alarms", "Targets": [{ "Id": "1", "Arn": QUEUE }] });
    assert_eq!(
        ok(service, "AWSEvents.PutTargets", targets).await["FailedEntryCount"],
        0
    );
}

async fn alarm(service: &Service, name: &str) {
    let input = json!({
        "AlarmName": name, "Namespace": "AWS/KinesisVideo", "MetricName": "PutMedia.IncomingFragments",
        "Dimensions": [{ "Name": "StreamName", "Value": "cam" }], "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore", "AlarmActions": [TOPIC],
    });
    ok(service, "GraniteServiceVersion20100801.PutMetricAlarm", input).await;
}

async fn set(service: &Service, name: &str, state: &str) {
    let input = json!({ "AlarmName": name, "StateValue": state, "StateReason": "by hand" });
    ok(service, "GraniteServiceVersion20100801.SetAlarmState", input).await;
}

/// What the alarm watches: fragments came in this minute.
fn footage(service: &Service, clock: &Manual) {
    let metric = Metric {
        region: "us-east-1".into(),
        namespace: "AWS/KinesisVideo".into(),
        name: "PutMedia.IncomingFragments".into(),
        dimensions: [("StreamName".to_owned(), "cam".to_owned())].into(),
    };
    service.services.world.metrics.add(metric, clock.now(), 3.0);
}

/// The bodies of what can be received now.
async fn received(service: &Service) -> Vec<Value> {
    let ask = json!({ "QueueUrl": "http://any/123456789012/q", "MaxNumberOfMessages": 10, "VisibilityTimeout": 43_200 });
    let answer = ok(service, "AmazonSQS.ReceiveMessage", ask).await;
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .map(|m| serde_json::from_str(m["Body"].as_str().unwrap()).unwrap())
        .collect()
}

async fn rules(service: &Service, rules: Value) -> u16 {
    let request = Request::post("/_kvs-sim/faults").header("host", &service.address);
    let body = Full::from(Bytes::from(rules.to_string()));
    service.send(request.body(body).unwrap()).await.0
}

#[tokio::test]
async fn an_alarm_s_change_of_state_reaches_a_queue_as_aws_writes_it() {
    let service = Service::start().await;
    watched(&service).await;
    alarm(&service, "porch").await;
    set(&service, "porch", "ALARM").await;
    set(&service, "porch", "ALARM").await;
    let events = received(&service).await;
    assert_eq!(events.len(), 1, "a state that stays is no change");
    let event = &events[0];
    for (field, expected) in [
        ("version", json!("0")),
        ("detail-type", json!("CloudWatch Alarm State Change")),
        ("source", json!("aws.cloudwatch")),
        ("account", json!("123456789012")),
        ("region", json!("us-east-1")),
        (
            "resources",
            json!(["arn:aws:cloudwatch:us-east-1:123456789012:alarm:porch"]),
        ),
    ] {
        assert_eq!(event[field], expected, "{field}");
    }
    assert!(event["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let detail = &event["detail"];
    assert_eq!(detail["alarmName"], "porch");
    assert_eq!(
        (&detail["state"]["value"], &detail["state"]["reason"]),
        (&json!("ALARM"), &json!("by hand"))
    );
    assert_eq!(
        (
            &detail["previousState"]["value"],
            &detail["previousState"]["reason"]
        ),
        (
            &json!("INSUFFICIENT_DATA"),
            &json!("Unchecked: Initial alarm creation")
        )
    );
    assert!(detail["previousState"].get("reasonData").is_none());
    assert_eq!(
        detail["configuration"]["metrics"][0]["metricStat"]["metric"],
        json!({ "dimensions": { "StreamName": "cam" }, "name": "PutMedia.IncomingFragments", "namespace": "AWS/KinesisVideo" })
    );
    // The first event after creation; its creation itself is another kind, for which there is no rule here.
    let pattern = json!({ "detail": { "operation": ["delete"] } });
    let rule = json!({ "Name": "alarms", "EventPattern": pattern.to_string() });
    ok(&service, "AWSEvents.PutRule", rule).await;
    let names = json!({ "AlarmNames": ["porch"] });
    ok(&service, "GraniteServiceVersion20100801.DeleteAlarms", names).await;
    let events = received(&service).await;
    assert_eq!(events[0]["detail-type"], "CloudWatch Alarm Configuration Change");
}

#[tokio::test]
async fn an_alarm_of_a_role_s_account_tells_that_account_s_bus_and_names_it() {
    let service = Service::start().await;
    ok(&service, "AmazonSQS.CreateQueue", json!({ "QueueName": "q" })).await;
    let role = "AWS4-HMAC-SHA256 Credential=ASIA210987654321ABCD/20261123/us-east-1/any/aws4_request";
    let there = async |target: &str, input: Value| {
        let request = Request::post("/")
            .header("host", &service.address)
            .header("authorization", role)
            .header("x-amz-target", target)
            .body(Full::from(Bytes::from(input.to_string())))
            .unwrap();
        let (status, _, body) = service.send(request).await;
        assert_eq!(status, 200, "{target}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap_or_default()
    };
    let pattern = json!({ "account": ["210987654321"], "region": ["us-east-1"] }).to_string();
    let rule = json!({ "Name": "alarms", "EventPattern": pattern });
    let arn = there("AWSEvents.PutRule", rule).await;
    assert_eq!(
        arn["RuleArn"],
        "arn:aws:events:us-east-1:210987654321:rule/alarms"
    );
    let targets = json!({ "Rule": "alarms", "Targets": [{ "Id": "q", "Arn": QUEUE }] });
    there("AWSEvents.PutTargets", targets).await;
    let alarm = json!({
        "AlarmName": "porch", "Namespace": "AWS/KinesisVideo", "MetricName": "PutMedia.IncomingFragments",
        "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    });
    there("GraniteServiceVersion20100801.PutMetricAlarm", alarm).await;
    let events = received(&service).await;
    assert_eq!(
        (&events[0]["account"], &events[0]["region"]),
        (&json!("210987654321"), &json!("us-east-1"))
    );
    // The other account's alarms are not told there.
    watched(&service).await;
    let state = json!({ "AlarmName": "porch", "StateValue": "ALARM", "StateReason": "by hand" });
    there("GraniteServiceVersion20100801.SetAlarmState", state).await;
    assert_eq!(received(&service).await.len(), 1);
}

#[tokio::test]
async fn operations_of_forms_and_of_s3_s_settings_are_counted_and_struck_by_name() {
    let service = Service::start().await;
    form(
        &service,
        "monitoring",
        &[("Action", "DescribeAlarms"), ("Version", "2010-08-01")],
    )
    .await;
    form(
        &service,
        "sqs",
        &[("Action", "ListQueues"), ("Version", "2012-11-05")],
    )
    .await;
    form(
        &service,
        "sts",
        &[("Action", "GetCallerIdentity"), ("Version", "2011-06-15")],
    )
    .await;
    let s3 = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", &service.address);
        service
            .send(request.body(Full::<Bytes>::default()).unwrap())
            .await
            .0
    };
    assert_eq!(s3("PUT", "/bucket").await, 200);
    assert_eq!(s3("GET", "/bucket?versioning").await, 200);
    assert_eq!(s3("GET", "/").await, 200);
    let calls = service.services.calls.all();
    for operation in [
        "DescribeAlarms",
        "ListQueues",
        "GetCallerIdentity",
        "CreateBucket",
        "GetBucketVersioning",
        "ListBuckets",
    ] {
        assert_eq!(
            calls.get(operation).map(|c| c.calls),
            Some(1),
            "{operation} in {calls:?}"
        );
    }
    let fault = json!([
        { "operation": "GetBucketVersioning", "fault": { "error": { "code": "SlowDown", "status": 503 } } },
        { "operation": "ListQueues", "fault": { "error": { "code": "Throttling", "status": 400 } } },
    ]);
    assert_eq!(rules(&service, fault).await, 200);
    assert_eq!(s3("GET", "/bucket?versioning").await, 503);
    assert_eq!(s3("HEAD", "/bucket").await, 200);
    assert_eq!(form(&service, "sqs", &[("Action", "ListQueues")]).await.0, 400);
    let absurd = json!({ "fault": { "delay": { "millis": u64::MAX } } });
    assert_eq!(rules(&service, absurd).await, 400);
}

#[tokio::test]
async fn an_evaluation_s_event_has_its_reason_data_as_text() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |_| ()).await;
    watched(&service).await;
    alarm(&service, "porch").await;
    footage(&service, &clock);
    clock.advance(Duration::from_secs(180));
    service.services.cloudwatch.evaluate().unwrap();
    let events = received(&service).await;
    let data = events[0]["detail"]["state"]["reasonData"].as_str().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&data["period"], &data["statistic"]), (&json!(60), &json!("Sum")));
    assert!(data["startDate"].as_str().unwrap().ends_with("+0000"));
}

#[tokio::test]
async fn rules_delay_repeat_and_drop_what_is_told_of_an_alarm() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |_| ()).await;
    watched(&service).await;
    for name in ["late", "twice", "never", "plain"] {
        alarm(&service, name).await;
    }
    let rule = |alarm: &str, operation: &str, fault: Value| json!({ "operation": operation, "alarm": alarm, "fault": fault });
    let late = json!({ "delay": { "millis": 90_000 } });
    let all = json!([
        rule("late", "AlarmEvent", late.clone()),
        rule("twice", "AlarmEvent", json!({ "twice": {} })),
        rule("never", "AlarmEvent", json!({ "missing": {} })),
        rule("late", "AlarmHistory", late),
        rule("twice", "AlarmHistory", json!({ "twice": {} })),
        rule("never", "AlarmHistory", json!({ "missing": {} })),
    ]);
    assert_eq!(rules(&service, all).await, 200);
    for name in ["late", "twice", "never", "plain"] {
        set(&service, name, "ALARM").await;
    }
    let names = |events: Vec<Value>| {
        let mut names: Vec<String> = events
            .iter()
            .map(|event| event["detail"]["alarmName"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let history = async || {
        let ask = json!({ "HistoryItemType": "StateUpdate" });
        let answer = ok(
            &service,
            "GraniteServiceVersion20100801.DescribeAlarmHistory",
            ask,
        )
        .await;
        let items = answer["AlarmHistoryItems"].as_array().unwrap().iter();
        let mut names: Vec<String> = items
            .map(|i| i["AlarmName"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(received(&service).await), ["plain", "twice", "twice"]);
    assert_eq!(history().await, ["plain", "twice", "twice"]);
    clock.advance(Duration::from_secs(91));
    assert_eq!(names(received(&service).await), ["late"]);
    assert_eq!(history().await, ["late", "plain", "twice", "twice"]);
    let wrong = json!({ "operation": "AlarmHistory", "fault": { "cut": { "bytes": 1 } } });
    assert_eq!(rules(&service, wrong).await, 400);
}

#[tokio::test]
async fn a_rule_keeps_an_evaluation_back() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |_| ()).await;
    alarm(&service, "porch").await;
    let rule = json!({ "operation": "AlarmEvaluation", "alarm": "porch", "times": 1, "fault": { "delay": { "millis": 120_000 } } });
    assert_eq!(rules(&service, rule).await, 200);
    let mut states = vec![];
    for _ in 0..6 {
        footage(&service, &clock);
        clock.advance(Duration::from_secs(60));
        service.services.cloudwatch.evaluate().unwrap();
        let answer = ok(
            &service,
            "GraniteServiceVersion20100801.DescribeAlarms",
            json!({}),
        )
        .await;
        states.push(
            answer["MetricAlarms"][0]["StateValue"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let first = states.iter().position(|state| state == "ALARM").unwrap();
    assert!(first >= 2, "{states:?}");
}

#[tokio::test]
async fn an_alarm_s_action_and_a_message_of_ours_reach_a_topic_s_queues() {
    let mut service = Service::start().await;
    ok(&service, "AmazonSQS.CreateQueue", json!({ "QueueName": "q" })).await;
    let (status, answer) = form(&service, "sns", &[("Action", "CreateTopic"), ("Name", "t")]).await;
    assert!(status == 200 && answer.contains(TOPIC), "{answer}");
    let subscribe = [
        ("Action", "Subscribe"),
        ("TopicArn", TOPIC),
        ("Protocol", "sqs"),
        ("Endpoint", QUEUE),
    ];
    assert_eq!(form(&service, "sns", &subscribe).await.0, 200);
    service.restart().await;
    alarm(&service, "porch").await;
    set(&service, "porch", "ALARM").await;
    set(&service, "porch", "OK").await;
    let documents = received(&service).await;
    assert_eq!(documents.len(), 1, "there is no action for OK");
    assert_eq!(
        documents[0]["Subject"],
        "ALARM: \"porch\" in US East (N. Virginia)"
    );
    let message: Value = serde_json::from_str(documents[0]["Message"].as_str().unwrap()).unwrap();
    assert_eq!(
        (
            &message["NewStateValue"],
            &message["OldStateValue"],
            &message["AlarmName"]
        ),
        (&json!("ALARM"), &json!("INSUFFICIENT_DATA"), &json!("porch"))
    );
    assert_eq!(
        message["Trigger"]["Dimensions"],
        json!([{ "value": "cam", "name": "StreamName" }])
    );
    assert_eq!(message["Trigger"]["Statistic"], "SUM");
    let ask = json!({ "HistoryItemType": "Action" });
    let history = ok(
        &service,
        "GraniteServiceVersion20100801.DescribeAlarmHistory",
        ask,
    )
    .await;
    let summary = format!("Successfully executed action {TOPIC}");
    assert_eq!(history["AlarmHistoryItems"][0]["HistorySummary"], summary);

    let publish = [
        ("Action", "Publish"),
        ("TopicArn", TOPIC),
        ("Message", "{\"lost\": 3}"),
        ("Subject", "loss"),
    ];
    assert_eq!(form(&service, "sns", &publish).await.0, 200);
    let documents = received(&service).await;
    assert_eq!(
        (&documents[0]["Message"], &documents[0]["Subject"]),
        (&json!("{\"lost\": 3}"), &json!("loss"))
    );
    let (status, answer) = form(
        &service,
        "sns",
        &[("Action", "Publish"), ("TopicArn", "arn:none"), ("Message", "m")],
    )
    .await;
    assert!(
        status == 404 && answer.contains("<Code>NotFound</Code>"),
        "{answer}"
    );
}

#[tokio::test]
async fn under_hostile_events_come_late_twice_shuffled_or_never() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |_| ()).await;
    watched(&service).await;
    alarm(&service, "porch").await;
    let hostile = kvs_sim::behaviour::Behaviour::hostile();
    service.services.world.set_behaviour(hostile.clone());
    for round in 0..24 {
        set(&service, "porch", ["ALARM", "OK"][round % 2]).await;
    }
    let at_once = received(&service).await.len();
    clock.advance(Duration::from_millis(hostile.delivery_at_most_millis as u64 + 1));
    let mut ids = vec![];
    loop {
        let events = received(&service).await;
        if events.is_empty() {
            break;
        }
        ids.extend(
            events
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        if ids.len() > 200 {
            break;
        }
    }
    assert!(at_once < 10, "most come later: {at_once}");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert!(ids.len() < all, "some come twice");
    assert!(ids.len() + at_once < 24, "some never come");
}

#[tokio::test]
async fn forms_are_answered_in_xml() {
    let service = Service::start().await;
    let form = async |path: &str, fields: &[(&str, &str)]| form_to(&service, path, "sqs", fields).await;
    let (status, answer) = form(
        "/",
        &[
            ("Action", "CreateQueue"),
            ("QueueName", "q"),
            ("Attribute.1.Name", "DelaySeconds"),
            ("Attribute.1.Value", "0"),
        ],
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.contains("<CreateQueueResult><QueueUrl>http://"),
        "{answer}"
    );
    let queue = "/123456789012/q";
    let send = [
        ("Action", "SendMessageBatch"),
        ("SendMessageBatchRequestEntry.1.Id", "a"),
        ("SendMessageBatchRequestEntry.1.MessageBody", "hello"),
        ("SendMessageBatchRequestEntry.1.MessageAttribute.1.Name", "n"),
        (
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType",
            "String",
        ),
        (
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue",
            "v",
        ),
    ];
    let (status, answer) = form(queue, &send).await;
    assert!(
        status == 200 && answer.contains("<SendMessageBatchResultEntry><Id>a</Id>"),
        "{answer}"
    );
    let receive = [
        ("Action", "ReceiveMessage"),
        ("AttributeName.1", "All"),
        ("MessageAttributeName.1", "All"),
    ];
    let (status, answer) = form(queue, &receive).await;
    assert_eq!(status, 200);
    for part in [
        "<ReceiveMessageResult><Message><MessageId>",
        "<Body>hello</Body>",
        "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>",
        "<MessageAttribute><Name>n</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></MessageAttribute>",
    ] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
    let ask = [
        ("Action", "GetQueueAttributes"),
        ("AttributeName.1", "DelaySeconds"),
    ];
    let (_, answer) = form(queue, &ask).await;
    assert!(
        answer.contains("<Attribute><Name>DelaySeconds</Name><Value>0</Value></Attribute>"),
        "{answer}"
    );
    let (status, answer) = form("/123456789012/none", &receive).await;
    assert_eq!(status, 400);
    assert!(
        answer.contains("<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"),
        "{answer}"
    );
}
