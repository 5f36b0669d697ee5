//! WebSockets through the proxy, with a WebSocket library on both sides, and
//! what else may ask for another protocol.

use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, PATIENCE, Proxy, Signal, artifact, until};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::support::pattern;

/// A server that echoes messages, any number of connections.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut socket = tungstenite::accept(stream.unwrap()).unwrap();
                // Ends with an error once the client is gone.
                while let Ok(message) = socket.read() {
                    if message.is_text() || message.is_binary() {
                        socket.send(message).unwrap();
                    }
                }
            });
        }
    });
    address
}

fn connect(proxy: &Proxy, path: &str) -> WebSocket<TcpStream> {
    let address = proxy.address();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let request = format!("ws://{address}{path}").into_client_request().unwrap();
    tungstenite::client(request, stream).unwrap().0
}

#[test]
fn websockets_carry_messages_both_ways() {
    let proxy = Proxy::start(&ConfigBuilder::to(echo_server()));
    let mut sockets: Vec<_> = (0..8).map(|number| connect(&proxy, &format!("/chat/{number}"))).collect();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        for socket in &mut sockets {
            socket.send(Message::binary(pattern(size))).unwrap();
        }
        for socket in &mut sockets {
            assert!(socket.read().unwrap() == Message::binary(pattern(size)), "{size}");
        }
    }
    for (number, mut socket) in sockets.into_iter().enumerate() {
        socket.send(Message::text("last")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("last"));
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).unwrap();
        assert!(matches!(socket.read().unwrap(), Message::Close(Some(frame)) if frame.reason.as_str() == "done"));
        assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
        // The server has ended its side; the tunnel ends when we do too.
        drop(socket);
        let line = proxy.access_line("tunnel", |line| line.path == format!("/chat/{number}"));
        assert_eq!((line.status, line.flags.len()), (101, 0), "{line:?}");
    }
}

#[test]
fn routes_see_the_request_of_a_websocket() {
    let routes = json!([{
        "match": {"prefix": "/", "headers": [{"name": "upgrade", "value": "websocket"}]},
        "route": {"cluster_name": "origin", "prefix_rewrite": "/inside/"}
    }]);
    let config = ConfigBuilder::to_routes(echo_server(), routes);
    let proxy = Proxy::start(&config);
    let mut socket = connect(&proxy, "/chat");
    socket.send(Message::text("hello")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("hello"));
    assert_eq!(proxy.get("/chat").status(), 404, "plain requests have no route");
}

#[test]
fn a_websocket_that_is_refused_is_plain_http() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let address = proxy.address();
    let request = format!("ws://{address}/chat").into_client_request().unwrap();
    let refused = tungstenite::client(request, TcpStream::connect(address).unwrap()).unwrap_err();
    let tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(response.status(), 200);
    assert!(origin.last().head.has("sec-websocket-key"));
}

#[test]
fn upgrades_can_be_switched_off() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_proxy("upgrades", json!([])));
    let got = proxy.get_with("/", "Connection: upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(got.status(), 200);
    assert!(!origin.last().head.has("upgrade") && !origin.last().head.has("connection"));
}

#[test]
fn connect_stays_refused() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_proxy("upgrades", json!(["websocket", "tcp"])));
    assert_eq!(proxy.exchange("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").status(), 501);
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_silent_tunnel_is_closed_and_a_talking_one_is_not() {
    let config = ConfigBuilder::to(echo_server()).timeout("tunnel_idle", "1s").timeout("response", "200ms");
    let proxy = Proxy::start(&config);
    let mut talking = connect(&proxy, "/talking");
    let mut silent = connect(&proxy, "/silent");
    let ended = std::thread::spawn(move || silent.read().unwrap_err());
    while !ended.is_finished() {
        talking.send(Message::text("still here")).unwrap();
        assert_eq!(talking.read().unwrap(), Message::text("still here"));
    }
    ended.join().unwrap();
    let line = proxy.access_line("silent", |line| line.path == "/silent");
    assert_eq!((line.status, line.details.as_str()), (101, "tunnel_idle_timeout"));
}

#[test]
fn a_drain_ends_tunnels_when_its_time_is_over() {
    let mut proxy = Proxy::start(&ConfigBuilder::to(echo_server()).in_server("graceful_timeout", json!("1s")));
    let mut socket = connect(&proxy, "/chat");
    proxy.signal(Signal::TERM);
    socket.send(Message::text("still here")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("still here"));
    assert!(socket.read().is_err());
    assert!(proxy.wait_exit().success());
    let line = proxy.access_line("cut", |line| line.path == "/chat");
    assert!(line.has("DD"), "{line:?}");
}

