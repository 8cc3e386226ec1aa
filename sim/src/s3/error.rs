//! S3's errors: code, HTTP status and message as AWS writes them.

use axum::http::{HeaderValue, StatusCode, header};

use super::xml::Element;
use crate::http::{Body, Response};

/// A failed request.
#[derive(Clone, Debug)]
pub struct Error {
    /// AWS's name for it.
    pub code: &'static str,
    message: String,
    details: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

/// A request's outcome.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with AWS's usual text for it.
    pub fn new(code: &'static str) -> Self {
        Self {
            code,
            message: text(code).to_owned(),
            details: vec![],
            headers: vec![],
        }
    }

    /// An error with a text of its own.
    pub fn because(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::new(code)
        }
    }

    /// With one more element in the document.
    pub fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.details.push((element, value.into()));
        self
    }

    /// With a header in the answer.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What failed in the simulator itself, such as its disk.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("S3: {error}");
        Self::because(
            "InternalError",
            format!("We encountered an internal error. Please try again. ({error})"),
        )
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status of the code.
    pub fn status(&self) -> StatusCode {
        match self.code {
            "NotModified" => StatusCode::NOT_MODIFIED,
            "PermanentRedirect" => StatusCode::MOVED_PERMANENTLY,
            "AccessDenied" | "InvalidObjectState" | "AllAccessDisabled" => StatusCode::FORBIDDEN,
            "MethodNotAllowed" => StatusCode::METHOD_NOT_ALLOWED,
            "BucketAlreadyExists"
            | "BucketAlreadyOwnedByYou"
            | "BucketNotEmpty"
            | "ConditionalRequestConflict"
            | "InvalidBucketState"
            | "OperationAborted" => StatusCode::CONFLICT,
            "MissingContentLength" => StatusCode::LENGTH_REQUIRED,
            "PreconditionFailed" => StatusCode::PRECONDITION_FAILED,
            "InvalidRange" => StatusCode::RANGE_NOT_SATISFIABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            "NotImplemented" => StatusCode::NOT_IMPLEMENTED,
            "ServiceUnavailable" | "SlowDown" => StatusCode::SERVICE_UNAVAILABLE,
            code if code.starts_with("NoSuch")
                || code.ends_with("NotFoundError")
                || code.ends_with("NotFound") =>
            {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer. `head`: without a body.
    pub fn response(&self, head: bool) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(*name, value);
            }
        }
        if !head && self.status() != StatusCode::NOT_MODIFIED {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            let mut document = Element::new("Error")
                .text("Code", self.code)
                .text("Message", &self.message);
            for (element, value) in &self.details {
                document = document.text(element, value);
            }
            *response.body_mut() = Body::from(document.document());
        }
        response
    }
}

/// AWS's usual text for a code.
fn text(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "BucketAlreadyOwnedByYou" => {
            "Your previous request to create the named bucket succeeded and you already own it."
        }
        "BucketNotEmpty" => "The bucket you tried to delete is not empty",
        "ConditionalRequestConflict" => {
            "The conditional request cannot succeed due to a conflicting operation against this resource."
        }
        "EntityTooSmall" => "Your proposed upload is smaller than the minimum allowed size",
        "IncompleteBody" => {
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        }
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidDigest" => "The Content-MD5 you specified was invalid.",
        "InvalidPart" => {
            "One or more of the specified parts could not be found.  The part may not have been uploaded, \
             or the specified entity tag may not match the part's entity tag."
        }
        "InvalidPartOrder" => {
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        }
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidStorageClass" => "The storage class you specified is not valid",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => {
            "The XML you provided was not well-formed or did not validate against our published schema"
        }
        "MetadataTooLarge" => "Your metadata headers exceed the maximum allowed metadata size",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchUpload" => {
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
             aborted or completed."
        }
        "NoSuchVersion" => "The specified version does not exist.",
        "NotImplemented" => "A header you provided implies functionality that is not implemented",
        "PermanentRedirect" => {
            "The bucket you are attempting to access must be addressed using the specified endpoint. \
             Please send all future requests to this endpoint."
        }
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "SlowDown" => "Please reduce your request rate.",
        _ => "",
    }
}
