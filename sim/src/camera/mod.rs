//! A camera: sends a video file to a stream by PutMedia, fragment by fragment, as a real one would.
//!
//! It talks to the service over HTTP only, shares its Matroska reader, and knows nothing of what the service keeps.

pub mod connection;
pub mod footage;
pub mod pace;
pub mod send;
pub mod source;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use self::{connection::Service, footage::Footage, pace::Pace, send::Sender};

/// What to send where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The video file: anything that the `ffmpeg` program reads.
    pub file: PathBuf,
    /// The stream's name. It must exist.
    pub stream: String,
    /// The first frame's time; `None`: now, or where that would end in the future, as long ago as all loops last.
    pub start: Option<Timestamp>,
    /// How fast.
    pub pace: Pace,
    /// How often the file is sent; 0: without end.
    pub loops: u64,
    /// The service.
    pub endpoint: String,
    /// The stream's region.
    pub region: String,
}

/// Sends, until all is sent or `stop` is ready: then the fragment under way is the last. Ends with an error where the service
/// refused anything.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let service = Service {
        endpoint: options.endpoint.clone(),
        region: options.region.clone(),
    };
    let stream = service.stream(&options.stream).await?;
    let footage = {
        let file = options.file.clone();
        tokio::task::spawn_blocking(move || Footage::read(&file)).await??
    };
    let start = match options.start {
        Some(start) => start,
        None if options.pace == Pace::REAL_TIME => Timestamp::now(),
        None if options.loops == 0 => {
            anyhow::bail!("--loop 0 goes on without end: it needs --start, or --speed 1")
        }
        None => {
            let all = footage
                .length
                .saturating_mul(i64::try_from(options.loops).unwrap_or(i64::MAX));
            Timestamp::now().checked_sub(SignedDuration::from_millis(all))?
        }
    };
    println!("{}: {}", options.file.display(), footage.summary());
    println!(
        "to stream {} at {}, from {start}, {}",
        options.stream, options.endpoint, options.pace
    );
    let (say_stop, stopped) = watch::channel(false);
    let sending = Sender::new(
        service,
        stream,
        footage,
        (start, options.pace, options.loops),
        stopped,
    )
    .run();
    tokio::pin!(sending);
    tokio::select! {
        result = &mut sending => return result,
        () = stop => say_stop.send_replace(true),
    };
    sending.await
}
