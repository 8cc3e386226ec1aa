//! MP4 of fragments, made by the `ffmpeg` program: the simulator has no MP4 writer of its own, so that it shares none with the
//! archiver that is tested against it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use tempfile::NamedTempFile;

use super::clip::is_frame;
use crate::{
    behaviour::Gaps,
    kvs::{
        error::{ApiError, ApiResult},
        mkv::{
            element,
            header::Header,
            ids,
            reader::{Event, Reader},
        },
    },
};

/// What is a gap between the last frame of a fragment and the next fragment, in ms.
const GAP: i64 = 1000;

/// How long a fragment's last frame is shown where the gap behind it is closed, in ms.
const FRAME: i64 = 40;

/// A fragment of a clip.
#[derive(Debug)]
pub struct Part {
    /// Its time on the producer's clock, in ms.
    pub producer: i64,
    /// From there to its last frame, in ms.
    pub length: i64,
    /// Its header.
    pub header: Vec<u8>,
    /// Its Cluster.
    pub body: Vec<u8>,
}

/// What the header of a fragment says.
pub fn header(raw: &[u8]) -> ApiResult<Header> {
    let mut reader = Reader::default();
    reader.push(raw, jiff::Timestamp::UNIX_EPOCH);
    // The header is complete only when a Cluster follows.
    reader.push(&element::unknown_size(ids::CLUSTER), jiff::Timestamp::UNIX_EPOCH);
    match reader.read() {
        Ok(Some(Event::Header { header, .. })) => Ok(header),
        _ => Err(ApiError::internal("a stored fragment has no header")),
    }
}

/// Makes the file. `mark` makes its bytes other ones, where given.
pub fn make(parts: &[Part], header: &Header, mark: Option<&str>, gaps: Gaps) -> ApiResult<NamedTempFile> {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile()?;
    let mut command = Command::new("ffmpeg");
    command.args([
        "-nostdin", "-v", "error", "-y", "-f", "matroska", "-i", "pipe:0", "-map", "0", "-c", "copy",
    ]);
    if header.tracks.iter().any(|t| t.codec_id == "A_MS/ACM") {
        // MP4 has no G.711.
        command.args(["-c:a", "aac"]);
    }
    if let Some(mark) = mark {
        command.args(["-metadata", &format!("comment={mark}")]);
    }
    command
        .args(["-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4"])
        .arg(file.path());
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            ApiError::internal(format!(
                "GetClip needs the ffmpeg program (Debian: apt-get install ffmpeg): {e}"
            ))
        })?;
    let errors = child.stderr.take();
    let errors = std::thread::spawn(move || {
        errors
            .and_then(|e| std::io::read_to_string(e).ok())
            .unwrap_or_default()
    });
    let fed = match child.stdin.take() {
        Some(stdin) => feed(stdin, parts, header, gaps),
        None => Ok(()),
    };
    let status = child.wait()?;
    let errors = errors.join().unwrap_or_default();
    // Its messages say more than that it hung up.
    if !status.success() {
        tracing::info!(errors, "ffmpeg makes no clip");
        let message =
            "One or more frames in the requested clip could not be parsed based on the specified codec.";
        return Err(ApiError::new("InvalidMediaFrameException", 400, message));
    }
    fed?;
    Ok(file)
}

/// All fragments as one Matroska document, on the producer's clock from 0.
fn feed(mut into: impl Write, parts: &[Part], header: &Header, gaps: Gaps) -> ApiResult<()> {
    let Some(first) = parts.first() else { return Ok(()) };
    into.write_all(&first.header)?;
    let (mut left_out, mut end) = (first.producer, first.producer);
    for part in parts {
        let gap = part.producer - end;
        if gaps == Gaps::Closed && gap > GAP {
            left_out += gap - FRAME;
        }
        end = part.producer.saturating_add(part.length);
        let mut cluster = element::element(ids::TIMESTAMP, &(part.producer - left_out).max(0).to_be_bytes());
        let mut reader = Reader::default();
        for bytes in [&part.header, &part.body] {
            reader.push(bytes, jiff::Timestamp::UNIX_EPOCH);
        }
        while let Some(event) = reader.read().map_err(|e| ApiError::internal(e.to_string()))? {
            let Event::Block { block, head, raw } = event else {
                continue;
            };
            let track = header
                .track(block.track)
                .ok_or_else(|| ApiError::internal("a frame without a track"))?;
            for frame in block.frames {
                let frame = &raw[head..][frame];
                if !is_frame(track, frame) {
                    let message = "One or more frames in the requested clip could not be parsed based on the specified codec.";
                    return Err(ApiError::new("InvalidMediaFrameException", 400, message));
                }
                let relative = i16::try_from(header.millis(block.relative.into())).unwrap_or(i16::MAX);
                let mut content = vec![0x80 | block.track as u8];
                content.extend(relative.to_be_bytes());
                content.push(if block.keyframe { 0x80 } else { 0 });
                content.extend_from_slice(frame);
                cluster.extend(element::element(ids::SIMPLE_BLOCK, &content));
            }
        }
        into.write_all(&element::element(ids::CLUSTER, &cluster))?;
    }
    Ok(())
}
