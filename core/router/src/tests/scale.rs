use super::*;

/// 1,000 virtual hosts and 10,000 routes: every route is found where it is
/// expected, whatever its place.
#[test]
fn a_large_table_answers_everywhere() {
    let table = large();
    for vhost in 0..1000 {
        for number in 0..10 {
            let target = if number % 2 == 0 { format!("/svc{number}/x") } else { format!("/SVC{number}") };
            let matched = table.find(&get(&format!("h{vhost}.example.com:80"), &target));
            assert_eq!(matched.map(|m| m.id().0).ok(), Some(vhost * 10 + number));
        }
    }
    assert_eq!(table.routes().len(), 10_000);
}

/// Ten thousand prefixes in one virtual host, of all lengths, many within
/// others.
#[test]
fn many_prefixes_of_one_host_are_told_apart() {
    let text = |number: usize| format!("/{}", number.to_string().repeat(1 + number % 9));
    let routes = (0..10_000).rev().map(|number| route(&number.to_string(), prefix(&text(number))));
    let table = table(vec![host("h", &["*"], routes.collect())]);
    for number in (0..10_000).step_by(97) {
        let path = text(number);
        // The first in configured order that the path begins with.
        let first = (0..10_000).rev().find(|other| path.starts_with(&text(*other)));
        assert_eq!(table.find(&get("h", &path)).map(|m| m.id().0 as usize).ok(), first.map(|first| 9_999 - first));
    }
}

fn large() -> RouteTable {
    let hosts = (0..1000).map(|vhost| {
        let routes = (0..10).map(|number| {
            let matcher =
                if number % 2 == 0 { prefix(&format!("/svc{number}/")) } else { exact(&format!("/svc{number}")) };
            route(&format!("{vhost}/{number}"), matcher)
        });
        host(&format!("v{vhost}"), &[&format!("h{vhost}.example.com")], routes.collect())
    });
    table(hosts.collect())
}
