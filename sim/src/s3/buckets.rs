//! Buckets: create, head, list, delete.

use axum::http::header;
use jiff::Timestamp;

use super::{
    S3,
    answer::{self, time},
    attributes::set,
    error::{Error, Result},
    request::Call,
    settings_rules,
    state::{Bucket, Event, State, Versioning},
    xml::Element,
};
use crate::{
    http::{Body, Response},
    world::{ACCOUNT, DEFAULT_REGION},
};

/// The account's canonical user id.
const OWNER: &str = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a";

/// The owner of everything, as an element of this name.
pub fn owner(name: &str) -> Element {
    Element::new(name).text("ID", OWNER).text("DisplayName", ACCOUNT)
}

impl S3 {
    pub(super) async fn create_bucket(&self, call: &Call, body: Body) -> Result<Response> {
        let name = &call.bucket;
        check_name(name)?;
        let body = super::body::document(&call.headers, body).await?;
        let configuration = if body.iter().all(u8::is_ascii_whitespace) {
            Element::new("CreateBucketConfiguration")
        } else {
            Element::parse(&body, "CreateBucketConfiguration")?
        };
        let bucket = new_bucket(call, &configuration, self.world.clock.now())?;
        self.store.change(|state| match state.buckets.get(name) {
            // Creating a bucket again is no error in us-east-1.
            Some(own) if own.region == DEFAULT_REGION && bucket.region == DEFAULT_REGION => Ok((vec![], ())),
            Some(_) => Err(Error::new("BucketAlreadyOwnedByYou").with("BucketName", name)),
            None => Ok((
                vec![Event::Bucket {
                    bucket: name.clone(),
                    as_it_is: Box::new(bucket),
                }],
                (),
            )),
        })?;
        let mut response = answer::empty();
        set(
            response.headers_mut(),
            header::LOCATION.as_str(),
            format!("/{name}"),
        );
        Ok(response)
    }

    pub(super) fn head_bucket(&self, call: &Call) -> Result<Response> {
        let region = self.bucket(call, |bucket| Ok(bucket.region.clone()))?;
        let mut response = answer::empty();
        set(response.headers_mut(), "x-amz-bucket-region", region);
        set(response.headers_mut(), "x-amz-access-point-alias", "false");
        set(response.headers_mut(), "content-type", "application/xml");
        Ok(response)
    }

    pub(super) fn delete_bucket(&self, call: &Call) -> Result<Response> {
        self.store.change(|state| {
            let bucket = find(&state.buckets, &call.bucket)?;
            if !bucket.keys.is_empty() {
                return Err(Error::new("BucketNotEmpty").with("BucketName", &call.bucket));
            }
            Ok((
                vec![Event::BucketGone {
                    bucket: call.bucket.clone(),
                }],
                (),
            ))
        })?;
        Ok(answer::no_content())
    }

    pub(super) fn list_buckets(&self, call: &Call) -> Result<Response> {
        let prefix = call.param("prefix").unwrap_or_default();
        let region = call.param("bucket-region");
        let after = call.param("continuation-token").unwrap_or_default();
        let max = call.number("max-buckets")?.unwrap_or(usize::MAX);
        let mut token = None;
        let mut buckets = Element::new("Buckets");
        self.store.read(|state| {
            let matching = state.buckets.iter().filter(|(name, bucket)| {
                name.starts_with(prefix) && name.as_str() > after && region.is_none_or(|r| r == bucket.region)
            });
            for (name, bucket) in matching {
                if buckets.children.len() == max {
                    token = buckets
                        .children
                        .last()
                        .and_then(|b| b.get("Name"))
                        .map(str::to_owned);
                    break;
                }
                buckets.children.push(
                    Element::new("Bucket")
                        .text("Name", name)
                        .text("CreationDate", time(bucket.created))
                        .text("BucketRegion", &bucket.region),
                );
            }
        });
        let document = Element::new("ListAllMyBucketsResult")
            .push(owner("Owner"))
            .push(buckets)
            .maybe("ContinuationToken", token);
        Ok(answer::xml(&document))
    }

