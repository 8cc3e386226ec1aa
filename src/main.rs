//! `kvs-operator`: parses the command line and hands over.

use std::io::Write;

use clap::Parser;
use kvs_operator::{
    api,
    cli::{Cli, Command},
};

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Crds => print_crds(),
    }
}

/// A closed pipe (`kvs-operator crds | head`) is no error.
fn print_crds() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for crd in api::crds() {
        match out.write_all(format!("---\n{}", serde_saphyr::to_string(&crd)?).as_bytes()) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}
