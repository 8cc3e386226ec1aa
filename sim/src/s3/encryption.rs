//! How an object is encrypted: the headers that say so. Nothing is encrypted: this is for those who check that it was asked for.

use std::collections::BTreeMap;

use super::{
    error::{Error, Result},
    request::Call,
    settings,
    state::Bucket,
};
use crate::world::ACCOUNT;

const ALGORITHM: &str = "x-amz-server-side-encryption";
const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

/// The headers of a new object: what the request says, else the bucket's default.
pub fn of_new(call: &Call, bucket: &Bucket) -> Result<BTreeMap<String, String>> {
    if call
        .header("x-amz-server-side-encryption-customer-algorithm")
        .is_some()
    {
        return Err(Error::because(
            "NotImplemented",
            "kvs-sim does not implement customer-provided encryption keys.",
        ));
    }
    let settings = settings::document(bucket, "encryption");
    let rule = settings.as_ref().and_then(|s| s.child("Rule"));
    let by_default = rule.and_then(|r| r.child("ApplyServerSideEncryptionByDefault"));
    let default = |name| by_default.and_then(|d| d.get(name));
    let (algorithm, key) = match call.header(ALGORITHM) {
        Some(algorithm) => (algorithm, call.header(KEY)),
        None if call.header(KEY).is_some() => {
            return Err(Error::because(
                "InvalidArgument",
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
            ));
        }
        None => (
            default("SSEAlgorithm").unwrap_or("AES256"),
            default("KMSMasterKeyID"),
        ),
    };
    let mut headers = BTreeMap::from([(ALGORITHM.to_owned(), algorithm.to_owned())]);
    match algorithm {
        "AES256" => {}
        "aws:kms" | "aws:kms:dsse" => {
            headers.insert(KEY.to_owned(), key_arn(key.unwrap_or("aws/s3"), &bucket.region));
            let wanted = call
                .header(BUCKET_KEY)
                .or_else(|| rule.and_then(|r| r.get("BucketKeyEnabled")));
            if wanted.is_some_and(|v| v.eq_ignore_ascii_case("true")) {
                headers.insert(BUCKET_KEY.to_owned(), "true".to_owned());
            }
        }
        _ => {
            return Err(Error::because(
                "InvalidArgument",
                "The encryption method specified is not supported",
            )
            .with("ArgumentName", ALGORITHM)
            .with("ArgumentValue", algorithm));
        }
    }
    Ok(headers)
}

/// S3 answers with a key's ARN, however it was named.
fn key_arn(key: &str, region: &str) -> String {
    if key.starts_with("arn:") {
        key.to_owned()
    } else {
        format!("arn:aws:kms:{region}:{ACCOUNT}:key/{key}")
    }
}
