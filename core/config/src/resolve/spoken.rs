//! Which protocols are spoken with clients and hosts.

use sidegate_api::Spoken;

use crate::diagnostic::{Finding, kind};
use crate::nearest::hint;
use crate::reader::Cursor;

/// Names that MOSN has for protocols that are not here.
const STRANGERS: [&str; 6] = ["X", "bolt", "boltv2", "dubbo", "dubbo-thrift", "tars"];

/// `downstream_protocol` of the `proxy` filter: one name, or several with
/// commas between them, of which a connection then speaks one.
pub(super) fn downstream_protocol(cursor: &Cursor<'_>) -> Option<Spoken> {
    let text = cursor.string()?;
    if text.is_empty() {
        return None;
    }
    let mut spoken = None;
    let mut strangers = Vec::new();
    for name in text.split(',').map(str::trim) {
        match Spoken::parse(name) {
            Some(one) => spoken = Some(spoken.map_or(one, |so_far| both(so_far, one))),
            None if STRANGERS.contains(&name) => strangers.push(name),
            None => {
                refuse_unknown(cursor, name, "\"Http1\", \"Http2\", \"Auto\" or a list of them with commas");
                return None;
            }
        }
    }
    if spoken.is_none() {
        refuse_stranger(cursor);
    } else if !strangers.is_empty() {
        cursor.inert(format!("not served here: {}; found {}", strangers.join(", "), cursor.shown()));
    }
    spoken
}

fn both(one: Spoken, other: Spoken) -> Spoken {
    match one == other {
        true => one,
        false => Spoken::Auto,
    }
}

/// `upstream_protocol` of the `proxy` filter, which nobody reads, in MOSN
/// neither.
pub(super) fn dead_upstream_protocol(cursor: &Cursor<'_>, downstream: Spoken) {
    match cursor.string() {
        None | Some("" | "Auto") => {}
        Some(name) if name == downstream.name() => {}
        Some(_) => cursor.inert(
            "ignored here, as in MOSN: requests go to hosts in what they came in, unless `upstream_protocol` of the \
             route or the cluster says otherwise",
        ),
    }
}

/// `upstream_protocol` of a route or a cluster. `None` after an error;
/// `Some(None)` where it is empty, which is absent in MOSN.
pub(super) fn upstream_protocol(cursor: &Cursor<'_>) -> Option<Option<Spoken>> {
    let name = cursor.string()?;
    if name.is_empty() {
        return Some(None);
    }
    let spoken = Spoken::parse(name);
    if spoken.is_none() && STRANGERS.contains(&name) {
        refuse_stranger(cursor);
    } else if spoken.is_none() {
        refuse_unknown(cursor, name, "\"Http1\", \"Http2\" or \"Auto\"");
    }
    spoken.map(Some)
}

fn refuse_stranger(cursor: &Cursor<'_>) {
    let shown = cursor.shown();
    cursor.unsupported(format!(
        "this protocol is not available yet; expected \"Http1\", \"Http2\" or \"Auto\", found {shown}"
    ));
}

fn refuse_unknown(cursor: &Cursor<'_>, name: &str, expected: &str) {
    let mut finding = Finding::mismatch(kind::BAD_VALUE, expected, cursor.shown());
    let known = Spoken::NAMES.iter().map(|(known, _)| *known).chain(STRANGERS);
    finding.message.push_str(&hint(name, known));
    cursor.error(finding);
}
