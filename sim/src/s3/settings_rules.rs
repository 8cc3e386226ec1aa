//! What AWS checks about a bucket's settings, and how it writes them down. Pure.

use super::{
    attributes::check_tags,
    error::{Error, Result},
    state::{Bucket, State, Versioning},
    tagging,
    xml::Element,
};

/// Checks a setting, and completes it as AWS does.
pub fn check(query: &str, document: &mut Element, bucket: &Bucket, state: &State) -> Result<()> {
    match query {
        "accelerate" => one_of(document, "Status", &["Enabled", "Suspended"]),
        "cors" => each(document, "CORSRule", |rule| {
            let has = |name| rule.child(name).is_some();
            if has("AllowedMethod") && has("AllowedOrigin") {
                Ok(())
            } else {
                Err(malformed())
            }
        }),
        "encryption" => encryption(document),
        "lifecycle" => lifecycle(document),
        "logging" => logging(document, state),
        "object-lock" => object_lock(document, bucket),
        "ownershipControls" => each(document, "Rule", |rule| {
            let known = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];
            one_of(rule, "ObjectOwnership", &known)
        }),
        "publicAccessBlock" => public_access_block(document),
        "replication" if bucket.versioning != Versioning::Enabled => Err(Error::because(
            "InvalidRequest",
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
        )),
        "replication" => each(document, "Rule", give_id),
        "requestPayment" => one_of(document, "Payer", &["BucketOwner", "Requester"]),
        "tagging" => check_tags(&tagging::read(document)?, 50),
        "website" => {
            let has = |name| document.child(name).is_some();
            let valid = has("IndexDocument") || has("RedirectAllRequestsTo");
            if valid { Ok(()) } else { Err(malformed()) }
        }
        _ => Ok(()),
    }
}

/// What GET answers where nothing was set.
pub fn default(query: &str, root: &str) -> Element {
    match query {
        "encryption" => Element::new(root).push(
            Element::new("Rule")
                .push(Element::new("ApplyServerSideEncryptionByDefault").text("SSEAlgorithm", "AES256"))
                .text("BucketKeyEnabled", false),
        ),
        "requestPayment" => Element::new(root).text("Payer", "BucketOwner"),
        _ => Element::new(root),
    }
}

/// The public access block of a new bucket.
pub fn all_blocked() -> Element {
    BLOCKS
        .iter()
        .fold(Element::new("PublicAccessBlockConfiguration"), |d, name| {
            d.text(name, true)
        })
}

/// The ownership controls of a new bucket.
pub fn ownership(ownership: &str) -> Element {
    Element::new("OwnershipControls").push(Element::new("Rule").text("ObjectOwnership", ownership))
}

const BLOCKS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

fn malformed() -> Error {
    Error::new("MalformedXML")
}

fn one_of(element: &Element, name: &str, values: &[&str]) -> Result<()> {
    if element.get(name).is_some_and(|v| values.contains(&v)) {
        Ok(())
    } else {
        Err(malformed())
    }
}

/// Checks each child of a name, of which there has to be one.
fn each(document: &mut Element, name: &str, mut check: impl FnMut(&mut Element) -> Result<()>) -> Result<()> {
    let mut some = false;
    for child in document.children.iter_mut().filter(|c| c.name == name) {
        check(child)?;
        some = true;
    }
    if some { Ok(()) } else { Err(malformed()) }
}

fn give_id(rule: &mut Element) -> Result<()> {
    if rule.get("ID").is_none_or(str::is_empty) {
        rule.children.retain(|c| c.name != "ID");
        let id = Element {
            name: "ID".to_owned(),
            value: super::objects::version_id(),
            ..Element::default()
        };
        rule.children.insert(0, id);
    }
    Ok(())
}

fn encryption(document: &mut Element) -> Result<()> {
    each(document, "Rule", |rule| {
        let by_default = rule
            .child("ApplyServerSideEncryptionByDefault")
            .ok_or_else(malformed)?;
        one_of(by_default, "SSEAlgorithm", &["AES256", "aws:kms", "aws:kms:dsse"])?;
        if by_default.get("SSEAlgorithm") == Some("AES256") && by_default.get("KMSMasterKeyID").is_some() {
            return Err(Error::because(
                "InvalidArgument",
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            ));
        }
        if rule.get("BucketKeyEnabled").is_none() {
            rule.children.push(Element {
                value: "false".to_owned(),
                ..Element::new("BucketKeyEnabled")
            });
        }
        Ok(())
    })
}

fn public_access_block(document: &mut Element) -> Result<()> {
    let mut complete = Element::new(&document.name);
    for name in BLOCKS {
        let value = document.get(name).unwrap_or("false").to_ascii_lowercase();
        if value != "true" && value != "false" {
            return Err(malformed());
        }
        complete = complete.text(name, value);
    }
    *document = complete;
    Ok(())
}

