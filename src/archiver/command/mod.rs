//! `kvs-operator archive`: in a Job with one request, or by hand with flags.
//!
//! May: connect, wait for a signal, print. May not: decide anything about footage.

mod args;
mod by_hand;
mod show;
mod watch;

use std::{
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

pub use args::ArchiveArgs;

use super::{
    Archiver,
    error::{ArchiveError, Result},
    keeping::Keeping,
    progress::{Nobody, Watcher},
    request::{ArchiveReport, ArchiveRequest, Outcome},
    spool::Spool,
    store::Store,
};
use crate::{
    aws::{
        Connection, Role, Settings, StreamArn,
        footage::{Footage, KinesisVideo},
        objects::Bucket,
    },
    clock::{AwsClock, System},
    runtime::telemetry,
};

/// The exit code of losses under `--fail-on-loss`.
const LOSSES: u8 = 5;

/// Runs the command: prints the report, leaves it as the termination message where there is a place for one.
pub async fn run(args: ArchiveArgs) -> ExitCode {
    telemetry::start();
    if args.dry_run {
        return dry_run(&args).await;
    }
    let watcher = watch::watcher();
    let store = OnceLock::new();
    let report = tokio::select! {
        report = archive(&args, watcher.clone(), &store) => report.unwrap_or_else(|e| ArchiveReport::failed(&e)),
        () = stopped() => ArchiveReport {
            error: Some("stopped by a signal; run it again, and it goes on where it was".into()),
            ..ArchiveReport::new(Outcome::TryAgain)
        },
    };
    // What was dropped in the middle, by a signal or because something beside it failed.
    if let Some(store) = store.get() {
        Store::abandon(store).await;
    }
    watcher.finished(&report);
    let line = report.line();
    // Nobody may be reading any more; the exit code says it too.
    writeln!(std::io::stdout(), "{line}").ok();
    if let Err(e) = leave(&args.termination_log, &line) {
        tracing::error!(error = %e, path = %args.termination_log.display(), "the termination message cannot be written");
    }
    let code = report.outcome.exit_code();
    ExitCode::from(if code == 0 && args.fail_on_loss && report.counts.lost > 0 {
        LOSSES
    } else {
        code
    })
}

async fn archive(
    args: &ArchiveArgs,
    watcher: Arc<watch::Watch>,
    store: &OnceLock<Store>,
) -> Result<ArchiveReport> {
    if let Some(json) = &args.request {
        let request: ArchiveRequest = serde_json::from_str(json).map_err(|e| {
            ArchiveError::Invalid(format!("--request is not a request that this version knows: {e}"))
        })?;
        let stream: StreamArn = parsed(&request.stream_arn)?;
        let role = Role::of(request.role_arn.as_ref(), request.external_id.as_ref());
        let (footage, connection) = connect(Some(stream.region()), role).await;
        let archiver = archiver(args, &request, &stream, footage, &connection, watcher)?;
        store.get_or_init(|| archiver.store.clone());
        return Ok(archiver.archive(&request).await);
    }
    let (request, _, archiver) = by_flags(args, watcher).await?;
    store.get_or_init(|| archiver.store.clone());
    if args.sweep {
        by_hand::sweep(&archiver, request, (args.close, args.late_uploads)).await
    } else {
        by_hand::slices(&archiver, request).await
    }
}

/// Prints what would be done: text for a person, one line of JSON for everything else.
async fn dry_run(args: &ArchiveArgs) -> ExitCode {
    let preview = match by_flags(args, Arc::new(Nobody)).await {
        Ok((request, stream, archiver)) => archiver.preview(&request, &stream).await,
        Err(e) => Err(e),
    };
    let (text, code) = match preview {
        Ok(preview) if std::io::stdout().is_terminal() => (show::text(&preview), 0),
        // Plain structs with text keys: there is nothing in them that JSON cannot say.
        Ok(preview) => (serde_json::to_string(&preview).unwrap_or_default(), 0),
        Err(e) => {
            let report = ArchiveReport::failed(&e);
            (report.line(), report.outcome.exit_code())
        }
    };
    writeln!(std::io::stdout(), "{text}").ok();
    ExitCode::from(code)
}

/// What the flags ask for, and who can do it.
async fn by_flags(
    args: &ArchiveArgs,
    watcher: Arc<dyn Watcher>,
) -> Result<(ArchiveRequest, StreamArn, Archiver)> {
    let named: Option<StreamArn> = args.stream().parse().ok();
    let region = args.region.as_deref().or(named.as_ref().map(StreamArn::region));
    let (footage, connection) = connect(region, args.role()).await;
    let found = match &named {
        Some(arn) => footage.stream(arn).await?,
        None => footage.stream_named(args.stream()).await?,
    };
    let request = args.request(&found.arn)?;
    let archiver = archiver(args, &request, &found.arn, footage, &connection, watcher)?;
    Ok((request, found.arn, archiver))
}

fn parsed(arn: &str) -> Result<StreamArn> {
    arn.parse()
        .map_err(|e: crate::aws::NotAStreamArn| ArchiveError::Invalid(e.to_string()))
}

/// Kinesis Video Streams, by the role if there is one, and the connection for everything else.
async fn connect(region: Option<&str>, role: Option<Role>) -> (Arc<KinesisVideo>, Connection) {
    let settings = Settings {
        region: region.map(Into::into),
        ..Settings::default()
    };
    let connection = Connection::load(&settings, AwsClock::new(Arc::new(System))).await;
    let footage = match role {
        Some(role) => KinesisVideo::new(&connection.by_role(&role)),
        None => KinesisVideo::new(&connection),
    };
    (Arc::new(footage), connection)
}

fn archiver(
    args: &ArchiveArgs,
    request: &ArchiveRequest,
    stream: &StreamArn,
    footage: Arc<KinesisVideo>,
    connection: &Connection,
    watcher: Arc<dyn Watcher>,
) -> Result<Archiver> {
    let s3 = &request.destination.s3;
    let there = connection.in_region(s3.region.as_deref().unwrap_or(stream.region()));
    let bucket = Bucket::new(&there, &s3.bucket, s3.expected_bucket_owner.as_deref());
    Ok(Archiver {
        footage,
        store: Store::new(Arc::new(bucket), connection.clock().node().clone())
            .keeping(Keeping::of(request), connection.clock().clone()),
        clock: connection.clock().clone(),
        spool: Spool::new(args.spool.as_deref())?,
        fragments_per_second: args.fragments_per_second,
        watcher,
    })
}

/// Kubernetes makes the file for the termination message; where there is none, nobody waits for one.
fn leave(path: &Path, line: &str) -> std::io::Result<()> {
    match std::fs::OpenOptions::new().write(true).truncate(true).open(path) {
        Ok(mut file) => file.write_all(line.as_bytes()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Returns when somebody wants the program to end.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        // Without a handler the signal ends the program by itself.
        _ => std::future::pending().await,
    }
}
