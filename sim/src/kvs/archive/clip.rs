//! What is in a clip: which fragments, and whether a player could play them together. Pure.

use super::fragment::Meta;
use crate::kvs::{
    error::{ApiError, ApiResult},
    mkv::header::{Header, Track},
};

/// The most fragments of a clip.
const FRAGMENTS: usize = 200;

/// The fragments of a clip: those that a range takes, without what a camera sent twice, and cut at the service's limits without
/// a word.
///
/// Of fragments that cover the same time on the producer's clock the one that was ingested first stays.
pub fn select(mut taken: Vec<Meta>, limit_bytes: u64) -> Vec<Meta> {
    taken.sort_by(|a, b| a.number.cmp(&b.number));
    let mut kept: Vec<Meta> = vec![];
    for meta in taken {
        if !kept.iter().any(|older| overlap(older, &meta)) {
            kept.push(meta);
        }
    }
    kept.sort_by_key(|m| m.producer);
    let mut bytes = 0;
    let count = kept.iter().take(FRAGMENTS).take_while(|m| {
        bytes += m.size();
        bytes <= limit_bytes
    });
    let count = count.count().max(1);
    kept.truncate(count);
    kept
}

fn overlap(a: &Meta, b: &Meta) -> bool {
    a.producer == b.producer || (a.producer < b.producer + b.length && b.producer < a.producer + a.length)
}

/// Whether the tracks of all fragments of a clip can be in one MP4.
pub fn check_tracks(headers: &[Header]) -> ApiResult<()> {
    let Some(first) = headers.first() else {
        return Ok(());
    };
    let codecs: Vec<&str> = first.tracks.iter().map(|t| t.codec_id.as_str()).collect();
    let playable = matches!(
        codecs[..],
        ["V_MPEG4/ISO/AVC"]
            | ["V_MPEGH/ISO/HEVC"]
            | ["V_MPEG4/ISO/AVC", "A_AAC" | "A_MS/ACM"]
            | ["V_MPEGH/ISO/HEVC", "A_AAC"]
    );
    if !playable {
        return Err(ApiError::new(
            "UnsupportedStreamMediaTypeException",
            400,
            format!(
                "The codec IDs of the tracks in the first fragment are not supported: {}.",
                codecs.join(", ")
            ),
        ));
    }
    for header in headers {
        for track in &header.tracks {
            check_private(track)?;
        }
        if header.tracks != first.tracks {
            let message = "The codec private data or the tracks change within the clip.";
            return Err(ApiError::new("InvalidCodecPrivateDataException", 400, message));
        }
    }
    Ok(())
}

fn check_private(track: &Track) -> ApiResult<()> {
    let Some(private) = track.codec_private.as_deref().filter(|p| !p.is_empty()) else {
        let message = format!("No codec private data was found in track {}.", track.number);
        return Err(ApiError::new("MissingCodecPrivateDataException", 400, message));
    };
    let valid = match track.codec_id.as_str() {
        "V_MPEG4/ISO/AVC" => private.len() >= 7 && private[0] == 1,
        "V_MPEGH/ISO/HEVC" => private.len() >= 23,
        "A_AAC" => private.len() >= 2,
        _ => private.len() >= 16,
    };
    if valid {
        return Ok(());
    }
    let message = format!("The codec private data of track {} is not valid.", track.number);
    Err(ApiError::new("InvalidCodecPrivateDataException", 400, message))
}

