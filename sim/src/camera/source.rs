//! A video file as frames, read through the `ffmpeg` program.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use jiff::Timestamp;

use crate::kvs::mkv::{
    header::Header,
    reader::{Event, Reader},
};

/// A frame; its bytes are in the spool.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its track's number.
    pub track: u64,
    /// Its time since the footage's first frame, in ms.
    pub at: i64,
    /// Whether it is a key frame.
    pub keyframe: bool,
    /// Where its bytes begin in the spool.
    pub offset: u64,
    /// How many they are.
    pub len: usize,
}

/// The first video that is no cover picture, and the first audio.
const STREAMS: [&str; 6] = ["-map", "0:V:0?", "-map", "0:a:0?", "-sn", "-dn"];

/// As they are.
const COPY: [&str; 2] = ["-c", "copy"];

/// The video as H.264 with a key frame every 2 s.
const ENCODE: [&str; 12] = [
    "-c:a",
    "copy",
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-bf",
    "0",
    "-force_key_frames",
    "expr:gte(t,n_forced*2)",
];

/// All frames of a file, in the order of the file.
#[derive(Debug)]
pub struct Source {
    /// What Matroska says of the tracks.
    pub header: Header,
    /// The same as bytes.
    pub raw_header: Vec<u8>,
    /// The frames.
    pub frames: Vec<Frame>,
    /// Their bytes.
    pub spool: File,
}

impl Source {
    /// Reads a file as it is.
    pub fn file(file: &Path) -> anyhow::Result<Self> {
        ensure!(file.exists(), "{} does not exist", file.display());
        let direct = match Self::ffmpeg(file, &COPY) {
            Ok(source) => return Ok(source),
            Err(error) => error,
        };
        // AAC of a transport stream has its configuration in each frame; ffmpeg puts it where Matroska wants it only by way
        // of MP4.
        let mp4 = tempfile::Builder::new().suffix(".mp4").tempfile()?;
        let by_mp4 = command(file.as_os_str(), &COPY)
            .args(["-f", "mp4", "-y"])
            .arg(mp4.path())
            .output()?;
        if !by_mp4.status.success() {
            return Err(direct);
        }
        Self::ffmpeg(mp4.path(), &COPY).map_err(|_| direct)
    }

    /// Reads a file and encodes its video again, with a key frame every 2 s.
    pub fn file_encoded(file: &Path) -> anyhow::Result<Self> {
        Self::ffmpeg(file, &ENCODE)
    }

    fn ffmpeg(file: &Path, codecs: &[&str]) -> anyhow::Result<Self> {
        let mut ffmpeg = command(file.as_os_str(), codecs)
            .args(["-f", "matroska", "pipe:1"])
            .spawn()
            .context("the ffmpeg program is needed to read video files (Debian: apt-get install ffmpeg)")?;
        let errors = ffmpeg.stderr.take().context("ffmpeg's messages")?;
        let errors = std::thread::spawn(move || std::io::read_to_string(errors).unwrap_or_default());
        let output = ffmpeg.stdout.take().context("ffmpeg's output")?;
        let read = Self::matroska(output);
        let status = ffmpeg.wait()?;
        let errors = errors.join().unwrap_or_default();
        ensure!(
            status.success(),
            "ffmpeg cannot make Matroska of {}: {}",
            file.display(),
            errors.trim()
        );
        read.with_context(|| format!("what ffmpeg makes of {}", file.display()))
    }

    fn matroska(mut input: impl Read) -> anyhow::Result<Self> {
        let spool = tempfile::tempfile()?;
        let mut writer = BufWriter::new(spool.try_clone()?);
        let mut reader = Reader::default();
        let (mut header, mut raw_header) = (Header::default(), vec![]);
        let (mut frames, mut offset, mut cluster) = (vec![], 0u64, 0i64);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = input.read(&mut buffer)?;
            if len == 0 {
                break;
            }
            reader.push(&buffer[..len], Timestamp::UNIX_EPOCH);
            while let Some(event) = reader.read()? {
                match event {
                    Event::Header { header: read, raw } => (header, raw_header) = (read, raw.to_vec()),
                    Event::Timestamp { ticks, .. } => cluster = i64::try_from(ticks)?,
                    Event::Block { block, head, raw } => {
                        let at = header.millis(cluster + i64::from(block.relative));
                        for range in block.frames {
                            let bytes = &raw[head..][range];
                            writer.write_all(bytes)?;
                            let (track, keyframe, len) = (block.track, block.keyframe, bytes.len());
                            frames.push(Frame {
                                track,
                                at,
                                keyframe,
                                offset,
                                len,
                            });
                            offset += len as u64;
                        }
                    }
                    _ => {}
                }
            }
        }
        writer.flush()?;
        ensure!(!frames.is_empty(), "there is no video and no audio in it");
        ensure!(
            header.scale == 1_000_000,
            "its unit of time is not the millisecond"
        );
        let first = frames.iter().map(|f| f.at).min().unwrap_or(0);
        frames.iter_mut().for_each(|f| f.at -= first);
        Ok(Self {
            header,
            raw_header,
            frames,
            spool,
        })
    }
}

fn command(file: impl AsRef<OsStr>, codecs: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-fflags", "+genpts", "-i"])
        .arg(file.as_ref());
    command
        .args(STREAMS)
        .args(codecs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
