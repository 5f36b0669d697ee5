//! Decides when a buffer is worth parsing, so that a head that arrives byte by
//! byte costs time in proportion to its length.

use memchr::memchr;

/// Most heads arrive whole, so the first call says to parse at once. After
/// that only the blank line that ends a head makes parsing worth while, and
/// each byte is looked at once to find it.
#[derive(Debug, Default)]
pub(super) struct HeadSearch {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Untried,
    /// No blank line before this offset.
    Searched(usize),
}

impl HeadSearch {
    /// Whether `head` (which starts at the first byte of its first line)
    /// should be parsed now.
    pub(super) fn is_due(&mut self, head: &[u8]) -> bool {
        let mut from = match self.state {
            State::Untried => {
                self.state = State::Searched(0);
                return true;
            }
            State::Searched(from) => from.min(head.len()),
        };
        // Bare LF line ends are refused by the parser, but found here too:
        // such a head should be refused when it ends and not time out.
        let due = loop {
            let Some(at) = memchr(b'\n', &head[from..]) else {
                from = head.len();
                break false;
            };
            from += at;
            match &head[from + 1..] {
                [b'\n', ..] | [b'\r', b'\n', ..] => break true,
                [] | [b'\r'] => break false,
                _ => from += 1,
            }
        };
        self.state = State::Searched(from);
        due
    }

    /// Forgets the head.
    pub(super) fn reset(&mut self) {
        self.state = State::Untried;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dripping_head_is_parsed_at_its_first_and_last_byte_only() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut search = HeadSearch::default();
        let due: Vec<usize> = (1..=head.len()).filter(|&n| search.is_due(&head[..n])).collect();
        assert_eq!(due, [1, head.len()]);
    }

    #[test]
    fn bare_line_feeds_end_a_head_too() {
        let mut search = HeadSearch::default();
        assert!(search.is_due(b"G"));
        assert!(!search.is_due(b"GET / HTTP/1.1\n"));
        assert!(search.is_due(b"GET / HTTP/1.1\n\n"));
    }
}
