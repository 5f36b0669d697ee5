use super::*;

fn add(name: &str, value: &str, append: Append) -> HeaderAdd {
    HeaderAdd { name: HeaderName::parse(name).unwrap(), value: HeaderValueTemplate::parse(value).unwrap(), append }
}

fn edits(add: Vec<HeaderAdd>, remove: &[&str]) -> HeaderEdits {
    HeaderEdits { add, remove: remove.iter().map(|n| HeaderName::parse_removable(n).unwrap()).collect() }
}

fn pairs(headers: &sidegate_api::Headers) -> Vec<String> {
    headers.iter().map(|(n, v)| format!("{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v))).collect()
}

/// Applies a route to `GET http://a/...` and gives authority and target.
fn rewritten(
    matcher: RouteMatch,
    action: ForwardAction,
    mut stream: StreamState,
) -> Result<(String, String), ApplyError> {
    let mut config = route("r", matcher);
    config.action = RouteAction::Forward(action);
    let table = table(vec![host("h", &["*"], vec![config])]);
    let matched = table.find(&stream).expect("a route");
    matched.apply_request(&mut stream, Some("up.stream"), &mut Vec::new())?;
    Ok((stream.request.authority.clone(), stream.request.target().to_owned()))
}

#[test]
fn levels_apply_from_route_to_router() {
    let mut inner = route("r", prefix("/"));
    inner.headers.request = edits(vec![add("X", "route", Append::Keep), add("Y", "route", Append::Replace)], &[]);
    inner.headers.response = edits(vec![add("set-cookie", "a=%response_code%", Append::Keep)], &["server"]);
    let mut vhost = host("h", &["*"], vec![inner]);
    vhost.headers.request = edits(vec![add("x", "vhost", Append::Keep)], &["z"]);
    let mut config = router(vec![vhost]);
    config.headers.request = edits(vec![add("y", "%method% %path%", Append::Replace)], &[]);
    config.headers.response = edits(vec![add("server", "s", Append::Replace)], &[]);
    let table = RouteTable::new(config).unwrap();

    let mut stream = request("GET", "a", "/p", &[("x", "client"), ("y", "client"), ("z", "client")]);
    stream.response.status = 200;
    stream.response.headers.add(b"set-cookie", b"b=1").unwrap();
    stream.response.headers.add(b"server", b"origin").unwrap();
    let matched = table.find(&stream).unwrap();
    let mut scratch = Vec::new();
    matched.apply_request(&mut stream, None, &mut scratch).unwrap();
    matched.apply_response(&mut stream, &mut scratch).unwrap();
    assert_eq!(pairs(&stream.request.headers), ["x=client", "y=GET /p", "x=route", "x=vhost"]);
    assert_eq!(pairs(&stream.response.headers), ["set-cookie=b=1", "set-cookie=a=200", "server=s"]);
}

#[test]
fn a_variable_without_value_never_lets_the_peers_own_field_pass() {
    let mut config = route("r", prefix("/"));
    config.headers.request = edits(
        vec![
            add("x-sni", "%requested_server_name%", Append::Replace),
            add("more", "%requested_server_name%", Append::Keep),
            add("tail", "id %requested_server_name%", Append::Keep),
            add("empty", "", Append::Replace),
        ],
        &[],
    );
    let table = table(vec![host("h", &["*"], vec![config])]);
    let mut stream = request("GET", "a", "/", &[("x-sni", "spoofed"), ("more", "1"), ("empty", "full")]);
    let matched = table.find(&stream).unwrap();
    matched.apply_request(&mut stream, None, &mut Vec::new()).unwrap();
    assert_eq!(pairs(&stream.request.headers), ["more=1", "empty=", "tail=id"]);
}

#[test]
fn host_means_the_authority() {
    for (value, authority) in [("B.example:81", "b.example:81"), ("%request_header_to%", "c"), ("no host", "a")] {
        let mut config = route("r", prefix("/"));
        config.headers.request = edits(vec![add("Host", value, Append::Keep)], &[]);
        let table = table(vec![host("h", &["*"], vec![config])]);
        let mut stream = request("GET", "a", "/", &[("to", "c")]);
        let matched = table.find(&stream).unwrap();
        matched.apply_request(&mut stream, None, &mut Vec::new()).unwrap();
        assert_eq!(stream.request.authority, authority);
        assert!(!stream.request.headers.contains(b"host"));
    }
    assert_eq!(HeaderName::parse_removable("Host"), Err(HeaderNameError::Host));
}

#[test]
fn framing_headers_cannot_be_named() {
    for name in ["Content-Length", "Transfer-Encoding", "connection", "upgrade"] {
        assert_eq!(HeaderName::parse(name), Err(HeaderNameError::Reserved), "{name}");
        assert_eq!(HeaderName::parse_removable(name), Err(HeaderNameError::Reserved), "{name}");
    }
}

#[test]
fn authorities_are_rewritten() {
    let header = HostRewrite::FromHeader(HeaderName::parse_readable("X-To").unwrap());
    for (rewrite, headers, expected) in [
        (HostRewrite::Keep, &[][..], "a"),
        (HostRewrite::Literal(Authority::parse("B:1").unwrap()), &[], "b:1"),
        (header.clone(), &[("x-to", "C.d")], "c.d"),
        (header.clone(), &[("x-to", "c/d")], "a"),
        (header, &[], "a"),
        (HostRewrite::FromHostname, &[], "up.stream"),
    ] {
        let action = ForwardAction { host_rewrite: rewrite.clone(), ..forward("c") };
        let (authority, _) = rewritten(prefix("/"), action, request("GET", "a", "/", headers)).unwrap();
        assert_eq!(authority, expected, "{rewrite:?}");
    }
}

#[test]
fn prefixes_are_rewritten_and_the_query_stays() {
    for (matcher, new, target, expected) in [
        (prefix("/api"), "/v2", "/api/x?y=/api", "/v2/x?y=/api"),
        (prefix("/api"), "/", "/api/x", "/x"),
        (prefix("/api"), "/", "/api", "/"),
        (prefix("/api/"), "/", "/api/x", "/x"),
        // An empty segment behind the prefix is the request's own.
        (prefix("/api"), "/", "/api//x", "/x"),
        (prefix("/api"), "/v2/", "/api/x", "/v2/x"),
        (prefix("/"), "/v2/", "/x", "/v2/x"),
        (exact("/One"), "/two", "/oNE?q", "/two?q"),
    ] {
        let path_rewrite = PathRewrite::Prefix(AbsolutePath::parse(new).unwrap());
        let text = matcher.to_string();
        let (_, target) = rewritten(matcher, ForwardAction { path_rewrite, ..forward("c") }, get("a", target)).unwrap();
        assert_eq!(target, expected, "{text} {new}");
    }
}

#[test]
fn patterns_are_rewritten() {
    for (pattern, replacement, target, expected) in [
        ("^/(\\w+)/(?P<id>\\d+)$", "/${id}/$1", "/user/7?x=1", "/7/user?x=1"),
        ("a", "b", "/aa?a", "/bb?a"),
        ("^/x", "", "/xy", "/y"),
        ("^.*$", "", "/xy", "/"),
        ("nothing", "x", "/xy", "/xy"),
    ] {
        let path_rewrite = PathRewrite::Regex(PathSubstitution::parse(pattern, replacement).unwrap());
        let (_, target) =
            rewritten(prefix("/"), ForwardAction { path_rewrite, ..forward("c") }, get("a", target)).unwrap();
        assert_eq!(target, expected, "{pattern}");
    }
    assert!(matches!(PathSubstitution::parse("(", ""), Err(SubstitutionError::Pattern(_))));
    for replacement in ["/a?b", "/a#b", "/a b", "/\r\n"] {
        assert_eq!(PathSubstitution::parse("a", replacement).unwrap_err(), SubstitutionError::Replacement);
    }
}

/// What went before, as MOSN tells it; whatever the client says of it.
#[test]
fn the_upstream_is_told_the_path_before_a_rewrite() {
    let prefixed = |new| PathRewrite::Prefix(AbsolutePath::parse(new).unwrap());
    let substituted = |new| PathRewrite::Regex(PathSubstitution::parse("^/old", new).unwrap());
    for (path_rewrite, target, expected) in [
        (prefixed("/new"), "/old/x?q=/old", Some("/old/x")),
        (prefixed("/old"), "/old/x", Some("/old/x")),
        (substituted("/new"), "/old/x?q", Some("/old/x")),
        (substituted("/new"), "/other", Some("client")),
        (PathRewrite::Keep, "/old/x", Some("client")),
    ] {
        let matcher = if matches!(path_rewrite, PathRewrite::Prefix(_)) { prefix("/old") } else { prefix("/") };
        let mut config = route("r", matcher);
        config.action = RouteAction::Forward(ForwardAction { path_rewrite: path_rewrite.clone(), ..forward("c") });
        let table = table(vec![host("h", &["*"], vec![config])]);
        let mut stream = request("GET", "a", target, &[("x-mosn-original-path", "client")]);
        table.find(&stream).unwrap().apply_request(&mut stream, None, &mut Vec::new()).unwrap();
        let told: Vec<_> = stream.request.headers.get_all(b"x-mosn-original-path").collect();
        assert_eq!(told, expected.map(str::as_bytes).as_slice(), "{path_rewrite:?} {target}");
    }
}

#[test]
fn rewritten_paths_have_their_slashes_merged_like_others() {
    for (slashes, expected) in [(Slashes::Merge, "/x/y?q=//"), (Slashes::Keep, "//x//y?q=//")] {
        let mut config = route("r", prefix("/"));
        let path_rewrite = PathRewrite::Regex(PathSubstitution::parse("old", "").unwrap());
        config.action = RouteAction::Forward(ForwardAction { path_rewrite, ..forward("c") });
        let table = RouteTable::new(RouterConfig { slashes, ..router(vec![host("h", &["*"], vec![config])]) }).unwrap();
        let mut stream = get("a", "/old/x/old/y?q=//");
        table.find(&stream).unwrap().apply_request(&mut stream, None, &mut Vec::new()).unwrap();
        assert_eq!(stream.request.target(), expected);
    }
}

#[test]
fn rewrites_that_put_dot_segments_together_are_refused() {
    let new = |text| PathRewrite::Prefix(AbsolutePath::parse(text).unwrap());
    for (matcher, path_rewrite, target) in [
        (prefix("/files"), new("/data/"), "/files../etc"),
        (prefix("/files"), new("/data/"), "/files.%2e/etc"),
        (prefix("/files"), new("/data/"), "/files%2E"),
        (prefix("/"), PathRewrite::Regex(PathSubstitution::parse("x", "").unwrap()), "/a/.x./b"),
    ] {
        let result = rewritten(matcher, ForwardAction { path_rewrite, ..forward("c") }, get("a", target));
        assert_eq!(result, Err(ApplyError::DotSegment), "{target}");
    }
}

#[test]
fn a_route_without_edits_says_so() {
    let table = table(vec![host("h", &["*"], vec![route("r", prefix("/"))])]);
    let request = get("a", "/");
    let matched = table.find(&request).unwrap();
    assert!(!matched.edits_request() && !matched.edits_response());
}
