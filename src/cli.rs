//! The command line: structures only, with the text that people read.

use clap::{Parser, Subcommand};

use crate::config::Config;

/// Archives Amazon Kinesis Video Streams footage to S3: complete, once, soon, provable.
#[derive(Debug, Parser)]
#[command(name = "kvs-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controllers, in a cluster or beside it.
    Controller(Box<Config>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}
