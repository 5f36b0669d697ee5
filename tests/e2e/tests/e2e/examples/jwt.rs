use sidegate_harness::{Origin, repository};

use super::Example;

/// Signed with the key of the example's configuration; ended in 2001.
const OLD: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImV4YW1wbGUifQ.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOiJzaG9wIiwiZXhwIjoxMDAwMDAwMDAwLCJzdWIiOiJhbm4iLCJzY29wZSI6InJlYWQifQ.y66I2aNPkkBu9yknt1LDWBSDtp_fYlzerdE2iqzx-oY";

/// The token that the README gives to try.
fn token() -> String {
    let readme = std::fs::read_to_string(repository().join("so-examples/jwt/README.md")).unwrap();
    readme.lines().find_map(|line| line.strip_prefix("token=")).unwrap().to_owned()
}

#[test]
pub(crate) fn a_valid_token_opens_and_names_its_owner() {
    let origin = Origin::echo();
    let example = Example::run("jwt", &origin);
    let token = token();
    let (head, signature) = token.rsplit_once('.').unwrap();
    // Of the payload only what it says differs.
    let other = format!("{}.{signature}", OLD.rsplit_once('.').unwrap().0);
    for (authorization, status, why) in [
        (String::new(), 401, Some("Bearer")),
        (format!("Authorization: Bearer {token}\r\nX-User: root\r\n"), 200, None),
        (
            format!("Authorization: Bearer {OLD}\r\n"),
            401,
            Some("Bearer error=\"invalid_token\", error_description=\"expired\""),
        ),
        (
            format!("Authorization: Bearer {other}\r\n"),
            401,
            Some("Bearer error=\"invalid_token\", error_description=\"wrong signature\""),
        ),
        (
            format!("Authorization: Bearer {head}.\r\n"),
            401,
            Some("Bearer error=\"invalid_token\", error_description=\"wrong signature\""),
        ),
    ] {
        let got = example.get("/", &authorization);
        assert_eq!((got.status(), got.header("www-authenticate")), (status, why), "{authorization}");
    }
    let head = origin.last().head;
    assert_eq!((head.all("x-user"), head.all("x-scope")), (vec!["ann"], vec!["read"]));
    assert_eq!(origin.count(), 1);
    assert_eq!(example.metric("jwt_requests_total{module=\"libjwt\",result=\"invalid\"}"), 3.0);
}
