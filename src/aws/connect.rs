//! How clients are made: one configuration for all services, retries that know Kinesis Video's throttling code, and AWS's
//! clock from the Date header of every answer.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_kinesisvideo::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeDeserializationInterceptorContextRef, InterceptorContext},
        },
        orchestrator::HttpResponse,
        retries::classifiers::{ClassifyRetry, RetryAction},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{config_bag::ConfigBag, date_time::Format, error::display::DisplayErrorContext};
use aws_types::service_config::ServiceConfigKey;
use jiff::Timestamp;

use super::{
    assume::Assume,
    budget::{Budget, Call, Calls},
    error::{AwsError, Result, kind},
    place::Role,
};
use crate::clock::{AwsClock, Clock};

/// What a person may set about the connection. Everything else comes from the SDK's own environment and files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The region, where the environment's is not meant.
    pub region: Option<String>,
    /// One endpoint for all services, where neither AWS's own nor the environment's is meant.
    pub endpoint_url: Option<String>,
    /// How many times AWS's default quotas of calls the account has. `None`: once.
    pub quota_factor: Option<u32>,
}

/// What every client of one account and region is made from.
#[derive(Clone, Debug)]
pub struct Connection {
    config: SdkConfig,
    clock: AwsClock,
    /// The account, where it is known.
    account: Option<String>,
    /// How many times AWS's default quotas the account has.
    quota_factor: u32,
    budget: Arc<Budget>,
    budgets: Arc<Mutex<Budgets>>,
    calls: Calls,
}

/// The token buckets of every account and region: two roles of one account share them.
type Budgets = HashMap<(Option<String>, Option<String>), Arc<Budget>>;

/// How long getting a role's credentials may take, with its retries.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(20);

impl Connection {
    /// Loads credentials' sources and settings. Calls nothing yet.
    pub async fn load(settings: &Settings, clock: AwsClock) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            // Each attempt ends at the head of the answer; bodies have their own guard where they are read.
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(4))
                    .operation_attempt_timeout(Duration::from_secs(30))
                    .operation_timeout(Duration::from_secs(120))
                    .build(),
            );
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let factor = settings.quota_factor.unwrap_or(1);
        Self::new(loader.load().await, clock, factor)
    }

    /// A connection to a simulator at `endpoint`: it takes any credentials.
    pub fn to_simulator(endpoint: &str, region: &str, clock: AwsClock) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "sim",
                "sim",
                None,
                None,
                "simulator",
            )))
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .build();
        Self::new(config, clock, 1)
    }

    fn new(config: SdkConfig, clock: AwsClock, quota_factor: u32) -> Self {
        let budget = Arc::new(Budget::new(clock.node().clone(), quota_factor));
        Self {
            config,
            clock,
            account: None,
            quota_factor,
            budget,
            budgets: Arc::default(),
            calls: Calls::default(),
        }
        .with_budget()
    }

    /// With the token buckets of its account and region.
    fn with_budget(mut self) -> Self {
        let key = (self.account.clone(), self.region().map(str::to_owned));
        let new = || Arc::new(Budget::new(self.clock.node().clone(), self.quota_factor));
        self.budget = self
            .budgets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_insert_with(new)
            .clone();
        self
    }

    /// The same with another region, and its token buckets.
    pub fn in_region(&self, region: &str) -> Self {
        let region = Region::new(region.to_owned());
        let config = self.config.to_builder().region(region).build();
        Self {
            config,
            ..self.clone()
        }
        .with_budget()
    }

    /// The same, known to be of this account.
    pub fn of_account(&self, account: String) -> Self {
        Self {
            account: Some(account),
            ..self.clone()
        }
        .with_budget()
    }

    /// The same by a role that is assumed with this connection's identity, in this connection's region. What is made from the
    /// answer shares its credentials.
    pub fn by_role(&self, role: &Role) -> Self {
        let provider = SharedCredentialsProvider::new(Assume::new(self, role));
        let cache = IdentityCache::lazy().load_timeout(CREDENTIALS_WITHIN).build();
        let config = self
            .config
            .to_builder()
            .credentials_provider(provider)
            .identity_cache(cache)
            // What expires expires by our clock.
            .time_source(NodeTime(self.clock.node().clone()))
            .build();
        let same = self.account.as_deref() == Some(role.account());
        let connection = Self {
            config,
            // What was raised, was raised for the operator's own account.
            quota_factor: if same { self.quota_factor } else { 1 },
            ..self.clone()
        };
        connection.of_account(role.account().to_owned())
    }

    /// Makes one call of a client of this connection: waits for the operation's turn, counts the result, and says a failure in
    /// our words.
    pub(super) async fn call<T, E>(
        &self,
        operation: &'static str,
        on: &str,
        send: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.budget.turn(operation).await;
        let result = send.await.map_err(|e| failed(operation, on, e));
        let outcome = result.as_ref().map_or_else(|e| e.kind.name(), |_| "ok");
        self.calls
            .get_or_create(&Call {
                operation,
                result: outcome,
            })
            .inc();
        result
    }

    /// How many calls were made by this connection and those made from it.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The region, where one is known.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(AsRef::as_ref)
    }

    /// AWS's clock, fed by every answer to a client of this connection.
    pub fn clock(&self) -> &AwsClock {
        &self.clock
    }

    /// Whether an endpoint is set for a service, by itself (`AWS_ENDPOINT_URL_S3`) or with all others.
    pub(super) fn has_endpoint(&self, service: &str) -> bool {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let set = |key| self.config.service_config()?.load_config(key);
        self.config.endpoint_url().is_some() || key.ok().and_then(set).is_some()
    }

    /// The SDK's configuration, for the adapters of this folder.
    pub(super) fn sdk(&self) -> &SdkConfig {
        &self.config
    }

    /// The interceptor that reads AWS's clock, for the adapters of this folder.
    pub(super) fn date_interceptor(&self) -> DateInterceptor {
        DateInterceptor {
            clock: self.clock.clone(),
        }
    }
}

