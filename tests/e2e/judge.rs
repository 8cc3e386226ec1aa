//! Judges an archive from outside: by kvs-sim's ledger of what PutMedia persisted and by what ffmpeg finds in the files, never
//! by what the archiver says of itself. From the manifests it takes only which files belong to a recording.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{
    aws::{Aws, Persisted},
    shell,
};

/// A frame: its time in ms since 1970 on the camera's clock, and the hash of its bytes.
type Frame = (i64, String);

/// What was judged, for who reads along.
#[derive(Debug)]
pub struct Verdict {
    /// Fragments inside the recording.
    pub fragments: usize,
    /// Video and audio frames in them.
    pub frames: BTreeMap<&'static str, usize>,
    /// Files.
    pub files: usize,
    /// From the first fragment's server time to the last one's, in seconds.
    pub seconds: i64,
}

/// Holds a finished recording against the ledger. Panics with the first difference.
pub fn judge(aws: &Aws, bucket: &str, recording: &Value, work: &Path) -> Verdict {
    let inside = persisted_inside(aws, recording);
    let mut expected: BTreeMap<&'static str, Vec<Frame>> = BTreeMap::new();
    for packet in inside.iter().flat_map(|f| &f.packets) {
        expected
            .entry(kind(&packet.codec_id))
            .or_default()
            .push((packet.timestamp_millis, packet.sha256.clone()));
    }

    let root: Value = parse(&aws.object(bucket, text(&recording["status"]["root"]["key"])));
    let mut files = vec![];
    for manifest in root["manifests"].as_array().expect("the root names manifests") {
        let manifest: Value = parse(&aws.object(bucket, text(&manifest["key"])));
        for object in manifest["objects"].as_array().expect("a manifest names objects") {
            files.push(text(&object["key"]).to_owned());
        }
    }
    // Keys begin with the time of the first frame, so their order is the order of the footage.
    files.sort();
    let unique: std::collections::BTreeSet<_> = files.iter().collect();
    assert_eq!(unique.len(), files.len(), "a file is named twice: {files:?}");

    let mut found: BTreeMap<&'static str, Vec<Frame>> = BTreeMap::new();
    for key in &files {
        for (kind, frames) in frames_of(aws, bucket, key, work) {
            found.entry(kind).or_default().extend(frames);
        }
    }
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>(),
        "the kinds of media that were sent, and that the archive has"
    );
    for (kind, expected) in &expected {
        compare(kind, expected, &found[kind]);
    }
    Verdict {
        fragments: inside.len(),
        frames: expected
            .iter()
            .map(|(kind, frames)| (*kind, frames.len()))
            .collect(),
        files: files.len(),
        seconds: (inside[inside.len() - 1].server_timestamp_millis - inside[0].server_timestamp_millis)
            / 1000,
    }
}

/// The fragments of the ledger whose server time lies in the recording's window, in the order in which KVS numbered them.
fn persisted_inside(aws: &Aws, recording: &Value) -> Vec<Persisted> {
    let millis = |field: &str| -> i64 {
        let time: jiff::Timestamp = text(&recording["spec"][field]).parse().expect("a time");
        time.as_millisecond()
    };
    let (start, end) = (millis("start"), millis("end"));
    let mut inside = aws.ledger(text(&recording["spec"]["streamName"]));
    inside.retain(|f| (start..end).contains(&f.server_timestamp_millis));
    inside.sort_by_key(|f| (f.fragment_number.len(), f.fragment_number.clone()));
    assert!(
        !inside.is_empty(),
        "nothing was persisted inside the recording: the test proves nothing"
    );
    inside
}

fn kind(codec_id: &str) -> &'static str {
    if codec_id.starts_with("V_") {
        "video"
    } else {
        "audio"
    }
}

/// The frames of a file by kind, as ffmpeg finds them; the whole file must decode without a message.
fn frames_of(aws: &Aws, bucket: &str, key: &str, work: &Path) -> BTreeMap<&'static str, Vec<Frame>> {
    let file = work.join(key.replace('/', "_"));
    std::fs::write(&file, aws.object(bucket, key)).expect("the file is written");
    let path = file.to_string_lossy().into_owned();
    // With the frames' own times: else ffmpeg rounds them to a constant rate that it guesses, and complains where two of a
    // camera's uneven frames then fall together.
    let own_times = ["-fps_mode", "passthrough", "-enc_time_base", "-1"];
    let decode = ["-nostdin", "-v", "warning", "-i", &path];
    let decoded = shell::output(
        "ffmpeg",
        &[&decode[..], &own_times, &["-f", "null", "-"]].concat(),
    );
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(
        decoded.status.success() && said.is_empty(),
        "ffmpeg on {key}: {said}"
    );

    let begin = first_frame(key);
    let listing = shell::run(
        "ffmpeg",
        &[
            "-nostdin",
            "-v",
            "error",
            "-i",
            &path,
            "-map",
            "0",
            "-c",
            "copy",
            "-copyts",
            "-f",
            "framehash",
            "-hash",
            "sha256",
            "-",
        ],
    );
    let mut kinds: BTreeMap<u32, &'static str> = BTreeMap::new();
    let mut bases: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    let mut frames: Vec<(u32, i64, String)> = vec![];
    for line in listing.lines() {
        if let Some((stream, kind)) = line.strip_prefix("#media_type ").and_then(|l| l.split_once(": ")) {
            kinds.insert(
                stream.parse().expect("a number"),
                if kind == "video" { "video" } else { "audio" },
            );
        } else if let Some((stream, base)) = line.strip_prefix("#tb ").and_then(|l| l.split_once(": ")) {
            let (numerator, denominator) = base.split_once('/').expect("a fraction");
            let number = |text: &str| text.parse().expect("a number");
            bases.insert(number(stream) as u32, (number(numerator), number(denominator)));
        } else if !line.starts_with('#') {
            // stream, dts, pts, duration, size, hash
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let stream: u32 = fields[0].parse().expect("a number");
            let (numerator, denominator) = bases[&stream];
            let pts: i64 = fields[2].parse().expect("a time");
            frames.push((
                stream,
                (pts * numerator * 1000 + denominator / 2).div_euclid(denominator),
                fields[5].to_owned(),
            ));
        }
    }
    // A file's clock begins anywhere; its first frame is where the key says.
    let zero = frames.iter().map(|f| f.1).min().unwrap_or_default();
    let mut by_kind: BTreeMap<&'static str, Vec<Frame>> = BTreeMap::new();
    for (stream, at, hash) in frames {
        by_kind
            .entry(kinds[&stream])
            .or_default()
            .push((begin + at - zero, hash));
    }
    by_kind
}

/// The time in a key's last part: `{first}_{last}_{id}`, such as `20261123T170112.345Z`.
fn first_frame(key: &str) -> i64 {
    let name = key.rsplit('/').next().unwrap_or_default();
    let first = name.split('_').next().unwrap_or_default();
    let time: jiff::Timestamp = first
        .parse()
        .unwrap_or_else(|e| panic!("{key} begins with a time: {e}"));
    time.as_millisecond()
}

/// Every frame once, in order, its time within a millisecond.
fn compare(kind: &str, expected: &[Frame], found: &[Frame]) {
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(
            expected.1, found.1,
            "{kind} frame {at}: sent at {}, found at {}",
            expected.0, found.0
        );
        assert!(
            (expected.0 - found.0).abs() <= 1,
            "{kind} frame {at}: sent at {}, found at {}",
            expected.0,
            found.0
        );
    }
    assert_eq!(expected.len(), found.len(), "{kind} frames");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}
