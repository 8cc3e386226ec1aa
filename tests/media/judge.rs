//! ffmpeg and mkvmerge as the judges.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

/// The packets of a file by track, in the order of the file: display time in seconds from the file's first, and MD5.
#[derive(Debug)]
pub struct Packets(BTreeMap<u32, Vec<(f64, String)>>);

fn saved(file: &[u8], extension: &str) -> tempfile::NamedTempFile {
    let mut saved = tempfile::Builder::new()
        .suffix(&format!(".{extension}"))
        .tempfile()
        .unwrap();
    saved.write_all(file).unwrap();
    saved
}

fn ffmpeg(arguments: &[&str]) -> (String, String) {
    let output = Command::new("ffmpeg")
        .arg("-nostdin")
        .args(arguments)
        .output()
        .expect("ffmpeg is installed");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {error}");
    (String::from_utf8(output.stdout).unwrap(), error)
}

impl Packets {
    pub fn of(file: &[u8], extension: &str) -> Self {
        let saved = saved(file, extension);
        let path = saved.path().to_str().unwrap();
        let arguments = [
            "-v",
            "error",
            "-copyts",
            "-i",
            path,
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "framehash",
            "-hash",
            "md5",
            "-",
        ];
        let (text, _) = ffmpeg(&arguments);
        let mut bases: BTreeMap<u32, f64> = BTreeMap::new();
        let mut tracks: BTreeMap<u32, Vec<(f64, String)>> = BTreeMap::new();
        for line in text.lines() {
            if let Some(base) = line.strip_prefix("#tb ") {
                let (track, base) = base.split_once(": ").unwrap();
                let (num, den) = base.split_once('/').unwrap();
                bases.insert(
                    track.parse().unwrap(),
                    num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap(),
                );
            } else if !line.starts_with('#') {
                let fields: Vec<&str> = line.split(',').map(str::trim).collect();
                let track = fields[0].parse().unwrap();
                let time = fields[2].parse::<f64>().unwrap() * bases[&track];
                tracks
                    .entry(track)
                    .or_default()
                    .push((time, fields[5].to_owned()));
            }
        }
        let first = tracks
            .values()
            .flatten()
            .map(|p| p.0)
            .fold(f64::INFINITY, f64::min);
        for packet in tracks.values_mut().flatten() {
            packet.0 -= first;
        }
        assert!(!tracks.is_empty(), "no packet in {path}");
        Self(tracks)
    }
}

/// Every packet once, in order, at its time within a millisecond.
pub fn assert_same(name: &str, source: &Packets, found: &Packets) {
    assert_eq!(
        source.0.keys().collect::<Vec<_>>(),
        found.0.keys().collect::<Vec<_>>(),
        "{name}: tracks"
    );
    for (track, source) in &source.0 {
        let found = &found.0[track];
        let hashes = |packets: &[(f64, String)]| packets.iter().map(|p| p.1.clone()).collect::<Vec<_>>();
        assert!(
            hashes(source) == hashes(found),
            "{name}: {} packets of track {track} became {}",
            source.len(),
            found.len()
        );
        for (k, (a, b)) in source.iter().zip(found).enumerate() {
            assert!(
                (a.0 - b.0).abs() < 0.001_01,
                "{name}: packet {k} of track {track} at {} is at {}",
                a.0,
                b.0
            );
        }
    }
}

/// Decoded from the first frame to the last without a message, and read by mkvmerge without a warning.
pub fn assert_decodes(file: &[u8], extension: &str) {
    let saved = saved(file, extension);
    let copy = tempfile::NamedTempFile::with_suffix(".mkv").unwrap();
    let merged = Command::new("mkvmerge")
        .args(["-q", "-o"])
        .args([copy.path(), saved.path()])
        .output();
    let merged = merged.expect("mkvmerge is installed");
    assert!(
        merged.status.success(),
        "mkvmerge: {}",
        String::from_utf8_lossy(&merged.stdout)
    );
    let (_, error) = ffmpeg(&[
        "-v",
        "error",
        "-i",
        saved.path().to_str().unwrap(),
        "-map",
        "0",
        "-f",
        "null",
        "-",
    ]);
    assert_eq!(error, "", "decoding says something");
}

/// The hashes of a file's decoded pictures.
pub fn pictures(file: &[u8], extension: &str) -> Vec<String> {
    let saved = saved(file, extension);
    let path = saved.path().to_str().unwrap();
    let (text, _) = ffmpeg(&[
        "-v",
        "error",
        "-i",
        path,
        "-map",
        "0:v",
        "-f",
        "framehash",
        "-hash",
        "md5",
        "-",
    ]);
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines
        .filter_map(|l| Some(l.rsplit(',').next()?.trim().to_owned()))
        .collect()
}

/// What ffprobe says of the file as a whole.
pub fn format_tags(file: &[u8], extension: &str) -> BTreeMap<String, String> {
    let saved = saved(file, extension);
    let probe = [
        "-v",
        "error",
        "-show_entries",
        "format_tags",
        "-of",
        "default=noprint_wrappers=1",
    ];
    let output = Command::new("ffprobe")
        .args(probe)
        .arg(saved.path())
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let tags = text
        .lines()
        .filter_map(|l| l.strip_prefix("TAG:")?.split_once('='));
    tags.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
