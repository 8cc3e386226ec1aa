//! ffmpeg says what is in a file: every packet by the SHA-256 of its bytes, at its time.

use std::{collections::BTreeMap, io::Write, process::Command};

/// Packets by kind of media, in the order of the file: time in ms from the file's first, and SHA-256.
pub type Packets = BTreeMap<String, Vec<(i64, String)>>;

/// The packets of a file; it must also decode without a message.
pub fn packets(file: &[u8], extension: &str) -> Packets {
    let mut saved = tempfile::Builder::new()
        .suffix(&format!(".{extension}"))
        .tempfile()
        .unwrap();
    saved.write_all(file).unwrap();
    let path = saved.path().to_str().unwrap();
    // Frames as they are: ffmpeg would otherwise fit them to a frame rate that it guesses, and complain about that.
    let decode = "-fps_mode passthrough -enc_time_base -1 -f null -";
    let arguments = ["-v", "warning", "-i", path]
        .into_iter()
        .chain(decode.split_whitespace());
    let (_, said) = ffmpeg(&arguments.collect::<Vec<_>>());
    assert_eq!(said, "", "ffmpeg complains");
    let hashes = "-map 0 -c copy -copyts -f framehash -hash sha256 -";
    let (text, _) = ffmpeg(
        &["-v", "error", "-i", path]
            .into_iter()
            .chain(hashes.split_whitespace())
            .collect::<Vec<_>>(),
    );
    let (mut kinds, mut bases) = (BTreeMap::new(), BTreeMap::new());
    let mut packets: Vec<(u32, i64, String)> = vec![];
    for line in text.lines() {
        if let Some((stream, kind)) = line.strip_prefix("#media_type ").and_then(|l| l.split_once(": ")) {
            kinds.insert(stream.parse::<u32>().unwrap(), kind.to_owned());
        } else if let Some((stream, base)) = line.strip_prefix("#tb ").and_then(|l| l.split_once(": ")) {
            let (num, den) = base.split_once('/').unwrap();
            bases.insert(
                stream.parse::<u32>().unwrap(),
                num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap(),
            );
        } else if !line.starts_with('#') {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let stream = fields[0].parse().unwrap();
            let time = fields[2].parse::<f64>().unwrap() * bases[&stream] * 1000.0;
            packets.push((stream, time.round() as i64, fields[5].to_owned()));
        }
    }
    let zero = packets.iter().map(|p| p.1).min().unwrap_or_default();
    let mut by_kind = Packets::new();
    for (stream, time, hash) in packets {
        by_kind
            .entry(kinds[&stream].clone())
            .or_default()
            .push((time - zero, hash));
    }
    by_kind
}

fn ffmpeg(args: &[&str]) -> (String, String) {
    let output = Command::new("ffmpeg")
        .arg("-nostdin")
        .args(args)
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ffmpeg {args:?}: {said}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), said)
}
