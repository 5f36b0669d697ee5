//! MOSN's `Request` as bytes, written straight from a stream's maps: a map of
//! strings in between would copy each of them once more.

use bytes::{BufMut, Bytes};
use prost::encoding::{encode_varint, encoded_len_varint};

/// Tags of the fields: number and kind, where all kinds have a length.
const HEADER: u8 = 1 << 3 | 2;
const TRAILER: u8 = 2 << 3 | 2;
const BODY: u8 = 3 << 3 | 2;
const TYPE: u8 = 4 << 3 | 2;
/// Of an entry of a map.
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;

/// Which map an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapField {
    Header,
    Trailer,
}

/// A request that is being written.
#[derive(Debug, Default)]
pub(crate) struct RequestWriter(Vec<u8>);

impl RequestWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        RequestWriter(Vec::with_capacity(bytes))
    }

    /// An entry of a map; both parts in UTF-8, as protocol buffers want it.
    pub(crate) fn entry(&mut self, map: MapField, name: &str, value: &str) {
        let tag = match map {
            MapField::Header => HEADER,
            MapField::Trailer => TRAILER,
        };
        let length = field_length(name.len()) + field_length(value.len());
        self.0.push(tag);
        encode_varint(length as u64, &mut self.0);
        self.field(KEY, name.as_bytes());
        self.field(VALUE, value.as_bytes());
    }

    pub(crate) fn body(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.field(BODY, bytes);
        }
    }

    pub(crate) fn kind(&mut self, kind: &str) {
        if !kind.is_empty() {
            self.field(TYPE, kind.as_bytes());
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }

    fn field(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.put_slice(bytes);
    }
}

fn field_length(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use prost::Message;
    use sidegate_proto::mosn;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_written_is_what_prost_reads(
            header: HashMap<String, String>,
            trailer: HashMap<String, String>,
            body: Vec<u8>,
            kind: String,
        ) {
            let mut writer = RequestWriter::with_capacity(0);
            for (name, value) in &header {
                writer.entry(MapField::Header, name, value);
            }
            for (name, value) in &trailer {
                writer.entry(MapField::Trailer, name, value);
            }
            writer.body(&body);
            writer.kind(&kind);
            let read = mosn::Request::decode(writer.finish()).unwrap();
            prop_assert_eq!(read, mosn::Request { header, trailer, body, r#type: kind });
        }
    }
}
