//! S3: buckets and objects as the operator, the AWS CLI and Terraform use them.
//!
//! A request comes apart in `request`, gets its operation's name in `route`, and is answered in the file that is called like
//! what it is about. `state` is what is there, `store` where it is kept. Signatures are not verified: any credentials will do.

mod acl;
mod answer;
mod attributes;
mod body;
mod buckets;
mod checksum;
mod chunked;
mod completion;
mod conditions;
mod copying;
mod deletion;
mod encryption;
mod error;
mod inspection;
mod listing;
mod lists;
mod lock;
mod multipart;
mod objects;
mod policy;
mod range;
mod request;
mod route;
mod settings;
mod settings_rules;
mod state;
mod store;
mod tagging;
mod versions;
mod xml;

use std::sync::Arc;

use axum::http::{Method, request::Parts};

use self::{
    error::{Error, Result},
    request::Call,
    settings::SETTINGS,
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

    /// The operation that a request is for, where there is one: rules and counts name it.
    pub fn operation(&self, parts: &Parts) -> Option<String> {
        route::operation(&Call::of(parts.clone(), self.host.as_deref()).ok()?)
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
        let operation = route::operation(&call).ok_or_else(|| Error::new("MethodNotAllowed"))?;
        if operation != "CreateBucket" && operation != "GetBucketLocation" {
            self.check_region(&call)?;
        }
        let call = &call;
        match operation.as_str() {
            "ListBuckets" => self.list_buckets(call),
            "CreateBucket" => self.create_bucket(call, body).await,
            "HeadBucket" => self.head_bucket(call),
            "DeleteBucket" => self.delete_bucket(call),
            "GetBucketLocation" => self.get_bucket_location(call),
            "GetBucketVersioning" => self.get_bucket_versioning(call),
            "PutBucketVersioning" => self.put_bucket_versioning(call, body).await,
            "GetBucketPolicy" => self.get_bucket_policy(call),
            "PutBucketPolicy" => self.put_bucket_policy(call, body).await,
            "DeleteBucketPolicy" => self.delete_bucket_policy(call),
            "GetBucketPolicyStatus" => self.get_bucket_policy_status(call),
            "GetBucketAcl" => self.get_bucket_acl(call),
            "PutBucketAcl" => self.put_bucket_acl(call, body).await,
            "ListObjectsV2" => self.list_objects_v2(call),
            "ListObjects" => self.list_objects(call),
            "ListObjectVersions" => self.list_object_versions(call),
            "ListMultipartUploads" => self.list_uploads(call),
            "DeleteObjects" => self.delete_objects(call, body).await,
            "PutObject" => self.put_object(call, body).await,
            "CopyObject" => self.copy_object(call).await,
            "GetObject" => self.get_object(call, false),
            "HeadObject" => self.get_object(call, true),
            "DeleteObject" => self.delete_object(call),
            "GetObjectAcl" => self.get_object_acl(call),
            "GetObjectAttributes" => self.get_object_attributes(call),
            "GetObjectTagging" => self.get_object_tagging(call),
            "PutObjectTagging" => self.put_object_tagging(call, body).await,
            "DeleteObjectTagging" => self.delete_object_tagging(call),
            "GetObjectRetention" => self.get_object_retention(call),
            "PutObjectRetention" => self.put_object_retention(call, body).await,
            "GetObjectLegalHold" => self.get_object_legal_hold(call),
            "PutObjectLegalHold" => self.put_object_legal_hold(call, body).await,
            "CreateMultipartUpload" => self.create_upload(call),
            "UploadPart" => self.upload_part(call, body).await,
            "UploadPartCopy" => self.upload_part_copy(call).await,
            "CompleteMultipartUpload" => self.complete_upload(call, body).await,
            "AbortMultipartUpload" => self.abort_upload(call),
            "ListParts" => self.list_parts(call),
            other => self.answer_setting(call, other, body).await,
        }
    }

    async fn answer_setting(&self, call: &Call, operation: &str, body: Body) -> Result<Response> {
        let setting = SETTINGS.iter().find(|s| call.key.is_empty() && call.has(s.query));
        match (setting, &call.method) {
            (Some(setting), &Method::GET) => self.get_setting(call, setting),
            (Some(setting), &Method::PUT) => self.put_setting(call, setting, body).await,
            (Some(setting), &Method::DELETE) => self.delete_setting(call, setting),
            // What AWS has and the simulator has not says so, instead of doing something else.
            _ => Err(Error::because(
                "NotImplemented",
                format!("kvs-sim does not implement {operation}."),
            )),
        }
    }

    /// Refuses a request that is signed for another region than the bucket's.
    fn check_region(&self, call: &Call) -> Result<()> {
        let region = self
            .store
            .read(|state| state.buckets.get(&call.bucket).map(|b| b.region.clone()));
        match (region, &call.region) {
            (Some(region), Some(signed)) if region != *signed => Err(Error::new("PermanentRedirect")
                .with("Endpoint", format!("{}.s3.{region}.amazonaws.com", call.bucket))
                .with("Bucket", &call.bucket)
                .header("x-amz-bucket-region", region)),
            _ => Ok(()),
        }
    }
}
