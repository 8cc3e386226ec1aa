//! Where an archive lies, as flags; and what the commands on it share.

use std::{io::IsTerminal, sync::Arc};

use clap::ValueEnum;

use super::catalogue::Archive;
use crate::{
    aws::{Connection, Settings, objects::Bucket},
    clock::{AwsClock, System},
};

/// Where the archive lies.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The bucket.
    #[arg(long)]
    pub bucket: String,
    /// What every key begins with.
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// The bucket's region. Default: as the AWS SDK finds it.
    #[arg(long)]
    pub region: Option<String>,
    /// The account that must own the bucket.
    #[arg(long)]
    pub expected_bucket_owner: Option<String>,
}

/// How the result is written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One line of JSON.
    Json,
}

impl Output {
    /// JSON if it was asked for, or if nobody was asked and no terminal reads.
    pub fn json(output: Option<Self>) -> bool {
        output.map_or_else(|| !std::io::stdout().is_terminal(), |output| output == Self::Json)
    }
}

impl Place {
    /// The archive there, its bucket, and AWS's clock. Calls nothing yet.
    pub async fn open(&self) -> (Archive, Arc<Bucket>, AwsClock) {
        let settings = Settings {
            region: self.region.clone(),
            ..Settings::default()
        };
        let clock = AwsClock::new(Arc::new(System));
        let connection = Connection::load(&settings, clock.clone()).await;
        let bucket = Bucket::new(&connection, &self.bucket, self.expected_bucket_owner.as_deref());
        let bucket = Arc::new(bucket);
        (Archive::new(bucket.clone(), &self.prefix), bucket, clock)
    }
}
