//! MOSN's own example configurations, unchanged but for the ports.

use std::net::SocketAddr;
use std::path::PathBuf;

use sidegate_harness::{Origin, Proxy, ProxyOptions, TempDir, artifact, repository, sidegate};

/// A file of the collection, if it is there.
fn example(name: &str) -> Option<String> {
    let path: PathBuf = repository().join("../shared/mosn-configs").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(_) => {
            eprintln!("skipped: the collection of MOSN configurations is not beside this checkout ({name})");
            None
        }
    }
}

/// Fixed ports become free ones and the upstream becomes `upstream`.
fn relocated(text: &str, listen: &str, upstream: (&str, SocketAddr)) -> String {
    let moved = text
        .replace(&format!("\"{}\"", upstream.0), &format!("\"{}\"", upstream.1))
        .replace(&format!("\"{listen}\""), "\"127.0.0.1:0\"")
        .replace("\"0.0.0.0\"", "\"127.0.0.1\"")
        .replace("34901", "0")
        .replace("34902", "0");
    assert!(moved.contains("127.0.0.1:0") && moved.contains(&upstream.1.to_string()), "{moved}");
    moved
}

fn run(dir: TempDir, text: &str) -> Proxy {
    let file = dir.write("config.json", text);
    Proxy::run(dir, &file, &ProxyOptions::default())
}

#[track_caller]
fn guards_the_user_header(proxy: &Proxy, origin: &Origin) {
    let address = proxy.listener("serverListener");
    let get = |fields: &str| {
        sidegate_harness::Wire::connect(address)
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
            .response()
            .status()
    };
    assert_eq!(get(""), 403);
    assert_eq!(get("User: guest\r\n"), 403);
    assert_eq!(origin.count(), 0);
    assert_eq!(get("User: admin\r\n"), 200);
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_so_example_runs_with_the_module_under_the_name_it_asks_for() {
    let Some(text) = example("plugin/so/config.json") else { return };
    for module in ["libauth.so", "libauth_c.so"] {
        let origin = Origin::echo();
        let dir = TempDir::new();
        std::fs::copy(artifact(module), dir.join("simple_so.so")).unwrap();
        let proxy = run(dir, &relocated(&text, "127.0.0.1:2046", ("127.0.0.1:8080", origin.address())));
        guards_the_user_header(&proxy, &origin);
        let modules = proxy.admin_get("/api/v1/modules").json();
        assert_eq!(modules["modules"][0]["name"], "simple_so", "{modules}");
    }
}

#[test]
fn a_relative_module_is_found_in_the_working_directory_too() {
    let Some(text) = example("plugin/so/config.json") else { return };
    let origin = Origin::echo();
    let (dir, elsewhere) = (TempDir::new(), TempDir::new());
    std::fs::copy(artifact("libauth.so"), elsewhere.join("simple_so.so")).unwrap();
    let file = dir.write("config.json", relocated(&text, "127.0.0.1:2046", ("127.0.0.1:8080", origin.address())));
    let options = ProxyOptions { directory: Some(elsewhere.path().to_owned()), ..ProxyOptions::default() };
    let proxy = Proxy::run(dir, &file, &options);
    guards_the_user_header(&proxy, &origin);
}

#[test]
fn the_so_example_without_its_module_says_so() {
    let Some(text) = example("plugin/so/config.json") else { return };
    let dir = TempDir::new();
    let file = dir.write("config.json", text);
    for command in ["check", "run"] {
        let outcome = sidegate([command.as_ref(), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.output());
        assert!(outcome.output().contains("simple_so.so"), "{}", outcome.output());
    }
}

#[test]
fn the_stream_filter_example_runs() {
    let Some(text) = example("simple_streamfilter/config.json") else { return };
    let origin = Origin::echo();
    let proxy = run(TempDir::new(), &relocated(&text, "127.0.0.1:2046", ("127.0.0.1:8080", origin.address())));
    guards_the_user_header(&proxy, &origin);
}

#[test]
fn the_http_sample_runs_as_two_sidecars_in_a_row() {
    let (Some(server), Some(client)) =
        (example("http-sample/server_config.json"), example("http-sample/client_config.json"))
    else {
        return;
    };
    let origin = Origin::echo();
    let server = run(TempDir::new(), &relocated(&server, "127.0.0.1:2046", ("127.0.0.1:8080", origin.address())));
    let next = server.listener("serverListener");
    let client = run(TempDir::new(), &relocated(&client, "127.0.0.1:2045", ("127.0.0.1:2046", next)));
    let mut wire = sidegate_harness::Wire::connect(client.listener("clientListener"));
    for number in 0..3 {
        wire.send(format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
        let got = wire.response();
        assert_eq!((got.status(), &got.json()["body"]), (200, &"body".into()));
    }
    let seen = origin.last();
    assert_eq!(seen.head.target(), "/2");
    assert_eq!(seen.head.all("x-forwarded-for").join(", "), "127.0.0.1, 127.0.0.1");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn the_examples_pass_the_check_with_warnings_that_name_paths() {
    for name in ["simple_streamfilter/config.json", "http-sample/server_config.json", "http-sample/client_config.json"]
    {
        let Some(text) = example(name) else { return };
        let dir = TempDir::new();
        let file = dir.write("config.json", &text);
        let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.output());
        if text.contains("disable_upgrade") {
            assert!(
                outcome.output().contains("disable_upgrade"),
                "{name}: a dead key is warned about: {}",
                outcome.output()
            );
        }
    }
}

#[test]
fn a_dump_of_mosns_serves_as_its_file_does() {
    // Of `dumped.json`, made with MOSN's own code.
    let dump = repository().join("core/config/src/resolve/tests/dump.json");
    let origin = Origin::echo();
    let text = std::fs::read_to_string(dump).unwrap();
    // The real filter has no settings per route.
    let mut dump: serde_json::Value = serde_json::from_str(&text).unwrap();
    let route = &mut dump["routers"]["r"]["virtual_hosts"][0]["routers"][2];
    route.as_object_mut().unwrap().remove("per_filter_config").unwrap();
    let text = dump.to_string().replace("127.0.0.1:9\"", &format!("{}\"", origin.address())).replace("34901", "0");
    let proxy = run(TempDir::new(), &text);
    let get = |path: &str, fields: &str| {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: a\r\nUser: admin\r\n{fields}\r\n");
        sidegate_harness::Wire::connect(proxy.listener("l")).send(raw).response()
    };
    assert_eq!(get("/hello", "").text(), "hello");
    let moved = get("/old", "");
    assert_eq!((moved.status(), moved.header("location")), (301, Some("http://a/new")));
    assert_eq!(get("/anything", "").status(), 200);
    assert_eq!(get("/re", "").status(), 200);
    assert_eq!(origin.count(), 2);
}
