//! The way back to a generation that was, by its digest.

use serde_json::{Value, json};
use sidegate_harness::{Proxy, until};

use super::shelf::{Shelf, load, mapped, origin, reload_module};

/// Digest of the generation that new streams take.
fn digest(proxy: &Proxy) -> String {
    proxy.admin_get("/api/v1/modules").json()["modules"][0]["sha256"].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(proxy: &Proxy, sha256: &str, status: u16) -> Value {
    let answer = proxy.order(&format!("/api/v1/modules/stamp/reload?sha256={sha256}"));
    assert_eq!(answer.status(), status, "{}", answer.text());
    answer.json()
}

#[test]
fn a_digest_goes_back_to_a_former_generation_whatever_the_file_is() {
    let (shelf, origin) = (Shelf::new(), origin());
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    let load = load(&proxy);
    let mut digests = vec![digest(&proxy)];
    for stamp in 2..=4 {
        shelf.put(&stamp.to_string(), &[]);
        reload_module(&proxy, "");
        digests.push(digest(&proxy));
    }
    until("former ones to leave", || (mapped(&proxy).len() == 1).then_some(()));
    // The last two are kept, and the first is not.
    let body = refused(&proxy, &digests[0], 422);
    assert_eq!(body["errors"][0]["kind"], "no_former_generation", "{body:#}");
    for known in &digests[1..] {
        assert!(body["errors"][0]["message"].as_str().unwrap().contains(known), "{body:#}");
    }
    refused(&proxy, &"0".repeat(64), 422);
    for no_digest in ["", "xyz", &digests[1][..63], &format!("{}00", digests[1])] {
        refused(&proxy, no_digest, 400);
    }
    assert_eq!((proxy.get("/").text(), proxy.number()), ("4".to_owned(), 4));
    // Without the file, and forth again.
    let latest = std::fs::read(shelf.file()).unwrap();
    std::fs::remove_file(shelf.file()).unwrap();
    for (round, stamp) in [3, 2, 4, 3].into_iter().enumerate() {
        let taken = reload_module(&proxy, &format!("?sha256={}", digests[stamp - 1]));
        assert_eq!(taken["number"], 5 + round, "{taken:#}");
        assert_eq!((proxy.get("/").text(), digest(&proxy)), (stamp.to_string(), digests[stamp - 1].clone()));
        load.more(5);
    }
    load.stop();
    // The file counts again with the next reload of the configuration.
    std::fs::write(shelf.file(), latest).unwrap();
    proxy.reload_file();
    assert_eq!(proxy.get("/").text(), "4");
}

#[test]
fn a_pinned_module_goes_back_to_nothing_else() {
    let (shelf, origin) = (Shelf::new(), origin());
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    let first = digest(&proxy);
    shelf.put("2", &[]);
    reload_module(&proxy, "");
    let second = digest(&proxy);
    proxy.reload(&shelf.config(&origin, json!({"sha256": second})));
    let body = refused(&proxy, &first, 422);
    assert_eq!(body["errors"][0]["kind"], "hash_mismatch", "{body:#}");
    assert_eq!(proxy.get("/").text(), "2");
    reload_module(&proxy, &format!("?sha256={second}"));
    assert_eq!(proxy.get("/").text(), "2");
}
