//! AWS's own way to a file, where it can: the same packets in the same order as ours.

use aws_sdk_kinesisvideoarchivedmedia as archived;
use aws_sdk_kinesisvideoarchivedmedia::types::{
    ClipFragmentSelector, ClipFragmentSelectorType, ClipTimestampRange,
};
use aws_smithy_types::DateTime;
use kvs_operator::archiver::request::Outcome;

use super::{
    judge, report,
    sim::{STREAM, Sim},
};

#[tokio::test(flavor = "multi_thread")]
async fn get_clip_of_the_same_span_has_the_same_packets() {
    let sim = Sim::start().await;
    let (from, to) = sim.footage(1).await;

    let config = archived::Config::builder()
        .behavior_version(archived::config::BehaviorVersion::latest())
        .region(archived::config::Region::new("us-east-1"))
        .credentials_provider(archived::config::Credentials::new(
            "sim", "sim", None, None, "test",
        ))
        .endpoint_url(&sim.endpoint)
        .build();
    let at = |time: jiff::Timestamp| DateTime::from_millis(time.as_millisecond());
    let range = ClipTimestampRange::builder()
        .start_timestamp(at(from))
        .end_timestamp(at(to))
        .build()
        .unwrap();
    let selector = ClipFragmentSelector::builder()
        .fragment_selector_type(ClipFragmentSelectorType::ServerTimestamp)
        .timestamp_range(range)
        .build()
        .unwrap();
    let clip = archived::Client::from_conf(config)
        .get_clip()
        .stream_name(STREAM)
        .clip_fragment_selector(selector);
    let clip = clip.send().await.unwrap().payload.collect().await.unwrap();

    let output = sim.archive(from, to, &["--clip-duration", "1h"]).await;
    assert_eq!(report(&output).outcome, Outcome::Committed);
    let files = sim.keys("stream=").await;
    assert_eq!(files.len(), 1, "{files:?}");
    let ours = sim.object(&files[0]).await;

    let hashes = |file: &[u8]| -> Vec<(String, Vec<String>)> {
        let packets = judge::packets(file, "mp4").into_iter();
        packets
            .map(|(kind, found)| (kind, found.into_iter().map(|packet| packet.1).collect()))
            .collect()
    };
    let (ours, theirs) = (hashes(&ours), hashes(&clip.into_bytes()));
    assert_eq!(ours.len(), 2, "pictures and sound");
    assert!(ours == theirs, "the same packets in the same order");
}
