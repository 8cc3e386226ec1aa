//! kvs-sim's CloudWatch, seen by the Rust SDK.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_sdk_cloudwatch::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{
        AlarmType, ComparisonOperator, Dimension, HistoryItemType, Metric, MetricAlarm, MetricDataQuery,
        MetricDatum, MetricStat, ScanBy, StateValue, Statistic, Tag,
    },
};
use jiff::{SignedDuration, Timestamp};
use kvs_sim::{
    behaviour::Behaviour,
    clock::Clock,
    metrics,
    serve::Services,
    world::{Settings, World},
};

/// A clock that stands still until the test moves it.
#[derive(Debug)]
struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Sim {
    clock: Arc<Hand>,
    services: Arc<Services>,
    client: Client,
    server: tokio::task::JoinHandle<()>,
}

impl Sim {
    async fn start(now: &str, settings: Settings) -> Self {
        let clock = Arc::new(Hand(Mutex::new(now.parse().unwrap())));
        let services = Services::open(World::new(clock.clone(), settings)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = services.clone();
        let server = tokio::spawn(async move { serving.serve(listener).await.unwrap() });
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("any", "any", None, None, "test"))
            .endpoint_url(endpoint)
            .build();
        Self {
            clock,
            services,
            client: Client::from_conf(config),
            server,
        }
    }

    /// Moves the clock, and evaluates the alarms as the running task does.
    fn at(&self, now: &str) {
        *self.clock.0.lock().unwrap() = now.parse().unwrap();
        self.services.cloudwatch.evaluate().unwrap();
    }

    fn fragments(&self, stream: &str, at: &str, number: usize) {
        for _ in 0..number {
            self.services
                .world
                .metrics
                .add(incoming(stream), at.parse().unwrap(), 1.0);
        }
    }

    async fn put_default_alarm(&self, name: &str) {
        self.client
            .put_metric_alarm()
            .alarm_name(name)
            .namespace("AWS/KinesisVideo")
            .metric_name("PutMedia.IncomingFragments")
            .dimensions(Dimension::builder().name("StreamName").value(name).build())
            .statistic(Statistic::Sum)
            .period(60)
            .evaluation_periods(1)
            .datapoints_to_alarm(1)
            .threshold(1.0)
            .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
            .treat_missing_data("notBreaching")
            .tags(Tag::builder().key("RepeatedAlarm").value("true").build())
            .send()
            .await
            .unwrap();
    }

    async fn alarm(&self, name: &str) -> Option<MetricAlarm> {
        let answer = self
            .client
            .describe_alarms()
            .alarm_names(name)
            .send()
            .await
            .unwrap();
        answer.metric_alarms().first().cloned()
    }

    async fn state(&self, name: &str) -> StateValue {
        self.alarm(name).await.unwrap().state_value().unwrap().clone()
    }

    async fn tags(&self, arn: &str) -> Vec<String> {
        let answer = self
            .client
            .list_tags_for_resource()
            .resource_arn(arn)
            .send()
            .await
            .unwrap();
        let tag = |tag: &Tag| format!("{}={}", tag.key().unwrap(), tag.value().unwrap());
        answer.tags().iter().map(tag).collect()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn incoming(stream: &str) -> metrics::Metric {
    metrics::Metric {
        region: "eu-central-1".into(),
        namespace: "AWS/KinesisVideo".into(),
        name: "PutMedia.IncomingFragments".into(),
        dimensions: BTreeMap::from([("StreamName".into(), stream.into())]),
    }
}

fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp::from_millisecond(at.to_millis().unwrap()).unwrap()
}

fn date(at: &str) -> DateTime {
    DateTime::from_millis(at.parse::<Timestamp>().unwrap().as_millisecond())
}

#[tokio::test]
async fn an_alarm_is_made_read_changed_and_deleted() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    sim.put_default_alarm("porch").await;
    let made = sim.alarm("porch").await.unwrap();
    assert_eq!(
        made.alarm_arn(),
        Some("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:porch")
    );
    assert_eq!(made.state_value(), Some(&StateValue::InsufficientData));
    assert_eq!(made.state_reason(), Some("Unchecked: Initial alarm creation"));
    assert_eq!(made.actions_enabled(), Some(true));
    assert_eq!(made.threshold(), Some(1.0));
    assert_eq!(made.period(), Some(60));
    assert_eq!(made.datapoints_to_alarm(), Some(1));
    assert_eq!(made.dimensions()[0].value(), Some("porch"));
    assert_eq!(made.treat_missing_data(), Some("notBreaching"));
    assert_eq!(
        made.state_transitioned_timestamp(),
        Some(&date("2026-11-04T15:57:30Z"))
    );

