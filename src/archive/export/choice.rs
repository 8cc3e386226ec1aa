//! What of an archive goes into an export: which fragments, from which files, in which order; and what does not.
//!
//! Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    archive::files::{FootageFile, files},
    archiver::{
        manifest::{Fate, Manifest},
        plan::{Hole, LostSpan},
        tombstone::Tombstones,
    },
    aws::{Fragment, FragmentNumber},
};

/// A fragment's number, and the place of its stream among those of one name: a stream made anew is another.
pub type Id = (usize, FragmentNumber);

/// What documents say of a span.
#[derive(Debug)]
pub struct Choice {
    span: Hole,
    /// The files that hold something of it, each once.
    pub files: Vec<FootageFile>,
    by_key: HashMap<String, usize>,
    /// The fragments in it, with all files that hold each: one for each recording that archived it.
    pub found: BTreeMap<Id, (Fragment, Vec<usize>)>,
    missing: BTreeMap<Id, (Fragment, Missing)>,
    /// What was lost before it could be listed.
    pub lost_spans: Vec<LostSpan>,
}

/// Why a fragment is in no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It was erased on purpose.
    Erased,
    /// It is lost, for this reason.
    Lost(String),
    /// KVS has not delivered it yet, for this reason.
    Unread(String),
}

impl Choice {
    /// Of this span of the camera's time.
    pub fn of(span: Hole) -> Self {
        Self {
            span,
            files: Vec::new(),
            by_key: HashMap::new(),
            found: BTreeMap::new(),
            missing: BTreeMap::new(),
            lost_spans: Vec::new(),
        }
    }

    /// Takes in what a manifest of the stream says.
    pub fn take(&mut self, stream: usize, manifest: &Manifest, tombstones: &Tombstones) {
        let span = self.span;
        let inside = |f: &Fragment| f.producer < span.to && span.from <= f.producer_end();
        let (files, erased) = files(manifest, tombstones);
        for fragment in erased.into_iter().filter(|f| inside(f)) {
            let id = (stream, fragment.number.clone());
            self.missing.insert(id, (fragment.clone(), Missing::Erased));
        }
        for file in files {
            for fragment in file.fragments.iter().filter(|f| inside(f)) {
                let id = (stream, fragment.number.clone());
                // The rule counts from when it is written, be the file there or not.
                if tombstones.takes(fragment).is_some() {
                    self.missing.insert(id, (fragment.clone(), Missing::Erased));
                    continue;
                }
                let index = *self.by_key.entry(file.key.clone()).or_insert_with(|| {
                    self.files.push(file.clone());
                    self.files.len() - 1
                });
                let found = self
                    .found
                    .entry(id)
                    .or_insert_with(|| (fragment.clone(), Vec::new()));
                if !found.1.contains(&index) {
                    found.1.push(index);
                }
            }
        }
        for entry in manifest.fragments.iter().filter(|e| inside(&e.fragment)) {
            let missing = match &entry.fate {
                Fate::Object(_) => continue,
                Fate::Erased(_) => Missing::Erased,
                Fate::Lost(reason) => Missing::Lost(reason.clone()),
                Fate::Unread(unread) => Missing::Unread(unread.reason.clone()),
            };
            let id = (stream, entry.fragment.number.clone());
            let before = self.missing.get(&id).map(|(_, before)| before);
            if !matches!(
                (before, &missing),
                (Some(Missing::Erased), _) | (Some(Missing::Lost(_)), Missing::Unread(_))
            ) {
                self.missing.insert(id, (entry.fragment.clone(), missing));
            }
        }
        for lost in &manifest.lost_spans {
            if lost.from < self.span.to && self.span.from < lost.to && !self.lost_spans.contains(lost) {
                self.lost_spans.push(lost.clone());
            }
        }
    }

    /// The fragments that no file holds, in order: what one recording misses another may have, and a sweep may have found.
    pub fn missing(&self) -> impl Iterator<Item = &(Fragment, Missing)> {
        let missing = self
            .missing
            .iter()
            .filter(|(id, _)| !self.found.contains_key(*id));
        missing.map(|(_, missing)| missing)
    }
}

