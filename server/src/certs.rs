//! Certificates, CAs and lists in use, as JSON: never keys.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sidegate_manager::Board;
use sidegate_telemetry::write_rfc3339;
use sidegate_tls::{CertificateInfo, HeldIdentity, HeldRoots, HeldTrust, Holdings, RevocationInfo};

/// Those of all listeners and clusters, in configured order.
pub(crate) fn certs(board: &Board) -> Value {
    let now = SystemTime::now();
    let mut contexts = Vec::new();
    for listener in board.listeners() {
        let Some(tls) = &listener.tls else { continue };
        for (place, context) in tls.contexts.get().contexts().iter().enumerate() {
            let names: Vec<&str> = context.names().collect();
            let more = json!({ "context": place, "server_names": names });
            contexts.push(shown("listener", &listener.name, more, context.holdings(), now));
        }
    }
    for shown_cluster in board.clusters() {
        let cluster = &shown_cluster.cluster;
        let Some(context) = &cluster.config().tls else { continue };
        contexts.push(shown("cluster", cluster.name(), json!({}), context.holdings(), now));
    }
    json!({ "certs": contexts })
}

fn shown(owner: &str, name: &str, more: Value, holdings: &Holdings, now: SystemTime) -> Value {
    let mut entry = Map::new();
    entry.insert(owner.to_owned(), name.into());
    if let Value::Object(more) = more {
        entry.extend(more);
    }
    let chain = holdings.identity.as_ref().map(|own| identity(own, now));
    entry.insert("cert_chain".to_owned(), chain.unwrap_or_default());
    let (roots, lists) = holdings.trust.as_ref().map(|held| trust(held, now)).unwrap_or_default();
    entry.insert("ca_cert".to_owned(), roots);
    entry.insert("crl".to_owned(), lists);
    entry.into()
}

fn identity(own: &HeldIdentity, now: SystemTime) -> Value {
    json!({
        "source": own.chain_from.shown(),
        "private_key_source": own.key_from.shown(),
        "ocsp_staple": own.stapled,
        "certificates": own.chain.iter().map(|info| certificate(info, now)).collect::<Vec<_>>(),
    })
}

fn trust(held: &HeldTrust, now: SystemTime) -> (Value, Value) {
    let roots = match &held.roots {
        HeldRoots::System(count) => json!({ "source": "system", "count": count }),
        HeldRoots::Pinned => Value::Null,
        HeldRoots::Given(source, cas) => json!({
            "source": source.shown(),
            "certificates": cas.iter().map(|info| certificate(info, now)).collect::<Vec<_>>(),
        }),
    };
    let lists = held.lists.as_ref().map(|(source, lists)| {
        json!({ "source": source.shown(), "lists": lists.iter().map(|info| list(info, now)).collect::<Vec<_>>() })
    });
    (roots, lists.unwrap_or_default())
}

fn certificate(info: &CertificateInfo, now: SystemTime) -> Value {
    json!({
        "subject": info.subject,
        "issuer": info.issuer,
        "subject_alt_names": info.names,
        "serial": info.serial,
        "sha256": info.sha256,
        "key": info.key,
        "not_before": stamp(info.not_before),
        "not_after": stamp(info.not_after),
        "days_left": days_left(info.not_after, now),
    })
}

fn list(info: &RevocationInfo, now: SystemTime) -> Value {
    json!({
        "issuer": info.issuer,
        "revoked": info.revoked,
        "this_update": stamp(info.this_update),
        "next_update": info.next_update.map(stamp),
        "days_left": info.next_update.map(|until| days_left(until, now)),
    })
}

/// Whole days; below zero once it is over.
fn days_left(until: SystemTime, now: SystemTime) -> i64 {
    let seconds = |time: SystemTime| {
        i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
    };
    (seconds(until) - seconds(now)).div_euclid(24 * 3600)
}

fn stamp(time: SystemTime) -> String {
    let mut out = Vec::new();
    write_rfc3339(&mut out, time);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_are_whole_and_go_below_zero() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let day = Duration::from_secs(24 * 3600);
        for (until, expected) in [
            (now + day * 3, 3),
            (now + day * 3 - Duration::from_secs(1), 2),
            (now, 0),
            (now - Duration::from_secs(1), -1),
            (now - day, -1),
        ] {
            assert_eq!(days_left(until, now), expected);
        }
        assert_eq!(stamp(now), "2027-01-15T08:00:00.000000Z");
    }
}