    // An update overwrites the definition and keeps the state; its tags are ignored.
    sim.at("2026-11-04T15:58:04Z");
    sim.client
        .put_metric_alarm()
        .alarm_name("porch")
        .namespace("AWS/KinesisVideo")
        .metric_name("PutMedia.IncomingBytes")
        .statistic(Statistic::Average)
        .period(120)
        .evaluation_periods(2)
        .threshold(0.5)
        .comparison_operator(ComparisonOperator::LessThanThreshold)
        .tags(Tag::builder().key("ignored").value("yes").build())
        .send()
        .await
        .unwrap();
    let changed = sim.alarm("porch").await.unwrap();
    assert_eq!(changed.state_value(), Some(&StateValue::Ok));
    assert_eq!(changed.metric_name(), Some("PutMedia.IncomingBytes"));
    assert!(changed.dimensions().is_empty() && changed.datapoints_to_alarm().is_none());

    let arn = made.alarm_arn().unwrap();
    assert_eq!(sim.tags(arn).await, ["RepeatedAlarm=true"]);
    let owner = Tag::builder().key("owner").value("c1").build();
    sim.client
        .tag_resource()
        .resource_arn(arn)
        .tags(owner)
        .send()
        .await
        .unwrap();
    assert_eq!(sim.tags(arn).await, ["RepeatedAlarm=true", "owner=c1"]);
    let untag = sim.client.untag_resource().resource_arn(arn);
    untag
        .tag_keys("RepeatedAlarm")
        .tag_keys("none")
        .send()
        .await
        .unwrap();
    assert_eq!(sim.tags(arn).await, ["owner=c1"]);

    sim.client
        .disable_alarm_actions()
        .alarm_names("porch")
        .send()
        .await
        .unwrap();
    assert_eq!(sim.alarm("porch").await.unwrap().actions_enabled(), Some(false));
    sim.client
        .enable_alarm_actions()
        .alarm_names("porch")
        .send()
        .await
        .unwrap();
    assert_eq!(sim.alarm("porch").await.unwrap().actions_enabled(), Some(true));

    sim.client
        .delete_alarms()
        .alarm_names("porch")
        .send()
        .await
        .unwrap();
    assert!(sim.alarm("porch").await.is_none());
    let error = sim
        .client
        .delete_alarms()
        .alarm_names("porch")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found());
    let error = sim
        .client
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn what_aws_refuses() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    let put = || {
        let call = sim
            .client
            .put_metric_alarm()
            .alarm_name("porch")
            .namespace("N")
            .metric_name("M");
        let call = call
            .statistic(Statistic::Sum)
            .evaluation_periods(1)
            .threshold(1.0);
        call.comparison_operator(ComparisonOperator::GreaterThanThreshold)
    };
    let error = put().send().await.unwrap_err();
    assert_eq!(error.code(), Some("MissingParameter"));
    let error = put().period(7).send().await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationError"));
    assert!(error.message().unwrap().contains("multiple of 60"));
    assert!(sim.alarm("porch").await.is_none());
    let both = sim
        .client
        .describe_alarms()
        .alarm_names("a")
        .alarm_name_prefix("b");
    assert_eq!(
        both.send().await.unwrap_err().code(),
        Some("InvalidParameterCombination")
    );
    let error = sim
        .client
        .describe_alarms()
        .next_token("?")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_invalid_next_token());
    let error = sim.client.list_dashboards().send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidAction"));
}

