//! What a node says, as a number: the same for JSON and YAML, wherever it
//! stands and in whatever order its keys do.

use sha2::{Digest, Sha256};

use super::{Key, Node, NodeValue};

/// SHA-256 of a canonical form.
pub type NodeDigest = [u8; 32];

impl Node {
    /// Of the whole.
    pub fn digest(&self) -> NodeDigest {
        let mut hash = Sha256::new();
        feed(&mut hash, self);
        hash.finalize().into()
    }

    /// Of an object without those of its keys that `leaves_out`; of anything
    /// else the whole.
    pub fn digest_without(&self, leaves_out: impl Fn(&str) -> bool) -> NodeDigest {
        let NodeValue::Object(entries) = &self.value else { return self.digest() };
        let mut hash = Sha256::new();
        feed_entries(&mut hash, entries.iter().filter(|(key, _)| !leaves_out(&key.text)));
        hash.finalize().into()
    }
}

fn feed(hash: &mut Sha256, node: &Node) {
    match &node.value {
        NodeValue::Null => hash.update(b"n"),
        NodeValue::Bool(value) => hash.update(if *value { b"t" } else { b"f" }),
        NodeValue::Number(text) => feed_text(hash, b"#", text),
        NodeValue::String(text) => feed_text(hash, b"s", text),
        NodeValue::Array(elements) => {
            feed_count(hash, b"[", elements.len());
            elements.iter().for_each(|element| feed(hash, element));
        }
        NodeValue::Object(entries) => feed_entries(hash, entries.iter()),
    }
}

fn feed_entries<'n>(hash: &mut Sha256, entries: impl Iterator<Item = &'n (Key, Node)>) {
    let mut sorted: Vec<_> = entries.collect();
    sorted.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
    feed_count(hash, b"{", sorted.len());
    for (key, value) in sorted {
        feed_text(hash, b"k", &key.text);
        feed(hash, value);
    }
}

/// Lengths come first, so that no two nodes give the same bytes.
fn feed_text(hash: &mut Sha256, kind: &[u8; 1], text: &str) {
    feed_count(hash, kind, text.len());
    hash.update(text);
}

fn feed_count(hash: &mut Sha256, kind: &[u8; 1], count: usize) {
    hash.update(kind);
    hash.update((count as u64).to_le_bytes());
}
