//! Plugins that are processes of their own.

use serde_json::{Value, json};

use super::client::Running;
use super::fake::{Change, Fake};
use super::{get, post};
use crate::PluginSwitch::{Disable, Enable};

#[test]
fn mosns_calls_are_answered_as_mosn_does() {
    let server = Running::start(Fake::new(), None);
    for (query, status, body) in [
        ("status=all", 200, "name:checker,enable:true,on:true\n"),
        ("status=checker", 200, "name:checker,enable:true,on:true\n"),
        ("status=x", 400, "plugin x no register\n"),
        ("enable=x", 400, "plugin x no register\n"),
        ("disable=checker", 200, "disable checker success\n"),
    ] {
        let answer = get(&server, &format!("/api/v1/plugin?{query}"));
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{query}");
    }
}

#[test]
fn plugins_are_switched_in_both_ways_and_not_by_web_pages() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), None);
    assert_eq!(get(&server, "/api/v1/plugin?enable=checker").body, "enable checker success\n");
    assert_eq!(post(&server, "/api/v1/plugin?disable=checker", "", "").body, "disable checker success\n");
    assert_eq!(post(&server, "/api/v1/plugins/checker/enable", "", "").status, 200);
    assert_eq!(post(&server, "/api/v1/plugins/other/enable", "", "").status, 404);
    assert_eq!(get(&server, "/api/v1/plugins/checker/enable").status, 405);
    assert_eq!(get(&server, "/api/v1/plugin").status, 400);
    let switched = [Enable, Disable, Enable].map(Change::Plugin);
    assert_eq!(fake.changes(), switched);
    for mark in [
        "Origin: http://a.example",
        "Referer: http://a.example/",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Dest: image",
        "Sec-Purpose: prefetch",
        "Accept: image/avif,image/webp,*/*;q=0.8",
    ] {
        let request = format!(
            "GET /api/v1/plugin?disable=checker HTTP/1.1\r\nHost: localhost\r\n{mark}\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(server.send(&request).status, 403, "{mark}");
        let status = request.replace("disable=checker", "status=all");
        assert_eq!(server.send(&status).status, 200, "{mark}");
    }
    for nowhere in ["0.0.0.0", "0.0.0.0:80", "[::]", "[0:0::0]:80"] {
        let request =
            format!("GET /api/v1/plugin?disable=checker HTTP/1.1\r\nHost: {nowhere}\r\nConnection: close\r\n\r\n");
        assert_eq!(server.send(&request).status, 403, "{nowhere}");
    }
    assert_eq!(fake.changes(), switched);
    let listed: Value = serde_json::from_str(&get(&server, "/api/v1/plugins").body).unwrap();
    assert_eq!(
        listed["plugins"][0],
        json!({
            "name": "checker", "runs": "/p/checker", "enabled": true, "state": "up", "seconds": 2.5, "pid": 7,
            "address": "unix:/tmp/plugin1", "healthy": true, "restarts": 1, "calls": 20, "failures": 2,
            "in_flight": 3,
            "limits": {
                "cgroup": null, "memory": {"value": 67_108_864, "by": "watch"},
                "cpus": {"value": 1.5, "by": "cgroup"}, "tasks": null,
            },
            "last_error": "it exited with code 1",
        })
    );
}