#[tokio::test]
async fn footage_fires_the_alarm_as_late_as_on_aws_and_its_end_clears_it() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    sim.put_default_alarm("porch").await;
    sim.at("2026-11-04T15:58:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Ok);
    sim.fragments("porch", "2026-11-04T15:58:10Z", 5);
    sim.fragments("elsewhere", "2026-11-04T15:58:10Z", 5);
    sim.at("2026-11-04T15:59:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Ok);
    sim.at("2026-11-04T16:00:04Z");
    let fired = sim.alarm("porch").await.unwrap();
    assert_eq!(fired.state_value(), Some(&StateValue::Alarm));
    assert_eq!(
        fired.state_reason().unwrap(),
        "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (04/11/26 15:58:00)] was greater than or equal to the \
         threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    );

    let history = sim
        .client
        .describe_alarm_history()
        .alarm_name("porch")
        .history_item_type(HistoryItemType::StateUpdate)
        .scan_by(ScanBy::TimestampAscending)
        .send()
        .await
        .unwrap();
    let items = history.alarm_history_items();
    let summaries: Vec<_> = items.iter().map(|i| i.history_summary().unwrap()).collect();
    assert_eq!(
        summaries,
        [
            "Alarm updated from INSUFFICIENT_DATA to OK",
            "Alarm updated from OK to ALARM"
        ]
    );
    let data: serde_json::Value = serde_json::from_str(items[1].history_data().unwrap()).unwrap();
    let reason = &data["newState"]["stateReasonData"];
    assert_eq!(reason["startDate"], "2026-11-04T15:58:00.000+0000");
    assert_eq!(reason["queryDate"], "2026-11-04T16:00:03.977+0000");
    assert_eq!(reason["recentDatapoints"], serde_json::json!([5.0]));
    assert_eq!(data["oldState"]["stateValue"], "OK");
    let reason_data: serde_json::Value = serde_json::from_str(fired.state_reason_data().unwrap()).unwrap();
    assert_eq!(&reason_data, reason);
    // The two times of one transition are not the same.
    let (item, state) = (
        items[1].timestamp().unwrap(),
        fired.state_transitioned_timestamp().unwrap(),
    );
    let apart = timestamp(item).duration_since(timestamp(state));
    assert!(
        apart > SignedDuration::ZERO && apart < SignedDuration::from_millis(100),
        "{apart}"
    );

    // The evaluation range keeps the alarm up for some minutes.
    sim.at("2026-11-04T16:02:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Alarm);
    sim.at("2026-11-04T16:03:04Z");
    let cleared = sim.alarm("porch").await.unwrap();
    assert_eq!(cleared.state_value(), Some(&StateValue::Ok));
    assert_eq!(
        cleared.state_reason().unwrap(),
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as \
         [NonBreaching]."
    );
}

#[tokio::test]
async fn early_evaluation_is_quick() {
    let settings = Settings {
        early_evaluation: true,
        ..Settings::default()
    };
    let sim = Sim::start("2026-11-04T15:58:01Z", settings).await;
    sim.put_default_alarm("porch").await;
    sim.fragments("porch", "2026-11-04T15:58:03Z", 1);
    sim.at("2026-11-04T15:58:05Z");
    assert_eq!(sim.state("porch").await, StateValue::Alarm);
    sim.at("2026-11-04T15:59:25Z");
    assert_eq!(sim.state("porch").await, StateValue::Alarm);
    sim.at("2026-11-04T15:59:30Z");
    assert_eq!(sim.state("porch").await, StateValue::Ok);
}

#[tokio::test]
async fn a_state_set_by_hand_lasts_until_the_next_evaluation_and_is_in_history() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    sim.put_default_alarm("porch").await;
    sim.at("2026-11-04T15:58:04Z");
    let set = |name: &str| {
        let call = sim.client.set_alarm_state().alarm_name(name);
        call.state_value(StateValue::Alarm)
            .state_reason("testing purposes")
    };
    set("porch").send().await.unwrap();
    assert_eq!(sim.state("porch").await, StateValue::Alarm);
    sim.at("2026-11-04T15:59:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Ok);
    let history = sim
        .client
        .describe_alarm_history()
        .alarm_name("porch")
        .send()
        .await
        .unwrap();
    let items = history.alarm_history_items();
    // Newest first: back to OK, set to ALARM, first evaluation, creation.
    assert_eq!(items.len(), 4);
    let data: serde_json::Value = serde_json::from_str(items[1].history_data().unwrap()).unwrap();
    assert_eq!(data["newState"]["stateReason"], "testing purposes");
    assert!(data["newState"].get("stateReasonData").is_none());
    assert_eq!(items[3].history_summary(), Some("Alarm \"porch\" created"));
    let error = set("nobody").send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found());
    let error = set("porch").state_reason_data("{").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_format_fault());
}

#[tokio::test]
async fn lists_come_in_pages() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    for i in 0..7 {
        sim.put_default_alarm(&format!("cam-{i}")).await;
    }
    sim.put_default_alarm("other").await;
    let call = sim
        .client
        .describe_alarms()
        .alarm_name_prefix("cam-")
        .max_records(3);
    let mut pages = call.into_paginator().send();
    let mut sizes = vec![];
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().metric_alarms().len());
    }
    assert_eq!(sizes, [3, 3, 1]);
    let composite = sim
        .client
        .describe_alarms()
        .alarm_types(AlarmType::CompositeAlarm)
        .send()
        .await
        .unwrap();
    assert!(composite.metric_alarms().is_empty());
    let ok = sim
        .client
        .describe_alarms()
        .state_value(StateValue::Ok)
        .send()
        .await
        .unwrap();
    assert!(ok.metric_alarms().is_empty());

    // History of all alarms at once, deleted ones too, within a span, in both orders.
    sim.at("2026-11-04T15:58:04Z");
    sim.client
        .delete_alarms()
        .alarm_names("cam-0")
        .send()
        .await
        .unwrap();
    for order in [ScanBy::TimestampAscending, ScanBy::TimestampDescending] {
        let mut pages = sim
            .client
            .describe_alarm_history()
            .scan_by(order.clone())
            .history_item_type(HistoryItemType::StateUpdate)
            .start_date(date("2026-11-04T15:58:00Z"))
            .end_date(date("2026-11-04T15:58:04Z"))
            .max_records(5)
            .into_paginator()
            .send();
        let mut names = vec![];
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            names.extend(
                page.alarm_history_items()
                    .iter()
                    .map(|i| i.alarm_name().unwrap().to_owned()),
            );
        }
        assert_eq!(names.len(), 8);
        let ascending = order == ScanBy::TimestampAscending;
        assert_eq!(names[0] < names[7], ascending, "{names:?}");
        assert!(names.contains(&"cam-0".to_owned()), "{names:?}");
    }
    // After 30 days history is gone, alarms are not.
    sim.at("2026-12-05T00:00:04Z");
    let history = sim.client.describe_alarm_history().send().await.unwrap();
    assert!(history.alarm_history_items().is_empty());
    assert_eq!(
        sim.client
            .describe_alarms()
            .send()
            .await
            .unwrap()
            .metric_alarms()
            .len(),
        7
    );
}

