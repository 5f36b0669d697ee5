//! What a filter may see and do in a hook.

mod request_line;

use std::sync::Arc;
use std::time::Duration;

use crate::stream::HeadState;
use crate::{
    BodyBuffer, BodyInterest, HeaderLimit, HeaderProblem, Headers, LbMetadata, LocalReply, Method, MirrorFan, Protocol,
    RefusedReply, ResumeHandle, ResumeSlot, RouteFilterConfig, SetReply, StreamState, Variable, VariableValue,
    WorkerIndex, check_filter_header, check_trailer, is_token,
};

/// One of a stream's four header maps. Numbers are the module ABI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum HeaderMapKind {
    /// Request head.
    Request = 0,
    /// Request trailers.
    RequestTrailers = 1,
    /// Response head.
    Response = 2,
    /// Response trailers.
    ResponseTrailers = 3,
}

/// Which body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum BodyDirection {
    /// From the client.
    Request = 0,
    /// To the client.
    Response = 1,
}

/// Why something a filter wanted was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Name or value is not allowed.
    #[error(transparent)]
    Header(#[from] HeaderProblem),
    /// A limit of the stream was reached.
    #[error("limit reached")]
    Limit,
    /// The part does not exist yet, is already sent, or the filter did not
    /// declare that it edits it.
    #[error("not possible in this hook")]
    NotNow,
    /// The variable cannot be set, or not to this value.
    #[error("value is not allowed here")]
    BadValue,
}

impl From<HeaderLimit> for EditError {
    fn from(_: HeaderLimit) -> Self {
        EditError::Limit
    }
}

/// Finds the most specific `per_filter_config` object of the matched route for
/// the filter at a place in the chain. Implemented by the proxy.
pub trait RouteConfigSource {
    /// The object, if route or virtual host have one for that filter.
    fn route_config(&self, filter_index: usize) -> Option<&dyn RouteFilterConfig>;
}

/// A stream in a filter's hands, for the time of one hook.
pub struct FilterCx<'a> {
    stream: &'a mut StreamState,
    routes: &'a dyn RouteConfigSource,
    filter_index: usize,
    worker: WorkerIndex,
    /// What this hook may do with each body.
    body_access: [BodyAccess; 2],
    /// Trailers that this hook may edit.
    trailers: [bool; 2],
    limits: FilterLimits,
    /// The stream has ended: there is nothing left to decide.
    ended: bool,
}

/// What the running hook may do with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum BodyAccess {
    #[default]
    None,
    Read,
    Edit,
}

/// Bytes that filters may make a stream hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterLimits {
    body: usize,
    named: usize,
}

impl<'a> FilterCx<'a> {
    /// For the proxy: lends `stream` to the filter at `filter_index`.
    pub fn new(
        stream: &'a mut StreamState,
        routes: &'a dyn RouteConfigSource,
        filter_index: usize,
        worker: WorkerIndex,
        max_body: usize,
    ) -> Self {
        FilterCx {
            stream,
            routes,
            filter_index,
            worker,
            body_access: [BodyAccess::None; 2],
            trailers: [true; 2],
            limits: FilterLimits { body: max_body, named: 64 * 1024 },
            ended: false,
        }
    }

    /// For the proxy: opens the body of `direction` to the hook, as far as the
    /// filter's declared `interest` goes.
    pub fn with_body(mut self, direction: BodyDirection, interest: BodyInterest) -> Self {
        self.body_access[direction as usize] = match interest {
            BodyInterest::None => BodyAccess::None,
            BodyInterest::Observe => BodyAccess::Read,
            BodyInterest::Stream | BodyInterest::Whole => BodyAccess::Edit,
        };
        self
    }

    /// For the proxy: opens to the hook the trailers of this direction only;
    /// the other's were sent, or are still to be replaced by the upstream's.
    pub fn with_trailers_of(mut self, direction: BodyDirection) -> Self {
        self.trailers = [false; 2];
        self.trailers[direction as usize] = true;
        self
    }

