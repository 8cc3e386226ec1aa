//! Where an archive lies, as flags; and what the commands on it share.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::Arc,
};

use clap::ValueEnum;
use serde::Serialize;

use super::{catalogue::Archive, folder::Folder};
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
    /// Tells the result: as JSON if that was asked for, or if nothing was and no terminal reads.
    pub fn tell<T: Serialize>(output: Option<Self>, result: &T, text: impl Fn(&T) -> String) {
        let mut stdout = io::stdout();
        let json = output.map_or_else(|| !stdout.is_terminal(), |output| output == Self::Json);
        let told = if json {
            // Plain fields and strings: there is nothing in a result that JSON cannot say.
            serde_json::to_string(result).unwrap_or_default() + "\n"
        } else {
            text(result)
        };
        // Nobody may be reading any more; the exit code says it too.
        write!(stdout, "{told}").ok();
    }
}

impl Place {
    /// The archive there, or in the folder that it was downloaded to, and AWS's clock. Calls nothing yet.
    pub async fn open(&self, dir: Option<&Path>) -> (Archive, AwsClock) {
        let settings = Settings {
            region: self.region.clone(),
            ..Settings::default()
        };
        let clock = AwsClock::new(Arc::new(System));
        let connection = Connection::load(&settings, clock.clone()).await;
        let bucket = Bucket::new(&connection, &self.bucket, self.expected_bucket_owner.as_deref());
        let mut archive = Archive::new(Arc::new(bucket), &self.prefix);
        if let Some(dir) = dir {
            archive.contents = Arc::new(Folder::new(dir, &archive.prefix));
        }
        (archive, clock)
    }
}