#[tokio::test]
async fn a_composite_alarm_follows_its_children() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    let put = |name: &str, rule: &str| {
        sim.client
            .put_composite_alarm()
            .alarm_name(name)
            .alarm_rule(rule)
            .send()
    };
    let error = put("both", "ALARM(door) AND ALARM(porch)").await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFound"));
    sim.put_default_alarm("door").await;
    sim.put_default_alarm("porch").await;
    let error = put("both", "ALARM(door) AND").await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationError"));
    put(
        "both",
        "ALARM(door) AND ALARM(\"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:porch\")",
    )
    .await
    .unwrap();
    put("outer", "ALARM(both)").await.unwrap();
    let composite = |name: &'static str| {
        let call = sim
            .client
            .describe_alarms()
            .alarm_types(AlarmType::CompositeAlarm)
            .alarm_names(name);
        async { call.send().await.unwrap().composite_alarms()[0].clone() }
    };
    assert_eq!(
        composite("both").await.state_value(),
        Some(&StateValue::InsufficientData)
    );
    // Without its type it is not there.
    assert!(
        sim.client
            .describe_alarms()
            .alarm_names("both")
            .send()
            .await
            .unwrap()
            .metric_alarms()
            .is_empty()
    );
    sim.at("2026-11-04T15:58:04Z");
    let made = composite("both").await;
    assert_eq!(made.state_value(), Some(&StateValue::Ok));
    assert_eq!(
        made.state_reason(),
        Some(
            "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:both was created and its alarm rule evaluates to OK"
        )
    );

    sim.fragments("door", "2026-11-04T15:58:10Z", 1);
    sim.at("2026-11-04T16:00:04Z");
    assert_eq!(composite("both").await.state_value(), Some(&StateValue::Ok));
    sim.fragments("porch", "2026-11-04T15:59:10Z", 1);
    sim.at("2026-11-04T16:01:04Z");
    let fired = composite("both").await;
    assert_eq!(fired.state_value(), Some(&StateValue::Alarm));
    assert_eq!(
        fired.state_reason(),
        Some(
            "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:porch transitioned to ALARM at Wednesday 04 November, \
             2026 16:01:03 UTC"
        )
    );
    let data: serde_json::Value = serde_json::from_str(fired.state_reason_data().unwrap()).unwrap();
    assert_eq!(data["triggeringAlarms"][0]["state"]["value"], "ALARM");
    assert_eq!(composite("outer").await.state_value(), Some(&StateValue::Alarm));

    // History has it where it is asked for.
    let history = sim
        .client
        .describe_alarm_history()
        .alarm_name("both")
        .send()
        .await
        .unwrap();
    assert!(history.alarm_history_items().is_empty());
    let history = sim
        .client
        .describe_alarm_history()
        .alarm_name("both")
        .alarm_types(AlarmType::CompositeAlarm);
    let history = history.send().await.unwrap();
    let item = &history.alarm_history_items()[0];
    assert_eq!(item.history_summary(), Some("Alarm updated from OK to ALARM"));
    assert_eq!(item.alarm_type(), Some(&AlarmType::CompositeAlarm));

    // What is set by hand stays until a child changes.
    let set = sim
        .client
        .set_alarm_state()
        .alarm_name("both")
        .state_value(StateValue::Ok)
        .state_reason("testing");
    set.send().await.unwrap();
    sim.at("2026-11-04T16:02:04Z");
    assert_eq!(composite("both").await.state_value(), Some(&StateValue::Ok));
    assert_eq!(composite("outer").await.state_value(), Some(&StateValue::Ok));

    // What a rule names cannot be deleted before it.
    let error = sim
        .client
        .delete_alarms()
        .alarm_names("porch")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        Some("Cannot delete porch as there are composite alarm(s) depending on it.")
    );
    let error = sim
        .client
        .delete_alarms()
        .alarm_names("both")
        .alarm_names("outer")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("ValidationError"));
    for name in ["outer", "both", "porch"] {
        sim.client.delete_alarms().alarm_names(name).send().await.unwrap();
    }
}

