//! Bad input gets AWS's error, never a crash, a hang or a 500: real requests and real footage, with mutations. The same cases
//! each time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on ends here"
)]

mod common;

use std::{sync::Arc, time::Duration};

use axum::http::Request;
use common::Manual;
use http_body_util::BodyExt;
use kvs_sim::{
    events::pattern::Pattern,
    http::{Body, Response},
    kvs::mkv::{
        element::{element, unknown_size},
        ids,
        reader::Reader,
    },
    serve::Services,
    world::{Settings, World},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};
use serde_json::{Value, json};

fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(20_261_123),
        failure_persistence: None,
        ..Config::default()
    }
}

/// What is done to bytes. Positions are shares of the length, so that one strategy fits all.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(f64, u8),
    Set(f64, u8),
    Cut(f64),
    Drop(f64, usize),
    Repeat(f64, usize),
    Insert(f64, Vec<u8>),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || 0.0..1.0f64;
    let special = prop::sample::select(vec![
        b"\"".to_vec(),
        b"{".to_vec(),
        b"[[[[".to_vec(),
        b"]".to_vec(),
        b"<".to_vec(),
        b"</".to_vec(),
        b"&x;".to_vec(),
        b"<!DOCTYPE a [<!ENTITY b \"c\">]>".to_vec(),
        b"-1".to_vec(),
        b"999999999999999999999".to_vec(),
        b"1e308".to_vec(),
        b"null".to_vec(),
        b"%00%ff".to_vec(),
        b"\xff\xfe".to_vec(),
        b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        vec![0; 9],
    ]);
    prop_oneof![
        (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        at().prop_map(Mutation::Cut),
        (at(), 1..40usize).prop_map(|(at, len)| Mutation::Drop(at, len)),
        (at(), 1..40usize).prop_map(|(at, len)| Mutation::Repeat(at, len)),
        (at(), special).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
    ]
}

fn mutated(bytes: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for mutation in mutations {
        let place = |at: &f64| ((bytes.len() as f64 * at) as usize).min(bytes.len());
        match mutation {
            Mutation::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Mutation::Set(at, value) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
            Mutation::Cut(at) => bytes.truncate(place(at)),
            Mutation::Drop(at, len) => {
                let at = place(at);
                bytes.drain(at..(at + len).min(bytes.len()));
            }
            Mutation::Repeat(at, len) => {
                let at = place(at);
                let again = bytes[at..(at + len).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Mutation::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.clone());
            }
        }
    }
    bytes
}

/// Values that no client sends on purpose.
fn odd() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e18),
        json!(-1e300),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(253_402_207_200.999),
        json!(-377_705_023_201.0),
        json!(""),
        json!("\u{0}"),
        json!("ä\u{1F600}\u{FFFD}"),
        json!("x".repeat(5000)),
        json!("arn:aws:"),
        json!("arn:aws:sqs:::::"),
        json!("9999-12-31T23:59:59Z"),
        json!([]),
        json!({}),
        json!([[], {}]),
        json!({ "Name": [1], "": null }),
        deep,
    ]
}

/// Puts a value in one place of a JSON document, which a number chooses.
fn replaced(document: &mut Value, place: &mut usize, new: &Value) -> bool {
    if *place == 0 {
        *document = new.clone();
        return true;
    }
    *place -= 1;
    match document {
        Value::Object(fields) => fields.values_mut().any(|v| replaced(v, place, new)),
        Value::Array(items) => items.iter_mut().any(|v| replaced(v, place, new)),
        _ => false,
    }
}

struct Sim {
    runtime: tokio::runtime::Runtime,
    services: Arc<Services>,
}

