//! Footage to test with: real where it is at hand, otherwise made by ffmpeg.

use std::path::Path;
use std::process::Command;

/// A body as `GetMediaForFragmentList` sends it, and the film that it was cut from.
pub struct Footage {
    pub name: String,
    pub body: Vec<u8>,
    /// A file that ffmpeg reads.
    pub film: Vec<u8>,
}

/// Real footage, which the repository does not contain: `shared/media` in a folder above it.
pub fn real(name: &str) -> Option<Footage> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(path) = above.find_map(|a| Some(a.join("shared/media").join(name)).filter(|p| p.is_file()))
    else {
        eprintln!("{name} is not at hand: this test saw no real footage");
        return None;
    };
    let body = std::fs::read(path).unwrap();
    Some(Footage {
        name: name.into(),
        film: body.clone(),
        body,
    })
}

/// Moving pictures, 25 a second.
pub const PICTURES: &str = "-f lavfi -i testsrc2=size=256x144:rate=25:duration=6";
/// A tone in stereo.
pub const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=6";
/// H.264 as cameras send it, a key frame every two seconds.
pub const H264: &str =
    "-c:v libx264 -preset ultrafast -bf 0 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p";

/// Footage made by ffmpeg from these arguments, cut into fragments of two seconds.
pub fn made(name: &str, arguments: &[&str]) -> Footage {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let film = path("film.mkv");
    let words = arguments.iter().flat_map(|a| a.split_whitespace());
    run(&words.chain(["-fflags", "+bitexact", &film]).collect::<Vec<_>>());
    let cut = "-map 0 -c copy -f segment -segment_time 2 -segment_format matroska -segment_format_options";
    let one = "live=1:cluster_time_limit=60000:cluster_size_limit=500000000";
    let fragments = path("%03d.mkv");
    run(&["-i", &film]
        .into_iter()
        .chain(cut.split_whitespace())
        .chain([one, &fragments])
        .collect::<Vec<_>>());
    let mut body = vec![];
    for k in 0.. {
        let Ok(fragment) = std::fs::read(path(&format!("{k:03}.mkv"))) else {
            break;
        };
        body.extend(fragment);
    }
    Footage {
        name: name.into(),
        body,
        film: std::fs::read(film).unwrap(),
    }
}

fn run(arguments: &[&str]) {
    let mut ffmpeg = Command::new("ffmpeg");
    let output = ffmpeg
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "ffmpeg {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
