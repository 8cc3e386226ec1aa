//! The kinds that more than one controller reads: watched once, kept once (`runtime::cache`).

use kube::ResourceExt;

use crate::{
    api::{JobTemplate, Recording, VideoStream, labels},
    runtime::{Cache, Context},
};

/// What kubectl remembers of an object for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// All of them.
#[derive(Debug)]
pub struct Caches {
    /// Whole, as their controller needs them.
    pub video_streams: Cache<VideoStream>,
    /// Without what only their own controller needs, which reads them live before it decides.
    pub recordings: Cache<Recording>,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            video_streams: Cache::new(|video_stream| {
                video_stream.annotations_mut().remove(LAST_APPLIED);
            }),
            recordings: Cache::new(|recording| {
                recording.annotations_mut().remove(LAST_APPLIED);
                recording.annotations_mut().remove(labels::IDENTITY);
                recording.annotations_mut().remove(labels::STREAM_ARN);
                recording.spec.job = JobTemplate::default();
                if let Some(status) = &mut recording.status {
                    status.conditions.clear();
                }
            }),
        }
    }
}

impl Caches {
    /// Watches until the process is to stop.
    pub async fn run(&self, context: &Context) {
        let (client, stop) = (&context.client, &context.shutdown);
        tokio::join!(
            self.video_streams.run(client.clone(), stop.clone()),
            self.recordings.run(client.clone(), stop.clone()),
        );
    }
}
