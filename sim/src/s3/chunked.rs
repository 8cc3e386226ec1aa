//! `aws-chunked` bodies: sizes, data, and trailers, signed or not. Signatures are not verified: any credentials will do.

use bytes::{Buf, Bytes};

use super::error::{Error, Result};

/// The longest line between chunks: a size with its signature, or a trailer.
const MAX_LINE: usize = 8192;

/// Decodes a body that arrives in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: Vec<(String, String)>,
}

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Size,
    Data(u64),
    AfterData,
    Trailer,
    Done,
}

impl Decoder {
    /// Takes the next piece and gives the data in it, chunk by chunk; `None` when it needs more.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>> {
        while input.has_remaining() {
            match self.state {
                State::Data(left) => {
                    let take = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let data = input.split_to(take);
                    let left = left - take as u64;
                    self.state = if left == 0 {
                        State::AfterData
                    } else {
                        State::Data(left)
                    };
                    return Ok(Some(data));
                }
                State::Done => return Err(malformed()),
                State::Size | State::AfterData | State::Trailer => {
                    if let Some(line) = self.line(input)? {
                        self.state = self.after(&line)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// The trailers; an error if the body ended early.
    pub fn finish(self) -> Result<Vec<(String, String)>> {
        let complete = self.state == State::Done || (self.state == State::Trailer && self.line.is_empty());
        if complete {
            Ok(self.trailers)
        } else {
            Err(Error::new("IncompleteBody"))
        }
    }

    fn line(&mut self, input: &mut Bytes) -> Result<Option<String>> {
        while input.has_remaining() {
            match input.get_u8() {
                b'\n' => {
                    let mut line = std::mem::take(&mut self.line);
                    if line.pop() != Some(b'\r') {
                        return Err(malformed());
                    }
                    return String::from_utf8(line).map(Some).map_err(|_| malformed());
                }
                _ if self.line.len() == MAX_LINE => return Err(malformed()),
                byte => self.line.push(byte),
            }
        }
        Ok(None)
    }

    fn after(&mut self, line: &str) -> Result<State> {
        match self.state {
            State::Size => {
                let size = line.split(';').next().unwrap_or_default();
                match u64::from_str_radix(size, 16) {
                    Ok(0) => Ok(State::Trailer),
                    Ok(size) => Ok(State::Data(size)),
                    Err(_) => Err(malformed()),
                }
            }
            State::AfterData if line.is_empty() => Ok(State::Size),
            State::Trailer if line.is_empty() => Ok(State::Done),
            State::Trailer => {
                let (name, value) = line.split_once(':').ok_or_else(malformed)?;
                self.trailers
                    .push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                Ok(State::Trailer)
            }
            State::AfterData | State::Data(_) | State::Done => Err(malformed()),
        }
    }
}

fn malformed() -> Error {
    Error::because(
        "InvalidRequest",
        "The body is not a well-formed aws-chunked encoding.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = (Vec<u8>, Vec<(String, String)>);

    fn decode(encoded: &[u8], piece: usize) -> Result<Decoded> {
        let mut decoder = Decoder::default();
        let mut data = vec![];
        for piece in encoded.chunks(piece) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(part) = decoder.next(&mut input)? {
                data.extend_from_slice(&part);
            }
        }
        Ok((data, decoder.finish()?))
    }

    #[test]
    fn decodes_in_pieces_of_any_size() {
        let signed = b"5;chunk-signature=ab\r\nhello\r\n6;chunk-signature=cd\r\n\r\n w\r\n\r\n0;chunk-signature=ef\r\n\
            x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:00\r\n\r\n";
        for piece in 1..signed.len() {
            let (data, trailers) = decode(signed, piece).unwrap();
            assert_eq!(data, b"hello\r\n w\r\n");
            assert_eq!(trailers[0], ("x-amz-checksum-crc32".into(), "AAAAAA==".into()));
        }
        assert_eq!(decode(b"0\r\n\r\n", 3).unwrap().0, b"");
    }

    #[test]
    fn refuses_what_is_cut_or_malformed() {
        for (text, code) in [
            ("5\r\nhel", "IncompleteBody"),
            ("5\r\nhello\r\n", "IncompleteBody"),
            ("0\r\nx-amz-checksum", "IncompleteBody"),
            ("5\r\nhello!\r\n0\r\n\r\n", "InvalidRequest"),
            ("zz\r\n", "InvalidRequest"),
            ("0\r\n\r\nmore", "InvalidRequest"),
        ] {
            assert_eq!(decode(text.as_bytes(), 4).unwrap_err().code, code, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            let _ = decode(&bytes, piece);
        }
    }
}
