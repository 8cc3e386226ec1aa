//! S3: buckets and objects as the operator, the AWS CLI and Terraform use them.
//!
//! Requests come apart in `request`, are told apart here, and are answered in `buckets`, `objects`, `multipart`, `lists` and
//! `tagging`. `state` is what is there, `store` where it is kept. Signatures are not verified: any credentials will do.

mod answer;
mod attributes;
mod body;
mod buckets;
mod checksum;
mod chunked;
mod conditions;
mod error;
mod listing;
mod lists;
mod multipart;
mod objects;
mod range;
mod request;
mod state;
mod store;
mod tagging;
mod xml;

use std::sync::Arc;

use axum::http::Method;

use self::{
    error::{Error, Result},
    request::Call,
    store::Store,
};
use crate::{
    http::{Body, Request, Response},
    world::World,
};

/// S3.
#[derive(Debug)]
pub struct S3 {
    world: Arc<World>,
    store: Store,
    /// The endpoint's own name, under which `BUCKET.NAME` is a bucket.
    host: Option<String>,
}

/// Parts of a query that make a request one about something else than the bucket's or the object's content.
const SUBRESOURCES: [&str; 31] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploads",
    "versioning",
    "versions",
    "website",
];

impl S3 {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>) -> anyhow::Result<Arc<Self>> {
        let store = Store::open(world.settings.data.as_deref())?;
        let endpoint = world
            .settings
            .endpoint
            .as_deref()
            .and_then(|e| e.parse::<axum::http::Uri>().ok());
        let host = endpoint.and_then(|e| e.host().map(str::to_owned));
        Ok(Arc::new(Self { world, store, host }))
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, request: Request) -> Response {
        let head = request.method() == Method::HEAD;
        match self.answer(request).await {
            Ok(response) => response,
            Err(error) => error.response(head),
        }
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        let (call, body) = Call::read(request, self.host.as_deref())?;
        call.check_owner()?;
        let about = SUBRESOURCES.into_iter().find(|name| call.has(name));
        if call.bucket.is_empty() {
            return match call.method {
                Method::GET => self.list_buckets(&call),
                _ => Err(Error::new("MethodNotAllowed")),
            };
        }
        if call.key.is_empty() {
            self.answer_bucket(&call, about, body).await
        } else {
            self.answer_object(&call, about, body).await
        }
    }

    async fn answer_bucket(&self, call: &Call, about: Option<&str>, body: Body) -> Result<Response> {
        match (call.method.as_str(), about) {
            ("PUT", None) => self.create_bucket(call, body).await,
            ("HEAD", _) => self.head_bucket(call),
            ("DELETE", None) => self.delete_bucket(call),
            ("GET", None) if call.param("list-type") == Some("2") => self.list_objects_v2(call),
            ("GET", None) => self.list_objects(call),
            ("GET", Some("location")) => self.get_bucket_location(call),
            ("GET", Some("uploads")) => self.list_uploads(call),
            ("GET", Some("versioning")) => self.get_bucket_versioning(call),
            ("PUT", Some("versioning")) => self.put_bucket_versioning(call, body).await,
            ("POST", Some("delete")) => self.delete_objects(call, body).await,
            (_, about) => Err(not_built(about)),
        }
    }

    async fn answer_object(&self, call: &Call, about: Option<&str>, body: Body) -> Result<Response> {
        let (upload, copy) = (call.has("uploadId"), call.header("x-amz-copy-source").is_some());
        match (call.method.as_str(), about) {
            ("PUT", None) if upload && copy => self.upload_part_copy(call).await,
            ("PUT", None) if upload => self.upload_part(call, body).await,
            ("PUT", None) if copy => self.copy_object(call).await,
            ("PUT", None) => self.put_object(call, body).await,
            ("HEAD", None) => self.get_object(call, true),
            ("GET", None) if upload => self.list_parts(call),
            ("GET", None) => self.get_object(call, false),
            ("DELETE", None) if upload => self.abort_upload(call),
            ("DELETE", None) => self.delete_object(call),
            ("POST", None) if upload => self.complete_upload(call, body).await,
            ("POST", Some("uploads")) => self.create_upload(call),
            ("GET", Some("tagging")) => self.get_object_tagging(call),
            ("PUT", Some("tagging")) => self.put_object_tagging(call, body).await,
            ("DELETE", Some("tagging")) => self.delete_object_tagging(call),
            (_, about) => Err(not_built(about)),
        }
    }
}

/// What AWS has and the simulator has not says so, instead of doing something else.
fn not_built(about: Option<&str>) -> Error {
    match about {
        Some(about) => Error::because(
            "NotImplemented",
            format!("kvs-sim does not implement this request of \"{about}\"."),
        ),
        None => Error::new("MethodNotAllowed"),
    }
}
