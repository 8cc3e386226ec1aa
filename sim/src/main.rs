//! `kvs-sim`: the simulated AWS, and a camera for it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{Parser, Subcommand};
use kvs_sim::{
    clock::System,
    serve::Services,
    world::{Settings, World},
};

/// Simulated AWS for video archives: Kinesis Video Streams with real media, CloudWatch alarms and S3 on one endpoint.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve all simulated services. Clients need only AWS_ENDPOINT_URL (and any credentials).
    Serve(Serve),
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
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    match Cli::parse().command {
        Command::Serve(serve) => {
            let settings = Settings {
                data: serve.data,
                endpoint: serve.endpoint,
                transition: Duration::from_secs(serve.transition),
                early_evaluation: serve.early_evaluation,
            };
            let services = Services::open(World::new(Arc::new(System), settings))?;
            let listener = tokio::net::TcpListener::bind(serve.listen).await?;
            println!(
                "kvs-sim serves AWS_ENDPOINT_URL=http://{}",
                listener.local_addr()?
            );
            services.serve(listener).await?;
        }
    }
    Ok(())
}
