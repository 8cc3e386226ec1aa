//! Archived footage of Kinesis Video Streams, read only: what the archiver needs of the service, in our words.
//!
//! May: describe a stream, list fragments, open media; keep data endpoints and renew them. May not: decide which footage is
//! archived, and may not take a part for the whole: an error in any page is an error of the listing.

use std::{collections::HashMap, fmt, sync::Mutex, time::Duration};

use aws_sdk_kinesisvideo as video;
use aws_sdk_kinesisvideo::types::ApiName;
use aws_sdk_kinesisvideoarchivedmedia as archived;
use aws_sdk_kinesisvideoarchivedmedia::{
    config::StalledStreamProtectionConfig,
    types::{FragmentSelector, FragmentSelectorType, TimestampRange},
};
use aws_smithy_types::DateTime;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    AwsError, Connection, Fragment, Kind, Result, StreamArn, TimestampType, connect::KinesisVideoThrottling,
};

/// How many fragments a page of ListFragments asks for. A call costs as many metadata points, of 10,000 a second and stream.
const PAGE: i64 = 1000;

/// What broke a body off.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A media body that is silent for this long is broken.
const SILENCE: Duration = Duration::from_secs(30);

/// A media body that takes longer altogether is broken: what is asked for at once comes in seconds.
const WHOLE_BODY: Duration = Duration::from_secs(600);

/// A stream, as far as its footage goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its ARN.
    pub arn: StreamArn,
    /// How long KVS keeps its footage, in hours; 0: not at all.
    pub retention_hours: u32,
}

/// A media body in the pieces in which it comes.
pub type Media = BoxStream<'static, Result<Bytes>>;

/// Archived footage, read only.
#[async_trait::async_trait]
pub trait Footage: Send + Sync + fmt::Debug {
    /// The stream of this name, at present.
    async fn stream_named(&self, name: &str) -> Result<Stream>;

    /// The stream with this ARN.
    async fn stream(&self, arn: &StreamArn) -> Result<Stream>;

    /// All fragments whose timestamp of this kind is in [from, to), in no order, each once.
    async fn list(
        &self,
        arn: &StreamArn,
        by: TimestampType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Fragment>>;

    /// The media of these fragments (1 to 1,000 numbers), as KVS sends them: one Matroska document a fragment, errors in band.
    async fn media(&self, arn: &StreamArn, numbers: &[super::FragmentNumber]) -> Result<Media>;
}

/// Kinesis Video Streams through the SDK.
pub struct KinesisVideo {
    connection: Connection,
    video: video::Client,
    endpoints: Mutex<HashMap<(String, Operation), String>>,
    clients: Mutex<HashMap<String, archived::Client>>,
}

impl fmt::Debug for KinesisVideo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisVideo")
            .field("region", &self.connection.region())
            .finish_non_exhaustive()
    }
}

/// What a data endpoint is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    List,
    Media,
}

impl Operation {
    fn api(self) -> ApiName {
        match self {
            Self::List => ApiName::ListFragments,
            Self::Media => ApiName::GetMediaForFragmentList,
        }
    }
}

