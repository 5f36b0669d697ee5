//! Metadata that subsets of hosts go by.

use super::{Object, Rule, Shape, key, own};

pub(crate) static METADATA: Object = Object::new(
    "metadata",
    "`metadata` of a host, `metadata_match` of a route or weighted cluster.",
    &[key("filter_metadata", Shape::Object(&FILTER_METADATA), "none", "By the name of who reads it.")],
);

pub(crate) static FILTER_METADATA: Object = Object::new(
    "filter_metadata",
    "`filter_metadata` of a host, route or weighted cluster.",
    &[
        key("mosn.lb", Shape::Map(&Shape::Text), "none", "Keys and values for the choice of a host."),
        own("envoy.lb", Shape::Map(&Shape::Text), "none", "The same, as Envoy calls it."),
    ],
)
.rules(&[Rule::AtMostOne(&["mosn.lb", "envoy.lb"])]);
