use sidegate_harness::Origin;

use super::Example;

#[test]
pub(crate) fn one_filter_tells_the_other_what_it_found() {
    let origin = Origin::echo();
    let example = Example::run("multi", &origin);
    for (path, key, status) in [
        ("/", "", 200),
        ("/", "X-Api-Key: nobody\r\n", 401),
        ("/reports", "", 401),
        ("/reports", "x-api-key: key-1\r\n", 402),
        ("/reports/2", "x-api-key: key-3\r\nX-Plan: gold\r\n", 200),
    ] {
        assert_eq!(example.get(path, key).status(), status, "{path} {key}");
    }
    assert_eq!(origin.last().head.all("x-plan"), ["paid"]);
    assert_eq!(origin.count(), 2);
}
