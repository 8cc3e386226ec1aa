//! Footage to test with: real where it is at hand, made by ffmpeg otherwise.

use std::path::Path;

/// A body as `GetMediaForFragmentList` sends it.
pub struct Footage {
    pub name: String,
    pub body: Vec<u8>,
}

/// Real footage, which the repository does not contain: `shared/media` in a folder above it.
pub fn real(name: &str) -> Option<Footage> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(path) = above.find_map(|a| Some(a.join("shared/media").join(name)).filter(|p| p.is_file()))
    else {
        eprintln!("{name} is not at hand: this test saw no real footage");
        return None;
    };
    Some(Footage {
        name: name.into(),
        body: std::fs::read(path).unwrap(),
    })
}
