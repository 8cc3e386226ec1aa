//! The footage and the camera that streams it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
};

/// Footage with video and audio, 30 s: real footage where it is present, else made by ffmpeg.
pub fn footage(work: &Path) -> PathBuf {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/media/vogels_480.mkv");
    if real.exists() {
        println!("   footage: real, vogels_480.mkv");
        return real;
    }
    println!("   footage: made by ffmpeg (no real footage beside this checkout)");
    let made = work.join("footage.mkv");
    super::shell::run(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tools/demo/footage.sh")
            .to_string_lossy(),
        &[&made.to_string_lossy()],
    );
    made
}

/// A camera that streams in real time; it is stopped when dropped.
pub struct Camera(Child);

impl Camera {
    /// Streams `footage` so many times.
    pub fn start(footage: &Path, stream: &str, loops: u32) -> Self {
        let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/cluster/cluster.sh"))
            .args([
                "exec",
                &std::env::var("KVS_SIM").expect("KVS_SIM names the program"),
                "put",
            ])
            .arg(footage)
            .args(["--stream", stream, "--loop", &loops.to_string()])
            .spawn()
            .expect("the camera starts");
        Self(child)
    }

    /// Whether it has finished; it must not have failed.
    pub fn finished(&mut self) -> bool {
        match self.0.try_wait().expect("the camera can be asked") {
            None => false,
            Some(status) => {
                assert!(status.success(), "the camera failed: {status}");
                true
            }
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // A camera that has finished already cannot be stopped; that is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
