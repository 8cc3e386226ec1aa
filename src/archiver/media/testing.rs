//! What the tests of this folder share: real footage where it is at hand, and reading a body in one go.

use std::path::{Path, PathBuf};

use super::{Fragment, FragmentReader, MediaError};

/// Real footage, which the repository does not contain: `shared/media` in a folder above it.
pub fn real(name: &str) -> Option<Vec<u8>> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|a| a.join("shared/media").join(name))
        .find(|p| p.is_file());
    if found.is_none() {
        eprintln!("{name} is not at hand: this test saw no real footage");
    }
    found.map(|path: PathBuf| std::fs::read(path).expect("real footage can be read"))
}

/// All fragments of a body.
pub fn read(body: &[u8]) -> Result<Vec<Fragment>, MediaError> {
    let mut found = vec![];
    let mut reader = FragmentReader::new(0);
    reader.push(body, &mut found)?;
    found.extend(reader.finish()?);
    Ok(found)
}
