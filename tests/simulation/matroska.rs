//! Tiny fragments as KVS delivers them, written by hand: they share no code with what reads them.

use kvs_operator::aws::Fragment;

/// How far apart frames are, in ms.
pub const FRAME: u32 = 1000;

/// What the nth frame of a fragment holds.
pub fn frame(number: &str, n: u32) -> String {
    format!("<{number}/{n}>")
}

/// A fragment with a frame each second.
pub fn fragment(listed: &Fragment) -> Vec<u8> {
    let number = listed.number.as_str();
    let frames: Vec<_> = (0..=listed.length_ms / FRAME)
        .map(|n| {
            let mut block = vec![0x81];
            block.extend(i16::try_from(n * FRAME).unwrap().to_be_bytes());
            block.push(0x80);
            block.extend(frame(number, n).bytes());
            element(&[0xA3], &block)
        })
        .collect();
    let time = element(&[0xE7], &listed.producer.as_millisecond().to_be_bytes());
    let cluster = element(&[0x1F, 0x43, 0xB6, 0x75], &[vec![time], frames].concat().concat());
    document(&[("AWS_KINESISVIDEO_FRAGMENT_NUMBER", number)], &cluster)
}

/// What KVS sends in place of a fragment that it cannot read: an error in band.
pub fn refused(number: &str, code: &str) -> Vec<u8> {
    let tags = [
        ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", number),
        ("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE", code),
    ];
    document(&tags, &[])
}

fn document(tags: &[(&str, &str)], cluster: &[u8]) -> Vec<u8> {
    let header = element(&[0x1A, 0x45, 0xDF, 0xA3], &element(&[0x42, 0x82], b"matroska"));
    let scale = element(&[0x2A, 0xD7, 0xB1], &1_000_000u32.to_be_bytes());
    let info = element(&[0x15, 0x49, 0xA9, 0x66], &scale);
    let track = [
        element(&[0xD7], &[1]),
        element(&[0x83], &[2]),
        element(&[0x86], b"A_TEST"),
    ];
    let tracks = element(&[0x16, 0x54, 0xAE, 0x6B], &element(&[0xAE], &track.concat()));
    let tags: Vec<_> = tags
        .iter()
        .map(|(name, value)| {
            let pair = [
                element(&[0x45, 0xA3], name.as_bytes()),
                element(&[0x44, 0x87], value.as_bytes()),
            ];
            element(&[0x73, 0x73], &element(&[0x67, 0xC8], &pair.concat()))
        })
        .collect();
    let tags = element(&[0x12, 0x54, 0xC3, 0x67], &tags.concat());
    let segment = [&info[..], &tracks, &tags, cluster].concat();
    [header, element(&[0x18, 0x53, 0x80, 0x67], &segment)].concat()
}

fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u64 | 1 << 56).to_be_bytes();
    [id, &size, content].concat()
}