#[tokio::test]
async fn an_alarm_watches_an_expression_or_a_percentile() {
    let sim = Sim::start("2026-11-04T15:57:30Z", Settings::default()).await;
    let metric = |name: &str| {
        let stream = Dimension::builder().name("StreamName").value("porch").build();
        Metric::builder()
            .namespace("AWS/KinesisVideo")
            .metric_name(name)
            .dimensions(stream)
            .build()
    };
    let stat = |id: &str, name: &str| {
        let stat = MetricStat::builder()
            .metric(metric(name))
            .period(60)
            .stat("Sum")
            .build();
        MetricDataQuery::builder()
            .id(id)
            .metric_stat(stat)
            .return_data(false)
            .build()
    };
    let share = |expression: &str| {
        MetricDataQuery::builder()
            .id("share")
            .expression(expression)
            .build()
    };
    let put = |expression: &str| {
        let call = sim
            .client
            .put_metric_alarm()
            .alarm_name("errors")
            .metrics(share(expression));
        let call = call.metrics(stat("bad", "PutMedia.ErrorAckCount"));
        let call = call.metrics(stat("all", "PutMedia.IncomingFragments"));
        let call = call.evaluation_periods(1).threshold(50.0);
        call.comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .send()
    };
    for wrong in ["bad /", "bad / none", "share + 1", "ANOMALY_DETECTION_BAND(bad)"] {
        assert_eq!(
            put(wrong).await.unwrap_err().code(),
            Some("ValidationError"),
            "{wrong}"
        );
    }
    put("100 * FILL(bad, 0) / all").await.unwrap();
    sim.client
        .put_metric_alarm()
        .alarm_name("slow")
        .namespace("House")
        .metric_name("Latency")
        .extended_statistic("p90")
        .period(60)
        .evaluation_periods(1)
        .threshold(90.0)
        .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
        .send()
        .await
        .unwrap();
    let bad = metrics::Metric {
        name: "PutMedia.ErrorAckCount".into(),
        ..incoming("porch")
    };
    sim.fragments("porch", "2026-11-04T15:58:10Z", 4);
    sim.services
        .world
        .metrics
        .add(bad.clone(), "2026-11-04T15:58:10Z".parse().unwrap(), 1.0);
    let latency = metrics::Metric {
        region: "eu-central-1".into(),
        namespace: "House".into(),
        name: "Latency".into(),
        dimensions: BTreeMap::new(),
    };
    for value in 1..=100 {
        let at = "2026-11-04T15:59:10Z".parse().unwrap();
        sim.services
            .world
            .metrics
            .add(latency.clone(), at, f64::from(value));
    }
    sim.at("2026-11-04T16:00:04Z");
    assert_eq!(sim.state("errors").await, StateValue::Ok);
    assert_eq!(sim.state("slow").await, StateValue::InsufficientData);
    sim.fragments("porch", "2026-11-04T15:59:10Z", 4);
    for _ in 0..3 {
        sim.services
            .world
            .metrics
            .add(bad.clone(), "2026-11-04T15:59:10Z".parse().unwrap(), 1.0);
    }
    sim.at("2026-11-04T16:01:04Z");
    let fired = sim.alarm("errors").await.unwrap();
    assert_eq!(
        fired.state_reason(),
        Some(
            "Threshold Crossed: 1 datapoint [75.0 (04/11/26 15:59:00)] was greater than the threshold (50.0)."
        )
    );
    let data: serde_json::Value = serde_json::from_str(fired.state_reason_data().unwrap()).unwrap();
    assert!(data.get("statistic").is_none() && data["period"] == 60, "{data}");
    assert_eq!(fired.metrics().len(), 3);
    assert_eq!(sim.state("slow").await, StateValue::Alarm);

    let answer = sim
        .client
        .get_metric_data()
        .metric_data_queries(share("100 * FILL(bad, 0) / all"))
        .metric_data_queries(stat("bad", "PutMedia.ErrorAckCount"))
        .metric_data_queries(stat("all", "PutMedia.IncomingFragments"))
        .start_time(date("2026-11-04T15:50:00Z"))
        .end_time(date("2026-11-04T16:01:00Z"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.metric_data_results().len(), 1);
    assert_eq!(answer.metric_data_results()[0].values(), [75.0, 25.0]);
    let read = sim
        .client
        .get_metric_statistics()
        .namespace("House")
        .metric_name("Latency")
        .start_time(date("2026-11-04T15:50:00Z"))
        .end_time(date("2026-11-04T16:01:00Z"))
        .period(60)
        .extended_statistics("p50")
        .send()
        .await
        .unwrap();
    let p50 = read.datapoints()[0].extended_statistics().unwrap()["p50"];
    assert!((p50 - 50.0).abs() < 0.6, "{p50}");
}

#[tokio::test]
async fn what_aws_leaves_open_is_a_switch() {
    let behaviour = Behaviour {
        history_late_millis: 20_000,
        history_twice_one_in: 2,
        history_missing_one_in: 3,
        history_data_characters: 40,
        datapoints_to_alarm_omitted: true,
        ..Behaviour::default()
    };
    let settings = Settings {
        behaviour,
        quotas: true,
        ..Settings::default()
    };
    let sim = Sim::start("2026-11-04T15:57:30Z", settings).await;
    sim.put_default_alarm("porch").await;
    assert_eq!(sim.alarm("porch").await.unwrap().datapoints_to_alarm(), None);
    sim.at("2026-11-04T15:58:04Z");
    sim.fragments("porch", "2026-11-04T15:58:10Z", 5);
    sim.at("2026-11-04T16:00:04Z");
    sim.at("2026-11-04T16:03:04Z");
    let states = || async {
        let call = sim
            .client
            .describe_alarm_history()
            .history_item_type(HistoryItemType::StateUpdate);
        let answer = call.scan_by(ScanBy::TimestampAscending).send().await.unwrap();
        answer.alarm_history_items().to_vec()
    };
    // The first change is listed once, the second twice, the third not at all, and none at once.
    let items = states().await;
    assert_eq!(items.len(), 3);
    assert_eq!(
        items[0].history_summary(),
        Some("Alarm updated from INSUFFICIENT_DATA to OK")
    );
    assert_eq!(items[1], items[2]);
    assert_eq!(items[0].history_data().unwrap().chars().count(), 40);
    sim.fragments("porch", "2026-11-04T16:05:10Z", 5);
    sim.at("2026-11-04T16:07:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Alarm);
    assert_eq!(states().await.len(), 3);
    sim.at("2026-11-04T16:07:25Z");
    assert_eq!(states().await.len(), 5);

    // Quotas: the clock stands still, so the fourth call in the same second is refused for good.
    sim.put_default_alarm("a").await;
    sim.put_default_alarm("b").await;
    sim.put_default_alarm("c").await;
    let config = sim
        .client
        .config()
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .build();
    let client = Client::from_conf(config);
    let call = client
        .put_metric_alarm()
        .alarm_name("d")
        .namespace("N")
        .metric_name("M");
    let call = call
        .evaluation_periods(1)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold);
    assert_eq!(call.send().await.unwrap_err().code(), Some("Throttling"));
}

#[tokio::test]
async fn metrics_are_put_listed_and_read() {
    let settings = Settings {
        early_evaluation: true,
        ..Settings::default()
    };
    let sim = Sim::start("2026-11-04T16:10:00Z", settings).await;
    let dimension = || Dimension::builder().name("Door").value("front").build();
    let datum = |at: &str, value: f64| {
        let datum = MetricDatum::builder()
            .metric_name("Motion")
            .dimensions(dimension());
        datum.timestamp(date(at)).value(value).build()
    };
    let put = |namespace: &str, datum| {
        sim.client
            .put_metric_data()
            .namespace(namespace)
            .metric_data(datum)
    };
    put("House", datum("2026-11-04T16:00:10Z", 1.0))
        .metric_data(datum("2026-11-04T16:00:20Z", 3.0))
        .metric_data(datum("2026-11-04T16:01:20Z", 5.0))
        .send()
        .await
        .unwrap();
    let error = put("AWS/KinesisVideo", datum("2026-11-04T16:00:10Z", 1.0))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));

    let listed = sim.client.list_metrics().namespace("House").send().await.unwrap();
    assert_eq!(listed.metrics()[0].metric_name(), Some("Motion"));
    let read = sim
        .client
        .get_metric_statistics()
        .namespace("House")
        .metric_name("Motion")
        .dimensions(dimension())
        .start_time(date("2026-11-04T16:00:00Z"))
        .end_time(date("2026-11-04T16:10:00Z"))
        .period(60)
        .statistics(Statistic::Sum)
        .statistics(Statistic::SampleCount)
        .send()
        .await
        .unwrap();
    let points: Vec<_> = read
        .datapoints()
        .iter()
        .map(|p| (p.sum().unwrap(), p.sample_count().unwrap()))
        .collect();
    assert_eq!(points, [(4.0, 2.0), (5.0, 1.0)]);
    let metric = Metric::builder()
        .namespace("House")
        .metric_name("Motion")
        .dimensions(dimension())
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(60)
        .stat("Maximum")
        .build();
    let data = sim
        .client
        .get_metric_data()
        .metric_data_queries(MetricDataQuery::builder().id("m").metric_stat(stat).build())
        .start_time(date("2026-11-04T16:00:00Z"))
        .end_time(date("2026-11-04T16:10:00Z"))
        .scan_by(ScanBy::TimestampAscending)
        .send()
        .await
        .unwrap();
    let series = &data.metric_data_results()[0];
    assert_eq!(series.values(), [3.0, 5.0]);
    assert_eq!(series.timestamps()[1], date("2026-11-04T16:01:00Z"));
    sim.put_default_alarm("porch").await;
    let found = sim
        .client
        .describe_alarms_for_metric()
        .namespace("AWS/KinesisVideo")
        .metric_name("PutMedia.IncomingFragments")
        .dimensions(Dimension::builder().name("StreamName").value("porch").build())
        .send()
        .await
        .unwrap();
    assert_eq!(found.metric_alarms()[0].alarm_name(), Some("porch"));
}

