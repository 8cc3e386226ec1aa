//! Files of lines that only grow: what a crash cut off at the end is dropped.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

/// Cuts off what follows the last line end, goes to the end, and returns the last line.
pub fn whole_lines(file: &mut File) -> std::io::Result<Option<String>> {
    let mut end = file.metadata()?.len();
    let mut tail: Vec<u8> = vec![];
    // From the back, in steps, until two line ends (or the start) are in sight.
    while end > 0 && tail.iter().filter(|b| **b == b'\n').count() < 2 {
        let step = end.min(1 << 20);
        end -= step;
        file.seek(SeekFrom::Start(end))?;
        let mut block = vec![0; step as usize];
        file.read_exact(&mut block)?;
        block.extend_from_slice(&tail);
        tail = block;
    }
    let whole = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    file.set_len(end + whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    let lines = String::from_utf8_lossy(&tail[..whole]);
    Ok(lines.lines().last().map(str::to_owned))
}
