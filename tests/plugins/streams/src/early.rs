//! Answers to whole bodies before they are there, as `x-fault: early` or
//! `early-reply` asks for.

use std::collections::HashMap;

use sidegate_proto::v1;
use sidegate_proto::v1::event::Kind;

/// The streams of a call that are answered so.
#[derive(Default)]
pub(crate) struct Early(HashMap<u64, Stream>);

struct Stream {
    replies: bool,
    is_answered: bool,
    bytes: usize,
}

impl Early {
    /// Events in answer to one, if it is of such a stream and not of its head.
    pub(crate) fn answers(&mut self, event: &v1::Event) -> Option<Vec<v1::PluginEvent>> {
        if let Some(Kind::RequestHeaders(head)) = &event.kind {
            let fault = head.fields.iter().find(|field| field.name == "x-fault").map(|field| field.value.clone());
            if let Some(fault) = fault.filter(|fault| fault.starts_with(b"early")) {
                self.0.insert(event.stream, Stream { replies: fault == "early-reply", is_answered: false, bytes: 0 });
            }
            return None;
        }
        let stream = self.0.get_mut(&event.stream)?;
        match &event.kind {
            Some(Kind::RequestBody(chunk)) => {
                stream.bytes += chunk.data.len();
                if std::mem::replace(&mut stream.is_answered, true) {
                    return Some(Vec::new());
                }
                let answer = match stream.replies {
                    true => v1::Answer {
                        action: v1::Action::Reply.into(),
                        reply: Some(v1::Reply { status: 413, fields: Vec::new(), body: "enough".into() }),
                        ..Default::default()
                    },
                    false => v1::Answer { body: Some(v1::BodyEdit { data: "early".into() }), ..Default::default() },
                };
                let kind = Some(v1::plugin_event::Kind::Answer(v1::Answer { hook: event.hook, ..answer }));
                Some(vec![v1::PluginEvent { stream: event.stream, kind }])
            }
            Some(Kind::End(_)) => {
                eprintln!("[WARN] early: {} bytes came", stream.bytes);
                self.0.remove(&event.stream);
                Some(Vec::new())
            }
            _ => None,
        }
    }
}
