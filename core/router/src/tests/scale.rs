use super::*;

/// 1,000 virtual hosts and 10,000 routes: every route is found where it is
/// expected, whatever its place.
#[test]
fn a_large_table_answers_everywhere() {
    let table = large();
    for vhost in [0, 1, 499, 999] {
        for number in 0..10 {
            let target = if number % 2 == 0 { format!("/svc{number}/x") } else { format!("/SVC{number}") };
            assert_eq!(
                &*found(&table, &get(&format!("h{vhost}.example.com:80"), &target)),
                format!("{vhost}/{number}")
            );
        }
    }
    assert_eq!(table.routes().len(), 10_000);
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