/// The order in which fragments (given in the order of their numbers) are shown, in stretches: places in the slice. Camera's
/// time goes forward in a stretch. A stretch is left only at a gap, for footage that lies in it, or at its end: what a camera
/// sent late is put to its place, and what came twice follows as a whole.
pub fn stretches(fragments: &[Fragment], tolerance: SignedDuration) -> Vec<Vec<usize>> {
    let mut passes: Vec<VecDeque<usize>> = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        let goes_on = |pass: &&mut VecDeque<usize>| {
            pass.back()
                .is_some_and(|last| fragments[*last].producer_end() <= fragment.producer)
        };
        match passes.last_mut().filter(goes_on) {
            Some(pass) => pass.push_back(index),
            None => passes.push(VecDeque::from([index])),
        }
    }
    let next = |passes: &[VecDeque<usize>], pass: usize| -> Option<Timestamp> {
        Some(fragments[*passes.get(pass)?.front()?].producer)
    };
    let mut waiting: BinaryHeap<_> = (0..passes.len())
        .filter_map(|pass| Some(Reverse((next(&passes, pass)?, pass))))
        .collect();
    let mut stretches: Vec<Vec<usize>> = Vec::new();
    let mut current: Option<(usize, Timestamp)> = None;
    loop {
        let ahead = current.and_then(|(pass, end)| Some((pass, end, next(&passes, pass)?)));
        let pass = match ahead {
            Some((pass, end, begin)) if begin.duration_since(end) <= tolerance => pass,
            _ => {
                if let Some((pass, _, begin)) = ahead {
                    waiting.push(Reverse((begin, pass)));
                }
                let Some(Reverse((_, pass))) = waiting.pop() else {
                    return stretches;
                };
                pass
            }
        };
        let Some(index) = passes[pass].pop_front() else {
            continue;
        };
        match stretches
            .last_mut()
            .filter(|_| current.is_some_and(|(before, _)| before == pass))
        {
            Some(stretch) => stretch.push(index),
            None => stretches.push(vec![index]),
        }
        current = Some((pass, fragments[index].producer_end()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fragments of two seconds at these seconds, numbered in this order.
    fn order(seconds: &[i64]) -> Vec<Vec<i64>> {
        let fragment = |(number, second): (usize, &i64)| Fragment {
            number: (number + 1).to_string().parse().unwrap(),
            producer: Timestamp::from_second(*second).unwrap(),
            server: Timestamp::from_second(number as i64).unwrap(),
            length_ms: 1960,
            bytes: 1,
        };
        let fragments: Vec<_> = seconds.iter().enumerate().map(fragment).collect();
        let stretches = stretches(&fragments, SignedDuration::from_millis(250));
        let shown = |stretch: Vec<usize>| stretch.into_iter().map(|i| seconds[i]).collect();
        stretches.into_iter().map(shown).collect()
    }

    #[test]
    fn what_came_late_goes_to_its_place_and_what_came_twice_follows() {
        assert_eq!(order(&[]), Vec::<Vec<i64>>::new());
        assert_eq!(order(&[0, 2, 4, 10, 12]), [vec![0, 2, 4, 10, 12]]);
        // Buffered by the camera, and sent after what came later.
        assert_eq!(
            order(&[0, 2, 10, 12, 4, 6, 8]),
            [vec![0, 2], vec![4, 6, 8], vec![10, 12]]
        );
        // Its clock was set back by three seconds.
        assert_eq!(order(&[0, 2, 4, 3, 5, 7]), [vec![0, 2, 4], vec![3, 5, 7]]);
        assert_eq!(order(&[0, 2, 0, 2]), [vec![0, 2], vec![0, 2]]);
    }

    proptest::proptest! {
        #[test]
        fn every_fragment_is_shown_once(seconds in proptest::collection::vec(0i64..60, 0..40)) {
            let mut shown = order(&seconds).concat();
            let mut all = seconds.clone();
            shown.sort_unstable();
            all.sort_unstable();
            proptest::prop_assert_eq!(shown, all);
        }
    }
}
