use super::*;

fn any(name: &str) -> Vec<RouteConfig> {
    vec![route(name, RouteMatch::any())]
}

#[test]
fn domains_have_mosns_precedence() {
    let table = table(vec![
        host("star", &["*"], any("star")),
        host("short", &["*.com"], any("short")),
        host("suffix", &["*.a.com"], any("suffix")),
        host("short-port", &["*.com:81"], any("short-port")),
        host("host", &["www.a.com.", "[::1]"], any("host")),
        host("port", &["WWW.a.com:80", "[::1]:80"], any("port")),
        host("any-port", &["*:99"], any("any-port")),
    ]);
    for (authority, name) in [
        ("www.a.com:80", "port"),
        ("www.a.com:080", "port"),
        ("www.a.com", "host"),
        ("www.a.com:81", "host"),
        ("x.a.com:81", "short-port"),
        ("x.a.com:82", "suffix"),
        ("x.a.com", "suffix"),
        (".a.com", "short"),
        ("a.com", "short"),
        ("com", "star"),
        ("b.org:99", "any-port"),
        ("b.org", "star"),
        ("[::1]:80", "port"),
        ("[::1]", "host"),
        ("[::2]:80", "star"),
        ("", "star"),
        // The root's dot names the same host.
        ("www.a.com.", "host"),
        ("www.a.com.:80", "port"),
        ("x.a.com.", "suffix"),
        ("com.", "star"),
        // With one more it is another name.
        ("www.a.com..", "star"),
        ("x.a.com..", "star"),
        (".", "star"),
    ] {
        assert_eq!(&*found(&table, &get(authority, "/")), name, "{authority}");
    }
}

#[test]
fn without_a_star_unknown_authorities_have_no_virtual_host() {
    let table = table(vec![host("a", &["a.com"], vec![route("x", prefix("/x"))])]);
    assert_eq!(&*found(&table, &get("b.com", "/x")), "-");
    assert_eq!(&*found(&table, &get("", "/x")), "-");
    assert_eq!(&*found(&table, &get("a.com", "/y")), "[a]");
    assert_eq!(&*found(&table, &get("a.com", "/x/y")), "x");
}

#[test]
fn a_domain_in_two_virtual_hosts_is_refused_with_both_names() {
    let hosts = vec![
        host("one", &["a.com", "a.com:*"], any("x")),
        host("two", &["b.com", "A.com."], any("y")),
        host("three", &["*", "a.com:80"], any("z")),
        host("four", &["*:*"], any("z")),
    ];
    let errors = RouteTable::new(router(hosts)).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "domain `a.com` is already served by virtual host `one`; found again in `two`",
            "domain `*` is already served by virtual host `three`; found again in `four`",
        ]
    );
    assert!(matches!(errors[0], RouteTableError::DuplicateDomain { virtual_host: 1, domain_index: 1, .. }));
}

#[test]
fn the_first_route_that_agrees_wins() {
    let table = table(vec![host(
        "h",
        &["*"],
        vec![
            route("exact", exact("/a/B")),
            route("regex", regex("b/c$")),
            route("long", prefix("/a/b/")),
            route("short", prefix("/a")),
            route("hidden", prefix("/a/x")),
        ],
    )]);
    for (target, name) in [
        ("/A/b", "exact"),
        ("/a/b?q", "exact"),
        ("/a/b/", "long"),
        ("/a/b/c", "regex"),
        ("/x/b/c", "regex"),
        ("/a/b/c?d", "regex"),
        ("/a/x", "short"),
        ("/ab", "short"),
        ("/A", "[h]"),
        ("/", "[h]"),
        ("*", "[h]"),
    ] {
        assert_eq!(&*found(&table, &get("h", target)), name, "{target}");
    }
}

#[test]
fn server_wide_options_are_about_the_root() {
    let table = table(vec![host("h", &["*"], vec![route("a", prefix("/a")), route("root", prefix("/"))])]);
    assert_eq!(&*found(&table, &request("OPTIONS", "h", "*", &[])), "root");
    assert_eq!(&*found(&table, &get("h", "/a")), "a");
}

