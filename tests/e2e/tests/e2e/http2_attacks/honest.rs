//! What honest peers do, and what the bounds on rude ones must let pass.

use sidegate_harness::{
    AccessLine, Call, ConfigBuilder, Ending, Frame, H2Client, H2ClientSettings, Origin, Reply, block, code, flag, kind,
};

use super::{TO_H1, TO_H2, assert_serves, echo, honest, metric, proxy, rude};

#[test]
fn ninety_crumbs_of_a_cookie_and_fifteen_fields_pass() {
    let (origin, proxy) = echo();
    let mut fields = vec![(":method".to_owned(), "GET".to_owned()), (":scheme".to_owned(), "http".to_owned())];
    fields.extend([(":authority".to_owned(), "a".to_owned()), (":path".to_owned(), "/crumbs".to_owned())]);
    fields.extend((0..90).map(|n| ("cookie".to_owned(), format!("name{n}=value{n}"))));
    fields.extend((0..15).map(|n| (format!("x-{n}"), "y".to_owned())));
    let mut client = rude(&proxy);
    client.send(&Frame::headers(1, flag::END_STREAM, block(&fields)));
    assert_eq!(client.ending(1), Ending::Answered(200));
    let head = origin.last().head;
    let wanted: Vec<String> = (0..90).map(|n| format!("name{n}=value{n}")).collect();
    assert_eq!(head.all("cookie"), [wanted.join("; ")], "RFC 9113 8.2.3: one field for hosts of HTTP/1.1");
    assert_eq!(head.get("x-14"), Some("y"));
}

#[test]
fn a_thousand_requests_a_hundred_at_once_pass_on_one_connection() {
    for pair in [TO_H1, TO_H2] {
        pair.run(|| {
            let origin = Origin::http(|seen| Reply::ok(seen.head.target().to_owned()));
            let proxy = proxy(&ConfigBuilder::to(origin.address()));
            let client = honest(&proxy);
            for round in 0..10 {
                let mut streams: Vec<_> =
                    (0..100).map(|n| client.open(&Call::get(&format!("/{round}-{n}"))).unwrap()).collect();
                for (n, stream) in streams.iter_mut().enumerate() {
                    let got = stream.message().unwrap();
                    assert_eq!((got.status(), got.text()), (200, format!("/{round}-{n}")));
                }
            }
            assert_eq!((origin.count(), client.ended()), (1000, None));
        });
    }
}

#[test]
fn large_bodies_pass_both_ways_at_once() {
    for pair in [TO_H1, TO_H2] {
        pair.run(|| {
            let origin = Origin::http(|seen| Reply::ok(seen.body.clone()));
            let proxy = proxy(&ConfigBuilder::to(origin.address()));
            let client = honest(&proxy);
            let body = crate::support::pattern(10 << 20);
            for call in [Call::post("/length", body.clone()), Call::post("/open", body.clone()).open()] {
                let got = client.call(&call);
                assert_eq!(got.status(), 200);
                crate::support::assert_same_bytes(&got.body, &body);
            }
            std::thread::scope(|scope| {
                for n in 0..20 {
                    let (client, body) = (&client, &body);
                    scope.spawn(move || {
                        let part = &body[n * 100_000..(n + 1) * 100_000 + n];
                        assert!(client.call(&Call::post("/part", part)).body == part, "part {n}");
                    });
                }
            });
        });
    }
}

/// A client that takes a kilobyte at a time is slow and no attack.
#[test]
fn small_windows_pass() {
    TO_H1.run(|| {
        let origin = Origin::http(|_| Reply::ok(crate::support::pattern(200_000)));
        let proxy = proxy(&ConfigBuilder::to(origin.address()));
        let mut settings = H2ClientSettings::new();
        settings.initial_window_size(1024);
        let client = H2Client::connect_with(proxy.address(), &settings);
        for _ in 0..5 {
            crate::support::assert_same_bytes(&client.get("/").body, &crate::support::pattern(200_000));
        }
        assert_eq!(client.ended(), None);
    });
}

/// What browsers and gRPC clients send besides requests.
#[test]
fn pings_priorities_and_cancellations_in_use_pass() {
    let (origin, proxy) = echo();
    let mut client = rude(&proxy);
    // The tree that Firefox sends at first.
    for stream in [3, 5, 7, 9, 11, 13] {
        client.send(&Frame::new(kind::PRIORITY, 0, stream, [0, 0, 0, 0, 200]));
    }
    let mut stream = 15;
    for turn in 0..300_u32 {
        client.request(stream, flag::END_STREAM, "GET", "/used", &[]);
        client.send(&Frame::window_update(0, 1000));
        client.send(&Frame::ping(turn.into()));
        // Every other request is given up: someone types into a search box.
        if turn % 2 == 0 {
            client.send(&Frame::reset(stream, code::CANCEL));
        } else {
            assert_eq!(client.ending(stream), Ending::Answered(200), "turn {turn}");
        }
        stream += 2;
    }
    assert!(client.is_alive());
    assert!(origin.count() >= 150);
    assert_serves(&proxy, "afterwards");
    assert_eq!(metric(&proxy, "downstream_http2_refused_reset_total"), 0.0);
}

/// A client that resets a stream ends what was done for it, once, and the
/// access log says so.
#[test]
fn a_reset_ends_the_request_and_nothing_else() {
    let origin = Origin::scripted(|connection| {
        let head = connection.head()?;
        if head.target() == "/held" {
            // The proxy closes: nobody wants the answer.
            return connection.read_head().map(drop);
        }
        connection.reply(&Reply::ok("other"))
    });
    let config = TO_H1.run(|| ConfigBuilder::to(origin.address()));
    let proxy = TO_H1.run(|| proxy(&config));
    let client = honest(&proxy);
    let mut held = client.open(&Call::get("/held")).unwrap();
    origin.wait("the request", |origin| origin.count() == 1);
    held.reset(code::CANCEL);
    origin.wait("the end of its connection", |origin| origin.open_connections() == 0);
    let line: AccessLine = proxy.access_line("of the stream", |line| line.path == "/held");
    assert!(line.has("DC"), "{line:?}");
    assert_eq!(client.get("/other").status(), 200);
}

/// Go's server reads no other trailers than those that were announced.
#[test]
fn announced_trailers_stay_announced() {
    TO_H2.run(|| {
        let origin = Origin::echo();
        let proxy = proxy(&ConfigBuilder::to(origin.address()));
        let call = Call::post("/", "abc").header("Trailer", "X-Sum").trailer("x-sum", "7");
        assert_eq!(honest(&proxy).call(&call).status(), 200);
        let seen = origin.last();
        assert_eq!(seen.head.get("trailer"), Some("X-Sum"));
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    });
}
