//! SNS's errors.

use axum::http::StatusCode;

use crate::wire::Fault;

/// A topic or subscription that is not there.
pub fn not_found(what: &str) -> Fault {
    let fault = Fault::sender("NotFound", "NotFoundException", format!("{what} does not exist"));
    Fault {
        status: StatusCode::NOT_FOUND,
        ..fault
    }
}

/// A tagged resource that is not there.
pub fn no_resource() -> Fault {
    let fault = Fault::sender(
        "ResourceNotFound",
        "ResourceNotFoundException",
        "Resource does not exist",
    );
    Fault {
        status: StatusCode::NOT_FOUND,
        ..fault
    }
}

/// A parameter that is missing or has a value that SNS does not take.
pub fn parameter(message: &str) -> Fault {
    Fault::sender(
        "InvalidParameter",
        "InvalidParameterException",
        format!("Invalid parameter: {message}"),
    )
}

/// Too many tags.
pub fn tags() -> Fault {
    Fault::sender(
        "TagLimitExceeded",
        "TagLimitExceededException",
        "Could not complete request: tag quota of per resource exceeded",
    )
}
