//! Slashes that follow each other in a path.

/// What becomes of slashes that follow each other in the path of a request.
/// `%2f` is no slash here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slashes {
    /// One is left of them: what guards `/admin` sees `//admin`, and no path
    /// begins like the name of another host.
    #[default]
    Merge,
    /// They stay, for paths whose empty segments mean something: keys of
    /// objects, signed URLs.
    Keep,
}

impl Slashes {
    /// Whether `path` is not as it should be.
    #[inline]
    pub fn are_to_be_merged(self, path: &[u8]) -> bool {
        self == Slashes::Merge && has_repeated_slash(path)
    }

    /// Makes `path` as it should be.
    pub fn tidy(self, path: &mut String) {
        if self.are_to_be_merged(path.as_bytes()) {
            let mut before = '\0';
            path.retain(|now| {
                let repeated = now == '/' && before == '/';
                before = now;
                !repeated
            });
        }
    }
}

/// Looks at all of it, so that it can look at many bytes at once.
#[inline]
fn has_repeated_slash(path: &[u8]) -> bool {
    let behind = path.get(1..).unwrap_or_default();
    path.iter().zip(behind).fold(false, |seen, (&a, &b)| seen | ((a == b'/') & (b == b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slashes_side_by_side_are_merged() {
        for (path, merged) in [
            ("", ""),
            ("/", "/"),
            ("//", "/"),
            ("////a", "/a"),
            ("/a//b///c/", "/a/b/c/"),
            ("/a//", "/a/"),
            ("/%2f/%2F/", "/%2f/%2F/"),
            ("/a/;/b", "/a/;/b"),
        ] {
            let mut text = path.to_owned();
            Slashes::Merge.tidy(&mut text);
            assert_eq!(text, merged, "{path}");
            let mut text = path.to_owned();
            Slashes::Keep.tidy(&mut text);
            assert_eq!(text, path);
        }
    }
}
