//! Certificates that an extension brings, by `type` and `extend_verify`.

use serde_json::{Map, Value};
use sidegate_tls::{Identity, Provided, ProvidedPart, Source};

use super::materials::Materials;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::resolve::filters;

/// Where certificate and key are to come from.
pub(super) enum IdentityFrom<'a> {
    /// From `cert_chain` and `private_key`.
    Here,
    /// From elsewhere, and it was said why that cannot be.
    Refused,
    /// From an extension, which is not asked: the configuration is only looked
    /// at.
    Unasked,
    /// From an extension, whose type stands there.
    Brought(Cursor<'a>, Provided),
}

impl IdentityFrom<'_> {
    pub fn identity(&self) -> Option<Identity> {
        let provided = self.provided()?;
        let part = |part| Source::Provided(provided.clone(), part);
        Some(Identity { chain: part(ProvidedPart::Chain), key: part(ProvidedPart::Key), ocsp: None })
    }

    pub fn cas(&self) -> Option<Source> {
        Some(Source::Provided(self.provided()?.clone(), ProvidedPart::Ca))
    }

    fn provided(&self) -> Option<&Provided> {
        match self {
            IdentityFrom::Brought(_, provided) => Some(provided),
            IdentityFrom::Here | IdentityFrom::Refused | IdentityFrom::Unasked => None,
        }
    }
}

/// Reads the keys of what is not here.
pub(super) fn identity_from<'a>(
    object: &mut ObjectReader<'a>,
    on: bool,
    materials: &Materials<'_>,
) -> IdentityFrom<'a> {
    let refuse = |cursor: Option<Cursor<'_>>, message: &str| {
        if let Some(cursor) = cursor.filter(|cursor| on && !cursor.node().value.was_left_out()) {
            cursor.unsupported(message);
        }
    };
    let kind = object.text("type");
    let settings = object.get("extend_verify");
    let callbacks = object.text("callbacks").map(|(cursor, _)| cursor);
    refuse(callbacks, "there are no such extensions here; expected no such key");
    let sds = object.get("sds_source");
    let by_service = sds.is_some();
    refuse(sds, "certificates do not come from a discovery service yet; expected no such key, and `cert_chain`");
    let registry = materials.registry();
    let builder = kind.as_ref().and_then(|(_, kind)| registry.certificate_builder(kind));
    let (Some((at, _)), Some(builder)) = (&kind, builder) else {
        let by_extension = kind.is_some();
        let known: Vec<String> = registry.certificate_types().map(|known| format!("{known:?}")).collect();
        let expected = match known.as_slice() {
            [] => "certificates do not come from extensions here; expected no `type`, and `cert_chain`".to_owned(),
            known => format!("no extension of this type brings certificates; expected {}, or none", known.join(", ")),
        };
        refuse(kind.map(|(cursor, _)| cursor), &expected);
        refuse(settings, "extensions do not verify here; expected no such key");
        return if by_extension || by_service { IdentityFrom::Refused } else { IdentityFrom::Here };
    };
    if !on {
        return IdentityFrom::Unasked;
    }
    if by_service {
        return IdentityFrom::Refused;
    }
    for name in ["cert_chain", "private_key"] {
        if let Some(cursor) = object.get(name).filter(|cursor| !cursor.node().value.was_left_out()) {
            cursor.error(Finding::said(kind::BAD_VALUE, "the extension of `type` brings it; expected no such key"));
        }
    }
    let value = match &settings {
        Some(cursor) => cursor.json_object(),
        None => Some(Value::Object(Map::new())),
    };
    let Some(value) = value else { return IdentityFrom::Refused };
    match builder.provider(&value, materials.env()) {
        Ok(None) => {
            if let Some(warning) = builder.unasked() {
                at.warning(Finding::said(kind::INERT, warning));
            }
            IdentityFrom::Unasked
        }
        Ok(Some(provider)) => {
            if let Some(warning) = provider.warning() {
                settings.as_ref().unwrap_or(at).warning(Finding::said(kind::BAD_VALUE, warning));
            }
            IdentityFrom::Brought(at.clone(), Provided(provider))
        }
        Err(errors) => {
            filters::report(settings.as_ref().unwrap_or(at), errors);
            IdentityFrom::Refused
        }
    }
}
