//! Replacing texts in bytes that come in pieces.

use aho_corasick::{AhoCorasick, BuildError, Input, MatchKind};

/// Texts and what takes their places. Where several match at one place the
/// longest wins; what was put in is not looked at again.
pub(crate) struct Rules {
    search: AhoCorasick,
    replacements: Vec<Vec<u8>>,
    /// Length of the longest text.
    longest: usize,
}

impl Rules {
    /// Rules for `(text, replacement)`; texts are not empty.
    pub(crate) fn new(pairs: &[(&[u8], &[u8])]) -> Result<Rules, BuildError> {
        let texts = pairs.iter().map(|(from, _)| from);
        Ok(Rules {
            search: AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts)?,
            replacements: pairs.iter().map(|(_, to)| to.to_vec()).collect(),
            longest: pairs.iter().map(|(from, _)| from.len()).max().unwrap_or(0),
        })
    }
}

/// Replaces as bytes stream by. The result does not depend on how they were
/// cut, and never more is held back than the longest text less one byte.
#[derive(Default)]
pub(crate) struct Replacer {
    held: Vec<u8>,
}

/// Whether more bytes may come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Middle,
    Last,
}

impl Replacer {
    /// Takes in `chunk` and returns what is certain by now.
    pub(crate) fn push(&mut self, rules: &Rules, chunk: &[u8], part: Part) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
        // A match that begins before this place lies within what is there, so
        // it is decided.
        let decided = match part {
            Part::Last => self.held.len(),
            Part::Middle => (self.held.len() + 1).saturating_sub(rules.longest),
        };
        let mut out = Vec::with_capacity(self.held.len());
        let mut done = 0;
        while let Some(found) = rules.search.find(Input::new(&self.held).range(done..)) {
            if found.start() >= decided {
                break;
            }
            out.extend_from_slice(&self.held[done..found.start()]);
            out.extend_from_slice(&rules.replacements[found.pattern().as_usize()]);
            done = found.end();
        }
        let keep_from = done.max(decided);
        out.extend_from_slice(&self.held[done..keep_from]);
        self.held.drain(..keep_from);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Part, Replacer, Rules};

    /// The plain way, over all bytes at once.
    fn expected(pairs: &[(&[u8], &[u8])], bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let longest =
                pairs.iter().filter(|(from, _)| bytes[at..].starts_with(from)).max_by_key(|(from, _)| from.len());
            match longest {
                Some((from, to)) => {
                    out.extend_from_slice(to);
                    at += from.len();
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        out
    }

    fn in_chunks(rules: &Rules, chunks: &[&[u8]]) -> Vec<u8> {
        let mut replacer = Replacer::default();
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend(replacer.push(rules, chunk, Part::Middle));
            assert!(replacer.held.len() < rules.longest);
        }
        out.extend(replacer.push(rules, b"", Part::Last));
        assert!(replacer.held.is_empty());
        out
    }

    fn chunks<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    fn cuts() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(0_usize..60, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn the_cut_does_not_matter(bytes in "[abc]{0,60}", cuts in cuts()) {
            const PAIRS: &[(&[u8], &[u8])] = &[(b"ab", b"x"), (b"abab", b""), (b"b", b"ab"), (b"caa", b"caab")];
            thread_local!(static RULES: Rules = Rules::new(PAIRS).unwrap());
            let out = RULES.with(|rules| in_chunks(rules, &chunks(bytes.as_bytes(), &cuts)));
            prop_assert_eq!(out, expected(PAIRS, bytes.as_bytes()));
        }
    }

    proptest! {
        // Few different bytes, so that texts overlap and begin again.
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn whatever_the_texts(
            texts in proptest::collection::btree_map("[ab]{1,4}", "[abX]{0,3}", 1..4),
            bytes in "[abc]{0,60}",
            cuts in cuts(),
        ) {
            let pairs: Vec<_> = texts.iter().map(|(from, to)| (from.as_bytes(), to.as_bytes())).collect();
            let rules = Rules::new(&pairs).unwrap();
            prop_assert_eq!(in_chunks(&rules, &chunks(bytes.as_bytes(), &cuts)), expected(&pairs, bytes.as_bytes()));
        }
    }
}