    pub(super) fn get_bucket_location(&self, call: &Call) -> Result<Response> {
        let region = self.bucket(call, |bucket| Ok(bucket.region.clone()))?;
        let mut document = Element::new("LocationConstraint");
        if region != DEFAULT_REGION {
            document.value = region;
        }
        Ok(answer::xml(&document))
    }

    /// Looks at the request's bucket.
    pub(super) fn bucket<T>(&self, call: &Call, look: impl FnOnce(&Bucket) -> Result<T>) -> Result<T> {
        self.store.read(|state| look(find(&state.buckets, &call.bucket)?))
    }
}

/// The bucket of a name.
pub fn find<'a>(buckets: &'a std::collections::BTreeMap<String, Bucket>, name: &str) -> Result<&'a Bucket> {
    buckets
        .get(name)
        .ok_or_else(|| Error::new("NoSuchBucket").with("BucketName", name))
}

/// A bucket as AWS makes it: nothing public, no access control lists, and what the request asks for.
fn new_bucket(call: &Call, configuration: &Element, now: Timestamp) -> Result<Bucket> {
    let wanted = configuration.get("LocationConstraint").filter(|l| !l.is_empty());
    let region = location(wanted, call.region.as_deref().unwrap_or(DEFAULT_REGION))?;
    let mut bucket = Bucket::new(&region, now);
    let ownership = call
        .header("x-amz-object-ownership")
        .unwrap_or("BucketOwnerEnforced");
    if call.header("x-amz-acl").is_some_and(|acl| acl != "private") && ownership == "BucketOwnerEnforced" {
        return Err(Error::because(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        ));
    }
    let mut settings = vec![
        ("ownershipControls", settings_rules::ownership(ownership)),
        ("publicAccessBlock", settings_rules::all_blocked()),
    ];
    if call
        .header("x-amz-bucket-object-lock-enabled")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"))
    {
        bucket.versioning = Versioning::Enabled;
        let lock = Element::new("ObjectLockConfiguration").text("ObjectLockEnabled", "Enabled");
        settings.push(("object-lock", lock));
    }
    if let Some(tags) = configuration.child("Tags") {
        let tags = Element {
            name: "TagSet".to_owned(),
            ..tags.clone()
        };
        settings.push(("tagging", Element::new("Tagging").push(tags)));
    }
    for (name, mut document) in settings {
        settings_rules::check(name, &mut document, &bucket, &State::default())?;
        bucket.settings.insert(name.to_owned(), document.document());
    }
    Ok(bucket)
}

/// The region of a new bucket: what it asks for has to fit the region that the request is signed for.
fn location(wanted: Option<&str>, signed: &str) -> Result<String> {
    match wanted {
        Some("EU") => Ok("eu-west-1".to_owned()),
        Some(DEFAULT_REGION) => Err(Error::because(
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
        )
        .with("LocationConstraint", DEFAULT_REGION)),
        Some(wanted) if signed != DEFAULT_REGION && signed != wanted => Err(illegal_location(wanted)),
        Some(wanted) => Ok(wanted.to_owned()),
        None if signed != DEFAULT_REGION => Err(illegal_location("unspecified")),
        None => Ok(signed.to_owned()),
    }
}

fn illegal_location(wanted: &str) -> Error {
    Error::because(
        "IllegalLocationConstraintException",
        format!(
            "The {wanted} location constraint is incompatible for the region specific endpoint this request was sent to."
        ),
    )
}

/// The rules for names of general purpose buckets.
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let valid = (3..=63).contains(&name.len())
        && name.chars().all(allowed)
        && end(name.chars().next())
        && end(name.chars().last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
        && !name.ends_with("-s3alias");
    if valid {
        Ok(())
    } else {
        Err(Error::new("InvalidBucketName").with("BucketName", name))
    }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names() {
        for name in ["abc", "my.bucket-1", &"a".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            "a..b",
            "10.0.0.1",
            "xn--a",
            &"a".repeat(64),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
