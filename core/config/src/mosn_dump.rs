//! MOSN's dump of its configuration (`/api/v1/config_dump`, and ours has the
//! same form): listeners, clusters and routers stand beside the rest, by name.
//! It is put back into the form of a file before anything else looks at it:
//! what our dump adds of the running process goes, and what came from
//! directories is taken from the dump. Positions stay those of the dump.

use crate::document::{Key, Node, NodeValue};

/// A part of a dump, and the list of the file that it came from.
struct Part {
    key: &'static str,
    way: &'static [&'static str],
    list: &'static str,
    /// What our dump adds to each: how it is, not how it was configured.
    added: &'static [&'static str],
}

const PARTS: [Part; 3] = [
    Part { key: "listener", way: &["servers"], list: "listeners", added: &["bound"] },
    Part { key: "routers", way: &["servers"], list: "routers", added: &[] },
    Part { key: "cluster", way: &["cluster_manager"], list: "clusters", added: &["health"] },
];

/// Lists, and the directories that they may have come from.
const DIRECTORIES: [(&str, &str); 2] = [("virtual_hosts", "router_configs"), ("clusters", "clusters_configs")];

/// Whether it is a dump, which is then a file.
pub(crate) fn unfold(root: &mut Node) {
    let NodeValue::Object(entries) = &mut root.value else { return };
    let is_dump = |(key, node): &(Key, Node)| key.text == "mosn_config" && matches!(node.value, NodeValue::Object(_));
    let Some(at) = entries.iter().position(is_dump) else { return };
    let (_, rest) = entries.remove(at);
    // What our own dump says of the configuration that ran.
    entries.retain(|(key, node)| key.text != "running" || !matches!(node.value, NodeValue::Object(_)));
    let mut parts = Vec::new();
    for part in &PARTS {
        let is_part = |(key, node): &(Key, Node)| key.text == part.key && matches!(node.value, NodeValue::Object(_));
        if let Some(at) = entries.iter().position(is_part) {
            parts.push((part, entries.remove(at)));
        }
    }
    if let NodeValue::Object(rest) = rest.value {
        entries.splice(0..0, rest);
    }
    for (part, (key, node)) in parts {
        let NodeValue::Object(named) = node.value else { continue };
        let mut elements: Vec<Node> = named.into_iter().map(|(_, node)| node).collect();
        for element in &mut elements {
            if let NodeValue::Object(entries) = &mut element.value {
                entries.retain(|(key, _)| !part.added.contains(&key.text.as_str()));
            }
        }
        put(root, part, &key, elements);
    }
    fill_in(root, "");
}

/// Takes away the names of directories beside the lists that were read from
/// them, which a dump has too.
fn forget_directories(entries: &mut Vec<(Key, Node)>) {
    for (list, directory) in DIRECTORIES {
        let is_there = |(key, node): &(Key, Node)| key.text.eq_ignore_ascii_case(list) && !node.value.says_nothing();
        if entries.iter().any(is_there) {
            entries.retain(|(key, _)| !key.text.eq_ignore_ascii_case(directory));
        }
    }
}

/// A key that a file must have, and that a dump leaves out where its value is
/// 0 or empty: in an object that is, or is an element of, `within` and has
/// `beside`.
struct LeftOut {
    within: &'static str,
    beside: &'static str,
    key: &'static str,
    value: fn() -> NodeValue,
}

const LEFT_OUT: [LeftOut; 4] = [
    LeftOut { within: "header", beside: "key", key: "value", value: || NodeValue::String(String::new()) },
    LeftOut { within: "headers", beside: "name", key: "value", value: || NodeValue::String(String::new()) },
    LeftOut { within: "cluster", beside: "name", key: "weight", value: || NodeValue::Number("0".to_owned()) },
    LeftOut {
        within: "socket_address",
        beside: "address",
        key: "port_value",
        value: || NodeValue::Number("0".to_owned()),
    },
];

/// Puts back what the dump left out of `node`, which stands at `key`.
fn fill_in(node: &mut Node, key: &str) {
    let position = node.position;
    match &mut node.value {
        NodeValue::Array(elements) => elements.iter_mut().for_each(|element| fill_in(element, key)),
        NodeValue::Object(entries) => {
            forget_directories(entries);
            for (inner, node) in entries.iter_mut() {
                match inner.text.as_str() {
                    // What filters and modules get is theirs, and whole; but
                    // a `connection_manager` has a router there.
                    "config" if key == "filters" => {
                        if let NodeValue::Object(entries) = &mut node.value {
                            forget_directories(entries);
                        }
                    }
                    "config" | "per_filter_config" => {}
                    inner => fill_in(node, inner),
                }
            }
            let has = |entries: &[(Key, Node)], name: &str| entries.iter().any(|(key, _)| key.text == name);
            for left_out in LEFT_OUT.iter().filter(|left_out| left_out.within == key) {
                if has(entries, left_out.beside) && !has(entries, left_out.key) {
                    let value = Node { value: (left_out.value)(), position };
                    entries.push((Key { text: left_out.key.to_owned(), position }, value));
                }
            }
        }
        _ => {}
    }
}

