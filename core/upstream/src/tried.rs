//! Which hosts a stream tried already.

/// Positions of hosts in their cluster. Up to 64 hosts take no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriedHosts {
    first: u64,
    /// Bits from position 64 on.
    rest: Vec<u64>,
}

impl TriedHosts {
    /// None tried yet.
    pub const fn new() -> Self {
        TriedHosts { first: 0, rest: Vec::new() }
    }

    /// Adds the host at `position`.
    pub fn insert(&mut self, position: usize) {
        let (word, bit) = (position / 64, 1 << (position % 64));
        let Some(word) = word.checked_sub(1) else {
            self.first |= bit;
            return;
        };
        if self.rest.len() <= word {
            self.rest.resize(word + 1, 0);
        }
        self.rest[word] |= bit;
    }

    /// Whether the host at `position` was tried.
    #[inline]
    pub fn contains(&self, position: usize) -> bool {
        let word = match (position / 64).checked_sub(1) {
            None => self.first,
            Some(word) => self.rest.get(word).copied().unwrap_or(0),
        };
        word >> (position % 64) & 1 == 1
    }

    /// Number of hosts tried.
    pub fn len(&self) -> usize {
        self.rest.iter().chain([&self.first]).map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none was tried.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.first = 0;
        self.rest.clear();
    }
}
