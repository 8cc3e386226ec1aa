//! `kvs-sim`: the simulated AWS, and a camera for it.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use kvs_sim::{
    behaviour::Behaviour,
    camera::{self, pace::Pace},
    clock::System,
    own,
    serve::Services,
    world::{Settings, World},
};

const EXAMPLES: &str = "\
Examples:
  kvs-sim serve --data DIR --early-evaluation &
  export AWS_ENDPOINT_URL=http://127.0.0.1:4600 AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
  aws kinesisvideo create-stream --stream-name cam --data-retention-in-hours 24
  kvs-sim put video.mp4 --stream cam
  range=\"TimestampRange={StartTimestamp=$(date -ud '-10 min' +%FT%TZ),EndTimestamp=$(date -u +%FT%TZ)}\"
  aws kinesis-video-archived-media list-fragments --stream-name cam \\
    --fragment-selector FragmentSelectorType=PRODUCER_TIMESTAMP,$range
  aws kinesis-video-archived-media get-clip --stream-name cam \\
    --clip-fragment-selector FragmentSelectorType=PRODUCER_TIMESTAMP,$range clip.mp4
  curl $AWS_ENDPOINT_URL/_kvs-sim/      what else it offers: its ledger, faults on demand, ...

docs/kvs-sim.md goes on from here, with an alarm.";

/// Simulated AWS for video archives: Kinesis Video Streams with real media, CloudWatch alarms with their events, S3, on one endpoint.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve all simulated services. Clients need only AWS_ENDPOINT_URL (and any credentials).
    Serve(Serve),
    /// A camera: send a video file to a stream by PutMedia, cut at key frames. Reads it through the ffmpeg program.
    Put(Put),
}

#[derive(clap::Args)]
struct Serve {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4600")]
    listen: SocketAddr,
    /// Where state is kept; without it nothing survives a restart.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The endpoint as clients reach it. Default: as each request's Host header says.
    #[arg(long)]
    endpoint: Option<String>,
    /// Seconds that a stream stays CREATING, UPDATING or DELETING.
    #[arg(long, default_value_t = 10)]
    transition: u64,
    /// Evaluate alarms every few seconds with what there is, instead of as AWS does: every minute, a minute late.
    #[arg(long)]
    early_evaluation: bool,
    /// How to answer what AWS leaves open: as it was seen to do, or the worst of everything.
    #[arg(long, env = "KVS_SIM_PROFILE", value_name = "aws|hostile", default_value = "aws", value_parser = profile)]
    profile: Behaviour,
    /// A file that changes some of the profile's answers: a JSON object with fields of /_kvs-sim/behaviour.
    #[arg(long, value_name = "FILE")]
    behaviour: Option<PathBuf>,
    /// A role that can be assumed only with an external id (may be given several times). All others anybody can assume.
    #[arg(long, value_name = "ROLE_ARN=ID", value_parser = external_id)]
    external_id: Vec<(String, String)>,
    /// Without AWS's quotas: as many calls a second as the machine can take.
    #[arg(long)]
    no_quotas: bool,
    /// A file of faults on demand: JSON, a rule or a list of rules as /_kvs-sim/faults takes them.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

impl Serve {
    fn settings(&self) -> anyhow::Result<Settings> {
        let mut behaviour = self.profile.clone();
        if let Some(file) = &self.behaviour {
            let json = std::fs::read(file).with_context(|| file.display().to_string())?;
            behaviour = behaviour
                .patched(&json)
                .with_context(|| file.display().to_string())?;
        }
        let faults = match &self.faults {
            Some(file) => {
                let json = std::fs::read(file).with_context(|| file.display().to_string())?;
                own::rules(&json).with_context(|| file.display().to_string())?
            }
            None => vec![],
        };
        Ok(Settings {
            data: self.data.clone(),
            endpoint: self.endpoint.clone(),
            transition: Duration::from_secs(self.transition),
            early_evaluation: self.early_evaluation,
            behaviour,
            external_ids: self.external_id.iter().cloned().collect(),
            quotas: !self.no_quotas,
            faults,
        })
    }
}

#[derive(clap::Args)]
struct Put {
    /// The video file: anything that ffmpeg reads. Its first video and first audio are sent, unchanged where key frames are at
    /// most 10 s apart.
    file: PathBuf,
    /// The stream's name. It must exist.
    #[arg(long)]
    stream: String,
    /// The first frame's time, RFC 3339. Default: now; when faster than real time, now minus the length of all loops.
    #[arg(long)]
    start: Option<Timestamp>,
    /// Seconds of footage to send in a second.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Send without waiting.
    #[arg(long, conflicts_with = "speed")]
    as_fast_as_possible: bool,
    /// How often to send the file; its times go on. 0: without end.
    #[arg(long = "loop", value_name = "N", default_value_t = 1)]
    loops: u64,
    /// The service.
    #[arg(long, env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4600")]
    endpoint: String,
    /// The stream's region.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,
}

/// Ready when someone interrupts or ends the program.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn profile(name: &str) -> Result<Behaviour, String> {
    Behaviour::profile(name).ok_or_else(|| "must be aws or hostile".into())
}

fn external_id(text: &str) -> Result<(String, String), String> {
    let (role, id) = text.split_once('=').ok_or("must be ROLE_ARN=ID")?;
    Ok((role.to_owned(), id.to_owned()))
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Ok(speed),
        _ => Err("must be a number above 0".into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kvs-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(serve) => {
            let services = Services::open(World::new(Arc::new(System), serve.settings()?))?;
            let listener = tokio::net::TcpListener::bind(serve.listen).await?;
            println!(
                "kvs-sim serves AWS_ENDPOINT_URL=http://{}",
                listener.local_addr()?
            );
            services.serve(listener).await?;
        }
        Command::Put(put) => {
            let pace = if put.as_fast_as_possible {
                Pace::AsFastAsPossible
            } else {
                Pace::Speed(put.speed)
            };
            let options = camera::Options {
                file: put.file,
                stream: put.stream,
                start: put.start,
                pace,
                loops: put.loops,
                endpoint: put.endpoint,
                region: put.region,
            };
            camera::run(options, interrupted()).await?;
        }
    }
    Ok(())
}
