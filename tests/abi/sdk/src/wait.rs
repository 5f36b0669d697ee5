use sidegate_sdk::Background;
use sidegate_sdk::prelude::*;

pub struct Waiter {
    jobs: Background<(ResumeHandle, u32)>,
}

pub struct Waiting<'f> {
    by: &'f Waiter,
    reply: bool,
}

impl FilterFactory for Waiter {
    type Config = NoConfig;
    type Filter<'f> = Waiting<'f>;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let jobs = Background::start("conform-wait", 1000, |(waiting, times): (ResumeHandle, u32)| {
            for _ in 0..times {
                // The second answer is "already".
                let _ = waiting.resume();
            }
        })?;
        Ok(Waiter { jobs })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> Waiting<'f> {
        Waiting { by: self, reply: false }
    }
}

impl Filter for Waiting<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let Some(how) = cx.headers().get_str("x-wait").map(str::to_owned) else {
            return Ok(Status::Continue);
        };
        let waiting = cx.resume_handle()?;
        self.reply = how == "reply";
        if how == "early" {
            waiting.resume()?;
            return Ok(Status::Pending);
        }
        let times = if how == "twice" { 2 } else { 1 };
        self.by.jobs.submit((waiting, times)).map_err(|_| Fault::new("the queue is full"))?;
        Ok(Status::Pending)
    }

    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        if self.reply {
            return cx.reply(Reply::text(202, "resumed"));
        }
        cx.request_mut().set("x-resumed", "yes")?;
        Ok(Status::Continue)
    }
}
