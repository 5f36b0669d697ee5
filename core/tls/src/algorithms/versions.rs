//! Versions of TLS.

use std::fmt;

use rustls::SupportedProtocolVersion;

use super::AlgorithmError;

/// A version that was ever called TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 2246.
    Tls10,
    /// RFC 4346.
    Tls11,
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The versions that are spoken; never below 1.2, never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions {
    min: Version,
    max: Version,
}

impl Default for Versions {
    fn default() -> Self {
        Versions { min: Version::Tls12, max: Version::Tls13 }
    }
}

impl Version {
    /// As MOSN (`tlsv1_2`) and Envoy (`TLSv1_2`) write them; `None` for `tls_auto`
    /// and nothing.
    pub fn parse(text: &str) -> Result<Option<Version>, AlgorithmError> {
        match text.to_ascii_lowercase().as_str() {
            "" | "tls_auto" => Ok(None),
            "tlsv1_0" => Ok(Some(Version::Tls10)),
            "tlsv1_1" => Ok(Some(Version::Tls11)),
            "tlsv1_2" => Ok(Some(Version::Tls12)),
            "tlsv1_3" => Ok(Some(Version::Tls13)),
            _ => Err(AlgorithmError::Unknown {
                expected: "tls_auto, tlsv1_2 or tlsv1_3".to_owned(),
                found: text.to_owned(),
            }),
        }
    }

    fn rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Version::Tls13 => &rustls::version::TLS13,
            _ => &rustls::version::TLS12,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Tls10 => "TLS 1.0",
            Version::Tls11 => "TLS 1.1",
            Version::Tls12 => "TLS 1.2",
            Version::Tls13 => "TLS 1.3",
        })
    }
}

impl Versions {
    /// From `min` to `max`; a `min` below 1.2 is raised, which is told by the
    /// second value.
    pub fn new(min: Option<Version>, max: Option<Version>) -> Result<(Versions, bool), AlgorithmError> {
        let default = Versions::default();
        let max = max.unwrap_or(default.max);
        if max < Version::Tls12 {
            return Err(AlgorithmError::TooOld(max));
        }
        let asked = min.unwrap_or(default.min);
        let min = asked.max(default.min);
        if min > max {
            return Err(AlgorithmError::Empty { min, max });
        }
        Ok((Versions { min, max }, asked < min))
    }

    /// Whether `version` is spoken.
    pub fn contains(self, version: Version) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// Those that are spoken.
    pub fn each(self) -> impl Iterator<Item = Version> {
        [Version::Tls13, Version::Tls12].into_iter().filter(move |version| self.contains(*version))
    }

    pub(crate) fn rustls(self) -> Vec<&'static SupportedProtocolVersion> {
        self.each().map(Version::rustls).collect()
    }
}
