//! Access control lists, of which there is next to nothing: a new bucket has them off, as AWS does. Where they are on, a bucket
//! keeps the one that it is given; objects have only their owner's.

use super::{
    S3, answer,
    buckets::{find, owner},
    error::{Error, Result},
    request::Call,
    settings,
    state::Bucket,
    xml::Element,
};
use crate::http::{Body, Response};

const EVERYONE: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

impl S3 {
    pub(super) fn get_bucket_acl(&self, call: &Call) -> Result<Response> {
        self.bucket(call, |bucket| {
            let text = bucket.settings.get("acl").filter(|_| settings::has_acls(bucket));
            Ok(answer::text(
                "application/xml",
                text.cloned().unwrap_or_else(|| list(&[]).document()),
            ))
        })
    }

    pub(super) fn get_object_acl(&self, call: &Call) -> Result<Response> {
        self.bucket(call, |bucket| super::objects::object(bucket, call).map(|_| ()))?;
        Ok(answer::xml(&list(&[])))
    }

    pub(super) async fn put_bucket_acl(&self, call: &Call, body: Body) -> Result<Response> {
        let body = super::body::document(&call.headers, body).await?;
        let document = match call.header("x-amz-acl") {
            Some(canned) => canned_list(canned)?,
            None => Element::parse(&body, "AccessControlPolicy")?,
        };
        self.store.change(|state| {
            let bucket = find(&state.buckets, &call.bucket)?;
            if !settings::has_acls(bucket) {
                return Err(not_supported());
            }
            if is_public(&document) && settings::blocks(bucket, "BlockPublicAcls") {
                return Err(Error::new("AccessDenied"));
            }
            Ok((vec![self.set(call, "acl", Some(document.document()))], ()))
        })?;
        Ok(answer::empty())
    }
}

/// Refuses a list that a new object cannot have.
pub fn check_object(call: &Call, bucket: &Bucket) -> Result<()> {
    let grants = call
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-grant-"));
    match call.header("x-amz-acl") {
        None | Some("bucket-owner-full-control") if !grants => Ok(()),
        _ if !settings::has_acls(bucket) => Err(not_supported()),
        Some("private") if !grants => Ok(()),
        _ => Err(Error::because(
            "NotImplemented",
            "kvs-sim does not implement access control lists of objects.",
        )),
    }
}

fn not_supported() -> Error {
    Error::because("AccessControlListNotSupported", "The bucket does not allow ACLs")
}

/// The list that a canned name stands for.
fn canned_list(name: &str) -> Result<Element> {
    Ok(list(match name {
        "private" | "bucket-owner-full-control" => &[],
        "public-read" => &[(EVERYONE, "READ")],
        "public-read-write" => &[(EVERYONE, "READ"), (EVERYONE, "WRITE")],
        "authenticated-read" => &[(AUTHENTICATED, "READ")],
        "log-delivery-write" => &[(LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")],
        _ => {
            return Err(Error::new("InvalidArgument")
                .with("ArgumentName", "x-amz-acl")
                .with("ArgumentValue", name));
        }
    }))
}

/// A list that gives the owner full control, and these groups these rights.
fn list(groups: &[(&str, &str)]) -> Element {
    let typed = |mut grantee: Element, kind: &str| {
        let schema = "http://www.w3.org/2001/XMLSchema-instance".to_owned();
        grantee.attributes = vec![
            ("xmlns:xsi".to_owned(), schema),
            ("xsi:type".to_owned(), kind.to_owned()),
        ];
        grantee
    };
    let own = Element::new("Grant")
        .push(typed(owner("Grantee"), "CanonicalUser"))
        .text("Permission", "FULL_CONTROL");
    let grants = groups.iter().map(|(group, permission)| {
        let grantee = Element::new("Grantee").text("URI", group);
        Element::new("Grant")
            .push(typed(grantee, "Group"))
            .text("Permission", permission)
    });
    Element::new("AccessControlPolicy")
        .push(owner("Owner"))
        .push(Element::new("AccessControlList").push(own).extend(grants))
}

fn is_public(document: &Element) -> bool {
    let grants = document
        .child("AccessControlList")
        .map(|l| l.children.as_slice())
        .unwrap_or_default();
    let mut grantees = grants
        .iter()
        .filter_map(|grant| grant.child("Grantee")?.get("URI"));
    grantees.any(|uri| uri == EVERYONE || uri == AUTHENTICATED)
}