#[tokio::test]
async fn all_of_it_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data: Some(folder.path().into()),
        ..Settings::default()
    };
    let before = {
        let sim = Sim::start("2026-11-04T15:57:30Z", settings.clone()).await;
        sim.put_default_alarm("porch").await;
        sim.put_default_alarm("gone").await;
        sim.client
            .delete_alarms()
            .alarm_names("gone")
            .send()
            .await
            .unwrap();
        sim.fragments("porch", "2026-11-04T15:58:10Z", 5);
        sim.at("2026-11-04T16:00:04Z");
        assert_eq!(sim.state("porch").await, StateValue::Alarm);
        let history = sim.client.describe_alarm_history().send().await.unwrap();
        (sim.alarm("porch").await, history.alarm_history_items().to_vec())
    };
    let sim = Sim::start("2026-11-04T16:01:04Z", settings).await;
    let history = sim.client.describe_alarm_history().send().await.unwrap();
    assert_eq!(
        (sim.alarm("porch").await, history.alarm_history_items().to_vec()),
        before
    );
    assert!(sim.alarm("gone").await.is_none());
    let arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:porch";
    assert_eq!(sim.tags(arn).await, ["RepeatedAlarm=true"]);
    // The metrics are still there: the alarm does not flap.
    sim.at("2026-11-04T16:02:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Alarm);
    sim.at("2026-11-04T16:03:04Z");
    assert_eq!(sim.state("porch").await, StateValue::Ok);
}
