//! `kvs-operator`: parses the command line and hands over.

use std::{io::Write, process::ExitCode, sync::Arc};

use clap::Parser;
use kvs_operator::{
    api,
    archive::{self, export::Export, find::Find, verify::Verify},
    archiver::{self, command::ArchiveArgs},
    caches::Caches,
    cli::{Cli, Command},
    config::Config,
    policy, recording,
    runtime::{self, run::Part},
    stream::{self, import::Import},
};

fn main() -> anyhow::Result<ExitCode> {
    // Kubernetes and AWS clients share one TLS library with one provider; a second one anywhere would end in a panic, so it is
    // named here. It fails only where one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().command {
        Command::Controller(config) => controller(*config)?,
        Command::Archive(args) => return Ok(archive(*args)),
        Command::Find(args) => return Ok(find(*args)),
        Command::Export(args) => return Ok(export(*args)),
        Command::Verify(args) => return Ok(verify(*args)),
        Command::Import(args) => import(args)?,
        Command::Crds => print_crds()?,
        Command::Schemas => print_schemas()?,
    }
    Ok(ExitCode::SUCCESS)
}

#[tokio::main]
async fn controller(config: Config) -> anyhow::Result<()> {
    runtime::run(config, |context| -> Vec<Part> {
        let caches = Arc::new(Caches::default());
        vec![
            (
                "videostream",
                Box::pin(stream::run(context.clone(), caches.clone())),
            ),
            (
                "archivepolicy",
                Box::pin(policy::run(context.clone(), caches.clone())),
            ),
            (
                "recording",
                Box::pin(recording::run(context.clone(), caches.clone())),
            ),
            ("watches", Box::pin(async move { caches.run(&context).await })),
        ]
    })
    .await
}

#[tokio::main]
async fn archive(args: ArchiveArgs) -> ExitCode {
    archiver::command::run(args).await
}

#[tokio::main]
async fn find(args: Find) -> ExitCode {
    archive::find::run(args).await
}

#[tokio::main]
async fn export(args: Export) -> ExitCode {
    archive::export::run(args).await
}

#[tokio::main]
async fn verify(args: Verify) -> ExitCode {
    archive::verify::run(args).await
}

#[tokio::main]
async fn import(args: Import) -> anyhow::Result<()> {
    stream::import::run(args, print).await
}

fn print_crds() -> anyhow::Result<()> {
    for crd in api::crds() {
        print(&format!("---\n{}", serde_saphyr::to_string(&crd)?))?;
    }
    Ok(())
}

fn print_schemas() -> anyhow::Result<()> {
    let schemas: std::collections::BTreeMap<_, _> = archive::schema::schemas().into();
    print(&format!("{}\n", serde_json::to_string_pretty(&schemas)?))
}

/// Writes to standard output. A closed pipe (`kvs-operator crds | head`) ends the program well.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}
