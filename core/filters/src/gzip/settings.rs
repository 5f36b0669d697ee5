//! What is compressed, and how hard.

use crate::settings::{Object, Shape, Table, key};

pub(super) static GZIP: Table = Table::new(
    "Compresses responses for clients that take gzip: not those to HEAD, without body, of a part (206), already \
     encoded or marked `no-transform`. A compressed response has no `Content-Length` and a weak `ETag`.",
    &[
        key("gzip_level", Shape::Integer(0, 9), "6", "1 is fast, 9 small; 0 is the default."),
        key(
            "content_length",
            Shape::Integer(0, u32::MAX as u64),
            "30",
            "Bytes from which on a body is compressed; one of unknown length always is.",
        ),
        key(
            "content_types",
            Shape::Array(&Shape::Name),
            "`text/html`",
            "Media types that are compressed, without parameters such as `charset`, which do not count.",
        ),
    ],
);

/// The parsed `config`.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) level: u32,
    /// Bytes.
    pub(super) min_length: u64,
    /// In lower case.
    types: Vec<Box<str>>,
}

impl Settings {
    pub(super) fn read(config: &Object<'_>) -> Settings {
        let level = config.get("gzip_level").and_then(|s| s.integer()).filter(|level| *level > 0);
        let types = config.get("content_types").map(|s| s.list());
        let types = match &types {
            Some(types) => types.iter().filter_map(|s| s.parsed(media_type)).collect(),
            None => vec![Box::from("text/html")],
        };
        Settings {
            level: level.and_then(|level| u32::try_from(level).ok()).unwrap_or(6),
            min_length: config.get("content_length").and_then(|s| s.integer()).unwrap_or(30),
            types,
        }
    }

    /// Whether a body with this `Content-Type` is compressed.
    pub(super) fn has_type(&self, value: &[u8]) -> bool {
        let essence = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        self.types.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(essence))
    }
}

fn media_type(text: &str) -> Result<Box<str>, &'static str> {
    let token = |part: &str| sidegate_api::is_token(part.as_bytes());
    match text.split_once('/') {
        Some((kind, sub)) if token(kind) && token(sub) => Ok(text.to_ascii_lowercase().into()),
        _ => Err("expected a media type such as \"text/html\""),
    }
}
