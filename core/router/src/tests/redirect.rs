use super::*;

fn location(path: Option<&str>, host: Option<&str>, scheme: Option<&str>, stream: &StreamState) -> String {
    let redirect = RedirectAction {
        code: RedirectCode::default(),
        path: path.map(|p| RedirectPath::parse(p).unwrap()),
        host: host.map(|h| Authority::parse(h).unwrap()),
        scheme: scheme.map(|s| Scheme::parse(s).unwrap()),
    };
    let mut out = Vec::new();
    redirect.write_location(&stream.request, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn configured_parts_replace_those_of_the_request() {
    let request = get("a.com:8080", "/p?q=1");
    for (path, host, scheme, expected) in [
        (Some("/new"), None, None, "http://a.com:8080/new?q=1"),
        (Some("/new?own"), None, None, "http://a.com:8080/new?own"),
        (Some("/new#part"), None, None, "http://a.com:8080/new#part"),
        (None, Some("B.com"), None, "http://b.com/p?q=1"),
        (None, None, Some("HTTPS"), "https://a.com:8080/p?q=1"),
        (Some("/"), Some("b:1"), Some("https"), "https://b:1/?q=1"),
    ] {
        assert_eq!(location(path, host, scheme, &request), expected);
    }
}

#[test]
fn a_default_port_does_not_survive_a_change_of_scheme() {
    assert_eq!(location(None, None, Some("https"), &get("a:80", "/")), "https://a/");
    assert_eq!(location(None, None, Some("https"), &get("[::1]:80", "/")), "https://[::1]/");
    assert_eq!(location(None, None, Some("http"), &get("a:80", "/")), "http://a:80/");
    assert_eq!(location(None, None, Some("https"), &get("a:443", "/")), "https://a:443/");
}

#[test]
fn without_authority_the_path_alone_names_no_other_host() {
    assert_eq!(location(Some("/new"), None, None, &get("", "/p")), "/new");
    assert_eq!(location(None, None, Some("https"), &get("", "//evil/x?q")), "/.//evil/x?q");
    assert_eq!(location(None, Some("b"), None, &get("", "//x")), "http://b//x");
}

#[test]
fn server_wide_options_go_to_the_root() {
    assert_eq!(location(None, Some("b"), None, &request("OPTIONS", "a", "*", &[])), "http://b/");
}

#[test]
fn schemes_and_statuses_are_checked() {
    for text in ["", "1http", "ht tp", "http:", "h\r\n"] {
        assert_eq!(Scheme::parse(text), Err(TargetError::Scheme), "{text}");
    }
    for (status, valid) in [(199, false), (200, true), (599, true), (600, false), (65736, false)] {
        assert_eq!(DirectResponse::check_status(status).is_ok(), valid, "{status}");
    }
}