impl Sim {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let settings = Settings {
            transition: Duration::ZERO,
            ..Settings::default()
        };
        let services = Services::open(World::new(Manual::new(), settings)).unwrap();
        Self { runtime, services }
    }

    /// The answer's head, and of errors and short answers the body.
    fn ask(&self, request: Request<Body>) -> (Response, Vec<u8>) {
        self.runtime.block_on(async {
            let asking = async {
                let response = self.services.answer(request).await;
                let endless = response.status().is_success()
                    && response
                        .headers()
                        .get("content-type")
                        .is_some_and(|kind| kind == "video/webm");
                let (head, body) = response.into_parts();
                if endless {
                    return (Response::from_parts(head, Body::empty()), vec![]);
                }
                let body = body.collect().await.map(|body| body.to_bytes().to_vec());
                (
                    Response::from_parts(head, Body::empty()),
                    body.unwrap_or_default(),
                )
            };
            tokio::time::timeout(Duration::from_secs(60), asking)
                .await
                .expect("it hangs")
        })
    }

    /// An answer that AWS could give: no failure of the service, and errors in the service's form.
    fn check(&self, request: Request<Body>) -> Result<(), TestCaseError> {
        let (response, body) = self.ask(request);
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(&body);
        prop_assert!(status < 500, "{} {}", status, text);
        if status < 400 || body.is_empty() {
            return Ok(());
        }
        let kind = response
            .headers()
            .get("content-type")
            .map(|v| v.to_str().unwrap().to_owned());
        let shaped = match kind.as_deref() {
            Some("application/cbor") => {
                let tree: ciborium::Value = ciborium::from_reader(body.as_slice()).unwrap();
                tree.as_map()
                    .is_some_and(|m| m.iter().any(|(name, _)| name.as_text() == Some("__type")))
            }
            Some("application/json") => {
                response.headers().contains_key("x-amzn-errortype")
                    && serde_json::from_slice::<Value>(&body).is_ok_and(|v| v["Message"].is_string())
            }
            Some(kind) if kind.starts_with("application/x-amz-json") => {
                serde_json::from_slice::<Value>(&body).is_ok_and(|v| v["__type"].is_string())
            }
            _ => text.contains("<Code>") && text.contains("<Message>"),
        };
        prop_assert!(shaped, "{status} {kind:?} {text}");
        Ok(())
    }
}

