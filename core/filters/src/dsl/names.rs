//! Email addresses, URIs and DNS names, as far as comparing them goes.

use super::kind::Fail;

/// `local@domain`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Email {
    /// Its case counts.
    local: String,
    /// In lower case.
    domain: String,
}

/// A URI in the form in which it is compared: scheme and, of `http` and
/// `https`, host in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Uri {
    compared: String,
    written: String,
}

/// In lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DnsName(String);

impl Email {
    /// Takes `a@b` and `Name <a@b>`.
    pub(super) fn parse(text: &str) -> Result<Email, Fail> {
        let text = text.trim();
        let address = match text.strip_suffix('>') {
            Some(text) => text.rsplit_once('<').ok_or(Fail::Conversion)?.1,
            None => text,
        };
        let (local, domain) = address.rsplit_once('@').ok_or(Fail::Conversion)?;
        let is_odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '@' | ',' | ';' | ':' | '"');
        if local.is_empty() || domain.is_empty() || local.contains(is_odd) || domain.contains(is_odd) {
            return Err(Fail::Conversion);
        }
        Ok(Email { local: local.to_owned(), domain: domain.to_ascii_lowercase() })
    }
}

impl Uri {
    pub(super) fn parse(text: &str) -> Result<Uri, Fail> {
        if text.contains(|c: char| c.is_ascii_control() || c == ' ') || text.starts_with(':') {
            return Err(Fail::Conversion);
        }
        let scheme_end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
        let scheme = scheme_end
            .filter(|end| text[*end..].starts_with(':') && text.starts_with(|c: char| c.is_ascii_alphabetic()));
        let mut compared = text.to_owned();
        if let Some(end) = scheme {
            compared[..end].make_ascii_lowercase();
            if matches!(&compared[..end], "http" | "https") && compared[end..].starts_with("://") {
                let from = end + 3;
                let to = compared[from..].find(['/', '?', '#']).map_or(compared.len(), |at| from + at);
                let host = compared[from..to].rfind('@').map_or(from, |at| from + at + 1);
                compared[host..to].make_ascii_lowercase();
            }
        }
        Ok(Uri { compared, written: text.to_owned() })
    }

    pub(super) fn written(&self) -> &str {
        &self.written
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Uri) -> bool {
        self.compared == other.compared
    }
}

impl DnsName {
    /// Names in ASCII; others are written in Punycode.
    pub(super) fn parse(text: &str) -> Result<DnsName, Fail> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(Fail::Conversion);
        }
        Ok(DnsName(name.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_where_case_counts() {
        let email = |text| Email::parse(text).ok();
        assert_eq!(email("a@B.c"), email("Al <a@b.C>"));
        assert_ne!(email("a@b.c"), email("A@b.c"));
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b@c", "<a@b"] {
            assert_eq!(email(bad), None, "{bad}");
        }
        let uri = |text| Uri::parse(text).unwrap();
        assert!(uri("HTTPS://Me@A.b/C") == uri("https://Me@a.B/C") && uri("http://a/C") != uri("http://a/c"));
        assert!(uri("urn:A") != uri("urn:a") && uri("é:/x") == uri("é:/x"));
        assert_eq!(uri("HTTP://A").written(), "HTTP://A");
        assert!(Uri::parse("a b").is_err() && Uri::parse(":").is_err());
        let dns = |text| DnsName::parse(text).ok();
        assert_eq!(dns("A.b."), dns("a.B"));
        for bad in ["", ".", "a..b", "-a", "a_b", "é.b"] {
            assert_eq!(dns(bad), None, "{bad}");
        }
    }
}
