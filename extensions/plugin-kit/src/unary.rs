//! MOSN's call, answered by the same filters.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sidegate_proto::mosn;
use sidegate_proto::v1;
use sidegate_proto::v1::{Action, Field, Operation, Variable};
use tonic::{Request, Response, Status};

use crate::{Answer, Plugin, Use};

/// The status by which a plugin refuses.
const DENIED: i32 = -1;

pub(crate) struct Unary(Result<Box<dyn Use>, String>);

impl Unary {
    pub(crate) fn new(plugin: &impl Plugin) -> Arc<Self> {
        let configure = v1::Configure { config: "{}".to_owned(), ..Default::default() };
        Arc::new(Unary(plugin.configure(&configure)))
    }
}

#[tonic::async_trait]
impl mosn::plugin_server::Plugin for Unary {
    async fn call(&self, request: Request<mosn::Request>) -> Result<Response<mosn::Response>, Status> {
        let place = self.0.as_ref().map_err(Status::failed_precondition)?;
        let request = request.into_inner();
        let mut filter = place.filter();
        let mut response = mosn::Response { status: 1, ..Default::default() };
        let has_body = !request.body.is_empty() || !request.trailer.is_empty();
        let is_response = request.r#type == "response";
        let pseudo = |name: &str| Bytes::from(request.header.get(name).cloned().unwrap_or_default());
        let answer = if is_response {
            let status = request.header.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
            let head = v1::ResponseHeaders {
                status,
                fields: fields(&request.header),
                end_of_stream: !has_body,
                ..Default::default()
            };
            filter.response_headers(head).await
        } else {
            let authority = match pseudo(":authority") {
                none if none.is_empty() => pseudo("Host"),
                authority => authority,
            };
            let head = v1::RequestHeaders {
                phase: v1::Phase::BeforeRoute.into(),
                method: pseudo(":method"),
                scheme: pseudo(":scheme"),
                authority,
                target: pseudo(":path"),
                fields: fields(&request.header),
                end_of_stream: !has_body,
                ..Default::default()
            };
            filter.request_headers(head).await
        };
        apply(&answer, &request.header, &mut response.header, &mut response.status);
        if has_body && response.status != DENIED {
            let chunk = v1::BodyChunk {
                data: request.body.clone().into(),
                more: false,
                last: true,
                end_of_stream: true,
                trailers: fields(&request.trailer),
            };
            let answer = match is_response {
                true => filter.response_body(chunk).await,
                false => filter.request_body(chunk).await,
            };
            if let Some(body) = &answer.0.body {
                response.body = body.data.to_vec();
            }
            apply(&answer, &request.trailer, &mut response.trailer, &mut response.status);
        }
        filter.end(None).await;
        Ok(Response::new(response))
    }
}

/// Fields of a map, in lower case; what HTTP/2 has as pseudo fields stands
/// elsewhere.
fn fields(map: &HashMap<String, String>) -> Vec<Field> {
    let plain = map.iter().filter(|(name, _)| !name.starts_with(':') && !name.eq_ignore_ascii_case("host"));
    let field = |(name, value): (&String, &String)| Field {
        name: name.to_ascii_lowercase().into(),
        value: value.clone().into(),
    };
    plain.map(field).collect()
}

/// What of an answer this protocol can say.
fn apply(answer: &Answer, known: &HashMap<String, String>, map: &mut HashMap<String, String>, status: &mut i32) {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    for edit in &answer.0.fields {
        let name = text(&edit.name).to_ascii_lowercase();
        let before = || {
            let mut known = known.iter().filter(|(other, _)| other.eq_ignore_ascii_case(&name));
            known.next().map(|(_, value)| value.clone())
        };
        let value = match Operation::try_from(edit.operation) {
            Ok(Operation::Remove) => String::new(),
            Ok(Operation::Add) => match map.get(&name).cloned().or_else(before).filter(|value| !value.is_empty()) {
                Some(before) => format!("{before}, {}", text(&edit.value)),
                None => text(&edit.value),
            },
            _ => text(&edit.value),
        };
        map.insert(name, value);
    }
    for edit in &answer.0.variables {
        let Some(v1::variable_edit::Variable::Number(number)) = edit.variable else { continue };
        let name = match i32::try_from(number).map(Variable::try_from) {
            Ok(Ok(Variable::Method)) => ":method",
            Ok(Ok(Variable::Target)) => ":path",
            Ok(Ok(Variable::Authority)) => ":authority",
            Ok(Ok(Variable::Status)) => ":status",
            _ => continue,
        };
        map.insert(name.to_owned(), text(&edit.value));
    }
    if matches!(answer.0.action(), Action::Reply | Action::Terminate) {
        *status = DENIED;
    }
}
