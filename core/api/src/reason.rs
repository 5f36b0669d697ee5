//! The phrase behind a status.

/// Longer ones are nobody's phrase; the registered one serves instead.
const MAX_BYTES: usize = 256;

/// The phrase that a response came with, where it is not the registered one.
/// It belongs to the status it came with: who sets another means another.
#[derive(Debug, Default, Clone)]
pub struct Reason {
    status: u16,
    text: String,
}

impl Reason {
    /// Keeps `text` for `status`. Memory is reused.
    pub fn set(&mut self, status: u16, text: &str) {
        self.text.clear();
        self.status = 0;
        if text.len() <= MAX_BYTES {
            self.text.push_str(text);
            self.status = status;
        }
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.status = 0;
    }

    /// The phrase for `status`, if one was kept.
    pub fn of(&self, status: u16) -> Option<&str> {
        (self.status == status && status != 0).then_some(self.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn a_phrase_is_that_of_its_status() {
        let mut reason = Reason::default();
        assert_eq!(reason.of(0), None);
        reason.set(503, "Overloaded");
        assert_eq!((reason.of(503), reason.of(500)), (Some("Overloaded"), None));
        reason.set(503, &"a".repeat(257));
        assert_eq!(reason.of(503), None);
        reason.set(503, "Again");
        reason.clear();
        assert_eq!(reason.of(503), None);
    }
}