/// A request: method, URI, headers, body.
type Seed = (&'static str, &'static str, Vec<(&'static str, String)>, Vec<u8>);

fn target(target: &str, input: &Value) -> Seed {
    let headers = vec![
        ("x-amz-target", target.to_owned()),
        ("content-type", "application/x-amz-json-1.0".to_owned()),
    ];
    ("POST", "/", headers, input.to_string().into())
}

fn request((method, uri, headers, _): &Seed, body: Vec<u8>) -> Request<Body> {
    let mut request = Request::builder()
        .method(*method)
        .uri(*uri)
        .header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    // As a server that reads the wire sees it; only PutMedia comes without.
    if *uri != "/putMedia" {
        request = request.header("content-length", body.len());
    }
    request.body(Body::from(body)).unwrap()
}

fn alarm() -> Value {
    json!({
        "AlarmName": "a", "Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 2,
        "DatapointsToAlarm": 1, "Threshold": 1.5, "ComparisonOperator": "GreaterThanThreshold", "ActionsEnabled": true,
        "Dimensions": [{ "Name": "StreamName", "Value": "cam" }], "Tags": [{ "Key": "k", "Value": "v" }],
    })
}

/// Requests with JSON bodies, of all services that have them.
fn in_json() -> Vec<Seed> {
    let kvs = |path: &'static str, input: Value| -> Seed { ("POST", path, vec![], input.to_string().into()) };
    let cw =
        |operation: &str, input: Value| target(&format!("GraniteServiceVersion20100801.{operation}"), &input);
    let sqs = |operation: &str, input: Value| target(&format!("AmazonSQS.{operation}"), &input);
    let events = |operation: &str, input: Value| target(&format!("AWSEvents.{operation}"), &input);
    let range = json!({ "StartTimestamp": 1_600_000_000.0, "EndTimestamp": 1_700_000_100.5 });
    let selector = json!({ "FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": range });
    let number = "91343852333185057105875891022195998207386831087";
    let queue = "http://localhost/123456789012/q";
    let query = json!({ "Id": "m", "MetricStat": { "Metric": { "Namespace": "n", "MetricName": "m" }, "Period": 60, "Stat": "Sum" } });
    let event = json!({ "id": "1", "account": "1", "source": "s", "time": "t", "region": "r", "resources": [], "detail-type": "d" });
    vec![
        kvs(
            "/createStream",
            json!({ "StreamName": "new", "DataRetentionInHours": 1, "MediaType": "video/h264", "Tags": { "a": "b" } }),
        ),
        kvs("/describeStream", json!({ "StreamName": "cam" })),
        kvs(
            "/listStreams",
            json!({ "MaxResults": 5, "StreamNameCondition": { "ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "c" } }),
        ),
        kvs(
            "/updateDataRetention",
            json!({ "StreamName": "cam", "CurrentVersion": "x", "Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 1 }),
        ),
        kvs("/tagStream", json!({ "StreamName": "cam", "Tags": { "a": "b" } })),
        kvs(
            "/TagResource",
            json!({ "ResourceARN": "arn:aws:kinesisvideo:us-east-1:123456789012:stream/cam/1", "Tags": [{ "Key": "a", "Value": "b" }] }),
        ),
        kvs(
            "/updateImageGenerationConfiguration",
            json!({ "StreamName": "cam", "ImageGenerationConfiguration": { "Status": "ENABLED", "ImageSelectorType": "SERVER_TIMESTAMP", "SamplingInterval": 200, "Format": "JPEG", "DestinationConfig": { "Uri": "s3://b", "DestinationRegion": "us-east-1" } } }),
        ),
        kvs(
            "/getDataEndpoint",
            json!({ "StreamName": "cam", "APIName": "GET_CLIP" }),
        ),
        kvs(
            "/listFragments",
            json!({ "StreamName": "cam", "MaxResults": 10, "FragmentSelector": selector, "NextToken": null }),
        ),
        kvs(
            "/getClip",
            json!({ "StreamName": "cam", "ClipFragmentSelector": selector }),
        ),
        kvs(
            "/getMedia",
            json!({ "StreamName": "cam", "StartSelector": { "StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": 1_700_000_000.0 } }),
        ),
        kvs(
            "/getMediaForFragmentList",
            json!({ "StreamName": "cam", "Fragments": [number] }),
        ),
        cw("PutMetricAlarm", alarm()),
        cw(
            "PutMetricAlarm",
            json!({ "AlarmName": "b", "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold", "Metrics": [query, { "Id": "e", "Expression": "IF(m > 1, m / 2, FILL(m, 0))", "ReturnData": true }] }),
        ),
        cw(
            "PutCompositeAlarm",
            json!({ "AlarmName": "c", "AlarmRule": "ALARM(\"a\") AND NOT (OK(a) OR TRUE)" }),
        ),
        cw(
            "DescribeAlarms",
            json!({ "AlarmNames": ["a"], "MaxRecords": 5, "StateValue": "OK", "AlarmTypes": ["MetricAlarm"] }),
        ),
        cw(
            "DescribeAlarmHistory",
            json!({ "AlarmName": "a", "StartDate": 1_700_000_000, "EndDate": 2_800_000_000u64, "MaxRecords": 3, "ScanBy": "TimestampAscending" }),
        ),
        cw(
            "SetAlarmState",
            json!({ "AlarmName": "a", "StateValue": "ALARM", "StateReason": "r", "StateReasonData": "{\"a\": 1}" }),
        ),
        cw(
            "PutMetricData",
            json!({ "Namespace": "n", "MetricData": [{ "MetricName": "m", "Value": 1.0, "Timestamp": 1_700_000_000, "Values": [1.0, 2.0], "Counts": [1.0, 1.0] }] }),
        ),
        cw(
            "GetMetricData",
            json!({ "StartTime": 1_700_000_000, "EndTime": 1_700_003_600, "MetricDataQueries": [query] }),
        ),
        cw(
            "GetMetricStatistics",
            json!({ "Namespace": "n", "MetricName": "m", "StartTime": 1_700_000_000, "EndTime": 1_700_003_600, "Period": 60, "Statistics": ["Sum"], "ExtendedStatistics": ["p99.9"] }),
        ),
        cw(
            "ListMetrics",
            json!({ "Namespace": "n", "Dimensions": [{ "Name": "d" }] }),
        ),
        cw(
            "TagResource",
            json!({ "ResourceARN": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a", "Tags": [{ "Key": "a", "Value": "b" }] }),
        ),
        sqs(
            "CreateQueue",
            json!({ "QueueName": "q", "Attributes": { "VisibilityTimeout": "5", "RedrivePolicy": "{}" }, "tags": { "a": "b" } }),
        ),
        sqs(
            "GetQueueAttributes",
            json!({ "QueueUrl": queue, "AttributeNames": ["All"] }),
        ),
        sqs(
            "SendMessage",
            json!({ "QueueUrl": queue, "MessageBody": "b", "DelaySeconds": 1, "MessageAttributes": { "n": { "DataType": "Binary", "BinaryValue": "AAA=" } } }),
        ),
        sqs(
            "SendMessageBatch",
            json!({ "QueueUrl": queue, "Entries": [{ "Id": "a", "MessageBody": "b" }] }),
        ),
        sqs(
            "ReceiveMessage",
            json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "AttributeNames": ["All"] }),
        ),
        sqs(
            "DeleteMessage",
            json!({ "QueueUrl": queue, "ReceiptHandle": "cS8wLzE" }),
        ),
        sqs(
            "ChangeMessageVisibility",
            json!({ "QueueUrl": queue, "ReceiptHandle": "cS8wLzE", "VisibilityTimeout": 1 }),
        ),
        events(
            "PutRule",
            json!({ "Name": "r", "EventPattern": "{\"source\": [\"s\"]}", "State": "ENABLED", "Tags": [{ "Key": "a", "Value": "b" }] }),
        ),
        events(
            "PutTargets",
            json!({ "Rule": "r", "Targets": [{ "Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q", "InputPath": "$.detail" }] }),
        ),
        events(
            "PutEvents",
            json!({ "Entries": [{ "Source": "s", "DetailType": "d", "Detail": "{\"a\": 1}", "Time": 1_700_000_000 }] }),
        ),
        events(
            "TestEventPattern",
            json!({ "EventPattern": "{\"source\": [{\"prefix\": \"s\"}]}", "Event": event.to_string() }),
        ),
        events(
            "ListRules",
            json!({ "NamePrefix": "r", "Limit": 5, "NextToken": "cg" }),
        ),
    ]
}

fn in_forms() -> Vec<Seed> {
    let form = |service: &str, body: &str| -> Seed {
        let scope = format!("AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/{service}/aws4_request");
        let kind = "application/x-www-form-urlencoded".to_owned();
        (
            "POST",
            "/",
            vec![("authorization", scope), ("content-type", kind)],
            body.into(),
        )
    };
    vec![
        form(
            "monitoring",
            "Action=PutMetricAlarm&Version=2010-08-01&AlarmName=f&Namespace=n&MetricName=m&Statistic=Sum&Period=60&EvaluationPeriods=1&Threshold=1&ComparisonOperator=GreaterThanThreshold&Dimensions.member.1.Name=a&Dimensions.member.1.Value=b",
        ),
        form(
            "monitoring",
            "Action=DescribeAlarms&AlarmNames.member.1=a&MaxRecords=5",
        ),
        form(
            "monitoring",
            "Action=DescribeAlarmHistory&StartDate=2026-01-01T00%3A00%3A00Z&EndDate=9999-12-31T23%3A59%3A59Z",
        ),
        form(
            "sqs",
            "Action=CreateQueue&QueueName=q&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=5",
        ),
        form(
            "sqs",
            "Action=SendMessageBatch&QueueUrl=http%3A%2F%2Fl%2F123456789012%2Fq&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=b",
        ),
        form(
            "sqs",
            "Action=ReceiveMessage&QueueUrl=%2Fq&AttributeName.1=All&MessageAttributeName.1=All",
        ),
        form(
            "sns",
            "Action=CreateTopic&Name=t&Attributes.entry.1.key=DisplayName&Attributes.entry.1.value=d&Tags.member.1.Key=a&Tags.member.1.Value=b",
        ),
        form(
            "sns",
            "Action=Publish&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3At&Message=m&MessageAttributes.entry.1.Name=n&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=v",
        ),
        form(
            "sns",
            "Action=Subscribe&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3At&Protocol=sqs&Endpoint=arn%3Aaws%3Asqs%3Aus-east-1%3A123456789012%3Aq",
        ),
    ]
}

fn in_cbor() -> Vec<Seed> {
    let call = |uri: &'static str, input: Value| -> Seed {
        let mut body = vec![];
        ciborium::into_writer(&input, &mut body).unwrap();
        (
            "POST",
            uri,
            vec![("content-type", "application/cbor".to_owned())],
            body,
        )
    };
    vec![
        call(
            "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm",
            alarm(),
        ),
        call(
            "/service/GraniteServiceVersion20100801/operation/DescribeAlarms",
            json!({ "AlarmNames": ["a"], "MaxRecords": 5 }),
        ),
        call(
            "/service/GraniteServiceVersion20100801/operation/DescribeAlarmHistory",
            json!({ "StartDate": 1_700_000_000.5, "MaxRecords": 5 }),
        ),
        call(
            "/service/GraniteServiceVersion20100801/operation/PutMetricData",
            json!({ "Namespace": "n", "MetricData": [{ "MetricName": "m", "Value": 1.0 }] }),
        ),
    ]
}

fn in_xml() -> Vec<Seed> {
    let put = |uri: &'static str, body: &str| -> Seed { ("PUT", uri, vec![], body.into()) };
    let post = |uri: &'static str, body: &str| -> Seed { ("POST", uri, vec![], body.into()) };
    vec![
        put(
            "/bucket",
            "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>",
        ),
        post(
            "/bucket?delete",
            "<Delete><Quiet>true</Quiet><Object><Key>a</Key><VersionId>null</VersionId></Object><Object><Key>b</Key></Object></Delete>",
        ),
        post(
            "/bucket/key?uploadId=x",
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>",
        ),
        put(
            "/bucket?lifecycle",
            "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Expiration><Days>3</Days></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
        ),
        put(
            "/bucket?versioning",
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        ),
        put(
            "/bucket?encryption",
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>",
        ),
        put(
            "/bucket?publicAccessBlock",
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
        ),
        put(
            "/bucket?ownershipControls",
            "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
        ),
        put(
            "/bucket?tagging",
            "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
        ),
        put(
            "/bucket?object-lock",
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
        ),
        put(
            "/bucket?policy",
            "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Deny\", \"Principal\": \"*\", \"Action\": \"s3:*\", \"Resource\": \"*\"}]}",
        ),
        put(
            "/bucket/key?retention",
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2027-01-01T00:00:00Z</RetainUntilDate></Retention>",
        ),
        put(
            "/bucket/key?legal-hold",
            "<LegalHold><Status>ON</Status></LegalHold>",
        ),
        put(
            "/bucket/key?tagging",
            "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
        ),
        (
            "PUT",
            "/bucket/key",
            vec![
                ("content-encoding", "aws-chunked".to_owned()),
                (
                    "x-amz-content-sha256",
                    "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
                ),
                ("x-amz-decoded-content-length", "5".to_owned()),
                ("x-amz-trailer", "x-amz-checksum-crc32".to_owned()),
            ],
            b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n".to_vec(),
        ),
    ]
}

/// What requests are about.
fn prepared() -> Sim {
    let sim = Sim::new();
    let stream = json!({ "StreamName": "cam", "DataRetentionInHours": 24 });
    let stream = ("POST", "/createStream", vec![], stream.to_string().into());
    let queue = target("AmazonSQS.CreateQueue", &json!({ "QueueName": "q" }));
    let alarm = target("GraniteServiceVersion20100801.PutMetricAlarm", &alarm());
    let state = json!({ "AlarmName": "a", "StateValue": "ALARM", "StateReason": "r" });
    let state = target("GraniteServiceVersion20100801.SetAlarmState", &state);
    let rule = target(
        "AWSEvents.PutRule",
        &json!({ "Name": "r", "EventPattern": "{\"source\":[\"aws.cloudwatch\"]}" }),
    );
    let message = target(
        "AmazonSQS.SendMessage",
        &json!({ "QueueUrl": "q", "MessageBody": "b" }),
    );
    let topic = in_forms().swap_remove(6);
    let headers = vec![
        ("x-amzn-stream-name", "cam".to_owned()),
        ("x-amzn-fragment-timecode-type", "ABSOLUTE".to_owned()),
    ];
    let footage = ("POST", "/putMedia", headers, small());
    let object = ("PUT", "/bucket/key", vec![], b"hello".to_vec());
    let bucket = ("PUT", "/bucket", vec![], vec![]);
    for seed in [
        stream, queue, alarm, state, rule, message, topic, footage, bucket, object,
    ] {
        let (response, answer) = sim.ask(request(&seed, seed.3.clone()));
        assert!(
            response.status().is_success(),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    sim
}

fn bytes_mutated(seeds: Vec<Seed>, cases: u32) {
    let sim = prepared();
    let case = (prop::sample::select(seeds), vec(mutation(), 1..5));
    let mut runner = proptest::test_runner::TestRunner::new(config(cases));
    let test =
        |(seed, mutations): (Seed, Vec<Mutation>)| sim.check(request(&seed, mutated(&seed.3, &mutations)));
    runner.run(&case, test).unwrap();
}

/// Each odd value in each place of each request.
#[test]
fn json_with_odd_values() {
    let sim = prepared();
    for seed in in_json() {
        let document: Value = serde_json::from_slice(&seed.3).unwrap();
        for odd in odd() {
            for place in 0.. {
                let mut document = document.clone();
                if !replaced(&mut document, &mut { place }, &odd) {
                    break;
                }
                let text = document.to_string();
                let checked = sim.check(request(&seed, text.clone().into()));
                checked.unwrap_or_else(|error| panic!("{} {text}: {error}", seed.1));
            }
        }
    }
}

#[test]
fn json_with_other_bytes() {
    bytes_mutated(in_json(), 2000);
}

#[test]
fn forms_with_other_bytes() {
    bytes_mutated(in_forms(), 1500);
}

#[test]
fn cbor_with_other_bytes() {
    bytes_mutated(in_cbor(), 2000);
}

#[test]
fn xml_and_chunks_with_other_bytes() {
    bytes_mutated(in_xml(), 2500);
}

#[test]
fn each_request_is_answered_as_it_is() {
    let sim = prepared();
    for seed in [in_json(), in_forms(), in_cbor(), in_xml()].concat() {
        sim.check(request(&seed, seed.3.clone())).unwrap();
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn event_patterns(mutations in vec(mutation(), 0..4), which in 0..4usize, odd in prop::sample::select(odd())) {
        let seeds = [
            r#"{"source":["aws.cloudwatch"],"detail":{"state":{"value":[{"anything-but":{"prefix":"O"}}]}}}"#,
            r#"{"$or":[{"a":[{"numeric":[">",0,"<=",5]}]},{"b":[{"wildcard":"a*b\\**c"}]}],"c":[{"exists":false}]}"#,
            r#"{"ip":[{"cidr":"10.0.0.0/8"},{"cidr":"::/64"}],"x":[{"prefix":{"equals-ignore-case":"A"}},null,true,3]}"#,
            r#"{"a":[{"suffix":"x"},{"equals-ignore-case":"Y"},{"anything-but":["p","q"]}]}"#,
        ];
        let text = mutated(seeds[which].as_bytes(), &mutations);
        if let Ok(pattern) = Pattern::parse(&String::from_utf8_lossy(&text)) {
            pattern.matches(&odd);
            pattern.matches(&json!({ "source": odd, "a": [odd, 1, "axb*yc"], "b": "a".repeat(2000), "x": { "y": odd } }));
        }
    }
}

/// Footage as clients send it: a header and Clusters that one of its frames fills.
fn footage() -> Vec<u8> {
    let file = std::fs::read(common::footage()).unwrap();
    let mut reader = Reader::default();
    reader.push(&file, jiff::Timestamp::UNIX_EPOCH);
    let (mut all, mut clusters) = (vec![], 0);
    while let Ok(Some(event)) = reader.read() {
        use kvs_sim::kvs::mkv::reader::Event;
        let raw = match event {
            Event::Header { raw, .. } => raw,
            Event::Cluster { raw, .. } => {
                clusters += 1;
                raw
            }
            Event::Block { raw, .. }
            | Event::Timestamp { raw, .. }
            | Event::Tags { raw, .. }
            | Event::Other { raw } => raw,
        };
        all.extend_from_slice(&raw);
        if clusters == 2 || all.len() > 150_000 {
            break;
        }
    }
    assert!(clusters > 0 && all.len() > 1000);
    all
}

/// A small document in which every mutation hits something.
fn small() -> Vec<u8> {
    let entry = [
        element(ids::TRACK_NUMBER, &[1]),
        element(ids::TRACK_TYPE, &[1]),
        element(ids::CODEC_ID, b"V_TEST"),
    ];
    let cluster = |timecode: u64| {
        let lace = element(ids::SIMPLE_BLOCK, &[0x81, 0, 1, 0x82, 1, 2, 9, 9, 9, 9, 9]);
        let block = element(ids::SIMPLE_BLOCK, &[0x81, 0, 9, 0x80, 1, 2, 3]);
        element(
            ids::CLUSTER,
            &[element(ids::TIMESTAMP, &timecode.to_be_bytes()), block, lace].concat(),
        )
    };
    [
        element(ids::EBML, &[]),
        unknown_size(ids::SEGMENT),
        element(ids::TRACKS, &element(ids::TRACK_ENTRY, &entry.concat())),
        cluster(1_700_000_000_000),
        cluster(1_700_000_002_000),
    ]
    .concat()
}

/// What the reader makes of bytes that come in pieces of some size.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, bool) {
    let mut reader = Reader::default();
    let mut events = vec![];
    for piece in bytes.chunks(piece) {
        reader.push(piece, jiff::Timestamp::UNIX_EPOCH);
        loop {
            match reader.read() {
                Ok(Some(event)) => events.push(format!("{event:?}")),
                Ok(None) => break,
                Err(_) => return (events, true),
            }
        }
    }
    (events, false)
}

#[test]
fn matroska_in_any_pieces() {
    let seeds = vec![Arc::new(small()), Arc::new(footage())];
    let case = (prop::sample::select(seeds), vec(mutation(), 0..6), 1..5000usize);
    let mut runner = proptest::test_runner::TestRunner::new(config(400));
    let test = |(seed, mutations, piece): (Arc<Vec<u8>>, Vec<Mutation>, usize)| {
        let bytes = mutated(&seed, &mutations);
        let (whole, failed) = read(&bytes, usize::MAX);
        let (pieces, also) = read(&bytes, piece);
        prop_assert!(
            failed == also && whole == pieces,
            "pieces of {piece} make a difference"
        );
        Ok(())
    };
    runner.run(&case, test).unwrap();
}

#[test]
fn put_media_acknowledges_or_refuses() {
    let sim = prepared();
    let seeds = vec![Arc::new(small()), Arc::new(footage())];
    let case = (prop::sample::select(seeds), vec(mutation(), 0..4));
    let mut runner = proptest::test_runner::TestRunner::new(config(300));
    let headers = vec![
        ("x-amzn-stream-name", "cam".to_owned()),
        ("x-amzn-fragment-timecode-type", "ABSOLUTE".to_owned()),
    ];
    let seed: Seed = ("POST", "/putMedia", headers, vec![]);
    let test = |(footage, mutations): (Arc<Vec<u8>>, Vec<Mutation>)| {
        let body = mutated(&footage, &mutations);
        let (response, acks) = sim.ask(request(&seed, body));
        prop_assert_eq!(response.status().as_u16(), 200);
        for line in acks.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let ack: Value = serde_json::from_slice(line).unwrap();
            let known = ["BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"];
            prop_assert!(
                ack["EventType"]
                    .as_str()
                    .is_some_and(|kind| known.contains(&kind))
            );
            prop_assert!(
                ack["ErrorId"]
                    .as_u64()
                    .is_none_or(|id| (4000..4500).contains(&id)),
                "{}",
                ack
            );
        }
        Ok(())
    };
    runner.run(&case, test).unwrap();
}
