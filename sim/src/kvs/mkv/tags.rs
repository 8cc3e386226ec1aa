//! Tags: what a producer says of a fragment, and what the service adds to it.

use super::{Invalid, element, ids};

/// The producer's mark that a fragment is complete.
pub const END_OF_FRAGMENT: &str = "AWS_KINESISVIDEO_END_OF_FRAGMENT";

/// A Tags element of the service: one Tag without Targets, as the service writes it.
pub fn write<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut simple = vec![];
    for (name, value) in pairs {
        let name = element::element(ids::TAG_NAME, name.as_ref().as_bytes());
        let value = element::element(ids::TAG_STRING, value.as_ref().as_bytes());
        simple.extend(element::element(ids::SIMPLE_TAG, &[name, value].concat()));
    }
    element::element(ids::TAGS, &element::element(ids::TAG, &simple))
}

/// The names and values of a Tags element's content.
pub fn read(content: &[u8]) -> Result<Vec<(String, String)>, Invalid> {
    let mut pairs = vec![];
    for tag in element::children(content) {
        let (id, tag) = tag?;
        if id != ids::TAG {
            continue;
        }
        for simple in element::children(tag) {
            let (id, simple) = simple?;
            if id != ids::SIMPLE_TAG {
                continue;
            }
            let (mut name, mut value) = (String::new(), String::new());
            for part in element::children(simple) {
                match part? {
                    (ids::TAG_NAME, content) => name = element::string(content),
                    (ids::TAG_STRING, content) => value = element::string(content),
                    _ => {}
                }
            }
            pairs.push((name, value));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = write(&[("A", "1"), ("B", "")]);
        let head = element::head(&bytes).unwrap().unwrap();
        assert_eq!(head.id, ids::TAGS);
        let pairs = read(&bytes[head.len..]).unwrap();
        assert_eq!(
            pairs,
            [("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())]
        );
    }
}
