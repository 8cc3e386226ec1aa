//! Errors as the Kinesis Video services answer them: a name in a header, a status, a message in a JSON body.

use axum::http::{HeaderValue, StatusCode, header};

use crate::{
    behaviour::Denial,
    http::{Body, Response},
};

/// An error as the API answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// AWS's name of the error.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What a person reads.
    pub message: String,
}

/// The result of an operation.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Any error.
    pub fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            status,
            message: message.into(),
        }
    }

    /// InvalidArgumentException.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidArgumentException", 400, message)
    }

    /// ResourceNotFoundException, with the text that AWS has for streams.
    pub fn no_stream() -> Self {
        Self::not_found("The requested stream is not found or not active.")
    }

    /// ResourceNotFoundException.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", 404, message)
    }

    /// ResourceInUseException.
    pub fn in_use(message: impl Into<String>) -> Self {
        Self::new("ResourceInUseException", 400, message)
    }

    /// What the caller may not do.
    pub fn denied(denial: Denial, message: impl Into<String>) -> Self {
        let code = match denial {
            Denial::NotAuthorized => "NotAuthorizedException",
            Denial::AccessDenied => "AccessDeniedException",
        };
        Self::new(code, 401, message)
    }

    /// VersionMismatchException.
    pub fn version_mismatch() -> Self {
        let message =
            "The stream version that you specified is not the latest version. Use DescribeStream to get it.";
        Self::new("VersionMismatchException", 400, message)
    }

    /// NoDataRetentionException.
    pub fn no_data_retention() -> Self {
        Self::new(
            "NoDataRetentionException",
            400,
            "The stream does not retain data (its DataRetentionInHours is 0).",
        )
    }

    /// TagsPerResourceExceededLimitException.
    pub fn too_many_tags() -> Self {
        let message = "You have exceeded the limit of tags that you can associate with the resource (50).";
        Self::new("TagsPerResourceExceededLimitException", 400, message)
    }

    /// ConnectionLimitExceededException.
    pub fn too_many_connections(message: impl Into<String>) -> Self {
        Self::new("ConnectionLimitExceededException", 400, message)
    }

    /// ClientLimitExceededException.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new("ClientLimitExceededException", 400, message)
    }

    /// AccountStreamLimitExceededException.
    pub fn too_many_streams() -> Self {
        let message = "You have reached the maximum number of streams for this account and region.";
        Self::new("AccountStreamLimitExceededException", 400, message)
    }

    /// SerializationException: what came is not the JSON of this operation.
    pub fn serialization(error: &serde_json::Error) -> Self {
        Self::new("SerializationException", 400, error.to_string())
    }

    /// UnknownOperationException: an operation of Kinesis Video that is not simulated.
    pub fn unknown_operation(path: &str) -> Self {
        let message = format!("kvs-sim does not simulate {}.", path.trim_start_matches('/'));
        Self::new("UnknownOperationException", 404, message)
    }

    /// InternalFailure: the simulator itself failed.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::new("InternalFailure", 500, error.to_string())
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        let body = serde_json::json!({ "Message": error.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-amzn-errortype", HeaderValue::from_static(error.code));
        response
    }
}
