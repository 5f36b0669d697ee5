//! A guard that does not look at what its reply is answered.

use sidegate_sdk::prelude::*;

pub struct Refuse;

pub struct RefuseFilter;

impl FilterFactory for Refuse {
    type Config = NoConfig;
    type Filter<'f> = RefuseFilter;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Refuse)
    }

    fn filter(&self, _: &FilterEnv<'_>) -> RefuseFilter {
        RefuseFilter
    }
}

fn asked(cx: &Stream<'_>, name: &str) -> String {
    String::from_utf8_lossy(cx.request().get(name).unwrap_or_default()).into_owned()
}

/// What the request asks for, if this is the hook it asks it of.
fn act(cx: &mut Stream<'_>, hook: &str) -> HookResult {
    if asked(cx, "x-in") != hook {
        return Ok(Status::Continue);
    }
    let (reply, then) = (asked(cx, "x-reply"), asked(cx, "x-then"));
    let (status, field) = reply.split_once(' ').unwrap_or((&reply, "x-ok"));
    let set = cx.set_reply(Reply::new(status.parse::<u16>().unwrap_or(0)).header(field, "1"));
    match &*then {
        "stop" => Ok(Status::Stop),
        "pending" => {
            let _ = cx.resume_handle()?.resume();
            Ok(Status::Pending)
        }
        "terminate" => Ok(Status::Terminate),
        "fault" => bail!("on purpose"),
        "panic" => panic!("on purpose"),
        "pass-on" => set.map(|()| Status::Stop).map_err(Into::into),
        _ => Ok(Status::Continue),
    }
}

impl Filter for RefuseFilter {
    const HOOKS: Hooks =
        Hooks::new().request_headers(Phase::BeforeRoute).response_headers().response_body(BodyMode::Observe);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        act(cx, "request")
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        act(cx, "response")
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        act(cx, "response-body")
    }
}