impl KinesisVideo {
    /// The service in the connection's region.
    pub fn new(connection: &Connection) -> Self {
        let config = video::config::Builder::from(connection.sdk())
            .retry_classifier(KinesisVideoThrottling)
            .interceptor(connection.date_interceptor())
            .build();
        Self {
            connection: connection.clone(),
            video: video::Client::from_conf(config),
            endpoints: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// A client for a data endpoint, and whether the endpoint is from an earlier call.
    async fn client(
        &self,
        arn: &StreamArn,
        operation: Operation,
    ) -> Result<(archived::Client, String, bool)> {
        let key = (arn.to_string(), operation);
        let kept = self
            .endpoints
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&key)
            .cloned();
        let (endpoint, kept) = match kept {
            Some(endpoint) => (endpoint, true),
            None => {
                let call = self
                    .video
                    .get_data_endpoint()
                    .stream_arn(arn.as_str())
                    .api_name(operation.api())
                    .send();
                let answer = self
                    .connection
                    .call("kinesisvideo:GetDataEndpoint", arn.name(), call)
                    .await?;
                let endpoint = answer.data_endpoint.ok_or_else(|| {
                    unexpected(
                        "kinesisvideo:GetDataEndpoint",
                        arn,
                        "an answer without an endpoint",
                    )
                })?;
                self.lock_endpoints().insert(key, endpoint.clone());
                (endpoint, false)
            }
        };
        let mut clients = self
            .clients
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let client = clients
            .entry(endpoint.clone())
            .or_insert_with(|| {
                let config = archived::config::Builder::from(self.connection.sdk())
                    .endpoint_url(&endpoint)
                    .retry_classifier(KinesisVideoThrottling)
                    .interceptor(self.connection.date_interceptor())
                    .stalled_stream_protection(
                        StalledStreamProtectionConfig::enabled()
                            .upload_enabled(false)
                            .grace_period(SILENCE)
                            .build(),
                    )
                    .build();
                archived::Client::from_conf(config)
            })
            .clone();
        Ok((client, endpoint, kept))
    }

    fn lock_endpoints(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Operation), String>> {
        self.endpoints
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// After a failure: whether to try once more, because the endpoint was an old one and is another now. AWS says that keeping
    /// endpoints is safe if they are asked for again on failure.
    async fn moved(
        &self,
        arn: &StreamArn,
        operation: Operation,
        endpoint: &str,
        kept: bool,
        error: &AwsError,
    ) -> bool {
        if error.kind == Kind::Throttled {
            return false;
        }
        self.lock_endpoints().remove(&(arn.to_string(), operation));
        kept && self
            .client(arn, operation)
            .await
            .is_ok_and(|(_, now, _)| now != endpoint)
    }

    async fn page(
        &self,
        client: &archived::Client,
        arn: &StreamArn,
        selector: &FragmentSelector,
        token: Option<String>,
    ) -> Result<archived::operation::list_fragments::ListFragmentsOutput> {
        let call = client
            .list_fragments()
            .stream_arn(arn.as_str())
            .max_results(PAGE)
            .fragment_selector(selector.clone())
            .set_next_token(token)
            .send();
        self.connection
            .call("kinesisvideo:ListFragments", arn.name(), call)
            .await
    }
}

#[async_trait::async_trait]
impl Footage for KinesisVideo {
    async fn stream_named(&self, name: &str) -> Result<Stream> {
        let call = self.video.describe_stream().stream_name(name).send();
        described(
            name,
            self.connection
                .call("kinesisvideo:DescribeStream", name, call)
                .await?,
        )
    }

    async fn stream(&self, arn: &StreamArn) -> Result<Stream> {
        let call = self.video.describe_stream().stream_arn(arn.as_str()).send();
        let answer = self
            .connection
            .call("kinesisvideo:DescribeStream", arn.name(), call)
            .await?;
        described(arn.name(), answer)
    }

    async fn list(
        &self,
        arn: &StreamArn,
        by: TimestampType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Fragment>> {
        // Both ends of AWS's range are inclusive and in ms; what lies outside of [from, to) is dropped below.
        let last = to
            .checked_add(SignedDuration::from_nanos(-1))
            .unwrap_or(Timestamp::MIN);
        if last < from {
            return Ok(Vec::new());
        }
        let range = TimestampRange::builder()
            .start_timestamp(DateTime::from_millis(from.as_millisecond()))
            .end_timestamp(DateTime::from_millis(last.as_millisecond()))
            .build()
            .map_err(|e| unexpected("kinesisvideo:ListFragments", arn, e.to_string()))?;
        let selector = FragmentSelector::builder()
            .fragment_selector_type(match by {
                TimestampType::ServerTimestamp => FragmentSelectorType::ServerTimestamp,
                TimestampType::ProducerTimestamp => FragmentSelectorType::ProducerTimestamp,
            })
            .timestamp_range(range)
            .build()
            .map_err(|e| unexpected("kinesisvideo:ListFragments", arn, e.to_string()))?;
        let (mut client, endpoint, kept) = self.client(arn, Operation::List).await?;
        let mut found = HashMap::new();
        let mut token = None;
        loop {
            let answer = match self.page(&client, arn, &selector, token.clone()).await {
                Err(e) if token.is_none() && self.moved(arn, Operation::List, &endpoint, kept, &e).await => {
                    client = self.client(arn, Operation::List).await?.0;
                    self.page(&client, arn, &selector, None).await?
                }
                other => other?,
            };
            for fragment in answer.fragments.unwrap_or_default() {
                let fragment = listed(arn, fragment)?;
                let time = match by {
                    TimestampType::ServerTimestamp => fragment.server,
                    TimestampType::ProducerTimestamp => fragment.producer,
                };
                if from <= time && time < to {
                    found.insert(fragment.number.clone(), fragment);
                }
            }
            match answer.next_token {
                None => return Ok(found.into_values().collect()),
                Some(next) if Some(&next) == token.as_ref() => {
                    return Err(unexpected(
                        "kinesisvideo:ListFragments",
                        arn,
                        "the same page token twice",
                    ));
                }
                next => token = next,
            }
        }
    }

    async fn media(&self, arn: &StreamArn, numbers: &[super::FragmentNumber]) -> Result<Media> {
        let ask = async |client: archived::Client| {
            let call = client
                .get_media_for_fragment_list()
                .stream_arn(arn.as_str())
                .set_fragments(Some(numbers.iter().map(|n| n.as_str().to_owned()).collect()))
                .send();
            self.connection
                .call("kinesisvideo:GetMediaForFragmentList", arn.name(), call)
                .await
        };
        let (client, endpoint, kept) = self.client(arn, Operation::Media).await?;
        let answer = match ask(client).await {
            Err(e) if self.moved(arn, Operation::Media, &endpoint, kept, &e).await => {
                ask(self.client(arn, Operation::Media).await?.0).await?
            }
            other => other?,
        };
        let pieces = futures::stream::try_unfold(answer.payload, |mut body| async move {
            Ok::<_, BoxError>(body.try_next().await?.map(|bytes| (bytes, body)))
        });
        Ok(watched(pieces, arn.name()))
    }
}

/// A body in the pieces in which it comes; one that breaks off, falls silent or takes too long ends with an error.
pub(super) fn watched(
    pieces: impl futures::Stream<Item = std::result::Result<Bytes, BoxError>> + Send + 'static,
    on: &str,
) -> Media {
    let deadline = Instant::now() + WHOLE_BODY;
    let on = on.to_owned();
    let broken = move |why: &str| {
        let operation = "kinesisvideo:GetMediaForFragmentList";
        AwsError::ours(operation, on.as_str(), Kind::Unavailable, why)
    };
    let state = (Box::pin(pieces), broken);
    Box::pin(futures::stream::try_unfold(
        state,
        move |(mut pieces, broken)| async move {
            let silent = Instant::now() + SILENCE;
            match tokio::time::timeout_at(silent.min(deadline), pieces.next()).await {
                Ok(Some(Ok(bytes))) => Ok(Some((bytes, (pieces, broken)))),
                Ok(None) => Ok(None),
                Ok(Some(Err(e))) => Err(broken("the body broke off").because(e)),
                Err(_) if silent < deadline => Err(broken("the body was silent for half a minute")),
                Err(_) => Err(broken("the body did not end in ten minutes")),
            }
        },
    ))
}

fn described(on: &str, answer: video::operation::describe_stream::DescribeStreamOutput) -> Result<Stream> {
    let info = answer
        .stream_info
        .unwrap_or_else(|| video::types::StreamInfo::builder().build());
    let wrong =
        |message: String| AwsError::ours("kinesisvideo:DescribeStream", on, Kind::Unavailable, message);
    let arn = info
        .stream_arn
        .ok_or_else(|| wrong("an answer without an ARN".into()))?;
    let retention = info.data_retention_in_hours.unwrap_or(0);
    Ok(Stream {
        arn: arn
            .parse()
            .map_err(|e: super::NotAStreamArn| wrong(e.to_string()))?,
        retention_hours: u32::try_from(retention)
            .map_err(|_| wrong(format!("a retention of {retention} hours")))?,
    })
}

/// A listed fragment in our words. One without its number or times cannot be archived and must not be passed over.
fn listed(arn: &StreamArn, fragment: archived::types::Fragment) -> Result<Fragment> {
    let wrong = |what: &str| {
        unexpected(
            "kinesisvideo:ListFragments",
            arn,
            format!("a fragment without {what}"),
        )
    };
    let time = |t: Option<DateTime>| {
        // AWS writes seconds as a JSON number, and 0.923 may be read as 0.922999…: the nearest millisecond is what it means.
        t.and_then(|t| i64::try_from((t.as_nanos() + 500_000).div_euclid(1_000_000)).ok())
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
    };
    Ok(Fragment {
        number: fragment
            .fragment_number
            .as_deref()
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| wrong("a number"))?,
        producer: time(fragment.producer_timestamp).ok_or_else(|| wrong("a producer timestamp"))?,
        server: time(fragment.server_timestamp).ok_or_else(|| wrong("a server timestamp"))?,
        length_ms: u32::try_from(fragment.fragment_length_in_milliseconds).map_err(|_| wrong("a length"))?,
        bytes: u64::try_from(fragment.fragment_size_in_bytes).map_err(|_| wrong("a size"))?,
    })
}

/// An answer that makes no sense: try again rather than go on with a guess.
fn unexpected(operation: &'static str, arn: &StreamArn, what: impl Into<String>) -> AwsError {
    AwsError::ours(operation, arn.name(), Kind::Unavailable, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fragment that is listed a millisecond early would lie in no window at all.
    #[test]
    fn listed_times_are_the_nearest_millisecond() {
        let arn = "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/s/1"
            .parse()
            .unwrap();
        for ms in (0..2000).map(|n| 1_763_800_000_000 + n) {
            let at = DateTime::from_secs_f64(ms as f64 / 1000.0);
            let fragment = archived::types::Fragment::builder()
                .fragment_number("1")
                .producer_timestamp(at)
                .server_timestamp(at)
                .build();
            let found = listed(&arn, fragment).unwrap();
            assert_eq!(
                (found.server.as_millisecond(), found.producer),
                (ms, found.server)
            );
        }
    }
}