#[test]
fn headers_restrict_paths_and_method_means_the_http_method_beside_one() {
    let with = |path: &str, headers: Vec<HeaderMatch>| RouteMatch::new(PathMatch::prefix(path).unwrap(), headers);
    let table = table(vec![host(
        "h",
        &["*"],
        vec![
            route("post", with("/", vec![HeaderMatch::literal("method", "POST").unwrap()])),
            route(
                "get-admin",
                with(
                    "/",
                    vec![
                        HeaderMatch::regex("Method", "^(GET|HEAD)$").unwrap(),
                        HeaderMatch::literal("User", "admin").unwrap(),
                    ],
                ),
            ),
            route("field", RouteMatch::new(PathMatch::Any, vec![HeaderMatch::literal("method", "POST").unwrap()])),
            route("host", RouteMatch::new(PathMatch::Any, vec![HeaderMatch::regex("host", "^v2\\.").unwrap()])),
        ],
    )]);
    assert_eq!(&*found(&table, &request("POST", "h", "/", &[])), "post");
    assert_eq!(&*found(&table, &request("HEAD", "h", "/", &[("user", "admin")])), "get-admin");
    assert_eq!(&*found(&table, &request("GET", "h", "/", &[("user", "Admin")])), "[h]");
    assert_eq!(&*found(&table, &request("GET", "h", "/", &[("method", "POST")])), "field");
    assert_eq!(&*found(&table, &request("GET", "v2.h", "/", &[])), "host");
    assert_eq!(&*found(&table, &request("GET", "h", "/", &[])), "[h]");
}

#[test]
fn a_sole_service_header_with_dot_star_asks_for_any_value() {
    for matcher in [HeaderMatch::literal("service", ".*"), HeaderMatch::regex("service", ".*")] {
        let table =
            table(vec![host("h", &["*"], vec![route("s", RouteMatch::new(PathMatch::Any, vec![matcher.unwrap()]))])]);
        assert_eq!(&*found(&table, &request("GET", "h", "/", &[("service", "x")])), "s");
        assert_eq!(&*found(&table, &request("GET", "h", "/", &[("service", "")])), "[h]");
        assert_eq!(&*found(&table, &get("h", "/")), "[h]");
    }
    let literal = HeaderMatch::literal("service", ".*").unwrap();
    let beside_a_path = RouteMatch::new(PathMatch::prefix("/").unwrap(), vec![literal]);
    assert!(!beside_a_path.matches(&request("GET", "h", "/", &[("service", "x")])));
}

#[test]
fn paths_and_patterns_that_cannot_be_are_refused() {
    for text in ["", "a", "/a?b", "/a b", "/\u{fc}"] {
        assert_eq!(PathMatch::prefix(text).unwrap_err(), MatchError::Path, "{text}");
        assert_eq!(PathMatch::exact(text).unwrap_err(), MatchError::Path, "{text}");
    }
    assert_eq!(PathMatch::regex("/a(").unwrap_err().to_string(), "expected a regular expression: unclosed group");
    assert!(HeaderMatch::regex("a", "[").is_err());
    assert!(HeaderMatch::literal("a b", "").is_err());
}

#[test]
fn rewrites_and_redirects_that_cannot_work_are_refused() {
    let mut rewrite = route("a", regex("^/a"));
    let path_rewrite = PathRewrite::Prefix(AbsolutePath::parse("/b").unwrap());
    rewrite.action = RouteAction::Forward(ForwardAction { path_rewrite, ..forward("c") });
    let mut redirect = route("b", prefix("/"));
    redirect.action =
        RouteAction::Redirect(RedirectAction { code: RedirectCode::default(), path: None, host: None, scheme: None });
    let errors = RouteTable::new(router(vec![host("h", &["*"], vec![rewrite, redirect])])).unwrap_err();
    assert_eq!(
        errors,
        [
            RouteTableError::PrefixRewrite { virtual_host: 0, route: 0 },
            RouteTableError::EndlessRedirect { virtual_host: 0, route: 1 },
        ]
    );
}

#[test]
fn numbers_lead_back_to_routes() {
    let table = table(vec![
        host("a", &["a"], vec![route("a0", prefix("/x")), route("a1", prefix("/"))]),
        host("b", &["b"], vec![route("b0", prefix("/"))]),
    ]);
    let matched = table.find(&get("b", "/")).unwrap();
    assert_eq!((matched.id(), matched.virtual_host_id()), (RouteId(2), VirtualHostId(1)));
    for (number, route) in table.routes().iter().enumerate() {
        let again = table.matched(RouteId(number as u32)).unwrap();
        assert_eq!(again.route().name(), route.name());
        assert_eq!(again.virtual_host().name()[..1], route.name()[..1]);
    }
    assert!(table.matched(RouteId(3)).is_none());
}

#[test]
fn matches_have_a_text_for_logs() {
    let headers = vec![HeaderMatch::literal("Method", "GET").unwrap(), HeaderMatch::literal("X-Y", "1").unwrap()];
    assert_eq!(prefix("/a").to_string(), "prefix /a");
    assert_eq!(exact("/a").to_string(), "path /a");
    assert_eq!(RouteMatch::new(PathMatch::regex("^/a").unwrap(), headers).to_string(), "regex ^/a with method,x-y");
    assert_eq!(RouteMatch::any().to_string(), "any");
}
