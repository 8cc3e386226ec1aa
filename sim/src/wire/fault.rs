//! The errors that the services answer with.

use axum::http::{HeaderValue, StatusCode};

use crate::http::Response;

/// One error answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// The code that clients compare, such as `ResourceNotFound`: what the Query protocol calls it.
    pub code: &'static str,
    /// The name of the error's shape, which the newer protocols carry as `__type`.
    pub shape: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// For people.
    pub message: String,
}

impl Fault {
    /// Marks an answer with the code of the Query protocol, by which the newer protocols' clients know the error too.
    pub fn mark(&self, response: &mut Response) {
        if let Ok(value) = HeaderValue::from_str(&format!("{};{}", self.code, self.who())) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }

    /// Who is to blame.
    pub fn who(&self) -> &'static str {
        if self.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        }
    }

    /// The client's fault, with status 400.
    pub fn sender(code: &'static str, shape: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            shape,
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }

    /// A value that is out of range or malformed.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::sender("ValidationError", "ValidationError", message)
    }

    /// A required parameter is missing.
    pub fn missing(parameter: &str) -> Self {
        Self::sender(
            "MissingParameter",
            "MissingRequiredParameterException",
            format!("The parameter {parameter} is required."),
        )
    }

    /// Parameters that exclude each other.
    pub fn combination(message: impl Into<String>) -> Self {
        Self::sender(
            "InvalidParameterCombination",
            "InvalidParameterCombinationException",
            message,
        )
    }

    /// A value that CloudWatch does not take, or that is not simulated.
    pub fn value(message: impl Into<String>) -> Self {
        Self::sender("InvalidParameterValue", "InvalidParameterValueException", message)
    }

    /// A parameter of AWS's that is not simulated. Saying so is better than ignoring it.
    pub fn not_simulated(what: &str) -> Self {
        Self::value(format!("kvs-sim does not simulate {what}."))
    }

    /// A body or a token that does not have its format.
    pub fn format(message: impl Into<String>) -> Self {
        Self::sender("InvalidFormat", "InvalidFormatFault", message)
    }

    /// Too many calls.
    pub fn throttled() -> Self {
        Self::sender("Throttling", "ThrottlingException", "Rate exceeded")
    }

    /// A paging token that no answer gave.
    pub fn next_token() -> Self {
        Self::sender(
            "InvalidNextToken",
            "InvalidNextToken",
            "The next token specified is invalid.",
        )
    }

    /// An alarm that does not exist.
    pub fn no_alarm(message: impl Into<String>) -> Self {
        let fault = Self::sender("ResourceNotFound", "ResourceNotFound", message);
        Self {
            status: StatusCode::NOT_FOUND,
            ..fault
        }
    }

    /// A tagged resource that does not exist.
    pub fn no_resource(arn: &str) -> Self {
        let fault = Self::sender(
            "ResourceNotFoundException",
            "ResourceNotFoundException",
            format!("Resource {arn} does not exist."),
        );
        Self {
            status: StatusCode::NOT_FOUND,
            ..fault
        }
    }

    /// An operation that is not simulated.
    pub fn unknown_operation(operation: &str) -> Self {
        Self::sender(
            "InvalidAction",
            "UnknownOperationException",
            format!("kvs-sim does not simulate {operation}."),
        )
    }

    /// A request that cannot be decoded.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::sender("SerializationException", "SerializationException", message)
    }

    /// The simulator's own failure, such as a full disk.
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            code: "InternalServiceError",
            shape: "InternalServiceFault",
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: message.into(),
        }
    }
}
