//! TLS towards hosts.

use std::sync::Arc;

use sidegate_tls::{ClientContext, ClientSettings, NameRule, ServerAuth};

use super::brought::IdentityFrom;
use super::common::{Common, common};
use super::materials::Materials;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// TLS of a cluster; `None`: clear text, or errors were reported.
pub(in crate::resolve) fn cluster_context(
    cursor: &Cursor<'_>,
    materials: &Materials<'_>,
) -> Option<Arc<ClientContext>> {
    let object = cursor.object(&schema::CLUSTER_TLS)?;
    let (settings, common) = settings(object, materials)?;
    let made = materials.client(&settings);
    let made = made.map_err(|error| common.place(error.part).error(Finding::said(kind::BAD_VALUE, error.message)));
    let context = made.ok()?;
    common.warn(context.warnings());
    Some(context)
}

/// What a context says; `None`: it is off, or not complete.
pub(super) fn settings<'a>(
    mut object: ObjectReader<'a>,
    materials: &Materials<'_>,
) -> Option<(ClientSettings, Common<'a>)> {
    let mut common = common(&mut object, materials);
    let on = common.on;
    let fixed = object.text("server_name");
    let auto = object.get("auto_sni").filter(|cursor| cursor.bool() == Some(true));
    let server_name = match (&fixed, &auto) {
        (fixed, Some(_)) => NameRule::Request { otherwise: fixed.as_ref().map(|(_, name)| (*name).into()) },
        (Some((_, name)), None) => NameRule::Fixed((*name).into()),
        (None, None) => NameRule::Host,
    };
    match (object.get("auto_san_validation"), &auto) {
        (Some(cursor), Some(_)) if cursor.bool() == Some(false) && on => cursor.unsupported(
            "a host that need not be who was asked for may be anybody; expected true, or `match_typed_subject_alt_names` \
             beside `auto_sni` for names that will do instead",
        ),
        (Some(cursor), None) if cursor.bool() == Some(true) && on => {
            cursor.unsupported("the name that is asked for is the one that is verified; expected `auto_sni: true` beside it")
        }
        (Some(cursor), _) => {
            let _ = cursor.bool();
        }
        (None, _) => {}
    }
    common.names = fixed.map(|(cursor, _)| cursor);
    let skip = object.get("insecure_skip").filter(|cursor| cursor.bool() == Some(true));
    // MOSN's samples write them on both sides.
    for name in ["verify_client", "require_client_cert"] {
        let _ = object.get(name).and_then(|cursor| cursor.bool());
    }
    if let Some((cursor, _)) = object.text("ticket").filter(|_| on) {
        cursor.inert("says nothing here: tickets are the hosts' to make");
    }
    if let Some(cursor) = &common.fall_back {
        cursor.unsupported("requests would go to hosts in clear text; expected no `fall_back` in a cluster");
    }
    let more = !on && schema::CLUSTER_TLS.keys().any(|key| key.name != "status" && object.has(key.name));
    object.finish();
    if more {
        common.at.inert("TLS is off here, as `status` is not true");
    }
    if !on || matches!(common.identity_from, IdentityFrom::Refused | IdentityFrom::Unasked) {
        return None;
    }
    let verify = match skip {
        Some(cursor) => {
            cursor.warning(Finding::said(
                kind::INERT,
                "NOTHING IS VERIFIED: whoever stands between this proxy and the hosts can read and change everything; \
                 expected `ca_cert`, or `verify_certificate_hash` for a certificate that nobody signed",
            ));
            ServerAuth::Nothing
        }
        None => ServerAuth::Verified(common.trust.clone()),
    };
    let settings = ClientSettings {
        identity: common.identity.clone(),
        verify,
        server_name,
        protocol: common.protocol.clone(),
        resumption: common.resumption,
    };
    Some((settings, common))
}
