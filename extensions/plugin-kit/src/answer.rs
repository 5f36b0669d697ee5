//! What a filter says after a hook.

use bytes::Bytes;
use sidegate_proto::v1;
use sidegate_proto::v1::{Action, Interest, Operation, Part, Variable};

/// The answer to a hook: what becomes of the stream, and what changes.
#[derive(Debug, Clone, Default)]
pub struct Answer(pub(crate) v1::Answer);

impl Answer {
    /// Go on.
    pub fn proceed() -> Self {
        Answer::default()
    }

    /// Leave out the filters behind this one in this phase.
    pub fn stop() -> Self {
        Answer::of(Action::Stop)
    }

    /// Close the stream without a reply.
    pub fn terminate() -> Self {
        Answer::of(Action::Terminate)
    }

    /// Match the route again; in request heads after the route.
    pub fn rematch_route() -> Self {
        Answer::of(Action::RematchRoute)
    }

    /// Choose a host again; in request heads after the choice of a host.
    pub fn rechoose_host() -> Self {
        Answer::of(Action::RechooseHost)
    }

    /// Answer the request with this status and body.
    pub fn reply(status: u32, body: impl Into<Bytes>) -> Self {
        let mut answer = Answer::of(Action::Reply);
        answer.0.reply = Some(v1::Reply { status, fields: Vec::new(), body: body.into() });
        answer
    }

    /// A field of the reply.
    pub fn reply_field(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let field = v1::ReplyField { name: name.into(), value: value.into() };
        self.0.reply.get_or_insert_default().fields.push(field);
        self
    }

    /// Replaces all fields `name` of what the hook is about.
    pub fn set(self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.edit(Part::Own, Operation::Set, name.into(), value.into())
    }

    /// Adds a field.
    pub fn add(self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.edit(Part::Own, Operation::Add, name.into(), value.into())
    }

    /// Removes all fields `name`.
    pub fn remove(self, name: impl Into<Bytes>) -> Self {
        self.edit(Part::Own, Operation::Remove, name.into(), Bytes::new())
    }

    /// Replaces all fields `name` of another part of the stream.
    pub fn set_in(self, part: Part, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.edit(part, Operation::Set, name.into(), value.into())
    }

    /// Sets method, path, query, target, authority or status.
    pub fn variable(mut self, variable: Variable, value: impl Into<Bytes>) -> Self {
        let variable = Some(v1::variable_edit::Variable::Number(variable as u32));
        self.0.variables.push(v1::VariableEdit { variable, value: value.into() });
        self
    }

    /// Sets a variable that filters share.
    pub fn shared(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        let variable = Some(v1::variable_edit::Variable::Shared(name.into()));
        self.0.variables.push(v1::VariableEdit { variable, value: value.into() });
        self
    }

    /// These bytes in place of the chunk, or of the whole body.
    pub fn body(mut self, data: impl Into<Bytes>) -> Self {
        self.0.body = Some(v1::BodyEdit { data: data.into() });
        self
    }

    /// What it wants to see of the stream from now on.
    pub fn interest(mut self, interest: Interest) -> Self {
        self.0.interest = interest.into();
        self
    }

    /// Asks for hosts with this label.
    pub fn host_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.host_labels.push(v1::Label { key: key.into(), value: value.into() });
        self
    }

    fn of(action: Action) -> Self {
        Answer(v1::Answer { action: action.into(), ..Default::default() })
    }

    fn edit(mut self, part: Part, operation: Operation, name: Bytes, value: Bytes) -> Self {
        let (part, operation) = (part.into(), operation.into());
        self.0.fields.push(v1::FieldEdit { part, operation, name, value });
        self
    }

    /// The answer in pieces that each fit into a message.
    pub(crate) fn pieces(mut self, hook: u32, mut each: impl FnMut(v1::Answer)) {
        const PIECE: usize = 1 << 20;
        self.0.hook = hook;
        let first = &mut self.0;
        let mut of_body = first.body.as_mut().map(|body| &mut body.data);
        let mut rest_of_body = of_body.as_mut().map(|data| data.split_off(data.len().min(PIECE))).unwrap_or_default();
        let mut of_reply = first.reply.as_mut().map(|reply| &mut reply.body);
        let mut rest_of_reply = of_reply.as_mut().map(|data| data.split_off(data.len().min(PIECE))).unwrap_or_default();
        first.more = !rest_of_body.is_empty() || !rest_of_reply.is_empty();
        each(self.0);
        while !rest_of_body.is_empty() || !rest_of_reply.is_empty() {
            let data = rest_of_body.split_to(rest_of_body.len().min(PIECE));
            let body = rest_of_reply.split_to(rest_of_reply.len().min(PIECE));
            each(v1::Answer {
                hook,
                more: !rest_of_body.is_empty() || !rest_of_reply.is_empty(),
                body: (!data.is_empty()).then_some(v1::BodyEdit { data }),
                reply: (!body.is_empty()).then_some(v1::Reply { body, ..Default::default() }),
                ..Default::default()
            });
        }
    }
}
