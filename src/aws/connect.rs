//! How clients are made: one configuration for all services, retries that know Kinesis Video's throttling code, and AWS's
//! clock from the Date header of every answer.

use std::{future::Future, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_kinesisvideo::error::{ProvideErrorMetadata, SdkError};
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
use aws_smithy_types::{config_bag::ConfigBag, date_time::Format};
use aws_types::service_config::ServiceConfigKey;
use jiff::Timestamp;

use super::{
    budget::{Budget, Call, Calls},
    error::{AwsError, Result, kind},
};
use crate::clock::AwsClock;

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

/// What every client of one region is made from.
#[derive(Clone, Debug)]
pub struct Connection {
    config: SdkConfig,
    clock: AwsClock,
    budget: Arc<Budget>,
    calls: Calls,
}

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
        Self::new(loader.load().await, clock, Calls::default(), factor)
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
        Self::new(config, clock, Calls::default(), 1)
    }

    fn new(config: SdkConfig, clock: AwsClock, calls: Calls, quota_factor: u32) -> Self {
        let budget = Arc::new(Budget::new(clock.node().clone(), quota_factor));
        Self {
            config,
            clock,
            budget,
            calls,
        }
    }

    /// The same with another region, with token buckets of its own.
    pub fn in_region(&self, region: &str) -> Self {
        let config = self
            .config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .build();
        let factor = self.budget.factor();
        Self::new(config, self.clock.clone(), self.calls.clone(), factor)
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
    let status = error.raw_response().map(|r| r.status().as_u16());
    let (code, message, request_id) = match error.as_service_error() {
        Some(e) => (
            e.meta().code().map(Box::from),
            e.meta().message().map(str::to_owned),
            e.meta().extra("aws_request_id").map(Box::from),
        ),
        None => (None, None, None),
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
