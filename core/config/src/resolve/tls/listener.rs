//! TLS towards clients.

use std::sync::Arc;

use sidegate_api::Spoken;
use sidegate_tls::{
    ClearText, ClientAuth, Identity, Limits, ListenerTls, Part, ServerContext, ServerContexts, ServerSettings, Slot,
    Source, TicketKeys,
};

use super::brought::IdentityFrom;
use super::common::{Common, common};
use super::materials::Materials;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// What contexts of a listener come to.
pub(in crate::resolve) enum Tls {
    /// None of them counts.
    Off,
    On(ListenerTls),
    /// Clear text by `fall_back`, or errors were reported.
    Failed,
}

/// TLS of a listener that speaks `spoken`.
pub(in crate::resolve) fn listener_tls(
    contexts: &[Cursor<'_>],
    clear_text: ClearText,
    limits: Limits,
    spoken: Spoken,
    materials: &Materials<'_>,
) -> Tls {
    let (mut made, mut off) = (Vec::new(), true);
    for cursor in contexts {
        let Some(object) = cursor.object(&schema::LISTENER_TLS) else { continue };
        let (settings, common) = settings(object, spoken, materials);
        off &= !common.on;
        if let Some(settings) = settings {
            made.extend(context(&settings, &common, materials));
        }
    }
    match ServerContexts::new(made) {
        _ if off => Tls::Off,
        Some(contexts) => {
            Tls::On(ListenerTls { contexts: Arc::new(Slot::new(Arc::new(contexts))), clear_text, limits })
        }
        None => Tls::Failed,
    }
}

/// What a context says; no settings: it is off, or not complete.
pub(super) fn settings<'a>(
    mut object: ObjectReader<'a>,
    spoken: Spoken,
    materials: &Materials<'_>,
) -> (Option<ServerSettings>, Common<'a>) {
    let mut common = common(&mut object, materials);
    let on = common.on;
    let server_names = object.text("server_name");
    let names = server_names.as_ref().map(|(_, text)| *text).unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Arc::from).collect();
    common.names = server_names.map(|(cursor, _)| cursor);
    let alpn_strict = object.get("alpn_strict").and_then(|cursor| cursor.bool()).unwrap_or_default();
    let ocsp = object.text("ocsp_staple");
    let tickets = tickets(&mut object, &mut common, materials);
    if let Some(cursor) = object.get("insecure_skip").filter(|cursor| cursor.bool() == Some(true) && on) {
        cursor.inert("says nothing here: clients are verified as `verify_client` says");
    }
    let clients = clients(&mut object, &common);
    if let (Some(status), true) = (&common.status, on && common.has_no_identity()) {
        let expected = "`cert_chain` and `private_key` beside it: clients want to know who the listener is";
        status.error(Finding::mismatch(kind::BAD_VALUE, expected, "neither"));
    }
    if let (Some(cursor), true) = (&common.fall_back, !matches!(clients, Some(ClientAuth::None))) {
        cursor.unsupported(
            "clients that must be verified would come in unverified and in clear text; expected no `fall_back` beside \
             `verify_client` and `require_client_cert`",
        );
    }
    let more = !on && has_more(&object);
    object.finish();
    if more {
        common.at.inert("TLS is off here, as `status` is not true");
    }
    let ocsp_path = ocsp.as_ref().map(|(_, text)| materials.path(text));
    common.ocsp = ocsp.map(|(cursor, _)| cursor);
    let mut protocol = common.protocol.clone();
    if protocol.alpn.is_empty() {
        protocol.alpn = alpn_of(spoken);
    }
    let identity = common.identity.clone().filter(|_| on);
    let settings = identity.zip(clients).map(|(identity, clients)| ServerSettings {
        identity: Identity { ocsp: ocsp_path, ..identity },
        server_names: names,
        clients,
        protocol,
        alpn_strict,
        resumption: common.resumption,
        tickets,
    });
    (settings, common)
}

fn context(settings: &ServerSettings, common: &Common<'_>, materials: &Materials<'_>) -> Option<Arc<ServerContext>> {
    match materials.server(settings) {
        Ok(context) => {
            common.warn(context.warnings());
            Some(context)
        }
        Err(error) => {
            let finding = Finding::said(kind::BAD_VALUE, error.message.clone());
            match common.fall_back {
                Some(_) => {
                    let message = format!("{}; as `fall_back` says, clients are served in clear text", error.message);
                    common.place(error.part).warning(Finding::said(kind::BAD_VALUE, message));
                }
                None => common.place(error.part).error(finding),
            }
            None
        }
    }
}

/// What is asked of clients; `None` after an error.
fn clients(object: &mut ObjectReader<'_>, common: &Common<'_>) -> Option<ClientAuth> {
    let mut flag = |name| object.get(name).filter(|cursor| cursor.bool() == Some(true) && common.on);
    let (verify, require) = (flag("verify_client"), flag("require_client_cert"));
    let trust = &common.trust;
    let has_own = common.has_ca || !trust.pins.is_empty();
    let has_trust = has_own || matches!(common.identity_from, IdentityFrom::Brought(..) | IdentityFrom::Unasked);
    match (verify, require) {
        (Some(verify), _) if !has_trust => {
            verify.error(Finding::said(
                kind::MISSING_KEY,
                "whom to believe is not said; expected `ca_cert`, `verify_certificate_spki` or \
                 `verify_certificate_hash` beside it",
            ));
            None
        }
        (Some(_), None) => Some(ClientAuth::Verified(trust.clone())),
        (Some(_), Some(_)) => Some(ClientAuth::Required(trust.clone())),
        (None, Some(require)) => {
            require.warning(Finding::said(
                kind::INERT,
                "without `verify_client` any certificate, or none, will do, as in MOSN: it proves nothing, and no \
                 identity comes of it",
            ));
            Some(ClientAuth::Unverified)
        }
        (None, None) => {
            if common.on && has_own {
                common.place(Part::Ca).inert("does nothing without `verify_client`");
            }
            Some(ClientAuth::None)
        }
    }
}

fn tickets<'a>(object: &mut ObjectReader<'a>, common: &mut Common<'a>, materials: &Materials<'_>) -> TicketKeys {
    let mut sources = Vec::new();
    if let Some(cursor) = object.get("session_ticket_keys") {
        let files = cursor.array().unwrap_or_default();
        sources.extend(files.iter().filter_map(|file| Some(Source::File(materials.path(file.name()?)))));
        common.tickets = Some(cursor);
    }
    if let Some((cursor, text)) = object.text("ticket") {
        sources.push(Source::Inline(text.into()));
        common.tickets.get_or_insert(cursor);
    }
    match sources.is_empty() {
        true => TicketKeys::Rotated,
        false => TicketKeys::Shared(sources),
    }
}

/// Whether a context that is off says more than that.
fn has_more(object: &ObjectReader<'_>) -> bool {
    schema::LISTENER_TLS.keys().any(|key| key.name != "status" && object.has(key.name))
}

pub(super) fn alpn_of(spoken: Spoken) -> Vec<Arc<str>> {
    match spoken {
        Spoken::Http1 => vec!["http/1.1".into()],
        Spoken::Http2 => vec!["h2".into()],
        Spoken::Auto => vec!["h2".into(), "http/1.1".into()],
    }
}