/// The node's clock, for the SDK.
#[derive(Debug)]
struct NodeTime(Arc<dyn Clock>);

impl TimeSource for NodeTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// Kinesis Video throttles with codes that the SDK does not retry by itself.
///
/// It goes by the header with the error's type: the SDK's own classifier by code knows only the error of one operation each.
#[derive(Debug)]
pub(super) struct KinesisVideoThrottling;

impl ClassifyRetry for KinesisVideoThrottling {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let code = context
            .response()
            .and_then(|r| r.headers().get("x-amzn-errortype"));
        match code.and_then(|code| code.split(':').next()) {
            Some("ClientLimitExceededException" | "ConnectionLimitExceededException") => {
                RetryAction::throttling_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "Kinesis Video's throttling"
    }
}

/// Feeds AWS's clock.
#[derive(Debug)]
pub(super) struct DateInterceptor {
    clock: AwsClock,
}

impl Intercept for DateInterceptor {
    fn name(&self) -> &'static str {
        "DateInterceptor"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date").and_then(http_date) {
            self.clock.saw(date);
        }
        Ok(())
    }
}

/// A Date header's time.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = aws_smithy_types::DateTime::from_str(text, Format::HttpDate).ok()?;
    Timestamp::from_second(date.secs()).ok()
}

/// An SDK error in our words.
pub(super) fn failed<E>(
    operation: &'static str,
    on: impl Into<String>,
    error: SdkError<E, HttpResponse>,
) -> AwsError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    // What kept the call from being made, where it was a call of ours too.
    if let Some(earlier) = caused_by(&error) {
        return AwsError {
            operation: earlier.operation,
            on: earlier.on.clone(),
            kind: earlier.kind,
            code: earlier.code.clone(),
            message: earlier.message.clone(),
            request_id: earlier.request_id.clone(),
            source: earlier
                .source
                .as_ref()
                .map(|source| DisplayErrorContext(&**source).to_string().into()),
        };
    }
    let status = error.raw_response().map(|r| r.status().as_u16());
    let (code, message, request_id) = match error.as_service_error() {
        Some(e) => (
            e.meta().code().map(Box::from),
            e.meta().message().map(str::to_owned),
            e.meta().extra("aws_request_id").map(Box::from),
        ),
        None => (None, None, None),
    };
    // S3 names the bucket's region where a request came to another, whatever its words.
    let there = error
        .raw_response()
        .and_then(|r| r.headers().get("x-amz-bucket-region"))
        .filter(|_| status == Some(301) || code.as_deref() == Some("AuthorizationHeaderMalformed"));
    let message = match there {
        Some(region) => Some(format!(
            "the bucket is in region {region}: give that as the bucket's region"
        )),
        None => message,
    };
    AwsError {
        operation,
        on: on.into(),
        kind: kind(code.as_deref(), status),
        code,
        message,
        request_id,
        source: Some(error.into()),
    }
}

/// The failure of ours behind a failure: a role's credentials could not be got.
fn caused_by<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a AwsError> {
    std::iter::successors(error.source(), |error| error.source())
        .find_map(|cause| cause.downcast_ref::<AwsError>())
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::{
        error::ErrorMetadata, operation::head_object::HeadObjectError, operation::put_object::PutObjectError,
    };
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::aws::Kind;

    #[test]
    fn a_bucket_elsewhere_is_a_wrong_request_that_names_the_region() {
        let answer = |status: u16| {
            let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
            answer.headers_mut().insert("x-amz-bucket-region", "eu-west-1");
            answer
        };
        let coded = |code| PutObjectError::generic(ErrorMetadata::builder().code(code).build());
        let put = |code, status| {
            failed(
                "s3:PutObject",
                "s3://b/k",
                SdkError::service_error(coded(code), answer(status)),
            )
        };
        let head = HeadObjectError::generic(ErrorMetadata::builder().build());
        for error in [
            put("PermanentRedirect", 301),
            put("AuthorizationHeaderMalformed", 400),
            failed(
                "s3:GetObject",
                "s3://b/k",
                SdkError::service_error(head, answer(301)),
            ),
        ] {
            assert_eq!(error.kind, Kind::Invalid);
            assert!(
                error.to_string().contains("the bucket is in region eu-west-1"),
                "{error}"
            );
        }
        let busy = put("SlowDown", 503);
        assert_eq!((busy.kind, busy.message), (Kind::Throttled, None));
    }
}
