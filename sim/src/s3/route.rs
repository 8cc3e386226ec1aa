//! Which of S3's operations a request is: read off its method, its query and what it is about. Pure.

use super::{request::Call, settings::SETTINGS};

/// Parts of a query that make a request one about something else than the content of a bucket or an object, and what the
/// operations are called, for buckets and for objects. Settings of buckets have a table of their own.
const SUBRESOURCES: [(&str, &str, &str); 18] = [
    ("acl", "BucketAcl", "ObjectAcl"),
    ("analytics", "BucketAnalyticsConfiguration", ""),
    ("attributes", "", "ObjectAttributes"),
    ("delete", "Objects", ""),
    ("intelligent-tiering", "BucketIntelligentTieringConfiguration", ""),
    ("inventory", "BucketInventoryConfiguration", ""),
    ("legal-hold", "", "ObjectLegalHold"),
    ("location", "BucketLocation", ""),
    ("metrics", "BucketMetricsConfiguration", ""),
    ("policyStatus", "BucketPolicyStatus", ""),
    ("restore", "", "Object"),
    ("retention", "", "ObjectRetention"),
    ("select", "", "ObjectContent"),
    ("policy", "BucketPolicy", ""),
    ("tagging", "", "ObjectTagging"),
    ("torrent", "", "ObjectTorrent"),
    ("versioning", "BucketVersioning", ""),
    ("versions", "ObjectVersions", ""),
];

/// The name of the operation; `None`: there is none.
pub fn operation(call: &Call) -> Option<String> {
    let method = call.method.as_str();
    if call.bucket.is_empty() {
        return (method == "GET").then(|| "ListBuckets".to_owned());
    }
    if call.key.is_empty() {
        of_bucket(call, method)
    } else {
        of_object(call, method)
    }
}

fn of_bucket(call: &Call, method: &str) -> Option<String> {
    let setting = SETTINGS.iter().find(|s| call.has(s.query)).map(|s| s.operations);
    let other = SUBRESOURCES
        .iter()
        .find(|(query, about, _)| !about.is_empty() && call.has(query))
        .map(|s| s.1);
    let name = match (method, setting.or(other)) {
        ("GET", Some("ObjectVersions")) => "ListObjectVersions",
        ("POST", Some("Objects")) => "DeleteObjects",
        ("GET", Some(about)) => return Some(format!("Get{about}")),
        ("PUT", Some(about)) => return Some(format!("Put{about}")),
        ("DELETE", Some("BucketLifecycleConfiguration")) => "DeleteBucketLifecycle",
        ("DELETE", Some(about)) => return Some(format!("Delete{about}")),
        ("GET", None) if call.has("uploads") => "ListMultipartUploads",
        ("GET", None) if call.param("list-type") == Some("2") => "ListObjectsV2",
        ("GET", None) => "ListObjects",
        ("HEAD", None) => "HeadBucket",
        ("PUT", None) => "CreateBucket",
        ("DELETE", None) => "DeleteBucket",
        _ => return None,
    };
    Some(name.to_owned())
}

fn of_object(call: &Call, method: &str) -> Option<String> {
    let about = SUBRESOURCES
        .iter()
        .find(|(query, _, about)| !about.is_empty() && call.has(query))
        .map(|s| s.2);
    let (upload, copy) = (call.has("uploadId"), call.header("x-amz-copy-source").is_some());
    let name = match (method, about) {
        ("POST", Some("Object")) => "RestoreObject",
        ("POST", Some("ObjectContent")) => "SelectObjectContent",
        ("GET", Some(about)) => return Some(format!("Get{about}")),
        ("PUT", Some(about)) => return Some(format!("Put{about}")),
        ("DELETE", Some(about)) => return Some(format!("Delete{about}")),
        ("PUT", None) if upload && copy => "UploadPartCopy",
        ("PUT", None) if upload => "UploadPart",
        ("PUT", None) if copy => "CopyObject",
        ("PUT", None) => "PutObject",
        ("HEAD", None) => "HeadObject",
        ("GET", None) if upload => "ListParts",
        ("GET", None) => "GetObject",
        ("DELETE", None) if upload => "AbortMultipartUpload",
        ("DELETE", None) => "DeleteObject",
        ("POST", None) if upload => "CompleteMultipartUpload",
        ("POST", None) if call.has("uploads") => "CreateMultipartUpload",
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Body;

    #[test]
    fn operations() {
        for (method, uri, expected) in [
            ("GET", "/", "ListBuckets"),
            ("PUT", "/b", "CreateBucket"),
            ("GET", "/b?list-type=2&prefix=acl", "ListObjectsV2"),
            ("GET", "/b?prefix=x", "ListObjects"),
            ("GET", "/b?versions", "ListObjectVersions"),
            ("GET", "/b?uploads", "ListMultipartUploads"),
            ("PUT", "/b?object-lock", "PutObjectLockConfiguration"),
            ("DELETE", "/b?lifecycle", "DeleteBucketLifecycle"),
            ("PUT", "/b?lifecycle", "PutBucketLifecycleConfiguration"),
            ("GET", "/b?policyStatus", "GetBucketPolicyStatus"),
            ("POST", "/b?delete", "DeleteObjects"),
            ("POST", "/b", ""),
            ("PUT", "/b/k?x-id=PutObject", "PutObject"),
            ("POST", "/b/k?uploads", "CreateMultipartUpload"),
            ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart"),
            ("GET", "/b/k?uploadId=u", "ListParts"),
            ("GET", "/b/k?legal-hold&versionId=v", "GetObjectLegalHold"),
            ("DELETE", "/b/k?tagging", "DeleteObjectTagging"),
            ("POST", "/b/k?restore", "RestoreObject"),
            ("PATCH", "/b/k", ""),
        ] {
            let request = axum::http::Request::builder()
                .method(method)
                .uri(uri)
                .body(Body::empty());
            let (call, _) = Call::read(request.unwrap(), None).unwrap();
            assert_eq!(operation(&call).unwrap_or_default(), expected, "{method} {uri}");
        }
    }
}
