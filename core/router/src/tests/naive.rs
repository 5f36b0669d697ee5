//! The tables against matchers too simple to be wrong.

use proptest::prelude::*;

use super::*;

fn path() -> impl Strategy<Value = String> {
    "(/[abA]{0,2}){1,4}"
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let condition = prop_oneof![
        4 => path().prop_map(|p| PathMatch::prefix(&p).unwrap()),
        1 => Just(PathMatch::prefix("*").unwrap()),
        3 => path().prop_map(|p| PathMatch::exact(&p).unwrap()),
        1 => "\\^?[ab/]{1,3}\\$?".prop_map(|p| PathMatch::regex(&p).unwrap()),
        1 => Just(PathMatch::Any),
    ];
    let headers = prop_oneof![
        3 => Just(None),
        1 => "[xy]".prop_map(|v| Some(HeaderMatch::literal("h", &v).unwrap())),
    ];
    prop_oneof![
        9 => (condition, headers).prop_map(|(path, header)| RouteMatch::new(path, header.into_iter().collect())),
        1 => "[xy]".prop_map(|value| {
            let variable = VariableMatch::literal("request_header_h", &value).unwrap();
            RouteMatch::by_variables(VariablesMatch::new([(variable, Link::And)]))
        }),
    ]
}

fn authority_host() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{1,2}(\\.[ab]{1,2}){0,3}", Just("[::1]".to_owned())]
}

fn with_port(host: String, port: Option<u16>) -> String {
    port.map_or(host.clone(), |port| format!("{host}:{port}"))
}

fn port() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![Just(None), Just(Some(80)), Just(Some(81))]
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (authority_host(), port()).prop_map(|(host, port)| with_port(host, port)),
        4 => ("\\*\\.?[ab]{1,2}(\\.[ab]{1,2}){0,2}", port()).prop_map(|(host, port)| with_port(host, port)),
        1 => port().prop_map(|port| with_port("*".to_owned(), port)),
    ]
}

/// How specific `domain` is for `authority`, if it serves it.
fn rank(domain: &Domain, host: &str, port: Option<u16>) -> Option<(u32, usize)> {
    let serves_port = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
    match domain {
        Domain::Exact { host: own, port } if **own == *host && serves_port(port) => {
            Some((3 + u32::from(port.is_some()), 0))
        }
        Domain::Suffix { suffix, port }
            if host.len() > suffix.len() && host.ends_with(&**suffix) && serves_port(port) =>
        {
            Some((1 + u32::from(port.is_some()), suffix.len()))
        }
        Domain::Any => Some((0, 0)),
        _ => None,
    }
}

proptest! {
    /// Two virtual hosts, so that numbers do not begin at 0 and the same paths
    /// stand in both.
    #[test]
    fn routes_are_found_as_by_trying_all(
        matchers in prop::collection::vec(route_match(), 0..40),
        others in prop::collection::vec(route_match(), 0..40),
        target in prop_oneof![9 => path(), 1 => Just("*".to_owned())],
        query in prop::option::of("[ab/]{0,3}"),
        header in prop::option::of("[xyz]"),
    ) {
        let headers: Vec<(&str, &str)> = header.iter().map(|v| ("h", v.as_str())).collect();
        let target = query.map_or(target.clone(), |query| format!("{target}?{query}"));
        let expected = [("b", &others, 0), ("h", &matchers, others.len())].map(|(authority, matchers, start)| {
            let request = request("GET", authority, &target, &headers);
            (matchers.iter().position(|m| m.matches(&request)).map(|at| at + start), request)
        });
        let routes = |matchers: Vec<RouteMatch>| {
            matchers.into_iter().enumerate().map(|(i, m)| route(&i.to_string(), m)).collect()
        };
        let table = table(vec![host("before", &["b"], routes(others)), host("h", &["*"], routes(matchers))]);
        for (number, request) in expected {
            let found = table.find(&request).ok().map(|m| m.id().0 as usize);
            prop_assert_eq!(found, number);
        }
    }

    #[test]
    fn virtual_hosts_are_found_as_by_trying_all(
        domains in prop::collection::vec(domain(), 1..40),
        host_text in authority_host(),
        port in port(),
    ) {
        let mut known: Vec<Domain> = Vec::new();
        for domain in domains.iter().map(|text| Domain::parse(text).unwrap()) {
            if !known.contains(&domain) {
                known.push(domain);
            }
        }
        let hosts = known.iter().map(|d| host("h", &[&d.to_string()], vec![route(&d.to_string(), RouteMatch::any())]));
        let table = table(hosts.collect());
        let best = known.iter().filter_map(|d| Some((rank(d, &host_text, port)?, d))).max_by_key(|(rank, _)| *rank);
        let expected = best.map_or("-".to_owned(), |(_, domain)| domain.to_string());
        prop_assert_eq!(&*found(&table, &get(&with_port(host_text, port), "/")), expected.as_str());
    }

    #[test]
    fn whatever_a_peer_sends_as_authority_is_looked_up_without_harm(authority in ".{0,40}", target in "/[!-~]{0,40}") {
        let table = table(vec![host("h", &["*.b", "a:1", "*"], vec![route("x", prefix("/"))])]);
        prop_assert_eq!(&*found(&table, &get(&authority, &target)), "x");
    }

    #[test]
    fn whatever_a_file_says_is_parsed_without_harm(text in ".{0,40}") {
        let _ = Domain::parse(&text).map(|domain| assert_eq!(Domain::parse(&domain.to_string()).unwrap(), domain));
        let _ = HeaderValueTemplate::parse(&text);
        let _ = PathMatch::prefix(&text);
        let _ = Authority::parse(&text);
        let _ = AbsolutePath::parse(&text);
    }
}
