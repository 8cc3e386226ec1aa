//! Bucket policies: JSON, kept as it came. Not evaluated: any credentials may do anything. But a policy that would make the
//! bucket public is refused where public policies are blocked, as AWS does by default.

use serde_json::Value;

use super::{
    S3, answer,
    buckets::find,
    error::{Error, Result},
    request::Call,
    settings,
    xml::Element,
};
use crate::http::{Body, Response};

/// The longest policy in bytes.
const MAX_POLICY: usize = 20 * 1024;

impl S3 {
    pub(super) async fn put_bucket_policy(&self, call: &Call, body: Body) -> Result<Response> {
        let text = super::body::document(&call.headers, body).await?;
        let (text, public) = check(&text, &call.bucket)?;
        self.store.change(|state| {
            let bucket = find(&state.buckets, &call.bucket)?;
            if public && settings::blocks(bucket, "BlockPublicPolicy") {
                return Err(Error::because(
                    "AccessDenied",
                    "Access Denied: public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
                ));
            }
            Ok((vec![self.set(call, "policy", Some(text))], ()))
        })?;
        Ok(answer::no_content())
    }

    pub(super) fn get_bucket_policy(&self, call: &Call) -> Result<Response> {
        Ok(answer::text("application/json", self.policy(call)?))
    }

    pub(super) fn get_bucket_policy_status(&self, call: &Call) -> Result<Response> {
        let (_, public) = check(self.policy(call)?.as_bytes(), &call.bucket)?;
        Ok(answer::xml(
            &Element::new("PolicyStatus").text("IsPublic", public),
        ))
    }

    pub(super) fn delete_bucket_policy(&self, call: &Call) -> Result<Response> {
        self.store.change(|state| {
            find(&state.buckets, &call.bucket)?;
            Ok((vec![self.set(call, "policy", None)], ()))
        })?;
        Ok(answer::no_content())
    }

    fn policy(&self, call: &Call) -> Result<String> {
        self.bucket(call, |bucket| {
            bucket.settings.get("policy").cloned().ok_or_else(|| {
                Error::because("NoSuchBucketPolicy", "The bucket policy does not exist")
                    .with("BucketName", &call.bucket)
            })
        })
    }
}

/// Checks a policy. Returns its text, and whether it makes the bucket public.
fn check(text: &[u8], bucket: &str) -> Result<(String, bool)> {
    let malformed = |why: &str| Error::because("MalformedPolicy", why);
    if text.len() > MAX_POLICY {
        return Err(Error::because(
            "PolicyTooLarge",
            "Bucket policy exceeds the maximum allowed document size.",
        ));
    }
    let not_json = || malformed("Policies must be valid JSON and the first byte must be '{'");
    let text = std::str::from_utf8(text).map_err(|_| not_json())?;
    let policy: Value = serde_json::from_str(text).map_err(|_| not_json())?;
    if !policy.is_object() {
        return Err(not_json());
    }
    let mut public = false;
    let statements = policy
        .get("Statement")
        .ok_or_else(|| malformed("Missing required field Statement"))?;
    for statement in list(statements) {
        let field = |name| statement.get(name).filter(|v| !v.is_null());
        if field("Principal").or(field("NotPrincipal")).is_none() {
            return Err(malformed("Missing required field Principal"));
        }
        if field("Action").or(field("NotAction")).is_none() {
            return Err(malformed("Missing required field Action"));
        }
        let effect = statement.get("Effect").and_then(Value::as_str);
        if !matches!(effect, Some("Allow" | "Deny")) {
            return Err(malformed("Invalid effect"));
        }
        let resources = field("Resource").or(field("NotResource"));
        let resources = resources.ok_or_else(|| malformed("Missing required field Resource"))?;
        let ours = format!("arn:aws:s3:::{bucket}");
        let is_ours = |r: &&Value| {
            r.as_str()
                .and_then(|r| r.strip_prefix(&ours))
                .is_some_and(is_inside)
        };
        if !list(resources).all(|r| is_ours(&r)) {
            return Err(malformed("Policy has invalid resource"));
        }
        let everyone = field("Principal").is_some_and(|p| list(p.get("AWS").unwrap_or(p)).any(|p| p == "*"));
        public |= everyone && effect == Some("Allow") && field("Condition").is_none();
    }
    Ok((text.to_owned(), public))
}

fn is_inside(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// A value that may be one or a list.
fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
        .iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let statement = |effect: &str, principal: &str, resource: &str, rest: &str| {
            format!(
                r#"{{"Statement":[{{"Effect":"{effect}","Principal":{principal},"Action":"s3:*","Resource":"{resource}"{rest}}}]}}"#
            )
        };
        let root = r#"{"AWS":"arn:aws:iam::123456789012:root"}"#;
        let tls = r#","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#;
        for (text, expected) in [
            (statement("Allow", "\"*\"", "arn:aws:s3:::b/*", ""), Ok(true)),
            (
                statement("Allow", r#"{"AWS":["*"]}"#, "arn:aws:s3:::b", ""),
                Ok(true),
            ),
            (statement("Deny", "\"*\"", "arn:aws:s3:::b/*", tls), Ok(false)),
            (statement("Allow", root, "arn:aws:s3:::b", ""), Ok(false)),
            (
                statement("Allow", root, "arn:aws:s3:::bb", ""),
                Err("MalformedPolicy"),
            ),
            (
                statement("Perhaps", root, "arn:aws:s3:::b", ""),
                Err("MalformedPolicy"),
            ),
            ("{}".to_owned(), Err("MalformedPolicy")),
            ("[]".to_owned(), Err("MalformedPolicy")),
            ("no".to_owned(), Err("MalformedPolicy")),
        ] {
            let got = check(text.as_bytes(), "b")
                .map(|(_, public)| public)
                .map_err(|e| e.code);
            assert_eq!(got, expected, "{text}");
        }
    }
}