/// The filter `account` of the module `probe` says in the log how each stream
/// ended.
fn accounting(so_config: serde_json::Value) -> ConfigBuilder {
    let mut entry = json!({"type": "x", "so_config": {"so_path": artifact("libprobe.so"), "filter": "account"}});
    for (key, value) in so_config.as_object().unwrap() {
        entry["so_config"][key] = value.clone();
    }
    ConfigBuilder::to(echo_server()).filter(entry)
}

fn reload_probe(proxy: &Proxy) {
    let answer = proxy.admin_call("POST", "/api/v1/modules/libprobe/reload", "", "");
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// Whether the module's first generation is in the process.
fn first_generation(proxy: &Proxy) -> Option<serde_json::Value> {
    let modules = proxy.admin_get("/api/v1/modules").json();
    let generations = modules["modules"][0]["generations"].as_array().unwrap().clone();
    generations.into_iter().find(|g| g["generation"] == 1 && g["state"] != "unmapped")
}

#[test]
fn a_tunnel_keeps_its_filters_generation_for_as_long_as_it_may() {
    let proxy = Proxy::start(&accounting(json!({"generation_timeout": "300ms"})));
    let mut socket = connect(&proxy, "/chat");
    let mut echo = |text: &str| {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(text));
    };
    echo("before");
    reload_probe(&proxy);
    echo("while it is kept");
    until("the end of the first generation", || first_generation(&proxy).is_none().then_some(()));
    let line =
        until("its line", || proxy.logs().lines().find(|line| line.contains("end of /chat:")).map(str::to_owned));
    assert!(line.contains("status Some(101) by Proxy"), "{line}");
    echo("without it");
    drop(socket);
    let line = proxy.access_line("the tunnel", |line| line.path == "/chat");
    assert_eq!((line.status, line.flags.len(), line.details.as_str()), (101, 0, "-"), "{line:?}");
    assert_eq!(proxy.logs().matches("end of /chat:").count(), 1);
}

#[test]
fn a_tunnel_lets_go_of_a_module_that_is_taken_out_as_well() {
    let config = accounting(json!({"generation_timeout": "300ms"}));
    let mut proxy = Proxy::start(&config);
    for round in 1..3 {
        let mut socket = connect(&proxy, "/chat");
        proxy.reload(&ConfigBuilder::to(echo_server()));
        until("the end of the module", || {
            let modules = proxy.admin_get("/api/v1/modules").json();
            let generations = modules["modules"][0]["generations"].as_array().cloned().unwrap_or_default();
            assert!(generations.iter().all(|generation| generation["state"] != "current"), "{modules:#}");
            generations.is_empty().then_some(())
        });
        until("its gauge", || {
            let current = "sidegate_module_generations{module=\"libprobe\",state=\"current\"}";
            (proxy.metric(current) == Some(0.0)).then_some(())
        });
        until("its line", || (proxy.logs().matches("end of /chat:").count() == round).then_some(()));
        socket.send(Message::text("without it")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("without it"));
        // A rollback brings it back.
        assert_eq!(proxy.order("/api/v1/config/rollback").status(), 200);
        let modules = proxy.admin_get("/api/v1/modules").json();
        assert_eq!(modules["modules"][0]["name"], "libprobe", "{modules:#}");
    }
}

#[test]
fn without_a_bound_a_tunnel_keeps_it_to_its_end() {
    let proxy = Proxy::start(&accounting(json!({})));
    let mut socket = connect(&proxy, "/chat");
    reload_probe(&proxy);
    reload_probe(&proxy);
    let held = first_generation(&proxy).expect("nothing holds it");
    assert_eq!((&held["streams"], &held["state"]), (&json!(1), &json!("draining")), "{held}");
    socket.send(Message::text("x")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("x"));
    assert!(first_generation(&proxy).is_some());
    drop(socket);
    until("the end of the first generation", || first_generation(&proxy).is_none().then_some(()));
    let ended = |line: &&str| line.contains("end of /chat:") && line.contains("by Nobody");
    until("its line", || proxy.logs().lines().find(ended).map(drop));
}