    /// For the proxy: the stream has ended, and no part of it can be changed.
    pub fn after_end(mut self) -> Self {
        self.trailers = [false; 2];
        self.ended = true;
        self
    }

    /// Whether the stream has ended.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The whole stream, to read.
    pub fn stream(&self) -> &StreamState {
        self.stream
    }

    /// Worker this hook runs on.
    pub fn worker(&self) -> WorkerIndex {
        self.worker
    }

    /// Value of a variable.
    pub fn variable(&self, variable: Variable) -> Option<VariableValue<'_>> {
        variable.get(self.stream)
    }

    /// Sets method, path, query, target, authority (request head not sent yet)
    /// or status (response head not sent yet). Others are `NotNow`.
    pub fn set_variable(&mut self, variable: Variable, value: &[u8]) -> Result<(), EditError> {
        match variable {
            Variable::Status => {
                self.response_open()?;
                let status = std::str::from_utf8(value).ok().and_then(|v| v.parse::<u16>().ok());
                let status = status.filter(|s| (200..=599).contains(s)).ok_or(EditError::BadValue)?;
                self.stream.response.status = status;
                Ok(())
            }
            Variable::Method | Variable::Path | Variable::Query | Variable::Target | Variable::Authority => {
                if self.stream.request.state == HeadState::Sent || self.ended {
                    return Err(EditError::NotNow);
                }
                self.set_request_line(variable, value)
            }
            _ => Err(EditError::NotNow),
        }
    }

    /// One of the header maps, to read. `host` of a request is the authority
    /// and not in the map: use [`FilterCx::header`].
    pub fn headers(&self, kind: HeaderMapKind) -> &Headers {
        match kind {
            HeaderMapKind::Request => &self.stream.request.headers,
            HeaderMapKind::RequestTrailers => &self.stream.request_trailers,
            HeaderMapKind::Response => &self.stream.response.headers,
            HeaderMapKind::ResponseTrailers => &self.stream.response_trailers,
        }
    }

    /// Value of the first field `name` (lower case); `host` of a request is
    /// its authority.
    pub fn header(&self, kind: HeaderMapKind, name: &[u8]) -> Option<&[u8]> {
        if kind == HeaderMapKind::Request && name == b"host" {
            let authority = &self.stream.request.authority;
            return (!authority.is_empty()).then_some(authority.as_bytes());
        }
        self.headers(kind).get(name)
    }

    /// Replaces all fields `name` by one.
    pub fn set_header(&mut self, kind: HeaderMapKind, name: &[u8], value: &[u8]) -> Result<(), EditError> {
        if kind == HeaderMapKind::Request && name.eq_ignore_ascii_case(b"host") {
            return self.set_variable(Variable::Authority, value);
        }
        self.editable(kind, name, value)?.set_by_filter(name, value)?;
        Ok(())
    }

    /// Appends a field.
    pub fn add_header(&mut self, kind: HeaderMapKind, name: &[u8], value: &[u8]) -> Result<(), EditError> {
        if kind == HeaderMapKind::Request && name.eq_ignore_ascii_case(b"host") {
            return Err(EditError::Header(HeaderProblem::Reserved));
        }
        self.editable(kind, name, value)?.add_by_filter(name, value)?;
        Ok(())
    }

    /// Removes all fields `name` and says how many.
    pub fn remove_header(&mut self, kind: HeaderMapKind, name: &[u8]) -> Result<usize, EditError> {
        if kind == HeaderMapKind::Request && name.eq_ignore_ascii_case(b"host") {
            return Err(EditError::Header(HeaderProblem::Reserved));
        }
        Ok(self.editable(kind, name, b"")?.remove(name))
    }

    fn editable(&mut self, kind: HeaderMapKind, name: &[u8], value: &[u8]) -> Result<&mut Headers, EditError> {
        match kind {
            HeaderMapKind::Request => {
                check_filter_header(name, value)?;
                if self.stream.request.state == HeadState::Sent || self.ended {
                    return Err(EditError::NotNow);
                }
                Ok(&mut self.stream.request.headers)
            }
            HeaderMapKind::Response => {
                check_filter_header(name, value)?;
                self.response_open()?;
                Ok(&mut self.stream.response.headers)
            }
            HeaderMapKind::RequestTrailers => {
                check_trailer(name, value)?;
                self.trailers_open(BodyDirection::Request)?;
                Ok(&mut self.stream.request_trailers)
            }
            HeaderMapKind::ResponseTrailers => {
                check_trailer(name, value)?;
                self.trailers_open(BodyDirection::Response)?;
                Ok(&mut self.stream.response_trailers)
            }
        }
    }

    /// Trailers can be written while they have somewhere to go: until the head
    /// is out any message can become a chunked one that may carry them.
    fn trailers_open(&self, direction: BodyDirection) -> Result<(), EditError> {
        let carried = match direction {
            BodyDirection::Request => true,
            BodyDirection::Response => {
                self.stream.info.protocol != Protocol::Http10
                    && self.stream.request.method != Method::Head
                    && !matches!(self.stream.response.status, 204 | 205 | 304)
            }
        };
        let at = direction as usize;
        let open = self.trailers[at] && !self.stream.trailers_closed[at] && carried;
        if open { Ok(()) } else { Err(EditError::NotNow) }
    }

    fn response_open(&self) -> Result<(), EditError> {
        let response = &self.stream.response;
        if response.status == 0 || response.state == HeadState::Sent || self.ended {
            return Err(EditError::NotNow);
        }
        Ok(())
    }

    /// Value of a variable that filters share.
    pub fn named(&self, name: &[u8]) -> Option<&[u8]> {
        self.stream.named.get(name)
    }

    /// Sets a variable that filters share; the name is a token, the value any
    /// bytes.
    pub fn set_named(&mut self, name: &[u8], value: &[u8]) -> Result<(), EditError> {
        if !is_token(name) {
            return Err(HeaderProblem::BadName.into());
        }
        if self.stream.named.byte_len() + name.len() + value.len() > self.limits.named {
            return Err(EditError::Limit);
        }
        self.stream.named.set(name, value)?;
        Ok(())
    }

    /// The body bytes this hook may see.
    pub fn body(&self, direction: BodyDirection) -> Option<&BodyBuffer> {
        if self.body_access[direction as usize] == BodyAccess::None {
            return None;
        }
        Some(match direction {
            BodyDirection::Request => &self.stream.request_body,
            BodyDirection::Response => &self.stream.response_body,
        })
    }

    fn body_mut(&mut self, direction: BodyDirection) -> Result<&mut BodyBuffer, EditError> {
        if self.body_access[direction as usize] != BodyAccess::Edit {
            return Err(EditError::NotNow);
        }
        let body = match direction {
            BodyDirection::Request => &mut self.stream.request_body,
            BodyDirection::Response => &mut self.stream.response_body,
        };
        body.mark_edited();
        Ok(body)
    }

    /// Bytes that a body may have in this filter's hands, or that of a reply.
    pub fn body_limit(&self) -> usize {
        self.limits.body
    }

    /// Replaces the visible body bytes.
    pub fn replace_body(&mut self, direction: BodyDirection, bytes: &[u8]) -> Result<(), EditError> {
        let limit = self.limits.body;
        let body = self.body_mut(direction)?;
        if bytes.len() > limit {
            return Err(EditError::Limit);
        }
        body.replace(bytes);
        Ok(())
    }

    /// Appends to the visible body bytes.
    pub fn append_body(&mut self, direction: BodyDirection, bytes: &[u8]) -> Result<(), EditError> {
        let limit = self.limits.body;
        let body = self.body_mut(direction)?;
        if body.len() + bytes.len() > limit {
            return Err(EditError::Limit);
        }
        body.append(bytes);
        Ok(())
    }

    /// Removes up to `count` of the visible body bytes from the front.
    pub fn drain_body(&mut self, direction: BodyDirection, count: usize) -> Result<usize, EditError> {
        Ok(self.body_mut(direction)?.drain(count))
    }

    /// This filter wants nothing more of this stream's body and trailers of
    /// `direction`. Said in a header hook, it makes the stream go on as if the
    /// filter had not asked for that body: its announced length stays.
    pub fn waive_body(&mut self, direction: BodyDirection) {
        self.stream.waived_bodies[direction as usize] = true;
    }

    /// Asks for a host with this metadata, over what the route's
    /// `metadata_match` says of `key`. Counts from the next choice of a host.
    pub fn set_metadata(&mut self, key: Arc<str>, value: Arc<str>) {
        let asked = LbMetadata::new([(key, value)]);
        self.stream.metadata = Some(match &self.stream.metadata {
            Some(before) => asked.over(before),
            None => asked,
        });
    }

    /// Sets the reply to send after this hook returns `Stop`. Status 200 to
    /// 599, fields checked like any that a filter writes. The last call in a
    /// hook decides: if it was refused, the stream is answered 500.
    pub fn reply(&mut self, reply: LocalReply) -> Result<(), EditError> {
        match self.check_reply(&reply) {
            Ok(()) => {
                self.stream.reply = SetReply::Taken(Box::new(reply));
                Ok(())
            }
            Err((refused, error)) => {
                self.refuse_reply(refused);
                Err(error)
            }
        }
    }

    /// The reply that the filter wanted to set cannot be made: the same as a
    /// [`FilterCx::reply`] that is refused.
    #[cold]
    pub fn refuse_reply(&mut self, refused: RefusedReply) {
        self.stream.reply = SetReply::Refused(Box::new(refused));
    }

    fn check_reply(&self, reply: &LocalReply) -> Result<(), (RefusedReply, EditError)> {
        let refused = |part: String, error: EditError| (RefusedReply::new(part, error), error);
        if !(200..=599).contains(&reply.status) {
            let part = format!("status {}", reply.status);
            return Err((RefusedReply::new(part, "expected 200 to 599"), EditError::BadValue));
        }
        if self.stream.response.state == HeadState::Sent || self.ended {
            let part = format!("status {}", reply.status);
            return Err((RefusedReply::new(part, "a response is on its way"), EditError::NotNow));
        }
        if reply.body.len() > self.limits.body {
            let part = format!("body of {} bytes, more than {}", reply.body.len(), self.limits.body);
            return Err(refused(part, EditError::Limit));
        }
        if !reply.headers.is_filters_share() {
            return Err(refused(format!("{} fields", reply.headers.len()), EditError::Limit));
        }
        for (name, value) in reply.headers.iter() {
            check_filter_header(name, value)
                .map_err(|problem| (RefusedReply::field(name, problem.into()), problem.into()))?;
        }
        Ok(())
    }

    /// A handle that resumes the stream after this hook returned `Pending`.
    /// Calls in the same hook return handles for the same wait.
    pub fn resume_handle(&mut self) -> ResumeHandle {
        self.stream.resume.get_or_insert_with(ResumeSlot::new).arm()
    }

    /// Says how copies of this request are sent, if its route mirrors it. The
    /// last word before the request was sent counts.
    pub fn fan_mirror(&mut self, fan: MirrorFan) {
        self.stream.mirror = Some(fan);
    }

    /// Lets the host resume the stream after `delay`, if this hook returns
    /// `Pending`. The delay is no fault, however long it is; it may take some
    /// tens of milliseconds more, never less. A handle may still resume earlier.
    pub fn wake_after(&mut self, delay: Duration) {
        self.stream.wake_after = Some(delay);
    }

    /// Says that the host holds `now` bytes for this filter, and not `before`
    /// any longer, outside of what it sees of the stream.
    pub fn hold(&mut self, before: u64, now: u64) {
        self.stream.filter_bytes = self.stream.filter_bytes.saturating_sub(before).saturating_add(now);
    }

    /// Object of the route's `per_filter_config` for this filter.
    pub fn route_config(&self) -> Option<&dyn RouteFilterConfig> {
        self.routes.route_config(self.filter_index)
    }
}
