//! A page of a bucket's keys. Pure.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use super::state::Version;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// Only keys that begin so.
    pub prefix: &'a str,
    /// Keys that have this after the prefix are rolled up; empty: none are.
    pub delimiter: &'a str,
    /// Only what comes after this: a key, or a rolled-up prefix.
    pub after: &'a str,
    /// At most so many keys and prefixes.
    pub max: usize,
}

/// A page.
#[derive(Debug, Default, PartialEq)]
pub struct Page<'a> {
    /// The keys.
    pub keys: Vec<&'a str>,
    /// The rolled-up prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page goes on, if there is one.
    pub next: Option<String>,
}

/// Lists the keys that `shown` says are there.
pub fn list<'a>(
    keys: &'a BTreeMap<String, Vec<Version>>,
    query: &Query<'_>,
    shown: impl Fn(&[Version]) -> bool,
) -> Page<'a> {
    let mut page = Page::default();
    let mut last = String::new();
    let mut from = if query.after >= query.prefix && !query.after.is_empty() {
        Excluded(query.after.to_owned())
    } else {
        Included(query.prefix.to_owned())
    };
    if query.max == 0 {
        return page;
    }
    while let Some((key, versions)) = keys.range::<String, _>((from.as_ref(), Unbounded)).next() {
        let Some(rest) = key.strip_prefix(query.prefix) else {
            break;
        };
        let rolled = match rest.find(query.delimiter) {
            Some(at) if !query.delimiter.is_empty() => {
                Some(&key[..query.prefix.len() + at + query.delimiter.len()])
            }
            _ => None,
        };
        from = Excluded(key.clone());
        if let Some(rolled) = rolled.filter(|rolled| *rolled == query.after || *rolled == last) {
            // All of this prefix at once; what sorts behind the highest character comes round again.
            from = Excluded(key.clone().max(format!("{rolled}\u{10ffff}")));
            continue;
        }
        if !shown(versions) {
            continue;
        }
        if page.keys.len() + page.prefixes.len() == query.max {
            page.next = Some(last);
            return page;
        }
        last = rolled.unwrap_or(key).to_owned();
        match rolled {
            Some(rolled) => page.prefixes.push(rolled.to_owned()),
            None => page.keys.push(key),
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(keys: &[&str]) -> BTreeMap<String, Vec<Version>> {
        keys.iter().map(|k| ((*k).to_owned(), vec![])).collect()
    }

    #[test]
    fn rolls_up_by_delimiter() {
        let keys = bucket(&["a", "b/1", "b/2", "b/c/3", "c", "d/"]);
        let query = Query {
            delimiter: "/",
            max: 1000,
            ..Query::default()
        };
        let page = list(&keys, &query, |_| true);
        assert_eq!(page.keys, ["a", "c"]);
        assert_eq!(page.prefixes, ["b/", "d/"]);
        let page = list(
            &keys,
            &Query {
                prefix: "b/",
                ..query
            },
            |_| true,
        );
        assert_eq!(
            (page.keys, page.prefixes),
            (vec!["b/1", "b/2"], vec!["b/c/".to_owned()])
        );
    }

    proptest! {
        /// Pages of any size give together what one page gives, in order, without what is before.
        #[test]
        fn pages_join(
            keys in proptest::collection::btree_set("[ab/\u{10ffff}]{1,5}", 0..40),
            prefix in "[ab/]{0,2}", delimiter in prop_oneof![Just(""), Just("/"), Just("b/")],
            after in "[ab/]{0,3}", max in 1_usize..7,
        ) {
            let keys: BTreeMap<String, Vec<Version>> = keys.into_iter().map(|k| (k, vec![])).collect();
            let whole = Query { prefix: &prefix, delimiter, after: &after, max: usize::MAX };
            let expected = list(&keys, &whole, |_| true);
            prop_assert_eq!(&expected.next, &None);
            let mut from = after.clone();
            let (mut got_keys, mut got_prefixes) = (vec![], vec![]);
            for turn in 0.. {
                prop_assert!(turn < 100, "no end");
                let page = list(&keys, &Query { after: &from, max, ..whole.clone() }, |_| true);
                prop_assert!(page.keys.len() + page.prefixes.len() <= max);
                got_keys.extend(page.keys);
                got_prefixes.extend(page.prefixes);
                match page.next {
                    Some(next) => from = next,
                    None => break,
                }
            }
            prop_assert_eq!(&got_keys, &expected.keys);
            prop_assert_eq!(&got_prefixes, &expected.prefixes);
            let plain: Vec<_> = keys.keys().filter(|k| k.starts_with(&prefix) && **k > after).collect();
            let rolled = |k: &str| !delimiter.is_empty() && k[prefix.len()..].contains(delimiter);
            prop_assert_eq!(plain.iter().filter(|k| !rolled(k)).count(), got_keys.len());
        }
    }
}
