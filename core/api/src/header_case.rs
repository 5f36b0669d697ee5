//! How the names of header fields are written.

/// Case of field names in messages that are sent. It means nothing to HTTP;
/// some old peers look for one all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HeaderCase {
    /// `content-type`
    #[default]
    Lower,
    /// `Content-Type`
    Title,
    /// As the field was received; fields that are added, as with `Title`.
    Preserve,
}

impl HeaderCase {
    /// Writes `name`, which is in lower case, as this case wants it; `known`
    /// is its spelling as received.
    pub fn apply(self, name: &mut [u8], known: Option<&[u8]>) {
        match (self, known) {
            (HeaderCase::Lower, _) => {}
            (HeaderCase::Preserve, Some(known)) if known.eq_ignore_ascii_case(name) => name.copy_from_slice(known),
            (HeaderCase::Title | HeaderCase::Preserve, _) => {
                let mut begins = true;
                for byte in name {
                    if begins {
                        byte.make_ascii_uppercase();
                    }
                    begins = *byte == b'-';
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderCase;

    #[test]
    fn names_in_each_case() {
        let written = |case: HeaderCase, name: &str, known: Option<&str>| {
            let mut name = name.as_bytes().to_vec();
            case.apply(&mut name, known.map(str::as_bytes));
            String::from_utf8(name).unwrap()
        };
        for (case, known, expected) in [
            (HeaderCase::Lower, Some("X-ID"), "x-id"),
            (HeaderCase::Title, Some("X-ID"), "X-Id"),
            (HeaderCase::Preserve, Some("X-ID"), "X-ID"),
            (HeaderCase::Preserve, Some("X-IDS"), "X-Id"),
            (HeaderCase::Preserve, None, "X-Id"),
        ] {
            assert_eq!(written(case, "x-id", known), expected);
        }
        assert_eq!(written(HeaderCase::Title, "www-authenticate", None), "Www-Authenticate");
        assert_eq!(written(HeaderCase::Title, "-a--b_c-1d", None), "-A--B_c-1d");
    }
}
