//! What an answer does to its stream.

use sidegate_api::{EditError, FilterCx, HeaderMapKind, Headers, LocalReply, Status, Variable};
use sidegate_proto::v1;

use super::hook::Hook;

/// Makes all edits of an answer, and says how the stream goes on; an error says
/// what cannot be had.
pub(crate) fn apply(cx: &mut FilterCx<'_>, hook: Hook, answer: &v1::Answer) -> Result<Status, String> {
    let action = v1::Action::try_from(answer.action).map_err(|_| format!("no action has number {}", answer.action))?;
    for edit in &answer.fields {
        field(cx, hook, edit)?;
    }
    for edit in &answer.variables {
        variable(cx, edit)?;
    }
    if let Some(body) = &answer.body {
        let set = cx.replace_body(hook.direction(), &body.data);
        set.map_err(|error| format!("body of {} bytes: {error}", body.data.len()))?;
    }
    for label in &answer.host_labels {
        match hook {
            Hook::RequestHeaders(..) => cx.set_metadata(label.key.as_str().into(), label.value.as_str().into()),
            _ => return Err("host_labels: not possible in this hook".to_owned()),
        }
    }
    match action {
        v1::Action::Continue => Ok(Status::Continue),
        v1::Action::Stop => Ok(Status::Stop),
        v1::Action::Terminate => Ok(Status::Terminate),
        v1::Action::RematchRoute | v1::Action::RechooseHost => again(hook, action),
        v1::Action::Reply => {
            let asked = answer.reply.as_ref().ok_or("it replies, and there is no reply")?;
            let reply = reply(asked)?;
            match cx.reply(reply) {
                Ok(()) => Ok(Status::Stop),
                Err(error) => Err(format!("reply {}: {error}", asked.status)),
            }
        }
    }
}

fn again(hook: Hook, action: v1::Action) -> Result<Status, String> {
    use sidegate_api::ReceiverPhase::{AfterChooseHost, AfterRoute};
    match (hook, action) {
        (Hook::RequestHeaders(AfterRoute | AfterChooseHost, _), v1::Action::RematchRoute) => Ok(Status::RematchRoute),
        (Hook::RequestHeaders(AfterChooseHost, _), v1::Action::RechooseHost) => Ok(Status::RechooseHost),
        _ => Err(format!("{} has no meaning in this hook", action.as_str_name())),
    }
}

fn field(cx: &mut FilterCx<'_>, hook: Hook, edit: &v1::FieldEdit) -> Result<(), String> {
    let map = match v1::Part::try_from(edit.part) {
        Ok(v1::Part::Own) => hook.map(),
        Ok(v1::Part::RequestHeaders) => HeaderMapKind::Request,
        Ok(v1::Part::RequestTrailers) => HeaderMapKind::RequestTrailers,
        Ok(v1::Part::ResponseHeaders) => HeaderMapKind::Response,
        Ok(v1::Part::ResponseTrailers) => HeaderMapKind::ResponseTrailers,
        Err(_) => return Err(format!("no part has number {}", edit.part)),
    };
    let name = edit.name.to_ascii_lowercase();
    let done = match v1::Operation::try_from(edit.operation) {
        Ok(v1::Operation::Set) => cx.set_header(map, &name, &edit.value),
        Ok(v1::Operation::Add) => cx.add_header(map, &name, &edit.value),
        Ok(v1::Operation::Remove) => cx.remove_header(map, &name).map(drop),
        Ok(v1::Operation::Unspecified) | Err(_) => Err(EditError::BadValue),
    };
    done.map_err(|error| format!("field {}: {error}", shown(&name)))
}

fn variable(cx: &mut FilterCx<'_>, edit: &v1::VariableEdit) -> Result<(), String> {
    use v1::variable_edit::Variable as Which;
    match &edit.variable {
        Some(Which::Number(number)) => {
            let known = Variable::from_number(*number).ok_or_else(|| format!("no variable has number {number}"))?;
            cx.set_variable(known, &edit.value).map_err(|error| format!("variable {known:?}: {error}"))
        }
        Some(Which::Shared(name)) => {
            let set = cx.set_named(name.as_bytes(), &edit.value);
            set.map_err(|error| format!("variable {}: {error}", shown(name.as_bytes())))
        }
        None => Err("it sets a variable and does not say which".to_owned()),
    }
}

fn reply(asked: &v1::Reply) -> Result<LocalReply, String> {
    let status = u16::try_from(asked.status).map_err(|_| format!("reply {}: no status", asked.status))?;
    let mut headers = Headers::new();
    for field in &asked.fields {
        let name = field.name.to_ascii_lowercase();
        headers.add(&name, &field.value).map_err(|_| format!("reply: too many fields, at {}", shown(&name)))?;
    }
    Ok(LocalReply { status, headers, body: asked.body.to_vec(), details: "plugin_replied" })
}

fn shown(name: &[u8]) -> String {
    const SHOWN: usize = 64;
    format!("`{}`", name.get(..SHOWN).unwrap_or(name).escape_ascii())
}