/// Appends to the list of a part, which is made if it is not there.
fn put(root: &mut Node, part: &Part, key: &Key, elements: Vec<Node>) {
    let mut node = root;
    for step in part.way {
        let at = |text: &str| Key { text: text.to_owned(), position: key.position };
        let NodeValue::Object(entries) = &mut node.value else { return };
        let empty = || Node { value: NodeValue::Object(Vec::new()), position: key.position };
        let place = entries.iter().position(|(known, _)| known.text == *step).unwrap_or_else(|| {
            entries.push((at(step), empty()));
            entries.len() - 1
        });
        let Some((_, next)) = entries.get_mut(place) else { return };
        if *step == "servers" {
            // Dumped as a list of one; `null` where there was none.
            if !matches!(&next.value, NodeValue::Array(servers) if !servers.is_empty()) {
                next.value = NodeValue::Array(vec![empty()]);
            }
            let NodeValue::Array(servers) = &mut next.value else { return };
            let Some(first) = servers.first_mut() else { return };
            node = first;
        } else {
            node = next;
        }
    }
    let NodeValue::Object(entries) = &mut node.value else { return };
    match entries.iter_mut().find(|(known, _)| known.text == part.list) {
        Some((_, Node { value: NodeValue::Array(there), .. })) => there.extend(elements),
        Some((_, there)) => there.value = NodeValue::Array(elements),
        None => {
            let list = Key { text: part.list.to_owned(), position: key.position };
            entries.push((list, Node { value: NodeValue::Array(elements), position: key.position }));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::{Format, parse};

    fn unfolded(text: &str) -> serde_json::Value {
        let mut root = parse(text, Format::Json).unwrap();
        unfold(&mut root);
        root.to_json()
    }

    #[test]
    fn parts_go_back_to_where_they_came_from() {
        let dump = r#"{"mosn_config": {"servers": [{"processor": 2}], "cluster_manager": {"tls_context": {}}},
            "listener": {"l": {"name": "l"}}, "cluster": {"a": {"name": "a"}, "b": {"name": "b"}},
            "routers": {"r": {"router_config_name": "r"}}, "extends": [], "more": 1}"#;
        let file = json!({
            "servers": [{"processor": 2, "listeners": [{"name": "l"}], "routers": [{"router_config_name": "r"}]}],
            "cluster_manager": {"tls_context": {}, "clusters": [{"name": "a"}, {"name": "b"}]},
            "extends": [], "more": 1,
        });
        assert_eq!(unfolded(dump), file);
    }

    #[test]
    fn what_is_left_out_as_zero_is_put_back() {
        let dump = r#"{"mosn_config": {"admin": {"address": {"socket_address": {"address": "::1"}}}}, "routers": {"r": {
            "match": {"headers": [{"name": "a"}]}, "cluster": {"name": "c"}, "add": [{"header": {"key": "x"}}],
            "config": {"header": {"key": "x"}}}}}"#;
        let file = json!({
            "admin": {"address": {"socket_address": {"address": "::1", "port_value": 0}}},
            "servers": [{"routers": [{
                "match": {"headers": [{"name": "a", "value": ""}]}, "cluster": {"name": "c", "weight": 0},
                "add": [{"header": {"key": "x", "value": ""}}], "config": {"header": {"key": "x"}},
            }]}],
        });
        assert_eq!(unfolded(dump), file);
    }

    #[test]
    fn what_our_dump_adds_goes_away() {
        let dump = r#"{"mosn_config": {"cluster_manager": {"clusters_configs": "dir"}, "servers": [{}], "bound": 1},
            "listener": {"l": {"name": "l", "bound": null, "health": 1, "filter_chains": [{"filters": [
                {"config": {"router_configs": "dir", "virtual_hosts": [{}]}}]}],
                "stream_filters": [{"config": {"router_configs": "dir", "virtual_hosts": [{}]}}]}},
            "cluster": {"c": {"name": "c", "health": [{"address": "x"}], "bound": 2}},
            "routers": {"r": {"router_configs": "dir", "virtual_hosts": [{"name": "v"}]},
                "s": {"router_configs": "dir", "virtual_hosts": null}}}"#;
        let file = json!({
            "cluster_manager": {"clusters": [{"name": "c", "bound": 2}]},
            "servers": [{
                "listeners": [{"name": "l", "health": 1,
                    "filter_chains": [{"filters": [{"config": {"virtual_hosts": [{}]}}]}],
                    "stream_filters": [{"config": {"router_configs": "dir", "virtual_hosts": [{}]}}],
                }],
                "routers": [{"virtual_hosts": [{"name": "v"}]}, {"router_configs": "dir", "virtual_hosts": null}],
            }],
            "bound": 1,
        });
        assert_eq!(unfolded(dump), file);
        // No cluster of the dump came from the directory.
        let dump = r#"{"mosn_config": {"cluster_manager": {"clusters_configs": "dir"}}, "cluster": {}}"#;
        assert_eq!(unfolded(dump), json!({"cluster_manager": {"clusters_configs": "dir", "clusters": []}}));
    }

    #[test]
    fn whatever_is_missing_is_made_and_what_is_no_dump_is_left() {
        let bare = r#"{"mosn_config": {"servers": null}, "listener": {"l": {}}, "cluster": {}}"#;
        let file = json!({"servers": [{"listeners": [{}]}], "cluster_manager": {"clusters": []}});
        assert_eq!(unfolded(bare), file);
        for text in [r#"{"servers": [], "listener": {}}"#, "[]", "1", r#"{"mosn_config": 1, "listener": {}}"#] {
            assert_eq!(unfolded(text), serde_json::from_str::<serde_json::Value>(text).unwrap());
        }
    }
}
