//! One normal form for paths, so that what routes and filters judged is what
//! the upstream gets.

use crate::Slashes;

/// Writes the normal form of `path` (starting with `/`, without query)
/// into `out`.
///
/// - `.` and `..` segments are resolved; going above the root stays there
///   (RFC 3986 section 5.2.4).
/// - Percent-encoded unreserved characters are decoded (section 6.2.2.2): a
///   rule for `/admin` must see `/%61dmin`, and `%2e%2e` is `..`.
/// - Then slashes that follow each other are merged, if `slashes` says so: so
///   late, `..` takes the segment away that it would without merging.
/// - Everything else stays as sent: `%2f`, `%5c`, `%252e` and `;x`.
/// - A malformed escape and `%00` are refused.
pub fn normalize_path(path: &str, slashes: Slashes, out: &mut String) -> Result<(), &'static str> {
    out.clear();
    out.push('/');
    let bytes = path.as_bytes();
    // `out[segment..]` is the segment that is being written; the byte before
    // it is always `/`.
    let mut segment = 1;
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'/' => {
                segment = end_segment(out, segment, Segment::Inner);
                at += 1;
            }
            b'%' => {
                let value = match (bytes.get(at + 1).and_then(hex), bytes.get(at + 2).and_then(hex)) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => return Err("escape_invalid"),
                };
                match value {
                    0 => return Err("nul_in_path"),
                    _ if is_unreserved(value) => out.push(char::from(value)),
                    _ => out.push_str(&path[at..at + 3]),
                }
                at += 3;
            }
            0x80.. => {
                let character = path[at..].chars().next().unwrap_or_default();
                out.push(character);
                at += character.len_utf8();
            }
            _ => {
                out.push(char::from(byte));
                at += 1;
            }
        }
    }
    end_segment(out, segment, Segment::Last);
    slashes.tidy(out);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Inner,
    Last,
}

/// Resolves the finished segment and returns where the next one starts.
fn end_segment(out: &mut String, segment: usize, position: Segment) -> usize {
    match &out[segment..] {
        "." => out.truncate(segment),
        ".." => {
            out.truncate(segment - 1);
            match out.rfind('/') {
                Some(slash) => out.truncate(slash + 1),
                None => out.push('/'),
            }
        }
        _ if position == Segment::Inner => out.push('/'),
        _ => {}
    }
    out.len()
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).map(|value| value as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<String, &'static str> {
        let mut out = String::from("left over");
        normalize_path(path, Slashes::Keep, &mut out).map(|()| out)
    }

    #[test]
    fn dots_are_resolved_and_the_rest_stays() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/../x", "/x"),
            ("/a/./x", "/a/x"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/../../x", "/x"),
            ("/a//../b", "/a/b"),
            ("/..//x", "//x"),
            ("//x", "//x"),
            ("/a//", "/a//"),
            ("/a/%2e%2e/x", "/x"),
            ("/a/%2E./x", "/x"),
            ("/a/.%2e", "/"),
            ("/a/%2e/x", "/a/x"),
            ("/a/...", "/a/..."),
            ("/a/..b/.c", "/a/..b/.c"),
            ("/a%2fb", "/a%2fb"),
            ("/a%2F..%2fb", "/a%2F..%2fb"),
            ("/a%5c..%5Cb", "/a%5c..%5Cb"),
            ("/a/%252e%252e/x", "/a/%252e%252e/x"),
            ("/a;x/b;y=1", "/a;x/b;y=1"),
            ("/a/..;x/b", "/a/..;x/b"),
            ("/%61dmin%7e", "/admin~"),
            ("/%20%25%c3%a9", "/%20%25%c3%a9"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    /// Dot segments first, and neither remains.
    #[test]
    fn slashes_are_merged_after_dots_were_resolved() {
        for (path, expected) in [
            ("//x", "/x"),
            ("//", "/"),
            ("/..//x", "/x"),
            ("/a//../b", "/a/b"),
            ("/a/b//../../c", "/a/c"),
            ("//../..//admin//", "/admin/"),
            ("/.//./admin", "/admin"),
            ("/%2e//%2E%2e/admin", "/admin"),
            ("/a//%2f//b", "/a/%2f/b"),
            ("/a%2f/b", "/a%2f/b"),
            ("/x//..;a//b", "/x/..;a/b"),
        ] {
            let mut out = String::new();
            assert_eq!(normalize_path(path, Slashes::Merge, &mut out).map(|()| &*out), Ok(expected), "{path}");
            let mut again = String::new();
            assert_eq!(normalize_path(&out, Slashes::Merge, &mut again).map(|()| &*again), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (path, why) in [
            ("/%00", "nul_in_path"),
            ("/a%00b/..", "nul_in_path"),
            ("/%", "escape_invalid"),
            ("/%2", "escape_invalid"),
            ("/%zz", "escape_invalid"),
            ("/%+1", "escape_invalid"),
            ("/%2%65", "escape_invalid"),
        ] {
            assert_eq!(normal(path), Err(why), "{path}");
        }
    }
}
