//! The simulated AWS as an ordinary client sees it, and kvs-sim's ledger.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{HistoryItemType, MetricAlarm};
use serde::Deserialize;

/// Clients of the services, and a runtime to call them from a plain test.
pub struct Aws {
    runtime: tokio::runtime::Runtime,
    streams: aws_sdk_kinesisvideo::Client,
    alarms: aws_sdk_cloudwatch::Client,
    objects: aws_sdk_s3::Client,
}

/// A stream as AWS describes it, with its tags.
pub struct Stream {
    /// How long it keeps footage.
    pub retention: i32,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A fragment that PutMedia persisted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Persisted {
    /// Its number.
    pub fragment_number: String,
    /// When its first byte arrived, in ms since 1970.
    pub server_timestamp_millis: i64,
    /// Its frames.
    pub packets: Vec<Packet>,
}

/// A frame that PutMedia persisted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Packet {
    /// Its track's codec: begins with `V_` or `A_`.
    pub codec_id: String,
    /// Its time on the camera's clock, in ms since 1970.
    pub timestamp_millis: i64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl Aws {
    /// Clients as the environment says.
    pub fn connect() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let config =
            runtime.block_on(aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).load());
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(true)
            .build();
        Self {
            runtime,
            streams: aws_sdk_kinesisvideo::Client::new(&config),
            alarms: aws_sdk_cloudwatch::Client::new(&config),
            objects: aws_sdk_s3::Client::from_conf(s3),
        }
    }

    /// The stream of that name, if there is one.
    pub fn stream(&self, name: &str) -> Option<Stream> {
        self.runtime.block_on(async {
            let described = match self.streams.describe_stream().stream_name(name).send().await {
                Ok(answer) => answer.stream_info.expect("a stream"),
                Err(e)
                    if e.as_service_error()
                        .is_some_and(|e| e.is_resource_not_found_exception()) =>
                {
                    return None;
                }
                Err(e) => panic!("DescribeStream: {e:?}"),
            };
            let (mut tags, mut token) = (BTreeMap::new(), None);
            loop {
                let page = self.streams.list_tags_for_stream().stream_name(name);
                let page = page.set_next_token(token).send().await;
                let page = page.expect("ListTagsForStream");
                tags.extend(page.tags.unwrap_or_default());
                token = page.next_token;
                if token.is_none() {
                    break;
                }
            }
            Some(Stream {
                retention: described.data_retention_in_hours.expect("a retention"),
                tags,
            })
        })
    }

    /// All metric alarms.
    pub fn alarms(&self) -> Vec<MetricAlarm> {
        let answer = self
            .runtime
            .block_on(self.alarms.describe_alarms().send())
            .expect("DescribeAlarms");
        answer.metric_alarms.unwrap_or_default()
    }

    /// An alarm's tags.
    pub fn alarm_tags(&self, arn: &str) -> BTreeMap<String, String> {
        let answer = self
            .runtime
            .block_on(self.alarms.list_tags_for_resource().resource_arn(arn).send());
        let tags = answer.expect("ListTagsForResource").tags.unwrap_or_default();
        tags.into_iter()
            .map(|t| (t.key.unwrap_or_default(), t.value.unwrap_or_default()))
            .collect()
    }

    /// An alarm's state changes, as CloudWatch's history has them.
    pub fn alarm_history(&self, name: &str) -> Vec<String> {
        let answer = self.runtime.block_on(
            self.alarms
                .describe_alarm_history()
                .alarm_name(name)
                .history_item_type(HistoryItemType::StateUpdate)
                .send(),
        );
        let items = answer
            .expect("DescribeAlarmHistory")
            .alarm_history_items
            .unwrap_or_default();
        items.into_iter().filter_map(|i| i.history_data).collect()
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) {
        self.runtime
            .block_on(self.objects.create_bucket().bucket(name).send())
            .expect("CreateBucket");
    }

    /// All keys of a bucket.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let answer = self
            .runtime
            .block_on(self.objects.list_objects_v2().bucket(bucket).send());
        let answer = answer.expect("ListObjectsV2");
        assert_ne!(
            answer.is_truncated,
            Some(true),
            "more keys than a test should make"
        );
        answer
            .contents
            .unwrap_or_default()
            .into_iter()
            .filter_map(|o| o.key)
            .collect()
    }

    /// An object's bytes.
    pub fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let answer = self
                .objects
                .get_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .expect("GetObject");
            answer.body.collect().await.expect("the whole body").to_vec()
        })
    }

    /// What PutMedia persisted of a stream, by kvs-sim's ledger.
    pub fn ledger(&self, stream: &str) -> Vec<Persisted> {
        let endpoint = std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL");
        let lines = super::shell::run(
            "curl",
            &["-sf", &format!("{endpoint}/_kvs-sim/ledger?stream={stream}")],
        );
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of the ledger"))
            .collect()
    }
}
