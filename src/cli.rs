//! The command line: structures only, with the text that people read.

use clap::{Parser, Subcommand};

use crate::{
    archive::{export::Export, find::Find, verify::Verify},
    archiver::command::ArchiveArgs,
    config::Config,
    stream::import::Import,
};

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
    /// Archive one span of one stream into S3.
    ///
    /// Run again after anything, it goes on where it was: nothing is fetched twice, nothing is overwritten. A long span is
    /// archived in several slices. Progress goes to standard error, one line of JSON with the result to standard output.
    ///
    /// Exit codes: 0 committed (archived, verified empty, or with losses that the report and the manifests list); 1 try
    /// again; 2 invalid request; 3 integrity or conflict: something in S3 contradicts what should be there; 4 denied; 5
    /// losses under --fail-on-loss.
    Archive(Box<ArchiveArgs>),
    /// Prove an archive from its documents: every object there and unchanged, every span covered, gaps and losses named.
    ///
    /// Needs s3:ListBucket and s3:GetObject; with s3:ListBucketVersions and s3:GetLifecycleConfiguration it also says why
    /// something is missing. Recordings without a root are reported as open, and checked by their manifests.
    ///
    /// Exit codes: 0 proven; 1 try again; 2 invalid request; 3 not proven; 4 denied.
    Verify(Box<Verify>),
    /// Say which files of an archive hold the footage of a moment, and where in them; else what is nearest.
    ///
    /// Exit codes: 0 found; 1 no footage of then, or try again; 2 invalid request; 3 a document cannot be read; 4 denied.
    Find(Box<Find>),
    /// Join the archived footage of a span into one file that plays, from the archive alone.
    ///
    /// Frames are copied as they are. The file begins and ends with whole fragments (a few seconds each), and it is said what
    /// it really covers, where it has gaps, what came twice, and what was erased, lost or could not be read. Every file that is
    /// read is compared with its SHA-256. Footage that several recordings archived is in the file once.
    ///
    /// Exit codes: 0 written; 1 no footage of then, footage in Glacier, or try again; 2 invalid request, or footage that one
    /// file cannot hold; 3 a document or a file is missing or changed; 4 denied.
    Export(Box<Export>),
    /// Print VideoStreams as YAML for the streams that an account has.
    ///
    /// They say what the streams are: applying them changes no stream, but the operator then adds its ownership tags.
    Import(Import),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Print the JSON schemas of the documents in an archive: one JSON object, a document's name to its schema.
    Schemas,
}
