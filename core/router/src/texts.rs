//! Texts of the match tables, back to back and each once: what a lookup
//! compares lies close together.

use std::collections::HashMap;

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

/// All texts of a table.
#[derive(Debug, Default)]
pub(crate) struct Texts(Box<[u8]>);

/// Collects them.
#[derive(Debug, Default)]
pub(crate) struct TextsBuilder {
    bytes: Vec<u8>,
    known: HashMap<Box<[u8]>, Span>,
}

impl Texts {
    pub(crate) fn get(&self, span: Span) -> &[u8] {
        self.0.get(span.start as usize..(span.start + span.length) as usize).unwrap_or_default()
    }
}

impl TextsBuilder {
    /// Enters `text`. [`RouteTable::new`](crate::RouteTable::new) has made sure
    /// that all texts together have less than 2^32 bytes.
    pub(crate) fn add(&mut self, text: &[u8]) -> Span {
        if let Some(span) = self.known.get(text) {
            return *span;
        }
        let span = Span { start: self.bytes.len() as u32, length: text.len() as u32 };
        self.bytes.extend_from_slice(text);
        self.known.insert(text.into(), span);
        span
    }

    pub(crate) fn build(self) -> Texts {
        Texts(self.bytes.into_boxed_slice())
    }
}
