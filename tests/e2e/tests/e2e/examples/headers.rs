//! `headers` and `headers-c` do the same.

use sidegate_harness::{Origin, Reply};

use super::Example;

fn edits_both_directions(folder: &str) -> Example {
    let origin = Origin::http(|_| Reply::ok("").header("Server", "origin").header("Via", "1.0 origin"));
    let example = Example::run(folder, &origin);
    let got = example.get("/", "X-Debug: 1\r\nX-Team: core\r\nx-debug: 2\r\n");
    assert_eq!(got.status(), 200);
    let head = origin.last().head;
    assert_eq!((head.get("x-debug"), head.all("x-team")), (None, vec!["edge"]));
    assert_eq!((got.head.get("server"), got.head.get("x-frame-options")), (None, Some("DENY")));
    assert_eq!(got.head.all("via"), ["1.0 origin", "1.1 sidegate"]);
    example
}

#[test]
pub(crate) fn the_rust_one_edits_both_directions() {
    edits_both_directions("headers");
}

#[test]
pub(crate) fn the_c_one_edits_both_directions_and_counts() {
    let example = edits_both_directions("headers-c");
    // The request and the response.
    assert_eq!(example.metric("headers_edited{"), 2.0);
}
