//! One CloudWatch, whichever protocol asks: an alarm put in one is read in the others.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use kvs_sim::{
    clock::System,
    cloudwatch::CloudWatch,
    http::{Body, Response},
    serve::Services,
    world::{Settings, World},
};
use serde_json::json;

fn open() -> Arc<CloudWatch> {
    let services = Services::open(World::new(Arc::new(System), Settings::default())).unwrap();
    services.cloudwatch.clone()
}

async fn text(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn in_json(
    cloudwatch: &Arc<CloudWatch>,
    operation: &str,
    input: serde_json::Value,
) -> (StatusCode, String) {
    let request = Request::post("/")
        .header(
            "x-amz-target",
            format!("GraniteServiceVersion20100801.{operation}"),
        )
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(input.to_string()))
        .unwrap();
    text(cloudwatch.clone().handle(request).await).await
}

async fn in_query(cloudwatch: &Arc<CloudWatch>, form: &[(&str, &str)]) -> (StatusCode, String) {
    let request = Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(serde_urlencoded::to_string(form).unwrap()))
        .unwrap();
    text(cloudwatch.clone().handle(request).await).await
}

#[tokio::test]
async fn put_in_one_and_read_in_another() {
    let cloudwatch = open();
    let put = [
        ("Action", "PutMetricAlarm"),
        ("Version", "2010-08-01"),
        ("AlarmName", "porch"),
        ("AlarmDescription", "<front> & \"back\""),
        ("Namespace", "AWS/KinesisVideo"),
        ("MetricName", "PutMedia.IncomingFragments"),
        ("Dimensions.member.1.Name", "StreamName"),
        ("Dimensions.member.1.Value", "porch"),
        ("Statistic", "Sum"),
        ("Period", "60"),
        ("EvaluationPeriods", "1"),
        ("Threshold", "1.5"),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("ActionsEnabled", "false"),
        ("OKActions", ""),
    ];
    let (status, answer) = in_query(&cloudwatch, &put).await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.starts_with(
            "<PutMetricAlarmResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">"
        )
    );

    let (status, answer) = in_json(&cloudwatch, "DescribeAlarms", json!({ "AlarmNames": ["porch"] })).await;
    assert_eq!(status, 200);
    let alarm = &serde_json::from_str::<serde_json::Value>(&answer).unwrap()["MetricAlarms"][0];
    assert_eq!(
        alarm["Dimensions"],
        json!([{ "Name": "StreamName", "Value": "porch" }])
    );
    assert_eq!(
        (&alarm["Period"], &alarm["Threshold"], &alarm["ActionsEnabled"]),
        (&json!(60), &json!(1.5), &json!(false))
    );
    assert_eq!(alarm["AlarmDescription"], "<front> & \"back\"");
    assert!(alarm["StateUpdatedTimestamp"].as_f64().unwrap() > 1e9);

    let (status, answer) = in_query(&cloudwatch, &[("Action", "DescribeAlarms")]).await;
    assert_eq!(status, 200);
    for part in [
        "<MetricAlarms><member><AlarmName>porch</AlarmName>",
        "<AlarmDescription>&lt;front&gt; &amp; &quot;back&quot;</AlarmDescription>",
        "<Threshold>1.5</Threshold>",
        "<OKActions></OKActions>",
        "<CompositeAlarms></CompositeAlarms>",
    ] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[tokio::test]
async fn faults_have_each_protocol_s_form() {
    let cloudwatch = open();
    let (status, answer) = in_json(&cloudwatch, "DeleteAlarms", json!({ "AlarmNames": ["none"] })).await;
    assert_eq!(status, 404);
    assert!(
        answer.contains(r#""__type":"com.amazonaws.cloudwatch#ResourceNotFound""#),
        "{answer}"
    );
    let form = [("Action", "DeleteAlarms"), ("AlarmNames.member.1", "none")];
    let (status, answer) = in_query(&cloudwatch, &form).await;
    assert_eq!(status, 404);
    assert!(
        answer.contains("<Type>Sender</Type><Code>ResourceNotFound</Code>"),
        "{answer}"
    );
    let (status, answer) = in_json(&cloudwatch, "DescribeAlarms", json!({ "MaxRecords": "many" })).await;
    assert_eq!(status, 400);
    assert!(answer.contains("SerializationException"), "{answer}");
    let (status, answer) = in_query(&cloudwatch, &[("Action", "ListDashboards")]).await;
    assert_eq!(status, 400);
    assert!(answer.contains("<Code>InvalidAction</Code>"), "{answer}");
}
