//! EBML's building blocks: identifiers, sizes, children of a whole element, and writing.

use super::Invalid;

/// The head of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The identifier, with its length marker.
    pub id: u32,
    /// The size of the content; `None`: unknown.
    pub size: Option<u64>,
    /// The bytes that the head itself takes.
    pub len: usize,
}

/// Reads an element's head; `None` where more bytes are needed.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Invalid> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let id_len = first.leading_zeros() as usize + 1;
    if id_len > 4 {
        return Err(Invalid("an element's identifier is longer than 4 bytes"));
    }
    if bytes.len() < id_len {
        return Ok(None);
    }
    let id = bytes[..id_len].iter().fold(0u32, |id, b| id << 8 | u32::from(*b));
    let Some((size, size_len)) = vint(&bytes[id_len..])? else {
        return Ok(None);
    };
    Ok(Some(Head {
        id,
        size,
        len: id_len + size_len,
    }))
}

/// Reads a variable-size number and its length in bytes: `Some((None, _))` where all bits are set (unknown).
pub fn vint(bytes: &[u8]) -> Result<Option<(Option<u64>, usize)>, Invalid> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let len = first.leading_zeros() as usize + 1;
    if len > 8 {
        return Err(Invalid("a size is longer than 8 bytes"));
    }
    if bytes.len() < len {
        return Ok(None);
    }
    let all = (1u64 << (7 * len)) - 1;
    let value = bytes[..len].iter().fold(0u64, |v, b| v << 8 | u64::from(*b)) & all;
    Ok(Some(((value != all).then_some(value), len)))
}

/// The children of a whole element, given its content.
pub fn children(content: &[u8]) -> Children<'_> {
    Children { rest: content }
}

/// See [`children`].
#[derive(Debug)]
pub struct Children<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<(u32, &'a [u8]), Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let child = (|| {
            let head = head(self.rest)?.ok_or(Invalid("an element ends inside a child's head"))?;
            let size = head
                .size
                .ok_or(Invalid("an element of unknown size where its size is needed"))?;
            let end = usize::try_from(size).ok().and_then(|s| head.len.checked_add(s));
            let end = end
                .filter(|e| *e <= self.rest.len())
                .ok_or(Invalid("a child is longer than its parent"))?;
            let content = &self.rest[head.len..end];
            self.rest = &self.rest[end..];
            Ok((head.id, content))
        })();
        if child.is_err() {
            self.rest = &[];
        }
        Some(child)
    }
}

/// An unsigned integer's content.
pub fn uint(content: &[u8]) -> Result<u64, Invalid> {
    if content.len() > 8 {
        return Err(Invalid("an integer is longer than 8 bytes"));
    }
    Ok(content.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
}

/// A string's content, without padding.
pub fn string(content: &[u8]) -> String {
    String::from_utf8_lossy(content).trim_end_matches('\0').to_owned()
}

/// An element as Kinesis Video writes its own: the size in 4 bytes.
pub fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let mut out = id_bytes(id);
    // 2^28 - 2 is the largest that 4 bytes hold; what is written here is a few hundred bytes.
    let size = u32::try_from(content.len()).unwrap_or(u32::MAX) | 0x1000_0000;
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(content);
    out
}

/// The head of an element of unknown size, the size in 8 bytes.
pub fn unknown_size(id: u32) -> Vec<u8> {
    let mut out = id_bytes(id);
    out.extend_from_slice(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    out
}

fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let table: [(&[u8], Option<Head>); 5] = [
            (
                &[0xA3, 0x81],
                Some(Head {
                    id: 0xA3,
                    size: Some(1),
                    len: 2,
                }),
            ),
            (
                &[0x1F, 0x43, 0xB6, 0x75, 0xFF],
                Some(Head {
                    id: 0x1F43_B675,
                    size: None,
                    len: 5,
                }),
            ),
            (
                &[
                    0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                ],
                Some(Head {
                    id: 0x1853_8067,
                    size: None,
                    len: 12,
                }),
            ),
            (&[0x1F, 0x43], None),
            (&[0xE7, 0x40], None),
        ];
        for (bytes, expected) in table {
            assert_eq!(head(bytes), Ok(expected), "{bytes:x?}");
        }
        assert!(head(&[0x00, 0x01]).is_err());
        assert!(head(&[0xA3, 0x00]).is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        let inner = element(super::super::ids::TAG_NAME, b"name");
        let outer = element(super::super::ids::SIMPLE_TAG, &inner);
        let read = head(&outer).unwrap().unwrap();
        assert_eq!((read.id, read.size), (0x67C8, Some(inner.len() as u64)));
        let names: Vec<_> = children(&outer[read.len..]).map(Result::unwrap).collect();
        assert_eq!(names, [(0x45A3, &b"name"[..])]);
    }
}
