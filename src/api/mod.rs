//! What users write: the three kinds of `kvs-operator.io/v1alpha1`, their documentation and their CEL rules.
//!
//! May: describe data. May not: behave. No client, no clock, no decision lives here.

mod archive_policy;
pub mod condition;
mod destination;
mod job_template;
pub mod labels;
mod recording;
mod span;
mod stream_configuration;
mod video_stream;

pub use archive_policy::*;
pub use destination::*;
pub use job_template::*;
pub use recording::*;
pub use span::Span;
pub use stream_configuration::*;
pub use video_stream::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of every kind.
pub const GROUP: &str = "kvs-operator.io";

/// The CustomResourceDefinitions of all kinds, in the order in which users meet them.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![VideoStream::crd(), ArchivePolicy::crd(), Recording::crd()]
}
