//! `kvs-operator import`: VideoStreams for the streams that an account has, as YAML for GitOps.
//!
//! They say what the streams are, so that applying them changes no stream; the operator only adds its ownership tags.

use std::collections::BTreeMap;

use super::plan::Beside;
use crate::{
    api::{StreamStorageConfiguration, VideoStream, VideoStreamSpec},
    aws::{
        self, AwsError, Connection, Kind, Settings, Streams,
        streams::{Sdk, Stream, StreamStatus},
    },
    clock::{AwsClock, Clock, System},
    names, owner,
};

/// What to import.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The region. Default: as the AWS SDK finds it.
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// Only streams whose names begin so.
    #[arg(long, default_value = "")]
    prefix: String,
    /// An endpoint for all AWS services instead of AWS's own.
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    aws_endpoint_url: Option<String>,
}

/// What the account has of one stream.
#[derive(Debug)]
struct Found {
    stream: Stream,
    tags: BTreeMap<String, String>,
    beside: Beside,
    /// What could not be read, and so is not managed by what is printed.
    denied: Vec<AwsError>,
}

/// Prints the YAML of every stream, as soon as it is known.
///
/// # Errors
/// AWS cannot be asked, or the output cannot be written.
pub async fn run(args: Import, mut print: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let clock = AwsClock::new(std::sync::Arc::new(System) as std::sync::Arc<dyn Clock>);
    let settings = Settings {
        region: args.region,
        endpoint_url: args.aws_endpoint_url,
        ..Settings::default()
    };
    let connection = Connection::load(&settings, clock).await;
    let Some(region) = connection.region().map(str::to_owned) else {
        anyhow::bail!("no AWS region is set: give --region or AWS_REGION");
    };
    let streams = Sdk::new(&connection);
    for stream in streams.list(&args.prefix).await? {
        if stream.status == StreamStatus::Deleting {
            continue;
        }
        // Between the listing and this look it may have gone.
        let Some(tags) = streams.tags(&stream.arn).await? else {
            continue;
        };
        let found = look(&streams, stream, tags).await?;
        print(&document(&found, &region)?)?;
    }
    Ok(())
}

async fn look(
    streams: &dyn Streams,
    stream: Stream,
    tags: BTreeMap<String, String>,
) -> anyhow::Result<Found> {
    let mut denied = vec![];
    let tier = unless_denied(streams.tier(&stream.arn).await, &mut denied)?;
    let images = unless_denied(streams.images(&stream.arn).await, &mut denied)?.flatten();
    let notification = unless_denied(streams.notification(&stream.arn).await, &mut denied)?.flatten();
    Ok(Found {
        stream,
        tags,
        beside: Beside {
            tier,
            images,
            notification,
        },
        denied,
    })
}

/// What may not be read is noted and left out.
fn unless_denied<T>(result: aws::Result<T>, denied: &mut Vec<AwsError>) -> aws::Result<Option<T>> {
    match result {
        Err(error) if error.kind == Kind::Denied => {
            denied.push(error);
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// The YAML document of one stream, with comments on what a reader should know.
fn document(found: &Found, region: &str) -> anyhow::Result<String> {
    let mut text = String::from("---\n");
    if let Some(owner) = owner::Owner::named(&found.tags) {
        text.push_str(&format!("# Its tags say that it belongs to {owner}.\n"));
    }
    for error in &found.denied {
        text.push_str(&format!(
            "# Not read, and so not managed: {}\n",
            error.stable().replace('\n', " ")
        ));
    }
    text.push_str(&serde_saphyr::to_string(&object(found, region))?);
    Ok(text)
}

/// The VideoStream that says what the stream is.
fn object(found: &Found, region: &str) -> VideoStream {
    let Found {
        stream, tags, beside, ..
    } = found;
    let name = object_name(stream);
    let own = |key: &str| !key.starts_with("aws:") && !key.starts_with(owner::PREFIX);
    let default_key = |key: &String| key.ends_with("alias/aws/kinesisvideo");
    let spec = VideoStreamSpec {
        stream_name: (name != stream.name).then(|| stream.name.clone()),
        region: Some(region.to_owned()),
        data_retention_in_hours: Some(stream.data_retention_in_hours),
        media_type: stream.media_type.clone(),
        device_name: stream.device_name.clone(),
        kms_key_id: stream.kms_key_id.clone().filter(|key| !default_key(key)),
        stream_storage_configuration: beside
            .tier
            .map(|default_storage_tier| StreamStorageConfiguration { default_storage_tier }),
        image_generation_configuration: beside.images.clone(),
        notification_configuration: beside.notification.clone(),
        tags: tags
            .iter()
            .filter(|(key, _)| own(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        ..VideoStreamSpec::default()
    };
    VideoStream::new(&name, spec)
}

/// The stream's own name where Kubernetes takes it, else one derived from it.
fn object_name(stream: &Stream) -> String {
    let name = &stream.name;
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fits = name.len() <= 63
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && edge(name.chars().next())
        && edge(name.chars().next_back());
    if fits {
        name.clone()
    } else {
        names::dns(name, &[name], 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        runtime::Result,
        stream::{
            desired::Desired,
            plan::{Observed, Step, plan},
        },
    };
    use jiff::Timestamp;

    fn found(name: &str) -> Found {
        Found {
            stream: Stream {
                name: name.into(),
                arn: format!("arn:aws:kinesisvideo:eu-west-1:123456789012:stream/{name}/1000000000000"),
                status: StreamStatus::Active,
                version: "v".into(),
                creation_time: None,
                data_retention_in_hours: 168,
                media_type: Some("video/h264".into()),
                device_name: None,
                kms_key_id: Some("arn:aws:kms:eu-west-1:123456789012:alias/aws/kinesisvideo".into()),
            },
            tags: BTreeMap::from([
                ("team".into(), "a".into()),
                ("aws:cloudformation:stack-name".into(), "s".into()),
            ]),
            beside: Beside::default(),
            denied: vec![],
        }
    }

    #[test]
    fn names_stay_where_kubernetes_takes_them() {
        assert_eq!(object_name(&found("front-door").stream), "front-door");
        let derived = object_name(&found("Front_Door").stream);
        assert!(
            derived.starts_with("front-door-") && derived.len() <= 63,
            "{derived}"
        );
        assert_eq!(
            object(&found("Front_Door"), "eu-west-1")
                .spec
                .stream_name
                .as_deref(),
            Some("Front_Door")
        );
        assert_ne!(
            object_name(&found("Front_Door").stream),
            object_name(&found("Front.Door").stream)
        );
    }

    #[test]
    fn what_is_printed_changes_no_stream() -> Result<()> {
        for name in ["front-door", "Front_Door"] {
            let found = found(name);
            let yaml = document(&found, "eu-west-1").unwrap();
            let object: VideoStream = serde_saphyr::from_str(&yaml).unwrap();
            let desired = Desired::of(&object, "cluster", "us-east-1")?;
            let mut tags = found.tags.clone();
            tags.extend(desired.owner_tags.clone());
            let observed = Observed {
                stream: Some((found.stream, tags)),
                ..Observed::default()
            };
            let now = Timestamp::from_second(2_000_000_000).unwrap();
            assert_eq!(plan(&desired, &observed, now).step, Step::Settled, "{yaml}");
        }
        Ok(())
    }
}
