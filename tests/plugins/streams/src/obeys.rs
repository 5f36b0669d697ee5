//! Does what `x-do` of a request says: `HOOK.DEED=VALUE`, with commas.

use std::time::Duration;

use sidegate_plugin_kit::{
    Answer, BodyChunk, Completion, Configure, Description, Field, Filter, Hooks, Interest, Part, Phase, Plugin,
    RequestHeaders, ResponseHeaders, Trailers, Use, Variable, async_trait,
};

pub(crate) struct Obeys {
    how: String,
}

struct Place {
    config: String,
}

struct Stream {
    config: String,
    deeds: Vec<(String, String, String)>,
    /// Hooks that were called, as `x-told` shows them.
    seen: Vec<String>,
}

impl Obeys {
    pub(crate) fn new(how: &str) -> Self {
        Obeys { how: how.to_owned() }
    }
}

impl Plugin for Obeys {
    fn describe(&self) -> Description {
        let hooks = (self.how == "heads").then(|| Hooks { request_before_route: true, ..Default::default() });
        let variables = vec![Variable::DownstreamRemoteIp];
        Description { name: "streams".into(), version: "1".into(), variables, hooks }
    }

    fn configure(&self, configure: &Configure) -> Result<Box<dyn Use>, String> {
        if configure.config.contains("refuse") {
            return Err("as it was told".to_owned());
        }
        Ok(Box::new(Place { config: configure.config.clone() }))
    }
}

impl Use for Place {
    fn filter(&self) -> Box<dyn Filter> {
        Box::new(Stream { config: self.config.clone(), deeds: Vec::new(), seen: Vec::new() })
    }
}

impl Stream {
    async fn obey(&mut self, hook: &str, data: &[u8]) -> Answer {
        let mut answer = Answer::proceed();
        let deeds: Vec<_> = self.deeds.iter().filter(|(of, ..)| of == hook).cloned().collect();
        for (_, deed, value) in deeds {
            let (name, rest) = value.split_once(':').unwrap_or((&value, ""));
            let (name, rest) = (name.to_owned(), rest.to_owned());
            answer = match &*deed {
                "set" => answer.set(name, rest),
                "add" => answer.add(name, rest),
                "remove" => answer.remove(name),
                "trailer" => answer.set_in(Part::RequestTrailers, name, rest),
                "target" => answer.variable(Variable::Target, value),
                "status" => answer.variable(Variable::Status, value),
                "shared" => answer.shared(name, rest),
                "reply" => Answer::reply(name.parse().unwrap_or(200), rest).reply_field("x-by", "plugin"),
                "flood" => Answer::reply(200, vec![b'r'; number(&value)]),
                "stop" => Answer::stop(),
                "terminate" => Answer::terminate(),
                "rematch" => {
                    // Once.
                    self.deeds.retain(|(_, deed, _)| deed != "rematch");
                    Answer::rematch_route().variable(Variable::Target, value)
                }
                "rechoose" => {
                    // Once.
                    self.deeds.retain(|(_, deed, _)| deed != "rechoose");
                    Answer::rechoose_host()
                }
                "rechoose-always" => Answer::rechoose_host(),
                "label" => answer.host_label(name, rest),
                "upper" => answer.body(data.to_ascii_uppercase()),
                "replace" => answer.body(value),
                "grow" => answer.body(vec![b'g'; number(&value)]),
                "none" => answer.interest(Interest::None),
                "nobodies" => answer.interest(Interest::NoBodies),
                "wait" => {
                    tokio::time::sleep(Duration::from_millis(number(&value) as u64)).await;
                    answer
                }
                "hang" => std::future::pending().await,
                "die" => std::process::exit(9),
                "tell" => {
                    let told = self.seen.join(" ");
                    answer.set("x-told", told)
                }
                other => Answer::reply(400, format!("no such deed: {other}")),
            };
        }
        answer
    }

    fn saw(&mut self, hook: &str, what: String) {
        self.seen.push(format!("{hook}({what})"));
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or(0)
}

fn names(fields: &[Field]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all: Vec<String> = fields.iter().map(|f| format!("{}={}", text(&f.name), text(&f.value))).collect();
    all.join(";")
}

#[async_trait]
impl Filter for Stream {
    async fn request_headers(&mut self, head: RequestHeaders) -> Answer {
        if self.deeds.is_empty() {
            let wanted = head.fields.iter().filter(|field| field.name == "x-do");
            for field in wanted {
                let text = String::from_utf8_lossy(&field.value).into_owned();
                for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    let (deed, value) = word.split_once('=').unwrap_or((word, ""));
                    let (hook, deed) = deed.split_once('.').unwrap_or(("", deed));
                    self.deeds.push((hook.to_owned(), deed.to_owned(), value.to_owned()));
                }
            }
        }
        let plain: Vec<Field> = head.fields.iter().filter(|field| field.name.starts_with(b"x-a")).cloned().collect();
        let variables: Vec<String> =
            head.variables.iter().map(|v| format!("{}={}", v.variable, String::from_utf8_lossy(&v.value))).collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // A host was chosen: deeds of their own.
        let hook = if head.phase() == Phase::AfterChooseHost { "chosen" } else { "head" };
        let what = format!(
            "{} {} {} {} fields:{} variables:{} route:{} config:{} end:{}",
            head.phase,
            text(&head.method),
            text(&head.authority),
            text(&head.target),
            names(&plain),
            variables.join(";"),
            head.route_config,
            self.config,
            head.end_of_stream
        );
        self.saw(hook, what);
        self.obey(hook, b"").await
    }

    async fn request_body(&mut self, chunk: BodyChunk) -> Answer {
        self.saw("body", format!("{} last:{} {}", chunk.data.len(), chunk.last, names(&chunk.trailers)));
        self.obey("body", &chunk.data).await
    }

    async fn request_trailers(&mut self, trailers: Trailers) -> Answer {
        self.saw("trailers", names(&trailers.fields));
        self.obey("trailers", b"").await
    }

    async fn response_headers(&mut self, head: ResponseHeaders) -> Answer {
        self.saw("rhead", head.status.to_string());
        self.obey("rhead", b"").await
    }

    async fn response_body(&mut self, chunk: BodyChunk) -> Answer {
        self.saw("rbody", format!("{} last:{}", chunk.data.len(), chunk.last));
        self.obey("rbody", &chunk.data).await
    }

    async fn response_trailers(&mut self, trailers: Trailers) -> Answer {
        self.saw("rtrailers", names(&trailers.fields));
        self.obey("rtrailers", b"").await
    }

    async fn end(&mut self, completion: Option<Completion>) {
        let bodies: u64 = self.seen.iter().filter(|seen| seen.starts_with("body(")).count() as u64;
        match completion {
            Some(completion) => eprintln!(
                "[WARN] completion status:{} sent:{} received:{} bodies:{bodies}",
                completion.status, completion.bytes_sent, completion.bytes_received
            ),
            None => eprintln!("[WARN] end without completion"),
        }
    }
}
