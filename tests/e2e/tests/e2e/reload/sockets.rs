//! Addresses that change.

use std::net::SocketAddr;

use serde_json::json;
use sidegate_harness::{Load, Proxy, Wire};

use super::{built, said, saying, says_one_of};
use crate::support::refusing_address;

#[test]
fn a_moved_listener_serves_at_its_new_address_and_drains_at_the_old_one() {
    let mut proxy = Proxy::start(&saying("x"));
    let old = proxy.address();
    let mut kept = proxy.connect();
    assert_eq!(kept.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().status(), 200);
    let new = refusing_address();
    let taken = proxy.reload(&saying("x").in_listener("address", json!(new.to_string())));
    assert_eq!(taken["draining"], json!([{"listener": "main", "connections": 1}]), "{taken:#}");
    assert_eq!((proxy.address(), said(new)), (new, "x".to_owned()));
    kept.expect_close();
    assert!(std::net::TcpStream::connect(old).is_err());
}

#[test]
fn a_wildcard_and_its_address_change_places() {
    let mut proxy = Proxy::start(&saying("x"));
    let port = refusing_address().port();
    for _ in 0..3 {
        for host in ["0.0.0.0", "127.0.0.1"] {
            proxy.reload(&saying(host).in_listener("address", json!(format!("{host}:{port}"))));
            assert_eq!(said(SocketAddr::from(([127, 0, 0, 1], port))), host);
        }
    }
}

#[test]
fn an_old_listener_is_opened_again_where_the_new_one_cannot_be() {
    // Somebody has the port on another address, which the wildcard wants too.
    let mut proxy = Proxy::start(&saying("old"));
    let one = refusing_address();
    let port = one.port();
    let other = std::net::TcpListener::bind(("127.0.0.2", port)).unwrap();
    proxy.reload(&saying("old").in_listener("address", json!(one.to_string())));
    let address = proxy.address();
    let number = proxy.number();
    proxy.write(&saying("new").in_listener("address", json!(format!("0.0.0.0:{port}"))));
    let answer = proxy.order("/api/v1/config/reload");
    assert_eq!((answer.status(), &answer.json()["refused"]), (422, &json!("environment")), "{}", answer.text());
    assert_eq!((said(address), proxy.number()), ("old".to_owned(), number));
    drop(other);
    proxy.reload_file();
    assert_eq!(said(address), "new");
}

#[test]
fn another_name_keeps_the_socket_and_its_connections() {
    let address = refusing_address().to_string();
    let config = |name: &str| saying("x").in_listener("address", json!(address)).in_listener("name", json!(name));
    let mut proxy = Proxy::start(&config("one"));
    let at = proxy.listener("one");
    let load = Load::start(at, 4, "/", says_one_of(&["x"]));
    let mut kept = Wire::connect(at);
    for name in ["two", "three", "one"] {
        let taken = proxy.reload(&config(name));
        assert_eq!((&taken["draining"], &taken["changes"]["drains"]), (&json!([]), &json!([])), "{taken:#}");
        assert_eq!(proxy.listener(name), at);
        assert_eq!(kept.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().text(), "x");
        load.more(10);
    }
    load.stop();
}

#[test]
fn a_listener_takes_the_address_of_the_admin_interface() {
    let mut proxy = Proxy::start(&saying("x"));
    let (admin, new) = (proxy.admin(), refusing_address());
    let admin_at = |address: SocketAddr| json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": address.port()}}});
    let config = saying("y").top("admin", admin_at(new)).in_listener("address", json!(admin.to_string()));
    proxy.write(&config);
    // Asked at the old address, which is given up meanwhile.
    let answer = proxy.order("/api/v1/config/reload");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    proxy.admin_moved_to(new);
    proxy.learn();
    assert_eq!((proxy.address(), said(admin)), (admin, "y".to_owned()));
    let dump = built(&proxy, &config);
    assert_eq!(dump["admin"], admin_at(new));
}
