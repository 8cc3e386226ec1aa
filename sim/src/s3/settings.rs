//! Settings of buckets: kept as the documents that they were set with, checked where AWS's checks matter, and with AWS's
//! answer where there is none.
//!
//! What they ask for is done for default encryption, default retention, tags, and the refusal of public policies and access
//! control lists. Lifecycle, replication, logging, notifications, acceleration and website are kept and answered, not
//! carried out.

use super::{
    S3, answer,
    attributes::set,
    buckets::find,
    error::{Error, Result},
    request::Call,
    settings_rules,
    state::{Bucket, Event},
    xml::Element,
};
use crate::http::{Body, Response};

/// A setting that is one document.
#[derive(Debug)]
pub struct Setting {
    /// What the query calls it, and its name in the state.
    pub query: &'static str,
    /// What its operations are called, after Get, Put and Delete.
    pub operations: &'static str,
    /// The document's root.
    root: &'static str,
    /// The error of GET where there is none; `None`: then there is a default.
    missing: Option<(&'static str, &'static str)>,
    /// Whether it can be deleted.
    deletable: bool,
}

/// All of them.
pub static SETTINGS: [Setting; 13] = [
    Setting {
        query: "accelerate",
        operations: "BucketAccelerateConfiguration",
        root: "AccelerateConfiguration",
        missing: None,
        deletable: false,
    },
    Setting {
        query: "cors",
        operations: "BucketCors",
        root: "CORSConfiguration",
        missing: Some(("NoSuchCORSConfiguration", "The CORS configuration does not exist")),
        deletable: true,
    },
    Setting {
        query: "encryption",
        operations: "BucketEncryption",
        root: "ServerSideEncryptionConfiguration",
        missing: None,
        deletable: true,
    },
    Setting {
        query: "lifecycle",
        operations: "BucketLifecycleConfiguration",
        root: "LifecycleConfiguration",
        missing: Some((
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        )),
        deletable: true,
    },
    Setting {
        query: "logging",
        operations: "BucketLogging",
        root: "BucketLoggingStatus",
        missing: None,
        deletable: false,
    },
    Setting {
        query: "notification",
        operations: "BucketNotificationConfiguration",
        root: "NotificationConfiguration",
        missing: None,
        deletable: false,
    },
    Setting {
        query: "object-lock",
        operations: "ObjectLockConfiguration",
        root: "ObjectLockConfiguration",
        missing: Some((
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        )),
        deletable: false,
    },
    Setting {
        query: "ownershipControls",
        operations: "BucketOwnershipControls",
        root: "OwnershipControls",
        missing: Some((
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
        )),
        deletable: true,
    },
    Setting {
        query: "publicAccessBlock",
        operations: "PublicAccessBlock",
        root: "PublicAccessBlockConfiguration",
        missing: Some((
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        )),
        deletable: true,
    },
    Setting {
        query: "replication",
        operations: "BucketReplication",
        root: "ReplicationConfiguration",
        missing: Some((
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found",
        )),
        deletable: true,
    },
    Setting {
        query: "requestPayment",
        operations: "BucketRequestPayment",
        root: "RequestPaymentConfiguration",
        missing: None,
        deletable: false,
    },
    Setting {
        query: "tagging",
        operations: "BucketTagging",
        root: "Tagging",
        missing: Some(("NoSuchTagSet", "The TagSet does not exist")),
        deletable: true,
    },
    Setting {
        query: "website",
        operations: "BucketWebsite",
        root: "WebsiteConfiguration",
        missing: Some((
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
        )),
        deletable: true,
    },
];

/// Which small objects lifecycle transitions leave alone: a header beside the lifecycle document.
const MINIMUM_HEADER: &str = "x-amz-transition-default-minimum-object-size";

/// That header's name in the state.
const MINIMUM: &str = "lifecycle-minimum-size";

impl S3 {
    pub(super) async fn put_setting(&self, call: &Call, setting: &Setting, body: Body) -> Result<Response> {
        let mut document = call.document(body, setting.root).await?;
        let minimum = call
            .header(MINIMUM_HEADER)
            .unwrap_or("all_storage_classes_128K")
            .to_owned();
        self.store.change(|state| {
            let bucket = find(&state.buckets, &call.bucket)?;
            settings_rules::check(setting.query, &mut document, bucket, state)?;
            let mut events = vec![self.set(call, setting.query, Some(document.document()))];
            if setting.query == "lifecycle" {
                events.push(self.set(call, MINIMUM, Some(minimum.clone())));
            }
            Ok((events, ()))
        })?;
        let mut response = if setting.query == "tagging" {
            answer::no_content()
        } else {
            answer::empty()
        };
        if setting.query == "lifecycle" {
            set(response.headers_mut(), MINIMUM_HEADER, minimum);
        }
        Ok(response)
    }

    pub(super) fn get_setting(&self, call: &Call, setting: &Setting) -> Result<Response> {
        self.bucket(call, |bucket| {
            let text = match (bucket.settings.get(setting.query), setting.missing) {
                (Some(text), _) => text.clone(),
                (None, Some((code, message))) => {
                    return Err(Error::because(code, message).with("BucketName", &call.bucket));
                }
                (None, None) => settings_rules::default(setting.query, setting.root).document(),
            };
            let mut response = answer::text("application/xml", text);
            if let Some(minimum) = bucket
                .settings
                .get(MINIMUM)
                .filter(|_| setting.query == "lifecycle")
            {
                set(response.headers_mut(), MINIMUM_HEADER, minimum);
            }
            Ok(response)
        })
    }

    pub(super) fn delete_setting(&self, call: &Call, setting: &Setting) -> Result<Response> {
        if !setting.deletable {
            return Err(Error::new("MethodNotAllowed"));
        }
        self.store.change(|state| {
            find(&state.buckets, &call.bucket)?;
            Ok((vec![self.set(call, setting.query, None)], ()))
        })?;
        Ok(answer::no_content())
    }

    /// The event that sets or removes a setting.
    pub(super) fn set(&self, call: &Call, name: &str, document: Option<String>) -> Event {
        Event::Setting {
            bucket: call.bucket.clone(),
            name: name.to_owned(),
            document,
        }
    }
}

/// A bucket's setting, if it has it.
pub fn document(bucket: &Bucket, query: &str) -> Option<Element> {
    let root = SETTINGS.iter().find(|s| s.query == query)?.root;
    Element::parse(bucket.settings.get(query)?.as_bytes(), root).ok()
}

/// Whether a bucket blocks public access in one of the four ways.
pub fn blocks(bucket: &Bucket, how: &str) -> bool {
    document(bucket, "publicAccessBlock").is_some_and(|d| d.get(how) == Some("true"))
}

/// Whether a bucket has access control lists at all.
pub fn has_acls(bucket: &Bucket) -> bool {
    let ownership = document(bucket, "ownershipControls");
    let ownership = ownership
        .as_ref()
        .and_then(|d| d.child("Rule"))
        .and_then(|r| r.get("ObjectOwnership"));
    ownership != Some("BucketOwnerEnforced")
}