/// Whether a frame of H.264 or H.265 is a row of units with their lengths before them, as its track's private data says.
pub fn is_frame(track: &Track, mut frame: &[u8]) -> bool {
    let private = track.codec_private.as_deref().unwrap_or_default();
    let at = match track.codec_id.as_str() {
        "V_MPEG4/ISO/AVC" => 4,
        "V_MPEGH/ISO/HEVC" => 21,
        _ => return true,
    };
    let size = usize::from(private.get(at).copied().unwrap_or(3) & 3) + 1;
    while !frame.is_empty() {
        let Some((head, rest)) = frame.split_at_checked(size) else {
            return false;
        };
        let len = head.iter().fold(0usize, |len, b| len << 8 | usize::from(*b));
        match rest.get(len..) {
            Some(rest) if len > 0 => frame = rest,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(number: u32, producer: i64, length: i64, size: u64) -> Meta {
        Meta {
            sequence: number.into(),
            number: format!("{number:03}"),
            server: i64::from(number) * 1000,
            producer,
            length,
            persisted: 0,
            header: 0,
            body: size,
            frames: 1,
        }
    }

    fn numbers(clip: &[Meta]) -> Vec<u64> {
        clip.iter().map(|m| m.sequence).collect()
    }

    #[test]
    fn what_was_sent_twice_is_there_once_and_the_first_wins() {
        let sent = vec![
            meta(1, 1000, 990, 1),
            meta(2, 2000, 990, 1),
            meta(3, 1000, 990, 1),
            meta(4, 2500, 990, 1),
            meta(5, 3000, 990, 1),
            meta(6, 0, 990, 1),
        ];
        // The fourth covers a time of the second; the fifth then does not.
        assert_eq!(numbers(&select(sent, 1 << 30)), [6, 1, 2, 5]);
    }

    #[test]
    fn long_clips_are_cut_without_a_word() {
        let many: Vec<Meta> = (0..300).map(|n| meta(n, i64::from(n) * 1000, 900, 10)).collect();
        assert_eq!(select(many.clone(), 1 << 30).len(), 200);
        assert_eq!(select(many.clone(), 105).len(), 10);
        assert_eq!(select(many, 5).len(), 1);
        assert_eq!(select(vec![], 5), vec![]);
    }

    #[test]
    fn tracks() {
        let track = |codec: &str, private: Option<&[u8]>| Track {
            number: 1,
            kind: 1,
            codec_id: codec.into(),
            codec_private: private.map(<[u8]>::to_vec),
            default_duration: None,
        };
        let header = |tracks: Vec<Track>| Header {
            scale: 1_000_000,
            tracks,
        };
        let avc = |profile| track("V_MPEG4/ISO/AVC", Some(&[1, profile, 0, 30, 0xFF, 0xE1, 0, 0]));
        let code = |headers: &[Header]| check_tracks(headers).err().map(|e| e.code);
        let table = [
            (vec![header(vec![avc(66)]), header(vec![avc(66)])], None),
            (
                vec![header(vec![avc(66), track("A_AAC", Some(&[0x11, 0x90]))])],
                None,
            ),
            (
                vec![header(vec![avc(66)]), header(vec![avc(77)])],
                Some("InvalidCodecPrivateDataException"),
            ),
            (
                vec![header(vec![track("V_MPEG4/ISO/AVC", None)])],
                Some("MissingCodecPrivateDataException"),
            ),
            (
                vec![header(vec![track("V_MPEG4/ISO/AVC", Some(&[0, 1]))])],
                Some("InvalidCodecPrivateDataException"),
            ),
            (
                vec![header(vec![track("V_VP8", None)])],
                Some("UnsupportedStreamMediaTypeException"),
            ),
            (
                vec![header(vec![track("A_AAC", Some(&[0x11, 0x90]))])],
                Some("UnsupportedStreamMediaTypeException"),
            ),
        ];
        for (headers, expected) in table {
            assert_eq!(code(&headers), expected, "{headers:?}");
        }
        let four = avc(66);
        assert!(is_frame(&four, &[0, 0, 0, 2, 9, 9, 0, 0, 0, 1, 9]));
        assert!(
            !is_frame(&four, &[0, 0, 0, 3, 9, 9])
                && !is_frame(&four, &[0, 0])
                && !is_frame(&four, &[0, 0, 0, 0])
        );
    }
}
