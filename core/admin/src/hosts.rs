//! The hosts of one cluster: what they are, and edits of them that last until
//! the next reload.

use std::sync::Arc;

use serde_json::{Map, Value};
use sidegate_api::{Address, LbMetadata, RequestHead};

use crate::changes::refused;
use crate::endpoints::Call;
use crate::reply::{Answer, Reply};
use crate::{Change, HostDeed, HostEdit, SourceError};

/// The longest that the system takes, without its NUL.
const MAX_SOCKET_PATH: usize = 107;

pub(crate) fn show(call: &Call<'_>) -> Reply {
    let Some((cluster, version)) = call.source.cluster(call.name) else {
        return SourceError::NotFound(format!("no cluster is called {:?}", call.name)).into();
    };
    let mut shown = Map::from_iter([("cluster".to_owned(), cluster.name.as_str().into())]);
    shown.append(&mut cluster.to_json());
    Reply::json(&Value::Object(shown)).with_etag(&version)
}

pub(crate) fn add(call: &Call<'_>) -> Answer {
    edit(call, |call| {
        let mut body = Body::read(call.body)?;
        let address = address(&body.required_text("address")?)?;
        let (weight, hostname) = (body.number("weight")?, body.text("hostname")?);
        let metadata = metadata(body.0.remove("metadata"))?;
        body.end("address, hostname, weight, metadata")?;
        Ok((address, HostDeed::Add { weight, hostname: hostname.filter(|name| !name.is_empty()), metadata }))
    })
}

pub(crate) fn set(call: &Call<'_>) -> Answer {
    edit(call, |call| {
        let mut body = Body::read(call.body)?;
        let (weight, drained) = (body.number("weight")?, body.flag("drained")?);
        body.end("weight, drained")?;
        if weight.is_none() && drained.is_none() {
            return Err("expected `weight`, `drained` or both".to_owned());
        }
        Ok((address(call.address)?, HostDeed::Set { weight, drained }))
    })
}

pub(crate) fn remove(call: &Call<'_>) -> Answer {
    edit(call, |call| match call.body.trim_ascii().is_empty() {
        true => Ok((address(call.address)?, HostDeed::Remove)),
        false => Err("expected no body".to_owned()),
    })
}

fn edit(call: &Call<'_>, read: impl FnOnce(&Call<'_>) -> Result<(Address, HostDeed), String>) -> Answer {
    let Some(editor) = call.editor else { return Reply::text(403, "not allowed").into() };
    let bad = |message: String| refused(400, "bad_request", &message).into();
    let if_match = match if_match(call.head) {
        Ok(Some(tags)) => tags,
        Ok(None) => {
            let text = "an edit needs If-Match with the ETag of the hosts that it is meant for, or with *";
            return refused(428, "if_match_missing", text).into();
        }
        Err(message) => return bad(message),
    };
    let (address, deed) = match read(call) {
        Ok(read) => read,
        Err(message) => return bad(message),
    };
    let (cluster, editor) = (call.name.to_owned(), editor.to_string());
    let work = call.source.change(Change::Host(HostEdit { cluster, if_match, address, deed, editor }));
    Answer::Later(Box::pin(async { work.await.into() }))
}

/// What If-Match asks for: `None` inside for `*`. RFC 9110, 13.1.1; weak tags
/// match nothing.
fn if_match(head: &RequestHead) -> Result<Option<Option<Vec<String>>>, String> {
    let mut tags: Option<Vec<String>> = None;
    for value in head.headers.get_all(b"if-match") {
        let text = std::str::from_utf8(value).map_err(|_| "If-Match is not ASCII".to_owned())?;
        if text.trim() == "*" {
            return Ok(Some(None));
        }
        let tags = tags.get_or_insert_default();
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let is_weak = tag.starts_with("W/");
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).filter(|tag| !tag.contains('"'));
            let opaque = opaque.ok_or_else(|| format!("expected an ETag in quotes in If-Match, found {tag}"))?;
            if !is_weak {
                tags.push(opaque.to_owned());
            }
        }
    }
    Ok(tags.map(Some))
}

/// The object of a body; what is taken out of it is known.
struct Body(Map<String, Value>);

impl Body {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Body(object)),
            Ok(other) => Err(format!("expected a JSON object, found {other}")),
            Err(error) => Err(format!("expected a JSON object: {error}")),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("expected a string in `{key}`, found {other}")),
        }
    }

    fn required_text(&mut self, key: &str) -> Result<String, String> {
        self.text(key)?.ok_or_else(|| format!("`{key}` is missing"))
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, String> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| format!("expected an integer in `{key}`, found {value}"))
            }
        }
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(format!("expected true or false in `{key}`, found {other}")),
        }
    }

    fn end(&self, known: &str) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |key| Err(format!("unknown key {key:?}; there are {known}")))
    }
}

fn address(text: &str) -> Result<Address, String> {
    let address = Address::parse(text).map_err(|error| format!("{error}, found {text:?}"))?;
    match &address {
        Address::Unix(path) if path.as_os_str().len() > MAX_SOCKET_PATH || text.contains('\0') => {
            Err(format!("expected a socket path of 1 to {MAX_SOCKET_PATH} bytes without NUL, found {text:?}"))
        }
        _ => Ok(address),
    }
}

/// As a host of the file has it: `{"filter_metadata": {"mosn.lb": {…}}}`.
fn metadata(value: Option<Value>) -> Result<LbMetadata, String> {
    const EXPECTED: &str = "expected {\"filter_metadata\": {\"mosn.lb\": {\"KEY\": \"VALUE\"}}} in `metadata`";
    let Some(value) = value else { return Ok(LbMetadata::default()) };
    let only = |value: &Value, names: &[&str]| -> Option<Value> {
        let object = value.as_object().filter(|object| object.len() == 1)?;
        names.iter().find_map(|name| object.get(*name)).cloned()
    };
    let of_hosts = only(&value, &["filter_metadata"]).and_then(|of| only(&of, &["mosn.lb", "envoy.lb"]));
    let Some(Value::Object(pairs)) = of_hosts else { return Err(EXPECTED.to_owned()) };
    let pair = |(key, value): (String, Value)| match value {
        Value::String(value) => Ok((Arc::from(key), Arc::from(value))),
        other => Err(format!("{EXPECTED}, found {other}")),
    };
    Ok(LbMetadata::new(pairs.into_iter().map(pair).collect::<Result<Vec<_>, _>>()?))
}