fn lifecycle(document: &mut Element) -> Result<()> {
    const ACTIONS: [&str; 5] = [
        "AbortIncompleteMultipartUpload",
        "Expiration",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "Transition",
    ];
    let mut ids: Vec<String> = vec![];
    each(document, "Rule", |rule| {
        one_of(rule, "Status", &["Enabled", "Disabled"])?;
        if !rule.children.iter().any(|c| ACTIONS.contains(&c.name.as_str())) {
            return Err(Error::because(
                "InvalidRequest",
                "At least one action needs to be specified in a rule",
            ));
        }
        give_id(rule)?;
        let id = rule.get("ID").unwrap_or_default().to_owned();
        if ids.contains(&id) {
            return Err(Error::because(
                "InvalidArgument",
                "Rule ID must be unique. Found same ID for one or more rules",
            ));
        }
        ids.push(id);
        Ok(())
    })
}

fn logging(document: &Element, state: &State) -> Result<()> {
    match document.child("LoggingEnabled").map(|l| l.get("TargetBucket")) {
        None => Ok(()),
        Some(Some(bucket)) if state.buckets.contains_key(bucket) => Ok(()),
        Some(bucket) => Err(Error::because(
            "InvalidTargetBucketForLogging",
            "The target bucket for logging does not exist",
        )
        .with("TargetBucket", bucket.unwrap_or_default())),
    }
}

fn object_lock(document: &Element, bucket: &Bucket) -> Result<()> {
    one_of(document, "ObjectLockEnabled", &["Enabled"])?;
    if bucket.versioning != Versioning::Enabled {
        return Err(Error::because(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ));
    }
    let Some(rule) = document.child("Rule") else {
        return Ok(());
    };
    let retention = rule.child("DefaultRetention").ok_or_else(malformed)?;
    one_of(retention, "Mode", &["GOVERNANCE", "COMPLIANCE"])?;
    match (retention.get("Days"), retention.get("Years")) {
        (Some(count), None) | (None, Some(count)) => match count.parse::<i64>() {
            Ok(1..=36_500) => Ok(()),
            Ok(_) => Err(Error::because(
                "InvalidArgument",
                "Default retention period must be a positive integer value.",
            )),
            Err(_) => Err(malformed()),
        },
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(query: &str, xml: &str) -> std::result::Result<String, &'static str> {
        let root = xml[1..].split(['>', '/', ' ']).next().unwrap();
        let mut document = Element::parse(xml.as_bytes(), root).unwrap();
        let mut bucket = Bucket::new("us-east-1", jiff::Timestamp::UNIX_EPOCH);
        bucket.versioning = Versioning::Unversioned;
        match check(query, &mut document, &bucket, &State::default()) {
            Ok(()) => Ok(document.document().split_once('\n').unwrap().1.to_owned()),
            Err(error) => Err(error.code),
        }
    }

    #[test]
    fn refused() {
        for (query, xml, code) in [
            ("lifecycle", "<L/>", "MalformedXML"),
            (
                "lifecycle",
                "<L><Rule><Status>Enabled</Status></Rule></L>",
                "InvalidRequest",
            ),
            (
                "lifecycle",
                "<L><Rule><Status>On</Status><Expiration/></Rule></L>",
                "MalformedXML",
            ),
            ("encryption", "<E><Rule/></E>", "MalformedXML"),
            (
                "object-lock",
                "<O><ObjectLockEnabled>Enabled</ObjectLockEnabled></O>",
                "InvalidBucketState",
            ),
            (
                "logging",
                "<B><LoggingEnabled/></B>",
                "InvalidTargetBucketForLogging",
            ),
            (
                "ownershipControls",
                "<O><Rule><ObjectOwnership>Mine</ObjectOwnership></Rule></O>",
                "MalformedXML",
            ),
            ("replication", "<R/>", "InvalidRequest"),
            ("requestPayment", "<R><Payer>You</Payer></R>", "MalformedXML"),
            ("website", "<W/>", "MalformedXML"),
            ("tagging", "<T/>", "MalformedXML"),
        ] {
            assert_eq!(checked(query, xml), Err(code), "{query} {xml}");
        }
    }

    #[test]
    fn completed_as_aws_does() {
        let block = checked(
            "publicAccessBlock",
            "<P><BlockPublicAcls>TRUE</BlockPublicAcls></P>",
        )
        .unwrap();
        assert!(
            block.contains("<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false<"),
            "{block}"
        );
        let rule = "<L><Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></L>";
        assert!(checked("lifecycle", rule).unwrap().contains("<Rule><ID>"));
    }
}
